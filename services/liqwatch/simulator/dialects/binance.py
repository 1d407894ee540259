"""Binance futures: USD-M and COIN-M on one merged stream of forced orders; only the routed path delivers."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from itertools import islice
from typing import Any
from urllib.parse import parse_qs, urlsplit

from ...events import LONG
from ..listings import Listing, linear, special
from ..orders import Entry, plain
from ..trouble import Trouble
from .base import Conversation, Frame, HangUp, Listings, RestAnswer, of_product, parse, text

ALL = "!forceOrder@arr"
MAX_MESSAGES_PER_SECOND = 10
KINDS = ("aggTrade", "markPrice", "markPrice@1s", "forceOrder")
MARKED_BY, MARKED_AMONG = 8, 2_000  # a mark is the mean of a symbol's last orders, among the venue's last so many


def listings() -> Iterator[Listing]:
    yield from linear("binance", "usdm", "{}USDT", "USDT", thousand="1000PEPE")
    yield special("binance", "usdm", "BTCUSDC", "BTC", "USDC", step="0.001")
    yield special("binance", "usdm", "BTCUSDT_271231", "BTC", "USDT", step="0.001", dated=True)
    price, tick, step = Decimal("0.03550"), Decimal("0.00001"), Decimal("0.01")
    yield Listing("binance", "usdm", "ETHBTC", "ETH", "BTC", price, tick, step=step)
    yield special("binance", "coinm", "BTCUSD_PERP", "BTC", "USD", "100", inverse=True)
    yield special("binance", "coinm", "ETHUSD_PERP", "ETH", "USD", "10", inverse=True)
    yield special("binance", "coinm", "BTCUSD_271231", "BTC", "USD", "100", inverse=True, dated=True)


@dataclass(slots=True)
class BinanceDialect:
    """fstream and fapi; dapi's list is served beside it."""

    listings: Listings
    trouble: Trouble
    past: Sequence[Entry]
    venue: str = "binance"
    batch_ms: int = 0
    control_ping_seconds: float | None = 180.0
    lists_past: bool = False

    def rest(self, path: str, query: Mapping[str, str]) -> RestAnswer | None:
        if path == "/fapi/v1/exchangeInfo":
            return RestAnswer({"symbols": [_usdm(listing) for listing in of_product(self.listings, "usdm")]})
        if path == "/dapi/v1/exchangeInfo":
            return RestAnswer({"symbols": [_coinm(listing) for listing in of_product(self.listings, "coinm")]})
        return None

    def connect(self, path: str, headers: Mapping[str, str]) -> Conversation | None:
        parts = urlsplit(path)
        routed = parts.path.startswith("/market/")
        place = parts.path.removeprefix("/market")
        if place == "/stream":
            streams = [name for value in parse_qs(parts.query).get("streams", []) for name in value.split("/")]
            return BinanceConversation(self.listings, self.trouble, routed, True, streams, past=self.past)
        if place == "/ws" or place.startswith("/ws/"):
            streams = [name for name in place.removeprefix("/ws").split("/") if name]
            return BinanceConversation(self.listings, self.trouble, routed, False, streams, past=self.past)
        return None


@dataclass(slots=True)
class BinanceConversation:
    """One socket. `routed`: on a path that still delivers; the old ones acknowledge and stay silent."""

    listings: Listings
    trouble: Trouble
    routed: bool
    wrapped: bool
    streams: list[str] = field(default_factory=list)
    past: Sequence[Entry] = ()
    whole_contracts: bool = False
    _messages: int = 0  # of the client, since the last second
    _ticks: int = 0

    def receive(self, frame: Frame, now_ms: int) -> Sequence[Frame]:
        self._messages += 1
        if self._messages > MAX_MESSAGES_PER_SECOND:
            raise HangUp("Too many requests")
        message = parse(frame)
        if message is None:
            return [text({"error": {"code": 3, "msg": "Invalid JSON: expected value at line 1 column 1"}})]
        number, names = message.get("id"), message.get("params") or []
        match message.get("method"):
            case "SUBSCRIBE":
                return [self._subscribe(names, number)]
            case "UNSUBSCRIBE":
                self.streams = [name for name in self.streams if name not in names]
                return [text({"result": None, "id": number})]
            case "LIST_SUBSCRIPTIONS":
                return [text({"result": self.streams, "id": number})]
            case other:
                return [text({"error": {"code": 2, "msg": f"Invalid request: unknown variant `{other}`"}})]

    def _subscribe(self, names: Sequence[str], number: object) -> str:
        for name in names:
            if name in self.trouble.refuse or not self._exists(name):
                return text({"error": {"code": 2, "msg": f"Invalid request: unknown stream {name}"}, "id": number})
        self.streams += [name for name in names if name not in self.streams]
        return text({"result": None, "id": number})

    def _exists(self, name: str) -> bool:
        symbol, _, kind = name.partition("@")
        return name in (ALL, "!markPrice@arr", "!markPrice@arr@1s") or (
            symbol.upper() in self.listings and kind in KINDS
        )

    def carries(self, listing: Listing) -> bool:
        return self.routed and self._stream(listing) is not None

    def _stream(self, listing: Listing) -> str | None:
        one = f"{listing.symbol.lower()}@forceOrder"
        return next((name for name in (ALL, one) if name in self.streams), None)

    def push(self, entries: Sequence[Entry], now_ms: int) -> Sequence[Frame]:
        frames = []
        for entry in entries:
            event = {"e": "forceOrder", "E": now_ms, "o": order_object(entry)}
            frames.append(self._frame(self._stream(entry.listing) or ALL, event))
        return frames

    def _frame(self, stream: str, event: Mapping[str, Any]) -> str:
        return text({"stream": stream, "data": event} if self.wrapped else event)

    def second(self, now_ms: int) -> Sequence[Frame]:
        self._messages = 0
        return ()

    def ticks(self, now_ms: int) -> Sequence[Frame]:
        self._ticks += 1
        if not self.routed:
            return ()
        return [frame for name in self.streams for frame in self._tick(name, now_ms)]

    def _tick(self, name: str, now_ms: int) -> Sequence[Frame]:
        symbol, _, kind = name.partition("@")
        every = 1 if kind.endswith("@1s") or kind == "aggTrade" else 3
        if kind.startswith("forceOrder") or self._ticks % every or name == ALL:
            return ()
        if symbol == "!markPrice":
            marks = [self._mark(listing, now_ms) for listing in self.listings.values()]
            return [text({"stream": name, "data": marks} if self.wrapped else marks)]
        listing = self.listings.get(symbol.upper())
        if listing is None:
            return ()
        make = agg_trade if kind == "aggTrade" else self._mark
        return [self._frame(name, make(listing, now_ms))]

    def _mark(self, listing: Listing, now_ms: int) -> Mapping[str, Any]:
        latest = (entry.price for entry in reversed(self.past[-MARKED_AMONG:]) if entry.listing.key == listing.key)
        prices = list(islice(latest, MARKED_BY)) or [listing.reference_price]
        return mark_price(listing, listing.round_price(sum(prices, Decimal()) / len(prices)), now_ms)


def order_object(entry: Entry) -> Mapping[str, Any]:
    """The `o` of a forced order. The order closes the position: a long is closed by a SELL."""
    if entry.order is not None:
        return entry.order
    listing, tick = entry.listing, entry.listing.tick
    selling = entry.side == LONG
    # The limit is the bankruptcy price, on the losing side of the fill; the last fill is only a part.
    limit = listing.round_price(entry.price * 995 / 1000 if selling else entry.price * 1005 / 1000)
    last = listing.contracts(entry.price, entry.base() / 2)
    return {
        "s": listing.symbol,
        "S": "SELL" if selling else "BUY",
        "o": "LIMIT",
        "f": "IOC",
        "q": plain(entry.contracts),
        "p": plain(max(limit, tick)),
        "ap": plain(entry.price),
        "X": "FILLED",
        "l": plain(last),
        "z": plain(entry.contracts),
        "T": entry.event_ms,
        "ps": _pair(listing),
        "st": 2 if listing.product == "coinm" else 1,
    }


def mark_price(listing: Listing, price: Decimal, now_ms: int) -> Mapping[str, Any]:
    """As the venue writes it, to eight places."""
    return {
        "e": "markPriceUpdate",
        "E": now_ms,
        "s": listing.symbol,
        "p": f"{price:.8f}",
        "i": f"{price:.8f}",
        "r": "0.0001",
        "T": now_ms,
    }


def agg_trade(listing: Listing, now_ms: int) -> Mapping[str, Any]:
    trade = {"e": "aggTrade", "E": now_ms, "s": listing.symbol, "a": now_ms, "f": now_ms, "l": now_ms, "T": now_ms}
    return {**trade, "p": plain(listing.reference_price), "q": plain(listing.step), "m": True}


def _pair(listing: Listing) -> str:
    return listing.symbol.partition("_")[0]


def _contract_type(listing: Listing) -> str:
    return "CURRENT_QUARTER" if listing.dated else "PERPETUAL"


def _common(listing: Listing) -> dict[str, Any]:
    return {
        "symbol": listing.symbol,
        "pair": _pair(listing),
        "contractType": _contract_type(listing),
        "baseAsset": listing.base,
        "quoteAsset": listing.quote,
    }


def _status(listing: Listing) -> str:
    return "TRADING" if listing.trading else "SETTLING"


def _usdm(listing: Listing) -> dict[str, Any]:
    return _common(listing) | {"status": _status(listing), "marginAsset": listing.quote}


def _coinm(listing: Listing) -> dict[str, Any]:
    size = {"contractStatus": _status(listing), "contractSize": int(listing.contract), "marginAsset": listing.base}
    return _common(listing) | size


DIALECT = BinanceDialect
