"""Follows one topic for ever, through outages, at a pace that leaves room for the rest of the process."""

import asyncio
import contextlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import msgspec
import structlog
from pydantic import ValidationError

from ..eventlog import Log, LogUnavailable, Reader, Record, Start
from ..metrics import ServiceMetrics, WebMetrics
from ..supervise import Backoff, Outage
from ..topics import Topic

_FETCH_SECONDS = 0.5
_REST_SECONDS = 0.25  # a page is looked at: no need to follow every record
_AT_ONCE = 250  # records between two turns of the loop

log_ = structlog.get_logger("web")


@dataclass(slots=True)
class Following:
    """`take` gets each record. `caught_up` once it has read what was there when it began."""

    log: Log
    topic: Topic
    start: Callable[[], Start]
    take: Callable[[Record], None]
    metrics: WebMetrics
    service_metrics: ServiceMetrics
    thin: Callable[[Sequence[Record]], Sequence[Record]] = lambda records: records  # leaves out what others replace
    caught_up: bool = False
    down: str = ""  # why it cannot read
    unreadable: int = 0
    at: Mapping[int, int] = field(default_factory=dict)  # offset of the next record to be taken, per partition

    async def run(self) -> None:
        """Reads until cancelled. Raises `LogError` where a person has to act."""
        reader: Reader | None = None
        backoff, outage = Backoff(cap=5.0), Outage(f"reading {self.topic.name}", log_)
        lost = 0
        ends: dict[int, int] = {}
        try:
            while True:
                try:
                    if reader is None:
                        reader = await self.log.reader(self.topic, start=self.start())
                        ends = dict(await reader.end_offsets())
                    records = await reader.fetch(_FETCH_SECONDS)
                except LogUnavailable as error:
                    self.down = str(error)
                    outage.down(self.down)
                    await asyncio.sleep(backoff.next())
                    continue
                backoff.reset()
                outage.up()
                self.down = ""
                await self._take_all(self.thin(records))
                if reader.lost > lost:
                    self.service_metrics.offset_gap.inc(reader.lost - lost)
                    lost = reader.lost
                self.at = reader.positions()
                if not self.caught_up:
                    self.caught_up = not records or all(self.at.get(number, 0) >= end for number, end in ends.items())
                if self.caught_up:
                    await asyncio.sleep(_REST_SECONDS)
        finally:
            if reader is not None:
                with contextlib.suppress(Exception):
                    await asyncio.wait_for(reader.close(), 0.5)

    async def _take_all(self, records: Sequence[Record]) -> None:
        for number, record in enumerate(records):
            if number % _AT_ONCE == _AT_ONCE - 1:
                await asyncio.sleep(0)
            try:
                self.take(record)
            except (msgspec.MsgspecError, ValidationError, ValueError, IndexError):
                self.unreadable += 1
                self.metrics.unreadable.inc()
                if self.unreadable in (1, 10, 100) or self.unreadable % 1000 == 0:
                    log_.error(
                        "records cannot be read", topic=self.topic.name, offset=record.offset, number=self.unreadable
                    )
