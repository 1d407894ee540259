"""What a log holds against the books of the simulated venues, and what its coverage topic says of the rest."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import timedelta
from decimal import ROUND_HALF_EVEN, Decimal
from typing import Any

from liqwatch import venues
from liqwatch.coverage import Span, merge, subtract
from liqwatch.eventlog import Log
from liqwatch.simulator import Simulator
from liqwatch.simulator.books import Due
from liqwatch.topics import COVERAGE, LIQUIDATIONS

from .reading import everything, totals

SETTLES_WITHIN = timedelta(minutes=2)
SLACK_MS = 2_000  # on a busy machine a collector takes that long to see that a socket was closed
# Its stream has no prices: what is repeated after a cut is worth what the coin is then, so only the count is exact.
MARKED = {"orderly"}

Key = tuple[str, str, str, int]  # venue, symbol, side, micro-dollars


def with_history(simulator: Simulator) -> set[str]:
    """The simulated venues whose own lists a collector reads within minutes. Deribit's flags may come an hour late."""
    known = venues.discover()
    return {
        name
        for name in simulator.venues
        if (history := known[name].history) is not None and history.settles <= SETTLES_WITHIN
    }


@dataclass
class Comparison:
    """What of the books is not in the log, and what is in the log and not in the books."""

    unsent: list[Due]  # not in the log though it was sent
    unheard: list[Due]  # not in the log, and not sent to anybody
    invented: list[Key]


async def compare(log: Log, simulator: Simulator) -> Comparison:
    """The distinct events of the topic, by plain decimal arithmetic. Of an event told twice, the first counts."""
    events: dict[str, Key] = {}
    for event in await everything(log, LIQUIDATIONS):
        micro = int((Decimal(event["notional_usd"]) * 1_000_000).to_integral_value(ROUND_HALF_EVEN))
        events.setdefault(event["event_id"], _key(event["venue"], event["symbol"], event["side"], micro))
    found = Counter(events.values())

    def taken(due: Due) -> bool:
        key = _key(due.entry.listing.venue, due.entry.listing.symbol, due.entry.side, due.micro_usd)
        found[key] -= 1
        return found[key] >= 0

    books = simulator.books
    unsent = [due for due in books.events if not taken(due)]
    found = +found
    unheard = [due for due in books.unheard if not taken(due)]
    return Comparison(unsent, unheard, list((+found).elements()))


def _key(venue: str, symbol: str, side: str, micro: int) -> Key:
    return venue, symbol, side, 0 if venue in MARKED else micro


async def totals_agree(log: Log) -> bool:
    """What the aggregator says of the longest window is what is in the log."""
    found: dict[str, tuple[str, int]] = {}
    for event in await everything(log, LIQUIDATIONS):
        micro = int((Decimal(event["notional_usd"]) * 1_000_000).to_integral_value(ROUND_HALF_EVEN))
        found.setdefault(event["event_id"], (event["side"], micro))
    total = (await totals(log)).sum("24h", "all")
    told = {"long": (total.long_count, total.long), "short": (total.short_count, total.short)}
    return all(
        told[side] == (len(worth), sum(worth))
        for side in told
        for worth in [[micro for of, micro in found.values() if of == side]]
    )


class Told:
    """What the coverage topic says."""

    def __init__(self, messages: Iterable[dict[str, Any]]) -> None:
        # Of every interval the last word.
        self._last = {message["interval_id"]: message for message in messages}

    def spans(self, venue: str, kind: str) -> list[Span]:
        """Of all collectors, merged."""
        mine = [one for one in self._last.values() if (one["venue"], one["kind"]) == (venue, kind)]
        return merge((one["from_ms"], one["to_ms"]) for one in mine)

    def missing(self, due: Due) -> bool:
        """Nobody says to have watched at the time of the event, or just before it was due to be sent."""
        when = self._when(due)
        return subtract([when], self.spans(due.entry.listing.venue, "watched")) != []

    def filled(self, due: Due) -> bool:
        """That time, or a part of it, was read from the venue's own list."""
        when = self._when(due)
        return subtract([when], self.spans(due.entry.listing.venue, "filled")) != [when]

    def _when(self, due: Due) -> Span:
        return due.entry.event_ms, due.at_ms + SLACK_MS


async def told(log: Log) -> Told:
    return Told(await everything(log, COVERAGE))


def sockets(simulator: Simulator) -> dict[str, int]:
    return {name: venue.sockets for name, venue in simulator.venues.items()}


def cut(simulator: Simulator, every: float | None) -> None:
    """From now on every socket is cut after so many seconds in the mean; None: no more."""
    for venue in simulator.venues.values():
        venue.trouble.disconnect_every_seconds = every
