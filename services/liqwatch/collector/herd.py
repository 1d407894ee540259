"""Which venue brings nothing while the others cascade: then it is not quiet, its feed is dead. Pure."""

from collections import deque
from collections.abc import Collection, Iterator, Mapping

_MINUTE_MS = 60_000
_LATE = 5  # minutes of silence
_BEFORE = 60  # minutes that tell what is usual
_LEAST_BEFORE = 30  # fewer say nothing
_SURGE = 3.0  # times the usual: the others cascade
_LEAST_OTHERS = 3  # venues that do
_EXPECTED = 15.0  # events; a live feed brings none of so many once in three million times


class Herd:
    """Counts of events by venue and minute; None for a minute in which the venue was not watched throughout."""

    def __init__(self) -> None:
        self._minutes: dict[str, deque[int | None]] = {}  # completed minutes, the newest last
        self._before: tuple[int, Mapping[str, int], Collection[str]] = (0, {}, ())

    def look(self, totals: Mapping[str, int], watched: Collection[str], now_ms: int) -> bool:
        """`totals`: events so far, by venue. To be called several times a minute; True where one is over."""
        minute = now_ms // _MINUTE_MS
        number, before, were = self._before
        if minute == number:
            self._before = (number, before, set(were) & set(watched))
            return False
        whole = minute == number + 1  # else there was a pause, and nothing can be said of it
        for venue, total in totals.items():
            known = whole and venue in watched and venue in were and venue in before
            minutes = self._minutes.setdefault(venue, deque(maxlen=_BEFORE + _LATE))
            minutes.append(total - before[venue] if known else None)
        self._before = (minute, dict(totals), set(watched))
        return True

    def silent(self) -> dict[str, float]:
        """Venues without an event in the last minutes, and how many were to be expected of them."""
        found: dict[str, float] = {}
        for venue, (late, usual) in self._rates().items():
            surges = sorted(surge for other, surge in self._surges() if other != venue)
            if late or len(surges) < _LEAST_OTHERS:
                continue
            others = surges[len(surges) // 2]  # half of them surge at least so much
            if others >= _SURGE and usual * others >= _EXPECTED:
                found[venue] = usual * others
        return found

    def _rates(self) -> dict[str, tuple[int, float]]:
        """Events of the last minutes, and how many are usual in such a time."""
        rates: dict[str, tuple[int, float]] = {}
        for venue, minutes in self._minutes.items():
            late = [count for count in list(minutes)[-_LATE:] if count is not None]
            before = [count for count in list(minutes)[:-_LATE] if count is not None]
            if len(late) == _LATE and len(before) >= _LEAST_BEFORE:
                rates[venue] = sum(late), sum(before) * _LATE / len(before)
        return rates

    def _surges(self) -> Iterator[tuple[str, float]]:
        for venue, (late, usual) in self._rates().items():
            if usual > 0:
                yield venue, late / usual
