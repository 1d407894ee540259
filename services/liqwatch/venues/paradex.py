"""Paradex perpetuals: public trades that say so. Binary (SBE) since 2026-09-21; requests and answers stay JSON text."""

from collections.abc import Mapping, Sequence
from datetime import timedelta
from struct import Struct
from typing import Any

import msgspec

from ..events import Reason
from ..wire import Liquidation
from ._asked import Asked
from ._lists import coin, document, inside, page
from ._numbers import SURPRISES, quick, shown, words
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
    own_id,
    price_of,
    quantity_of,
    rejected,
)
from ._trades import read_trades
from .base import (
    ACK,
    CONTROL,
    HEARTBEAT,
    IGNORED,
    BadRow,
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

CHANNELS = "trades."  # of one market, or:
CHANNEL = f"{CHANNELS}ALL"
REQUEST = 1
# The side is the taker's, and the account under liquidation is the taker.
TAKERS = {"SELL": "long", "BUY": "short"}
STAMP = Stamp("paradex", "fill", "fill")

# Header, little endian: blockLength, templateId, schemaId, version, two bytes each. The block may grow at its end.
_HEADER = Struct("<HHHH").unpack_from
_SCHEMA, _TRADE, _HEARTBEAT, _SUBSCRIBED = 1, 1, 40, 41
# ts, seq, tradeId (deprecated: cut off), side, price, size, createdAt (µs), tradeType
_block = Struct("<qqqBqqqB")
_TYPE_AT = 8 + _block.size - 1
_SIDES = {1: "BUY", 2: "SELL"}
_LIQUIDATION = 2
# FILL, TRANSFER (to the insurance fund, not through the book), SETTLE_MARKET, RPI, BLOCK_TRADE
_ORDINARY = frozenset((1, 3, 4, 5, 6))
_UNIT = 10**8  # prices and sizes are integers of this

# How a trade starts whose block has the length of today, 50: its type is then at `_TYPE_AT`.
_PLAIN = bytes((_block.size, 0, _TRADE, 0, _SCHEMA, 0))


class ParadexSession:
    """One socket with the trades of all markets."""

    control_expected = True  # the trades themselves

    def __init__(self, feed: Feed, instruments: Instruments, symbols: Sequence[str]) -> None:
        self._instruments = instruments
        self._asked = Asked()

    def opening_frames(self) -> Sequence[Frame]:
        self._asked.ask(CHANNEL)
        request = {"jsonrpc": "2.0", "method": "subscribe", "params": {"channel": CHANNEL}, "id": REQUEST}
        return [msgspec.json.encode(request).decode()]

    def ping_frame(self) -> Frame | None:
        return None  # the server pings, by control frames

    def subscribe_more(self, symbols: Sequence[str]) -> Sequence[Frame]:
        return []

    @property
    def acknowledged(self) -> bool:
        return self._asked.all_granted

    def receive(self, frame: Frame, received_ms: int) -> Received:
        if isinstance(frame, bytes):
            # What an ordinary trade is, its header and one byte say for certain: nothing else of it is read.
            if frame[:6] == _PLAIN and len(frame) > _TYPE_AT and frame[_TYPE_AT] in _ORDINARY:
                return CONTROL
            if frame[:1] != b"{" and len(frame) >= 8:
                return self._binary(frame, received_ms)
        return explained(frame, lambda message: self._answer(message, received_ms))

    def _binary(self, frame: bytes, received_ms: int) -> Received:
        length, template, schema, _version = _HEADER(frame)
        if schema != _SCHEMA:
            return rejected(f"neither JSON nor of schema {_SCHEMA}: {shown(frame[:16])}")
        if template == _HEARTBEAT:
            return HEARTBEAT
        if template != _TRADE:
            return ACK if template == _SUBSCRIBED else IGNORED
        if length < _block.size or len(frame) < 8 + length:
            return rejected(f"a trade of {len(frame)} bytes with a block of {length}")
        _, _, _, side, price, size, created_us, kind = _block.unpack_from(frame, 8)
        if kind in _ORDINARY:
            return CONTROL
        if kind != _LIQUIDATION:  # seen, and no reason to give up the socket
            error = f"tradeType {kind} is not known"
            return Received(FrameKind.DATA, (), (BadRow(Reason.MALFORMED, error),), error)
        market, at = _text(frame, 8 + length)
        trade, at = _text(frame, at)
        if at > len(frame):
            return rejected(f"a trade that ends within its texts, after {len(frame)} bytes")
        try:
            return quick_answer(
                [self._quick(market, trade, side, size, price, created_us // 1000, received_ms)], [frame]
            )
        except SURPRISES:
            pass
        row = {
            "market": market,
            "side": _SIDES.get(side, side),
            "size": _decimal(size),
            "price": _decimal(price),
            "created_at": created_us // 1000,
            "trade_type": "LIQUIDATION",
        }
        if trade is not None:  # there is none before version 3
            row["id"] = trade
        return self._trades([row], received_ms)

    def _quick(
        self, market: str | None, trade: str | None, side: int, size: int, price: int, time_ms: int, received_ms: int
    ) -> Liquidation:
        if market is None or trade is None or not (trade.isascii() and trade.isalnum() and len(trade) <= 64):
            raise ValueError(trade)
        if not EARLIEST_MS < time_ms < LATEST_MS:
            raise ValueError(time_ms)
        quantity, at, event_id = quick(_decimal(size)), quick(_decimal(price)), f"paradex:{market}:{trade}"
        taker = TAKERS[_SIDES[side]]
        return quick_event(STAMP, self._instruments[market], taker, quantity, at, time_ms, received_ms, event_id)

    def _answer(self, message: Any, received_ms: int) -> Received:
        if not isinstance(message, dict):
            return rejected(f"not an object: {shown(message)}")
        if message.get("method") == "subscription":
            params = message.get("params")
            if not isinstance(params, dict) or not str(params.get("channel")).startswith(CHANNELS):
                return IGNORED
            data = params.get("data")
            return self._trades(data if isinstance(data, list) else [data], received_ms)
        if message.get("error") is not None:
            return self._refused(message)
        if "result" not in message:
            return rejected(f"neither a subscription nor an answer: {shown(message)}")
        if message.get("id") == REQUEST:
            self._asked.grant(CHANNEL)
        return ACK

    def _refused(self, message: Row) -> Received:
        error = message["error"]
        if message.get("id") == REQUEST:
            self._asked.refuse(CHANNEL)
        text = f"{error.get('message')} (code {error.get('code')})" if isinstance(error, dict) else error
        return Received(FrameKind.REFUSED, error=words(text))

    def _trades(self, rows: Sequence[object], received_ms: int) -> Received:
        received = read_trades(rows, lambda row: self._read(row, received_ms), "data")
        if any(row.reason is Reason.UNSUPPORTED for row in received.bad_rows):  # an option: no fault of the feed
            return msgspec.structs.replace(received, kind=FrameKind.DATA)
        return received

    def _read(self, row: Row, received_ms: int) -> Liquidation | None:
        if field(row, "trade_type") != "LIQUIDATION":
            return None
        instrument = known(self._instruments, row, "market")
        symbol = instrument.symbol
        side = chosen(row, "side", TAKERS, symbol)
        time_ms = moment(field(row, "created_at"), "created_at")
        size, price, said = quantity_of(row, "size"), price_of(row, "price"), f"{row['size']}@{row['price']}"
        # Unique among the liquidations, says the documentation: nothing else is counted.
        event_id = f"paradex:{symbol}:{own_id(row, 'id')}" if "id" in row else None
        return liquidation(STAMP, instrument, side, said, size, price, time_ms, received_ms, event_id)


def _text(frame: bytes, at: int) -> tuple[str | None, int]:
    """The text at `at`, its length in one byte before it, and the place after it; None where the frame has ended."""
    if at >= len(frame):
        return None, at
    end = at + 1 + frame[at]
    return frame[at + 1 : end].decode("ascii", "replace"), end


def _decimal(units: int) -> str:
    whole, rest = divmod(abs(units), _UNIT)
    return f"{'-' if units < 0 else ''}{whole}.{rest:08}".rstrip("0").rstrip(".")


def read_instruments(listed: InstrumentList, body: bytes) -> InstrumentPage:
    """`results` of /v1/markets."""
    return page(inside(document(body), "results"), "symbol")


def instrument(name: str, raw: Mapping[str, Any]) -> Instrument:
    """Sizes are base coins. Options are traded on the same channel."""
    base, quote = coin(raw["base_currency"]), coin(raw.get("quote_currency") or "USD")
    if raw.get("asset_kind", "PERP") != "PERP":
        why = f"a {shown(raw['asset_kind'])}, not a perpetual"
        return Instrument(name, base, quote, trading=False, unpriced=why, unpriced_reason=Reason.UNSUPPORTED)
    return Instrument(name, base, quote)


VENUE = Venue(
    name="paradex",
    title="Paradex",
    docs="https://docs.paradex.trade/ws/general-information/subscription-channels",
    checked="2026-09-23",
    completeness="all",
    completeness_note="Every fill of a liquidation in the book; what the insurance fund takes over is not published.",
    side_rule="`side` is the taker's, the account under liquidation: SELL closed a long, BUY a short.",
    price_kind="fill",
    unit="fill",
    feeds=(Feed("trades", "wss://ws.api.prod.paradex.trade/v1?sbeSchemaId=1&sbeSchemaVersion=3"),),
    instrument_lists=(InstrumentList("markets", "https://api.prod.paradex.trade/v1/markets"),),
    read_instruments=read_instruments,
    instrument=instrument,
    session=ParadexSession,
    ping_every=None,
    silence_limit=timedelta(seconds=90),  # the trades of all markets: several a second
    control_limit=timedelta(seconds=120),
    doubts="No captured frame of a liquidation was seen: the layout is that of the venue's own Python codec.",
)
