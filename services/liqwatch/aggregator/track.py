"""The history of one side of a scope: the sum of any stretch up to now, exactly. Pure."""

from array import array
from bisect import bisect_right

from .largest import Step, climb_late, forget_until

# Thousands of tracks are spread over memory, and each event goes to three. Handling some events of a track at
# once is several times faster than each by itself; more than this gains little, and they have to be held.
BATCH = 6
_COUNT = (1 << 32) - 1
_USD = (1 << 64) - 1


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
        pending.sort()  # by second, then by amount
        seconds, counts, sums, stairs = self._seconds, self._counts, self._sums, self._stairs
        last = seconds[-1]
        for step in pending:
            second, amount, event_id, _ = step
            if second > last:
                last = second
                seconds.append(second)
                counts.append(counts[-1] + 1 & _COUNT)
                sums.append(sums[-1] + amount & _USD)
            elif second == last:
                counts[-1] = counts[-1] + 1 & _COUNT
                sums[-1] = sums[-1] + amount & _USD
            else:
                self._insert(second, amount)
                climb_late(stairs, step)
                continue
            # As `climb_late`, for the newest second.
            while stairs:
                top = stairs[-1]
                if top[1] > amount or (top[1] == amount and top[2] < event_id):
                    break
                stairs.pop()
            if not stairs or stairs[-1][0] != second:
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
        if self.pending:
            self.settle()
        if self._seconds[-1] <= second:
            return 0, 0
        before = bisect_right(self._seconds, second) - 1
        return self._sums[-1] - self._sums[before] & _USD, self._counts[-1] - self._counts[before] & _COUNT

    def stairs(self) -> list[Step]:
        """The candidates for the largest record."""
        if self.pending:
            self.settle()
        return self._stairs

    def forget_until(self, second: int) -> None:
        """Frees what no window reaches any more."""
        if self.pending:
            self.settle()
        forget_until(self._stairs, second)
        gone = bisect_right(self._seconds, second) - 1
        if gone > 0:
            del self._seconds[:gone], self._counts[:gone], self._sums[:gone]
