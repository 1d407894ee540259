"""Bybit v5: one topic per symbol, a bad topic refuses the whole request, pushes every 500 ms."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from typing import Any
from urllib.parse import urlsplit

from ...events import LONG
from ..listings import Listing, linear, special
from ..orders import Entry, plain
from ..trouble import Trouble
from .base import Conversation, Frame, Listings, RestAnswer, of_product, parse, text

TOPIC = "allLiquidation."
PAGE = 20  # instruments a page at most: small, so that clients follow the cursor
_PATH = "/v5/public/"


def listings() -> Iterator[Listing]:
    yield from linear("bybit", "linear", "{}USDT", "USDT", thousand="1000PEPE")
    yield special("bybit", "linear", "BTCPERP", "BTC", "USDC", step="0.001")
    yield special("bybit", "linear", "BTCUSDT-31DEC27", "BTC", "USDT", step="0.001", dated=True)
    yield special("bybit", "inverse", "BTCUSD", "BTC", "USD", inverse=True)
    yield special("bybit", "inverse", "ETHUSD", "ETH", "USD", inverse=True)
    yield special("bybit", "inverse", "BTCUSDZ27", "BTC", "USD", inverse=True, dated=True)


@dataclass(slots=True)
class BybitDialect:
    """stream.bybit.com and api.bybit.com."""

    listings: Listings
    trouble: Trouble
    past: Sequence[Entry]
    venue: str = "bybit"
    batch_ms: int = 500
    control_ping_seconds: float | None = None
    lists_past: bool = False
    _connections: int = 0

    def rest(self, path: str, query: Mapping[str, str]) -> RestAnswer | None:
        if path != "/v5/market/instruments-info":
            return None
        category = query.get("category", "")
        if category not in ("linear", "inverse"):
            return RestAnswer({"retCode": 10001, "retMsg": "Illegal category", "result": {}})
        listings = of_product(self.listings, category)
        start = int(query.get("cursor") or 0)
        end = start + min(PAGE, int(query.get("limit") or PAGE))
        result = {
            "category": category,
            "list": [_instrument(listing) for listing in listings[start:end]],
            "nextPageCursor": str(end) if end < len(listings) else "",
        }
        return RestAnswer({"retCode": 0, "retMsg": "OK", "result": result, "retExtInfo": {}, "time": 0})

    def connect(self, path: str, headers: Mapping[str, str]) -> Conversation | None:
        place = urlsplit(path).path
        product = place.removeprefix(_PATH)
        if not place.startswith(_PATH) or product not in ("linear", "inverse"):
            return None
        self._connections += 1
        return BybitConversation(self.listings, self.trouble, product, f"conn-{self._connections}")


@dataclass(slots=True)
class BybitConversation:
    """One socket of one product."""

    listings: Listings
    trouble: Trouble
    product: str
    connection: str
    topics: set[str] = field(default_factory=set)
    whole_contracts: bool = False

    def receive(self, frame: Frame, now_ms: int) -> Sequence[Frame]:
        message = parse(frame)
        if message is None:
            return [self._answer(False, "error:invalid json", {})]
        match message.get("op"):
            case "ping":
                return [self._answer(True, "pong", message)]
            case "subscribe":
                error = self._subscribe(message.get("args") or [])
                return [self._answer(error is None, error or "", message)]
            case "unsubscribe":
                self.topics.difference_update(message.get("args") or [])
                return [self._answer(True, "", message)]
            case other:
                return [self._answer(False, f"error:unknown op {other}", message)]

    def _answer(self, success: bool, words: str, request: Mapping[str, Any]) -> str:
        answer = {"success": success, "ret_msg": words, "conn_id": self.connection}
        return text(answer | {"req_id": request.get("req_id", ""), "op": request.get("op", "")})

    def _subscribe(self, topics: Sequence[str]) -> str | None:
        """All or nothing: the first bad topic refuses the request."""
        for topic in topics:
            listing = self.listings.get(topic.removeprefix(TOPIC)) if topic.startswith(TOPIC) else None
            if listing is None or listing.product != self.product or self.trouble.refuse & {listing.symbol, topic}:
                return f"error:handler not found,topic:{topic}"
            if topic in self.topics:
                return f"error:already subscribed,topic:{topic}"
        self.topics.update(topics)
        return None

    def carries(self, listing: Listing) -> bool:
        return listing.product == self.product and TOPIC + listing.symbol in self.topics

    def push(self, entries: Sequence[Entry], now_ms: int) -> Sequence[Frame]:
        by_symbol = sorted(entries, key=lambda entry: entry.listing.symbol)
        return [
            text({"topic": TOPIC + symbol, "type": "snapshot", "ts": now_ms, "data": [_row(entry) for entry in rows]})
            for symbol, rows in groupby(by_symbol, key=lambda entry: entry.listing.symbol)
        ]

    def second(self, now_ms: int) -> Sequence[Frame]:
        return ()

    def ticks(self, now_ms: int) -> Sequence[Frame]:
        return ()


def _row(entry: Entry) -> Mapping[str, Any]:
    # S names the position here, not the order: Buy is a long that was closed.
    return {
        "T": entry.event_ms,
        "s": entry.listing.symbol,
        "S": "Buy" if entry.side == LONG else "Sell",
        "v": plain(entry.contracts),
        "p": plain(entry.price),
    }


def _instrument(listing: Listing) -> Mapping[str, Any]:
    kind = "Futures" if listing.dated else "Perpetual"
    return {
        "symbol": listing.symbol,
        "contractType": ("Inverse" if listing.inverse else "Linear") + kind,
        "status": "Trading" if listing.trading else "Closed",
        "baseCoin": listing.base,
        "quoteCoin": listing.quote,
        "settleCoin": listing.base if listing.inverse else listing.quote,
        "priceFilter": {"tickSize": plain(listing.tick)},
        "lotSizeFilter": {"qtyStep": plain(listing.step)},
    }


DIALECT = BybitDialect
