"""The history of one side of a scope: the sum of any stretch up to now, exactly. Pure."""

from array import array
from bisect import bisect_right

from .largest import Step, climb_late, forget_until


class Track:
    """What came, as running totals: one entry for each second in which something came.

    Any window that ends now is a difference of two entries, found by bisection. So nothing has to be done when
    events leave a window, and five windows cost no more than one. The totals run round, at 2^32 events and at
    2^64 micro-dollars: only differences are used, and those are right below 18 trillion USD.
    """

    __slots__ = ("_counts", "_seconds", "_sums", "stairs")

    def __init__(self) -> None:
        # The first entry stands for all that came before the second one.
        self._seconds = array("I", (0,))
        self._counts = array("I", (0,))
        self._sums = array("Q", (0,))
        self.stairs: list[Step] = []  # the candidates for the largest record

    def add(self, steps: list[Step]) -> None:
        """Writes events down; `steps` are sorted."""
        seconds, counts, sums, stairs = self._seconds, self._counts, self._sums, self.stairs
        last, count, total = seconds[-1], counts[-1], sums[-1]
        for step in steps:
            second, minus, event_id, _, _ = step
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
                continue
            # As `climb_late` does, for the newest second; written out, for here is where the time goes.
            while stairs:
                top = stairs[-1]
                if top[1] < minus or (top[1] == minus and top[2] < event_id):
                    if top[0] != second:
                        stairs.append(step)
                    break
                stairs.pop()
            else:
                stairs.append(step)

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
        if self._seconds[-1] <= second:
            return 0, 0
        before = bisect_right(self._seconds, second) - 1
        return self._sums[-1] - self._sums[before] & 0xFFFFFFFFFFFFFFFF, self._counts[-1] - self._counts[
            before
        ] & 0xFFFFFFFF

    def forget_until(self, second: int) -> None:
        """Frees what no window reaches any more, once it is an eighth: the rest has to be moved for it."""
        seconds = self._seconds
        if seconds[len(seconds) // 8] > second:
            return
        forget_until(self.stairs, second)
        gone = bisect_right(seconds, second) - 1
        if gone > 0:
            del seconds[:gone], self._counts[:gone], self._sums[:gone]
