"""Extended: the address subscribes, all markets or one; every message counts on, and the first brings older trades."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from ...events import LONG
from ..listings import COINS, Listing, linear
from ..orders import Entry, plain
from ..trouble import Trouble
from .base import Conversation, Frame, Listings, RestAnswer, text

PLACE = "/stream.extended.exchange/v1/publicTrades"
IDS = 1_990_000_000_000_000_000  # they do not fit into a float
TRADE, LIQUIDATION, DELEVERAGE = "TRADE", "LIQUIDATION", "DELEVERAGE"


def listings() -> Iterator[Listing]:
    yield from linear("extended", "perpetual", "{}-USD", "USD", thousand="1000PEPE")


@dataclass(slots=True)
class ExtendedDialect:
    """api.starknet.extended.exchange."""

    listings: Listings
    trouble: Trouble
    past: Sequence[Entry]
    venue: str = "extended"
    batch_ms: int = 0
    control_ping_seconds: float | None = 15.0
    lists_past: bool = False

    def rest(self, path: str, query: Mapping[str, str]) -> RestAnswer | None:
        if path != "/api/v1/info/markets":
            return None
        return RestAnswer({"status": "OK", "data": [_market(listing) for listing in self.listings.values()]})

    def connect(self, path: str, headers: Mapping[str, str]) -> Conversation | None:
        place, _, market = urlsplit(path).path.removeprefix(PLACE).partition("/")
        if not path.startswith(PLACE) or place or (market and market not in self.listings):
            return None
        return ExtendedConversation(market)


@dataclass(slots=True)
class ExtendedConversation:
    """One socket, of one market or (empty) of all. It answers nothing."""

    market: str
    whole_contracts: bool = False
    _seq: int = 0

    def receive(self, frame: Frame, now_ms: int) -> Sequence[Frame]:
        return ()

    def carries(self, listing: Listing) -> bool:
        return self.market in ("", listing.symbol)

    def push(self, entries: Sequence[Entry], now_ms: int) -> Sequence[Frame]:
        """One message: their numbers follow each other, and nothing may come between two."""
        return [self._message([row for entry in entries for row in _rows(entry)], now_ms)]

    def _message(self, rows: Sequence[Mapping[str, Any]], now_ms: int) -> str:
        self._seq += 1
        older = [_ordinary(now_ms - 60_000 * back) for back in (3, 2, 1)] if self._seq == 1 else []
        return text({"ts": now_ms, "data": [*older, *rows], "seq": self._seq})

    def second(self, now_ms: int) -> Sequence[Frame]:
        return ()

    def ticks(self, now_ms: int) -> Sequence[Frame]:
        return [self._message([_ordinary(now_ms)], now_ms)] if self.market in ("", "BTC-USD") else ()


def _rows(entry: Entry) -> Iterator[Mapping[str, Any]]:
    """The liquidation, and now and then trades of other kinds around it."""
    symbol, side = entry.listing.symbol, "SELL" if entry.side == LONG else "BUY"
    told = plain(entry.price), plain(entry.contracts)
    if entry.number % 3 == 0:
        other = DELEVERAGE if entry.number % 2 else TRADE
        yield _row(symbol, side, other, entry.event_ms, *told, IDS + 2 * entry.number + 1)
    yield _row(symbol, side, LIQUIDATION, entry.event_ms, *told, IDS + 2 * entry.number)


def _ordinary(time_ms: int) -> Mapping[str, Any]:
    coin = COINS["BTC"]
    return _row("BTC-USD", "BUY", TRADE, time_ms, plain(coin.price), plain(coin.step), IDS - time_ms)


def _row(market: str, side: str, kind: str, time_ms: int, price: str, size: str, number: int) -> Mapping[str, Any]:
    return {"m": market, "S": side, "tT": kind, "T": time_ms, "p": price, "q": size, "i": number}


def _market(listing: Listing) -> Mapping[str, Any]:
    return {
        "name": listing.symbol,
        "assetName": listing.base,
        "collateralAssetName": listing.quote,
        "active": listing.trading,
        "status": "ACTIVE" if listing.trading else "DISABLED",
        "tradingConfig": {"minPriceChange": plain(listing.tick), "minOrderSizeChange": plain(listing.step)},
    }


DIALECT = ExtendedDialect
