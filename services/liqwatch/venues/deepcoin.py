"""Deepcoin swaps: the feed of liquidation orders. Unproven: no captured frame of it was seen."""

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any, Literal

import msgspec

from ..wire import Liquidation
from ._asked import Asked
from ._lists import coin, document, inside, page
from ._numbers import SURPRISES, contract_size, quick, shown, words, written
from ._quick import quick_answer, quick_event
from ._rows import (
    EARLIEST_MS,
    LATEST_MS,
    Row,
    Stamp,
    chosen,
    explained,
    field,
    known,
    liquidation,
    moment,
    price_of,
    quantity_of,
    read_rows,
    rejected,
    whole,
)
from .base import (
    ACK,
    HEARTBEAT,
    IGNORED,
    Feed,
    Frame,
    FrameKind,
    Instrument,
    InstrumentList,
    InstrumentPage,
    Instruments,
    Received,
    Venue,
)

TOPIC = "30"
ORDERS_PUSHED = "PFO"
# The documentation only says "direction"; read as the order's, which is the position's opposite.
ORDERS = {"0": "short", "1": "long"}
STAMP = Stamp("deepcoin", "order", "order")
SWAP = "-SWAP"


class _Row(msgspec.Struct, gc=False):
    I: str  # noqa: E741 - the venue's names
    D: Literal["0", "1"]
    P: msgspec.Raw
    V: msgspec.Raw
    T: int


class _Item(msgspec.Struct, gc=False):
    d: _Row


class _Frame(msgspec.Struct, gc=False):
    """Of version 1, which our sockets ask for."""

    a: Literal["PFO"]
    r: list[_Item]
    d: msgspec.UnsetType = msgspec.UNSET


_decode = msgspec.json.Decoder(_Frame).decode


class DeepcoinSession:
    """One socket with every swap: the topic takes no symbol."""

    def __init__(self, feed: Feed, instruments: Instruments, symbols: Sequence[str]) -> None:
        self._instruments = instruments
        self._asked = Asked()

    def opening_frames(self) -> Sequence[Frame]:
        self._asked.ask(TOPIC)
        return ['{"SendTopicAction":{"Action":"1","LocalNo":1,"TopicID":"30"}}']

    def ping_frame(self) -> Frame | None:
        return "ping"  # text, neither JSON nor a control frame

    def subscribe_more(self, symbols: Sequence[str]) -> Sequence[Frame]:
        return []

    @property
    def acknowledged(self) -> bool:
        return self._asked.all_granted

    @property
    def control_expected(self) -> bool:
        return False

    def receive(self, frame: Frame, received_ms: int) -> Received:
        if frame in ("pong", b"pong"):
            return HEARTBEAT
        try:
            rows = _decode(frame).r
            return quick_answer([self._quick(row.d, received_ms) for row in rows], rows)
        except SURPRISES:
            pass
        return explained(frame, lambda message: self._answer(message, received_ms))

    def _quick(self, row: _Row, received_ms: int) -> Liquidation:
        symbol, side, time_ms = row.I, ORDERS[row.D], row.T * 1000
        if not EARLIEST_MS < time_ms < LATEST_MS:
            raise ValueError(time_ms)
        contracts, price = quick(written(row.V)), quick(written(row.P))
        event_id = f"deepcoin:{symbol}:{time_ms}:{side}:{contracts}@{price}"
        instrument = self._instruments[symbol]
        return quick_event(STAMP, instrument, side, contracts, price, time_ms, received_ms, event_id)

    def _answer(self, message: Any, received_ms: int) -> Received:
        if not isinstance(message, dict):
            return rejected(f"not an object: {shown(message)}")
        what = message.get("a")
        if what == ORDERS_PUSHED:
            # A socket speaks one version. Ids tell them apart, as a row says nothing else that would.
            mark, rows = _rows(message)
            return read_rows(rows, lambda row: self._read(row, mark, received_ms), "the list of orders")
        if not isinstance(what, str):
            return rejected(f"says nothing of what it is: {shown(message)}")
        said = message.get("m")
        if what in ("", "RecvTopicAction") and said is not None and said != "Success":
            self._asked.refuse(TOPIC)
            return Received(FrameKind.REFUSED, error=words(said))
        if what != "RecvTopicAction":
            return IGNORED
        if _names_topic(message.get("r")):
            self._asked.grant(TOPIC)
        return ACK

    def _read(self, row: Row, mark: str, received_ms: int) -> Liquidation | None:
        instrument = known(self._instruments, row, "I")
        side = chosen({"D": str(row["D"])} if type(row.get("D")) is int else row, "D", ORDERS, instrument.symbol)
        seconds = whole(field(row, "T"))
        time_ms = moment(seconds * 1000 if type(seconds) is int else seconds, "T, in seconds,")
        contracts, price, said = quantity_of(row, "V"), price_of(row, "P"), f"{mark}{row['V']}@{row['P']}"
        return liquidation(STAMP, instrument, side, said, contracts, price, time_ms, received_ms)


def _rows(message: Row) -> tuple[str, object]:
    """Frames of version 2 hold the rows in `d`; those of version 1 have each row in the `d` of an object in `r`."""
    if "d" in message:
        return "v2:", message["d"]
    items = message.get("r")
    if not isinstance(items, list):
        return "", items
    return "", [item.get("d") if isinstance(item, dict) else item for item in items]


def _names_topic(answers: object) -> bool:
    given = [item.get("d") for item in answers if isinstance(item, dict)] if isinstance(answers, list) else []
    return any(isinstance(answer, dict) and answer.get("T") == TOPIC for answer in given)


def read_instruments(listed: InstrumentList, body: bytes) -> InstrumentPage:
    """`data` of market/instruments. Frames write BTC-USDT-SWAP as BTCUSDT."""
    answer = document(body)
    if inside(answer, "code") != "0":
        raise ValueError(f"refused: {shown(answer.get('msg'))}")
    objects = page(inside(answer, "data"), "instId").objects
    return InstrumentPage({name.removesuffix(SWAP).replace("-", "", 1): raw for name, raw in objects.items()})


def instrument(name: str, raw: Mapping[str, Any]) -> Instrument:
    """A contract is ctVal coins, or as many USD where the quote is USD."""
    size = contract_size(raw["ctVal"], "ctVal")
    return Instrument(
        name,
        coin(raw["baseCcy"]),
        coin(raw["quoteCcy"]),
        inverse=raw["quoteCcy"] == "USD",
        contract_size=size,
        trading=raw.get("state", "live") == "live",
    )


VENUE = Venue(
    name="deepcoin",
    title="Deepcoin",
    docs="https://www.deepcoin.com/docs/publicWS/LiquidationOrder",
    checked="2026-09-22",
    completeness="unproven",
    completeness_note="Nothing is promised: the page only says that liquidation orders are pushed.",
    side_rule="`D` read as the order: 1 sells and closed a long, 0 buys and closed a short.",
    price_kind="order",
    unit="order",
    feeds=(Feed("swap", "wss://stream.deepcoin.com/streamlet/trade/public/swap?platform=api"),),
    instrument_lists=(InstrumentList("swap", "https://api.deepcoin.com/deepcoin/market/instruments?instType=SWAP"),),
    read_instruments=read_instruments,
    instrument=instrument,
    session=DeepcoinSession,
    ping_every=timedelta(seconds=10),
    silence_limit=timedelta(seconds=30),
    connects=10,
    connects_per=timedelta(minutes=1),
    enabled_by_default=False,
    doubts=(
        "That D is the side of the order, that V counts contracts of ctVal coins and that an inverse contract is worth "
        "ctVal USD is inferred from the venue's other channels. Volumes it reports are doubted in public."
    ),
)
