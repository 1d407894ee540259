"""Backpack: one stream of liquidations, or one a symbol; nothing says yes, and only a stream's bad name is refused."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from ...events import LONG
from ..listings import Listing, linear
from ..orders import Entry, plain
from ..trouble import Trouble
from .base import Conversation, Frame, Listings, RestAnswer, parse, text

ALL = "liquidation"
KINDS = ("liquidation", "markPrice", "trade", "depth", "ticker", "bookTicker")
SPOT = "SOL_USDC"  # borrowed coins are liquidated there


def listings() -> Iterator[Listing]:
    yield from linear("backpack", "PERP", "{}_USDC_PERP", "USDC", thousand="kPEPE")


@dataclass(slots=True)
class BackpackDialect:
    """ws.backpack.exchange and api.backpack.exchange."""

    listings: Listings
    trouble: Trouble
    past: Sequence[Entry]
    venue: str = "backpack"
    batch_ms: int = 0
    control_ping_seconds: float | None = 60.0
    lists_past: bool = False

    def rest(self, path: str, query: Mapping[str, str]) -> RestAnswer | None:
        if path != "/api/v1/markets":
            return None
        spot = {"symbol": SPOT, "baseSymbol": "SOL", "quoteSymbol": "USDC", "marketType": "SPOT"}
        return RestAnswer([*map(_market, self.listings.values()), {**spot, "orderBookState": "Open", "visible": True}])

    def connect(self, path: str, headers: Mapping[str, str]) -> Conversation | None:
        return BackpackConversation(self.listings, self.trouble) if urlsplit(path).path in ("", "/") else None


@dataclass(slots=True)
class BackpackConversation:
    """One socket."""

    listings: Listings
    trouble: Trouble
    streams: set[str] = field(default_factory=set)
    whole_contracts: bool = False

    def receive(self, frame: Frame, now_ms: int) -> Sequence[Frame]:
        message = parse(frame)
        if message is None or message.get("method") not in ("SUBSCRIBE", "UNSUBSCRIBE"):
            return [_error(4002, "Parse error")]
        names = {str(name) for name in message.get("params") or []}
        if message["method"] == "UNSUBSCRIBE":
            self.streams -= names
            return ()
        if not names or any(name.partition(".")[0] not in KINDS or self._refused(name) for name in names):
            return [_error(4006, "Invalid stream")]
        self.streams |= names  # of symbols that there are not as well: nothing will ever come
        return [mark for name in sorted(names) for mark in self._mark(name, now_ms)]

    def _refused(self, name: str) -> bool:
        return bool({name, name.partition(".")[2]} & self.trouble.refuse)

    def carries(self, listing: Listing) -> bool:
        return self._stream(listing) is not None

    def _stream(self, listing: Listing) -> str | None:
        return next((name for name in (ALL, f"{ALL}.{listing.symbol}") if name in self.streams), None)

    def push(self, entries: Sequence[Entry], now_ms: int) -> Sequence[Frame]:
        frames = []
        for entry in entries:
            stream = self._stream(entry.listing) or ALL
            row = _row(entry, entry.listing.symbol, now_ms)
            frames.append(text({"stream": stream, "data": row}))
            if stream == ALL and entry.number % 6 == 0:
                frames.append(text({"stream": stream, "data": {**row, "s": SPOT}}))
        return frames

    def second(self, now_ms: int) -> Sequence[Frame]:
        return ()

    def ticks(self, now_ms: int) -> Sequence[Frame]:
        return [mark for name in sorted(self.streams) for mark in self._mark(name, now_ms)]

    def _mark(self, name: str, now_ms: int) -> Iterator[str]:
        kind, _, symbol = name.partition(".")
        listing = self.listings.get(symbol)
        if kind != "markPrice" or listing is None:
            return
        price = plain(listing.reference_price)
        micros = now_ms * 1000
        mark = {"e": "markPrice", "E": micros, "s": symbol, "p": price, "f": "0.0001", "i": price, "n": micros}
        yield text({"stream": name, "data": mark})


def _row(entry: Entry, symbol: str, now_ms: int) -> Mapping[str, Any]:
    # S is read as the order's side: a long is closed by offering it. Times are microseconds.
    return {
        "e": "liquidation",
        "E": now_ms * 1000,
        "q": plain(entry.contracts),
        "p": plain(entry.price),
        "S": "Ask" if entry.side == LONG else "Bid",
        "s": symbol,
        "T": entry.event_ms * 1000 + entry.number % 1000,
    }


def _error(code: int, words: str) -> str:
    return text({"id": None, "error": {"code": code, "message": words}})


def _market(listing: Listing) -> Mapping[str, Any]:
    return {
        "symbol": listing.symbol,
        "baseSymbol": listing.base,
        "quoteSymbol": listing.quote,
        "marketType": "PERP",
        "orderBookState": "Open" if listing.trading else "Closed",
        "visible": True,
    }


DIALECT = BackpackDialect
