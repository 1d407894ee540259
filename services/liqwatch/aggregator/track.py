"""One side of a venue, or of a coin at a venue: what came, in the order of its seconds, and the largest record. Pure.

Thousands of tracks are spread over memory, and each event belongs to two of them. To bring both up to date for each
event would take most of the time. So a track only notes what comes, and takes in a handful at once, or what there is
when it is asked.
"""

from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, MutableSequence, Sequence
from itertools import accumulate
from operator import itemgetter, sub

from .largest import Step, beats, climb, forget_until, largest_after

_LARGEST = (1 << 64) - 1  # micro-dollars that fit an array: 18 trillion USD


class Sum:
    """What tracks add up to in one window."""

    __slots__ = ("events", "largest", "usd")

    def __init__(self) -> None:
        self.usd = 0
        self.events = 0
        self.largest: Step | None = None


class Track:
    """Running totals, one entry for each event.

    Any window that ends now is a difference of two entries, found by bisection. So nothing has to be done when
    events leave a window, and five windows cost no more than one.
    """

    __slots__ = ("_seconds", "_stairs", "_sums", "noted")

    def __init__(self) -> None:
        self.noted: list[Step] = []  # what came and was not taken in yet
        self._stairs: list[Step] = []  # the candidates for the largest record
        # The first entry stands for all that came before the second one.
        self._seconds = array("I", (0,))
        self._sums: MutableSequence[int] = array("Q", (0,))

    def after(self, second: int) -> tuple[int, int]:
        """Micro-dollars and number of the events after `second`."""
        if self.noted:
            self.take_in()
        seconds = self._seconds
        if seconds[-1] <= second:
            return 0, 0
        before = bisect_right(seconds, second) - 1
        return self._sums[-1] - self._sums[before], len(seconds) - 1 - before

    def between(self, first: int, last: int) -> tuple[int, int]:
        """Micro-dollars and number of the events of the seconds from `first` to `last`."""
        if self.noted:
            self.take_in()
        seconds = self._seconds
        before = bisect_left(seconds, first) - 1
        upto = bisect_right(seconds, last) - 1
        return self._sums[upto] - self._sums[before], upto - before

    def add_to(self, sums: list[Sum], after: Sequence[int]) -> None:
        """Adds to each sum the events after the second that stands at its place."""
        if self.noted:
            self.take_in()
        seconds, stairs = self._seconds, self._stairs
        last = seconds[-1]
        usd, events = self._sums[-1], len(seconds) - 1
        for one, second in zip(sums, after, strict=True):
            if last <= second:
                continue
            before = bisect_right(seconds, second) - 1
            one.usd += usd - self._sums[before]
            one.events += events - before
            step = stairs[0] if stairs[0][0] > second else largest_after(stairs, second)
            if step is not None and (one.largest is None or beats(step, one.largest)):
                one.largest = step

    def forget_until(self, second: int) -> None:
        """Frees what no window reaches any more, once it is an eighth: the rest has to be moved for it."""
        if self.noted:  # what is noted may be older than what would stay
            self.take_in()
        forget_until(self._stairs, second)
        seconds = self._seconds
        if seconds[len(seconds) // 8] <= second:
            gone = bisect_right(seconds, second) - 1
            if gone > 0:
                del seconds[:gone], self._sums[:gone]

    def take_in(self) -> None:
        """Brings the totals up to date with what is noted."""
        noted, self.noted = self.noted, []
        if len(noted) > 1:
            noted.sort()
        in_order = noted[0][0] >= self._seconds[-1]
        came = map(_second, noted), map(_minus, noted)
        if in_order:
            self._append(*came)
        else:
            self._merge(*came)
        climb(self._stairs, noted, in_order)

    def _append(self, seconds: Iterable[int], minuses: Iterable[int]) -> None:
        sums = self._sums
        totals = list(accumulate(minuses, sub, initial=sums[-1]))
        if totals[-1] > _LARGEST:
            sums, totals = self._made_room(totals)
        del totals[0]
        self._seconds.extend(seconds)
        sums.extend(totals)

    def _merge(self, seconds: Iterable[int], minuses: Iterable[int]) -> None:
        """Appends anew what is of the same seconds or later ones, in order with what came late."""
        late = list(zip(seconds, minuses, strict=True))
        at = bisect_right(self._seconds, late[0][0])
        totals = self._sums[at - 1 :]
        late += zip(self._seconds[at:], map(sub, totals, totals[1:]), strict=False)
        late.sort(key=_second)
        del self._seconds[at:], self._sums[at:]
        self._append(map(_second, late), map(_minus, late))

    def _made_room(self, totals: list[int]) -> tuple[MutableSequence[int], list[int]]:
        """Lets all totals, and those given, begin at zero again; where the last is too large still, in numbers of any
        size."""
        base = self._sums[0]
        begun, more = [total - base for total in self._sums], [total - base for total in totals]
        self._sums = begun if more[-1] > _LARGEST else array("Q", begun)
        return self._sums, more


_second = itemgetter(0)
_minus = itemgetter(1)
