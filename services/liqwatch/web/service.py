"""The web service: reads the topics, serves the page, the API and the stream."""

import asyncio
import contextlib
from collections.abc import Callable, Mapping, Sequence

import structlog
from aiohttp import web

from ..clock import Clock
from ..coverage import newest as newest_intervals
from ..eventlog import EARLIEST, Log, LogUnavailable, Record, Start, since
from ..following import Away, Follower, read_to_the_end
from ..metrics import ServiceMetrics, WebMetrics
from ..settings import RuleSettings, WebSettings
from ..topics import ALERTS, BARS, COVERAGE, LIQUIDATIONS, SILENCES, TOTALS, Topic
from ..totals import newest
from ..venues.base import Venue
from . import assets
from .hosts import Hosts, is_own
from .market import HOUR_MS, Market
from .past import Past
from .server import Api
from .stream import Hub
from .updates import Updates

_FORGET_SECONDS = 60.0
_AGAIN_SECONDS = 5.0
_CLOSE_SECONDS = 0.5
_REST_SECONDS = 0.25  # a page is looked at: no need to follow every record
log_ = structlog.get_logger("web")


class CannotListen(Exception):
    """The port is taken, or the address is not ours. The text names the setting."""


class WebService:
    """The live page and its API. Knows nothing but what is in the topics."""

    def __init__(
        self,
        log: Log,
        settings: WebSettings,
        windows: Sequence[tuple[str, int]],
        venues: Mapping[str, Venue],
        rules: Callable[[], Sequence[RuleSettings]],
        clock: Clock,
        metrics: WebMetrics,
        service_metrics: ServiceMetrics,
        *,
        any_port: bool = False,
    ) -> None:
        self.address = ""  # host and port once it listens
        self._log, self._settings, self._clock = log, settings, clock
        self._any_port = any_port
        self._oldest_ms: int | None = None
        self._read = asyncio.Event()  # all topics as far as the page needs them at first
        longest_ms = max(seconds for _, seconds in windows) * 1000
        self._live_ms = longest_ms if settings.estimate else min(HOUR_MS, longest_ms)
        market = self._market = Market(windows, venues, clock.speed, estimate=settings.estimate)
        updates = Updates(market, rules)
        self._hub = Hub(updates, clock, metrics)
        self._api = Api(
            market,
            self._hub,
            updates,
            log,
            clock,
            rules,
            settings.token,
            self._unread,
            metrics,
            assets.read(),
            Hosts(settings.host, settings.hosts),
        )

        away = Away(log_)

        def follow(topic: Topic, back_ms: int | None, take: Callable[[Record], None]) -> Follower:
            def start() -> Start:
                return EARLIEST if back_ms is None else since(clock.now_ms() - back_ms)

            return Follower(
                log, topic, start, take, away, log_, self._look,
                rest=_REST_SECONDS, count_lost=service_metrics.offset_gap, count_unreadable=metrics.unreadable,
            )  # fmt: skip

        totals = follow(TOTALS, None, self._take_totals)
        totals.thin = newest
        coverage = follow(COVERAGE, market.coverage_ms, market.take_coverage)
        coverage.thin = newest_intervals
        self._following = [
            totals,
            coverage,
            follow(BARS, market.bars.keep_ms, market.take_bar),
            follow(LIQUIDATIONS, self._live_ms, market.take_liquidation),
            follow(ALERTS, None, market.take_incident),
            follow(SILENCES, None, market.take_silence),
        ]

    async def run(self, stop: asyncio.Event) -> None:
        """Serves until told to stop. Raises `CannotListen`, and `LogError` where a person has to act."""
        runner = web.AppRunner(self._api.application(), access_log=None, shutdown_timeout=0.5)
        await runner.setup()
        try:
            await self._listen(runner)
            log_.info("the page is up", address=f"http://{self.address}/")
            if not is_own(self._settings.host):
                log_.warning(
                    "others can reach the page, which has no accounts: anybody who does may read it",
                    host=self._settings.host,
                    hosts=list(self._settings.hosts),
                )
            async with asyncio.TaskGroup() as tasks:
                held = [tasks.create_task(one.run(), name=f"follow {one.topic.name}") for one in self._following]
                held.append(tasks.create_task(self._hub.run(stop, self._oldest), name="stream"))
                held.append(tasks.create_task(self._forget(), name="forget"))
                held.append(tasks.create_task(self._read_back(), name="read back"))
                await stop.wait()
                self._hub.close()
                for task in held:
                    task.cancel()
        except* Exception as group:
            raise group.exceptions[0]  # noqa: B904 - the first is why the others were cancelled
        finally:
            self._hub.close()
            with contextlib.suppress(Exception):
                await asyncio.wait_for(runner.cleanup(), 1.0)

    def _look(self, _records: int) -> None:
        if not self._read.is_set() and not self._unread():
            self._read.set()

    async def _read_back(self) -> None:
        """Once all is shown that the page needs at first: the larger liquidations of the rest of the longest window."""
        now_ms = self._clock.now_ms()
        self._market.live_since_ms = self._market.large_since_ms = now_ms - self._live_ms
        await self._read.wait()
        start_ms = now_ms - self._market.longest_ms
        past = Past(self._market)
        while self._market.large_since_ms > start_ms:
            reading = asyncio.create_task(read_to_the_end(self._log, LIQUIDATIONS, past.take, start=since(start_ms)))
            try:
                await asyncio.wait({reading})
            finally:  # a log that is away may take long to let go of a reader: a stop does not wait for it
                reading.cancel()
                await asyncio.wait({reading}, timeout=_CLOSE_SECONDS)
            try:
                reading.result()
                self._market.large_since_ms = start_ms
            except LogUnavailable:
                await asyncio.sleep(_AGAIN_SECONDS)

    def unready(self) -> list[str]:
        """Reasons why the page cannot be believed now; empty when it can."""
        reasons = [] if self.address else ["it does not listen yet"]
        down = [one.down for one in self._following if one.down]
        return reasons + self._unread() + down[:1]

    def _unread(self) -> list[str]:
        waiting = [one.topic.name for one in self._following if not one.caught_up]
        return [f"still reading {', '.join(waiting)}"] if waiting else []

    async def _listen(self, runner: web.AppRunner) -> None:
        host, port = self._settings.host, self._settings.port
        for wanted in (port, 0) if self._any_port else (port,):
            try:
                await web.TCPSite(runner, host, wanted).start()
            except OSError as error:
                reason = error.strerror or str(error)
                continue
            bound = runner.addresses[0]
            self.address = f"[{bound[0]}]:{bound[1]}" if ":" in bound[0] else f"{bound[0]}:{bound[1]}"
            return
        raise CannotListen(
            f"cannot listen on {host}:{port} for the page: {reason}; does another program have it? "
            "Its port is web.port in the settings"
        )

    async def _forget(self) -> None:
        while True:
            await asyncio.sleep(max(2.0, _FORGET_SECONDS / self._clock.speed))
            self._market.forget(self._clock.now_ms())

    def _take_totals(self, record: Record) -> None:
        self._market.take_totals(record)
        if self._oldest_ms is None:
            self._oldest_ms = record.timestamp_ms

    def _oldest(self) -> int | None:
        oldest_ms, self._oldest_ms = self._oldest_ms, None
        return oldest_ms
