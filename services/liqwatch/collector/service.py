"""The collector as a service: every venue on its own, one publisher for all of them."""

import asyncio

import aiohttp
import structlog

from ..clock import Clock
from ..eventlog import Log
from ..metrics import CollectorMetrics, ServiceMetrics
from ..settings import Settings
from ..supervise import Retry, Verdict, keep_alive
from ..venues.base import Venue
from .meter import FeedState
from .publisher import Publisher
from .venue import VenueCollector
from .watch import LIMITS, Limits

_SOCKETS_CLOSE_WITHIN = 1.0  # seconds
_DRAIN_WITHIN = 0.5


class CollectorService:
    """Collects `venues` until told to stop. Its sockets, instruments and queues live inside `run`."""

    def __init__(
        self,
        log: Log,
        venues: dict[str, Venue],
        settings: Settings,
        clock: Clock,
        metrics: CollectorMetrics,
        service_metrics: ServiceMetrics,
        limits: Limits = LIMITS,
    ) -> None:
        self._venues, self._settings, self._clock = dict(venues), settings, clock
        self._metrics, self._limits = metrics, limits
        completeness = {name: venue.completeness for name, venue in venues.items()}
        self._publisher = Publisher(log, settings.collector, completeness, clock, metrics, service_metrics)
        self._collectors: list[VenueCollector] = []

    async def run(self, stop: asyncio.Event) -> None:
        """Returns within a few seconds after `stop`, whatever hangs; what is in hand is in the log or the spool."""
        publishing = asyncio.create_task(self._publisher.run(), name="publisher")
        stopping = asyncio.create_task(stop.wait(), name="stop")
        try:
            async with aiohttp.ClientSession() as http:
                running = [self._start(venue, http) for venue in self._venues.values()]
                try:
                    await asyncio.wait({publishing, stopping, *running}, return_when=asyncio.FIRST_COMPLETED)
                finally:
                    for task in running:
                        task.cancel()
                    if running:
                        await asyncio.wait(running, timeout=_SOCKETS_CLOSE_WITHIN)
                    for collector in self._collectors:
                        collector.finish()
        finally:
            stopping.cancel()
            await self._publisher.close(publishing, _DRAIN_WITHIN)
        for task in (publishing, *running):
            if task.done() and not task.cancelled():
                task.result()  # neither ends by itself: if one did, this raises why

    def unready(self) -> list[str]:
        """Reasons why nothing comes in or gets on; empty when it works."""
        reasons = self._publisher.unready()
        if not any(collector.acknowledged for collector in self._collectors):
            trouble = [f"{one.name}: {one.trouble() or 'connecting'}" for one in self._collectors]
            reasons.append("no venue is delivering: " + ("; ".join(trouble) or "none is enabled"))
        return reasons

    def states(self) -> list[FeedState]:
        """Every feed of every venue, as people see it."""
        return [state for collector in self._collectors for state in collector.states()]

    def _start(self, venue: Venue, http: aiohttp.ClientSession) -> asyncio.Task[None]:
        collector = VenueCollector(
            venue, http, self._publisher, self._settings, self._clock, self._metrics, self._limits
        )
        self._collectors.append(collector)
        log = structlog.get_logger("collector").bind(venue=venue.name)

        def classify(error: Exception) -> Verdict:
            log.error("the collector of a venue failed", exc_info=error)
            return Retry(f"{type(error).__name__}: {error}")

        return asyncio.create_task(keep_alive("collector", collector.run, classify), name=f"collect {venue.name}")
