"""What the collector writes to the log: events, coverage, rejected frames, prices. Nothing that comes in waits here."""

import asyncio
import contextlib
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import count
from pathlib import Path

import structlog

from ..clock import Clock
from ..eventlog import Entry, Log
from ..events import Completeness, Coverage, Price, Reason, RejectedFrame
from ..metrics import CollectorMetrics, ServiceMetrics
from ..settings import CollectorSettings
from ..topics import COVERAGE, LIQUIDATIONS, MAX_FRAME_BYTES, REJECTED_FRAMES, Topic
from ..wire import Liquidation, encode
from .lane import Lane
from .link import LogLink
from .outflow import Outflow
from .prices import Prices
from .spool import Damage, Spool, Spooled
from .watch import LIMITS

_MOST_REJECTED = 1000  # messages waiting; the metric counts those beyond as well
_MOST_INTERVALS = 10_000
_CANCEL_SECONDS, _SAVE_SECONDS = 1.0, 1.5


@dataclass(slots=True)
class _Loss:
    from_ms: int
    to_ms: int
    events: int


class Publisher:
    """`run` until cancelled; then `close` finishes what is in hand, or saves it to the spool, within a limit."""

    def __init__(
        self,
        log: Log,
        settings: CollectorSettings,
        completeness: dict[str, Completeness],
        clock: Clock,
        metrics: CollectorMetrics,
        service_metrics: ServiceMetrics,
        appended: float = LIMITS.appended,
    ) -> None:
        """`appended`: seconds after which what was received is in the log, while that is well."""
        self._collector, self._completeness = settings.collector, completeness
        self._clock, self._metrics = clock, metrics
        self._log = structlog.get_logger("collector")
        self._link = LogLink(log, service_metrics, self._refuse)
        self._spool = Spool(Path(settings.spool_path), settings.spool_limit_mib << 20)
        self._outflow = Outflow(
            self._link, self._spool, settings.memory_limit_events, self._lose, self._tell_losses, self._tell_damage
        )
        self._coverage = Lane(
            self._link,
            COVERAGE,
            _MOST_INTERVALS,
            lambda: self._once("coverage messages dropped"),
            # Who reads that a time was watched may count on its events: after an outage they come first.
            lambda: self._outflow.behind(appended),
        )
        self._rejected = Lane(
            self._link, REJECTED_FRAMES, _MOST_REJECTED, lambda: self._once("rejected frames not kept, only counted")
        )
        self._prices = Prices(log, clock)
        self._numbers = count()
        self._losses: dict[str, _Loss] = {}
        self._told: set[str] = set()
        metrics.backlog.set_function(lambda: self._outflow.held)
        metrics.spooled.set_function(lambda: self._spool.size)

    def unready(self) -> list[str]:
        """Reasons why events do not reach the log now."""
        return [self._link.trouble] if self._link.trouble else []

    @property
    def settled(self) -> bool:
        """What was received a few seconds ago is in the log."""
        return not self._link.trouble and self._spool.known and not self._spool.pending

    def liquidations(self, items: Sequence[Liquidation]) -> None:
        """Events that were counted: to be kept at all costs."""
        self._outflow.put(
            [
                Entry(
                    f"{item.venue}:{item.symbol}".encode(),
                    encode(item),
                    min(item.event_time_ms, item.received_time_ms),
                )
                for item in items
            ]
        )

    def coverage(self, message: Coverage) -> None:
        """An interval as it stands now; of one interval only the latest is worth writing."""
        entry = Entry(message.venue.encode(), message.model_dump_json().encode(), message.to_ms)
        self._coverage.put(message.interval_id, entry)

    def rejected(self, message: RejectedFrame) -> None:
        """A frame or row that was not counted."""
        entry = Entry(message.venue.encode(), message.model_dump_json().encode(), message.received_time_ms)
        self._rejected.put(str(next(self._numbers)), entry)

    def price(self, message: Price) -> None:
        """What a coin costs now: of no worth later, so it waits for no log and for no stop."""
        self._prices.put(message)

    async def run(self) -> None:
        """Appends until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._outflow.run(), name="publish liquidations")
            tasks.create_task(self._coverage.run(), name="publish coverage")
            tasks.create_task(self._rejected.run(), name="publish rejected frames")
            tasks.create_task(self._prices.run(), name="publish prices")

    async def close(self, running: asyncio.Task[None], within: float) -> None:
        """Ends `running` when everything is in the log, the log is away, or `within` is over; saves the rest."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + within
        while not self._idle and not self._link.trouble and not running.done() and loop.time() < deadline:  # noqa: ASYNC110
            await asyncio.sleep(0.02)
        running.cancel()
        await asyncio.wait({running}, timeout=_CANCEL_SECONDS)
        try:
            async with asyncio.timeout(_SAVE_SECONDS):
                await self._save()
        except TimeoutError:
            self._log.error("the spool was too slow at the end", events_in_memory=self._outflow.held)
        self._spool.close()

    @property
    def _idle(self) -> bool:
        return self._outflow.idle and self._coverage.idle and self._rejected.idle

    async def _save(self) -> None:
        held = self._outflow.held
        await self._outflow.save()
        for venue, loss in self._take_losses().items():
            self.coverage(self._lost(venue, loss))
        rest = [Spooled(lane.topic, entry) for lane in (self._coverage, self._rejected) for entry in lane.rest()]
        if not held and not rest:
            return
        taken = 0
        with contextlib.suppress(OSError):
            taken = await asyncio.to_thread(self._spool.append, rest, vital=True)
        self._log.warning(
            "stopped without the log; it is in the spool and goes to the log at the next start",
            events=held, spool_bytes=self._spool.size, messages_dropped=len(rest) - taken or None,
        )  # fmt: skip

    def _lose(self, entries: Sequence[Entry]) -> None:
        now_ms = self._clock.now_ms()
        for entry in entries:
            venue = entry.key.partition(b":")[0].decode()
            loss = self._losses.setdefault(venue, _Loss(now_ms, now_ms, 0))
            loss.to_ms, loss.events = now_ms, loss.events + 1
            self._metrics.lost.labels(venue).inc()
        self._once("events are being lost: memory and spool are full", remedy="bring the log back")

    def _refuse(self, topic: Topic, entry: Entry, why: str) -> None:
        """The log will never take this: an event goes where it can be looked at, and all else goes on."""
        venue = entry.key.partition(b":")[0].decode(errors="replace")
        self._log.error("the log refuses a record for good", topic=topic.name, venue=venue, reason=why[:300])
        if topic is not LIQUIDATIONS:
            return
        self._metrics.rejected.labels(venue, Reason.MALFORMED.value).inc()
        value = entry.value or b""
        self.rejected(
            RejectedFrame(
                venue=venue,
                feed="",
                collector=self._collector,
                received_time_ms=self._clock.now_ms(),
                reason=Reason.MALFORMED.value,
                error=f"an event that the log refuses: {why}"[:1000],
                frame=value[:MAX_FRAME_BYTES].decode(errors="ignore"),
                frame_bytes=len(value),
            )
        )

    def _tell_damage(self, damage: Sequence[Damage], aside: Path) -> None:
        """The spool was damaged: each stretch of it was one event at least, and a gap."""
        for one in damage:
            venue, of_an_event, _ = one.key.decode(errors="replace").partition(":")
            if venue in self._completeness and not of_an_event:
                continue  # a message about the venue, not an event of it
            known = venue in self._completeness
            self._metrics.lost.labels(venue if known else "unknown").inc()
            # Nobody can say whose an unreadable event was: it may be missing at every venue.
            for name in [venue] if known else self._completeness:
                loss = _Loss(one.from_ms, one.to_ms, int(known))
                self.coverage(self._lost(name, loss, "spool: damaged"))
        self._log.error(
            "the spool was damaged; what could be read of it goes on to the log", stretches=len(damage),
            unreadable_bytes=sum(one.bytes for one in damage), damaged_file=str(aside),
        )  # fmt: skip

    def _tell_losses(self) -> None:
        """The log has taken something again: what was lost until now is written as a gap of coverage."""
        if not self._losses:
            return
        for venue, loss in self._take_losses().items():
            self._log.error("events were lost in the outage", venue=venue, events=loss.events)
            self.coverage(self._lost(venue, loss))
        self._told.clear()

    def _take_losses(self) -> dict[str, _Loss]:
        losses, self._losses = self._losses, {}
        return losses

    def _lost(self, venue: str, loss: _Loss, by: str = "log: memory and spool were full") -> Coverage:
        return Coverage(
            venue=venue,
            collector=self._collector,
            interval_id=f"{self._collector}:{venue}:lost:{loss.from_ms}",
            kind="lost",
            from_ms=loss.from_ms,
            to_ms=loss.to_ms + 1,
            open=False,
            completeness=self._completeness.get(venue, "unproven"),
            ended_by=by,
            events_lost=loss.events,
        )

    def _once(self, event: str, **more: object) -> None:
        if event not in self._told:
            self._told.add(event)
            self._log.error(event, **more)
