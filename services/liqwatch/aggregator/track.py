"""The history of one side of a scope: the sum of any stretch up to now, exactly. Pure."""

from array import array
from bisect import bisect_right

from .largest import Step, beats, climb_late, forget_until

# Thousands of tracks are spread over memory, and each event goes to two. Handling some events of a track at
# once is several times faster than each by itself; more than this gains little, and they have to be held.
BATCH = 6
_FLOOR: Step = (-1, 0, b"", b"")  # what any record beats or equals


class Track:
    """What came, as running totals: one entry for each second in which something came.

    Any window that ends now is a difference of two entries, found by bisection. So nothing has to be done when
    events leave a window, and five windows cost no more than one. The totals run round, at 2^32 events and at
    2^64 micro-dollars: only differences are used, and those are right below 18 trillion USD.
    """

    __slots__ = ("_counts", "_seconds", "_stairs", "_sums", "pending")

    def __init__(self) -> None:
        # The first entry stands for all that came before the second one.
        self._seconds = array("I", (0,))
        self._counts = array("I", (0,))
        self._sums = array("Q", (0,))
        self._stairs: list[Step] = []
        # Whoever adds appends here, and calls `settle` when there are `BATCH`.
        self.pending: list[Step] = []

    def settle(self) -> None:
        """Writes down what is pending."""
        pending, self.pending = self.pending, []
        pending.sort()
        seconds, counts, sums, stairs = self._seconds, self._counts, self._sums, self._stairs
        last, count, total = seconds[-1], counts[-1], sums[-1]
        top_second, top, _, _ = stairs[-1] if stairs else _FLOOR
        for step in pending:
            second, minus, _, _ = step
            count = count + 1 & 0xFFFFFFFF
            total = total - minus & 0xFFFFFFFFFFFFFFFF
            if second > last:
                last = second
                seconds.append(second)
                counts.append(count)
                sums.append(total)
            elif second == last:
                counts[-1] = count
                sums[-1] = total
            else:
                self._insert(second, minus)
                climb_late(stairs, step)
                top_second, top, _, _ = stairs[-1]
                continue
            if minus > top:
                if second == top_second:
                    continue
            else:
                while stairs and not beats(stairs[-1], step):
                    stairs.pop()
                if stairs and stairs[-1][0] == second:
                    continue
            stairs.append(step)
            top_second, top = second, minus

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
            counts[later] = counts[later] + 1 & 0xFFFFFFFF
            sums[later] = sums[later] - minus & 0xFFFFFFFFFFFFFFFF

    def after(self, second: int) -> tuple[int, int]:
        """Micro-dollars and number of the events after `second`."""
        if self.pending:
            self.settle()
        if self._seconds[-1] <= second:
            return 0, 0
        before = bisect_right(self._seconds, second) - 1
        return self._sums[-1] - self._sums[before] & 0xFFFFFFFFFFFFFFFF, self._counts[-1] - self._counts[
            before
        ] & 0xFFFFFFFF

    def stairs(self) -> list[Step]:
        """The candidates for the largest record."""
        if self.pending:
            self.settle()
        return self._stairs

    def forget_until(self, second: int) -> None:
        """Frees what no window reaches any more, once it is an eighth: the rest has to be moved for it."""
        seconds = self._seconds
        if seconds[len(seconds) // 8] > second:
            return
        if self.pending:
            self.settle()
        forget_until(self._stairs, second)
        gone = bisect_right(seconds, second) - 1
        if gone > 0:
            del seconds[:gone], self._counts[:gone], self._sums[:gone]
