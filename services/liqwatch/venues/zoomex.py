"""Zoomex perpetuals, a white label of Bybit with Bybit's older topic. Unproven: no captured frame of it was seen."""

from collections.abc import Mapping, Sequence
from datetime import timedelta
from itertools import count
from typing import Any, Literal
from urllib.parse import quote

import msgspec

from ..wire import Liquidation
from ._asked import Asked
from ._lists import coin, document, inside, page
from ._numbers import SURPRISES, Digits, quick, shown, words
from ._quick import quick_answer, quick_event
from ._rows import (
    Moment,
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

# The documentation calls it the order's side. So did Bybit's of the same topic, where it was the position's.
SIDES = {"Buy": "long", "Sell": "short"}
TOPIC = "liquidation."
TOPICS_PER_REQUEST = 10
SYMBOLS_PER_SOCKET = 400
STAMP = Stamp("zoomex", "bankruptcy", "order")


class _Row(msgspec.Struct, gc=False):
    symbol: str
    side: Literal["Buy", "Sell"]
    size: Digits
    price: Digits
    updatedTime: Moment
    updateTime: msgspec.UnsetType = msgspec.UNSET  # the other spelling: the careful way


class _Frame(msgspec.Struct, gc=False):
    topic: str
    data: _Row


_decode = msgspec.json.Decoder(_Frame).decode


class ZoomexSession:
    """One socket carrying `symbols`."""

    def __init__(self, feed: Feed, instruments: Instruments, symbols: Sequence[str]) -> None:
        self._instruments = instruments
        self._symbols = list(symbols)
        self._numbers = count(1)
        self._requests: dict[str, list[str]] = {}  # what was asked for and not answered yet, oldest first
        self._asked = Asked()

    def opening_frames(self) -> Sequence[Frame]:
        return self.subscribe_more(self._symbols)

    def ping_frame(self) -> Frame | None:
        return '{"op":"ping"}'

    def subscribe_more(self, symbols: Sequence[str]) -> Sequence[Frame]:
        topics = [TOPIC + symbol for symbol in symbols]
        starts = range(0, len(topics), TOPICS_PER_REQUEST)
        return [self._request(topics[at : at + TOPICS_PER_REQUEST]) for at in starts]

    @property
    def acknowledged(self) -> bool:
        return self._asked.all_granted

    @property
    def control_expected(self) -> bool:
        return False

    def receive(self, frame: Frame, received_ms: int) -> Received:
        try:
            message = _decode(frame)
            if message.topic.startswith(TOPIC):
                return quick_answer([self._quick(message.data, received_ms)], [message.data])
        except SURPRISES:
            pass
        return explained(frame, lambda message: self._answer(message, received_ms))

    def _quick(self, row: _Row, received_ms: int) -> Liquidation:
        symbol, side, size, price, time_ms = row.symbol, SIDES[row.side], row.size, row.price, row.updatedTime
        event_id = f"zoomex:{symbol}:{time_ms}:{side}:{size}@{price}"
        instrument = self._instruments[symbol]
        return quick_event(STAMP, instrument, side, quick(size), quick(price), time_ms, received_ms, event_id)

    def _answer(self, message: Any, received_ms: int) -> Received:
        if not isinstance(message, dict):
            return rejected(f"not an object: {shown(message)}")
        topic = message.get("topic")
        if isinstance(topic, str):
            if not topic.startswith(TOPIC):
                return IGNORED
            row = message.get("data")
            rows = [row] if isinstance(row, dict) else row
            return read_rows(rows, lambda row: self._read(row, received_ms), "data")
        if message.get("op") == "pong" or message.get("ret_msg") == "pong":
            return HEARTBEAT
        if "success" not in message:
            return rejected(f"neither a topic nor an answer: {shown(message)}")
        return self._told(message) if message.get("op") == "subscribe" else IGNORED

    def _told(self, message: Row) -> Received:
        """Answers may come without the name of the request: then they come in order."""
        name = message.get("req_id") or next(iter(self._requests), "")
        topics = self._requests.pop(name, []) if isinstance(name, str) else []
        if message["success"] is True:
            self._asked.grant(str(name))
            return ACK
        # One bad topic fails its whole request: each is asked for alone, and the one that is refused again is dropped.
        self._asked.refuse(str(name))
        replies = [self._request([topic]) for topic in topics] if len(topics) > 1 else []
        return Received(FrameKind.REFUSED, error=words(message.get("ret_msg")), replies=replies)

    def _request(self, topics: list[str]) -> str:
        name = f"liq-{next(self._numbers)}"
        self._requests[name] = topics
        self._asked.ask(name)
        return msgspec.json.encode({"op": "subscribe", "req_id": name, "args": topics}).decode()

    def _read(self, row: Row, received_ms: int) -> Liquidation | None:
        instrument = known(self._instruments, row, "symbol")
        side = chosen(row, "side", SIDES, instrument.symbol)
        # The documentation has both spellings.
        name = "updateTime" if "updateTime" in row else "updatedTime"
        time_ms = moment(field(row, name), name)
        size, price, said = quantity_of(row, "size"), price_of(row, "price"), f"{row['size']}@{row['price']}"
        return liquidation(STAMP, instrument, side, said, size, price, time_ms, received_ms)


def read_instruments(listed: InstrumentList, body: bytes) -> InstrumentPage:
    """`result.list`, and the address of the next page while there is one."""
    answer = document(body)
    if inside(answer, "retCode") != 0:
        raise ValueError(f"refused: {shown(answer.get('retMsg'))}")
    rows = inside(answer, "result", "list")
    cursor = inside(answer, "result").get("nextPageCursor")
    next_url = f"{listed.url}&cursor={quote(cursor, safe='')}" if isinstance(cursor, str) and cursor else None
    return page(rows, "symbol", next_url)


def instrument(name: str, raw: Mapping[str, Any]) -> Instrument:
    """Sizes are base coins; there are linear contracts only."""
    if not raw.get("contractType", "Linear").startswith("Linear"):
        raise ValueError(f"contractType is {shown(raw['contractType'])}, not linear")
    trading = raw.get("status", "Trading") == "Trading"
    return Instrument(name, coin(raw["baseCoin"]), coin(raw["quoteCoin"]), trading=trading)


VENUE = Venue(
    name="zoomex",
    title="Zoomex",
    docs="https://zoomexglobal.github.io/docs/v3/websocket/public/liquidation",
    checked="2026-09-22",
    completeness="unproven",
    completeness_note="Real-time, says the documentation; the same topic of Bybit had one order a second and symbol.",
    side_rule="`side` read as the position, as on Bybit: Buy was a long, Sell a short. (The page says: the order.)",
    price_kind="bankruptcy",
    unit="order",
    feeds=(Feed("linear", "wss://stream.zoomex.com/v3/public/linear", symbols_per_socket=SYMBOLS_PER_SOCKET),),
    instrument_lists=(
        InstrumentList("linear", "https://openapi.zoomex.com/v3/public/linear/instruments-info?limit=1000"),
    ),
    read_instruments=read_instruments,
    instrument=instrument,
    session=ZoomexSession,
    ping_every=timedelta(seconds=20),
    silence_limit=timedelta(seconds=60),
    connects=100,
    connects_per=timedelta(minutes=5),
    enabled_by_default=False,
    doubts=(
        "If `side` is the order's after all, longs and shorts are exchanged. Heartbeat and the address of the list of "
        "instruments are taken over from Bybit, not from a page of the venue."
    ),
)
