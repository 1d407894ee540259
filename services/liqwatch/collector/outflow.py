"""Liquidations on their way to the log: from memory, from the spool when memory ran full, else lost and counted.

Order: the spool holds what is older than memory, and is emptied first. So what one key brought stays in order.
"""

import asyncio
import contextlib
import itertools
import time
from collections import deque
from collections.abc import Callable, Sequence
from pathlib import Path

import structlog

from ..eventlog import Entry
from ..supervise import Outage
from ..topics import LIQUIDATIONS, Topic
from .link import LogLink
from .spool import Damage, Spool, Spooled

_BATCH = 5000  # records of one append
_LOOK = 0.2  # seconds between two looks at the memory while the log is slow
_SPOOL_PAUSE = 5.0  # seconds before a spool that failed or was full is tried again


class Outflow:
    """`put` never waits. `run` appends; `close` brings what is left into the spool."""

    def __init__(
        self,
        link: LogLink,
        spool: Spool,
        memory_limit: int,
        lose: Callable[[Sequence[Entry]], None],
        appended: Callable[[], None],
        damaged: Callable[[Sequence[Damage], Path], None],
    ) -> None:
        self._link, self._spool, self._limit = link, spool, memory_limit
        self._lose, self._appended, self._damaged = lose, appended, damaged
        self._queue: deque[Entry] = deque()
        self._flying: Sequence[Entry] = ()  # from memory, being appended; () while the spool is being emptied
        self._wake = asyncio.Event()
        self._spool_after = self._read_after = 0.0
        self._unreadable = False  # the spool
        self._settled_at = 0.0  # what was put before that moment is in the log
        self._outage = Outage("spool", structlog.get_logger("collector"))

    @property
    def held(self) -> int:
        """Events in memory."""
        return len(self._queue) + len(self._flying)

    @property
    def idle(self) -> bool:
        return not self.held and not self._spool.pending

    def behind(self, seconds: float) -> bool:
        """The log does not have everything yet that was received so many seconds ago."""
        if self._spool.pending:
            return not self._unreadable  # for how long, nobody knows
        return self.held > 0 and time.monotonic() - self._settled_at > seconds

    def put(self, entries: Sequence[Entry]) -> None:
        """Takes events; those that memory has no room for are lost."""
        room = self._limit - self.held
        if len(entries) > room:
            self._lose(entries[max(0, room) :])
            entries = entries[: max(0, room)]
        self._queue.extend(entries)
        self._wake.set()

    async def run(self) -> None:
        """Appends what comes, oldest first; ends only by cancellation."""
        await self._open_spool()
        while True:
            if self._spool.pending and time.monotonic() >= self._read_after:
                await self._empty_spool()
            elif self._queue:
                taken_at = time.monotonic()
                self._flying = [self._queue.popleft() for _ in range(min(_BATCH, len(self._queue)))]
                is_all = not self._queue
                if await self._deliver(LIQUIDATIONS, self._flying, from_memory=True):
                    self._flying = ()
                    if is_all:
                        self._settled_at = taken_at
                    self._appended()
            else:
                self._wake.clear()
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(_SPOOL_PAUSE if self._spool.pending else None):
                        await self._wake.wait()

    async def save(self) -> None:
        """Brings everything in memory into the spool; what that cannot take is lost. `run` is over by now."""
        self._give_back()
        while self._queue:
            saved = await self._spill(len(self._queue))
            if not saved:
                break
        if self._queue:
            self._lose(self._queue)
            self._queue = deque()

    async def _empty_spool(self) -> None:
        try:
            records = await asyncio.to_thread(self._spool.take, _BATCH)
            self._tell_damage()
            for topic, run in itertools.groupby(records, key=lambda record: record.topic):
                await self._deliver(topic, [record.entry for record in run], from_memory=False)
            await asyncio.to_thread(self._spool.done)
        except OSError as error:  # what is on disk stays there; what comes goes on
            self._read_after = time.monotonic() + _SPOOL_PAUSE
            self._unreadable = True
            self._outage.down(words(error))
            return
        self._unreadable = False
        self._appended()
        if not self._spool.pending:
            self._outage.up()

    async def _deliver(self, topic: Topic, entries: Sequence[Entry], *, from_memory: bool) -> bool:
        """Appends. While the log is away memory is spilled; False if these had to go into the spool as well."""
        append = asyncio.create_task(self._link.append(topic, entries), name=f"append {topic.name}")
        try:
            while True:
                done, _ = await asyncio.wait({append}, timeout=_LOOK)
                if done:
                    append.result()
                    return True
                if self.held <= self._limit // 2 or time.monotonic() < self._spool_after:
                    continue
                if from_memory:  # they are older than the rest of memory: first into the spool
                    append.cancel()
                    await asyncio.wait({append}, timeout=1.0)
                    if append.done() and not append.cancelled():
                        return True
                    self._give_back()
                await self._spill(max(1, self._limit // 4))
                if from_memory:
                    return False
        finally:
            if not append.done():
                append.cancel()
                await asyncio.wait({append}, timeout=0.5)

    def _give_back(self) -> None:
        self._queue.extendleft(reversed(self._flying))
        self._flying = ()

    async def _spill(self, most: int) -> int:
        """Moves the oldest of memory into the spool; returns how many it took."""
        chunk = [self._queue.popleft() for _ in range(min(most, len(self._queue)))]
        records = [Spooled(LIQUIDATIONS, entry) for entry in chunk]
        writing = asyncio.ensure_future(asyncio.to_thread(self._spool.append, records))
        taken, why = 0, "it is full"
        try:
            await asyncio.wait({writing})
        except asyncio.CancelledError:
            await asyncio.wait({writing}, timeout=1.0)  # the thread goes on; its answer decides where they are
            raise
        finally:
            if writing.done():
                try:
                    taken = writing.result()
                except OSError as error:
                    why = words(error)
            self._queue.extendleft(reversed(chunk[taken:]))
        if taken < len(chunk):
            self._spool_after = time.monotonic() + _SPOOL_PAUSE
            self._outage.down(why, remedy="bring the log back, or make room; what memory cannot hold is lost")
        return taken

    async def _open_spool(self) -> None:
        try:
            await asyncio.to_thread(self._spool.open)
        except OSError as error:
            self._outage.down(words(error))
            return
        self._tell_damage()
        if self._spool.pending:
            structlog.get_logger("collector").info("spool of an earlier outage found", bytes=self._spool.size)

    def _tell_damage(self) -> None:
        if self._spool.damage and self._spool.aside is not None:
            damage, self._spool.damage = self._spool.damage, []
            self._damaged(damage, self._spool.aside)


def words(error: OSError) -> str:
    """What went wrong on the disk, and where."""
    return f"{error.strerror or error} ({error.filename})" if error.filename else str(error.strerror or error)
