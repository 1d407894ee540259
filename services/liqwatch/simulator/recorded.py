"""Recorded Binance liquidations, played again as wire frames with the times moved to the present.

A recording is a gzipped CSV whose columns are the keys of the wire frame's `o` object, as text: T s S o f q p ap X l z.
"""

import asyncio
import csv
import gzip
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path

from ..events import LONG, SHORT
from .dialects import standard
from .listings import Listing
from .orders import Entry
from .player import Simulator

Row = Mapping[str, str]
_FIELDS = ("s", "S", "o", "f", "q", "p", "ap", "X", "l", "z")
_QUOTES = ("USDT", "USDC", "USD1", "BTC", "ETH", "BNB")
_BATCH = 50  # frames between two chances for others to run


@dataclass(frozen=True, slots=True)
class Recording:
    """The rows in the order of the file, and the instruments that they name."""

    rows: tuple[Row, ...]
    listings: Mapping[str, Listing]

    @property
    def last_ms(self) -> int:
        return max(int(row["T"]) for row in self.rows)

    def entries(self, now_ms: int) -> list[Entry]:
        """Every row, repeats included, moved so that the last one happens at `now_ms`."""
        shift_ms = now_ms - self.last_ms
        return [_entry(row, self.listings[row["s"]], shift_ms) for row in self.rows]


def read(path: Path) -> Recording:
    """Raises `ValueError` naming what is missing."""
    with gzip.open(path, "rt", encoding="utf-8", newline="") as file:
        rows = tuple(csv.DictReader(file))
    missing = sorted({"T", *_FIELDS} - set(rows[0] if rows else ()))
    if missing:
        raise ValueError(f"{path} is no recording of Binance liquidations: no column {', '.join(missing)}")
    return Recording(rows, listings(row["s"] for row in rows))


def listings(symbols: Iterable[str]) -> dict[str, Listing]:
    """Instruments for recorded symbols, whose REST objects were not recorded: base and quote from the name."""
    return {symbol: _listing(symbol) for symbol in symbols}


def _listing(symbol: str) -> Listing:
    pair, _, delivery = symbol.partition("_")
    for quote in _QUOTES:
        if pair.endswith(quote) and pair != quote:
            base = pair.removesuffix(quote)
            return Listing(
                "binance", "usdm", symbol, base, quote, Decimal(1), Decimal("0.0000001"), dated=bool(delivery)
            )
    raise ValueError(f"no quote currency in the symbol {symbol!r}")


def _entry(row: Row, listing: Listing, shift_ms: int) -> Entry:
    event_ms = int(row["T"]) + shift_ms
    average = Decimal(row["ap"] or 0)
    order = {key: row[key] for key in _FIELDS} | {"T": event_ms}
    side = LONG if row["S"] == "SELL" else SHORT
    return Entry(listing, side, average or Decimal(row["p"]), Decimal(row["z"]), event_ms, order=order)


def simulator(recording: Recording) -> Simulator:
    """A Binance of its own that lists what was recorded, and COIN-M's contracts as ever."""
    coinm = [listing for listing in standard() if (listing.venue, listing.product) == ("binance", "coinm")]
    return Simulator([], venues=("binance",), listings=[*recording.listings.values(), *coinm])


async def play(recording: Recording, simulator: Simulator) -> list[Entry]:
    """Sends every row as fast as it is taken; what was sent."""
    entries = recording.entries(simulator.clock.now_ms())
    for start in range(0, len(entries), _BATCH):
        await simulator.venues["binance"].push(entries[start : start + _BATCH])
        await asyncio.sleep(0)
    return entries
