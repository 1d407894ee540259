"""Shadow capture: how much of its liquidations a thinned feed shows, learned from feeds that show all. Pure.

Some venues push at most one order per symbol and second. A complete venue's orders are thinned here by the same rule,
which tells what share of the USD is left, by how busy the symbol is. A push of a thinned venue then stands for its USD
divided by the share of its own busyness. On recorded days of real venues this comes within about a third of the
truth; occupancy formulas are off by more than half, because liquidations cluster.
"""

from bisect import bisect_right
from collections import deque
from dataclasses import dataclass, field
from typing import Literal

Rule = Literal["largest", "first"]  # which order of a second the venue shows
DEAD_MS = 1_000  # from the first order of a push on, further ones of the symbol are part of it
BUSY_MS = 60_000
BUSIEST = 50  # pushes in a minute from which on nearly every second has one: how many more there were, nobody sees
LEAST_PUSHES = 30
_HALF_LIFE_MS = 30 * 86_400_000
# Lower ends of the classes of busyness: pushes of the symbol in the last minute, the push itself among them.
_CLASSES = (0, 2, 4, 8, 16, 28, 40, 50, 55, 58, 59.5)
# What simulated days of all kinds keep, by class: used until enough has been seen.
_USUAL: dict[Rule, tuple[float, ...]] = {
    "first": (0.40, 0.41, 0.37, 0.37, 0.41, 0.26, 0.13, 0.08, 0.03, 0.02, 0.01),
    "largest": (0.86, 0.85, 0.83, 0.85, 0.87, 0.79, 0.73, 0.62, 0.54, 0.42, 0.33),
}


@dataclass(frozen=True, slots=True)
class Push:
    """What one push of a thinned feed stands for."""

    usd: int  # micro-dollars, as shown
    estimated: int  # micro-dollars, with what was withheld
    saturated: bool  # its symbol is too busy to tell
    known: bool  # enough pushes of its class were seen at complete venues


@dataclass(slots=True)
class _Open:
    """A push of a complete venue that is still being gathered."""

    from_ms: int
    first: int
    largest: int
    total: int


@dataclass(slots=True)
class _Class:
    """Sums over the pushes of one class. They fade."""

    pushes: float = 0.0
    kept: dict[Rule, float] = field(default_factory=lambda: {"first": 0.0, "largest": 0.0})
    total: float = 0.0


class Shadow:
    """Told of every order of complete and of thinned venues, in about the order of their times."""

    def __init__(self) -> None:
        self._classes = [_Class() for _ in _CLASSES]
        self._open: dict[tuple[str, str], _Open] = {}
        self._times: dict[tuple[str, str], deque[int]] = {}
        self._faded_ms = 0

    def learn(self, venue: str, symbol: str, at_ms: int, usd: int) -> None:
        """An order of a complete venue; `usd` in micro-dollars."""
        key = (venue, symbol)
        gathered = self._open.get(key)
        if gathered is not None and at_ms < gathered.from_ms + DEAD_MS:
            gathered.largest = max(gathered.largest, usd)
            gathered.total += usd
            return
        if gathered is not None:
            self._close(key, gathered)
        self._open[key] = _Open(at_ms, usd, usd, usd)

    def push(self, venue: str, symbol: str, at_ms: int, usd: int, rule: Rule) -> Push:
        """An order that a thinned venue showed."""
        busy = self._busy((venue, symbol), at_ms)
        number = bisect_right(_CLASSES, busy) - 1
        return Push(
            usd, round(usd / self.kept(rule, number)), busy >= BUSIEST, self._classes[number].pushes >= LEAST_PUSHES
        )

    def kept(self, rule: Rule, number: int) -> float:
        """Which share of the USD a feed of this rule shows, in a class of busyness."""
        share = _USUAL[rule][0]
        for usual, seen in zip(_USUAL[rule][: number + 1], self._classes, strict=False):
            if seen.pushes < LEAST_PUSHES:
                share = usual
            else:  # drawn towards the calmer class as by so many pushes more
                own = seen.kept[rule] / seen.total
                share = (seen.pushes * own + LEAST_PUSHES * share) / (seen.pushes + LEAST_PUSHES)
        return share

    def forget(self, now_ms: int) -> None:
        """Closes what is complete, and lets go of symbols that are quiet."""
        for key, gathered in [one for one in self._open.items() if one[1].from_ms + DEAD_MS <= now_ms]:
            del self._open[key]
            self._close(key, gathered)
        for key in [key for key, times in self._times.items() if times[-1] <= now_ms - BUSY_MS]:
            del self._times[key]

    def _close(self, key: tuple[str, str], gathered: _Open) -> None:
        self._fade(gathered.from_ms)
        if gathered.total <= 0:
            return
        found = self._classes[bisect_right(_CLASSES, self._busy(key, gathered.from_ms)) - 1]
        found.pushes += 1
        found.kept["first"] += gathered.first
        found.kept["largest"] += gathered.largest
        found.total += gathered.total

    def _busy(self, key: tuple[str, str], at_ms: int) -> int:
        times = self._times.get(key)
        if times is None:
            # One push a second: more in a minute are not a thinned feed's, and tell no more.
            times = self._times[key] = deque(maxlen=61)
        times.append(at_ms)
        while times[0] <= at_ms - BUSY_MS:
            times.popleft()
        return len(times)

    def _fade(self, at_ms: int) -> None:
        if at_ms < self._faded_ms + 3_600_000:
            return
        if self._faded_ms:
            factor = 2.0 ** (-(at_ms - self._faded_ms) / _HALF_LIFE_MS)
            for one in self._classes:
                one.pushes *= factor
                one.total *= factor
                one.kept = {rule: kept * factor for rule, kept in one.kept.items()}
        self._faded_ms = at_ms
