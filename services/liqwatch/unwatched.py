"""`liqwatch coverage`: which share of a span each venue was watched, and when it was not."""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from .alerter.text import duration, moment
from .amounts import counted
from .assembly import build_log
from .clock import Clock
from .coverage import CoverageBook, Gap, newest
from .eventlog import LogError, Record, since
from .following import read_to_the_end
from .settings import Settings
from .topics import COVERAGE
from .wire import UNREADABLE, decode_coverage

_BEFORE_MS = 3_600_000  # so much earlier is read, for what ended just before the span
_FRESH_MS = 30_000  # an open interval is written every few seconds
_KEPT = COVERAGE.retention or timedelta.max
_THIN_ABOVE = 10_000  # records; an open interval has thousands, of which the last says all


@dataclass(frozen=True, slots=True)
class Watched:
    """A venue in a span of time. Milliseconds since the epoch."""

    venue: str
    completeness: str
    share: float  # 0 to 1; what was filled from the venue's own list counts as watched
    is_watched: bool  # now
    gaps: Sequence[Gap]  # oldest first

    @property
    def longest_ms(self) -> int:
        """Of the gaps that were not filled."""
        return max((gap.end - gap.start for gap in self.gaps if not gap.filled), default=0)


async def read(settings: Settings, span: timedelta, only: Collection[str] = ()) -> tuple[int, int, list[Watched]]:
    """From when, to when, and each venue that anybody watched, by name. Raises `LogError`.

    A longer span than the log keeps is looked at as far as it keeps it: what was before is forgotten, not unwatched.
    """
    if span < timedelta(milliseconds=1):
        raise LogError("there is nothing to look at in a span of no time; --since says how far back: 1h, 7d")
    clock = Clock()
    to_ms = clock.now_ms()
    from_ms = to_ms - int(min(span, _KEPT).total_seconds() * 1000)
    last: dict[tuple[int, int], Record] = {}
    limit = _THIN_ABOVE
    log = build_log(settings, clock, read_only=True)
    await log.open()
    try:

        def take(record: Record) -> None:
            nonlocal limit
            last[record.partition, record.offset] = record
            if len(last) > limit:
                _thin(last)
                # Twice what is needed: were it less, with many intervals all would be looked at for each record.
                limit = max(_THIN_ABOVE, 2 * len(last))

        await read_to_the_end(log, COVERAGE, take, start=since(from_ms - _BEFORE_MS))
    finally:
        await log.close(timeout=3)
    _thin(last)
    return from_ms, to_ms, judge(last.values(), from_ms, to_ms, only)


def _thin(last: dict[tuple[int, int], Record]) -> None:
    kept = newest(list(last.values()))
    last.clear()
    last.update({(one.partition, one.offset): one for one in kept})


def judge(records: Collection[Record], from_ms: int, to_ms: int, only: Collection[str] = ()) -> list[Watched]:
    """What the records of the coverage topic say of the span; what cannot be read says nothing."""
    book = CoverageBook(keep_ms=to_ms)
    kinds: dict[str, str] = {}
    for record in records:
        try:
            message = decode_coverage(record.value or b"")
        except UNREADABLE:
            continue
        book.apply(message)
        kinds[message.venue] = message.completeness
    found = []
    for venue in book.venues:
        if not only or venue in only:
            told_ms = book.told_until(venue, to_ms, _FRESH_MS)
            gaps = book.gaps(venue, from_ms, told_ms)
            is_watched = not (gaps and gaps[-1].end == to_ms)
            found.append(Watched(venue, kinds[venue], book.share(venue, from_ms, told_ms), is_watched, gaps))
    return found


def as_object(from_ms: int, to_ms: int, found: Sequence[Watched]) -> dict[str, Any]:
    """For machines; the gaps as `/api/v1/gaps` has them."""
    return {
        "from_ms": from_ms,
        "to_ms": to_ms,
        "venues": [
            {
                "venue": one.venue,
                "completeness": one.completeness,
                "share": round(one.share, 6),
                "watched": one.is_watched,
                "gaps": [
                    {"from_ms": gap.start, "to_ms": gap.end, "reason": gap.reason, "filled": gap.filled}
                    for gap in one.gaps
                ],
            }
            for one in found
        ],
    }


def words(from_ms: int, to_ms: int, found: Sequence[Watched]) -> Iterator[str]:
    """For people: a line for each venue, then one for each gap."""
    is_all = to_ms - from_ms >= _KEPT // timedelta(milliseconds=1)
    yield f"from {moment(from_ms)} to {moment(to_ms)}{f'; the log keeps {_KEPT.days} days' if is_all else ''}"
    if not found:
        yield "nobody has watched any venue in this time"
        return
    width = max(len(one.venue) for one in found)
    for one in found:
        now = "watched" if one.is_watched else "NOT WATCHED"
        number = sum(not gap.filled for gap in one.gaps)
        longest = f", the longest {duration(one.longest_ms)}" if number else ""
        gaps = f"{counted(number, 'gap')}{longest}"
        yield f"{one.venue:{width}}  {_percent(one.share):>7}  {now:11}  {gaps}"
    every = [(gap, one.venue) for one in found for gap in one.gaps]
    if every:
        yield ""
    for gap, venue in sorted(every, key=lambda pair: (pair[0].start, pair[1])):
        until = "still open" if gap.end == to_ms else f"to {moment(gap.end)}"
        filled = "; filled from the venue's own list" if gap.filled else ""
        lasted = duration(gap.end - gap.start) if gap.end - gap.start >= 1000 else f"{gap.end - gap.start} ms"
        yield f"{venue:{width}}  {moment(gap.start)} {until}  {lasted}: {gap.reason}{filled}"


def _percent(share: float) -> str:
    shown = share * 100 if share in (0.0, 1.0) else min(max(share * 100, 0.1), 99.9)
    return f"{shown:.1f} %"
