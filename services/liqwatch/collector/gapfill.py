"""Fills a venue's gaps from its own list, and compares that list with what the stream brought, now and then."""

import asyncio
import random
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import structlog

from ..clock import Clock
from ..coverage import CoverageBook, Gap, Span, merge, subtract
from ..eventlog import Log, LogClosed, LogError
from ..events import Coverage, Reason
from ..metrics import CollectorMetrics
from ..supervise import Backoff, Outage
from ..venues.base import BadRow, History, Instruments, Venue
from ..wire import Liquidation
from .follow import CoverageFollower
from .history import HistoryFailed, HistoryReader, Reading
from .matching import missing
from .readback import read_back
from .watch import LIMITS, Limits

_TOGETHER_MS = 10 * 60_000  # gaps so near to each other are one question
# A list that settles so late is where the venue's flags come from, not its stream: it is read more often, and what is
# new in it was not missed.
_LATE_LIST_MS = 30 * 60_000
_LATE_LIST_SECONDS = 300.0
_OVERLAP_MS, _LATE_OVERLAP_MS = 10 * 60_000, 2 * 3_600_000  # read once more with the next: some rows come later still
_MOST_TRIES = 20  # of one gap; it stays visible
_LONGEST_WAIT = 600.0  # seconds, after many failures
_BEFORE_MS = 3_600_000  # what was liquidated so shortly before is asked for, though it trades no more
# A collector that is not heard of may be cut off from the log, or empty its spool, and still bring what it received.
# Seconds from its last word, and from when we could use the log again: then it counts as killed.
_WAITED_FOR = 120.0
_LOOKS, _LOOK_AGAIN = 20, 0.5  # until the log has what was filled in


class NotReady(Exception):
    """What was received is not all in the log yet: nothing can be compared."""


@dataclass
class Filler:
    """`run` ends only by cancellation. `missed` and `filled` count events since the start."""

    venue: Venue
    history: History
    reader: HistoryReader
    log: Log
    follower: CoverageFollower
    clock: Clock
    metrics: CollectorMetrics
    collector: str
    compare_every: float  # seconds
    ready: Callable[[], bool]  # every event can be understood, and what came is in the log
    publish: Callable[[Sequence[Liquidation]], None]
    reject: Callable[[str, BadRow], None]
    learn: Callable[[str], bool]  # asks for a symbol that is not known; False if the venue's lists do not have it
    say: Callable[[Coverage], None]
    # Contracts that traded after that time, by the lists or by these events, and trade no more.
    delisted: Callable[[int, Sequence[Liquidation]], Instruments]
    limits: Limits = LIMITS
    missed: int = 0
    filled: int = 0
    _log: Any = None
    _done: list[Span] = field(default_factory=list)  # filled by us; the topic says so a moment later
    _tries: Counter[int] = field(default_factory=Counter)  # by the beginning of a gap
    _compared_ms: int = 0
    _compare_at: float = 0.0
    _comparing: bool = False
    _unready_ms: int = 0  # when the log, or the list of instruments, last failed us
    _backoff: Backoff = field(init=False)  # of all questions
    _compare_backoff: Backoff = field(init=False)

    def __post_init__(self) -> None:
        speed = self.clock.speed
        self._log = structlog.get_logger("collector").bind(venue=self.venue.name)
        self._edge_ms = int(self.limits.edge * 1000 * speed)
        self._settles_ms = int(max(self.history.settles.total_seconds() * 1000, self.limits.appended * 1000 * speed))
        self._unready_ms = self.clock.now_ms()
        self._waited_ms = int(_WAITED_FOR * 1000 * speed)
        self._sure_ms = self._edge_ms + int(self.limits.appended * 1000 * speed)
        self._reaches_ms = int(self.history.reaches.total_seconds() * 1000)
        self._late_list = self._settles_ms >= _LATE_LIST_MS
        every = min(self.compare_every, _LATE_LIST_SECONDS) if self._late_list else self.compare_every
        self._compare_ms, self._compare_seconds = int(self.compare_every * 1000), every / speed
        self._backoff = Backoff(first=self.limits.history_retry, cap=_LONGEST_WAIT)
        self._compare_backoff = Backoff(first=self.limits.history_retry, cap=_LONGEST_WAIT)

    async def run(self) -> None:
        """Fills and compares until cancelled; what fails is tried again, ever more rarely."""
        outage = Outage("history", self._log)
        while True:
            wait = self.limits.gaps * (0.5 + random.random())  # noqa: S311 - two collectors need not ask at once
            try:
                if not self.ready():
                    raise NotReady
                if self.follower.caught_up and await self._once():
                    self._backoff.reset()
                    if not self._compare_backoff.failures:
                        outage.up()
            except (NotReady, LogClosed):
                self._unready_ms = self.clock.now_ms()
            except (HistoryFailed, LogError, TimeoutError) as error:
                self.metrics.history_failures.labels(self.venue.name).inc()
                asked = getattr(error, "wait", 0.0)
                delay = self._put_off(asked)
                wait = max(wait, asked if self._comparing else delay)
                outage.down(str(error) or "the log does not answer", retry_seconds=round(max(wait, delay), 1))
            except Exception as error:
                self._log.error("the history failed", exc_info=error)
                wait = max(wait, self._put_off(30.0))
            await asyncio.sleep(wait)

    def _put_off(self, at_least: float) -> float:
        """Seconds until what failed is tried again. A comparison waits by itself: meanwhile gaps have their turn."""
        if not self._comparing:
            return self._backoff.next(at_least)
        delay = self._compare_backoff.next(at_least)
        self._compare_at = time.monotonic() + delay
        return delay

    async def _once(self) -> bool:
        """Does the most urgent thing; True if there was one, and it went well."""
        self._comparing = False
        horizon = self.clock.now_ms() - self._settles_ms
        reached = horizon - self._reaches_ms
        self._done = [span for span in self._done if span[1] > reached]
        self._tries = Counter({start: tries for start, tries in self._tries.items() if start > reached})
        gaps = open_gaps(self.follower.book, self.venue.name, horizon, self._reaches_ms, self._compare_ms, self._done)
        known_ms = self._known_until(horizon)
        gaps = [gap for gap in gaps if self._tries[gap.start] < _MOST_TRIES and gap.end <= known_ms]
        if time.monotonic() >= self._compare_at and known_ms == horizon:
            overlap = _LATE_OVERLAP_MS if self._late_list else _OVERLAP_MS
            since = min(self._compared_ms or horizon, horizon - self._compare_ms + overlap) - overlap
            self._comparing = True
            await self._sweep(max(since, reached), horizon, horizon, gaps)
            self._compare_backoff.reset()
            self._compared_ms, self._compare_at = horizon, time.monotonic() + self._compare_seconds
            return True
        if gaps:
            least = min(self._tries[gap.start] for gap in gaps)  # one that keeps failing does not starve the others
            await self._sweep(*newest([gap for gap in gaps if self._tries[gap.start] == least]), horizon, gaps)
            return True
        return False

    def _known_until(self, horizon: int) -> int:
        """Up to when the log has what the others received, where a row that they still bring could not be told from
        one of the list."""
        if self.history.same_ids:
            return horizon
        now_ms, others = self.clock.now_ms(), self.follower.book.unfinished(self.venue.name)
        waited_for = [
            end - self._sure_ms
            for collector, end in others.items()
            if collector != self.collector and now_ms - max(end, self._unready_ms) < self._waited_ms
        ]
        return min([horizon, *waited_for])

    async def _sweep(self, since_ms: int, until_ms: int, horizon: int, gaps: Sequence[Gap]) -> None:
        """Reads the list, fills in what is missing, and says which gaps are filled thereby."""
        reading, failure = Reading(), None
        from_ms, to_ms = since_ms - self._edge_ms, min(until_ms + self._edge_ms, horizon)
        inside = [gap for gap in gaps if gap.start < until_ms and gap.end > since_ms]
        delisted = await self._delisted(from_ms, to_ms)
        try:
            await self.reader.read(from_ms, to_ms, reading, delisted)
        except HistoryFailed as error:  # what could be read is filled in all the same
            failure = error
        left = await self._add(reading, from_ms, to_ms)
        failure = failure or self._not_understood(reading)
        if failure is not None:
            self._tries.update(gap.start for gap in inside)
            raise failure
        for address, row in reading.bad_rows:
            self.reject(address, row)
        for gap in inside:
            self._say_filled(max(gap.start, since_ms), min(gap.end, until_ms), gap.reason, left)

    async def _delisted(self, from_ms: int, to_ms: int) -> Instruments:
        """What has to be asked for besides what trades now, of a list that is asked contract by contract."""
        if not self.reader.by_contract:
            return {}
        return self.delisted(from_ms, await self._known(from_ms - _BEFORE_MS, to_ms))

    def _not_understood(self, reading: Reading) -> HistoryFailed | None:
        """Rows of a new listing are read again once the instruments were; who says they are filled loses them."""
        symbols = {row.symbol for _, row in reading.bad_rows if row.reason is Reason.UNKNOWN_SYMBOL and row.symbol}
        wanted = [symbol for symbol in sorted(symbols) if self.learn(symbol)]
        return HistoryFailed(f"it has unknown symbols: {', '.join(wanted[:3])}"[:200]) if wanted else None

    async def _add(self, reading: Reading, from_ms: int, to_ms: int) -> Sequence[Liquidation]:
        """Publishes what the log does not have, and returns it once the log has it."""
        if not reading.events:
            return ()
        resolution = self.history.resolution_ms
        known = await self._known(from_ms - resolution, to_ms + resolution)
        left = missing(reading.events, known, same_ids=self.history.same_ids, resolution_ms=resolution)
        if not left:
            return ()
        left.sort(key=lambda event: event.event_time_ms)
        self.publish(left)
        watched = [
            (start + self._edge_ms, end - self._edge_ms) for start, end in self.follower.book.live(self.venue.name)
        ]
        missed = [
            event
            for event in left
            if not self._late_list and any(start < event.event_time_ms < end for start, end in watched)
        ]
        self._count(left, missed)
        wanted = {event.event_id for event in left}
        for _ in range(_LOOKS):
            await asyncio.sleep(_LOOK_AGAIN)
            wanted -= {event.event_id for event in await self._known(from_ms - resolution, to_ms + resolution)}
            if not wanted:
                return left
        raise HistoryFailed("the log does not show what was filled in")  # asked again ever more rarely

    async def _known(self, from_ms: int, to_ms: int) -> Sequence[Liquidation]:
        if not self.ready():
            raise NotReady
        return await read_back(self.log, self.venue.name, from_ms, to_ms)

    def _count(self, left: Sequence[Liquidation], missed: Sequence[Liquidation]) -> None:
        name = self.venue.name
        self.missed += len(missed)
        self.filled += len(left) - len(missed)
        self.metrics.missed.labels(name).inc(len(missed))
        self.metrics.filled.labels(name).inc(len(left) - len(missed))
        if missed:
            self._log.warning(
                "the stream missed events that the venue's list has; they were filled in",
                events=len(missed), first_ms=missed[0].event_time_ms, last_ms=missed[-1].event_time_ms,
            )  # fmt: skip

    def _say_filled(self, from_ms: int, to_ms: int, reason: str, left: Sequence[Liquidation]) -> None:
        events = sum(from_ms - self._edge_ms <= event.event_time_ms <= to_ms + self._edge_ms for event in left)
        self._done = merge([*self._done, (from_ms, to_ms)])
        self._log.info("gap filled", from_ms=from_ms, to_ms=to_ms, events=events, reason=reason)
        self.say(
            Coverage(
                venue=self.venue.name,
                collector=self.collector,
                interval_id=f"{self.collector}:{self.venue.name}:filled:{from_ms}",
                kind="filled",
                from_ms=from_ms,
                to_ms=to_ms,
                open=False,
                completeness=self.venue.completeness,
                ended_by=reason,
                events_filled=events,
            )
        )


def open_gaps(
    book: CoverageBook, venue: str, horizon: int, reaches_ms: int, compare_ms: int, done: Sequence[Span]
) -> list[Gap]:
    """What nobody watched or filled, and the list may still have; oldest first.

    Before the venue was first watched that is no gap, but for the little that is compared at the start. A gap that
    still grows is left alone until it is worth a question.
    """
    first = book.since(venue)
    since = max(horizon - reaches_ms, min(horizon - compare_ms, horizon if first is None else first))
    gaps: list[Gap] = []
    for gap in book.gaps(venue, since, horizon):
        if gap.filled:
            continue
        for start, end in subtract([(gap.start, gap.end)], done):
            if end < horizon or end - start >= _TOGETHER_MS:
                gaps.append(Gap(start, end, gap.reason, False))
    return gaps


def newest(gaps: Sequence[Gap]) -> Span:
    """The newest gap, with those before it that are near."""
    *older, last = gaps
    start = last.start
    for gap in reversed(older):
        if start - gap.end > _TOGETHER_MS:
            break
        start = gap.start
    return start, last.end
