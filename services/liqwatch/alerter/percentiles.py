"""Percentiles of a scope's own rolling totals, around the same hour of the week in the last 30 days. Pure.

A sample is the total at the end of a minute. An hour of the week comes four times in 30 days, and its minutes resemble
each other: so that a percentile stands on `LEAST_HOURS` hours, those next to it are taken too, one hour to either side
with 30 days of history, and up to `MOST_NEAR` with less. Integers only: the same past gives the same figure.
"""

from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Collection, Iterator, Mapping
from typing import NamedTuple

from ..relative import NEEDED_DAYS, PAST_DAYS, PERCENTILES

HOUR_MINUTES = 60
WEEK_HOURS = 168
PAST_HOURS = PAST_DAYS * 24
LEAST_HOURS = 10
MOST_NEAR = 3

Key = tuple[str, str]  # scope, side


class Yardstick(NamedTuple):
    """What is usual at this hour. Micro-dollars by percentile; `hours` were looked at, `near` to either side."""

    usd: tuple[tuple[int, int], ...]
    hours: int
    near: int
    days: int  # of the last 30 that are known


class _Series:
    """The minutes that brought anything, and what all had brought up to each."""

    __slots__ = ("minutes", "sums")

    def __init__(self) -> None:
        self.minutes = array("i")
        self.sums = array("q")

    def add(self, minute: int, usd: int) -> None:
        self.minutes.append(minute)
        self.sums.append((self.sums[-1] if self.sums else 0) + usd)

    def totals(self, first: int, last: int, span: int) -> Iterator[int]:
        """The rolling totals at the ends of the minutes `first` to `last`."""
        minutes, sums, length = self.minutes, self.sums, len(self.minutes)
        head = bisect_right(minutes, first - 1)  # how many minutes are at or before the present one
        tail = bisect_right(minutes, first - 1 - span)
        for minute in range(first, last + 1):
            while head < length and minutes[head] <= minute:
                head += 1
            while tail < head and minutes[tail] <= minute - span:
                tail += 1
            yield (sums[head - 1] if head else 0) - (sums[tail - 1] if tail else 0)

    def forget(self, before: int) -> None:
        gone = bisect_left(self.minutes, before) - 1  # the one before stays: sums are counted from it
        if gone > 0:
            del self.minutes[:gone], self.sums[:gone]


class Percentiles:
    """Give it every minute once, in order. Answers are kept for an hour."""

    def __init__(self) -> None:
        self._series: dict[Key, _Series] = {}
        self._known: dict[tuple[str, str, int], tuple[int, Yardstick]] = {}
        self._first: int | None = None

    def minute(self, number: int, usd: Mapping[Key, int]) -> None:
        """A minute (number since the epoch) is over and brought so many micro-dollars by scope and side."""
        if self._first is None:
            self._first = number
        for key, amount in usd.items():
            if amount:
                self._series.setdefault(key, _Series()).add(number, amount)

    def hours(self, span: int, now_minute: int, watched: Collection[int] | None) -> list[int]:
        """The hours of the last 30 days whose totals are known. `watched`: those that were; None: all."""
        if self._first is None:
            return []
        now = now_minute // HOUR_MINUTES
        first = max(now - PAST_HOURS, -(-(self._first + span - 1) // HOUR_MINUTES))
        return [hour for hour in range(first, now) if watched is None or hour in watched]

    def yardstick(self, key: Key, span: int, now_minute: int, watched: Collection[int] | None) -> Yardstick | None:
        """Percentiles of totals over `span` minutes, usual at this hour of the week; None while too little is known."""
        hour = now_minute // HOUR_MINUTES
        asked = (*key, span)
        known = self._known.get(asked)
        if known is not None and known[0] == hour:
            return known[1]
        found = self._measure(key, span, now_minute, watched)
        if found is not None:  # else more may be known in a moment
            self._known[asked] = hour, found
        return found

    def _measure(self, key: Key, span: int, now_minute: int, watched: Collection[int] | None) -> Yardstick | None:
        known = self.hours(span, now_minute, watched)
        days = len(known) // 24
        if days < NEEDED_DAYS:
            return None
        now = now_minute // HOUR_MINUTES
        for near in range(MOST_NEAR + 1):
            found = [hour for hour in known if (now - hour + near) % WEEK_HOURS <= 2 * near and now - hour > near]
            if len(found) >= LEAST_HOURS:
                samples = sorted(total for hour in found for total in self._totals(key, hour, span))
                usd = tuple((p, samples[-(-p * len(samples) // 100) - 1]) for p in PERCENTILES)  # nearest rank
                return Yardstick(usd, len(found), near, days)
        return None

    def _totals(self, key: Key, hour: int, span: int) -> list[int]:
        scope, side = key
        first, last = hour * HOUR_MINUTES, hour * HOUR_MINUTES + HOUR_MINUTES - 1
        sums = [0] * HOUR_MINUTES
        for one in ("long", "short") if side == "both" else (side,):
            series = self._series.get((scope, one))
            if series is not None:
                sums = [a + b for a, b in zip(sums, series.totals(first, last, span), strict=True)]
        return sums

    def forget(self, before_minute: int) -> None:
        """Lets go of minutes that no total reaches any more."""
        for key, series in list(self._series.items()):
            series.forget(before_minute)
            if series.minutes[-1] < before_minute:
                del self._series[key]
        self._known = {key: kept for key, kept in self._known.items() if key[:2] in self._series}
