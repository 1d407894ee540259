"""BitMEX: tables with diffs; a liquidation is inserted, shrinks, and is deleted; quanto contracts in satoshi."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any
from urllib.parse import parse_qs, urlsplit

from ...events import LONG
from ..listings import COINS, Listing, special
from ..orders import Entry
from ..trouble import Trouble
from .base import Conversation, Frame, Listings, RestAnswer, parse, text

TABLE, INSTRUMENT = "liquidation", "instrument"
LINEAR, INVERSE, QUANTO = "linear", "inverse", "quanto"
RATE = "XBTUSD"
SATOSHI = {"ETH": 100, "XRP": 20_000}  # of a quanto contract, for each dollar of the coin's price
_CONTRACTS = {  # coins
    "BTC": "0.000001",
    "ETH": "0.00001",
    "SOL": "0.0001",
    "XRP": "0.01",
    "DOGE": "1",
    "BNB": "0.00001",
    "ADA": "0.01",
    "LINK": "0.001",
    "AVAX": "0.001",
    "SUI": "0.01",
    "LTC": "0.0001",
    "PEPE": "1000",
}


def listings() -> Iterator[Listing]:
    for coin, contract in _CONTRACTS.items():
        yield special("bitmex", LINEAR, f"{_theirs(coin)}USDT", coin, "USDT", contract, "100")
    yield special("bitmex", INVERSE, RATE, "BTC", "USD", "1", "100", inverse=True)
    yield special("bitmex", INVERSE, "XBTZ27", "BTC", "USD", "1", "100", inverse=True, dated=True)
    for coin, satoshi in SATOSHI.items():
        # Bitcoin stands still here, so a quanto contract is always worth the same number of coins.
        coins = COINS["BTC"].price * satoshi / 10**8
        yield special("bitmex", QUANTO, f"{coin}USD", coin, "USD", f"{coins.normalize():f}")


@dataclass(slots=True)
class BitmexDialect:
    """ws.bitmex.com and www.bitmex.com."""

    listings: Listings
    trouble: Trouble
    past: Sequence[Entry]
    venue: str = "bitmex"
    batch_ms: int = 0
    control_ping_seconds: float | None = None
    lists_past: bool = False

    def rest(self, path: str, query: Mapping[str, str]) -> RestAnswer | None:
        if path != "/api/v1/instrument/active":
            return None
        return RestAnswer([_instrument(listing) for listing in self.listings.values()])

    def connect(self, path: str, headers: Mapping[str, str]) -> Conversation | None:
        parts = urlsplit(path)
        if parts.path != "/realtime":
            return None
        topics = ",".join(parse_qs(parts.query).get("subscribe", [])).split(",")
        return BitmexConversation(self.listings, self.trouble, {topic for topic in topics if topic})


@dataclass(slots=True)
class BitmexConversation:
    """One socket."""

    listings: Listings
    trouble: Trouble
    topics: set[str] = field(default_factory=set)  # such as liquidation, or liquidation:XBTUSD
    whole_contracts: bool = False
    _greeted: bool = False

    def receive(self, frame: Frame, now_ms: int) -> Sequence[Frame]:
        greeting = [] if self._greeted else [self._greet()]
        if frame == "ping":
            return [*greeting, "pong"]
        message = parse(frame) or {}
        args = message.get("args") or []
        if message.get("op") not in ("subscribe", "unsubscribe") or not args:
            return [*greeting, _error("Unrecognized request. See the docs or send 'help' for more details.", {})]
        answers = [self._one(message, topic) for topic in ([args] if isinstance(args, str) else args)]
        return [*greeting, *(frame for answer in answers for frame in answer)]

    def _greet(self) -> str:
        self._greeted = True
        return text({"info": "Welcome to the BitMEX Realtime API.", "version": "2.0.0", "limit": {"remaining": 719}})

    def _one(self, request: Mapping[str, Any], topic: str) -> Sequence[str]:
        table, _, symbol = topic.partition(":")
        if table not in (TABLE, INSTRUMENT) or self.trouble.refuse & {topic, table}:
            return [_error(f"Unknown table: {table}", request)]
        if symbol and symbol not in self.listings:
            return [_error(f"Unknown or expired symbol {symbol}", request)]
        yes = text({"success": True, request["op"]: topic, "request": request})
        if request["op"] == "unsubscribe":
            self.topics.discard(topic)
            return [yes]
        self.topics.add(topic)
        whole = [_instrument(self.listings[symbol])] if table == INSTRUMENT and symbol else []
        return [yes, text({"table": table, "action": "partial", "keys": [], "filter": {}, "data": whole})]

    def carries(self, listing: Listing) -> bool:
        return bool(self.topics & {TABLE, f"{TABLE}:{listing.symbol}"})

    def push(self, entries: Sequence[Entry], now_ms: int) -> Sequence[Frame]:
        """Each is filled at once, in two parts; between them the order is moved to another price."""
        frames = []
        for entry in entries:
            key = {"orderID": f"{entry.number:08x}-7e57-4b1d-8a55-{entry.number:012x}", "symbol": entry.listing.symbol}
            left = int(entry.contracts)
            first = {"side": "Sell" if entry.side == LONG else "Buy", "price": float(entry.price), "leavesQty": left}
            frames += [
                _table("insert", key | first),
                _table("update", key | {"price": float(entry.price + entry.listing.tick)}),
                _table("update", key | {"leavesQty": left // 2}),
                _table("delete", key),
            ]
        return frames

    def second(self, now_ms: int) -> Sequence[Frame]:
        return ()

    def ticks(self, now_ms: int) -> Sequence[Frame]:
        if not self.topics & {INSTRUMENT, f"{INSTRUMENT}:{RATE}"}:
            return ()
        row = {"symbol": RATE, "markPrice": float(COINS["BTC"].price), "openValue": now_ms}
        return [text({"table": INSTRUMENT, "action": "update", "data": [row]})]


def _table(action: str, row: Mapping[str, Any]) -> str:
    return text({"table": TABLE, "action": action, "data": [row]})


def _error(words: str, request: Mapping[str, Any]) -> str:
    return text({"status": 400, "error": words, "meta": {}, "request": request})


def _theirs(coin: str) -> str:
    return "XBT" if coin == "BTC" else coin


def _instrument(listing: Listing) -> Mapping[str, Any]:
    linear = listing.product == LINEAR
    multiplier = {
        LINEAR: int(listing.contract * 10**6),
        INVERSE: -(10**8),
        QUANTO: SATOSHI.get(listing.base, 0),
    }[listing.product]
    return {
        "symbol": listing.symbol,
        "state": "Open" if listing.trading else "Closed",
        "typ": "FFCCSX" if listing.dated else "FFWCSX",
        "underlying": _theirs(listing.base),
        "quoteCurrency": listing.quote,
        "settlCurrency": "USDt" if linear else "XBt",
        "multiplier": multiplier,
        "underlyingToPositionMultiplier": int(Decimal(1) / listing.contract) if linear else None,
        "isInverse": listing.inverse,
        "isQuanto": listing.product == QUANTO,
        "lotSize": int(listing.step),
        "tickSize": float(listing.tick),
        "markPrice": float(listing.reference_price),
    }


DIALECT = BitmexDialect
