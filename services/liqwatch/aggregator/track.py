"""One side of a venue, or of a coin at a venue: what came second by second, and the largest record. Pure.

Thousands of tracks are spread over memory, and each event belongs to two of them. To bring both up to date for each
event would take most of the time. So a track only notes what comes, and takes in a handful at once, or what there is
when it is asked.
"""

from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Sequence

from .largest import Step, beats, climb, forget_until, largest_after

_COUNT = (1 << 32) - 1  # counts of events run round
_USD = (1 << 64) - 1


class Sum:
    """What tracks add up to in one window."""

    __slots__ = ("events", "largest", "usd")

    def __init__(self) -> None:
        self.usd = 0
        self.events = 0
        self.largest: Step | None = None


class Track:
    """Running totals, one entry for each second in which something came.

    Any window that ends now is a difference of two entries, found by bisection. So nothing has to be done when
    events leave a window, and five windows cost no more than one. The totals run round at 2^64 micro-dollars: only
    differences are used, and those are right below 18 trillion USD.
    """

    __slots__ = ("_counts", "_noted", "_seconds", "_stairs", "_sums")

    def __init__(self) -> None:
        self._noted: list[Step] = []  # not taken in yet
        self._stairs: list[Step] = []  # the candidates for the largest record
        # The first entry stands for all that came before the second one.
        self._seconds = array("I", (0,))
        self._counts = array("I", (0,))
        self._sums = array("Q", (0,))

    def note(self, step: Step, most: int) -> None:
        """Takes note of an event; once there are `most`, they are taken in."""
        noted = self._noted
        noted.append(step)
        if len(noted) >= most:
            self._take_in()

    def after(self, second: int) -> tuple[int, int]:
        """Micro-dollars and number of the events after `second`."""
        if self._noted:
            self._take_in()
        seconds = self._seconds
        if seconds[-1] <= second:
            return 0, 0
        before = bisect_right(seconds, second) - 1
        return self._sums[-1] - self._sums[before] & _USD, self._counts[-1] - self._counts[before] & _COUNT

    def between(self, first: int, last: int) -> tuple[int, int]:
        """Micro-dollars and number of the events of the seconds from `first` to `last`."""
        if self._noted:
            self._take_in()
        seconds = self._seconds
        before = bisect_left(seconds, first) - 1
        upto = bisect_right(seconds, last) - 1
        return self._sums[upto] - self._sums[before] & _USD, self._counts[upto] - self._counts[before] & _COUNT

    def add_to(self, sums: list[Sum], after: Sequence[int]) -> None:
        """Adds to each sum the events after the second that stands at its place."""
        if self._noted:
            self._take_in()
        seconds, stairs = self._seconds, self._stairs
        last = seconds[-1]
        usd, count = self._sums[-1], self._counts[-1]
        for one, second in zip(sums, after, strict=True):
            if last <= second:
                continue
            before = bisect_right(seconds, second) - 1
            one.usd += usd - self._sums[before] & _USD
            one.events += count - self._counts[before] & _COUNT
            step = stairs[0] if stairs[0][0] > second else largest_after(stairs, second)
            if step is not None and (one.largest is None or beats(step, one.largest)):
                one.largest = step

    def forget_until(self, second: int) -> None:
        """Frees what no window reaches any more, once it is an eighth: the rest has to be moved for it."""
        if self._noted:
            self._take_in()
        forget_until(self._stairs, second)
        seconds = self._seconds
        if seconds[len(seconds) // 8] <= second:
            gone = bisect_right(seconds, second) - 1
            if gone > 0:
                del seconds[:gone], self._counts[:gone], self._sums[:gone]

    def _take_in(self) -> None:
        noted, self._noted = self._noted, []
        seconds, counts, sums = self._seconds, self._counts, self._sums
        last, count, total = seconds[-1], counts[-1], sums[-1]
        in_order = True
        for second, minus, _, _ in noted:
            if second < last:
                in_order = False
                self._insert(second, minus)
                count, total = counts[-1], sums[-1]
                continue
            count = count + 1 & _COUNT
            total = total - minus & _USD
            if second > last:
                last = second
                seconds.append(second)
                counts.append(count)
                sums.append(total)
            else:
                counts[-1] = count
                sums[-1] = total
        climb(self._stairs, noted, in_order)

    def _insert(self, second: int, minus: int) -> None:
        seconds, counts, sums = self._seconds, self._counts, self._sums
        at = bisect_right(seconds, second)
        if seconds[at - 1] == second:
            at -= 1
        else:
            seconds.insert(at, second)
            counts.insert(at, counts[at - 1])
            sums.insert(at, sums[at - 1])
        for later in range(at, len(seconds)):
            counts[later] = counts[later] + 1 & _COUNT
            sums[later] = sums[later] - minus & _USD
