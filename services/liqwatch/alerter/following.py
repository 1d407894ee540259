"""Follows one topic for ever: whole batches, through outages, with what cannot be read counted."""

import asyncio
import contextlib
from collections.abc import Callable
from dataclasses import dataclass

import msgspec
import structlog
from prometheus_client import Counter
from pydantic import ValidationError

from ..eventlog import Log, LogUnavailable, Reader, Record, Start
from ..supervise import Backoff
from ..topics import Topic

_FETCH_SECONDS = 0.5

log_ = structlog.get_logger("alerter")


@dataclass(slots=True)
class Following:
    """`take` gets each record's value; `then` is called when a whole batch was taken."""

    log: Log
    topic: Topic
    start: Callable[[], Start]
    take: Callable[[bytes], None]
    then: Callable[[], None]
    lost: Counter
    bury: Callable[[bytes], None] | None = None  # takes the key of a tombstone
    unreadable: int = 0

    async def run(self) -> None:
        """Reads until cancelled."""
        reader: Reader | None = None
        backoff = Backoff(cap=5.0)
        lost = 0
        try:
            while True:
                try:
                    if reader is None:
                        reader = await self.log.reader(self.topic, start=self.start())
                    records = await reader.fetch(_FETCH_SECONDS)
                except LogUnavailable:
                    await asyncio.sleep(backoff.next())  # the journal says it, once
                    continue
                backoff.reset()
                for record in records:
                    self._take(record)
                if reader.lost > lost:
                    self.lost.inc(reader.lost - lost)
                    lost = reader.lost
                if records:
                    self.then()
        finally:
            if reader is not None:
                with contextlib.suppress(Exception):
                    await asyncio.wait_for(reader.close(), 0.5)

    def _take(self, record: Record) -> None:
        try:
            if record.value is not None:
                self.take(record.value)
            elif self.bury is not None and record.key.count(b",") >= 2:
                self.bury(record.key)
        except (msgspec.DecodeError, ValidationError, ValueError, IndexError):
            self.unreadable += 1
            if self.unreadable in (1, 10, 100) or self.unreadable % 1000 == 0:
                log_.error(
                    "records cannot be read", topic=self.topic.name, offset=record.offset, number=self.unreadable
                )
