"""All sockets of one venue: which symbol is on which, is the venue watched, what to say when it goes and comes back."""

import asyncio
import functools
import time
from collections.abc import Sequence

import aiohttp
import structlog

from ..clock import Clock
from ..eventlog import Log
from ..metrics import STATES, CollectorMetrics
from ..settings import Settings, VenueSettings
from ..supervise import Budget, Outage
from ..venues.base import BadRow, Feed, Venue
from .addresses import moved
from .connection import Connection
from .coverage import CoverageTracker
from .follow import CoverageFollower
from .gapfill import Filler
from .guard import Guard
from .history import HistoryReader
from .instruments import InstrumentTable
from .intake import Intake
from .meter import FeedState, Meter
from .publisher import Publisher
from .roster import Roster
from .socket import Ended
from .watch import LIMITS, Limits

_WORST_FIRST = ("down", "refused", "silent", "connecting", "connected", "acknowledged", "delivering")
_LIVE = ("acknowledged", "delivering")
_LEAST_TICK = 0.2  # seconds


class VenueCollector:
    """`run` ends only by cancellation; afterwards the venue counts as not watched."""

    def __init__(
        self,
        venue: Venue,
        http: aiohttp.ClientSession,
        log: Log,
        publisher: Publisher,
        follower: CoverageFollower,
        settings: Settings,
        clock: Clock,
        metrics: CollectorMetrics,
        limits: Limits = LIMITS,
    ) -> None:
        own = settings.venues.get(venue.name, VenueSettings())
        collector = settings.collector
        self.name = venue.name
        self._venue, self._clock, self._metrics, self._limits = venue, clock, metrics, limits
        self._origin = own.websocket_origin
        self._coverage_every = max(_LEAST_TICK, collector.coverage_every.total_seconds() / clock.speed)
        self._meters = {feed.name: Meter(feed.name) for feed in venue.feeds}
        self._joining: set[Connection] = set()  # opened for new listings, not acknowledged yet
        self._rosters = [
            Roster(venue.name, feed, functools.partial(self._open, feed), self._close) for feed in venue.feeds
        ]
        self._running: dict[Connection, asyncio.Task[None]] = {}
        self._tasks: asyncio.TaskGroup | None = None
        self._log = structlog.get_logger("collector").bind(venue=venue.name)
        self._outage = Outage("venue", self._log)
        self._greeted = self._sides_wrong = False
        self._budget = Budget(venue.connects, venue.connects_per.total_seconds())
        self._requests = Budget(venue.requests, venue.requests_per.total_seconds()) if venue.requests else None
        self._table = InstrumentTable(
            venue,
            http,
            own.rest_origin,
            collector.refresh_instruments.total_seconds(),
            collector.usd_currencies,
            metrics,
            limits,
            self._refreshed,
        )
        guard = Guard(float(collector.largest_order), collector.implausible_price, self._table.doubted)
        self._intake = Intake(
            venue, collector.collector, publisher, self._table, metrics, clock, hold_seconds=limits.hold, guard=guard
        )
        self._filler: Filler | None = None
        if venue.history is not None and collector.fill_gaps:
            self._filler = Filler(
                venue,
                venue.history,
                HistoryReader(http, venue, venue.history, own.rest_origin, self._table.known, clock),
                log,
                follower,
                clock,
                metrics,
                collector.collector,
                collector.compare_every.total_seconds(),
                ready=lambda: self._table.complete and publisher.settled,
                publish=self._intake.fill,
                reject=self._reject_row,
                learn=self._learn,
                say=publisher.coverage,
                delisted=lambda since_ms, seen: self._table.delisted(since_ms, seen, clock),
                limits=limits,
            )
        gap = metrics.gap.labels(venue.name).inc
        self._tracker = CoverageTracker(venue, collector.collector, clock, publisher.coverage, gap, time.monotonic)

    @property
    def watched(self) -> bool:
        """Every feed is connected, acknowledged and alive, and every event of it can be understood."""
        return self._tracker.watching

    @property
    def acknowledged(self) -> bool:
        """At least one socket brings what it was asked for."""
        return any(connection.state in _LIVE for connection in self._connections)

    async def run(self) -> None:
        """Reads the instruments, opens what they call for, and keeps it open."""
        try:
            async with asyncio.TaskGroup() as self._tasks:
                self._tasks.create_task(self._table.run(), name=f"instruments {self.name}")
                self._tasks.create_task(self._tick(), name=f"tick {self.name}")
                if self._filler is not None:
                    self._tasks.create_task(self._filler.run(), name=f"gaps {self.name}")
        finally:
            self._tasks = None
            self._running.clear()
            for roster in self._rosters:
                roster.connections.clear()
            self._joining.clear()
            self._tracker.end("collector: stopped")
            self._show()

    def finish(self) -> None:
        """Nothing more is read: what waits for an unknown symbol is published or rejected now."""
        self._intake.settle(complete=True)
        self._show()

    @property
    def _connections(self) -> list[Connection]:
        return [connection for roster in self._rosters for connection in roster.connections]

    def trouble(self) -> str:
        """What is wrong, in a few words; empty where nothing is."""
        if self._table.failing and not self._table.complete:
            return f"instrument list: {self._table.trouble()}"
        return next((one.detail for one in self._connections if not one.alive and one.detail), "")

    def states(self) -> list[FeedState]:
        """One per feed: the worst of its sockets."""
        return [self._feed_state(roster) for roster in self._rosters]

    # What the connections tell (connection.Listener).

    def alive(self, connection: Connection) -> None:
        self._joining.discard(connection)
        self._judge()

    def down(self, connection: Connection, ended: Ended, retry_seconds: float) -> None:
        self._joining.discard(connection)
        feed, failure = connection.feed.name, ended.failure
        self._tracker.end(f"{feed}: {failure.reason}", ended.alive_until_ms)
        self._outage.down(failure.detail, feed=feed, retry_seconds=round(retry_seconds, 1))
        self._show()

    @property
    def events(self) -> int:
        """Brought by its streams since the start."""
        return sum(meter.events for meter in self._meters.values())

    def suspect(self, detail: str) -> None:
        """It brings nothing where it should: it counts as not watched since its last event, and connects anew."""
        since = max((at for meter in self._meters.values() if (at := meter.last_event_ms) is not None), default=None)
        for connection in self._connections:
            connection.suspect(detail, since)

    def _judge(self) -> None:
        counted = [one for one in self._connections if one not in self._joining]
        if self._table.complete and counted and all(one.alive for one in counted):
            self._tracker.begin()
        self._show()

    def _reject_row(self, address: str, row: BadRow) -> None:
        self._intake.reject("history", address, row.error, self._clock.now_ms(), row.reason)

    def _learn(self, symbol: str) -> bool:
        may_come = self._table.may_come(symbol)
        if may_come:
            self._table.want(symbol)
        return may_come

    # What the instrument lists call for.

    def _refreshed(self) -> None:
        table = self._table
        if not table.complete:
            self._outage.down(f"instrument list: {table.trouble()}", retry_seconds=round(table.retry_in or 0, 1))
        if table.usable:
            for roster in self._rosters:
                self._arrange(roster)
        self._intake.settle(complete=not table.failing)
        self._judge()

    def _arrange(self, roster: Roster) -> None:
        feed = roster.feed.name
        roster.arrange([name for name, one in self._table.known.items() if one.trading and one.feed in (None, feed)])

    def _open(self, feed: Feed, symbols: Sequence[str], joins: bool) -> Connection:
        reconnects = self._metrics.reconnects
        connection = Connection(
            self._venue,
            feed,
            moved(feed.url, self._origin, websocket=True),
            symbols,
            self._table.known,
            intake=self._intake,
            meter=self._meters[feed.name],
            budget=self._budget,
            requests=self._requests,
            listener=self,
            count=lambda reason: reconnects.labels(self.name, reason).inc(),
            clock=self._clock,
            limits=self._limits,
        )
        if joins:
            self._joining.add(connection)
        assert self._tasks is not None  # noqa: S101 - the table runs inside the group
        self._running[connection] = self._tasks.create_task(
            connection.run(), name=f"connection {self.name} {feed.name}"
        )
        return connection

    def _close(self, connection: Connection) -> None:
        self._joining.discard(connection)
        self._running.pop(connection).cancel()

    # What is shown.

    async def _tick(self) -> None:
        written = time.monotonic()
        while True:
            await asyncio.sleep(min(1.0, self._coverage_every))
            write = time.monotonic() - written >= self._coverage_every * 0.9
            if write:
                written = time.monotonic()
            self._tracker.tick(write=write)
            self._judge()
            watched_for = self._tracker.watched_for
            if watched_for >= self._limits.settled:
                self._outage.up(ago=watched_for)
            if self.watched and not self._greeted:
                self._greeted = True
                self._log.info("watching", sockets=len(self._connections), instruments=len(self._table.known))

    def _show(self) -> None:
        metrics, name = self._metrics, self.name
        self._intake.show_counts()
        metrics.connected.labels(name).set(self.watched)
        self._tell_sides()
        worst = min((state.state for state in self.states()), key=_WORST_FIRST.index)
        for state in STATES:
            metrics.state.labels(name, state).set(state == worst)
        for gauge, times in (
            (metrics.last_frame, [meter.last_frame_ms for meter in self._meters.values()]),
            (metrics.last_event, [meter.last_event_ms for meter in self._meters.values()]),
        ):
            gauge.labels(name).set(max((at for at in times if at is not None), default=0) / 1000)

    def _tell_sides(self) -> None:
        wrong = self._intake.sides.disagree(self._clock.now_ms())
        if wrong != self._sides_wrong:
            self._sides_wrong = wrong
            if wrong:
                self._log.warning(
                    "its sides disagree with its prices for an hour: has the venue changed their meaning?"
                )
            else:
                self._log.info("its sides agree with its prices again")
        self._metrics.sides_disagree.labels(self.name).set(wrong)

    def _feed_state(self, roster: Roster) -> FeedState:
        feed, meter = roster.feed.name, self._meters[roster.feed.name]
        if roster.connections:
            worst = min(roster.connections, key=lambda one: _WORST_FIRST.index(one.state))
            state, detail, retry_at = worst.state, worst.detail, worst.retry_at_ms
            if not detail and not self._table.complete:
                detail = self.trouble()
        else:
            detail = self.trouble()
            state = "down" if detail else "connecting"
            retry_at = self._table.retry_at_ms(self._clock)
        missed, filled = (self._filler.missed, self._filler.filled) if self._filler is not None else (0, 0)
        counts = ((missed, "missed by the stream"), (filled, "filled in"), (self._intake.quarantined, "held back"))
        if not detail and state in _LIVE:
            detail = ", ".join(f"{number} {words}" for number, words in counts if number)
        return FeedState(
            self.name,
            feed,
            state,
            detail,
            retry_at,
            meter.last_frame_ms,
            meter.last_event_ms,
            meter.events,
            missed,
            filled,
            self._intake.quarantined,
        )
