"""BitMart futures: trades, of which some may be flagged as liquidations. Unproven: the flag is not documented."""

import zlib
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec

from ..events import Reason
from ..wire import Liquidation
from ._asked import Asked
from ._lists import coin, document, inside, page
from ._numbers import SURPRISES, RowError, contract_size, quick, shown, words
from ._quick import OwnNumber, quick_answer, quick_event
from ._rows import (
    LARGEST_FRAME,
    Row,
    Stamp,
    explained,
    field,
    known,
    liquidation,
    moment,
    own_id,
    price_of,
    quantity_of,
    read_rows,
    rejected,
    whole,
)
from .base import (
    ACK,
    CONTROL,
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

TOPIC = "futures/trade:"
TOPICS_PER_REQUEST = 100  # all topics of a request may have 4,096 characters
SYMBOLS_PER_SOCKET = 1000
LIQUIDATION, ORDINARY = 1, 8  # `type` of a trade; none is an ordinary one too
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
STAMP = Stamp("bitmart", "fill", "fill")


class _Row(msgspec.Struct, gc=False):
    trade_id: OwnNumber
    symbol: str
    deal_price: str
    deal_vol: str
    m: bool
    created_at: str
    type: int | None = None


class _Frame(msgspec.Struct, gc=False):
    group: str
    data: list[_Row]
    success: msgspec.UnsetType = msgspec.UNSET


_decode = msgspec.json.Decoder(_Frame).decode


class BitmartSession:
    """One socket carrying the trades of `symbols`."""

    def __init__(self, feed: Feed, instruments: Instruments, symbols: Sequence[str]) -> None:
        self._instruments = instruments
        self._symbols = list(symbols)
        self._asked = Asked()

    def opening_frames(self) -> Sequence[Frame]:
        return self.subscribe_more(self._symbols)

    def ping_frame(self) -> Frame | None:
        return '{"action":"ping"}'

    def subscribe_more(self, symbols: Sequence[str]) -> Sequence[Frame]:
        topics = [TOPIC + symbol for symbol in symbols]
        for topic in topics:
            self._asked.ask(topic)
        starts = range(0, len(topics), TOPICS_PER_REQUEST)
        return [_subscribe(topics[at : at + TOPICS_PER_REQUEST]) for at in starts]

    @property
    def acknowledged(self) -> bool:
        return self._asked.all_granted

    @property
    def control_expected(self) -> bool:
        return True

    def receive(self, frame: Frame, received_ms: int) -> Received:
        if isinstance(frame, bytes):
            try:
                frame = _text(frame)
            except ValueError as error:
                return rejected(str(error))
        if frame == "pong":
            return HEARTBEAT
        if _ordinary(frame):
            return CONTROL
        try:
            message = _decode(frame)
            if message.group.startswith(TOPIC):
                rows = message.data
                events = [self._quick(row, received_ms) for row in rows if row.type == LIQUIDATION]
                return quick_answer(events, rows, len(rows) - len(events))
        except (*SURPRISES, RowError):
            pass
        return explained(frame, lambda message: self._answer(message, received_ms))

    def _quick(self, row: _Row, received_ms: int) -> Liquidation:
        symbol, side, time_ms = row.symbol, "long" if row.m else "short", _milliseconds(row.created_at)
        size, price, event_id = quick(row.deal_vol), quick(row.deal_price), f"bitmart:{symbol}:{row.trade_id}"
        return quick_event(STAMP, self._instruments[symbol], side, size, price, time_ms, received_ms, event_id)

    def _answer(self, message: Any, received_ms: int) -> Received:
        if not isinstance(message, dict):
            return rejected(f"not an object: {shown(message)}")
        group = message.get("group")
        if "success" in message:
            return self._told(group, message)
        if not isinstance(group, str):
            return rejected(f"neither a group nor an answer: {shown(message)}")
        if not group.startswith(TOPIC):
            return HEARTBEAT if message.get("data") == "pong" else IGNORED
        received = read_rows(message.get("data"), lambda row: self._read(row, received_ms), "data", venue_ids=True)
        return received if received.liquidations or received.error else CONTROL

    def _told(self, group: object, message: Row) -> Received:
        if message["success"] is True:
            self._asked.grant(str(group))
            return ACK
        self._asked.refuse(str(group))
        return Received(FrameKind.REFUSED, error=words(f"{group}: {message.get('error')}"))

    def _read(self, row: Row, received_ms: int) -> Liquidation | None:
        if whole(row.get("type")) != LIQUIDATION:
            return None
        instrument = known(self._instruments, row, "symbol")
        symbol, seller_took = instrument.symbol, field(row, "m")  # m: the buyer was the maker
        if not isinstance(seller_took, bool):
            raise RowError(Reason.UNKNOWN_SIDE, f"{symbol}: m is {shown(seller_took)}, neither true nor false", symbol)
        side = "long" if seller_took else "short"  # the taker is taken for the one who was liquidated
        contracts, price = quantity_of(row, "deal_vol"), price_of(row, "deal_price")
        time_ms, event_id = _milliseconds(field(row, "created_at")), f"bitmart:{symbol}:{own_id(row, 'trade_id')}"
        return liquidation(STAMP, instrument, side, "", contracts, price, time_ms, received_ms, event_id)


def _ordinary(frame: str) -> bool:
    """Trades of which none is flagged, told without parsing: a flag is a member `"type"`, and without a backslash
    JSON can spell that in no other way. Every one there is an 8."""
    return (
        '"group":"futures/trade:' in frame
        and '"data":[{' in frame
        and '"success"' not in frame
        and frame.endswith("}")
        and frame.count('"type"') == frame.count('"type":8,') + frame.count('"type":8}')
        and "\\" not in frame
        and len(frame) <= LARGEST_FRAME
    )


def _text(frame: bytes) -> str:
    """A binary frame is text, or text that was deflated. Raises `ValueError`."""
    if frame[:1] not in (b"{", b"p"):
        inflate = zlib.decompressobj(wbits=-15)
        try:
            frame = inflate.decompress(frame, LARGEST_FRAME)
        except zlib.error as error:
            raise ValueError(f"neither text nor deflated: {error}") from None
        if not inflate.eof:
            raise ValueError(f"deflated and cut off, or more than {LARGEST_FRAME} bytes inside")
    return frame.decode()


def _milliseconds(value: object) -> int:
    """Of a moment as text, such as 2026-11-18T11:06:40.111222333Z. Raises `RowError`."""
    try:
        at = datetime.fromisoformat(value) if isinstance(value, str) and len(value) <= 40 else None
    except ValueError:
        at = None
    if at is None or at.tzinfo is None:
        raise RowError(Reason.BAD_TIME, f"created_at is not a moment: {shown(value)}")
    return moment((at - EPOCH) // timedelta(milliseconds=1), "created_at")


def _subscribe(topics: Sequence[str]) -> str:
    return msgspec.json.encode({"action": "subscribe", "args": topics}).decode()


def read_instruments(listed: InstrumentList, body: bytes) -> InstrumentPage:
    """`data.symbols` of contract/public/details."""
    answer = document(body)
    if inside(answer, "code") != 1000:
        raise ValueError(f"refused: {shown(answer.get('message'))}")
    return page(inside(answer, "data", "symbols"), "symbol")


def instrument(name: str, raw: Mapping[str, Any]) -> Instrument:
    """A contract is contract_size coins."""
    size = contract_size(raw["contract_size"], "contract_size")
    trading = raw.get("status", "Trading") == "Trading"
    base, quote = coin(raw["base_currency"]), coin(raw["quote_currency"])
    if quote == "USD":
        why = "settled in its own coin, and the size of such a contract is not documented"
        return Instrument(name, base, quote, unpriced=why, unpriced_reason=Reason.UNSUPPORTED, trading=False)
    return Instrument(name, base, quote, contract_size=size, trading=trading)


VENUE = Venue(
    name="bitmart",
    title="BitMart",
    docs="https://developer-pro.bitmart.com/en/futuresv2/#public-trade-channel",
    checked="2026-09-22",
    completeness="unproven",
    completeness_note="Trades that carry a flag which the documentation does not know: there may be none at all.",
    side_rule="`m` says who took: true, the taker sold, a long was closed; false, a short. (Assumed: the taker.)",
    price_kind="fill",
    unit="fill",
    feeds=(Feed("futures", "wss://openapi-ws-v2.bitmart.com/api?protocol=1.1", symbols_per_socket=SYMBOLS_PER_SOCKET),),
    instrument_lists=(InstrumentList("futures", "https://api-cloud-v2.bitmart.com/contract/public/details"),),
    read_instruments=read_instruments,
    instrument=instrument,
    session=BitmartSession,
    ping_every=timedelta(seconds=15),
    silence_limit=timedelta(seconds=40),
    control_limit=timedelta(minutes=5),
    connects=20,
    connects_per=timedelta(minutes=5),
    enabled_by_default=False,
    doubts=(
        "Only another program's code says that a trade of type 1 is a liquidation. That the taker is the one who was "
        "liquidated is assumed."
    ),
)
