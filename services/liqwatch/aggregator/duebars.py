"""Which bars are to be written next; what could not be written is due once more."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from ..eventlog import Entry
from . import bars
from .intake import Intake
from .partition import Owned, Stage
from .window import RollingTotals

_SAVED_AT_ONCE = 50
_MINUTES_AT_ONCE = 60  # a clock that runs fast brings many a second


class DueBars:
    """The bars of the held partitions. Those handed out are written inside `with`: an exception leaves them due."""

    def __init__(self, window: RollingTotals, intake: Intake, keep_seconds: int) -> None:
        self._window = window
        self._intake = intake
        self._keep = keep_seconds
        self._saved: list[tuple[Owned, Entry]] = []  # made just before the clock leapt

    def save(self, now_ms: int) -> None:
        """Makes those that cannot be made any more once the window has gone on to `now_ms`."""
        self._saved += bars.before_leap(self._window, self._intake.owned.values(), now_ms, self._keep)

    @property
    def any_saved(self) -> bool:
        """There are such, not written yet."""
        return bool(self._saved)

    @contextmanager
    def some_saved(self) -> Iterator[list[Entry]]:
        """The oldest of them, without those of partitions that are not held any more."""
        chunk = self._saved[:_SAVED_AT_ONCE]
        yield [entry for owned, entry in chunk if self._intake.owned.get(owned.number) is owned]
        del self._saved[: len(chunk)]

    def minutes(self, now_ms: int) -> list[Sequence[int]]:
        """The minutes that have passed and whose bars are due, as many together as an append takes."""
        due = sorted({minute for owned in self._live() for minute in owned.minutes if bars.passed(minute, now_ms)})
        return [due[start : start + _MINUTES_AT_ONCE] for start in range(0, len(due), _MINUTES_AT_ONCE)]

    @contextmanager
    def of(self, minutes: Sequence[int]) -> Iterator[list[Entry]]:
        """The bars of these minutes, as far as the window still has all of them."""
        taken: list[tuple[Owned, int, int]] = []
        made: list[Entry] = []
        live = self._live()
        for minute in minutes:
            owners = [owned for owned in live if minute in owned.minutes]
            taken += [(owned, minute, owned.minutes.pop(minute)) for owned in owners]
            if bars.whole(minute, self._window.now_ms, self._keep):
                made += bars.entries(self._window, minute, owners)
        try:
            yield made
        except BaseException:
            for owned, minute, last in taken:
                owned.minutes.setdefault(minute, last)
            raise

    def _live(self) -> list[Owned]:
        return [owned for owned in self._intake.owned.values() if owned.stage is Stage.LIVE]
