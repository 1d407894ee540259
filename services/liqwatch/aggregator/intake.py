"""From the log into the window: reads liquidations, follows the group's assignments, and rebuilds."""

import asyncio
from collections.abc import Callable, Sequence

import structlog

from ..clock import Clock
from ..eventlog import NOTHING_ASSIGNED, Assignment, Log, LogUnavailable, Member, Record
from ..metrics import AggregatorMetrics, ServiceMetrics
from ..supervise import Backoff
from ..wire import UNREADABLE, decode_liquidation
from . import bars
from .partition import Owned, Stage
from .predecessor import predecessors
from .window import FUTURE_MS, Added, RollingTotals

_FETCH_SECONDS = 0.25
_BREATH = 500  # records between two chances for the rest of the loop
_MOST_TIMES = 10_000


class Intake:
    """Keeps the window and the held partitions in step with the log."""

    def __init__(
        self,
        log: Log,
        window: RollingTotals,
        clock: Clock,
        metrics: AggregatorMetrics,
        service_metrics: ServiceMetrics,
        wake: Callable[[], None],
    ) -> None:
        self._log = log
        self._window = window
        self._clock = clock
        self._metrics = metrics
        self._service_metrics = service_metrics
        self._wake = wake
        self._lost = 0
        self._histories: set[asyncio.Task[None]] = set()
        self._failure: BaseException | None = None  # of one of them
        self.assignment: Assignment = NOTHING_ASSIGNED
        self.owned: dict[int, Owned] = {}
        self.received_ms: list[int] = []  # of the events that the next flush publishes
        self.on_leap: Callable[[int], None] = lambda now_ms: None  # called before the window leaps to that time

    def advance(self) -> None:
        """Moves the window on to the present."""
        now_ms = self._clock.now_ms()
        if now_ms - self._window.now_ms > bars.LEAP_MS:
            self.on_leap(now_ms)
        self._window.advance(now_ms)

    async def take(self, member: Member) -> None:
        """Fetches once, and takes in what came. Raises `LogError`, also the one that reading the history met."""
        if self._failure is not None:
            raise self._failure
        records = await member.fetch(_FETCH_SECONDS)
        if member.assignment is not self.assignment:
            self.follow(member.assignment)
        if member.lost > self._lost:
            self._service_metrics.offset_gap.inc(member.lost - self._lost)
            self._lost = member.lost
        for start in range(0, len(records), _BREATH):
            self.count(records[start : start + _BREATH])
            await asyncio.sleep(0)
        positions = member.positions()
        for owned in self.owned.values():
            if not owned.reached:
                owned.behind = max(0, owned.end - positions.get(owned.number, 0))
                owned.reached = owned.behind == 0
                self._if_caught_up(owned)

    def follow(self, assignment: Assignment) -> None:
        """Lets go of what the group took away, begins anew what is fresh, keeps the rest as it is."""
        gone = self.owned.keys() - (assignment.partitions - assignment.fresh)
        if gone:
            self._window.drop(*gone)
        for number in gone:
            del self.owned[number]
        ends = {number: assignment.end_offsets.get(number, 0) for number in sorted(assignment.fresh)}
        fresh = [Owned(number, end, behind=end) for number, end in ends.items()]
        self.owned.update((owned.number, owned) for owned in fresh)
        self.assignment = assignment
        self._metrics.owned.set(len(self.owned))
        structlog.get_logger("aggregator").info(
            "partitions assigned", generation=assignment.generation, held=len(self.owned), fresh=len(fresh)
        )
        if fresh:
            task = asyncio.create_task(self._read_history(fresh, assignment.generation))
            self._histories.add(task)
            task.add_done_callback(self._history_ended)

    def count(self, records: Sequence[Record]) -> None:
        """Adds records to the window, each counted as what it was."""
        window, owned_by = self._window, self.owned
        add = window.add
        counted = duplicates = late = future = unreadable = 0
        self.advance()
        for record in records:
            owned = owned_by.get(record.partition)
            if owned is None:
                continue
            owned.offset = record.offset
            try:
                event = decode_liquidation(record.value or b"")
                time_ms = event.event_time_ms
                # Told by the event alone, so that a rebuild says the same.
                ahead = time_ms - event.received_time_ms > FUTURE_MS
                added = _FUTURE if ahead else add(event, record.partition, record.value)
            except UNREADABLE:
                unreadable += 1
                continue
            if added is _COUNTED:
                counted += 1
                owned.minutes[time_ms // 60_000] = record.offset
                if owned.stage is _LIVE and len(self.received_ms) < _MOST_TIMES:
                    self.received_ms.append(event.received_time_ms)
            elif added is _LATE:
                if owned.stage is _REBUILDING:
                    window.remember(event, record.partition)
                else:
                    late += 1
            elif added is _FUTURE:
                future += 1
            else:
                duplicates += 1
        self._metrics.counted.inc(counted)
        self._metrics.duplicates.inc(duplicates)
        self._metrics.late.inc(late)
        self._metrics.future.inc(future)
        self._count_unreadable(unreadable)
        if counted and any(owned.stage is not _REBUILDING for owned in owned_by.values()):
            self._wake()

    async def close(self) -> None:
        """Ends what still reads."""
        for task in self._histories:
            task.cancel()
        await asyncio.gather(*self._histories, return_exceptions=True)

    async def _read_history(self, fresh: list[Owned], group_generation: int) -> None:
        backoff = Backoff(cap=5.0)
        while True:
            try:
                found = await predecessors(self._log, [owned.number for owned in fresh])
                break
            except LogUnavailable:
                await asyncio.sleep(backoff.next())
        self._count_unreadable(sum(one.unreadable for one in found.values()))
        for owned in fresh:
            owned.inherit(found[owned.number], group_generation)
            self._if_caught_up(owned)

    def _history_ended(self, task: asyncio.Task[None]) -> None:
        self._histories.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            self._failure = error

    def _count_unreadable(self, records: int) -> None:
        if records:
            self._service_metrics.unreadable.inc(records)
            structlog.get_logger("aggregator").warning("records of the log cannot be read", records=records)

    def _if_caught_up(self, owned: Owned) -> None:
        if owned.stage is Stage.REBUILDING and owned.reached and owned.generation is not None:
            owned.minutes = bars.without_written(owned.minutes, owned.beat, self._clock.now_ms())
            owned.stage = Stage.ANNOUNCING
            self._wake()


_COUNTED, _LATE, _FUTURE = Added.COUNTED, Added.LATE, Added.FUTURE
_REBUILDING, _LIVE = Stage.REBUILDING, Stage.LIVE
