"""Settings to running services: the only place that constructs."""

import asyncio
import contextlib
import hashlib
import os
import signal
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import aiohttp
import structlog
from prometheus_client import CollectorRegistry, GCCollector, PlatformCollector, ProcessCollector

from . import configuration, logs, topics, venues
from .aggregator.service import AggregatorService
from .alerter.service import AlerterService
from .clock import Clock
from .collector.service import CollectorService
from .eventlog import Log, LogError, LogUnavailable
from .eventlog.checks import check_topics
from .eventlog.kafka import KafkaLog
from .eventlog.sqlite import SqliteLog
from .health import HealthServer
from .lookups import connector
from .metrics import AggregatorMetrics, AlerterMetrics, CollectorMetrics, ServiceMetrics, WebMetrics
from .settings import Settings, SettingsError, window_name
from .supervise import Backoff
from .systemd import Systemd
from .venues.base import Venue
from .web.service import CannotListen, WebService

STOP_WITHIN = 9.5  # seconds from the first signal to the end of the process, whatever hangs
_PART_STOP_WITHIN = {"collector": 4.0, "aggregator": 2.0, "alerter": 2.0, "web": 1.0}
_RELOADABLE = {"rules", "targets", "templates", "routes", "coins"}

log_ = structlog.get_logger("liqwatch")


class Service(Protocol):
    """What a process runs."""

    async def run(self, stop: asyncio.Event) -> None: ...

    def unready(self) -> list[str]: ...


@dataclass(slots=True)
class Part:
    """A service in this process, built anew should it ever fail."""

    name: str
    build: Callable[[], Service]
    service: Service | None = None
    stop: asyncio.Event = field(default_factory=asyncio.Event)
    task: asyncio.Task[None] | None = None


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What every part is given."""

    settings: Settings
    clock: Clock
    log: Log
    registry: CollectorRegistry
    service_metrics: ServiceMetrics
    http: aiohttp.ClientSession
    emit: Callable[[str], None]
    latest: Callable[[], Settings]  # with the rules and targets of the last reload
    any_page_port: bool = False


def enabled_venues(settings: Settings) -> dict[str, Venue]:
    """The venues to collect: by default all that are proven, else as the settings say."""
    chosen: dict[str, Venue] = {}
    for name, venue in venues.discover().items():
        wanted = settings.venues[name].enabled if name in settings.venues else None
        if wanted if wanted is not None else venue.enabled_by_default:
            chosen[name] = venue
    return chosen


def build_log(settings: Settings, clock: Clock, *, read_only: bool = False) -> Log:
    """The log that the settings name; not yet open."""
    if settings.log.backend == "kafka":
        return KafkaLog(settings.log.kafka, clock=clock)
    return SqliteLog(settings.log.path, clock=clock, read_only=read_only)


def _collector(around: Surroundings) -> Part:
    chosen = enabled_venues(around.settings)
    windows = [window_name(span) for span in around.settings.aggregator.windows]
    metrics = CollectorMetrics(around.registry, chosen, windows)
    return Part(
        "collector",
        lambda: CollectorService(around.log, chosen, around.settings, around.clock, metrics, around.service_metrics),
    )


def _aggregator(around: Surroundings) -> Part:
    settings = around.settings.aggregator
    metrics = AggregatorMetrics(around.registry, [window_name(span) for span in settings.windows])
    prefix = around.settings.log.kafka.group_prefix
    return Part(
        "aggregator",
        lambda: AggregatorService(
            around.log, settings, around.clock, metrics, around.service_metrics, group_prefix=prefix
        ),
    )


def _alerter(around: Surroundings) -> Part:
    settings = around.settings
    metrics = AlerterMetrics(around.registry, settings.targets, [rule.name for rule in settings.rules])
    titles = {name: venue.title for name, venue in enabled_venues(settings).items()}
    return Part(
        "alerter",
        lambda: AlerterService(
            around.log,
            around.latest(),
            around.clock,
            metrics,
            around.service_metrics,
            around.http,
            emit=around.emit,
            venues=titles,
        ),
    )


def _web(around: Surroundings) -> Part:
    settings = around.settings
    metrics = WebMetrics(around.registry)
    windows = [(window_name(span), int(span.total_seconds())) for span in settings.aggregator.windows]
    chosen = enabled_venues(settings)
    return Part(
        "web",
        lambda: WebService(
            around.log,
            settings.web,
            windows,
            chosen,
            lambda: around.latest().rules,
            around.clock,
            metrics,
            around.service_metrics,
            any_port=around.any_page_port,
        ),
    )


PARTS: dict[str, Callable[[Surroundings], Part]] = {
    "web": _web,
    "alerter": _alerter,
    "aggregator": _aggregator,
    "collector": _collector,
}
SERVICE_PORTS = {
    "collect": "collect_port",
    "aggregate": "aggregate_port",
    "alert": "alert_port",
    "web": "web_port",
    "run": "run_port",
}


class Process:
    """One process: the parts it runs, their log, and what it shows over HTTP."""

    def __init__(
        self,
        name: str,
        parts: Sequence[str],
        settings: Settings,
        *,
        port: int,
        clock: Clock | None = None,
        create_topics: bool = False,
        config: Path | None = None,
        emit: Callable[[str], None] = print,
        any_page_port: bool = False,
    ) -> None:
        self.name = name
        self.settings = settings
        self.clock = clock or Clock()
        self.stop = asyncio.Event()
        self.address = ""
        self.log = build_log(settings, self.clock)
        self.parts: list[Part] = []
        self.ready = asyncio.Event()
        self._wanted = parts
        self._port = port
        self._create = create_topics
        self._config = config
        self._emit = emit
        self._any_page_port = any_page_port
        self._failure: str | None = None
        self._log_state = "not open yet"
        self._systemd = Systemd()
        self._registry = CollectorRegistry()
        for collector in (ProcessCollector, PlatformCollector, GCCollector):
            collector(registry=self._registry)
        self._metrics = ServiceMetrics(self._registry, name)
        self._metrics.config_hash.set(_hash(settings))
        self._metrics.ready.set_function(lambda: 0.0 if self.unready() else 1.0)

    def unready(self) -> list[str]:
        """Reasons why this process is not doing its work now; empty when it is."""
        if self._log_state:
            return [f"log: {self._log_state}"]
        reasons: list[str] = []
        for part in self.parts:
            if part.service is None:
                reasons.append(f"{part.name}: is starting")
            else:
                reasons += [f"{part.name}: {reason}" for reason in part.service.unready()]
        return reasons

    def part(self, name: str) -> Service | None:
        """The running service of that name, if it is in this process."""
        return next((part.service for part in self.parts if part.name == name), None)

    def has(self, name: str) -> bool:
        """Is that service one of this process?"""
        return name in self._wanted

    def page(self) -> str:
        """The address of the live page; empty where it is not in this process, or does not listen yet."""
        service = self.part("web")
        return f"http://{service.address}/" if isinstance(service, WebService) and service.address else ""

    def reload(self) -> list[str]:
        """Reads the settings again and swaps rules and targets; on a mistake the old ones stay. Returns mistakes."""
        with self._systemd.reloading():
            return self._reload()

    def _reload(self) -> list[str]:
        try:
            settings = configuration.read(self._config)
            _check_windows(settings, self.settings)
        except SettingsError as error:
            self._metrics.config_reload_successful.set(0)
            log_.error("settings not reloaded, the old ones stay", mistakes=error.mistakes)
            return error.mistakes
        logs.redact_also(list(configuration.secrets(settings)))
        waits = [
            key
            for key in type(settings).model_fields
            if key not in _RELOADABLE and getattr(settings, key) != getattr(self.settings, key)
        ]
        self.settings = self.settings.model_copy(update={key: getattr(settings, key) for key in _RELOADABLE})
        alerter = self.part("alerter")
        if isinstance(alerter, AlerterService):
            alerter.reload(self.settings)
        self._metrics.config_reload_successful.set(1)
        self._metrics.config_reload_time.set_to_current_time()
        self._metrics.config_hash.set(_hash(self.settings))
        log_.info("settings reloaded", needs_restart=waits or None)
        return []

    async def run(self) -> int:
        """Runs until told to stop; the exit status."""
        health = HealthServer(self._registry, self._metrics, self.unready, self.reload)
        self._listen_to_signals()
        try:
            self.address = await health.start(self.settings.http.host, self._port)
        except OSError as error:
            log_.error(
                f"cannot listen on {self.settings.http.host}:{self._port}: {error.strerror}; "
                "is another liqwatch running here? Its port is a setting of [http]"
            )
            return 1
        log_.info("started", service=self.name, metrics=f"http://{self.address}/metrics")
        following = asyncio.create_task(self._systemd.follow(self.unready), name="systemd")
        try:
            async with aiohttp.ClientSession(connector=connector(), auto_decompress=True) as http:
                if await self._open_log():
                    self._systemd.ready()
                    await self._work(http)
        except LogError as error:
            self._failure = str(error)
        finally:
            self._systemd.stopping()
            await self.log.close(timeout=2.0)
            await health.stop()
            following.cancel()
            await asyncio.wait([following], timeout=1)
        if self._failure:
            log_.error(self._failure)
            return 1
        log_.info("stopped", service=self.name)
        return 0

    def _listen_to_signals(self) -> None:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._on_signal)
        loop.add_signal_handler(signal.SIGHUP, self.reload)

    def _on_signal(self) -> None:
        if self.stop.is_set():
            os._exit(130)
        self.stop.set()
        self._systemd.stopping()
        # Whatever hangs (a client library in an outage), the process ends in time.
        asyncio.get_running_loop().call_later(STOP_WITHIN, os._exit, 1)

    async def _open_log(self) -> bool:
        """Opens the log and checks its topics, waiting for a broker that is down. False if told to stop meanwhile."""
        backoff = Backoff(first=0.5, cap=5.0)
        while not self.stop.is_set():
            try:
                await self.log.open()
                if self._create:
                    await self.log.create(topics.TOPICS.values())
                await check_topics(self.log, topics.TOPICS.values(), self.settings.aggregator.windows[-1])
                self._log_state = ""
                self._metrics.log_up.set(1)
                if backoff.failures:
                    log_.info("log is back")
                return True
            except LogUnavailable as error:
                if backoff.failures == 0:
                    log_.warning("log cannot be reached, retrying", reason=str(error))
                self._log_state = str(error)
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self.stop.wait(), backoff.next())
        return False

    async def _work(self, http: aiohttp.ClientSession) -> None:
        around = Surroundings(
            self.settings,
            self.clock,
            self.log,
            self._registry,
            self._metrics,
            http,
            self._emit,
            latest=lambda: self.settings,
            any_page_port=self._any_page_port,
        )
        self.parts = [PARTS[name](around) for name in self._wanted]
        for part in self.parts:
            part.task = asyncio.create_task(self._keep(part), name=part.name)
        self.ready.set()
        await self.stop.wait()
        # Last started, first stopped: what was received is handed on before its reader goes.
        for part in reversed(self.parts):
            part.stop.set()
            assert part.task is not None  # noqa: S101 - set above
            _, late = await asyncio.wait([part.task], timeout=_PART_STOP_WITHIN[part.name])
            if late:
                log_.warning("did not stop in time", service=part.name)
                part.task.cancel()
                await asyncio.wait([part.task], timeout=0.5)

    async def _keep(self, part: Part) -> None:
        """Runs a part; a failure that a person must mend ends the process, any other builds the part anew."""
        backoff = Backoff(first=0.5, cap=30.0)
        while not part.stop.is_set():
            part.service = None
            try:
                part.service = part.build()
                await part.service.run(part.stop)
                return
            except LogUnavailable as error:
                log_.warning("log cannot be reached, starting the service again", service=part.name, reason=str(error))
            except (LogError, CannotListen) as error:
                self._failure = str(error)
                self.stop.set()
                return
            except Exception:
                log_.exception("a service failed and is started again", service=part.name)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(part.stop.wait(), backoff.next())


def _check_windows(wanted: Settings, running: Settings) -> None:
    """A rule on a window that is not added up would never fire. Raises `SettingsError`."""
    kept = running.aggregator.windows
    mistakes = [
        f"rules.{index}.window: {window_name(rule.window)} is not kept by what runs now; "
        "a new window in aggregator.windows needs a restart"
        for index, rule in enumerate(wanted.rules)
        if rule.window not in kept
    ]
    if mistakes:
        raise SettingsError(mistakes)


def _hash(settings: Settings) -> int:
    """Of every setting, the secrets too: in the model's own JSON they all look alike."""
    whole = hashlib.sha256(settings.model_dump_json().encode())
    for secret in configuration.secrets(settings):
        whole.update(hashlib.sha256(secret.encode()).digest())
    return zlib.crc32(whole.digest())
