"""Kraken Futures: every trade of the products asked for, a hundred of the past with each yes, more of it by REST."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlsplit

from ...events import LONG
from ..listings import COINS, Listing, special
from ..orders import Entry
from ..trouble import Trouble
from .base import Conversation, Frame, Listings, RestAnswer, fell, parse, text

TRADE, TICKER, HEARTBEAT = "trade", "ticker_lite", "heartbeat"
LISTED = 100  # trades in a snapshot, and in an answer of the history
PLACE = "/derivatives/api/v3/"
COINS_OF, DOLLARS_OF = "flexible_futures", "futures_inverse"  # what a contract is
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def listings() -> Iterator[Listing]:
    for coin, known in COINS.items():
        yield special("kraken_futures", COINS_OF, f"PF_{_theirs(coin)}USD", coin, "USD", step=str(known.step))
    for coin in ("BTC", "ETH", "XRP", "LTC"):
        yield special("kraken_futures", DOLLARS_OF, f"PI_{_theirs(coin)}USD", coin, "USD", inverse=True)
    yield special("kraken_futures", DOLLARS_OF, "FI_XBTUSD_271231", "BTC", "USD", inverse=True, dated=True)
    yield special("kraken_futures", COINS_OF, "FF_ETHUSD_271231", "ETH", "USD", step="0.001", dated=True)


@dataclass(slots=True)
class KrakenFuturesDialect:
    """futures.kraken.com."""

    listings: Listings
    trouble: Trouble
    past: Sequence[Entry]
    venue: str = "kraken_futures"
    batch_ms: int = 0
    control_ping_seconds: float | None = None
    lists_past: bool = True

    def rest(self, path: str, query: Mapping[str, str]) -> RestAnswer | None:
        if path == f"{PLACE}instruments":
            rows = [_instrument(listing) for listing in self.listings.values()]
            return RestAnswer({"result": "success", "instruments": rows})
        if path != f"{PLACE}history":
            return None
        symbol = query.get("symbol", "").upper()
        if symbol not in self.listings:
            return RestAnswer({"result": "error", "error": "invalidArgument: symbol"})
        before = _milliseconds(query["lastTime"]) if "lastTime" in query else None
        rows = [_listed(trade) for trade in self.latest(symbol, before)]
        return RestAnswer({"result": "success", "history": rows})

    def latest(self, symbol: str, before_ms: int | None = None) -> list[dict[str, Any]]:
        """The last trades of a product, or those before a time, the newest first."""
        until = before_ms - 1 if before_ms is not None else self.past[-1].event_ms if self.past else 0
        entries = [entry for entry in fell(self.past, 0, until) if entry.listing.symbol == symbol]
        return [trade for entry in reversed(entries[-LISTED:]) for trade in reversed(_trades(entry))][:LISTED]

    def connect(self, path: str, headers: Mapping[str, str]) -> Conversation | None:
        return KrakenFuturesConversation(self) if urlsplit(path).path == "/ws/v1" else None


@dataclass(slots=True)
class KrakenFuturesConversation:
    """One socket."""

    venue: KrakenFuturesDialect
    products: dict[str, set[str]] = field(default_factory=lambda: {TRADE: set(), TICKER: set(), HEARTBEAT: set()})
    whole_contracts: bool = False
    _greeted: bool = False

    def receive(self, frame: Frame, now_ms: int) -> Sequence[Frame]:
        greeting = [] if self._greeted else [text({"event": "info", "version": 1})]
        self._greeted = True
        return [*greeting, *self._answer(parse(frame) or {})]

    def _answer(self, message: Mapping[str, Any]) -> Sequence[str]:
        event, feed = message.get("event"), str(message.get("feed"))
        if event not in ("subscribe", "unsubscribe"):
            return [text({"event": "error", "message": "Json Error"})]
        if feed not in self.products or feed in self.venue.trouble.refuse:
            return [text({"event": "error", "message": "Invalid feed"})]
        if feed == HEARTBEAT:
            self.products[feed] = {HEARTBEAT} if event == "subscribe" else set()
            return [text({"event": f"{event}d", "feed": feed})]
        return [frame for name in message.get("product_ids") or [] for frame in self._one(event, feed, name)]

    def _one(self, event: str, feed: str, name: str) -> Sequence[str]:
        if name not in self.venue.listings or name in self.venue.trouble.refuse:
            return [text({"event": "alert", "message": f"Couldn't subscribe to invalid product `{name}`"})]
        yes = text({"event": f"{event}d", "feed": feed, "product_ids": [name]})
        if event == "unsubscribe":
            self.products[feed].discard(name)
            return [yes]
        self.products[feed].add(name)
        if feed != TRADE:
            return [yes]
        return [yes, text({"feed": "trade_snapshot", "product_id": name, "trades": self.venue.latest(name)})]

    def carries(self, listing: Listing) -> bool:
        return listing.symbol in self.products[TRADE]

    def push(self, entries: Sequence[Entry], now_ms: int) -> Sequence[Frame]:
        return [text(trade) for entry in entries for trade in _trades(entry)]

    def second(self, now_ms: int) -> Sequence[Frame]:
        return [text({"feed": HEARTBEAT, "time": now_ms})] if self.products[HEARTBEAT] else ()

    def ticks(self, now_ms: int) -> Sequence[Frame]:
        prices = {name: float(self.venue.listings[name].reference_price) for name in sorted(self.products[TICKER])}
        return [text({"feed": TICKER, "product_id": name, "bid": at, "ask": at}) for name, at in prices.items()]


def _trades(entry: Entry) -> list[dict[str, Any]]:
    """An ordinary trade, and the liquidation after it."""
    return [
        {
            "feed": TRADE,
            "product_id": entry.listing.symbol,
            "uid": f"{number:08x}-f111-4b1d-8a55-{number:012x}",
            "side": "sell" if entry.side == LONG else "buy",  # of the taker
            "type": kind,
            "seq": number,
            "time": entry.event_ms,
            "qty": float(entry.contracts),
            "price": float(entry.price),
        }
        for number, kind in ((2 * entry.number, "fill"), (2 * entry.number + 1, "liquidation"))
    ]


def _listed(trade: Mapping[str, Any]) -> Mapping[str, Any]:
    """As the history has it, under other names."""
    return {
        "time": (_EPOCH + timedelta(milliseconds=trade["time"])).isoformat(timespec="milliseconds")[:-6] + "Z",
        "trade_id": trade["seq"],
        "price": trade["price"],
        "size": trade["qty"],
        "side": trade["side"],
        "type": trade["type"],
        "uid": trade["uid"],
    }


def _milliseconds(time: str) -> int:
    return (datetime.fromisoformat(time) - _EPOCH) // timedelta(milliseconds=1)


def _theirs(coin: str) -> str:
    return "XBT" if coin == "BTC" else coin


def _instrument(listing: Listing) -> Mapping[str, Any]:
    return {
        "symbol": listing.symbol,
        "type": listing.product,
        "contractSize": 1,
        "tickSize": float(listing.tick),
        "tradeable": listing.trading,
    }


DIALECT = KrakenFuturesDialect
