"""A web service on a real log in a file, fed by hand: what the topics say is what the test writes."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import aiohttp
from prometheus_client import CollectorRegistry
from pydantic import SecretStr

from liqwatch import topics, venues
from liqwatch.clock import Clock
from liqwatch.eventlog import Entry
from liqwatch.eventlog.sqlite import SqliteLog
from liqwatch.events import Bar, BarRow, Coverage, Incident, Message, Step
from liqwatch.metrics import ServiceMetrics, WebMetrics
from liqwatch.settings import RuleSettings, WebSettings
from liqwatch.web.service import WebService
from liqwatch.wire import Heartbeat, LargestRecord, Liquidation, Totals, encode

from .liquidations import entry as liquidation_entry
from .waiting import until

WINDOWS = (("5m", 300), ("1h", 3600), ("24h", 86400))
TOKEN = "planted-web-token"
RULES = (
    RuleSettings(name="longs-24h", side="long", window="24h", thresholds=("1B", "1.7B", "3B")),  # type: ignore[arg-type]
    RuleSettings(name="coins-1h", scope="each base", window="1h", thresholds=("100M",)),  # type: ignore[arg-type]
)


class WebStage:
    """The service, the log it reads, and a client."""

    def __init__(self, log: SqliteLog, service: WebService, http: aiohttp.ClientSession, clock: Clock) -> None:
        self.log, self.service, self.http, self.clock = log, service, http, clock
        self.registry: CollectorRegistry

    @property
    def origin(self) -> str:
        return f"http://{self.service.address}"

    @property
    def market(self) -> Any:
        return self.service._market

    async def get(self, path: str, **parameters: str) -> Any:
        """The JSON of a good answer."""
        async with self.http.get(f"{self.origin}{path}", params=parameters) as response:
            body = await response.json()
            assert response.status == 200, body
            return body

    async def ask(self, method: str, path: str, **options: Any) -> tuple[int, Any, aiohttp.ClientResponse]:
        """Status, body and the rest of any answer."""
        async with self.http.request(method, f"{self.origin}{path}", **options) as response:
            text = await response.text()
            return response.status, json.loads(text) if text and "json" in response.content_type else text, response

    async def write(self, topic: topics.Topic, entries: Sequence[Entry]) -> None:
        await self.log.append(topic, entries)

    async def totals(
        self, scope: str, long_usd: str, short_usd: str = "0", *, window: str = "24h", partition: int = 0,
        largest: LargestRecord | None = None,
    ) -> None:  # fmt: skip
        """A row of the totals topic, with so many dollars and one order a side."""
        now_ms = self.clock.now_ms()
        row = Totals(
            partition, window, scope, 1, now_ms, 5, long_usd, int(long_usd != "0"), short_usd, int(short_usd != "0"),
            largest,
        )  # fmt: skip
        await self.write(
            topics.TOTALS, [Entry(f"{partition},{window},{scope}".encode(), encode(row), now_ms, partition)]
        )

    async def beat(self, partitions: Sequence[int] = range(topics.PARTITIONS)) -> None:
        """A heartbeat of every partition: the totals are fresh."""
        now_ms = self.clock.now_ms()
        beats = [
            Entry(f"{p},heartbeat".encode(), encode(Heartbeat(p, 1, now_ms, 5, 6, True)), now_ms, p) for p in partitions
        ]
        await self.write(topics.TOTALS, beats)

    async def watched(self, venue: str, from_ms: int, to_ms: int, **more: Any) -> None:
        """An interval of the coverage topic."""
        fields = {
            "completeness": "all", "open": True, "ended_by": None, "kind": "watched",
            "interval_id": f"{venue}-{from_ms}",
        } | more  # fmt: skip
        message = Coverage(
            venue=venue, collector="c1", from_ms=from_ms, to_ms=to_ms, **fields,
        )  # fmt: skip
        await self.message(topics.COVERAGE, venue, message)

    async def bar(self, minute_ms: int, rows: Sequence[BarRow], *, partition: int = 0, generation: int = 1) -> None:
        bar = Bar(partition=partition, minute_ms=minute_ms, generation=generation, rows=tuple(rows))
        value = bar.model_dump_json().encode()
        await self.write(topics.BARS, [Entry(f"{partition},{minute_ms}".encode(), value, minute_ms, partition)])

    async def liquidation(self, event: Liquidation) -> None:
        await self.write(topics.LIQUIDATIONS, [liquidation_entry(event)])

    async def message(self, topic: topics.Topic, key: str, message: Message) -> None:
        value = message.model_dump_json().encode()
        await self.write(topic, [Entry(key.encode(), value, self.clock.now_ms())])

    async def settled(self) -> None:
        """Waits until the service has read all that is in the log."""
        readers = self.service._following
        ends = {}
        for one in readers:
            reader = await self.log.reader(one.topic)
            ends[one.topic.name] = dict(await reader.end_offsets())
            await reader.close()
        await until(lambda: all(one.caught_up for one in readers))
        await until(lambda: all(one.at.get(p, 0) >= end for one in readers for p, end in ends[one.topic.name].items()))


def incident(
    number: int, opened_ms: int, *, closed_ms: int | None = None, headline: str = "At least $1.71B"
) -> Incident:
    """An incident of `longs-24h` that fired once."""
    step = Step(
        kind="fired", at_ms=opened_ms, usd="1710000000.5", threshold="1700000000", headline=headline,
        text="Longs $1.71B.", targets=("console",),
    )  # fmt: skip
    return Incident(
        incident_id=f"longs-24h:all:{number}", rule="longs-24h", scope="all", side="long", window="24h",
        severity="critical", generation=1, opened_ms=opened_ms, closed_ms=closed_ms, peak_usd="1710000000.5",
        peak_at_ms=opened_ms, steps=(step,),
    )  # fmt: skip


@contextlib.asynccontextmanager
async def web_stage(folder: Path, *, token: str | None = TOKEN, port: int = 0) -> AsyncIterator[WebStage]:
    """A running service; it has read the log when this is entered."""
    clock = Clock()
    log = SqliteLog(folder / "web.db", clock)
    await log.open()
    await log.create(topics.TOPICS.values())
    registry = CollectorRegistry()
    settings = WebSettings(port=port, token=SecretStr(token) if token else None)
    known = {name: venue for name, venue in venues.discover().items() if name in ("binance", "bybit")}
    service = WebService(
        log, settings, WINDOWS, known, lambda: RULES, clock, WebMetrics(registry), ServiceMetrics(registry, "web")
    )
    stop = asyncio.Event()
    running = asyncio.create_task(service.run(stop))
    try:
        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=20)) as http:
            stage = WebStage(log, service, http, clock)
            stage.registry = registry
            await until(lambda: not service.unready() or running.done(), 10)
            yield stage
    finally:
        stop.set()
        await asyncio.wait_for(running, 5)
        await log.close(2)
