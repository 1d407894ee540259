"""The highest rolling total of each window ever reached, on one side: exact, after each event. Pure."""

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import dataclass

_TRIM = 100_000  # seconds that no window reaches any more, until they are freed


@dataclass(slots=True)
class Peak:
    """One window; USD in micro-dollars."""

    span: int  # seconds
    usd: int = 0
    at_ms: int | None = None  # when the peak was reached first
    total: int = 0
    first: int = 0  # place of the first second inside


class Peaks:
    """Told of each event once, in the order they are counted, with the clock."""

    def __init__(self, spans: Sequence[int]) -> None:
        self.windows = [Peak(span) for span in spans]
        self._seconds: list[int] = []  # those with events, sorted; beside each, what it brought
        self._sums: list[int] = []

    def add(self, second: int, amount: int, clock_ms: int) -> None:
        """An event of so many micro-dollars. A total can only rise with an event: nothing else has to be looked at."""
        now = clock_ms // 1000
        seconds, sums = self._seconds, self._sums
        last = len(seconds)
        for window in self.windows:
            limit, first = now - window.span, window.first
            while first < last and seconds[first] <= limit:
                window.total -= sums[first]
                first += 1
            window.first = first
        self._enter(second, amount)
        for window in self.windows:
            if second > now - window.span:
                window.total += amount
                if window.total > window.usd:
                    window.usd, window.at_ms = window.total, clock_ms
            else:
                window.first = bisect_right(seconds, now - window.span)
        if self.windows and min(window.first for window in self.windows) > _TRIM:
            self._trim()

    def _enter(self, second: int, amount: int) -> None:
        seconds, sums = self._seconds, self._sums
        if not seconds or second > seconds[-1]:
            seconds.append(second)
            sums.append(amount)
            return
        at = bisect_left(seconds, second)
        if seconds[at] == second:
            sums[at] += amount
        else:
            seconds.insert(at, second)
            sums.insert(at, amount)

    def _trim(self) -> None:
        gone = min(window.first for window in self.windows)
        del self._seconds[:gone], self._sums[:gone]
        for window in self.windows:
            window.first -= gone
