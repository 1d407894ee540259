"""Pacifica: trades by symbol, whose cause says what they are; the client has to ping; prices of all on request."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from typing import Any
from urllib.parse import urlsplit

from ...events import LONG
from ..listings import COINS, Listing, linear
from ..orders import Entry, plain
from ..trouble import Trouble
from .base import Conversation, Frame, HangUp, Listings, RestAnswer, parse, text

IDLE_SECONDS = 60  # without a word from the client
LIQUIDATIONS = ("market_liquidation", "backstop_liquidation", "insolvency_liquidation")
OTHERS = ("normal", "settlement", "adl_liquidation")


def listings() -> Iterator[Listing]:
    yield from linear("pacifica", "perpetual", "{}", "USD", thousand="kPEPE")


@dataclass(slots=True)
class PacificaDialect:
    """ws.pacifica.fi and api.pacifica.fi."""

    listings: Listings
    trouble: Trouble
    past: Sequence[Entry]
    venue: str = "pacifica"
    batch_ms: int = 0
    control_ping_seconds: float | None = None
    lists_past: bool = False

    def rest(self, path: str, query: Mapping[str, str]) -> RestAnswer | None:
        if path != "/api/v1/info":
            return None
        spot = {"symbol": "SOL-USDC", "base_asset": "SOL", "instrument_type": "spot"}
        data = [*(_instrument(listing) for listing in self.listings.values() if listing.trading), spot]
        return RestAnswer({"success": True, "data": data, "error": None, "code": None})

    def connect(self, path: str, headers: Mapping[str, str]) -> Conversation | None:
        return PacificaConversation(self.listings, self.trouble) if urlsplit(path).path == "/ws" else None


@dataclass(slots=True)
class PacificaConversation:
    """One socket."""

    listings: Listings
    trouble: Trouble
    symbols: set[str] = field(default_factory=set)
    prices: bool = False
    whole_contracts: bool = False
    _idle: int = 0  # seconds

    def receive(self, frame: Frame, now_ms: int) -> Sequence[Frame]:
        self._idle = 0
        message = parse(frame) or {}
        method, params = message.get("method"), message.get("params") or {}
        if method == "ping":
            return [text({"channel": "pong"})]
        source, symbol = params.get("source"), str(params.get("symbol"))
        tradable = source == "trades" and symbol in self.listings and symbol not in self.trouble.refuse
        if method not in ("subscribe", "unsubscribe") or not (tradable or source == "prices"):
            return [text({"code": 400, "err": "Invalid request", "t": now_ms})]
        if source == "prices":
            self.prices = method == "subscribe"
        elif method == "subscribe":
            self.symbols.add(symbol)
        else:
            self.symbols.discard(symbol)
        return [text({"channel": method, "data": params})]

    def carries(self, listing: Listing) -> bool:
        return listing.symbol in self.symbols

    def push(self, entries: Sequence[Entry], now_ms: int) -> Sequence[Frame]:
        by_symbol = sorted(entries, key=lambda entry: entry.listing.symbol)
        return [
            text({"channel": "trades", "data": [row for entry in rows for row in _rows(entry)]})
            for _, rows in groupby(by_symbol, key=lambda entry: entry.listing.symbol)
        ]

    def second(self, now_ms: int) -> Sequence[Frame]:
        self._idle += 1
        if self._idle > IDLE_SECONDS:
            raise HangUp("no message for 60 seconds")
        return ()

    def ticks(self, now_ms: int) -> Sequence[Frame]:
        rows = [
            {"symbol": name, "mark": plain(coin.price), "oracle": plain(coin.price), "timestamp": now_ms}
            for name, coin in COINS.items()
        ]
        return [text({"channel": "prices", "data": rows})] if self.prices else ()


def _rows(entry: Entry) -> Iterator[Mapping[str, Any]]:
    """The liquidation, and now and then a trade of another cause beside it. The taker's side only."""
    number = entry.number
    if number % 2:
        yield _row(entry, OTHERS[number % len(OTHERS)], 2 * number + 1)
    yield _row(entry, LIQUIDATIONS[number % len(LIQUIDATIONS)], 2 * number)


def _row(entry: Entry, cause: str, number: int) -> Mapping[str, Any]:
    return {
        "h": 90_000_000 + number,
        "s": entry.listing.symbol,
        "a": plain(entry.contracts),
        "p": plain(entry.price),
        "d": "close_long" if entry.side == LONG else "close_short",
        "tc": cause,
        "t": entry.event_ms,
        "li": 1_600_000_000 + number // 8,  # shared by the fills of one operation
        "it": 0,
    }


def _instrument(listing: Listing) -> Mapping[str, Any]:
    return {
        "symbol": listing.symbol,
        "base_asset": listing.base,
        "instrument_type": listing.product,
        "tick_size": plain(listing.tick),
        "lot_size": plain(listing.step),
    }


DIALECT = PacificaDialect
