"""Retention and compaction of the embedded log."""

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, closing
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from liqwatch.clock import Clock
from liqwatch.eventlog import Entry, Record, since
from liqwatch.eventlog.sqlite import SqliteLog
from liqwatch.events import Coverage
from liqwatch.topics import COVERAGE, LIQUIDATIONS, Topic

DAY_MS = 86_400_000
TOPIC = replace(LIQUIDATIONS, name="test.kept", partitions=1, retention=timedelta(days=1), compacted=False)
COMPACTED = replace(TOPIC, name="test.compacted", retention=None, compacted=True)
BOTH = replace(TOPIC, name="test.both", compacted=True)
Opened = Callable[..., Any]


class HandClock:
    """A wall clock that is moved by hand."""

    def __init__(self) -> None:
        self.now_ms = 1_800_000_000_000

    def __call__(self) -> float:
        return self.now_ms / 1000


@pytest.fixture
def hand() -> HandClock:
    return HandClock()


@pytest.fixture
async def opened(tmp_path: Path, hand: HandClock) -> AsyncIterator[Opened]:
    async with AsyncExitStack() as stack:

        async def open_log(compact_after: int = 1_000, *, read_only: bool = False) -> SqliteLog:
            log = SqliteLog(
                tmp_path / "log.db",
                Clock(wall=hand),
                read_only=read_only,
                tidy_every=0.01,
                compact_after=compact_after,
                keep_newest=0,
            )  # nothing is kept in memory: what is looked at is the file
            stack.push_async_callback(log.close)
            await log.open()
            if not read_only:
                await log.create([TOPIC, COMPACTED, BOTH, COVERAGE])
            return log

        yield open_log


async def until_start(log: SqliteLog, topic: Topic, offset: int) -> None:
    """Waits until retention has moved the start of partition 0 there."""
    async with asyncio.timeout(10):
        while (await log.reader(topic)).positions() != {0: offset}:
            await asyncio.sleep(0.01)


async def left(log: SqliteLog, topic: Topic) -> list[Record]:
    reader = await log.reader(topic)
    found: list[Record] = []
    while reader.positions() != await reader.end_offsets():
        found += await reader.fetch(1.0)
    assert 0 == reader.lost
    return found


async def until_left(log: SqliteLog, topic: Topic, expected: list[tuple[bytes, bytes | None]]) -> None:
    found: list[tuple[bytes, bytes | None]] = []
    try:
        async with asyncio.timeout(10):
            while found != expected:
                await asyncio.sleep(0.01)
                found = [(record.key, record.value) for record in await left(log, topic)]
    except TimeoutError:
        assert expected == found


async def test_records_past_retention_go_and_the_others_stay(opened: Opened, hand: HandClock) -> None:
    log = await opened()
    for age in (30, 12, 0):
        await log.append(TOPIC, [Entry(b"key", b"%d" % age, hand.now_ms - age * 3_600_000)])
    await until_start(log, TOPIC, 1)
    assert [b"12", b"0"] == [record.value for record in await left(log, TOPIC)]
    hand.now_ms += 13 * 3_600_000
    await until_start(log, TOPIC, 2)


async def test_a_reader_overtaken_by_retention_counts_what_it_lost(opened: Opened, hand: HandClock) -> None:
    log = await opened()
    reader = await log.reader(TOPIC)
    await log.append(TOPIC, [Entry(b"key", b"%d" % n, hand.now_ms) for n in range(700)])
    hand.now_ms += 2 * DAY_MS
    await until_start(log, TOPIC, 700)
    await log.append(TOPIC, [Entry(b"key", b"new", hand.now_ms)])
    assert [b"new"] == [record.value for record in await reader.fetch(10.0)]
    assert 700 == reader.lost
    assert {0: 701} == reader.positions()


async def test_a_loss_is_counted_though_nothing_came_after_it(opened: Opened, hand: HandClock) -> None:
    log = await opened()
    reader = await log.reader(TOPIC)
    await log.append(TOPIC, [Entry(b"key", b"old", hand.now_ms)] * 3)
    hand.now_ms += 2 * DAY_MS
    await until_start(log, TOPIC, 3)
    assert [] == list(await reader.fetch(0.01))
    assert (3, {0: 3}) == (reader.lost, reader.positions())


async def test_no_offset_is_given_twice_though_everything_was_deleted(opened: Opened, hand: HandClock) -> None:
    log = await opened()
    await log.append(TOPIC, [Entry(b"key", b"old", hand.now_ms)] * 5)
    hand.now_ms += 2 * DAY_MS
    await until_start(log, TOPIC, 5)
    await log.close()
    log = await opened()
    assert [(0, 5)] == list(await log.append(TOPIC, [Entry(b"key", b"new", hand.now_ms)]))


async def test_a_time_seek_holds_after_retention(opened: Opened, hand: HandClock) -> None:
    log = await opened()
    for minute in range(0, 3_000, 10):
        at_ms = hand.now_ms + minute * 60_000
        await log.append(TOPIC, [Entry(b"key", b"%d" % minute, at_ms)])
    hand.now_ms += 3_000 * 60_000
    await until_start(log, TOPIC, 156)
    wanted = hand.now_ms - 600 * 60_000
    reader = await log.reader(TOPIC, start=since(wanted))
    assert b"2400" == (await reader.fetch(5.0))[0].value
    assert {0: 156} == (await log.reader(TOPIC, start=since(hand.now_ms - 3 * DAY_MS))).positions()


async def test_compaction_keeps_the_newest_record_of_each_key(opened: Opened, hand: HandClock) -> None:
    log = await opened(compact_after=1)
    for round_ in range(20):
        for key in (b"a", b"b", b"c"):
            await log.append(COMPACTED, [Entry(key, b"%d" % round_, hand.now_ms)])
    await until_left(log, COMPACTED, [(b"a", b"19"), (b"b", b"19"), (b"c", b"19")])


async def test_what_compaction_took_is_not_a_loss(opened: Opened, hand: HandClock) -> None:
    log = await opened(compact_after=1)
    reader = await log.reader(COMPACTED)
    await log.append(COMPACTED, [Entry(b"a", b"%d" % n, hand.now_ms) for n in range(1_200)])
    await until_left(log, COMPACTED, [(b"a", b"1199")])
    assert [b"1199"] == [record.value for record in await reader.fetch(5.0)]
    assert (0, {0: 1_200}) == (reader.lost, reader.positions())


async def test_a_tombstone_goes_after_its_delay_and_positions_still_reach_the_end(
    opened: Opened, hand: HandClock
) -> None:
    log = await opened(compact_after=1)
    reader = await log.reader(COMPACTED)
    await log.append(COMPACTED, [Entry(b"a", b"%d" % n, hand.now_ms) for n in range(20)])
    await log.append(COMPACTED, [Entry(b"a", None, hand.now_ms)])
    await until_left(log, COMPACTED, [(b"a", None)])
    hand.now_ms += 2 * 3_600_000
    await until_left(log, COMPACTED, [])
    await reader.fetch(0.05)
    assert {0: 21} == reader.positions() == await reader.end_offsets()


async def test_compaction_and_retention_work_together(opened: Opened, hand: HandClock) -> None:
    log = await opened(compact_after=1)
    await log.append(BOTH, [Entry(b"old", b"%d" % n, hand.now_ms) for n in range(20)])
    hand.now_ms += DAY_MS // 2
    await log.append(BOTH, [Entry(b"new", b"%d" % n, hand.now_ms) for n in range(20)])
    await until_left(log, BOTH, [(b"old", b"19"), (b"new", b"19")])
    hand.now_ms += DAY_MS * 2 // 3
    await until_start(log, BOTH, 20)  # a reader that retention overtakes says, rightly, that it lost something
    await until_left(log, BOTH, [(b"new", b"19")])


@pytest.mark.parametrize("topic", [TOPIC, COMPACTED, BOTH], ids=lambda topic: topic.name)
async def test_many_small_batches_are_merged_without_a_change_to_any_record(
    opened: Opened, hand: HandClock, tmp_path: Path, topic: Topic
) -> None:
    log = await opened(compact_after=100)
    given = [Entry(b"key:%d" % n, b"%d" % n, hand.now_ms + n) for n in range(300)]
    for entry in given:
        await log.append(topic, [entry])
    with closing(sqlite3.connect(tmp_path / "log.db")) as file:
        async with asyncio.timeout(10):
            while file.execute("SELECT count(*) FROM batches").fetchone()[0] > 120:
                await asyncio.sleep(0.01)
    expected = [Record(0, n, entry.timestamp_ms, entry.key, entry.value) for n, entry in enumerate(given)]
    reader = await log.reader(topic, start=since(hand.now_ms + 157))
    assert {0: 157} == reader.positions()
    assert expected == await left(log, topic)


async def test_appends_and_readers_go_on_while_the_log_is_tidied(opened: Opened, hand: HandClock) -> None:
    log = await opened(compact_after=1)
    reader = await log.reader(COMPACTED)
    seen: dict[bytes, int] = {}

    async def write() -> None:
        for number in range(300):
            await log.append(COMPACTED, [Entry(b"key:%d" % (n % 7), b"%d" % number, hand.now_ms) for n in range(20)])

    writing = asyncio.create_task(write())
    while not (writing.done() and reader.positions() == await reader.end_offsets()):
        for record in await reader.fetch(0.05):
            assert seen.get(record.key, -1) <= int(record.value or b"")
            seen[record.key] = int(record.value or b"")
    await writing
    assert {b"key:%d" % n: 299 for n in range(7)} == seen
    assert 0 == reader.lost


def watched(venue: str, number: int, until_ms: int, *, still: bool = True) -> bytes:
    interval = Coverage(
        venue=venue, collector="one", interval_id=f"{venue}:{number}", kind="watched", from_ms=1_000,
        to_ms=until_ms, open=still, completeness="all",
    )  # fmt: skip
    return interval.model_dump_json().encode()


async def test_of_an_interval_that_grows_the_last_record_stays_and_nothing_counts_as_lost(
    opened: Opened, hand: HandClock
) -> None:
    log = await opened(compact_after=1_203)  # all at once
    early = await log.reader(COVERAGE)
    values = [watched(venue, 1, 1_000 + n) for n in range(600) for venue in ("okx", "gate")]
    values += [b"nonsense", watched("okx", 1, 2_000, still=False), watched("okx", 2, 3_000)]
    for at in range(0, len(values), 20):
        await log.append(COVERAGE, [Entry(b"key", value, hand.now_ms) for value in values[at : at + 20]])
    expected = [(b"key", values[number]) for number in range(1_198, 1_203)]
    await until_left(log, COVERAGE, expected)
    other = await opened(read_only=True)
    assert expected == [(record.key, record.value) for record in await left(other, COVERAGE)]
    assert values[-5:] == [record.value for record in await early.fetch(5.0)]
    assert (0, {0: 1_203}) == (early.lost, early.positions())


async def test_a_record_that_cannot_be_read_does_not_stop_the_housekeeping(opened: Opened, hand: HandClock) -> None:
    log = await opened(compact_after=20)
    broken = watched("okx", 1, 2_000).replace(b"okx", b"\xffkx")
    await log.append(COVERAGE, [Entry(b"okx", broken, hand.now_ms)] * 30)
    await log.append(COMPACTED, [Entry(b"a", b"%d" % n, hand.now_ms) for n in range(40)])
    await log.append(COVERAGE, [Entry(b"okx", watched("okx", 1, 2_000 + n), hand.now_ms) for n in range(30)])
    last = watched("okx", 1, 2_029)
    await until_left(log, COVERAGE, [(b"okx", broken)] * 30 + [(b"okx", last)])
    await until_left(log, COMPACTED, [(b"a", b"39")])


async def test_records_of_coverage_that_retention_took_are_a_loss(opened: Opened, hand: HandClock) -> None:
    log = await opened()
    reader = await log.reader(COVERAGE)
    await log.append(COVERAGE, [Entry(b"okx", watched("okx", n, 2_000), hand.now_ms) for n in range(30)])
    hand.now_ms += 31 * DAY_MS
    await until_start(log, COVERAGE, 30)
    await reader.fetch(0.01)
    assert 30 == reader.lost
