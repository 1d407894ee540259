"""OKX v5: one channel per instrument type, text heartbeats, the socket is closed when idle."""

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

CHANNEL = "liquidation-orders"
IDLE_SECONDS = 30
LISTED_AT_MOST = 100  # past orders in one answer
LISTED_DAYS = 7
TYPES = ("SWAP", "FUTURES", "MARGIN", "OPTION")


_CONTRACTS = {  # coins
    "BTC": "0.01",
    "ETH": "0.1",
    "SOL": "1",
    "XRP": "100",
    "DOGE": "1000",
    "BNB": "0.01",
    "ADA": "100",
    "LINK": "1",
    "AVAX": "1",
    "SUI": "1",
    "LTC": "1",
    "ENA": "10",
    "WLD": "1",
    "PEPE": "10000000",
}


def listings() -> Iterator[Listing]:
    yield from linear("okx", "SWAP", "{}-USDT-SWAP", "USDT", contracts=_CONTRACTS, step="0.01")
    yield special("okx", "SWAP", "BTC-USD-SWAP", "BTC", "USD", "100", "0.1", inverse=True)
    yield special("okx", "SWAP", "ETH-USD-SWAP", "ETH", "USD", "10", "0.1", inverse=True)
    yield special("okx", "FUTURES", "BTC-USD-271231", "BTC", "USD", "100", "0.1", inverse=True, dated=True)
    yield special("okx", "FUTURES", "BTC-USDT-271231", "BTC", "USDT", "0.01", "0.01", dated=True)


@dataclass(slots=True)
class OkxDialect:
    """ws.okx.com and www.okx.com."""

    listings: Listings
    trouble: Trouble
    past: Sequence[Entry]
    venue: str = "okx"
    batch_ms: int = 0
    control_ping_seconds: float | None = None
    lists_past: bool = True
    _connections: int = 0

    def rest(self, path: str, query: Mapping[str, str]) -> RestAnswer | None:
        if path == "/api/v5/public/liquidation-orders":
            return self._past_orders(query)
        if path != "/api/v5/public/instruments":
            return None
        if query.get("instType") not in TYPES:
            return RestAnswer({"code": "51000", "msg": "Parameter instType error", "data": []}, 400)
        data = [_instrument(listing) for listing in of_product(self.listings, query["instType"])]
        return RestAnswer({"code": "0", "msg": "", "data": data})

    def _past_orders(self, query: Mapping[str, str]) -> RestAnswer:
        """The newest first, of one family; `after` and `before` are times that the rows are older and newer than."""
        product, family = query.get("instType"), query.get("instFamily") or query.get("uly")
        if product not in TYPES:
            return RestAnswer({"code": "51000", "msg": "Parameter instType error", "data": []}, 400)
        if family is None:
            words = "Either parameter uly or instFamily is required"
            return RestAnswer({"code": "50015", "msg": words, "data": []}, 400)
        if query.get("state") != "filled":  # of those that are not filled yet there are none here
            code = {"code": "0", "msg": ""} if "state" in query else {"code": "50014", "msg": "state can not be empty"}
            return RestAnswer(code | {"data": []})
        latest = self.past[-1].event_ms if self.past else 0
        until, since = int(query.get("after") or latest + 1), int(query.get("before") or 0)
        since = max(since, latest - LISTED_DAYS * 86_400_000)
        rows = [
            entry
            for entry in reversed(fell(self.past, since + 1, until - 1))
            if (entry.listing.product, _family(entry.listing)) == (product, family)
            and query.get("instId", entry.listing.symbol) == entry.listing.symbol
        ][: min(int(query.get("limit") or LISTED_AT_MOST), LISTED_AT_MOST)]
        by_symbol = sorted(rows, key=lambda entry: entry.listing.symbol)
        return RestAnswer({"code": "0", "msg": "", "data": [data | {"totalLoss": "0"} for data in _data(by_symbol)]})

    def connect(self, path: str, headers: Mapping[str, str]) -> Conversation | None:
        if urlsplit(path).path != "/ws/v5/public":
            return None
        self._connections += 1
        return OkxConversation(self.trouble, f"{self._connections:08x}")


@dataclass(slots=True)
class OkxConversation:
    """One socket."""

    trouble: Trouble
    connection: str
    products: set[str] = field(default_factory=set)
    whole_contracts: bool = False
    _idle: int = 0  # seconds

    def receive(self, frame: Frame, now_ms: int) -> Sequence[Frame]:
        self._idle = 0
        if frame == "ping":
            return ["pong"]
        message = parse(frame)
        if message is None or message.get("op") not in ("subscribe", "unsubscribe"):
            return [self._error("60012", f"Invalid request: {frame!r}")]
        return [self._one(message["op"], arg) for arg in message.get("args") or []]

    def _one(self, op: str, arg: Mapping[str, str]) -> str:
        product = arg.get("instType")
        if arg.get("channel") != CHANNEL or product not in TYPES or product in self.trouble.refuse:
            named = ",".join(f"{key}:{value}" if key != "channel" else value for key, value in arg.items())
            words = "Please use the correct URL, channel and parameters referring to API document."
            return self._error("60018", f"Wrong URL or channel:{named} doesn't exist. {words}")
        if op == "subscribe":
            self.products.add(product)
        else:
            self.products.discard(product)
        return text({"event": op, "arg": dict(arg), "connId": self.connection})

    def _error(self, code: str, words: str) -> str:
        return text({"event": "error", "msg": words, "code": code, "connId": self.connection})

    def carries(self, listing: Listing) -> bool:
        return listing.product in self.products

    def push(self, entries: Sequence[Entry], now_ms: int) -> Sequence[Frame]:
        self._idle = 0
        by_product = sorted(entries, key=lambda entry: (entry.listing.product, entry.listing.symbol))
        return [
            text({"arg": {"channel": CHANNEL, "instType": product}, "data": _data(list(rows))})
            for product, rows in groupby(by_product, key=lambda entry: entry.listing.product)
        ]

    def second(self, now_ms: int) -> Sequence[Frame]:
        self._idle += 1
        if self._idle >= IDLE_SECONDS:
            raise HangUp("No data received in 30s.")
        return ()

    def ticks(self, now_ms: int) -> Sequence[Frame]:
        return ()


def _data(entries: Sequence[Entry]) -> list[dict[str, Any]]:
    return [
        {
            "details": [_detail(entry) for entry in rows],
            "instFamily": _family(listing),
            "instId": listing.symbol,
            "instType": listing.product,
            "uly": _family(listing),
        }
        for listing, rows in groupby(entries, key=lambda entry: entry.listing)
    ]


def _detail(entry: Entry) -> Mapping[str, str]:
    long = entry.side == LONG
    # Some accounts run in one-way mode: then posSide says net, and only the order's side tells.
    net = entry.event_ms % 5 == 0
    return {
        "bkLoss": "0",
        "bkPx": plain(entry.price),
        "ccy": "",
        "posSide": "net" if net else "long" if long else "short",
        "side": "sell" if long else "buy",
        "sz": plain(entry.contracts),
        "ts": str(entry.event_ms),
    }


def _family(listing: Listing) -> str:
    return f"{listing.base}-{listing.quote}"


def _instrument(listing: Listing) -> Mapping[str, str]:
    return {
        "instId": listing.symbol,
        "instType": listing.product,
        "instFamily": _family(listing),
        "uly": _family(listing),
        "ctVal": plain(listing.contract),
        "ctMult": "1",
        "ctValCcy": listing.quote if listing.inverse else listing.base,
        "ctType": "inverse" if listing.inverse else "linear",
        "settleCcy": listing.base if listing.inverse else listing.quote,
        "tickSz": plain(listing.tick),
        "lotSz": plain(listing.step),
        "state": "live" if listing.trading else "suspend",
    }


DIALECT = OkxDialect
