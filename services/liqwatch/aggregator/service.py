"""The aggregator: liquidations in, rolling totals, heartbeats and bars out. The log is its only state."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta

import structlog

from ..clock import Clock
from ..eventlog import Log, LogUnavailable, Member
from ..metrics import AggregatorMetrics, ServiceMetrics
from ..settings import AggregatorSettings, window_name
from ..supervise import Backoff
from ..topics import LIQUIDATIONS
from .intake import Intake
from .partition import Stage
from .publisher import Publisher
from .window import RollingTotals

_BARS_NEED = timedelta(minutes=5)  # how long events are kept at least: a bar is made of what is in memory
_AHEAD = timedelta(minutes=2)  # a record may be written under a time before its event's
_MOST_BACK_MS = 60_000  # by which the wall clock may lag the window's, which never goes back
_STOP_SECONDS = 2.0
_ENDS_SECONDS = 2.0


class ClockWentBack(Exception):
    """The windows end at a moment yet to come, and are emptier than they should be: the service is to be built anew."""


class AggregatorService:
    """Holds some or all partitions of `liquidations`, together with the other members of its group."""

    def __init__(
        self,
        log: Log,
        settings: AggregatorSettings,
        clock: Clock,
        metrics: AggregatorMetrics,
        service_metrics: ServiceMetrics,
        group_prefix: str,
    ) -> None:
        self._log = log
        self._clock = clock
        self._metrics = metrics
        self._service_metrics = service_metrics
        self._group = f"{group_prefix}.aggregator"
        self._coalesce = settings.coalesce.total_seconds()
        keep = max(settings.windows[-1], _BARS_NEED)
        self._start = max(2 * settings.windows[-1], keep + _AHEAD)
        windows = [(window_name(span), int(span.total_seconds())) for span in settings.windows]
        keep_seconds = int(keep.total_seconds())
        self._window = RollingTotals(windows, keep_seconds)
        self._work, self._changed = asyncio.Event(), asyncio.Event()
        self._intake = Intake(log, self._window, clock, metrics, service_metrics, self._wake)
        self._publisher = Publisher(
            log, self._window, [name for name, _ in windows], self._intake, clock, metrics, keep_seconds
        )
        self._outages: dict[str, str] = {}

    async def run(self, stop: asyncio.Event) -> None:
        """Works until `stop` is set. Raises `LogError` for what a retry will not mend, such as a missing topic, and
        `ClockWentBack` where only a new service can go on."""
        stopping = asyncio.create_task(stop.wait())
        stopping.add_done_callback(lambda _: self._wake())
        member: Member | None = None
        try:
            member = await self._join(stop)
            if member is None:
                return
            async with asyncio.TaskGroup() as group:
                group.create_task(self._read(member, stop))
                group.create_task(self._publish_all(stop))
                group.create_task(self._publish(member, stop))
        except ExceptionGroup as errors:
            raise errors.exceptions[0] from None
        finally:
            stopping.cancel()
            await self._intake.close()
            if member is not None:
                await _within(_STOP_SECONDS, member.close)

    def unready(self) -> list[str]:
        """Why it cannot be relied on now; empty if it can. A standby without partitions is ready."""
        reasons = [f"the log cannot be used: {reason}" for reason in self._outages.values()]
        if self._intake.assignment.generation == 0:
            reasons.append("no partition assigned yet")
        for owned in self._intake.owned.values():
            if owned.stage is Stage.REBUILDING and owned.behind:
                reasons.append(f"partition {owned.number} is catching up: {owned.behind} records behind")
            elif owned.stage is not Stage.LIVE:
                reasons.append(f"partition {owned.number} is catching up: its totals are being published")
        return reasons

    async def _join(self, stop: asyncio.Event) -> Member | None:
        backoff = Backoff(cap=5.0)
        while not stop.is_set():
            try:
                member = await self._log.member(LIQUIDATIONS, self._group, start=self._start)
            except LogUnavailable as error:
                await self._outage("joining", error, backoff, stop)
            else:
                self._over("joining", backoff)
                return member
        return None

    async def _read(self, member: Member, stop: asyncio.Event) -> None:
        backoff = Backoff(cap=5.0)
        while not stop.is_set():
            self._check_clock()
            try:
                await self._intake.take(member)
            except LogUnavailable as error:
                await self._outage("reading", error, backoff, stop)
            else:
                self._over("reading", backoff)

    async def _publish_all(self, stop: asyncio.Event) -> None:
        """The totals of `all`, as soon as they change."""
        backoff = Backoff(cap=5.0)
        while not stop.is_set():
            await self._changed.wait()
            self._changed.clear()
            try:
                await self._publisher.flush_all()
            except (LogUnavailable, TimeoutError) as error:
                self._changed.set()
                await self._outage("writing totals of all", error, backoff, stop)
            else:
                self._over("writing totals of all", backoff)
                await _pause(stop, self._coalesce)

    async def _publish(self, member: Member, stop: asyncio.Event) -> None:
        loop = asyncio.get_running_loop()
        backoff = Backoff(cap=5.0)
        next_tick = loop.time()
        while not stop.is_set():
            try:
                await self._wait_for_work(next_tick - loop.time())
                begun = loop.time()
                await self._publisher.flush()
                announced = False
                while await self._publisher.announce() and not stop.is_set():
                    announced = True
                    await self._publisher.flush()
                if announced or begun >= next_tick:
                    await self._publisher.tick(await self._ends(member))
                    next_tick = loop.time() + self._until_next_second()
            except (LogUnavailable, TimeoutError) as error:
                await self._outage("writing", error, backoff, stop)
            else:
                self._over("writing", backoff)
                if self._publisher.unfinished:
                    self._work.set()
                # Counted from its end: under load a flush takes long, and reading must have its turn as well.
                await _pause(stop, self._coalesce)
        try:
            async with asyncio.timeout(_STOP_SECONDS):
                await self._publisher.flush_all()
                await self._publisher.flush()
        except (LogUnavailable, TimeoutError):
            return  # the successor reads the log

    def _wake(self) -> None:
        self._work.set()
        self._changed.set()

    def _check_clock(self) -> None:
        back_ms = self._window.now_ms - self._clock.now_ms()
        if back_ms > _MOST_BACK_MS * self._clock.speed:
            raise ClockWentBack(f"the clock went back by {back_ms // 1000} s; the totals are rebuilt from the log")

    async def _wait_for_work(self, seconds: float) -> None:
        if seconds > 0:
            await _within(seconds, self._work.wait)
        self._work.clear()

    def _until_next_second(self) -> float:
        if self._clock.speed != 1.0:
            return 1.0
        return 1.001 - self._clock.now_ms() % 1000 / 1000

    async def _ends(self, member: Member) -> dict[int, int]:
        """The ends of the held partitions; notes how far behind we are."""
        async with asyncio.timeout(_ENDS_SECONDS):
            ends = dict(await member.end_offsets())
        positions = member.positions()
        for number, owned in self._intake.owned.items():
            if number in ends:
                owned.ends.append(ends[number])
                owned.behind = max(0, ends[number] - positions.get(number, 0))
        return ends

    async def _outage(self, doing: str, error: BaseException, backoff: Backoff, stop: asyncio.Event) -> None:
        if doing not in self._outages:
            reason = str(error) or "no answer in time"
            self._outages[doing] = reason
            self._service_metrics.log_up.set(0)
            structlog.get_logger("aggregator").warning("the log cannot be used, retrying", doing=doing, reason=reason)
        await _pause(stop, backoff.next())

    def _over(self, doing: str, backoff: Backoff) -> None:
        if self._outages.pop(doing, None) is not None:
            backoff.reset()
            structlog.get_logger("aggregator").info("the log can be used again", doing=doing)
        if not self._outages:
            self._service_metrics.log_up.set(1)


async def _pause(stop: asyncio.Event, seconds: float) -> None:
    if seconds > 0:
        await _within(seconds, stop.wait)


async def _within(seconds: float, work: Callable[[], Awaitable[object]]) -> None:
    try:
        async with asyncio.timeout(seconds):
            await work()
    except TimeoutError:
        return
