"""Lighter perpetuals: liquidations are flagged trades, in a list of their own beside the ordinary ones of a market.

What answers a subscription replays old trades and old liquidations. Those are counted too, as a filled gap: the ids
are the venue's, so that one already known changes nothing.
"""

import re
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any, Literal

import msgspec
from msgspec.structs import replace

from ..events import Reason
from ..wire import Liquidation
from ._asked import Asked
from ._lists import coin, document, inside, page
from ._numbers import LARGEST_USD, SMALLEST, SURPRISES, RowError, quick, shown, words
from ._quick import OwnNumber
from ._rows import (
    Moment,
    Row,
    Stamp,
    all_differ,
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

TRADES = "trade"
STATS = "market_stats"  # ticks every second or so
CONTROL_MARKET = "1"  # BTC
COUNTED = "liquidation"  # `type`; a deleverage or a market-settlement is none
STAMP = Stamp("lighter", "fill", "fill")
# 100 subscriptions a connection, the control among them.
MARKETS_PER_SOCKET = 90

_DATA = FrameKind.DATA
_NAMED = re.compile(r"\b(trade|market_stats)[:/](\w{1,32})")
# An ordinary trade is told from the text alone. A liquidation that counts has the string "liquidation" as a value
# ("liquidation_trades" is another string), and only a backslash could write that string otherwise.
_TEXT = ('"update/trade"', '"liquidation"', "\\", "}")
_BYTES = (b'"update/trade"', b'"liquidation"', b"\\", b"}")


class _Trade(msgspec.Struct, gc=False):
    type: str
    market_id: int
    trade_id: OwnNumber
    size: str
    price: str
    is_maker_ask: bool
    timestamp: Moment


class _Frame(msgspec.Struct, gc=False):
    type: Literal["update/trade"]
    liquidation_trades: list[_Trade]


_decode = msgspec.json.Decoder(_Frame).decode


class LighterSession:
    """One socket with the trades of `symbols`: numbers of markets, as text."""

    def __init__(self, feed: Feed, instruments: Instruments, symbols: Sequence[str]) -> None:
        self._instruments = instruments
        self._symbols = list(symbols)
        self._asked = Asked()
        self._control = True

    def opening_frames(self) -> Sequence[Frame]:
        return [*self.subscribe_more(self._symbols), _subscribe(STATS, CONTROL_MARKET)]

    def ping_frame(self) -> Frame | None:
        return None  # the server pings in JSON, and is answered so

    def subscribe_more(self, symbols: Sequence[str]) -> Sequence[Frame]:
        for market in symbols:
            self._asked.ask(market)
        return [_subscribe(TRADES, market) for market in symbols]

    @property
    def acknowledged(self) -> bool:
        return self._asked.all_granted

    @property
    def control_expected(self) -> bool:
        return self._control

    def receive(self, frame: Frame, received_ms: int) -> Received:
        update, counted, escape, end = _TEXT if isinstance(frame, str) else _BYTES
        if update in frame and counted not in frame and escape not in frame and frame[-1:] == end:  # type: ignore[operator]
            return CONTROL
        try:
            events: list[Liquidation] = []
            others = 0
            trades = _decode(frame).liquidation_trades
            for trade in trades:
                if trade.type != COUNTED:
                    others += 1
                    continue
                instrument = self._instruments[str(trade.market_id)]
                size, price = quick(trade.size), quick(trade.price)
                usd = size * price
                if size <= SMALLEST or price <= SMALLEST or not SMALLEST < usd <= LARGEST_USD or not instrument.quick:
                    break
                event = Liquidation(
                    f"lighter:{trade.trade_id}",
                    "lighter",
                    instrument.symbol,
                    instrument.base,
                    instrument.quote,
                    "short" if trade.is_maker_ask else "long",
                    str(price),
                    "fill",
                    str(size),
                    str(usd),
                    trade.timestamp,
                    received_ms,
                    "venue",
                    "stream",
                    "fill",
                )
                events.append(event)
            if events and len(events) + others == len(trades) and all_differ(events):
                return Received(_DATA, events)
        except SURPRISES:
            pass
        return explained(frame, lambda message: self._answer(message, received_ms))

    def _answer(self, message: Any, received_ms: int) -> Received:
        if not isinstance(message, dict):
            return rejected(f"not an object: {shown(message)}")
        if message.get("error") is not None:
            return self._refused(message["error"])
        kind = message.get("type")
        if kind == "unsubscribed":
            return ACK
        if kind in ("ping", "pong"):
            return Received(FrameKind.HEARTBEAT, replies=('{"type":"pong"}',)) if kind == "ping" else HEARTBEAT
        if not isinstance(kind, str):
            return rejected(f"neither a type nor an error: {shown(message)}")
        what, _, channel = kind.partition("/")
        if channel == STATS:
            return CONTROL
        if channel != TRADES or what not in ("update", "subscribed"):
            return IGNORED
        received = self._trades(message.get("liquidation_trades"), received_ms)
        if what == "update":
            return CONTROL if received.kind is FrameKind.DATA and not received.liquidations else received
        named = _NAMED.search(str(message.get("channel")))
        if named is not None:
            self._asked.grant(named[2])
        if received.kind is not FrameKind.DATA or not received.liquidations:
            return ACK if received.kind is FrameKind.DATA else received
        replayed = [replace(event, source="gap-fill") for event in received.liquidations]
        return Received(FrameKind.DATA, replayed, received.bad_rows, received.error)

    def _trades(self, rows: object, received_ms: int) -> Received:
        rows = [] if rows is None else rows
        return read_rows(rows, lambda row: self._read(row, received_ms), "liquidation_trades", venue_ids=True)

    def _refused(self, error: object) -> Received:
        text = words(f"{error.get('message')} (code {error.get('code')})" if isinstance(error, dict) else error)
        named = _NAMED.search(text)
        channel, market = (named[1], named[2]) if named is not None else ("", "")
        if "already subscribed" in text.lower():  # what is refused is the second of two subscriptions
            if channel == TRADES:
                self._asked.grant(market)
            return Received(FrameKind.REFUSED, error=text)
        if channel == STATS:
            self._control = False
            return Received(FrameKind.IGNORED, error=f"no control channel: {text}")
        if channel == TRADES:
            self._asked.refuse(market)
        return Received(FrameKind.REFUSED, error=text)

    def _read(self, row: Row, received_ms: int) -> Liquidation | None:
        if field(row, "type") != COUNTED:
            return None
        market = field(row, "market_id")
        instrument = known(
            self._instruments, {"market_id": str(market) if type(market) is int else market}, "market_id"
        )
        symbol, maker_sold = instrument.symbol, field(row, "is_maker_ask")
        if not isinstance(maker_sold, bool):
            raise RowError(Reason.UNKNOWN_SIDE, f"{symbol}: is_maker_ask is {shown(maker_sold)}", symbol)
        # The liquidated account takes: where the maker sold, it bought, and had been short.
        side = "short" if maker_sold else "long"
        time_ms = moment(field(row, "timestamp"), "timestamp")  # transaction_time is in microseconds
        size, price = quantity_of(row, "size"), price_of(row, "price")
        event_id = f"lighter:{_identity(row)}"
        return liquidation(STAMP, instrument, side, "", size, price, time_ms, received_ms, event_id)


def _identity(row: Row) -> str:
    """The number of the trade, as text in newer frames too."""
    given = row.get("trade_id")
    text = str(row.get("trade_id_str") if given is None else given)
    if not re.fullmatch(r"[0-9]{1,40}", text):
        raise RowError(Reason.MALFORMED, f"trade_id is not a number: {shown(given)}")
    return text


def _subscribe(channel: str, market: str) -> str:
    return msgspec.json.encode({"type": "subscribe", "channel": f"{channel}/{market}"}).decode()


def read_instruments(listed: InstrumentList, body: bytes) -> InstrumentPage:
    """The perpetuals of `order_books`, by the number of their market."""
    rows = inside(document(body), "order_books")
    if isinstance(rows, list):
        perpetual = [one for one in rows if isinstance(one, dict) and one.get("market_type", "perp") == "perp"]
        rows = [{**one, "market": str(one.get("market_id"))} for one in perpetual]
    return page(rows, "market")


def instrument(name: str, raw: Mapping[str, Any]) -> Instrument:
    """All perpetuals are linear and settled in USDC; a symbol is the name of the coin."""
    if raw.get("market_type", "perp") != "perp":
        raise ValueError(f"market_type is {shown(raw['market_type'])}, not perp")
    return Instrument(
        raw["symbol"], coin(raw["symbol"]), "USDC", feed="trades", trading=raw.get("status", "active") == "active"
    )


VENUE = Venue(
    name="lighter",
    title="Lighter",
    docs="https://apidocs.lighter.xyz/docs/websocket-reference",
    checked="2026-04-21",
    completeness="all",
    completeness_note="Every fill of a liquidation, as a flagged trade; what answers a subscription replays some.",
    side_rule="The liquidated account is the taker: `is_maker_ask` true means that it bought, and closed a short; "
    "false a long.",
    price_kind="fill",
    unit="fill",
    feeds=(
        Feed(
            "trades",
            "wss://mainnet.zklighter.elliot.ai/stream?readonly=true",
            symbols_per_socket=MARKETS_PER_SOCKET,
        ),
    ),
    instrument_lists=(InstrumentList("markets", "https://mainnet.zklighter.elliot.ai/api/v1/orderBooks"),),
    read_instruments=read_instruments,
    instrument=instrument,
    session=LighterSession,
    ping_every=None,
    silence_limit=timedelta(seconds=60),
    control_limit=timedelta(seconds=60),
    connects=60,
    connects_per=timedelta(minutes=1),
    requests=180,  # of 200 a minute
    doubts="The deployment on Robinhood Chain (quoted in USDG) is another venue, and is not covered.",
)
