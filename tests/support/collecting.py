"""A collector at work on local venues, with short waits, and what it has shown so far."""

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

from prometheus_client import CollectorRegistry
from structlog.testing import capture_logs

from liqwatch.clock import Clock
from liqwatch.collector.service import CollectorService
from liqwatch.collector.watch import LIMITS, Limits
from liqwatch.eventlog import Log
from liqwatch.metrics import CollectorMetrics, ServiceMetrics
from liqwatch.settings import CollectorSettings, Settings, VenueSettings
from liqwatch.topics import COVERAGE, LIQUIDATIONS, REJECTED_FRAMES, Topic
from liqwatch.venues.base import Venue

from .fake_venue import FAKE, LISTING, PATH, liquidation_frame
from .memory_log import MemoryLog
from .venue_server import VenueServer

QUICK = replace(
    LIMITS,
    open=2.0,
    acknowledge=0.4,
    overlap=0.1,
    proven=0.05,
    look=0.02,
    settled=0.1,
    refresh_gap=0.05,
    rejected_wait=0.3,
    gaps=0.05,
    edge=0.0,
    appended=0.3,
    history_retry=0.05,
    shares=0.1,
)


@dataclass
class Collecting:
    service: CollectorService
    registry: CollectorRegistry
    log: Log
    lines: list[Any]
    _stop: asyncio.Event
    task: asyncio.Task[None]

    def metric(self, name: str, **labels: str) -> float:
        value = self.registry.get_sample_value(name, {"venue": "fake", **labels} if name not in _BARE else labels)
        assert value is not None, name
        return value

    def reconnects(self, reason: str) -> float:
        return self.metric("liqwatch_feed_reconnects_total", reason=reason)

    @property
    def watched(self) -> bool:
        return self.metric("liqwatch_feed_connected") == 1

    def told(self, event: str) -> list[Any]:
        return [line for line in self.lines if line["event"] == event]

    async def stop(self) -> None:
        self._stop.set()
        await asyncio.wait_for(self.task, 8)


_BARE = {"liqwatch_backlog_events", "liqwatch_spool_bytes", "liqwatch_log_up"}


def messages(log: MemoryLog, topic: Topic) -> list[dict[str, Any]]:
    return [json.loads(record.value) for record in log.all(topic) if record.value is not None]


def ids(log: MemoryLog) -> list[str]:
    return [message["event_id"] for message in messages(log, LIQUIDATIONS)]


def coverage(log: MemoryLog) -> list[dict[str, Any]]:
    return messages(log, COVERAGE)


def rejected(log: MemoryLog) -> list[dict[str, Any]]:
    return messages(log, REJECTED_FRAMES)


@asynccontextmanager
async def collecting(
    server: VenueServer,
    log: Log,
    folder: Path,
    *,
    venue: Venue = FAKE,
    limits: Limits = QUICK,
    rest: bool = True,
    clock: Clock | None = None,
    memory: int = 200_000,
    spool_mib: int = 512,
    refresh: timedelta = timedelta(minutes=10),
    beside: Sequence[tuple[Venue, VenueServer]] = (),
    name: str = "collector-1",
    compare: timedelta = timedelta(hours=1),
) -> AsyncIterator[Collecting]:
    """Runs the service until the block ends; a failure of the service fails the test."""
    servers = [(venue, server), *beside]
    found = {one.name: one for one, _ in servers}
    if rest:
        server.rest.setdefault(PATH, LISTING)
    settings = Settings(
        collector=CollectorSettings(
            collector=name,
            spool_path=str(folder / "spool"),
            memory_limit_events=memory,
            spool_limit_mib=spool_mib,
            coverage_every=timedelta(seconds=0.2),
            refresh_instruments=refresh,
            compare_every=compare,
        ),
        venues={venue.name: VenueSettings(websocket_origin=server.websocket_origin, rest_origin=server.rest_origin)},
    )
    registry = CollectorRegistry()
    metrics = CollectorMetrics(registry, found)
    with capture_logs() as lines:
        service = CollectorService(
            log, found, settings, clock or Clock(), metrics, ServiceMetrics(registry, "collect"), limits
        )
        stop = asyncio.Event()
        task = asyncio.create_task(service.run(stop))
        running = Collecting(service, registry, log, lines, stop, task)
        try:
            yield running
        finally:
            await running.stop()


def names(first: int, last: int) -> list[str]:
    """Ids of so many events, in the order of their numbers."""
    return [f"e{number:05}" for number in range(first, last)]


async def send(server: VenueServer, wanted: Sequence[str]) -> None:
    """Events of these ids, a hundred a frame."""
    for start in range(0, len(wanted), 100):
        await server.say(liquidation_frame(*wanted[start : start + 100]))
