"""Aster: Binance's words on fstream.asterdex.com; an order is told of while it fills, and once more at its end."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs, urlsplit

from typing_extensions import override

from ...events import LONG
from ..listings import Listing, linear, special
from ..orders import Entry, plain
from ..trouble import Trouble
from .base import Conversation, Frame, Listings, RestAnswer, text
from .binance import ALL, KINDS, BinanceConversation

MOST_STREAMS = 200


def listings() -> Iterator[Listing]:
    yield from linear("aster", "futures", "{}USDT", "USDT", thousand="1000PEPE")
    yield special("aster", "futures", "BTCUSD1", "BTC", "USD1", step="0.001")


@dataclass(slots=True)
class AsterDialect:
    """fstream.asterdex.com and fapi.asterdex.com."""

    listings: Listings
    trouble: Trouble
    past: Sequence[Entry]
    venue: str = "aster"
    batch_ms: int = 0
    control_ping_seconds: float | None = 300.0
    lists_past: bool = False  # allForceOrders is out of maintenance

    def rest(self, path: str, query: Mapping[str, str]) -> RestAnswer | None:
        if path in ("/fapi/v1/exchangeInfo", "/fapi/v3/exchangeInfo"):
            return RestAnswer({"timezone": "UTC", "symbols": [_symbol(one) for one in self.listings.values()]})
        if path == "/fapi/v1/allForceOrders":
            return RestAnswer({"code": -1000, "msg": "This endpoint is out of maintenance"}, 400)
        return None

    def connect(self, path: str, headers: Mapping[str, str]) -> Conversation | None:
        parts = urlsplit(path)
        if parts.path == "/stream":
            streams = [name for value in parse_qs(parts.query).get("streams", []) for name in value.split("/")]
            return AsterConversation(self.listings, self.trouble, routed=True, wrapped=True, streams=streams)
        place, _, rest = parts.path.lstrip("/").partition("/")
        if place != "ws":
            return None
        streams = [name for name in rest.split("/") if name]
        return AsterConversation(self.listings, self.trouble, routed=True, wrapped=False, streams=streams)


@dataclass(slots=True)
class AsterConversation(BinanceConversation):
    """One socket; every path delivers."""

    @override
    def _subscribe(self, names: Sequence[str], number: object) -> str:
        if len(self.streams) + len(names) > MOST_STREAMS:
            return text({"error": {"code": 2, "msg": "Invalid request: too many streams"}, "id": number})
        return BinanceConversation._subscribe(self, names, number)  # slots: the class was made anew

    @override
    def _exists(self, name: str) -> bool:
        symbol, _, kind = name.partition("@")
        return name == ALL or (symbol.upper() in self.listings and symbol.islower() and kind in KINDS)

    @override
    def push(self, entries: Sequence[Entry], now_ms: int) -> Sequence[Frame]:
        return [
            self._frame(self._stream(entry.listing) or ALL, {"e": "forceOrder", "E": now_ms, "o": order})
            for entry in entries
            for order in _orders(entry)
        ]


def _orders(entry: Entry) -> Iterator[Mapping[str, Any]]:
    """What is told of one order: its end, and now and then its beginning and a part of it before that."""
    filled, price = plain(entry.contracts), plain(entry.price)
    if entry.number % 5 == 0:
        yield _order(entry, "NEW", "0", "0")
        yield _order(entry, "PARTIALLY_FILLED", plain(entry.listing.step), price)
    # What could not be filled is given back: the order ends with a part of what it asked for.
    yield _order(entry, "EXPIRED" if entry.number % 3 == 0 else "FILLED", filled, price)
    if entry.number % 7 == 0:
        yield _order(entry, "CANCELED", "0", "0")


def _order(entry: Entry, state: str, filled: str, price: str) -> Mapping[str, Any]:
    """The order closes the position: a long is closed by a SELL."""
    listing, selling = entry.listing, entry.side == LONG
    limit = listing.round_price(entry.price * 985 / 1000 if selling else entry.price * 1015 / 1000)
    return {
        "s": listing.symbol,
        "S": "SELL" if selling else "BUY",
        "o": "LIMIT",
        "f": "IOC",
        "q": plain(entry.contracts * 2 if state == "EXPIRED" else entry.contracts),
        "p": plain(limit),
        "ap": price,
        "X": state,
        "l": plain(entry.contracts * 3),  # was seen to be more than all that was filled
        "z": filled,
        "T": entry.event_ms,
    }


def _symbol(listing: Listing) -> Mapping[str, Any]:
    return {
        "symbol": listing.symbol,
        "pair": listing.symbol,
        "contractType": "PERPETUAL",
        "status": "TRADING" if listing.trading else "SETTLING",
        "baseAsset": listing.base,
        "quoteAsset": listing.quote,
        "marginAsset": listing.quote,
    }


DIALECT = AsterDialect
