"""A log in memory that keeps the promises of `eventlog`, for tests: outages and rebalances at the test's command."""

import asyncio
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta

from typing_extensions import override

from liqwatch.eventlog import (
    EARLIEST,
    NOTHING_ASSIGNED,
    Assignment,
    Entry,
    LogClosed,
    LogUnavailable,
    Member,
    Position,
    Reader,
    Record,
    RecordRefused,
    Start,
    TopicMissing,
    TopicState,
)
from liqwatch.topics import TOPICS, Topic, partition_for

FETCH_LIMIT = 500  # records a partition and fetch


@dataclass
class MemoryLog:
    """`down` is an outage: `append` waits for its end, `fetch` raises. All topics are there unless `topics=()`."""

    topics: Collection[Topic] = tuple(TOPICS.values())
    now_ms: Callable[[], int] = lambda: int(time.time() * 1000)
    records: dict[str, list[list[Record]]] = field(default_factory=dict)
    appended: int = 0
    largest: int = 1 << 30  # bytes of a value that it takes
    begins: dict[tuple[str, int], int] = field(default_factory=dict)  # topic, partition -> what retention has left
    _down: bool = False
    _closed: bool = False
    _changed: asyncio.Event = field(default_factory=asyncio.Event)
    _groups: "dict[tuple[str, str], _Group]" = field(default_factory=dict)

    def __post_init__(self) -> None:
        for topic in self.topics:
            self.records[topic.name] = [[] for _ in range(topic.partitions)]

    @property
    def down(self) -> bool:
        return self._down

    @down.setter
    def down(self, value: bool) -> None:
        self._down = value
        self._wake()

    def all(self, topic: Topic) -> list[Record]:
        """Every record of a topic, by partition and offset."""
        return [record for partition in self.records[topic.name] for record in partition]

    def remove(self, topic: Topic, partition: int, before: int) -> None:
        """Retention takes the records before that offset."""
        self.begins[topic.name, partition] = before

    async def open(self) -> None:
        if self._down:
            raise LogUnavailable("the memory log is down; bring it up")

    async def append(self, topic: Topic, entries: Sequence[Entry]) -> Sequence[Position]:
        while self._down and not self._closed:
            await self._wait(None)
        if self._closed:
            raise LogClosed("the memory log is closed")
        if any(len(entry.value or b"") > self.largest for entry in entries):
            raise RecordRefused(f"a record is larger than {self.largest} bytes")
        partitions = self.partitions(topic)
        positions = []
        for entry in entries:
            number = partition_for(entry.key, len(partitions)) if entry.partition is None else entry.partition
            kept = partitions[number]
            kept.append(Record(number, len(kept), entry.timestamp_ms, entry.key, entry.value))
            positions.append(Position(number, len(kept) - 1))
        self.appended += len(entries)
        self._wake()
        await asyncio.sleep(0)
        return positions

    async def reader(
        self, topic: Topic, *, start: Start = EARLIEST, partitions: Collection[int] | None = None
    ) -> Reader:
        reader = _Reader(self, topic, start)
        numbers = range(len(self.partitions(topic))) if partitions is None else partitions
        reader.seek(numbers, self.now_ms())
        return reader

    async def member(self, topic: Topic, group: str, *, start: Start | timedelta = EARLIEST) -> Member:
        self.partitions(topic)
        members = self._groups.setdefault((topic.name, group), _Group())
        member = _Member(self, topic, start, members)
        members.join(member)
        self._wake()
        return member

    def rebalance(self, topic: Topic, group: str) -> None:
        """A rebalance that moves nothing: a new generation."""
        self._groups[topic.name, group].changed()
        self._wake()

    async def describe(self, topic: Topic) -> TopicState | None:
        if topic.name not in self.records:
            return None
        return TopicState(topic.name, topic.partitions, topic.retention, topic.compacted)

    async def create(self, topics: Collection[Topic]) -> Sequence[str]:
        made = [topic for topic in topics if topic.name not in self.records]
        for topic in made:
            self.records[topic.name] = [[] for _ in range(topic.partitions)]
        return [topic.name for topic in made]

    async def close(self, timeout: float = 5.0) -> None:
        self._closed = True
        self._wake()

    def partitions(self, topic: Topic) -> list[list[Record]]:
        if topic.name not in self.records:
            raise TopicMissing(f"topic {topic.name} is missing; run: liqwatch topics create")
        return self.records[topic.name]

    async def wait_for_change(self, timeout: float) -> None:
        await self._wait(timeout)

    async def _wait(self, timeout: float | None) -> None:
        changed = self._changed
        try:
            async with asyncio.timeout(timeout):
                await changed.wait()
        except TimeoutError:
            return

    def _wake(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()


class _Reader:
    def __init__(self, log: MemoryLog, topic: Topic, start: Start | timedelta) -> None:
        self._log = log
        self._topic = topic
        self._start = start
        self._next: dict[int, int] = {}
        self.lost = 0

    def seek(self, numbers: Collection[int], now_ms: int) -> None:
        partitions = self._log.partitions(self._topic)
        for number in numbers:
            records = partitions[number]
            start = self._start
            if isinstance(start, timedelta):
                start = Start("since", now_ms - int(start.total_seconds() * 1000))
            if start.at == "earliest":
                self._next[number] = self._begin(number)
            elif start.at == "latest":
                self._next[number] = len(records)
            else:
                old = (r.offset for r in records if r.timestamp_ms >= start.since_ms)
                self._next[number] = next(old, len(records))

    async def fetch(self, timeout: float) -> Sequence[Record]:
        found = self._take()
        if not found:
            await self._log.wait_for_change(timeout)
            found = self._take()
        return found

    def _take(self) -> list[Record]:
        if self._log.down:
            raise LogUnavailable("the memory log is down")
        found: list[Record] = []
        for number, offset in self._next.items():
            begin = max(offset, self._begin(number))
            self.lost += begin - offset
            records = self._log.partitions(self._topic)[number][begin : begin + FETCH_LIMIT]
            self._next[number] = begin + len(records)
            found += records
        return found

    def _begin(self, number: int) -> int:
        return self._log.begins.get((self._topic.name, number), 0)

    def positions(self) -> Mapping[int, int]:
        return dict(self._next)

    async def end_offsets(self) -> Mapping[int, int]:
        if self._log.down:
            raise LogUnavailable("the memory log is down")
        partitions = self._log.partitions(self._topic)
        return {number: len(partitions[number]) for number in self._next}

    async def close(self) -> None:
        self._next.clear()


class _Member(_Reader):
    def __init__(self, log: MemoryLog, topic: Topic, start: Start | timedelta, group: "_Group") -> None:
        super().__init__(log, topic, start)
        self._group = group
        self.assignment: Assignment = NOTHING_ASSIGNED

    @override
    def _take(self) -> list[Record]:
        if not self._log.down and self.assignment.generation != self._group.generation:
            self._assign()
        return super()._take()

    def _assign(self) -> None:
        partitions = self._log.partitions(self._topic)
        mine = self._group.share(self, len(partitions))
        owners = self._group.owners
        fresh = {number for number in mine if owners.get(number) is not self or number not in self._next}
        owners.update(dict.fromkeys(mine, self))
        self._next = {number: offset for number, offset in self._next.items() if number in mine - fresh}
        self.seek(fresh, self._log.now_ms())
        ends = {number: len(partitions[number]) for number in fresh}
        self.assignment = Assignment(self._group.generation, frozenset(mine), frozenset(fresh), ends)

    @override
    async def close(self) -> None:
        await super().close()
        self._group.leave(self)


@dataclass
class _Group:
    members: list[_Member] = field(default_factory=list)
    generation: int = 0
    owners: dict[int, _Member] = field(default_factory=dict)  # who had a partition last

    def join(self, member: _Member) -> None:
        self.members.append(member)
        self.changed()

    def leave(self, member: _Member) -> None:
        if member in self.members:
            self.members.remove(member)
            self.changed()

    def changed(self) -> None:
        self.generation += 1

    def share(self, member: _Member, partitions: int) -> set[int]:
        """Every n-th partition to the n-th member."""
        return set(range(self.members.index(member), partitions, len(self.members)))
