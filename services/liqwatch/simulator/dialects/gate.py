"""Gate futures: one socket per settlement coin; sizes are decimal text only for clients that ask by a header."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from ...events import LONG
from ..listings import Listing, linear, special
from ..orders import Entry, plain
from ..trouble import Trouble
from .base import Conversation, Frame, Listings, RestAnswer, fell, of_product, parse, text

CHANNEL = "futures.public_liquidates"
PRODUCTS = ("usdt", "btc", "usd1")
ROWS = 20  # in one message at most
LISTED, LISTED_AT_MOST = 100, 1000  # past orders in one answer, and where the client asks for more
LONGEST_SECONDS = 3600


_CONTRACTS = {  # coins
    "BTC": "0.0001",
    "ETH": "0.01",
    "SOL": "1",
    "XRP": "10",
    "DOGE": "10",
    "BNB": "0.001",
    "ADA": "10",
    "LINK": "1",
    "AVAX": "1",
    "SUI": "1",
    "LTC": "0.1",
    "ENA": "1",
    "WLD": "1",
    "PEPE": "10000000",
}


def listings() -> Iterator[Listing]:
    yield from linear("gate", "usdt", "{}_USDT", "USDT", contracts=_CONTRACTS, step="0.1")
    yield special("gate", "btc", "BTC_USD", "BTC", "USD", inverse=True)
    yield special("gate", "usd1", "BTC_USD1", "BTC", "USD1", "0.0001", "0.1")


@dataclass(slots=True)
class GateDialect:
    """fx-ws.gateio.ws and api.gateio.ws."""

    listings: Listings
    trouble: Trouble
    past: Sequence[Entry]
    venue: str = "gate"
    batch_ms: int = 1000
    control_ping_seconds: float | None = 20.0
    lists_past: bool = True

    def rest(self, path: str, query: Mapping[str, str]) -> RestAnswer | None:
        for product in PRODUCTS:
            place = f"/api/v4/futures/{product}/contracts"
            listings = of_product(self.listings, product)
            if path == f"/api/v4/futures/{product}/liq_orders":
                return self._past_orders(product, query)
            if path == place:
                return RestAnswer([_contract(listing) for listing in listings])
            if path.startswith(place + "/"):
                found = [_contract(listing) for listing in listings if path == f"{place}/{listing.symbol}"]
                missing = RestAnswer({"label": "CONTRACT_NOT_FOUND", "message": "contract not found"}, 400)
                return RestAnswer(found[0]) if found else missing
        return None

    def _past_orders(self, product: str, query: Mapping[str, str]) -> RestAnswer:
        """The newest first; times are seconds, and there is no cursor: who wants more asks for an earlier `to`."""
        latest = self.past[-1].event_ms // 1000 if self.past else 0
        until = int(query.get("to") or max(latest, int(query.get("from", 0))))
        since = int(query.get("from") or until - LONGEST_SECONDS)
        if until - since > LONGEST_SECONDS:
            words = f"from and to may lie {LONGEST_SECONDS} seconds apart"
            return RestAnswer({"label": "INVALID_PARAM_VALUE", "message": words}, 400)
        most = min(int(query.get("limit") or LISTED), LISTED_AT_MOST)
        rows = [
            _past_order(entry)
            for entry in reversed(fell(self.past, since * 1000, until * 1000 + 999))
            if entry.listing.product == product and query.get("contract", entry.listing.symbol) == entry.listing.symbol
        ]
        return RestAnswer(rows[:most])

    def connect(self, path: str, headers: Mapping[str, str]) -> Conversation | None:
        product = urlsplit(path).path.removeprefix("/v4/ws/").rstrip("/")
        if product not in PRODUCTS:
            return None
        return GateConversation(self.listings, self.trouble, product, headers.get("X-Gate-Size-Decimal") != "1")


@dataclass(slots=True)
class GateConversation:
    """One socket of one settlement coin."""

    listings: Listings
    trouble: Trouble
    product: str
    whole_contracts: bool
    names: set[str] = field(default_factory=set)

    def receive(self, frame: Frame, now_ms: int) -> Sequence[Frame]:
        message = parse(frame)
        if message is None:
            return [self._message(now_ms, "", "", None, {"code": 1, "message": "invalid argument struct"})]
        channel, event = message.get("channel", ""), message.get("event", "")
        if channel == "futures.ping":
            return [self._message(now_ms, "futures.pong", "", None)]
        if channel != CHANNEL or event not in ("subscribe", "unsubscribe"):
            return [self._message(now_ms, channel, event, None, {"code": 2, "message": f"unknown channel {channel}"})]
        names = set(message.get("payload") or [])
        unknown = sorted(name for name in names if name in self.trouble.refuse or not self._exists(name))
        if unknown or not names:
            words = f"unknown contract {', '.join(unknown)}"
            return [self._message(now_ms, channel, event, None, {"code": 2, "message": words})]
        self.names = self.names | names if event == "subscribe" else self.names - names
        return [self._message(now_ms, channel, event, {"status": "success"})]

    def _exists(self, name: str) -> bool:
        return name == "!all" or (name in self.listings and self.listings[name].product == self.product)

    def _message(
        self, now_ms: int, channel: str, event: str, result: object, error: Mapping[str, Any] | None = None
    ) -> str:
        message: dict[str, Any] = {"time": now_ms // 1000, "time_ms": now_ms, "channel": channel, "event": event}
        return text(message | ({"error": error} if error else {}) | {"result": result})

    def carries(self, listing: Listing) -> bool:
        return listing.product == self.product and ("!all" in self.names or listing.symbol in self.names)

    def push(self, entries: Sequence[Entry], now_ms: int) -> Sequence[Frame]:
        rows = [self._row(entry) for entry in entries]
        parts = [rows[start : start + ROWS] for start in range(0, len(rows), ROWS)]
        return [self._message(now_ms, CHANNEL, "update", part) for part in parts]

    def _row(self, entry: Entry) -> Mapping[str, Any]:
        # The sign is the order's: a long is closed by selling, so its size is negative.
        size = -entry.contracts if entry.side == LONG else entry.contracts
        return {
            "price": plain(entry.price),
            "size": int(size) if self.whole_contracts else plain(size),
            "time": entry.event_ms,
            "contract": entry.listing.symbol,
        }

    def second(self, now_ms: int) -> Sequence[Frame]:
        return ()

    def ticks(self, now_ms: int) -> Sequence[Frame]:
        return ()


def _past_order(entry: Entry) -> Mapping[str, Any]:
    # `size` is the position here: a long is positive, and the order that closes it negative.
    sign = 1 if entry.side == LONG else -1
    return {
        "time": entry.event_ms // 1000,
        "contract": entry.listing.symbol,
        "size": plain(sign * entry.contracts),
        "order_size": plain(-sign * entry.contracts),
        "order_price": plain(entry.price),
        "fill_price": plain(entry.listing.round_price(entry.price * 1003 / 1000)),
        "left": "0",
    }


def _contract(listing: Listing) -> Mapping[str, Any]:
    return {
        "name": listing.symbol,
        "type": "inverse" if listing.inverse else "direct",
        "quanto_multiplier": "0" if listing.inverse else plain(listing.contract),
        "order_price_round": plain(listing.tick),
        "status": "trading" if listing.trading else "delisting",
        "in_delisting": not listing.trading,
    }


DIALECT = GateDialect
