"""Bitget v3 public: one channel per product type; amounts are worth in the quote coin, not coins."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from typing import Any
from urllib.parse import urlsplit

from ...events import LONG
from ..listings import Listing, linear, special
from ..orders import Entry, plain
from ..trouble import Trouble
from .base import Conversation, Frame, HangUp, Listings, RestAnswer, fell, of_product, parse, text

TOPIC = "liquidation"
PRODUCTS = ("usdt-futures", "coin-futures", "usdc-futures")
IDLE_SECONDS = 120  # without a ping of the client
LISTED_AT_MOST = 100  # past records in one answer
LISTED_DAYS = 3


def listings() -> Iterator[Listing]:
    yield from linear("bitget", "usdt-futures", "{}USDT", "USDT")
    yield special("bitget", "coin-futures", "BTCUSD_CM", "BTC", "USD", inverse=True)
    yield special("bitget", "coin-futures", "ETHUSD_CM", "ETH", "USD", inverse=True)
    yield special("bitget", "usdc-futures", "BTCPERP", "BTC", "USDC", step="0.001")


@dataclass(slots=True)
class BitgetDialect:
    """ws.bitget.com and api.bitget.com."""

    listings: Listings
    trouble: Trouble
    past: Sequence[Entry]
    venue: str = "bitget"
    batch_ms: int = 1000
    control_ping_seconds: float | None = None
    lists_past: bool = True

    def rest(self, path: str, query: Mapping[str, str]) -> RestAnswer | None:
        if path not in ("/api/v3/market/instruments", "/api/v3/market/liquidations"):
            return None
        category = query.get("category", "")
        if category.lower() not in PRODUCTS:
            return RestAnswer({"code": "40020", "msg": "Parameter category error", "data": None}, 400)
        if path.endswith("liquidations"):
            return self._past_records(category.lower(), query)
        data = [_instrument(listing) for listing in of_product(self.listings, category.lower())]
        return RestAnswer({"code": "00000", "msg": "success", "requestTime": 0, "data": data})

    def _past_records(self, product: str, query: Mapping[str, str]) -> RestAnswer:
        """The newest first, three days of them; there is only the cursor to go on with.

        In what `amount` is counted the page does not say: it is taken to be as on the socket.
        """
        latest = self.past[-1].event_ms if self.past else 0
        records = [
            entry
            for entry in sorted(fell(self.past, latest - LISTED_DAYS * 86_400_000, latest), key=_number, reverse=True)
            if entry.listing.product == product
            and query.get("symbol", entry.listing.symbol) == entry.listing.symbol
            and entry.number < int(query.get("cursor") or entry.number + 1)
        ]
        page = records[: min(int(query.get("limit") or LISTED_AT_MOST), LISTED_AT_MOST)]
        cursor = str(page[-1].number) if len(page) < len(records) else ""
        data = {"list": [_row(entry) for entry in page], "cursor": cursor}
        return RestAnswer({"code": "00000", "msg": "success", "requestTime": 0, "data": data})

    def connect(self, path: str, headers: Mapping[str, str]) -> Conversation | None:
        # The v2 socket has no liquidation channel.
        return BitgetConversation(self.trouble) if urlsplit(path).path == "/v3/ws/public" else None


@dataclass(slots=True)
class BitgetConversation:
    """One socket."""

    trouble: Trouble
    products: set[str] = field(default_factory=set)
    whole_contracts: bool = False
    _idle: int = 0  # seconds

    def receive(self, frame: Frame, now_ms: int) -> Sequence[Frame]:
        if frame == "ping":
            self._idle = 0
            return ["pong"]
        message = parse(frame)
        if message is None or message.get("op") not in ("subscribe", "unsubscribe"):
            return [text({"event": "error", "code": "30003", "msg": "Invalid op"})]
        return [self._one(message["op"], arg) for arg in message.get("args") or []]

    def _one(self, op: str, arg: Mapping[str, str]) -> str:
        product = arg.get("instType", "")
        bad = set(arg) != {"instType", "topic"} or arg["topic"] != TOPIC or product not in PRODUCTS
        if bad or product in self.trouble.refuse:
            words = f"instType:{product},topic:{arg.get('topic')} doesn't exist"
            return text({"event": "error", "arg": dict(arg), "code": "30001", "msg": words, "op": op})
        if op == "subscribe":
            self.products.add(product)
        else:
            self.products.discard(product)
        return text({"event": op, "arg": dict(arg), "connId": "simulated"})

    def carries(self, listing: Listing) -> bool:
        return listing.product in self.products

    def push(self, entries: Sequence[Entry], now_ms: int) -> Sequence[Frame]:
        by_product = sorted(entries, key=lambda entry: entry.listing.product)
        return [
            text(
                {
                    "data": [_row(entry) for entry in rows],
                    "arg": {"instType": product, "topic": TOPIC},
                    "action": "update",
                    "ts": now_ms,
                }
            )
            for product, rows in groupby(by_product, key=lambda entry: entry.listing.product)
        ]

    def second(self, now_ms: int) -> Sequence[Frame]:
        self._idle += 1
        if self._idle >= IDLE_SECONDS:
            raise HangUp("no ping")
        return ()

    def ticks(self, now_ms: int) -> Sequence[Frame]:
        return ()


def _row(entry: Entry) -> Mapping[str, str]:
    # The side of the position: buy is a long that was closed.
    return {
        "symbol": entry.listing.symbol,
        "side": "buy" if entry.side == LONG else "sell",
        "price": plain(entry.price),
        "amount": plain(entry.notional()),
        "ts": str(entry.event_ms),
    }


def _number(entry: Entry) -> int:
    return entry.number


def _instrument(listing: Listing) -> Mapping[str, Any]:
    return {
        "symbol": listing.symbol,
        "category": listing.product.upper(),
        "baseCoin": listing.base,
        "quoteCoin": listing.quote,
        "status": "online" if listing.trading else "offline",
        "type": "delivery" if listing.dated else "perpetual",
    }


DIALECT = BitgetDialect
