"""Reading the embedded log: pages read off the loop, handed out fairly over partitions; and standing in for groups."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from . import NOTHING_ASSIGNED, Assignment, LogClosed, Record
from . import sqlite_store as store

PAGE = 2_000
_AT_ONCE = 500  # records between two turns of the loop: those in memory are had without waiting
_POLL_SECONDS = 0.02


class Pages(Protocol):
    """What a reader needs of its log."""

    async def pages(self, wanted: Mapping[int, int]) -> Mapping[int, store.Page]: ...

    async def ends(self, topic: store.StoredTopic) -> Mapping[int, int]:
        """By slot."""
        ...

    async def behind(self, topic: store.StoredTopic, wanted: Mapping[int, int]) -> Mapping[int, int]:
        """Those of `wanted` for which there may be something to read."""
        ...

    def forget(self, reader: "SqliteReader") -> None: ...


@dataclass(slots=True)
class Place:
    """Where a reader is in one partition. `rest` was read from the file and waits to be handed out."""

    position: int
    rest: list[Record] = field(default_factory=list)
    at: int = 0
    reached: int = 0


@dataclass(slots=True, eq=False)
class SqliteReader:
    """See `eventlog.Reader`. `has_holes`: offsets may be missing though nothing was lost."""

    pages: Pages
    topic: store.StoredTopic
    polls: bool
    has_holes: bool
    _places: dict[int, Place]
    lost: int = 0
    woken: asyncio.Event = field(default_factory=asyncio.Event)
    closed: bool = False
    slots: frozenset[int] = frozenset()  # records in these are news to it
    _since_turn: int = 0

    def __post_init__(self) -> None:
        self.slots = frozenset(self.topic.slot(partition) for partition in self._places)

    async def fetch(self, timeout: float) -> Sequence[Record]:
        loop = asyncio.get_running_loop()
        deadline = loop.time() + timeout
        while True:
            if self.closed:
                raise LogClosed("this reader was closed")
            self.woken.clear()
            if self._since_turn >= _AT_ONCE:
                self._since_turn = 0
                await asyncio.sleep(0)
            if not any(place.rest for place in self._places.values()):
                await self._load()
            else:
                await asyncio.sleep(0)  # a long replay leaves room for the rest of the loop
            records = self._hand_out()
            self._since_turn += len(records)
            left = deadline - loop.time()
            if records or left <= 0:
                return records
            await self._wait(min(left, _POLL_SECONDS) if self.polls else left)

    def positions(self) -> Mapping[int, int]:
        return {partition: place.position for partition, place in self._places.items()}

    async def end_offsets(self) -> Mapping[int, int]:
        ends = await self.pages.ends(self.topic)
        return {partition: ends[self.topic.slot(partition)] for partition in self._places}

    async def close(self) -> None:
        self.closed = True
        self.woken.set()
        self.pages.forget(self)

    async def _wait(self, seconds: float) -> None:
        try:
            async with asyncio.timeout(seconds):
                await self.woken.wait()
        except TimeoutError:
            return

    async def _load(self) -> None:
        slots = {self.topic.slot(partition): place for partition, place in self._places.items()}
        wanted = await self.pages.behind(self.topic, {slot: place.position for slot, place in slots.items()})
        if not wanted:
            return
        for slot, (start, reached, records) in (await self.pages.pages(wanted)).items():
            place = slots[slot]
            missed = max(0, start - place.position)
            if not self.has_holes:
                missed = reached - place.position - len(records)
            self.lost += missed
            place.rest, place.at, place.reached = records, 0, reached
            place.position = records[0].offset if records else reached

    def _hand_out(self) -> Sequence[Record]:
        waiting = [place for place in self._places.values() if place.rest]
        out: list[Record] = []
        for place in waiting:
            end = place.at + PAGE // len(waiting)
            out += place.rest[place.at : end]
            place.at = end
            if end >= len(place.rest):
                place.position, place.rest = place.reached, []
            else:
                place.position = place.rest[end].offset
        return out


@dataclass(slots=True, eq=False)
class SqliteMember:
    """See `eventlog.Member`: the first to come owns all partitions; the next stand by until it closes."""

    take: Callable[["SqliteMember"], Awaitable[tuple[SqliteReader, int] | None]]
    leave: Callable[["SqliteMember"], None]
    changed: asyncio.Event = field(default_factory=asyncio.Event)
    assignment: Assignment = NOTHING_ASSIGNED
    closed: bool = False
    _reader: SqliteReader | None = None

    async def fetch(self, timeout: float) -> Sequence[Record]:
        if self.closed:
            raise LogClosed("this member was closed")
        if self._reader is not None:
            return await self._reader.fetch(timeout)
        loop = asyncio.get_running_loop()
        deadline = loop.time() + timeout
        while not self.closed:
            self.changed.clear()
            if (taken := await self.take(self)) is not None:
                self._reader, generation = taken
                ends = await self._reader.end_offsets()
                mine = frozenset(ends)
                self.assignment = Assignment(generation, mine, mine, ends)
                return ()
            left = deadline - loop.time()
            if left <= 0:
                break
            try:
                async with asyncio.timeout(left):
                    await self.changed.wait()
            except TimeoutError:
                break
        return ()

    def positions(self) -> Mapping[int, int]:
        return self._reader.positions() if self._reader else {}

    async def end_offsets(self) -> Mapping[int, int]:
        return await self._reader.end_offsets() if self._reader else {}

    @property
    def lost(self) -> int:
        return self._reader.lost if self._reader else 0

    async def close(self) -> None:
        if not self.closed:
            self.closed = True
            self.changed.set()
            if self._reader is not None:
                await self._reader.close()
            self.leave(self)
