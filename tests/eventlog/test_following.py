"""Following a topic: every record once and in order, through outages, with what is lost and unreadable counted."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field, replace
from typing import Any

import pytest
import structlog
from prometheus_client import CollectorRegistry
from structlog.testing import capture_logs

from liqwatch.eventlog import EARLIEST, LATEST, Entry, Log, Record, Start, TopicMissing
from liqwatch.following import Away, Follower, read_to_the_end, values
from liqwatch.metrics import ServiceMetrics
from liqwatch.topics import COVERAGE, LIQUIDATIONS, SILENCES, Topic
from tests.support.log_bench import Bench
from tests.support.memory_log import MemoryLog
from tests.support.waiting import until

NOW = int(time.time() * 1000) - 60_000
TOPIC = replace(LIQUIDATIONS, name="test.followed", partitions=2)
log_ = structlog.get_logger("test")


@dataclass
class Desk:
    """One service that follows: what it took, its metrics, and its words."""

    log: Log
    topic: Topic = TOPIC
    taken: list[Record] = field(default_factory=list)
    fetches: list[int] = field(default_factory=list)
    away: Away = field(default_factory=lambda: Away(log_))
    registry: CollectorRegistry = field(default_factory=CollectorRegistry)

    def __post_init__(self) -> None:
        self.metrics = ServiceMetrics(self.registry, "test")

    def follower(self, start: Callable[[], Start] = lambda: EARLIEST, **more: Any) -> Follower:
        more = {"take": self.take, "then": self.fetches.append} | more
        return Follower(
            self.log, self.topic, start, away=self.away, words=log_,
            count_lost=self.metrics.offset_gap, count_unreadable=self.metrics.unreadable, **more,
        )  # fmt: skip

    def take(self, record: Record) -> None:
        if record.value == b"bad":
            raise ValueError("no such thing")
        self.taken.append(record)

    def values(self) -> list[int]:
        return [int(record.value or -1) for record in self.taken]

    def metric(self, name: str) -> float | None:
        return self.registry.get_sample_value(name)


@contextlib.asynccontextmanager
async def running(*followers: Follower) -> AsyncIterator[None]:
    tasks = [asyncio.create_task(one.run()) for one in followers]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)


def memory() -> MemoryLog:
    return MemoryLog(topics=(TOPIC, COVERAGE))


def entries(*numbers: int, partition: int = 0) -> list[Entry]:
    return [Entry(b"key", b"%d" % number, NOW + number, partition) for number in numbers]


async def test_each_record_is_given_once_and_in_order_tombstones_too(bench: Bench) -> None:
    log = await bench.log()
    desk = Desk(log, await bench.topic(log, partitions=1))
    await log.append(desk.topic, entries(1, 2))
    follower = desk.follower()
    async with running(follower):
        await until(lambda: len(desk.taken) == 2, 20.0)
        await log.append(desk.topic, [Entry(b"key", None, NOW), *entries(3)])
        await until(lambda: len(desk.taken) == 4, 20.0)
    assert [b"1", b"2", None, b"3"] == [record.value for record in desk.taken]
    assert ({0: 4}, set(), True) == (follower.at, follower.behind(), follower.caught_up)


async def test_it_begins_where_it_is_told_to(bench: Bench) -> None:
    log = await bench.log()
    desk = Desk(log, await bench.topic(log))
    await log.append(desk.topic, entries(1, 2))
    follower = desk.follower(lambda: LATEST)
    async with running(follower):
        await until(lambda: follower.caught_up, 20.0)
        await log.append(desk.topic, entries(3))
        await until(lambda: desk.taken, 20.0)
    assert [3] == desk.values()


async def test_it_has_caught_up_once_it_has_read_what_was_there_when_it_began() -> None:
    log = memory()
    await log.append(TOPIC, entries(*range(1200)))  # more than a fetch
    desk, seen = Desk(log), []
    follower = desk.follower(then=lambda _: seen.append((len(desk.taken), follower.caught_up, follower.behind())))
    assert {0, 1} == follower.behind()
    async with running(follower):
        await until(lambda: follower.caught_up)
    assert [(500, False, {0}), (1000, False, {0}), (1200, True, set())] == seen[:3]


async def test_an_empty_topic_is_caught_up_at_once() -> None:
    follower = Desk(memory()).follower(then=lambda _: pytest.fail("nothing was to be waited for"))
    async with running(follower):
        await until(lambda: follower.caught_up)


async def test_a_fetch_that_brings_nothing_is_told_too() -> None:
    desk = Desk(memory())
    await desk.log.append(TOPIC, entries(1, 2, 3))
    async with running(desk.follower()):
        await until(lambda: 0 in desk.fetches)
    assert [3, 0] == desk.fetches[:2]


async def test_what_retention_took_first_is_counted() -> None:
    log = memory()
    desk = Desk(log)
    await log.append(TOPIC, entries(1))
    follower = desk.follower()
    async with running(follower):
        await until(lambda: desk.taken)
        log.down = True
        await until(lambda: follower.down)
        log.down = False
        await _behind_its_back(log, entries(*range(2, 12)), before=8)
        await until(lambda: len(desk.taken) == 4)
    assert [1, 9, 10, 11] == desk.values()
    assert (7, 7.0) == (follower.lost, desk.metric("liqwatch_offset_gap_records_total"))


async def _behind_its_back(log: MemoryLog, added: list[Entry], before: int) -> None:
    log.remove(TOPIC, 0, before)  # first: it takes what is appended at once
    await log.append(TOPIC, added)


async def test_what_cannot_be_read_is_counted_told_with_its_reason_and_skipped() -> None:
    desk = Desk(memory())
    bad = [Entry(b"key", b"bad", NOW, 0)] * 11
    await desk.log.append(TOPIC, [*entries(1), *bad, *entries(2)])
    follower = desk.follower()
    with capture_logs() as logs:
        async with running(follower):
            await until(lambda: len(desk.taken) == 2)
    assert (11, 11.0) == (follower.unreadable, desk.metric("liqwatch_records_unreadable_total"))
    assert [(1, 1, "ValueError: no such thing"), (10, 10, "ValueError: no such thing")] == [
        (line["number"], line["offset"], line["reason"]) for line in logs
    ]


async def test_a_mistake_of_ours_is_not_taken_for_a_bad_record() -> None:
    desk = Desk(memory())
    await desk.log.append(TOPIC, entries(1))
    with pytest.raises(AttributeError):
        await desk.follower(take=lambda record: record.nonsense).run()


async def test_an_outage_is_told_once_for_all_topics_and_reading_goes_on_where_it_was() -> None:
    log = memory()
    desk = Desk(log)
    first, second = desk.follower(), Desk(log, COVERAGE, away=desk.away).follower()
    with capture_logs() as logs:
        async with running(first, second):
            await log.append(TOPIC, entries(1))
            await until(lambda: desk.taken)
            log.down = True
            await until(lambda: first.down and second.down)
            waiting = asyncio.create_task(log.append(TOPIC, entries(2)))
            log.down = False
            await waiting
            await until(lambda: not first.down and not second.down and len(desk.taken) == 2)
    assert [1, 2] == desk.values()
    assert ["reading the log is down", "reading the log is back"] == [line["event"] for line in logs]


async def test_a_log_that_is_away_at_the_start_is_waited_for() -> None:
    log, asked = memory(), []
    await log.append(TOPIC, entries(1))
    log.down = True
    desk = Desk(log)

    def start() -> Start:
        asked.append(log.down)
        return EARLIEST

    follower = desk.follower(start)
    async with running(follower):
        await until(lambda: follower.down)
        assert ({0, 1}, False) == (follower.behind(), follower.caught_up)
        log.down = False
        await until(lambda: desk.taken)
    assert not asked[-1]  # a moment ago is another one by then


async def test_one_that_ends_in_an_outage_does_not_call_it_over() -> None:
    log = memory()
    log.down = True
    desk = Desk(log)
    with capture_logs() as logs:
        follower = desk.follower()
        async with running(follower):
            await until(lambda: follower.down)
        assert ["reading the log is down"] == [line["event"] for line in logs]
        log.down = False
        follower = desk.follower()
        async with running(follower):
            await until(lambda: follower.caught_up and desk.fetches)
    assert "reading the log is back" == logs[-1]["event"]


async def test_what_waiting_will_not_mend_is_raised() -> None:
    with pytest.raises(TopicMissing):
        await Desk(memory(), SILENCES).follower().run()


async def test_others_have_their_turn_within_a_large_batch() -> None:
    assert 2 <= await _turns_while_reading(500, seconds_each=0.0)


async def test_others_have_their_turn_within_a_small_batch_that_takes_long() -> None:
    assert 4 <= await _turns_while_reading(100, seconds_each=0.001)


async def _turns_while_reading(records: int, seconds_each: float) -> int:
    """In how many turns of the loop one fetch of so many records was taken."""
    log, turn, seen = memory(), 0, set()
    await log.append(TOPIC, entries(*range(records)))

    async def turning() -> None:
        nonlocal turn
        while True:
            turn += 1
            await asyncio.sleep(0)

    def take(_: Record) -> None:
        seen.add(turn)
        time.sleep(seconds_each)

    desk = Desk(log)
    other = asyncio.create_task(turning())
    async with running(desk.follower(take=take)):
        await until(lambda: desk.fetches)
    other.cancel()
    assert [records] == desk.fetches[:1]
    return len(seen)


async def test_who_rests_does_so_only_once_it_has_caught_up() -> None:
    log = memory()
    await log.append(TOPIC, entries(*range(1200)))
    desk = Desk(log)
    async with running(desk.follower(rest=3600.0)):
        await until(lambda: len(desk.taken) == 1200)
    assert [500, 500, 200] == desk.fetches


async def test_what_is_thinned_out_is_not_taken_but_read() -> None:
    desk = Desk(memory())
    await desk.log.append(TOPIC, entries(1, 2, 3, 4))
    follower = desk.follower(thin=lambda records: records[1::2])
    async with running(follower):
        await until(lambda: desk.taken)
    assert ([2, 4], 4) == (desk.values(), follower.at[0])


def test_who_wants_values_gets_no_tombstones() -> None:
    taken: list[bytes] = []
    for value in (b"1", None, b""):
        values(taken.append)(Record(0, 0, NOW, b"key", value))
    assert [b"1", b""] == taken


async def test_reading_to_the_end_takes_what_is_there_now_and_returns(bench: Bench) -> None:
    log = await bench.log()
    topic = await bench.topic(log, partitions=2)
    await log.append(topic, [*entries(1, 2, 3), *entries(4, 5, partition=1)])
    taken: list[Record] = []
    await read_to_the_end(log, topic, taken.append)
    assert [1, 2, 3, 4, 5] == sorted(int(record.value or -1) for record in taken)
    taken.clear()
    await read_to_the_end(log, topic, taken.append, partitions=[1])
    assert [4, 5] == [int(record.value or -1) for record in taken]


async def test_reading_up_to_an_offset_does_not_wait_for_more() -> None:
    log = memory()
    await log.append(TOPIC, entries(*range(1200)))
    taken: list[Record] = []
    await read_to_the_end(log, TOPIC, taken.append, last={0: 600, 1: 5})
    assert 1000 == len(taken)  # whole fetches


async def test_who_reads_to_the_end_learns_that_it_is_not_the_whole() -> None:
    log = memory()
    await log.append(TOPIC, entries(1, 2))

    def take(record: Record) -> None:
        raise ValueError(record.offset)

    with pytest.raises(ValueError, match="0"):
        await read_to_the_end(log, TOPIC, take)
