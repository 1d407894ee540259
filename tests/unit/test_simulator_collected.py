"""The collector against all simulated venues: the log holds exactly what the venues' own books say they sent."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry

from liqwatch import topics, venues
from liqwatch.clock import Clock
from liqwatch.collector.service import CollectorService
from liqwatch.metrics import CollectorMetrics, ServiceMetrics
from liqwatch.settings import CollectorSettings, Settings, VenueSettings
from liqwatch.simulator import Simulator, scenarios
from liqwatch.simulator.books import Due
from liqwatch.wire import Liquidation, decode_liquidation, micros
from tests.support.memory_log import MemoryLog

LIMIT = 30.0
SPEED = 36_000.0  # the scenario's 38 hours in four seconds


@asynccontextmanager
async def collecting(simulator: Simulator, folder: Path) -> AsyncIterator[MemoryLog]:
    """A collector subscribed to everything; at the end what it has in hand is in the log."""
    log = MemoryLog()
    await log.create(topics.TOPICS.values())
    origins = {
        name: VenueSettings(enabled=True, websocket_origin=place.websocket, rest_origin=place.rest)
        for name, place in simulator.origins.items()
    }
    settings = Settings(venues=origins, collector=CollectorSettings(spool_path=str(folder / "spool")))
    registry, known = CollectorRegistry(), {name: venues.discover()[name] for name in simulator.venues}
    metrics = CollectorMetrics(registry, known), ServiceMetrics(registry, "collect")
    service = CollectorService(log, known, settings, simulator.clock, *metrics)
    stop = asyncio.Event()
    running = asyncio.create_task(service.run(stop))
    try:
        await simulator.until_watched(LIMIT)
        yield log
    finally:
        stop.set()
        async with asyncio.timeout(LIMIT):
            await running


def collected(log: MemoryLog) -> dict[str, Liquidation]:
    records = [record.value for record in log.all(topics.LIQUIDATIONS) if record.value is not None]
    return {event.event_id: event for event in map(decode_liquidation, records)}


def worth(dues: Iterable[Due]) -> dict[tuple[str, str], Counter[int]]:
    """How many of so many micro-dollars, by venue and side."""
    found: dict[tuple[str, str], Counter[int]] = {}
    for due in dues:
        found.setdefault((due.entry.listing.venue, due.entry.side), Counter())[due.micro_usd] += 1
    return found


def differences(log: MemoryLog, simulator: Simulator) -> list[object]:
    """What was sent and is not in the log, and what is there and was never due."""
    found: dict[tuple[str, str], Counter[int]] = {}
    for event in collected(log).values():
        found.setdefault((event.venue, event.side), Counter())[micros(event.notional_usd)] += 1
    sent, missed, none = worth(simulator.books.events), worth(simulator.books.unheard), Counter[int]()
    wrong: list[object] = []
    for key in sorted(sent.keys() | missed.keys() | found.keys()):
        lacking = sent.get(key, none) - found.get(key, none)
        # What was missed may come all the same: in a venue's list, or repeated after subscribing anew.
        invented = found.get(key, none) - sent.get(key, none) - missed.get(key, none)
        if lacking or invented:
            wrong.append((key, "lacking", dict(lacking), "invented", dict(invented)))
    return wrong


@pytest.mark.parametrize("cut_every", [None, 1.0])
async def test_every_event_that_was_sent_is_in_the_log_once(tmp_path: Path, cut_every: float | None) -> None:
    scenario = scenarios.named("2025-10-10", orders=3_000)
    # Where sockets are cut the scenario is squeezed into real time: a new socket hears of things within seconds.
    clock = Clock(speed=SPEED if cut_every is None else 1.0)
    async with Simulator(scenario, speed=SPEED, clock=clock, keep_events=True) as simulator:
        async with collecting(simulator, tmp_path) as log:
            for venue in simulator.venues.values():
                venue.trouble.disconnect_every_seconds = cut_every
            await simulator.play()
            with suppress(TimeoutError):  # what is wrong at the limit shows in the comparison
                async with asyncio.timeout(LIMIT):
                    while differences(log, simulator):
                        await asyncio.sleep(0.05)
        assert [] == differences(log, simulator)
        if cut_every is None:
            assert {} == simulator.books.missed.tallies
        assert [] == log.all(topics.REJECTED_FRAMES)
