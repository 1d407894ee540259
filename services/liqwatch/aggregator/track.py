"""The history of one side of a scope: the sum of any stretch up to now, exactly. Pure."""

from array import array
from bisect import bisect_right

from .largest import Step, climb_late, forget_until

_COUNT = (1 << 32) - 1
_USD = (1 << 64) - 1


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
        self.stairs: list[Step] = []

    def add(self, step: Step) -> None:
        """Writes an event down."""
        second, amount, event_id, _ = step
        seconds, stairs = self._seconds, self.stairs
        last = seconds[-1]
        if second > last:
            seconds.append(second)
            self._counts.append(self._counts[-1] + 1 & _COUNT)
            self._sums.append(self._sums[-1] + amount & _USD)
        elif second == last:
            self._counts[-1] = self._counts[-1] + 1 & _COUNT
            self._sums[-1] = self._sums[-1] + amount & _USD
        else:
            self._insert(second, amount)
            climb_late(stairs, step)
            return
        # Written out here, as all of this function, for it is where the time goes. See `largest.py`.
        while stairs:
            top = stairs[-1]
            if top[1] > amount or (top[1] == amount and top[2] < event_id):
                if top[0] == second:
                    return
                break
            stairs.pop()
        stairs.append(step)

    def _insert(self, second: int, amount: int) -> None:
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
            sums[later] = sums[later] + amount & _USD

    def after(self, second: int) -> tuple[int, int]:
        """Micro-dollars and number of the events after `second`."""
        if self._seconds[-1] <= second:
            return 0, 0
        before = bisect_right(self._seconds, second) - 1
        return self._sums[-1] - self._sums[before] & _USD, self._counts[-1] - self._counts[before] & _COUNT

    def forget_until(self, second: int) -> None:
        """Frees what no window reaches any more."""
        forget_until(self.stairs, second)
        gone = bisect_right(self._seconds, second) - 1
        if gone > 0:
            del self._seconds[:gone], self._counts[:gone], self._sums[:gone]
