"""Do a venue's sides agree with its prices? Longs are closed by force when prices fall, shorts when they rise. Pure."""

from collections import deque

from ..events import LONG
from .guard import Band

_AGO_MS, _LONG_AGO_MS = 30_000, 300_000  # the latest price that is at least so old is compared with, and so old at most
_MOVE = 0.005  # a smaller move says nothing
_PART_MS = 600_000
_PARTS = 6  # an hour
_LEAST_PARTS = 4  # that have enough to say
_LEAST_VOTES = 5  # of one part


class Sides:
    """One venue's votes of the last hour, in parts of ten minutes."""

    def __init__(self) -> None:
        self._parts: deque[tuple[int, list[int]]] = deque(maxlen=_PARTS)  # number, [against, for]

    def note(self, band: Band, side: str, price: float, at_ms: int) -> None:
        """An event at `price`, beside the recent prices of its symbol."""
        before = next(((ms, old) for ms, old in reversed(band.prices) if at_ms - ms >= _AGO_MS), None)
        if before is None or at_ms - before[0] > _LONG_AGO_MS:
            return
        move = price / before[1] - 1
        if abs(move) < _MOVE:
            return
        number = at_ms // _PART_MS
        if not self._parts or self._parts[-1][0] != number:
            self._parts.append((number, [0, 0]))
        self._parts[-1][1][(move < 0) == (side == LONG)] += 1

    def disagree(self, now_ms: int) -> bool:
        """True where, all through the last hour, most events were on the wrong side of the price's move."""
        first = now_ms // _PART_MS - _PARTS
        telling = [votes for number, votes in self._parts if number > first and sum(votes) >= _LEAST_VOTES]
        if len(telling) < _LEAST_PARTS:
            return False
        against, agreeing = sum(votes[0] for votes in telling), sum(votes[1] for votes in telling)
        return all(votes[0] > votes[1] for votes in telling) and against >= 2 * agreeing
