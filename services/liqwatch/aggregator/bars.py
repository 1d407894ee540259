"""Bars: what each minute brought, by venue, base and side. Pure."""

from collections.abc import Iterable

from ..eventlog import Entry
from ..events import LONG, SHORT
from ..wire import Bar, BarRow, Heartbeat, encode, usd_text
from .partition import Owned, Stage
from .window import RollingTotals

GRACE_MS = 1_000  # a minute has passed when events of its last second have had time to come
LEAP_MS = 60_000  # by which the clock has not moved on between two looks, unless it leapt
_AHEAD_MS = 10_000  # a predecessor's clock that was so far ahead of ours was wrong


def passed(minute: int, now_ms: int) -> bool:
    """True when the minute (number since the epoch) is over."""
    return (minute + 1) * 60_000 + GRACE_MS <= now_ms


def without_written(minutes: dict[int, int], beat: Heartbeat | None, now_ms: int) -> dict[int, int]:
    """The minutes that the predecessor had not written: it wrote them all before each of its heartbeats.

    None of them counts as written if its clock was ahead: what came of them later was too late for it.
    """
    if beat is None or beat.as_of_ms > now_ms + _AHEAD_MS:
        return minutes
    return {m: last for m, last in minutes.items() if not (last <= beat.offset and passed(m, beat.as_of_ms))}


def entries(window: RollingTotals, minute: int, owners: list[Owned]) -> list[Entry]:
    """The minute's bars of those partitions."""
    found: dict[int, dict[tuple[str, str], dict[str, tuple[int, int]]]] = {owned.number: {} for owned in owners}
    for leaf, usd, count in window.between(minute * 60, minute * 60 + 59, found):
        found[leaf.partition].setdefault((leaf.venue, leaf.base), {})[leaf.side] = (usd, count)
    return [_entry(owned, minute * 60_000, found[owned.number]) for owned in owners]


def whole(minute: int, now_ms: int, keep_seconds: int) -> bool:
    """True while the window, which keeps so much, has all of the minute: better no new bar than a wrong one."""
    return minute * 60 > now_ms // 1000 - keep_seconds


def before_leap(
    window: RollingTotals, owned: Iterable[Owned], now_ms: int, keep_seconds: int
) -> list[tuple[Owned, Entry]]:
    """The bars that are due and can be made, and cannot any more once the window has gone on to `now_ms`. They are
    due no longer."""
    made: list[tuple[Owned, Entry]] = []
    for one in owned:
        if one.stage is not Stage.REBUILDING:
            for minute in sorted(minute for minute in one.minutes if not whole(minute, now_ms, keep_seconds)):
                del one.minutes[minute]
                if whole(minute, window.now_ms, keep_seconds):
                    made += [(one, entry) for entry in entries(window, minute, [one])]
    return made


def _entry(owned: Owned, minute_ms: int, rows: dict[tuple[str, str], dict[str, tuple[int, int]]]) -> Entry:
    made = []
    for (venue, base), sides in sorted(rows.items()):
        long_usd, long_count = sides.get(LONG, _NONE)
        short_usd, short_count = sides.get(SHORT, _NONE)
        made.append(BarRow(venue, base, usd_text(long_usd), long_count, usd_text(short_usd), short_count))
    bar = Bar(owned.number, minute_ms, owned.generation or 0, tuple(made))
    return Entry(f"{owned.number},{minute_ms}".encode(), encode(bar), minute_ms, owned.number)


_NONE = (0, 0)
