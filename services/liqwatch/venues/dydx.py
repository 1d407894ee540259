"""dYdX v4 perpetuals: the chain indexer's trades, which say so, one subscription per market."""

import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Literal
from urllib.parse import quote, unquote, urlsplit

import msgspec

from ..events import Reason
from ..wire import Liquidation
from ._asked import Asked
from ._history import asked, asking, history_page
from ._lists import coin, document, inside, page
from ._numbers import SURPRISES, RowError, quick, shown, words
from ._quick import OwnId, quick_answer, quick_event
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
    own_id,
    price_of,
    quantity_of,
    rejected,
    whole,
)
from ._trades import read_trades
from .base import (
    ACK,
    CONTROL,
    IGNORED,
    BadRow,
    Feed,
    Frame,
    FrameKind,
    History,
    HistoryPage,
    Instrument,
    InstrumentList,
    InstrumentPage,
    Instruments,
    Received,
    Venue,
)

TRADES = "v4_trades"
CONTROL_CHANNEL = "v4_markets"  # the oracle's prices, every few blocks
# The side is the taker's, and the account under liquidation is the taker.
TAKERS = {"SELL": "long", "BUY": "short"}
MARKETS_PER_SOCKET = 32  # the indexer's own limit
# What counts (LIQUIDATION is the other party's word, in lists of fills). DELEVERAGED is a bankrupt account that was
# closed against others at its bankruptcy price; no trade is both.
COUNTED = {"LIQUIDATED": Stamp("dydx", "fill", "fill"), "DELEVERAGED": Stamp("dydx", "bankruptcy", "fill")}
REST = "https://indexer.dydx.trade/v4"

_START = '{"type":"channel_'
_NAMED = re.compile(r"\((v4_[a-z]+)-(.{1,100})\)")
_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{1,6})?Z", re.ASCII)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class _Trade(msgspec.Struct, gc=False):
    id: OwnId
    size: str
    price: str
    side: Literal["BUY", "SELL"]
    createdAt: str
    type: str


class _Contents(msgspec.Struct, gc=False):
    trades: list[_Trade]


class _Frame(msgspec.Struct, gc=False):
    type: Literal["channel_data"]
    channel: Literal["v4_trades"]
    id: str
    contents: _Contents


_decode = msgspec.json.Decoder(_Frame).decode


class DydxSession:
    """One socket with the trades of `symbols`, and the oracle's prices."""

    def __init__(self, feed: Feed, instruments: Instruments, symbols: Sequence[str]) -> None:
        self._instruments = instruments
        self._symbols = list(symbols)
        self._asked = Asked()
        self._control = True

    def opening_frames(self) -> Sequence[Frame]:
        control = {"type": "subscribe", "channel": CONTROL_CHANNEL, "batched": True}
        return [*self.subscribe_more(self._symbols), msgspec.json.encode(control).decode()]

    def ping_frame(self) -> Frame | None:
        return None  # the server pings, by control frames

    def subscribe_more(self, symbols: Sequence[str]) -> Sequence[Frame]:
        for symbol in symbols:
            self._asked.ask(symbol)
        requests = [{"type": "subscribe", "channel": TRADES, "id": symbol} for symbol in symbols]
        return [msgspec.json.encode(request).decode() for request in requests]

    @property
    def acknowledged(self) -> bool:
        return self._asked.all_granted

    @property
    def control_expected(self) -> bool:
        return self._control

    def receive(self, frame: Frame, received_ms: int) -> Received:
        # Frames of ordinary trades, and of prices, are not decoded. That is safe: JSON can hide the two words only by
        # escapes, which begin with a backslash.
        if (
            isinstance(frame, str)
            and frame.startswith(_START)
            and ('"trades":[{' in frame or '"channel":"v4_markets"' in frame)
            and "LIQUIDATED" not in frame
            and "DELEVERAGED" not in frame
            and "\\" not in frame
            and frame.endswith("}")
        ):
            return CONTROL
        try:
            message = _decode(frame)
            trades = message.contents.trades
            events = [self._quick(trade, message.id, received_ms) for trade in trades if trade.type in COUNTED]
            return quick_answer(events, trades, len(trades) - len(events))
        except (*SURPRISES, RowError):
            pass
        return explained(frame, lambda message: self._answer(message, received_ms))

    def _quick(self, trade: _Trade, market: str, received_ms: int) -> Liquidation:
        stamp, side, time_ms = COUNTED[trade.type], TAKERS[trade.side], _milliseconds(trade.createdAt)
        size, price, event_id = quick(trade.size), quick(trade.price), f"dydx:{market}:{trade.id}"
        return quick_event(stamp, self._instruments[market], side, size, price, time_ms, received_ms, event_id)

    def _answer(self, message: Any, received_ms: int) -> Received:
        if not isinstance(message, dict):
            return rejected(f"not an object: {shown(message)}")
        what, channel = message.get("type"), message.get("channel")
        if what in ("channel_data", "channel_batch_data"):
            if channel == TRADES:
                return self._trades(message, received_ms)
            return CONTROL if channel == CONTROL_CHANNEL else IGNORED
        if what == "subscribed":  # `contents` is the past, which the history has
            if channel == TRADES:
                self._asked.grant(str(message.get("id")))
            return ACK
        if what == "unsubscribed":
            return ACK
        if what == "error":
            return self._refused(words(message.get("message")))
        return IGNORED if isinstance(what, str) else rejected(f"no type: {shown(message)}")

    def _trades(self, message: Row, received_ms: int) -> Received:
        """`contents` is one object with trades, or a list of them in a batch."""
        contents, market = message.get("contents"), message.get("id")
        rows: list[object] = []
        for part in contents if isinstance(contents, list) else [contents]:
            trades = part.get("trades") if isinstance(part, dict) else None
            if not isinstance(trades, list):
                rows.append(f"no list of trades: {shown(part)}")
                continue
            rows += [{**trade, "market": market} if isinstance(trade, dict) else trade for trade in trades]
        return read_trades(rows, lambda row: _read(self._instruments, row, received_ms), "trades")

    def _refused(self, text: str) -> Received:
        if CONTROL_CHANNEL in text:
            self._control = False
            return Received(FrameKind.IGNORED, error=f"no control channel: {text}")
        named = _NAMED.search(text)
        if named is not None and named[1] == TRADES:
            if "already subscribed" in text:  # what is refused is the second of two subscriptions
                self._asked.grant(named[2])
            else:
                self._asked.refuse(named[2])
        return Received(FrameKind.REFUSED, error=text)


def _read(instruments: Instruments, row: Row, received_ms: int) -> Liquidation | None:
    kind = field(row, "type")
    stamp = COUNTED.get(kind) if isinstance(kind, str) else None
    if stamp is None:
        return None
    instrument = known(instruments, row, "market")
    symbol = instrument.symbol
    side = chosen(row, "side", TAKERS, symbol)
    time_ms = _milliseconds(field(row, "createdAt"))
    size, price, said = quantity_of(row, "size"), price_of(row, "price"), f"{row['size']}@{row['price']}"
    event_id = f"dydx:{symbol}:{own_id(row, 'id')}"
    return liquidation(stamp, instrument, side, said, size, price, time_ms, received_ms, event_id)


def _milliseconds(text: object) -> int:
    """Of a time such as 2026-11-24T09:25:33.920Z, the block's. Raises `RowError`."""
    try:
        if not isinstance(text, str) or not _TIME.fullmatch(text):
            raise ValueError
        time_ms = (datetime.fromisoformat(text) - _EPOCH) // timedelta(milliseconds=1)
    except ValueError:
        raise RowError(Reason.BAD_TIME, f"createdAt is not a time: {shown(text)}") from None
    if not EARLIEST_MS < time_ms < LATEST_MS:
        raise RowError(Reason.BAD_TIME, f"createdAt is an absurd time: {text}")
    return time_ms


def read_instruments(listed: InstrumentList, body: bytes) -> InstrumentPage:
    """`markets` of /perpetualMarkets, an object by ticker."""
    markets = inside(document(body), "markets")
    if not isinstance(markets, dict):
        raise ValueError(f"no markets: {shown(markets)}")
    return page(list(markets.values()), "ticker")


def instrument(name: str, raw: Mapping[str, Any]) -> Instrument:
    """Sizes are base coins. A ticker is NAME-USD, or NAME,RAYDIUM,ADDRESS-USD of a token traded elsewhere."""
    base, _, quoted = name.rpartition("-")
    if quoted != "USD":
        raise ValueError(f"the ticker {shown(name)} is not of a market in USD")
    return Instrument(name, coin(base.partition(",")[0]), "USD", trading=raw.get("status") == "ACTIVE")


def history_urls(instruments: Instruments, since_ms: int, until_ms: int) -> Sequence[str]:
    """One a market, the latest trades before a moment. What follows `#` is not sent: it says how far back to go."""
    until = (_EPOCH + timedelta(milliseconds=until_ms)).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    return [
        f"{REST}/trades/perpetualMarket/{quote(name, safe='')}?createdBeforeOrAt={quote(until, safe='')}#{since_ms}"
        for name, one in instruments.items()
        if one.trading and one.unpriced is None
    ]


def read_history(url: str, body: bytes, instruments: Instruments, received_ms: int) -> HistoryPage:
    """Trades of one market, the newest first, as many as the indexer gives; older ones by the height of the block."""
    answer = document(body)
    if isinstance(answer, dict) and "errors" in answer:
        raise ValueError(f"refused: {shown(answer['errors'])}")
    rows = inside(answer, "trades")
    parts = urlsplit(url)
    market, since_ms = unquote(parts.path.rpartition("/")[2]), int(parts.fragment or 0)

    def read(row: Row) -> Liquidation | None:
        event = _read(instruments, {**row, "market": market}, received_ms)
        return event if event is not None and event.event_time_ms >= since_ms else None

    found = history_page(rows, read, venue_ids=True)
    if not rows:
        return found
    last = rows[-1] if isinstance(rows[-1], dict) else {}
    try:
        if _milliseconds(field(last, "createdAt")) < since_ms:
            return found
        height = whole(field(last, "createdAtHeight"))
        if type(height) is not int:
            raise ValueError(f"createdAtHeight is not a number: {shown(height)}")
    except (RowError, ValueError, TypeError) as error:
        bad = BadRow(Reason.MALFORMED, f"the last trade does not say how to go on: {error}")
        return found._replace(bad_rows=(*found.bad_rows, bad))
    if asked(url, "createdBeforeOrAtHeight") != str(height):
        return found._replace(next_url=_before(url, height))
    # A block with more trades than one answer: what is left of it cannot be asked for, or the market began with it.
    return found._replace(next_url=_before(url, height - 1))


def _before(url: str, height: int) -> str | None:
    base = url.partition("?")[0]
    return asking(f"{base}#{urlsplit(url).fragment}", createdBeforeOrAtHeight=height) if height >= 0 else None


VENUE = Venue(
    name="dydx",
    title="dYdX",
    docs="https://docs.dydx.exchange/developers/indexer/indexer_websocket",
    checked="2026-11-24",
    completeness="all",
    completeness_note="Every fill of a liquidation or deleveraging that the operator's indexer has seen on the chain.",
    side_rule="`side` is the taker's, the account under liquidation: SELL closed a long, BUY a short.",
    price_kind="fill",
    unit="fill",
    feeds=(Feed("indexer", "wss://indexer.dydx.trade/v4/ws", symbols_per_socket=MARKETS_PER_SOCKET),),
    instrument_lists=(InstrumentList("perpetualMarkets", f"{REST}/perpetualMarkets"),),
    read_instruments=read_instruments,
    instrument=instrument,
    session=DydxSession,
    ping_every=None,
    silence_limit=timedelta(seconds=60),
    control_limit=timedelta(seconds=60),
    connects=60,
    connects_per=timedelta(minutes=5),
    doubts="The indexer is one operator's view and can lag by minutes; times are the blocks'. "
    "The final settlement of a market that is wound down is told as deleveraging.",
    history=History(
        urls=history_urls,
        read=read_history,
        same_ids=True,
        reaches=timedelta(days=1),
        pause=timedelta(milliseconds=200),  # 100 requests in 10 seconds are allowed
    ),
)
