"""Reads a topic: for ever, or up to its present end. In slices, through outages, with every loss counted."""

import asyncio
import contextlib
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from prometheus_client import Counter

from .eventlog import EARLIEST, Log, LogUnavailable, Reader, Record, Start
from .supervise import Backoff, Outage
from .topics import Topic
from .wire import UNREADABLE

FETCH_SECONDS = 0.5
_AT_ONCE = 250  # records between two turns of the loop …
_CHUNK = 25  # … or fewer, where they take long: looked at after so many
_SLICE_SECONDS = 0.002
_CLOSE_SECONDS = 0.5

# What a record may do to who takes it. Anything else is a mistake of ours, and raises. (pydantic's is a ValueError.)
_UNTAKEN = (*UNREADABLE, LookupError, ArithmeticError)


class Away:
    """The log, as a whole service sees it: said once when the first topic cannot be read, once when all can again."""

    def __init__(self, log: Any) -> None:
        self._outage = Outage("reading the log", log)
        self._topics: set[str] = set()

    def down(self, topic: str, reason: str) -> None:
        self._topics.add(topic)
        self._outage.down(reason, topic=topic)

    def up(self, topic: str) -> None:
        self._topics.discard(topic)
        if not self._topics:
            self._outage.up()

    def leave(self, topic: str) -> None:
        """Nobody reads it any more, which says nothing of the log."""
        self._topics.discard(topic)


@dataclass(slots=True)
class Follower:
    """Gives `take` each record, in order, tombstones too. What `take` cannot read is counted, told and skipped.

    `then` is called after each fetch with the number of its records, also 0. `thin` leaves out of a fetch what need
    not be taken. `rest`: seconds between two fetches once it has caught up, for who need not follow every record.
    """

    log: Log
    topic: Topic
    start: Callable[[], Start]  # asked when the log first answers
    take: Callable[[Record], None]
    away: Away
    words: Any  # the service's logger
    then: Callable[[int], None] = lambda taken: None
    thin: Callable[[Sequence[Record]], Sequence[Record]] = lambda records: records
    rest: float = 0.0
    count_lost: Counter | None = None  # what retention removed before it was read
    count_unreadable: Counter | None = None
    caught_up: bool = False  # has read all that was there when it began
    down: str = ""  # why it cannot read now
    lost: int = 0
    unreadable: int = 0
    at: Mapping[int, int] = field(default_factory=dict)  # per partition the offset of the next record to be taken
    _ends: Mapping[int, int] | None = None

    def behind(self) -> set[int]:
        """Partitions that have not been read to the end that was seen at the start."""
        if self._ends is None:
            return set(range(self.topic.partitions))
        return {number for number, end in self._ends.items() if self.at.get(number, 0) < end}

    async def run(self) -> None:
        """Reads until cancelled. Raises `LogError` where waiting does not help."""
        reader: Reader | None = None
        backoff = Backoff(cap=5.0)
        lost = 0
        try:
            while True:
                try:
                    if reader is None:
                        reader = await self._open()
                    records = await reader.fetch(FETCH_SECONDS)
                except LogUnavailable as error:
                    self.down = str(error)
                    self.away.down(self.topic.name, self.down)
                    await asyncio.sleep(backoff.next())
                    continue
                backoff.reset()
                self.down = ""
                self.away.up(self.topic.name)
                await take_all(self.thin(records), self.take, self._skip)
                self.at = reader.positions()
                if reader.lost > lost:
                    self._count_lost(reader.lost - lost)
                    lost = reader.lost
                self.caught_up = self.caught_up or not self.behind()
                self.then(len(records))
                if self.caught_up and self.rest:
                    await asyncio.sleep(self.rest)
        finally:
            self.away.leave(self.topic.name)
            if reader is not None:
                with contextlib.suppress(Exception):
                    await asyncio.wait_for(reader.close(), _CLOSE_SECONDS)

    async def _open(self) -> Reader:
        reader = await self.log.reader(self.topic, start=self.start())
        try:
            self._ends = await reader.end_offsets()
        except BaseException:
            with contextlib.suppress(Exception):
                await reader.close()
            raise
        self.at = reader.positions()
        self.caught_up = self.caught_up or not self.behind()
        return reader

    def _count_lost(self, records: int) -> None:
        self.lost += records
        if self.count_lost is not None:
            self.count_lost.inc(records)

    def _skip(self, record: Record, error: Exception) -> None:
        self.unreadable += 1
        if self.count_unreadable is not None:
            self.count_unreadable.inc()
        if self.unreadable in (1, 10, 100) or self.unreadable % 1000 == 0:
            self.words.error(
                "records cannot be read and are skipped",
                topic=self.topic.name,
                partition=record.partition,
                offset=record.offset,
                reason=f"{type(error).__name__}: {error}"[:200],
                number=self.unreadable,
            )


def _raise(_: Record, error: Exception) -> None:
    raise error


def values(take: Callable[[bytes], None]) -> Callable[[Record], None]:
    """For who has no use for tombstones."""

    def taking(record: Record) -> None:
        if record.value is not None:
            take(record.value)

    return taking


async def take_all(
    records: Sequence[Record],
    take: Callable[[Record], None],
    skip: Callable[[Record, Exception], None] = _raise,
) -> None:
    """Gives `take` every record, and the rest of the process a turn after so many, or so long. `skip` is told what
    `take` could not read."""
    now = asyncio.get_running_loop().time
    left, until = _AT_ONCE, now() + _SLICE_SECONDS
    for first in range(0, len(records), _CHUNK):
        for record in records[first : first + _CHUNK]:
            try:
                take(record)
            except _UNTAKEN as error:
                skip(record, error)
        left -= _CHUNK
        if left <= 0 or now() >= until:
            await asyncio.sleep(0)
            left, until = _AT_ONCE, now() + _SLICE_SECONDS


async def read_to_the_end(
    log: Log,
    topic: Topic,
    take: Callable[[Record], None],
    *,
    start: Start = EARLIEST,
    partitions: Collection[int] | None = None,
    last: Mapping[int, int] | None = None,
) -> None:
    """Gives `take` every record that is there now, or those up to the offsets `last` per partition.

    Raises `LogError` in an outage, and what `take` raises: who counts on the whole is to know that it is not.
    """
    reader = await log.reader(topic, start=start, partitions=partitions)
    try:
        ends = dict(await reader.end_offsets())
        if last is not None:
            ends = {number: min(end, last[number] + 1) for number, end in ends.items()}
        while any(reader.positions().get(number, 0) < end for number, end in ends.items()):
            await take_all(await reader.fetch(FETCH_SECONDS), take)
            await asyncio.sleep(0)
    finally:
        await reader.close()
