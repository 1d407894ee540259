"""The aggregator on the embedded log: a restart on the same file gives the same totals."""

import asyncio
import time
from datetime import timedelta
from pathlib import Path

from prometheus_client import CollectorRegistry

from liqwatch.aggregator.service import AggregatorService
from liqwatch.clock import Clock
from liqwatch.eventlog import EARLIEST
from liqwatch.eventlog.sqlite import SqliteLog
from liqwatch.metrics import AggregatorMetrics, ServiceMetrics
from liqwatch.settings import AggregatorSettings
from liqwatch.topics import LIQUIDATIONS, TOPICS, TOTALS
from liqwatch.totals import TotalsBook
from liqwatch.wire import decode_totals
from tests.support.liquidations import entry, liquidation

PATIENCE = 10.0


async def totals_of_a_run(path: Path, expected: int) -> TotalsBook:
    clock = Clock()
    log = SqliteLog(path, clock)
    await log.open()
    await log.create(TOPICS.values())
    registry = CollectorRegistry()
    settings = AggregatorSettings(windows=(timedelta(minutes=5), timedelta(hours=1)))
    metrics = AggregatorMetrics(registry, ["5m", "1h"])
    service = AggregatorService(log, settings, clock, metrics, ServiceMetrics(registry, "aggregate"), "test")
    stop = asyncio.Event()
    task = asyncio.create_task(service.run(stop))
    book = TotalsBook(TOTALS.partitions)
    reader = await log.reader(TOTALS, start=EARLIEST)
    async with asyncio.timeout(PATIENCE):
        while service.unready() or book.stale(clock.now_ms()) or book.sum("1h", "all").long != expected:
            for record in await reader.fetch(0.05):
                if record.value is not None:
                    book.apply(decode_totals(record.value))
    await reader.close()
    stop.set()
    async with asyncio.timeout(PATIENCE):
        await task
    await log.close()
    return book


async def test_a_restart_on_the_same_file_gives_the_same_totals(tmp_path: Path) -> None:
    path = tmp_path / "log.db"
    now_ms = int(time.time() * 1000)
    log = SqliteLog(path, Clock())
    await log.open()
    await log.create(TOPICS.values())
    events = [liquidation(f"e{n}", now_ms - 1000 * n, "0.3", base=f"C{n % 40}") for n in range(2_000)]
    await log.append(LIQUIDATIONS, [entry(event) for event in events + events[:100]])
    await log.close()
    first = await totals_of_a_run(path, 2_000 * 300_000)
    second = await totals_of_a_run(path, 2_000 * 300_000)
    scopes = sorted({"all", "venue=binance", *first.scopes("1h", "base=")})
    assert 42 == len(scopes)
    for scope in scopes:
        assert first.sum("1h", scope) == second.sum("1h", scope)
