"""The last 24 hours as a picture shows them: by minute and side, the rolling total, what was crossed and when. Pure."""

from array import array
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import NamedTuple

from ..amounts import DOLLAR
from ..coins import coin_class
from ..coverage import Span
from ..events import Incident, SideOrBoth, Step
from ..spelling import parse_duration
from ..wire import decode_bar, micros
from .text import exact
from .zones import UTC, Zone

MINUTE_MS = 60_000
DAY_MINUTES = 1440
_HOLD = 3  # numbers of a row: which venue and coin, longs, shorts


@dataclass(frozen=True, slots=True)
class Crossing:
    """When a step was told, at which total, and how the step is written. USD in micro-dollars."""

    at_ms: int
    usd: int
    threshold: int
    words: str


@dataclass(frozen=True, slots=True)
class Day:
    """USD in micro-dollars. The minutes go from `from_ms` to `as_of_ms`; the last one, under way, has no bar yet."""

    title: str
    side: SideOrBoth
    window: str
    from_ms: int
    as_of_ms: int
    longs: Sequence[int]  # by minute
    shorts: Sequence[int]
    rolling: Sequence[int | None]  # of the side, at each minute's end; None where nobody watched
    usd: int  # the same at `as_of_ms`
    crossings: Sequence[Crossing] = ()  # of the incident, oldest first
    gaps: Sequence[Span] = ()  # nobody watched
    zone: Zone = UTC  # of the times that are shown


_Part = tuple[int, "array[int]"]  # generation, rows
Gaps = Callable[[str, int, int], Sequence[Span]]  # scope, from, to


class Sums(NamedTuple):
    """Micro-dollars by minute."""

    longs: list[int]
    shorts: list[int]


@dataclass(frozen=True, slots=True)
class Minutes:
    """What a `MinuteBook` held at some time; for another thread to add up."""

    parts: Sequence[tuple[tuple[int, int], _Part]]
    names: Sequence[tuple[str, str]]

    def sums(self, scope: str, majors: Collection[str], first: int, count: int) -> Sums:
        """`count` minutes from number `first` on (since the epoch), of all partitions."""
        wanted = {number for number, pair in enumerate(self.names) if _is_in(scope, *pair, majors)}
        found = Sums([0] * count, [0] * count)
        for (minute, _), (_, rows) in self.parts:
            at = minute - first
            if 0 <= at < count:
                for start in range(0, len(rows), _HOLD):
                    if rows[start] in wanted:
                        found.longs[at] += rows[start + 1]
                        found.shorts[at] += rows[start + 2]
        return found


class MinuteBook:
    """The bars of the last `keep_ms`, in little room: two days of a busy market take about 20 MB."""

    def __init__(self, keep_ms: int) -> None:
        self.keep_ms = keep_ms
        self._parts: dict[tuple[int, int], _Part] = {}  # minute, partition
        self._numbers: dict[tuple[str, str], int] = {}  # venue, coin

    def take(self, value: bytes) -> None:
        """A record of the bars topic; a newer one of the same minute takes its place. Raises as msgspec does."""
        bar = decode_bar(value)
        key = (bar.minute_ms // MINUTE_MS, bar.partition)
        known = self._parts.get(key)
        if known is not None and known[0] > bar.generation:
            return
        rows = array("q")
        for row in bar.rows:
            number = self._numbers.setdefault((row.venue, row.base), len(self._numbers))
            rows.extend((number, micros(row.long_usd), micros(row.short_usd)))
        self._parts[key] = (bar.generation, rows)

    def forget(self, now_ms: int) -> None:
        """Lets go of what is older than is kept."""
        first = (now_ms - self.keep_ms) // MINUTE_MS
        for key in [key for key in self._parts if key[0] < first]:
            del self._parts[key]

    def minutes(self) -> Minutes:
        """As it is now; what is taken later does not change it."""
        return Minutes(list(self._parts.items()), list(self._numbers))


def day(
    incident: Incident, step: Step, minutes: Minutes, majors: Collection[str], gaps: Sequence[Span], zone: Zone = UTC
) -> Day:
    """The 24 hours before the step. `gaps` are those of the incident's scope in that time; of a minute or less they
    are not shown: what was watched just now is not on record yet."""
    gaps = [(start, end) for start, end in gaps if end - start > MINUTE_MS]
    last = step.at_ms // MINUTE_MS
    first = last - DAY_MINUTES + 1
    window = max(1, round(parse_duration(incident.window).total_seconds() / 60))
    sums = minutes.sums(incident.scope, majors, first - window, DAY_MINUTES + window)
    both = [long + short for long, short in zip(*sums, strict=True)]
    mine = sums.longs if incident.side == "long" else sums.shorts if incident.side == "short" else both
    in_gap = [_covers(gaps, number * MINUTE_MS, (number + 1) * MINUTE_MS) for number in range(first, last + 1)]
    whole = rolling(mine, window)

    def total(one: Step) -> int:
        """At the time of a step; of one that has no figures of it, as far as bars tell."""
        known = _total(incident, one)
        return whole[min(max(one.at_ms // MINUTE_MS - first, 0), DAY_MINUTES - 1)] if known is None else known

    return Day(
        title=step.headline,
        side=incident.side,
        window=incident.window,
        from_ms=first * MINUTE_MS,
        as_of_ms=step.at_ms,
        longs=sums.longs[window:],
        shorts=sums.shorts[window:],
        rolling=[None if hole else usd for usd, hole in zip(whole, in_gap, strict=True)],
        usd=total(step),
        crossings=[_crossing(incident, one, total(one)) for one in _rising(incident, first * MINUTE_MS, step.at_ms)],
        gaps=gaps,
        zone=zone,
    )


def from_ms(at_ms: int) -> int:
    """Where the picture of a step at that time begins."""
    return (at_ms // MINUTE_MS - DAY_MINUTES + 1) * MINUTE_MS


def rolling(usd: Sequence[int], window: int) -> list[int]:
    """At the end of each minute but the first `window`, the sum of so many minutes."""
    total = sum(usd[:window])
    found = []
    for at in range(window, len(usd)):
        total += usd[at] - usd[at - window]
        found.append(total)
    return found


def _rising(incident: Incident, start_ms: int, end_ms: int) -> Iterator[Step]:
    """The steps up, in that time."""
    for one in incident.steps:
        if one.kind in ("fired", "stepped_up") and start_ms <= one.at_ms <= end_ms:
            yield one


def _crossing(incident: Incident, step: Step, usd: int) -> Crossing:
    """Of a rule that is not about totals, a moment without a threshold."""
    threshold = Decimal(step.threshold) if incident.rule_kind == "level" else Decimal(0)
    return Crossing(step.at_ms, usd, int(threshold * DOLLAR), exact(threshold) if threshold else "")


def _total(incident: Incident, step: Step) -> int | None:
    """The total of the incident's scope, side and window: that of the evidence, else what the step was judged by."""
    if step.evidence:
        longs = sum(micros(row.long_usd) for row in step.evidence)
        shorts = sum(micros(row.short_usd) for row in step.evidence)
        return longs if incident.side == "long" else shorts if incident.side == "short" else longs + shorts
    return micros(step.usd) if incident.rule_kind in ("level", "surge", "record") else None


def _covers(spans: Sequence[Span], start: int, end: int) -> bool:
    """True where at least half of the minute is in a gap."""
    inside = sum(max(0, min(end, to) - max(start, begin)) for begin, to in spans)
    return inside * 2 >= end - start


def _is_in(scope: str, venue: str, base: str, majors: Collection[str]) -> bool:
    if scope == "all":
        return True
    parts = dict(part.split("=", 1) for part in scope.split(",") if "=" in part)
    return (
        parts.get("venue", venue) == venue
        and parts.get("base", base) == base
        and ("class" not in parts or coin_class(base, majors) == parts["class"])
    )
