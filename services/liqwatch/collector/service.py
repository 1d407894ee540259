"""The collector as a service: every venue on its own, one publisher for all of them."""

import asyncio

import aiohttp
import structlog

from ..clock import Clock
from ..eventlog import Log
from ..metrics import CollectorMetrics, ServiceMetrics
from ..settings import Settings, window_name
from ..supervise import Retry, Verdict, keep_alive
from ..venues.base import Venue
from .follow import CoverageFollower
from .herd import Herd
from .meter import FeedState
from .publisher import Publisher
from .venue import VenueCollector
from .watch import LIMITS, Limits

_SOCKETS_CLOSE_WITHIN = 1.0  # seconds
_DRAIN_WITHIN = 0.5
_LAG_MS = 15_000  # an interval that grows is written every few seconds: what is newer is no gap yet


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
        self._log, self._metrics, self._limits = log, metrics, limits
        completeness = {name: venue.completeness for name, venue in venues.items()}
        self._publisher = Publisher(
            log, settings.collector, completeness, clock, metrics, service_metrics, limits.appended
        )
        reaches = [venue.history.reaches for venue in venues.values() if venue.history is not None]
        longest = max([*reaches, *settings.aggregator.windows])
        self._follower = CoverageFollower(log, clock, int(longest.total_seconds() * 1000), service_metrics)
        self._collectors: list[VenueCollector] = []

    async def run(self, stop: asyncio.Event) -> None:
        """Returns within a few seconds after `stop`, whatever hangs; what is in hand is in the log or the spool."""
        publishing = asyncio.create_task(self._publisher.run(), name="publisher")
        beside = [
            asyncio.create_task(self._follower.run(), name="follow coverage"),
            asyncio.create_task(self._show_coverage(), name="show coverage"),
            asyncio.create_task(self._compare_venues(), name="compare venues"),
        ]
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
            for task in beside:
                task.cancel()
            await asyncio.wait(beside, timeout=_DRAIN_WITHIN)
            await self._publisher.close(publishing, _DRAIN_WITHIN)
        for task in (publishing, *beside, *running):
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

    async def _compare_venues(self) -> None:
        """A venue that brings nothing while the others cascade is not quiet: it connects anew, a gap till then."""
        herd, log = Herd(), structlog.get_logger("collector")
        while True:
            await asyncio.sleep(self._limits.herd)
            by_name = {collector.name: collector for collector in self._collectors}
            totals = {name: collector.events for name, collector in by_name.items()}
            if not herd.look(totals, [name for name, one in by_name.items() if one.watched], self._clock.now_ms()):
                continue
            silent = herd.silent()
            for name, collector in by_name.items():
                self._metrics.silent_in_cascade.labels(name).set(name in silent)
                if name in silent:
                    words = f"no event for 5 min while the others cascade, where {silent[name]:.0f} were to be expected"
                    log.warning("a feed is silent while the others cascade", venue=name, expected=round(silent[name]))
                    collector.suspect(words)

    async def _show_coverage(self) -> None:
        """Which share of each window every venue was watched, as the coverage topic has it."""
        windows = {window_name(span): int(span.total_seconds() * 1000) for span in self._settings.aggregator.windows}
        while True:
            await asyncio.sleep(self._limits.shares)
            now_ms, book = self._clock.now_ms(), self._follower.book
            for venue in self._venues if self._follower.caught_up else ():
                for window, span in windows.items():
                    self._metrics.coverage.labels(venue, window).set(book.share(venue, now_ms - span, now_ms))
                gaps = book.gaps(venue, now_ms - max(windows.values()), now_ms - _LAG_MS)
                self._metrics.gaps.labels(venue).set(sum(not gap.filled for gap in gaps))
            await asyncio.sleep(0)

    def _start(self, venue: Venue, http: aiohttp.ClientSession) -> asyncio.Task[None]:
        collector = VenueCollector(
            venue,
            http,
            self._log,
            self._publisher,
            self._follower,
            self._settings,
            self._clock,
            self._metrics,
            self._limits,
        )
        self._collectors.append(collector)
        log = structlog.get_logger("collector").bind(venue=venue.name)

        def classify(error: Exception) -> Verdict:
            log.error("the collector of a venue failed", exc_info=error)
            return Retry(f"{type(error).__name__}: {error}")

        return asyncio.create_task(keep_alive("collector", collector.run, classify), name=f"collect {venue.name}")
