"""What is written to the log beside liquidations: the newest of an interval, rejected frames up to a bound."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

from prometheus_client import CollectorRegistry
from structlog.testing import capture_logs

from liqwatch.clock import Clock
from liqwatch.collector.publisher import Publisher
from liqwatch.eventlog import Entry, LogError, Position
from liqwatch.events import Coverage, RejectedFrame
from liqwatch.metrics import CollectorMetrics, ServiceMetrics
from liqwatch.settings import CollectorSettings
from liqwatch.topics import LIQUIDATIONS, TOPICS, Topic
from liqwatch.wire import Liquidation
from tests.support.collecting import coverage, rejected
from tests.support.memory_log import MemoryLog
from tests.support.waiting import until


@asynccontextmanager
async def publishing(log: MemoryLog, folder: Path) -> AsyncIterator[Publisher]:
    registry = CollectorRegistry()
    metrics = CollectorMetrics(registry, ["fake"])
    settings = CollectorSettings(spool_path=str(folder / "spool"))
    publisher = Publisher(log, settings, {"fake": "all"}, Clock(), metrics, ServiceMetrics(registry, "collect"))
    running = asyncio.create_task(publisher.run())
    try:
        yield publisher
    finally:
        await publisher.close(running, 0.5)


def interval(name: str, to_ms: int) -> Coverage:
    return Coverage(
        venue="fake", collector="c", interval_id=name, kind="watched", from_ms=1, to_ms=to_ms, open=True,
        completeness="all",
    )  # fmt: skip


def frame(number: int) -> RejectedFrame:
    return RejectedFrame(
        venue="fake", feed="main", collector="c", received_time_ms=number, reason="malformed", error="x", frame="y",
        frame_bytes=1,
    )  # fmt: skip


def liquidation(event_ms: int, received_ms: int) -> Liquidation:
    return Liquidation(
        "id", "fake", "BTCUSDT", "BTC", "USDT", "long", "1", "fill", "1", "1", event_ms, received_ms, "venue", "stream",
        "order",
    )  # fmt: skip


async def test_the_earlier_of_event_and_received_time_is_the_records_time(tmp_path: Path) -> None:
    log = MemoryLog()
    async with publishing(log, tmp_path) as publisher:
        publisher.liquidations([liquidation(1000, 2000), liquidation(3000, 2000)])
        await until(lambda: len(log.all(LIQUIDATIONS)) == 2)
        assert [1000, 2000] == [record.timestamp_ms for record in log.all(LIQUIDATIONS)]


async def test_nothing_is_settled_before_what_an_earlier_run_left_in_the_spool_is_in_the_log(tmp_path: Path) -> None:
    log = MemoryLog()
    log.down = True
    async with publishing(log, tmp_path) as publisher:
        publisher.liquidations([liquidation(1000, 2000)])
    log.down = False
    async with publishing(log, tmp_path) as publisher:
        assert not publisher.settled
        await until(lambda: publisher.settled)
        assert 1 == len(log.all(LIQUIDATIONS))


async def test_of_an_interval_only_the_latest_is_written_after_an_outage(tmp_path: Path) -> None:
    log = MemoryLog()
    log.down = True
    async with publishing(log, tmp_path) as publisher:
        publisher.coverage(interval("first", 1))
        await asyncio.sleep(0.02)  # on its way
        for to_ms in range(10, 500):
            publisher.coverage(interval("a", to_ms))
            publisher.coverage(interval("b", to_ms))
        log.down = False
        await until(lambda: len(coverage(log)) == 3)
        assert [("first", 1), ("a", 499), ("b", 499)] == [(one["interval_id"], one["to_ms"]) for one in coverage(log)]


async def test_rejected_frames_wait_up_to_a_bound_and_that_is_told_once(tmp_path: Path) -> None:
    log = MemoryLog()
    log.down = True
    with capture_logs() as lines:
        async with publishing(log, tmp_path) as publisher:
            for number in range(3000):
                publisher.rejected(frame(number))
            log.down = False
            await until(lambda: len(rejected(log)) == 1000)
            assert list(range(1000)) == [one["received_time_ms"] for one in rejected(log)]
    assert 1 == len([line for line in lines if line["event"] == "rejected frames not kept, only counted"])


async def test_a_missing_topic_makes_it_unready_with_the_remedy_and_loses_nothing(tmp_path: Path) -> None:
    log = MemoryLog(topics=())
    async with publishing(log, tmp_path) as publisher:
        publisher.liquidations([liquidation(1, 2)])
        await until(publisher.unready)
        assert [
            "the log takes nothing: topic liqwatch.liquidations.v1 is missing; run: liqwatch topics create"
        ] == publisher.unready()
        await log.create(list(TOPICS.values()))
        await until(lambda: log.all(LIQUIDATIONS))
        await until(lambda: not publisher.unready())


async def test_a_log_that_fails_in_an_unheard_of_way_costs_no_event(tmp_path: Path) -> None:
    failures = [LogError("strange"), ZeroDivisionError("a bug"), ConnectionError("gone")]

    class Odd(MemoryLog):
        async def append(self, topic: Topic, entries: Sequence[Entry]) -> Sequence[Position]:
            if topic is LIQUIDATIONS and failures:
                raise failures.pop(0)
            return await super().append(topic, entries)

    log = Odd()
    async with publishing(log, tmp_path) as publisher:
        publisher.liquidations([liquidation(1, 2)])
        await until(lambda: log.all(LIQUIDATIONS))
