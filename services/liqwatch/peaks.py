"""Rolling totals of one side over several windows, exact after each event, and the highest ever reached. Pure.

For who asks after every event: a total is at hand, where `aggregator.window` counts it when it is asked.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Sequence

_TRIM = 100_000  # seconds that no window reaches any more, until they are freed


class Rolling:
    """Micro-dollars over several spans of seconds that all end at the clock. Told of each event once, in any order."""

    __slots__ = ("_firsts", "_seconds", "_sums", "longest", "now", "shortest", "spans", "totals")

    def __init__(self, spans: Sequence[int]) -> None:
        self.spans = tuple(spans)
        self.shortest, self.longest = min(spans), max(spans)
        self.now = 0  # the second of the clock
        self.totals = [0] * len(spans)  # at that second, in the order of `spans`
        self._seconds: list[int] = []  # those with events, sorted; beside each, what it brought
        self._sums: list[int] = []
        self._firsts = [0] * len(spans)  # place of the first second inside

    def move(self, now: int) -> None:
        """The clock is at this second: what is too old leaves the totals. It never goes back."""
        if now == self.now:
            return
        self.now = now
        seconds, sums, firsts = self._seconds, self._sums, self._firsts
        last = len(seconds)
        for number, span in enumerate(self.spans):
            first = firsts[number]
            limit = now - span
            if first == last or seconds[first] > limit:
                continue
            gone = 0
            while first < last and seconds[first] <= limit:
                gone += sums[first]
                first += 1
            self.totals[number] -= gone
            firsts[number] = first
        if min(firsts) > _TRIM:
            self._trim()

    def add(self, second: int, amount: int) -> None:
        """An event of so many micro-dollars, not after the clock."""
        seconds, totals = self._seconds, self.totals
        if not seconds or second > seconds[-1]:
            seconds.append(second)
            self._sums.append(amount)
        elif second == seconds[-1]:
            self._sums[-1] += amount
        elif second > self.now - self.longest:
            self._insert(second, amount)
        if second > self.now - self.shortest:
            for number in range(len(totals)):
                totals[number] += amount
            return
        for number, span in enumerate(self.spans):
            if second > self.now - span:
                totals[number] += amount
            else:  # the places of what is inside may have moved by one
                self._firsts[number] = bisect_right(seconds, self.now - span)

    def _insert(self, second: int, amount: int) -> None:
        at = bisect_left(self._seconds, second)
        if self._seconds[at] == second:
            self._sums[at] += amount
        else:
            self._seconds.insert(at, second)
            self._sums.insert(at, amount)

    def _trim(self) -> None:
        gone = min(self._firsts)
        del self._seconds[:gone], self._sums[:gone]
        self._firsts = [first - gone for first in self._firsts]


class Peaks(Rolling):
    """The highest that each total ever was: `usd`, and when it was so first."""

    __slots__ = ("at_ms", "usd")

    def __init__(self, spans: Sequence[int]) -> None:
        super().__init__(spans)
        self.usd = [0] * len(spans)
        self.at_ms: list[int | None] = [None] * len(spans)

    def count(self, second: int, amount: int, clock_ms: int) -> None:
        """An event, with the clock. A total can only rise with one: nothing else has to be looked at."""
        self.move(clock_ms // 1000)
        self.add(second, amount)
        usd = self.usd
        for number, total in enumerate(self.totals):
            if total > usd[number]:
                usd[number], self.at_ms[number] = total, clock_ms
