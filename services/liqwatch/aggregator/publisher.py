"""From the window to the log: totals as soon as they change, the rest once a second, bars once a minute."""

import asyncio
import time
from collections.abc import Collection, Iterable, Sequence
from itertools import islice

from ..clock import Clock
from ..eventlog import Entry, Log
from ..metrics import AggregatorMetrics
from ..topics import BARS, TOTALS, Topic
from . import rows
from .duebars import DueBars
from .gauges import Gauges
from .intake import Intake
from .partition import Owned, Row, Stage
from .pending import ALL, Pending, RowKey
from .window import RollingTotals

APPEND_SECONDS = 10.0
BURY_SECONDS = 5.0  # from a row's zero to its tombstone
_ANNOUNCED = 2_000  # rows an append, of a partition that has just caught up
_SPREAD_SECONDS = 0.5  # over so much of its second the rows of a tick are spread: their readers have other work too
AGAIN_FIRST_SECONDS = 30.0  # from a partition's announcement to the second writing of its rows
AGAIN_EVERY_SECONDS = 600.0
_AGAIN_A_TICK = 200


class Publisher:
    """Writes what readers have to know of the held partitions.

    The rows of `all` have a way of their own, so that a crossing waits for no other row. On each way one write comes
    after the other: rows of a key never overtake.
    """

    def __init__(
        self,
        log: Log,
        window: RollingTotals,
        windows: Sequence[str],
        intake: Intake,
        clock: Clock,
        metrics: AggregatorMetrics,
        keep_seconds: int,
    ) -> None:
        self._log = log
        self._window = window
        self._windows = windows
        self._intake = intake
        self._clock = clock
        self._metrics = metrics
        self._gauges = Gauges(window, windows, metrics)
        self._pending = Pending(windows)
        self._bars = DueBars(window, intake, keep_seconds)
        intake.on_leap = self._bars.save
        self._writing_all = asyncio.Lock()

    @property
    def unfinished(self) -> bool:
        """The last flush had more rows to write than it took."""
        return self._pending.unfinished

    async def flush_all(self) -> None:
        """Writes the totals of `all` that have changed. May raise `LogError`."""
        async with self._writing_all:
            self._see_changes()
            received, self._intake.received_ms = self._intake.received_ms, []
            with self._pending.of_all() as due:
                await self._write(due)
        if self._clock.speed == 1.0:
            now_ms = self._clock.now_ms()
            for received_ms in received:
                self._metrics.pipeline_latency.observe(max(0, now_ms - received_ms) / 1000)

    async def flush(self) -> None:
        """Writes the totals of venues and coins that events have changed. May raise `LogError`.

        In a burst they take turns, and some are left: see `unfinished`.
        """
        self._see_changes()
        with self._pending.turn() as due:
            await self._write(due)

    async def announce(self) -> bool:
        """Writes some of the rows of partitions that have caught up; False when there is no more to do."""
        for owned in list(self._intake.owned.values()):
            if owned.stage is not Stage.ANNOUNCING:
                continue
            if not owned.told:
                self._see_changes(begins=True)
                owned.told = True
                scopes = self._window.scopes(owned.number)
                every = dict.fromkeys((name, scope) for scope in scopes for name in self._windows)
                owned.initial.extend(every | dict.fromkeys(owned.published))
            chunk = list(islice(owned.initial, _ANNOUNCED))
            async with self._writing_all:
                await self._write([(owned.number, row) for row in chunk if row[1] == ALL])
            await self._write([(owned.number, row) for row in chunk if row[1] != ALL])
            for _ in chunk:
                owned.initial.popleft()
            if not owned.initial:
                owned.stage = Stage.LIVE
            return True
        return False

    async def tick(self, ends: dict[int, int]) -> None:
        """What goes out once a second: coins at venues, expiry, tombstones, bars, then heartbeats."""
        self._intake.advance()
        as_of_ms = self._window.now_ms
        offsets = {number: owned.offset for number, owned in self._intake.owned.items()}
        self._write_again()
        await self.flush_all()
        await self.flush()
        parts = self._pending.tick()
        for number, part in enumerate(parts):
            if number and self._clock.speed == 1.0:
                await asyncio.sleep(_SPREAD_SECONDS / len(parts))
            with part as due:
                await self._write(due)
            await self.flush()
        await self._bury()
        await self._write_bars(as_of_ms)
        beats = [
            rows.heartbeat(owned, as_of_ms, offsets[number], ends.get(number, owned.offset + 1))
            for number, owned in self._intake.owned.items()
            if owned.stage is Stage.LIVE and number in offsets
        ]
        await self._append(TOTALS, beats)
        self._gauges.show(self._intake.owned.values())

    def _see_changes(self, begins: bool = False) -> None:
        """`begins`: what has changed until now is written anyway."""
        self._intake.advance()
        told = {number for number, owned in self._intake.owned.items() if owned.told}
        if told:
            self._pending.see(self._window.changed(), told)
        elif begins:
            self._window.ignore_changes()

    def _write_again(self) -> None:
        """Now and then every row once more, a few a second.

        What a former owner still had in flight may come to lie behind ours under the same key. Compaction keeps the
        last of a key: who reads later would miss our row until it changes.
        """
        now, left = time.monotonic(), _AGAIN_A_TICK
        for owned in self._intake.owned.values():
            if owned.stage is not Stage.LIVE:
                continue
            if owned.again_at is None:
                owned.again_at = now + AGAIN_FIRST_SECONDS
            if now >= owned.again_at and not owned.again:
                owned.again.extend(owned.published - owned.zero_since.keys())
                owned.again_at = now + AGAIN_EVERY_SECONDS
            while owned.again and left:
                left -= 1
                self._pending.put_off(owned.number, owned.again.popleft())

    async def _write(self, keys: Iterable[RowKey]) -> None:
        by_partition: dict[int, list[Row]] = {}
        for number, row in keys:
            by_partition.setdefault(number, []).append(row)
        built: list[tuple[Owned, dict[Row, rows.Built]]] = []
        for number, wanted in by_partition.items():
            owned = self._intake.owned.get(number)
            if owned is not None and owned.stage is not Stage.REBUILDING:
                built.append((owned, rows.build(self._window, owned, wanted)))
        await self._append(TOTALS, [one.entry for _, found in built for one in found.values()])
        now = time.monotonic()
        for owned, found in built:
            owned.published.update(found)
            for row, one in found.items():
                if one.empty:
                    owned.zero_since[row] = now
                else:
                    owned.zero_since.pop(row, None)

    async def _bury(self) -> None:
        """A tombstone for each row that has been zero for a while."""
        for owned in list(self._intake.owned.values()):
            async with self._writing_all:
                await self._bury_zeros(owned, of_all=True)
            await self._bury_zeros(owned, of_all=False)

    async def _bury_zeros(self, owned: Owned, *, of_all: bool) -> None:
        until = time.monotonic() - BURY_SECONDS
        zeros = [row for row, since in owned.zero_since.items() if since <= until and (row[1] == ALL) is of_all]
        due = [row for row in zeros if self._is_empty(owned, row)]
        now_ms = self._window.now_ms
        await self._append(TOTALS, [Entry(rows.key(owned.number, row), None, now_ms, owned.number) for row in due])
        for row in due:
            del owned.zero_since[row]
            owned.published.discard(row)

    async def _write_bars(self, now_ms: int) -> None:
        while self._bars.any_saved:
            with self._bars.some_saved() as made:
                await self._append(BARS, made)
        for minutes in self._bars.minutes(now_ms):
            with self._bars.of(minutes) as made:
                await self._append(BARS, made)
            await self.flush()

    def _is_empty(self, owned: Owned, row: Row) -> bool:
        return row[0] not in self._windows or self._window.is_empty(owned.number, row[1], row[0])

    async def _append(self, topic: Topic, entries: Collection[Entry]) -> None:
        if entries:
            async with asyncio.timeout(APPEND_SECONDS):
                await self._log.append(topic, list(entries))
