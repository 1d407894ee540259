"""How far each venue was watched in the last month: which hours of the past can be compared with, which days are whole.

Pure. The coverage topic keeps 30 days; a day before that is not whole, because nobody can say so.
"""

from bisect import bisect_right
from collections.abc import Collection, Iterable, Iterator, Sequence
from itertools import accumulate

from ..coverage import CoverageBook, Span
from ..relative import PAST_DAYS
from ..wire import decode_coverage

HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS
_KEEP_MS = (PAST_DAYS + 4) * DAY_MS  # the longest window is 3 days
_AGAIN_MS = 60_000  # looked at anew after so long
_ENOUGH = 0.9  # of an hour, and of the window before it, on the average of the venues: it can be compared with
_WHOLE = 0.99  # of a day, each venue: it was watched in full


class _Spans:
    """Disjoint spans of one venue; how much of them lies before a moment."""

    __slots__ = ("_ends", "_starts", "_sums")

    def __init__(self, spans: Collection[Span]) -> None:
        self._starts = [start for start, _ in spans]
        self._ends = [end for _, end in spans]
        self._sums = list(accumulate((end - start for start, end in spans), initial=0))

    @property
    def start(self) -> int:
        return self._starts[0] if self._starts else 0

    @property
    def end(self) -> int:
        return self._ends[-1] if self._ends else 0

    def inside(self, spans: Iterable[Span]) -> Iterator[int]:
        """How much of each of these, which begin and end in order: much quicker than one by one."""
        starts, ends, sums = self._starts, self._ends, self._sums
        length = len(starts)
        first = last = 0
        for from_ms, to_ms in spans:
            while first < length and ends[first] <= from_ms:
                first += 1
            while last < length and starts[last] < to_ms:
                last += 1
            if first >= last:
                yield 0
                continue
            over = max(0, from_ms - starts[first]) + max(0, ends[last - 1] - to_ms)
            yield sums[last] - sums[first] - over

    def before(self, at_ms: int) -> int:
        number = bisect_right(self._starts, at_ms)
        if number == 0:
            return 0
        return self._sums[number] - max(0, self._ends[number - 1] - at_ms)


class WatchedPast:
    """Give it every record of the coverage topic. `caught_up`: it has had those of the past."""

    def __init__(self, speed: float = 1.0) -> None:
        self.caught_up = False
        self._lag_ms = int(_AGAIN_MS * speed)
        self._book = CoverageBook(_KEEP_MS)
        self._spans: dict[str, _Spans] = {}
        self._changed = False
        self._looked_ms = 0
        self._hours: dict[tuple[str | None, int], tuple[int, frozenset[int]]] = {}

    def take(self, value: bytes) -> None:
        """A record of the topic. Raises `msgspec.DecodeError`."""
        self._book.apply(decode_coverage(value))
        self._changed = True

    def hours(self, scope: str, span_ms: int, now_ms: int) -> frozenset[int] | None:
        """The hours (numbers since the epoch) whose totals over `span_ms` can be compared with; None while it is not
        known. An hour can where the venues of the scope that are watched today were, on their average, watched for
        nine tenths of it and of the window before it. A venue counts from when it was first watched: another one must
        not make unknown what all the others brought before."""
        if not self.caught_up:
            return None
        self._look(now_ms)
        now = now_ms // HOUR_MS
        asked = (_venue_of(scope), span_ms)
        known = self._hours.get(asked)
        if known is None or known[0] != now:
            venues = self._venues(scope, now_ms)
            hours = range(now - PAST_DAYS * 24, now)
            means = _means_since_first(venues, [(hour * HOUR_MS - span_ms, (hour + 1) * HOUR_MS) for hour in hours])
            found = frozenset(hour for hour, mean in zip(hours, means, strict=True) if mean >= _ENOUGH)
            known = self._hours[asked] = now, found
        return known[1]

    def whole_days(self, scope: str, days: int, now_ms: int) -> int | None:
        """How many of the last `days` days each venue of the scope that is watched today was watched in full; None
        while it is not known."""
        if not self.caught_up:
            return None
        self._look(now_ms)
        venues = self._venues(scope, now_ms)
        return sum(
            bool(venues) and min(_share(spans, end - DAY_MS, end) for spans in venues) >= _WHOLE
            for end in (self._newest(now_ms) - day * DAY_MS for day in range(days))
        )

    def forget(self, now_ms: int) -> None:
        """Lets go of what nobody asks for any more."""
        self._book.forget(now_ms)

    def _look(self, now_ms: int) -> None:
        if self._changed and abs(now_ms - self._looked_ms) >= _AGAIN_MS:
            self._spans = {venue: _Spans(self._book.watched(venue)) for venue in self._book.venues}
            self._changed, self._looked_ms = False, now_ms

    def _newest(self, now_ms: int) -> int:
        """What the last minute brought is not on record yet."""
        newest = max((spans.end for spans in self._spans.values()), default=0)
        return newest if now_ms - 2 * self._lag_ms <= newest <= now_ms else now_ms

    def _venues(self, scope: str, now_ms: int) -> list[_Spans]:
        only = _venue_of(scope)
        return [
            spans
            for venue, spans in self._spans.items()
            if (only is None or venue == only) and spans.end > now_ms - DAY_MS
        ]


def _means_since_first(venues: Collection[_Spans], spans: Sequence[Span]) -> list[float]:
    """Average share of each span, each venue's since it was first watched; no more than the share since the first of
    all was. The spans begin and end in order."""
    sums, counts = [0.0] * len(spans), [0] * len(spans)
    for one in venues:
        start = one.start
        for number, (inside, (from_ms, to_ms)) in enumerate(zip(one.inside(spans), spans, strict=True)):
            if start < to_ms:
                sums[number] += inside / (to_ms - (from_ms if from_ms > start else start))
                counts[number] += 1
    first = min((one.start for one in venues), default=0)
    return [
        min(total / count, (to_ms - max(from_ms, first)) / (to_ms - from_ms)) if count else 0.0
        for total, count, (from_ms, to_ms) in zip(sums, counts, spans, strict=True)
    ]


def _share(spans: _Spans, from_ms: int, to_ms: int) -> float:
    return (spans.before(to_ms) - spans.before(from_ms)) / (to_ms - from_ms)


def _venue_of(scope: str) -> str | None:
    return next((part[6:] for part in scope.split(",") if part.startswith("venue=")), None)
