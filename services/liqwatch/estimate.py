"""What thinned feeds probably withheld: a range beside the observed total, never in its place. Pure.

The observed total is a floor, and certain. The range has 90 % by the width that recorded days of a complete venue,
thinned in software, have shown. Where a feed is so busy that its share cannot be told, there is no range: "at least".
"""

import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

from .events import SIDES
from .shadow import Push, Rule, Shadow

WIDTH = 1.645  # standard deviations to either side: 90 %
LEAST_CAPTURE = 0.4
MOST_SATURATED = 0.5
ALONE_MS = 600_000  # without an order of a complete venue for so long, nothing can be told


@dataclass(slots=True)
class _Sums:
    """Micro-dollars of one venue and side in a window."""

    observed: int = 0
    estimated: int = 0
    saturated: int = 0  # of the observed
    unknown: int = 0

    def add(self, push: Push, sign: int) -> None:
        self.observed += sign * push.usd
        self.estimated += sign * push.estimated
        self.saturated += sign * push.usd * push.saturated
        self.unknown += sign * push.usd * (not push.known)


@dataclass(frozen=True, slots=True)
class VenueEstimate:
    """One thinned venue. USD in micro-dollars."""

    venue: str
    observed: int
    capture: float  # observed / estimated
    low: int
    high: int | None  # None: no upper end can be told


@dataclass(frozen=True, slots=True)
class Estimate:
    """A window's side: what complete venues showed, and the ranges of the thinned ones. USD in micro-dollars."""

    low: int
    high: int | None
    venues: tuple[VenueEstimate, ...]


@dataclass(slots=True)
class _Window:
    span: int
    sums: dict[tuple[str, str], _Sums] = field(default_factory=dict)


class Estimator:
    """Rolling ranges for several windows. `thinned`: venue -> its rule; `complete`: the venues to learn from.

    Told of orders in any order of partitions; those of a symbol in about the order of their times.
    """

    def __init__(self, windows: Mapping[str, int], thinned: Mapping[str, Rule], complete: Collection[str]) -> None:
        self._thinned, self._complete = dict(thinned), frozenset(complete)
        self._shadow = Shadow()
        self._windows = {name: _Window(span) for name, span in windows.items()}
        self._longest = max(windows.values())
        self._buckets: dict[int, list[tuple[str, tuple[str, str], Push | None]]] = {}  # by second: id, key, push
        self._ids: set[str] = set()
        self._second = 0
        self._learned_ms = 0

    def add(self, event_id: str, venue: str, symbol: str, side: str, at_ms: int, usd: int) -> None:
        """An order; one that is known by its id, or too old, changes nothing. `usd` in micro-dollars."""
        rule, second, key = self._thinned.get(venue), at_ms // 1000, (venue, side)
        learns = venue in self._complete
        if not (rule or learns) or event_id in self._ids or second <= self._second - self._longest:
            return
        self._ids.add(event_id)
        if learns:
            self._shadow.learn(venue, symbol, at_ms, usd)
            self._learned_ms = max(self._learned_ms, at_ms)
        push = self._shadow.push(venue, symbol, at_ms, usd, rule) if rule else None
        self._buckets.setdefault(second, []).append((event_id, key, push))
        if push is not None:
            for window in self._windows.values():
                if second > self._second - window.span:
                    window.sums.setdefault(key, _Sums()).add(push, 1)

    def advance(self, now_ms: int) -> None:
        """Moves the clock on; steps back are ignored. What has left a window is taken off."""
        before, self._second = self._second, max(self._second, now_ms // 1000)
        self._shadow.forget(now_ms)
        for window in self._windows.values():
            for second in self._passed(before - window.span, self._second - window.span):
                for _, key, push in self._buckets[second]:
                    if push:
                        window.sums[key].add(push, -1)
        for second in self._passed(before - self._longest, self._second - self._longest):
            self._ids.difference_update([event_id for event_id, _, _ in self._buckets.pop(second)])

    def _passed(self, after: int, upto: int) -> list[int]:
        if upto - after > len(self._buckets):
            return [second for second in self._buckets if after < second <= upto]
        return [second for second in range(after + 1, upto + 1) if second in self._buckets]

    def estimate(self, window: str, side: str, observed: int) -> Estimate | None:
        """The range of a side (or `both`) whose observed total over all venues is `observed` micro-dollars; None where
        no thinned venue has shown anything."""
        sums = self._windows[window].sums
        sides = SIDES if side == "both" else (side,)
        venues = []
        for venue in self._thinned:
            parts = [sums[venue, one] for one in sides if (venue, one) in sums]
            whole = _Sums(*(sum(values) for values in zip(*map(_values, parts), strict=True))) if parts else _Sums()
            if whole.observed > 0:
                venues.append(self._venue(venue, whole))
        if not venues:
            return None
        certain = max(0, observed - sum(one.observed for one in venues))
        high = certain
        for one in venues:
            if one.high is None:
                return Estimate(certain + sum(each.low for each in venues), None, tuple(venues))
            high += one.high
        return Estimate(certain + sum(one.low for one in venues), high, tuple(venues))

    def _venue(self, venue: str, sums: _Sums) -> VenueEstimate:
        capture = min(1.0, sums.observed / sums.estimated)
        deviation = math.hypot(0.35 * math.log(1 / capture), 0.15)
        low = max(sums.observed, round(sums.estimated * math.exp(-WIDTH * deviation)))
        alone = self._second * 1000 - self._learned_ms > ALONE_MS
        blind = max(sums.saturated, sums.unknown) > MOST_SATURATED * sums.observed
        if alone or blind or capture < LEAST_CAPTURE:
            return VenueEstimate(venue, sums.observed, capture, low, None)
        return VenueEstimate(venue, sums.observed, capture, low, round(sums.estimated * math.exp(WIDTH * deviation)))


def _values(sums: _Sums) -> tuple[int, int, int, int]:
    return sums.observed, sums.estimated, sums.saturated, sums.unknown
