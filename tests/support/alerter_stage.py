"""A stage for the alerter: a log with fresh totals on it, a local chat, and services that start, stop and die."""

import asyncio
import contextlib
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, Self

import aiohttp
from prometheus_client import CollectorRegistry

from liqwatch.alerter.illustrating import PictureSource
from liqwatch.alerter.service import AlerterService
from liqwatch.clock import Clock
from liqwatch.eventlog import Entry
from liqwatch.events import Coverage, Incident
from liqwatch.metrics import AlerterMetrics, ServiceMetrics
from liqwatch.routes import RouteSettings
from liqwatch.settings import RuleSettings, Settings, TargetSettings, TemplateSettings
from liqwatch.topics import ALERTS, COVERAGE, TOTALS
from liqwatch.wire import Heartbeat, LargestRecord, Totals, encode

from .hurry import skipped
from .memory_log import MemoryLog

BEAT_SECONDS = 0.1
WITHIN = 10.0  # seconds that anything may take here


@dataclass
class Playing:
    """A running service. `metric` reads its metrics."""

    service: AlerterService
    registry: CollectorRegistry
    stop: asyncio.Event
    task: "asyncio.Task[None]"

    def metric(self, name: str, **labels: str) -> float:
        return self.registry.get_sample_value(name, labels) or 0.0

    async def end(self) -> None:
        """Asks it to stop and waits for it."""
        self.stop.set()
        async with asyncio.timeout(5):
            await self.task

    async def kill(self) -> None:
        """No clean end: every task of it is cancelled where it stands."""
        self.task.cancel()
        for task in asyncio.all_tasks():
            if task.get_name().startswith(("target ", "journal ", "totals", "coverage", "past", "silences", "tick")):
                task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self.task


@dataclass
class Stage:
    """`async with Stage(rules=[…], targets={…}) as stage:`"""

    rules: list[dict[str, Any]]
    targets: Mapping[str, TargetSettings] = field(default_factory=dict)
    log: MemoryLog = field(default_factory=MemoryLog)
    ahead_seconds: float = 0.0  # of the wall clock
    clock: Clock = field(init=False)
    emitted: list[str] = field(default_factory=list)
    beating: set[int] = field(default_factory=lambda: set(range(TOTALS.partitions)))
    venues: dict[str, str] = field(default_factory=dict)
    routes: list[dict[str, Any]] = field(default_factory=list)
    pictures: PictureSource | None = None
    templates: Mapping[str, str] = field(default_factory=dict)
    playing: list[Playing] = field(default_factory=list)
    _generation: int = 1
    _beats: "asyncio.Task[None] | None" = None
    _http: aiohttp.ClientSession | None = None

    def __post_init__(self) -> None:
        self.clock = Clock(wall=lambda: time.time() + skipped() + self.ahead_seconds)

    async def __aenter__(self) -> Self:
        self._http = aiohttp.ClientSession()
        await self.beat()
        self._beats = asyncio.create_task(self._beat_on())
        return self

    async def __aexit__(self, *_: object) -> None:
        for one in self.playing:
            if not one.task.done():
                await one.end()
        assert self._beats is not None and self._http is not None
        self._beats.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._beats
        await self._http.close()

    def settings(self, rules: list[dict[str, Any]] | None = None) -> Settings:
        return Settings(
            targets=dict(self.targets) or {"console": TargetSettings(kind="console")},
            templates={name: TemplateSettings(text=text) for name, text in self.templates.items()},
            routes=tuple(RouteSettings.model_validate(route) for route in self.routes),
            rules=tuple(RuleSettings.model_validate(rule) for rule in (self.rules if rules is None else rules)),
        )

    async def start(self, *, acting: bool = True) -> Playing:
        """A new alerter on the same log; returns once it acts."""
        registry, settings, stop = CollectorRegistry(), self.settings(), asyncio.Event()
        assert self._http is not None
        service = AlerterService(
            self.log,
            settings,
            self.clock,
            AlerterMetrics(registry, settings.targets, [rule.name for rule in settings.rules]),
            ServiceMetrics(registry, "alert"),
            self._http,
            emit=self.emitted.append,
            venues=self.venues,
            pictures=self.pictures,
        )
        one = Playing(service, registry, stop, asyncio.create_task(service.run(stop)))
        self.playing.append(one)
        if acting:
            await until(lambda: not service.unready() or one.task.done())
        return one

    async def total(
        self,
        long: int,
        short: int = 0,
        *,
        scope: str = "all",
        window: str = "24h",
        partition: int = 0,
        largest: LargestRecord | None = None,
    ) -> None:
        """A total in dollars."""
        row = Totals(
            partition=partition,
            window=window,
            scope=scope,
            generation=self._generation,
            as_of_ms=self.clock.now_ms(),
            offset=7,
            long_usd=f"{long}.000000",
            long_count=3,
            short_usd=f"{short}.000000",
            short_count=1,
            largest_long=largest,
        )
        await self._append(TOTALS, f"{partition},{window},{scope}", encode(row), partition)

    async def watched(self, venue: str, from_ms: int, to_ms: int, **changes: Any) -> None:
        """An interval of coverage."""
        fields: dict[str, Any] = {
            "venue": venue,
            "collector": "c1",
            "interval_id": f"{venue}:{from_ms}",
            "kind": "watched",
            "from_ms": from_ms,
            "to_ms": to_ms,
            "open": True,
            "completeness": "all",
        }
        message = Coverage.model_validate(fields | changes)
        await self._append(COVERAGE, venue, message.model_dump_json().encode(), None)

    async def beat(self) -> None:
        """A heartbeat of every partition that is beating."""
        now_ms = self.clock.now_ms()
        beats = [(number, Heartbeat(number, self._generation, now_ms, 7, 8, True)) for number in sorted(self.beating)]
        await self.log.append(
            TOTALS, [Entry(str(number).encode(), encode(beat), now_ms, number) for number, beat in beats]
        )

    def incidents(self) -> list[Incident]:
        """The latest state of every incident, in the order they were opened."""
        latest: dict[bytes, Incident] = {}
        for record in self.log.all(ALERTS):
            if record.value is not None:
                latest[record.key] = Incident.model_validate_json(record.value)
        return list(latest.values())

    def kinds(self) -> list[str]:
        """The steps of the only incident."""
        (incident,) = self.incidents()
        return [step.kind for step in incident.steps]

    def outcomes(self, target: str) -> list[tuple[str, str | None, bool]]:
        """(step, outcome, repeat) of every attempt on record for a target."""
        return [
            (step.kind, attempt.outcome, attempt.repeat)
            for incident in self.incidents()
            for step in incident.steps
            for attempt in step.attempts
            if attempt.target == target
        ]

    async def _append(self, topic: Any, key: str, value: bytes, partition: int | None) -> None:
        await self.log.append(topic, [Entry(key.encode(), value, self.clock.now_ms(), partition)])

    async def _beat_on(self) -> None:
        while True:
            await asyncio.sleep(BEAT_SECONDS)
            if not self.log.down:
                await self.beat()


async def until(condition: Callable[[], bool], within: float = WITHIN) -> None:
    """Waits for a condition. Raises TimeoutError."""
    async with asyncio.timeout(within):
        while not condition():
            await asyncio.sleep(0.005)


def longs(**changes: Any) -> dict[str, Any]:
    """A rule on all longs of 24 hours at $1B and $1.7B, which clears at once."""
    return {
        "name": "longs-24h",
        "side": "long",
        "thresholds": (Decimal(10**9), Decimal(17 * 10**8)),
        "clear_hold": "0s",
    } | changes
