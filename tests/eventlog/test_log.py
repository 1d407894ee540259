"""The promises of the log: one suite, on SQLite, on Apache Kafka, and on what librdkafka's mock broker can do."""

import asyncio
import time
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from liqwatch.eventlog import (
    EARLIEST,
    LATEST,
    Entry,
    LogClosed,
    Member,
    Reader,
    Record,
    TopicMissing,
    TopicState,
    TopicUnfit,
    since,
)
from liqwatch.eventlog.checks import check_topics
from liqwatch.topics import partition_for
from tests.support.log_bench import Bench

NOW = int(time.time() * 1000)
NO_ADMIN = "the mock broker has no controller and answers nothing about topics' settings"
NO_TIMES = "the mock broker answers no offset for any time"


def entry(number: int, key: bytes = b"binance:BTCUSDT", at_ms: int = NOW, partition: int | None = None) -> Entry:
    return Entry(key, b"%d" % number, at_ms, partition)


async def read(reader: Reader, count: int, seconds: float = 20.0) -> list[Record]:
    """The next `count` records, and no more than come with them."""
    found: list[Record] = []
    async with asyncio.timeout(seconds):
        while len(found) < count:
            found += await reader.fetch(1.0)
    return found


async def joined(member: Member, partitions: int, seconds: float = 30.0) -> Member:
    """Fetches until the member holds so many partitions."""
    async with asyncio.timeout(seconds):
        while len(member.assignment.partitions) != partitions:
            await member.fetch(0.1)
    return member


def numbers(records: Sequence[Record]) -> list[int]:
    return [int(record.value or b"-1") for record in records]


async def test_a_record_comes_back_as_it_was_given(bench: Bench) -> None:
    log = await bench.log()
    topic = await bench.topic(log)
    given = Entry(b"okx:ETH-USDT-SWAP", b'{"version":1}', NOW - 12_345)
    (position,) = await log.append(topic, [given])
    (record,) = await read(await log.reader(topic), 1)
    assert Record(0, 0, given.timestamp_ms, given.key, given.value) == record
    assert position == (record.partition, record.offset)


async def test_a_tombstone_comes_back_as_none(bench: Bench) -> None:
    log = await bench.log()
    topic = await bench.topic(log)
    await log.append(topic, [Entry(b"gone", None, NOW)])
    assert [(b"gone", None)] == [(r.key, r.value) for r in await read(await log.reader(topic), 1)]


async def test_a_key_stays_in_its_partition(bench: Bench) -> None:
    log = await bench.log()
    topic = await bench.topic(log, partitions=4)
    keys = [b"venue:%d" % number for number in range(20)]
    positions = await log.append(topic, [entry(number, key) for number, key in enumerate(keys)])
    assert [partition_for(key, 4) for key in keys] == [position.partition for position in positions]


async def test_a_partition_that_is_named_is_taken(bench: Bench) -> None:
    log = await bench.log()
    topic = await bench.topic(log, partitions=3)
    positions = await log.append(topic, [entry(n, partition=n) for n in (2, 0, 1)])
    assert [2, 0, 1] == [position.partition for position in positions]
    with pytest.raises(ValueError, match="partitions 0 to 2"):
        await log.append(topic, [entry(1, partition=3)])


async def test_a_large_append_keeps_its_order_in_every_partition(bench: Bench) -> None:
    log = await bench.log()
    topic = await bench.topic(log, partitions=3)
    entries = [entry(number, b"key:%d" % (number % 50)) for number in range(5_000)]
    positions = await log.append(topic, entries)
    records = await read(await log.reader(topic), len(entries))
    expected = defaultdict(list)
    for position, given in zip(positions, entries, strict=True):
        expected[position.partition].append((position.offset, given.value))
    for partition, rows in expected.items():
        assert rows == [(r.offset, r.value) for r in records if r.partition == partition]
        assert list(range(len(rows))) == [offset for offset, _ in rows]


async def test_appends_of_many_tasks_are_all_there_and_each_in_its_order(bench: Bench) -> None:
    log = await bench.log()
    topic = await bench.topic(log, partitions=2)

    async def write(task: int) -> None:
        for number in range(20):
            await log.append(topic, [entry(number, b"task:%d" % task)])

    await asyncio.gather(*[write(task) for task in range(20)])
    records = await read(await log.reader(topic), 400)
    for task in range(20):
        assert list(range(20)) == numbers([r for r in records if r.key == b"task:%d" % task])


async def test_a_waiting_reader_is_woken_by_an_append(bench: Bench) -> None:
    log = await bench.log()
    topic = await bench.topic(log)
    reader = await log.reader(topic)
    waiting = asyncio.create_task(reader.fetch(20.0))
    await asyncio.sleep(0)
    await log.append(topic, [entry(7)])
    async with asyncio.timeout(10):
        assert [7] == numbers(await waiting)


async def test_a_fetch_ends_empty_after_its_time(bench: Bench) -> None:
    log = await bench.log()
    reader = await log.reader(await bench.topic(log))
    async with asyncio.timeout(10):
        assert [] == list(await reader.fetch(0.05))
        assert [] == list(await reader.fetch(0.0))


async def test_a_reader_at_the_latest_sees_only_what_comes_then(bench: Bench) -> None:
    log = await bench.log()
    topic = await bench.topic(log)
    await log.append(topic, [entry(1), entry(2)])
    reader = await log.reader(topic, start=LATEST)
    await log.append(topic, [entry(3)])
    assert [3] == numbers(await read(reader, 1))


@pytest.mark.mock_cannot(NO_TIMES)
async def test_a_reader_since_a_time_begins_with_the_first_record_that_is_not_older(bench: Bench) -> None:
    log = await bench.log()
    topic = await bench.topic(log)
    ages = (9_000_000, 9_100_000, 60_000, 70_000, 1_000)  # out of order, as late events are
    for number, age in enumerate(ages):
        await log.append(topic, [entry(number, at_ms=NOW - age)])
    reader = await log.reader(topic, start=since(NOW - 65_000))
    assert {0: 2} == reader.positions()
    assert [2, 3, 4] == numbers(await read(reader, 3))


@pytest.mark.mock_cannot(NO_TIMES)
async def test_a_time_seek_is_exact_among_many_records(bench: Bench) -> None:
    log = await bench.log()
    topic = await bench.topic(log)
    for first in range(0, 3_000, 300):
        await log.append(topic, [entry(n, at_ms=NOW - (3_000 - n) * 100) for n in range(first, first + 300)])
    for number in (0, 1, 299, 300, 1_234, 2_999):
        reader = await log.reader(topic, start=since(NOW - (3_000 - number) * 100))
        assert {0: number} == reader.positions()


async def test_a_reader_since_a_time_after_all_records_begins_at_the_end(bench: Bench) -> None:
    log = await bench.log()
    topic = await bench.topic(log)
    await log.append(topic, [entry(1, at_ms=NOW - 10_000)])
    reader = await log.reader(topic, start=since(NOW - 5_000))
    assert {0: 1} == reader.positions()


async def test_a_reader_of_some_partitions_sees_no_others(bench: Bench) -> None:
    log = await bench.log()
    topic = await bench.topic(log, partitions=3)
    await log.append(topic, [entry(n, partition=n) for n in range(3)])
    reader = await log.reader(topic, partitions=[1])
    assert [1] == numbers(await read(reader, 1))
    assert {1: 1} == reader.positions() == await reader.end_offsets()


async def test_positions_reach_the_end_offsets(bench: Bench) -> None:
    log = await bench.log()
    topic = await bench.topic(log, partitions=2)
    reader = await log.reader(topic)
    assert {0: 0, 1: 0} == reader.positions() == await reader.end_offsets()
    await log.append(topic, [entry(n, partition=0) for n in range(3)])
    assert {0: 3, 1: 0} == await reader.end_offsets()
    assert {0: 0, 1: 0} == reader.positions()
    await read(reader, 3)
    assert {0: 3, 1: 0} == reader.positions()
    assert 0 == reader.lost


async def test_a_page_is_bounded_and_a_full_partition_does_not_starve_another(bench: Bench) -> None:
    log = await bench.log()
    topic = await bench.topic(log, partitions=2)
    await log.append(topic, [entry(n, partition=0) for n in range(12_000)])
    await log.append(topic, [entry(n, partition=1) for n in range(10)])
    reader = await log.reader(topic)
    seen: list[Record] = []
    async with asyncio.timeout(20):
        while not any(record.partition == 1 for record in seen):
            page = await reader.fetch(1.0)
            assert len(page) <= 2_000
            seen += page
    assert len(seen) <= 4_000


async def test_offsets_go_on_after_the_log_was_opened_again(bench: Bench) -> None:
    log = await bench.log()
    topic = await bench.topic(log)
    await log.append(topic, [entry(0), entry(1)])
    await log.close()
    again = await bench.log()
    assert [(0, 2)] == list(await again.append(topic, [entry(2)]))
    assert [0, 1, 2] == numbers(await read(await again.reader(topic), 3))


async def test_a_missing_topic_is_named_with_the_command_that_makes_it(bench: Bench) -> None:
    log = await bench.log()
    topic = bench.unmade()
    for attempt in (log.append(topic, [entry(1)]), log.reader(topic), log.member(topic, bench.group())):
        with pytest.raises(TopicMissing, match=rf"{topic.name} is missing.*liqwatch topics create"):
            await attempt


@pytest.mark.mock_cannot(NO_ADMIN)
async def test_create_makes_what_is_missing_and_says_what_is_there(bench: Bench) -> None:
    log = await bench.log()
    plain = bench.unmade(partitions=3, retention=timedelta(days=7))
    both = bench.unmade(partitions=1, retention=timedelta(days=30), compacted=True)
    compacted = bench.unmade(partitions=2, retention=None, compacted=True)
    assert await log.describe(plain) is None
    assert [plain.name, both.name] == list(await log.create([plain, both]))
    assert [compacted.name] == list(await log.create([plain, both, compacted]))
    assert TopicState(plain.name, 3, timedelta(days=7), False) == await log.describe(plain)
    assert TopicState(both.name, 1, timedelta(days=30), True) == await log.describe(both)
    assert TopicState(compacted.name, 2, None, True) == await log.describe(compacted)


@pytest.mark.mock_cannot(NO_ADMIN)
async def test_create_refuses_a_topic_that_is_there_but_unfit(bench: Bench) -> None:
    log = await bench.log()
    topic = await bench.topic(log, partitions=2, retention=timedelta(days=7))
    changes: dict[str, dict[str, Any]] = {
        "2 partitions instead of 3": {"partitions": 3},
        "7 days, 0:00:00 instead of 8 days": {"retention": timedelta(days=8)},
        "cleanup.policy to 'compact,delete'": {"compacted": True},
    }
    for reason, change in changes.items():
        with pytest.raises(TopicUnfit, match=reason):
            await log.create([replace(topic, **change)])


async def test_the_start_is_refused_on_a_missing_topic(bench: Bench) -> None:
    log = await bench.log()
    with pytest.raises(TopicMissing, match="liqwatch topics create"):
        await check_topics(log, [bench.unmade()], timedelta(days=1))


async def test_a_closed_log_says_so(bench: Bench) -> None:
    log = await bench.log()
    topic = await bench.topic(log)
    reader = await log.reader(topic)
    await log.close()
    with pytest.raises(LogClosed):
        await log.append(topic, [entry(1)])
    with pytest.raises(LogClosed):
        await reader.fetch(0.1)


async def test_a_member_alone_holds_every_partition(bench: Bench) -> None:
    log = await bench.log()
    topic = await bench.topic(log, partitions=3)
    await log.append(topic, [entry(n, partition=n % 2) for n in range(5)])
    member = await joined(await log.member(topic, bench.group(), start=EARLIEST), 3)
    assert frozenset(range(3)) == member.assignment.partitions == member.assignment.fresh
    assert {0: 3, 1: 2, 2: 0} == member.assignment.end_offsets
    assert member.assignment.generation > 0


async def test_a_member_reads_from_its_start_on(bench: Bench) -> None:
    log = await bench.log()
    topic = await bench.topic(log)
    await log.append(topic, [entry(1)])
    member = await log.member(topic, bench.group(), start=EARLIEST)
    late = await log.member(topic, bench.group(), start=LATEST)
    found: list[Record] = []
    async with asyncio.timeout(30):
        while not (found and late.assignment.partitions):
            found += await member.fetch(0.1)
            await late.fetch(0.1)
    await log.append(topic, [entry(2)])
    async with asyncio.timeout(30):
        while len(found) < 2:
            found += await member.fetch(0.1)
    assert [1, 2] == numbers(found)
    assert [2] == numbers(await read(late, 1))


@pytest.mark.mock_cannot(NO_TIMES)
async def test_a_member_begins_so_long_before_its_assignment(bench: Bench) -> None:
    log = await bench.log()
    topic = await bench.topic(log)
    for number, age in enumerate((7_200_000, 3_000_000, 1_000)):
        await log.append(topic, [entry(number, at_ms=int(time.time() * 1000) - age)])
    member = await joined(await log.member(topic, bench.group(), start=timedelta(hours=1)), 1)
    assert {0: 1} == member.positions()
    assert {0: 3} == member.assignment.end_offsets


async def test_when_one_member_leaves_the_other_has_all_and_a_later_generation(bench: Bench) -> None:
    if bench.backend == "mock":
        pytest.skip("in the mock broker a follower that syncs after the leader is refused, now and then")
    log = await bench.log()
    topic = await bench.topic(log, partitions=2)
    await log.append(topic, [entry(1)])
    group = bench.group()
    first = await joined(await log.member(topic, group), 2)
    before = first.assignment.generation
    second = await log.member(topic, group)
    found = list(await second.fetch(0.1))
    await first.close()
    async with asyncio.timeout(30):
        while not (found and len(second.assignment.partitions) == 2):
            found += await second.fetch(0.1)
    assert second.assignment.generation > before
    assert [1] == numbers(found)


async def test_the_generation_grows_though_nobody_was_there(bench: Bench) -> None:
    log = await bench.log()
    topic = await bench.topic(log)
    group = bench.group()
    generations = []
    for _ in range(3):
        member = await joined(await log.member(topic, group), 1)
        generations.append(member.assignment.generation)
        await member.close()
    assert sorted(set(generations)) == generations
