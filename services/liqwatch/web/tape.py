"""The liquidations of the longest window as far as memory allows: the large ones all, of the small the latest. Pure."""

from bisect import bisect_left, bisect_right, insort
from collections.abc import Iterator
from dataclasses import dataclass, field
from heapq import merge
from itertools import islice

from ..wire import Liquidation, micros

LIMIT = 500  # so many can be asked for at once
# From so many dollars up, so many are kept: a day of records such as 2025-10-10 had a few thousand of a million.
_SIZES = ((0, LIMIT), (10_000, 2_000), (100_000, 10_000), (1_000_000, 8_000), (10_000_000, 2_000))
# What is further ahead of its arrival is a mistake of its venue: on top of the tape it would stay for ever. The
# aggregator does not add it up either, by the same rule, and counts it in `liqwatch_events_future_total`.
FUTURE_MS = 60_000
LARGE = _SIZES[1][0] * 1_000_000  # micro-dollars; of smaller ones a few seconds would fill what is kept
_Row = tuple[int, str, int, Liquidation]  # event time, id, micro-dollars


@dataclass(slots=True)
class _Tier:
    """Of one size, sorted by time; ids decide where times are equal, so that no two rows are."""

    least: int
    most: int
    rows: list[_Row] = field(default_factory=list)
    floor_ms: int = -1  # event time of the newest that had to go, if any: what is newer is complete


class Tape:
    """Tiers by size, so that a flood of small ones does not wash out the large."""

    def __init__(self) -> None:
        self._tiers = [_Tier(usd * 1_000_000, most) for usd, most in _SIZES]
        self._least = [tier.least for tier in self._tiers]
        self._ids: set[str] = set()

    def add(self, event: Liquidation) -> int | None:
        """Its worth in micro-dollars; None for one that is there. Raises `ValueError`.

        One that is too old for its tier is not kept, and so its repeat cannot be told either.
        """
        worth = micros(event.notional_usd)
        if event.event_id in self._ids:
            return None
        tier = self._tiers[max(0, bisect_right(self._least, worth) - 1)]
        if event.event_time_ms <= tier.floor_ms:
            return worth
        insort(tier.rows, (event.event_time_ms, event.event_id, worth, event))
        self._ids.add(event.event_id)
        if len(tier.rows) > tier.most:
            self._drop(tier, 1)
        return worth

    def forget(self, before_ms: int) -> None:
        """Lets go of what is older."""
        for tier in self._tiers:
            self._drop(tier, bisect_left(tier.rows, (before_ms,)))

    def latest(
        self, least: int = 0, limit: int = LIMIT, *, scope: str = "all", side: str = "both"
    ) -> list[Liquidation]:
        """Those worth at least `least` micro-dollars, newest first."""
        wanted = dict(part.split("=", 1) for part in scope.split(",")) if scope != "all" else {}
        found = (
            event
            for _, _, worth, event in self._newest_first(least)
            if worth >= least
            and side in ("both", event.side)
            and event.venue == wanted.get("venue", event.venue)
            and event.base == wanted.get("base", event.base)
        )
        return list(islice(found, limit))

    def complete_since_ms(self, least: int = 0) -> int:
        """From when on none worth at least `least` micro-dollars is missing that was ever added."""
        return max(tier.floor_ms + 1 for tier in self._from(least))

    def _newest_first(self, least: int) -> Iterator[_Row]:
        return merge(*(reversed(tier.rows) for tier in self._from(least)), reverse=True)

    def _from(self, least: int) -> list[_Tier]:
        return self._tiers[max(0, bisect_right(self._least, least) - 1) :]

    def _drop(self, tier: _Tier, number: int) -> None:
        if number:
            for _, event_id, _, _ in tier.rows[:number]:
                self._ids.discard(event_id)
            tier.floor_ms = max(tier.floor_ms, tier.rows[number - 1][0])
            del tier.rows[:number]
