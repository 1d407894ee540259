"""The embedded log: one SQLite file, one writing process, any number of readers.

Another process may read while one writes (`read_only=True`); it looks for new records every 20 ms.
"""

import asyncio
import contextlib
import sqlite3
from collections.abc import Callable, Collection, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from ..clock import Clock
from ..topics import TOPICS, Topic, partition_for
from . import (
    EARLIEST,
    Entry,
    LogClosed,
    LogError,
    LogUnavailable,
    Position,
    Record,
    Start,
    TopicState,
    since,
)
from . import sqlite_store as store
from .checks import missing, unfit
from .sqlite_file import WriterLock, connect, in_words, prepare
from .sqlite_reader import PAGE, Place, SqliteMember, SqliteReader
from .sqlite_tail import Tail
from .sqlite_tidy import Tidy
from .sqlite_writer import Append, Call, Outcome, Writer, refuse, resolve
from .thinning import Thinning

T = TypeVar("T")
_WAITING_RECORDS = 200_000
_READING_THREADS = 4
_KEEP_NEWEST = 8 << 20  # about a second of a burst, which who follows it reads within milliseconds
_KEEP_FREE = 32 << 20  # several times the largest commit, and what SQLite holds back before it checkpoints


class SqliteLog:
    """See `eventlog.Log`. `max_bytes` bounds the file; a full one raises `LogUnavailable`, as a full disk does.

    `keep_newest`: bytes of memory for the newest records, which readers then take from there.
    `keep_free`: bytes of the disk that appends leave for housekeeping, which frees nothing where it cannot write.
    """

    def __init__(
        self,
        path: str | Path,
        clock: Clock,
        *,
        read_only: bool = False,
        max_bytes: int | None = None,
        keep_free: int = _KEEP_FREE,
        keep_newest: int = _KEEP_NEWEST,
        tidy_every: float = 15.0,
        compact_after: int = 1_000,
        keep_tombstones: timedelta = timedelta(hours=1),
    ) -> None:
        self._path = Path(path)
        self._clock = clock
        self._read_only = read_only
        self._max_bytes = max_bytes
        self._keep_free = keep_free
        self._tidy_every = tidy_every
        self._compact_after = compact_after
        self._keep_tombstones = keep_tombstones
        self._lock: WriterLock | None = None
        self._writer: Writer | None = None
        self._threads: ThreadPoolExecutor | None = None
        self._topics: dict[str, store.StoredTopic] = {}
        self._ends: dict[int, int] = {}
        self._tail = Tail(keep_newest)
        self._free: list[sqlite3.Connection] = []
        self._readers: set[SqliteReader] = set()
        self._groups: dict[tuple[str, str], list[SqliteMember]] = {}
        self._waiting = 0
        self._room = asyncio.Event()
        self._jobs: set[asyncio.Future[Any]] = set()
        self._closed = False

    async def open(self) -> None:
        self._threads = ThreadPoolExecutor(_READING_THREADS, thread_name_prefix="liqwatch-log")
        try:
            connection, extents = await self._in_thread(self._open_file)
        except BaseException:
            self._let_go()
            raise
        if self._read_only:
            self._free.append(connection)
            return
        self._ends = {slot: extent.next for slot, extent in extents.items()}
        keep_tombstones = _ms(self._keep_tombstones)
        thinnings = {topic.name: Thinning(topic.supersedes) for topic in TOPICS.values() if topic.supersedes}
        tidy = Tidy(connection, extents, self._clock.now_ms, self._compact_after, keep_tombstones, thinnings)
        loop = asyncio.get_running_loop()
        self._writer = Writer(connection, self._path, loop, self._told, tidy, self._tidy_every, self._keep_free)
        self._writer.start()

    async def append(self, topic: Topic, entries: Sequence[Entry]) -> Sequence[Position]:
        stored = self._topics.get(topic.name)
        if self._writing() and stored is None:
            raise missing(topic.name)
        if stored is None or not entries:
            return []
        count = stored.state.partitions
        partitions = [partition_for(e.key, count) if e.partition is None else e.partition for e in entries]
        if not 0 <= min(partitions) <= max(partitions) < count:
            raise ValueError(f"topic {topic.name} has partitions 0 to {count - 1}")
        while self._waiting and self._waiting + len(entries) > _WAITING_RECORDS:
            self._room.clear()
            await self._room.wait()
        self._waiting += len(entries)
        try:
            positions: list[Position] = await self._submit(lambda done: Append(stored, entries, partitions, done))
            return positions
        finally:
            self._waiting -= len(entries)
            self._room.set()

    async def reader(
        self, topic: Topic, *, start: Start = EARLIEST, partitions: Collection[int] | None = None
    ) -> SqliteReader:
        def begin(connection: sqlite3.Connection) -> tuple[store.StoredTopic, dict[int, Place]]:
            stored = store.topic_named(connection, topic.name)
            chosen = sorted(range(stored.state.partitions) if partitions is None else partitions)
            extents = store.extents(connection)
            places = {}
            for partition in chosen:
                slot = stored.slot(partition)
                if start.at == "since":
                    places[partition] = Place(store.first_since(connection, slot, start.since_ms))
                else:
                    extent = extents[slot]
                    places[partition] = Place(extent.start if start == EARLIEST else extent.next)
            return stored, places

        stored, places = await self._on_connection(begin)
        has_holes = topic.compacted or bool(topic.supersedes)
        reader = SqliteReader(self, stored, self._read_only, has_holes, places)
        self._readers.add(reader)
        return reader

    async def member(self, topic: Topic, group: str, *, start: Start | timedelta = EARLIEST) -> SqliteMember:
        if self._writing() and topic.name not in self._topics:
            raise missing(topic.name)
        members = self._groups.setdefault((group, topic.name), [])

        async def take(member: SqliteMember) -> tuple[SqliteReader, int] | None:
            if members[0] is not member:
                return None
            generation = await self._call(lambda c: store.join_group(c, group, topic.name))
            begin = start if isinstance(start, Start) else since(self._clock.now_ms() - _ms(start))
            return await self.reader(topic, start=begin), generation

        def leave(member: SqliteMember) -> None:
            members.remove(member)
            if members:
                members[0].changed.set()

        members.append(SqliteMember(take, leave))
        return members[-1]

    async def describe(self, topic: Topic) -> TopicState | None:
        found = (await self._on_connection(store.topics)).get(topic.name)
        return None if found is None else found.state

    async def create(self, topics: Collection[Topic]) -> Sequence[str]:
        self._writing()
        made = []
        for topic in topics:
            if (there := self._topics.get(topic.name)) is None:
                self._topics[topic.name] = await self._call(partial(store.add_topic, topic=topic))
                made.append(topic.name)
            elif (problem := unfit(topic, there.state)) is not None:
                raise problem
        return made

    async def close(self, timeout: float = 5.0) -> None:
        if self._closed:
            return
        self._closed = True
        for reader in list(self._readers):
            await reader.close()
        for member in [member for members in self._groups.values() for member in members]:
            await member.close()
        stopped = True
        self._close_free()  # before the writer's: the last one to close takes the -wal file away
        if self._writer is not None:
            stopped = await asyncio.to_thread(self._writer.stop, timeout)
            await asyncio.sleep(0)  # lets the last outcomes come in
        for job in list(self._jobs):
            refuse(job)
        self._room.set()
        self._let_go(stopped)

    async def pages(self, wanted: Mapping[int, int]) -> Mapping[int, store.Page]:
        found = self._tail.pages(wanted, PAGE)
        older = {slot: offset for slot, offset in wanted.items() if slot not in found}
        if older:
            found |= await self._on_connection(lambda c: store.page(c, older, PAGE))
        return found

    async def ends(self, topic: store.StoredTopic) -> Mapping[int, int]:
        if self._read_only:
            extents = await self._on_connection(store.extents)
            return {slot: extents[slot].next for slot in topic.slots()}
        return {slot: self._ends[slot] for slot in topic.slots()}

    async def behind(self, topic: store.StoredTopic, wanted: Mapping[int, int]) -> Mapping[int, int]:
        ends = await self.ends(topic)
        return {slot: offset for slot, offset in wanted.items() if offset < ends[slot]}

    def forget(self, reader: SqliteReader) -> None:
        self._readers.discard(reader)

    def _open_file(self) -> tuple[sqlite3.Connection, dict[int, store.Extent]]:
        if self._read_only and not self._path.exists():
            raise LogUnavailable(f"{self._path}: not there yet; start the program that writes it")
        if not self._read_only:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            self._lock = WriterLock(self._path)
        connection = connect(self._path, read_only=self._read_only)
        try:
            prepare(connection, self._path, read_only=self._read_only)
            if self._max_bytes is not None:
                size = connection.execute("PRAGMA page_size").fetchone()[0]
                connection.execute(f"PRAGMA max_page_count={self._max_bytes // size}")
            if not self._read_only:
                store.keep_extents(connection)
            self._topics = store.topics(connection)
            return connection, store.extents(connection)
        except BaseException:
            connection.close()
            raise

    def _told(self, outcomes: list[Outcome], ends: dict[int, int], fresh: Mapping[int, Sequence[Record]]) -> None:
        self._tail.add(fresh)
        self._ends.update(ends)
        resolve(outcomes)
        for reader in self._readers:
            if not reader.slots.isdisjoint(ends):
                reader.woken.set()

    def _writing(self) -> Writer:
        if self._closed:
            raise LogClosed("the log was closed")
        if self._read_only:
            raise LogError(f"{self._path}: opened for reading only")
        if self._writer is None:
            raise LogClosed("the log is not open")
        return self._writer

    async def _submit(self, job: Callable[[asyncio.Future[Any]], Append | Call]) -> Any:
        done: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._jobs.add(done)
        try:
            self._writing().submit(job(done))
            return await done
        finally:
            self._jobs.discard(done)

    async def _call(self, work: Callable[[sqlite3.Connection], T]) -> T:
        result: T = await self._submit(lambda done: Call(work, done))
        return result

    async def _on_connection(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Runs `work` in a thread on a connection of its own; given back there, so that a cancelled wait is safe."""

        def run() -> T:
            try:
                connection = self._free.pop()
            except IndexError:
                connection = connect(self._path, read_only=True)
            try:
                result = work(connection)
            except BaseException:
                connection.close()
                raise
            if self._closed:
                connection.close()
            else:
                self._free.append(connection)
            return result

        return await self._in_thread(run)

    async def _in_thread(self, work: Callable[[], T]) -> T:
        if self._threads is None or self._closed:
            raise LogClosed("the log is not open")
        try:
            return await asyncio.get_running_loop().run_in_executor(self._threads, work)
        except (sqlite3.Error, OSError) as error:
            raise in_words(error, self._path) from error

    def _close_free(self) -> None:
        with contextlib.suppress(IndexError):  # not asked before: a thread may be taking one
            while True:
                self._free.pop().close()

    def _let_go(self, stopped: bool = True) -> None:
        if self._threads is not None:
            self._threads.shutdown(wait=False)
        self._close_free()
        if self._lock is not None and stopped:  # a second writer beside one that hangs would give offsets twice
            self._lock.release()


def _ms(span: timedelta) -> int:
    return int(span.total_seconds() * 1000)
