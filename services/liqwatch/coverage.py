"""Which share of a window each venue was really watched. Pure arithmetic on the coverage topic."""

from bisect import bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol

from .eventlog import Record
from .eventlog.thinning import Thinning
from .events import Completeness, VenueCoverage
from .topics import COVERAGE

Span = tuple[int, int]


def merge(spans: Iterable[Span]) -> list[Span]:
    """Sorted, disjoint spans covering the same milliseconds."""
    merged: list[Span] = []
    for start, end in sorted(span for span in spans if span[1] > span[0]):
        if merged and start <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(merged[-1][1], end))
        else:
            merged.append((start, end))
    return merged


def subtract(spans: Iterable[Span], holes: Iterable[Span]) -> list[Span]:
    """`spans` without `holes`."""
    cuts = merge(holes)
    left: list[Span] = []
    first = 0
    for start, end in merge(spans):
        while first < len(cuts) and cuts[first][1] <= start:
            first += 1
        for number in range(first, len(cuts)):
            hole_start, hole_end = cuts[number]
            if hole_start >= end:
                break
            if hole_start > start:
                left.append((start, hole_start))
            start = max(start, hole_end)  # noqa: PLW2901 - what is left of the span
        if start < end:
            left.append((start, end))
    return left


_thinning = Thinning(COVERAGE.supersedes)
_END, _OPEN = b',"to_ms":', b',"open":true,'
_DIGITS = 13  # of milliseconds since 2001


def newest(records: Sequence[Record]) -> list[Record]:
    """Of a batch of the topic the last that each interval has, open and ended, in order.

    An open interval is written anew every few seconds: of a day of it one record in thousands says something. What
    cannot be read is kept, for who takes it to count.
    """
    grown: dict[object, Record] = {}
    for record in reversed(records):
        value = record.value
        begins: object = record.offset
        if value is not None:
            # As the collector writes them, two records of an open interval are the same text up to its end. (Inside a
            # string there would be a backslash before the quote.) Not to parse them is much quicker.
            at = value.rfind(_OPEN)  # found from the end in a third of the time
            if at > 0 and (head := value[: at - _DIGITS]).endswith(_END):
                begins = head
        if begins not in grown:
            grown[begins] = record
    return _thinning.last_of_each(list(reversed(grown.values())))


class Interval(Protocol):
    """A `events.Coverage`, or as much of one as is needed here."""

    @property
    def venue(self) -> str: ...
    @property
    def collector(self) -> str: ...
    @property
    def interval_id(self) -> str: ...
    @property
    def kind(self) -> str: ...
    @property
    def from_ms(self) -> int: ...
    @property
    def to_ms(self) -> int: ...
    @property
    def open(self) -> bool: ...
    @property
    def completeness(self) -> Completeness: ...
    @property
    def ended_by(self) -> str | None: ...


@dataclass(slots=True)
class _Interval:
    venue: str
    collector: str
    kind: str
    start: int
    end: int
    open: bool
    ended_by: str | None


@dataclass(frozen=True, slots=True)
class Gap:
    """A time in which nobody watched a venue. `filled`: what fell in it was read later from the venue's own list."""

    start: int
    end: int
    reason: str
    filled: bool


class CoverageBook:
    """All known intervals of all collectors; answers with shares and gaps.

    A venue counts as watched when at least one collector watched it; a loss by a collector is a hole in that
    collector's own intervals only. A gap that was filled from the venue's own list counts as watched as well.
    """

    def __init__(self, keep_ms: int) -> None:
        self._keep_ms = keep_ms
        self._intervals: dict[str, dict[str, _Interval]] = {}  # by venue, then by id
        self._completeness: dict[str, Completeness] = {}
        self._live: dict[str, list[Span]] = {}  # answers, until a venue's intervals change
        self._watched: dict[str, list[Span]] = {}

    def apply(self, message: Interval) -> None:
        """Takes a message of the topic. The one that ends an interval has the last word: it may set the end back."""
        self._completeness[message.venue] = message.completeness
        self._live.pop(message.venue, None)
        self._watched.pop(message.venue, None)
        mine = self._intervals.setdefault(message.venue, {})
        known = mine.get(message.interval_id)
        if known is not None:
            if not message.open or (known.open and message.to_ms >= known.end):
                known.start, known.end, known.open = message.from_ms, message.to_ms, message.open
                known.collector, known.kind, known.ended_by = message.collector, message.kind, message.ended_by
        else:
            mine[message.interval_id] = _Interval(
                message.venue,
                message.collector,
                message.kind,
                message.from_ms,
                message.to_ms,
                message.open,
                message.ended_by,
            )

    @property
    def venues(self) -> list[str]:
        """Every venue that was ever watched, by name."""
        return sorted(self._completeness)

    def since(self, venue: str) -> int | None:
        """When the venue was first watched, as far as is known."""
        return min((i.start for i in self._of(venue) if i.kind == "watched"), default=None)

    def unfinished(self, venue: str) -> dict[str, int]:
        """Collectors that have not said that they stopped watching, and up to when they are known to have watched."""
        latest: dict[str, _Interval] = {}
        for one in self._of(venue):
            known = latest.get(one.collector)
            if one.kind == "watched" and (known is None or (one.end, not one.open) > (known.end, not known.open)):
                latest[one.collector] = one
        return {collector: one.end for collector, one in latest.items() if one.open}

    def watched(self, venue: str) -> list[Span]:
        """Disjoint spans in which somebody watched the venue and kept what came, or that were filled later."""
        known = self._watched.get(venue)
        if known is None:
            known = self._watched[venue] = merge([*self.live(venue), *self._filled(venue)])
        return known

    def live(self, venue: str) -> list[Span]:
        """Disjoint spans in which somebody watched the venue's stream and kept what came."""
        known = self._live.get(venue)
        if known is not None:
            return known
        spans: list[Span] = []
        for collector in {i.collector for i in self._of(venue)}:
            mine = [i for i in self._of(venue) if i.collector == collector]
            spans += subtract(
                [(i.start, i.end) for i in mine if i.kind == "watched"],
                [(i.start, i.end) for i in mine if i.kind == "lost"],
            )
        known = self._live[venue] = merge(spans)
        return known

    def told_until(self, venue: str, now_ms: int, fresh_ms: int) -> int:
        """Up to when it is known whether the venue was watched.

        Now; or the end, as last written, of an interval that is open and was written in the last `fresh_ms`: it is
        being watched, and to call what came since a gap would be wrong.
        """
        fresh = (i.end for i in self._of(venue) if i.kind == "watched" and i.open and now_ms - i.end < fresh_ms)
        return min(now_ms, max(fresh, default=now_ms))

    def gaps(self, venue: str, from_ms: int, to_ms: int) -> list[Gap]:
        """What of the span nobody watched, oldest first; in parts, where only parts of it were filled."""
        # Of all that ended, or was lost, before or in the gap, what came last is its reason.
        ends = sorted(
            (i.end, i.ended_by or ("not heard of since" if i.open else "ended"))
            for i in self._of(venue)
            if i.kind != "filled"
        )
        moments = [end for end, _ in ends]
        whole = subtract([(from_ms, to_ms)], self.live(venue))
        missed = subtract(whole, self._filled(venue))
        parts = sorted([(*span, False) for span in missed] + [(*span, True) for span in subtract(whole, missed)])
        gaps: list[Gap] = []
        number = 0
        for start, end, is_filled in parts:
            while whole[number][1] < end:
                number += 1
            before = bisect_right(moments, whole[number][1])
            gaps.append(Gap(start, end, ends[before - 1][1] if before else "not watched before", is_filled))
        return gaps

    def _of(self, venue: str) -> Iterable[_Interval]:
        return self._intervals.get(venue, {}).values()

    def _filled(self, venue: str) -> list[Span]:
        return [(i.start, i.end) for i in self._of(venue) if i.kind == "filled"]

    def share(self, venue: str, from_ms: int, to_ms: int) -> float:
        """Watched share of the span, 0 to 1."""
        if to_ms <= from_ms:
            return 0.0
        inside = sum(max(0, min(end, to_ms) - max(start, from_ms)) for start, end in self.watched(venue))
        return min(1.0, inside / (to_ms - from_ms))

    def shares(self, from_ms: int, to_ms: int) -> tuple[VenueCoverage, ...]:
        """Every venue that was ever watched, by name."""
        return tuple(
            VenueCoverage(venue=venue, completeness=kind, share=self.share(venue, from_ms, to_ms))
            for venue, kind in sorted(self._completeness.items())
        )

    def forget(self, now_ms: int) -> None:
        """Drops intervals that ended before the longest window any more asked for."""
        limit = now_ms - self._keep_ms
        self._live.clear()
        self._watched.clear()
        for venue, mine in self._intervals.items():
            self._intervals[venue] = {key: i for key, i in mine.items() if i.end > limit}
