"""Poloniex futures: at most one liquidation order a second and symbol. Unproven: no captured frame of it was seen."""

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any, Literal

import msgspec

from ..wire import Liquidation
from ._asked import Asked
from ._lists import coin, document, inside, page
from ._numbers import SURPRISES, Digits, contract_size, quick, shown, words
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

CHANNEL = "liquidation_orders"
SYMBOLS_PER_SOCKET = 200
# posSide is the position; in one-way mode it is BOTH, and only the side of the order tells.
POSITIONS = {"LONG": "long", "SHORT": "short"}
ORDERS = {"SELL": "long", "BUY": "short"}
STAMP = Stamp("poloniex", "bankruptcy", "order")


class _Row(msgspec.Struct, gc=False):
    s: str
    side: Literal["BUY", "SELL"]
    posSide: Literal["LONG", "SHORT", "BOTH"]
    sz: Digits
    bkPx: Digits
    uTime: Moment


class _Frame(msgspec.Struct, gc=False):
    channel: Literal["liquidation_orders"]
    data: list[_Row]


_decode = msgspec.json.Decoder(_Frame).decode


class PoloniexSession:
    """One socket carrying `symbols`: "all" is documented, and was refused on another channel."""

    def __init__(self, feed: Feed, instruments: Instruments, symbols: Sequence[str]) -> None:
        self._instruments = instruments
        self._symbols = list(symbols)
        self._asked = Asked()

    def opening_frames(self) -> Sequence[Frame]:
        return self.subscribe_more(self._symbols)

    def ping_frame(self) -> Frame | None:
        return '{"event":"ping"}'

    def subscribe_more(self, symbols: Sequence[str]) -> Sequence[Frame]:
        if not symbols:
            return []
        for symbol in symbols:
            self._asked.ask(symbol)
        request = {"event": "subscribe", "channel": [CHANNEL], "symbols": list(symbols)}
        return [msgspec.json.encode(request).decode()]

    @property
    def acknowledged(self) -> bool:
        return self._asked.all_granted

    @property
    def control_expected(self) -> bool:
        return False

    def receive(self, frame: Frame, received_ms: int) -> Received:
        try:
            rows = _decode(frame).data
            return quick_answer([self._quick(row, received_ms) for row in rows], rows)
        except SURPRISES:
            pass
        return explained(frame, lambda message: self._answer(message, received_ms))

    def _quick(self, row: _Row, received_ms: int) -> Liquidation:
        symbol, sz, bk_px = row.s, row.sz, row.bkPx
        side = ORDERS[row.side] if row.posSide == "BOTH" else POSITIONS[row.posSide]
        one_way = "both:" if row.posSide == "BOTH" else ""
        event_id = f"poloniex:{symbol}:{row.uTime}:{side}:{one_way}{sz}@{bk_px}"
        instrument = self._instruments[symbol]
        return quick_event(STAMP, instrument, side, quick(sz), quick(bk_px), row.uTime, received_ms, event_id)

    def _answer(self, message: Any, received_ms: int) -> Received:
        if not isinstance(message, dict):
            return rejected(f"not an object: {shown(message)}")
        if "event" in message:
            return self._told(message)
        channel = message.get("channel")
        if not isinstance(channel, str):
            return rejected(f"neither a channel nor an event: {shown(message)}")
        if channel != CHANNEL:
            return IGNORED
        return read_rows(message.get("data"), lambda row: self._read(row, received_ms), "data")

    def _told(self, message: Row) -> Received:
        event, symbols = message["event"], message.get("symbols")
        if event == "pong":
            return HEARTBEAT
        if event == "error":  # names nothing of what was asked for: that stays open, and the socket is replaced
            return Received(FrameKind.REFUSED, error=words(message.get("message")))
        if event == "unsubscribe":
            return ACK
        if event != "subscribe":
            return IGNORED
        if message.get("channel") == CHANNEL and isinstance(symbols, list):
            for symbol in symbols:
                if isinstance(symbol, str):
                    self._asked.grant(symbol)
        return ACK

    def _read(self, row: Row, received_ms: int) -> Liquidation | None:
        instrument = known(self._instruments, row, "s")
        symbol, one_way = instrument.symbol, row.get("posSide") == "BOTH"
        side = chosen(row, "side", ORDERS, symbol) if one_way else chosen(row, "posSide", POSITIONS, symbol)
        time_ms = moment(field(row, "uTime"), "uTime")
        contracts, price = quantity_of(row, "sz"), price_of(row, "bkPx")
        said = f"{'both:' if one_way else ''}{row['sz']}@{row['bkPx']}"
        return liquidation(STAMP, instrument, side, said, contracts, price, time_ms, received_ms)


def read_instruments(listed: InstrumentList, body: bytes) -> InstrumentPage:
    """`data` of market/allInstruments."""
    answer = document(body)
    if inside(answer, "code") not in (200, "200"):
        raise ValueError(f"refused: {shown(answer.get('msg'))}")
    return page(inside(answer, "data"), "symbol")


def instrument(name: str, raw: Mapping[str, Any]) -> Instrument:
    """A contract is ctVal coins; only linear ones are listed."""
    if raw.get("ctType", "LINEAR") != "LINEAR":
        raise ValueError(f"ctType is {shown(raw['ctType'])}, not LINEAR")
    size = contract_size(raw["ctVal"], "ctVal")
    trading = raw.get("status", "OPEN") == "OPEN"
    return Instrument(name, coin(raw["bCcy"]), coin(raw["qCcy"]), contract_size=size, trading=trading)


VENUE = Venue(
    name="poloniex",
    title="Poloniex",
    docs="https://api-docs.poloniex.com/v3/futures/websocket/public/get-liquidation-orders",
    checked="2026-09-23",
    completeness="unproven",
    completeness_note="At most one order a second and symbol, says the documentation; not seen at work.",
    side_rule="`posSide` is the position; where it is BOTH, an order to SELL closed a long, one to BUY a short.",
    price_kind="bankruptcy",
    unit="order",
    feeds=(Feed("public", "wss://ws.poloniex.com/ws/v3/public", symbols_per_socket=SYMBOLS_PER_SOCKET),),
    instrument_lists=(InstrumentList("futures", "https://api.poloniex.com/v3/market/allInstruments"),),
    read_instruments=read_instruments,
    instrument=instrument,
    session=PoloniexSession,
    ping_every=timedelta(seconds=15),
    silence_limit=timedelta(seconds=40),
    connects=20,
    connects_per=timedelta(minutes=5),
    enabled_by_default=False,
    doubts="The socket was seen to answer, this channel was not. The price is the bankruptcy price, not the fill's.",
)
