"""Reads a topic from some time on, in small slices, and knows when it has caught up with the end it first saw."""

import asyncio
import contextlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import msgspec
import structlog

from ..eventlog import Log, LogUnavailable, Reader, Record, Start
from ..supervise import Backoff
from ..topics import Topic

_FETCH_SECONDS = 0.5
_SLICE = 200  # records taken without letting others run

log_ = structlog.get_logger("alerter")


@dataclass(slots=True)
class Reading:
    """`take` gets each record, `then` is called after each fetch, also an empty one."""

    log: Log
    topic: Topic
    start: Callable[[], Start]
    take: Callable[[Record], None]
    then: Callable[[], None]
    tombstones: bool = False  # `take` gets them too
    caught_up: bool = False
    unreadable: int = 0
    _ends: Mapping[int, int] = field(default_factory=dict)
    _reader: Reader | None = None

    def behind(self) -> set[int]:
        """Partitions that have not been read to the end that was seen at the start."""
        if self._reader is None:
            return set(range(self.topic.partitions))
        at = self._reader.positions()
        return {number for number, end in self._ends.items() if at.get(number, 0) < end}

    async def run(self) -> None:
        """Reads until cancelled."""
        backoff = Backoff(cap=5.0)
        try:
            while True:
                try:
                    records = await self._fetch()
                except LogUnavailable:
                    await asyncio.sleep(backoff.next())  # the journal says it, once
                    continue
                backoff.reset()
                for first in range(0, len(records), _SLICE):
                    for record in records[first : first + _SLICE]:
                        self._take(record)
                    await asyncio.sleep(0)
                self.caught_up = self.caught_up or not self.behind()
                self.then()
        finally:
            if self._reader is not None:
                with contextlib.suppress(Exception):
                    await asyncio.wait_for(self._reader.close(), 0.5)

    async def _fetch(self) -> "list[Record]":
        if self._reader is None:
            reader = await self.log.reader(self.topic, start=self.start())
            try:
                self._ends = await reader.end_offsets()
            except LogUnavailable:
                await reader.close()
                raise
            self._reader = reader
        return list(await self._reader.fetch(_FETCH_SECONDS))

    def _take(self, record: Record) -> None:
        if record.value is None and not self.tombstones:
            return
        try:
            self.take(record)
        except (msgspec.DecodeError, ValueError, IndexError):
            self.unreadable += 1
            if self.unreadable in (1, 10, 100) or self.unreadable % 1000 == 0:
                log_.error(
                    "records cannot be read", topic=self.topic.name, offset=record.offset, number=self.unreadable
                )
