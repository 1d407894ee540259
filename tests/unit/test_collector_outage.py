"""Outages of the log: nothing is lost while memory and spool last; what is lost beyond is counted and told."""

import asyncio
import errno
import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

import pytest

from liqwatch.collector.link import LogLink
from liqwatch.collector.outflow import Outflow
from liqwatch.collector.spool import Spool, Spooled
from liqwatch.coverage import CoverageBook
from liqwatch.eventlog import Entry, LogUnavailable, Position
from liqwatch.events import Coverage
from liqwatch.topics import COVERAGE, LIQUIDATIONS, Topic
from tests.support.collecting import QUICK, Collecting, collecting, coverage, ids, names, rejected, send
from tests.support.memory_log import MemoryLog
from tests.support.venue_server import VenueServer
from tests.support.waiting import until


async def counted(collector: Collecting, number: int) -> None:
    await until(lambda: collector.metric("liqwatch_events_total", side="long") == number)


async def test_events_wait_in_memory_when_the_log_is_down_from_the_start(tmp_path: Path) -> None:
    log = MemoryLog()
    log.down = True
    async with VenueServer() as server, collecting(server, log, tmp_path) as collector:
        await until(lambda: collector.watched)
        await send(server, names(0, 300))
        await counted(collector, 300)
        assert [] == ids(log)
        assert 300 == collector.metric("liqwatch_backlog_events")
        log.down = False
        await until(lambda: len(ids(log)) == 300)
        assert names(0, 300) == ids(log)
        assert not (tmp_path / "spool").exists()


async def test_an_outage_is_told_once_down_and_once_up_and_shows_in_readiness(tmp_path: Path) -> None:
    class Refusing(MemoryLog):
        async def append(self, topic: Topic, entries: Sequence[Entry]) -> Sequence[Position]:
            if self.down:
                raise LogUnavailable("no broker answers at 127.0.0.1:9092")
            return await super().append(topic, entries)

    log = Refusing()
    async with VenueServer() as server, collecting(server, log, tmp_path) as collector:
        await until(lambda: collector.watched)
        await until(lambda: coverage(log))
        log.down = True
        await send(server, names(0, 1))
        await until(collector.service.unready)
        assert ["the log takes nothing: no broker answers at 127.0.0.1:9092"] == collector.service.unready()
        assert 0 == collector.metric("liqwatch_log_up")
        log.down = False
        await until(lambda: not collector.service.unready(), within=10)
        await until(lambda: ids(log) == names(0, 1), within=10)
        assert 1 == len(collector.told("log is down")) == len(collector.told("log is back"))


async def test_beyond_memory_the_spool_takes_over_and_order_is_kept(tmp_path: Path) -> None:
    log = MemoryLog()
    async with VenueServer() as server, collecting(server, log, tmp_path, memory=1000) as collector:
        await until(lambda: collector.watched)
        await send(server, names(0, 10))
        await until(lambda: len(ids(log)) == 10)
        log.down = True
        for start in range(10, 5010, 400):
            await send(server, names(start, min(start + 400, 5010)))
            await counted(collector, min(start + 400, 5010))
            await until(lambda: collector.metric("liqwatch_backlog_events") <= 500)
        assert collector.metric("liqwatch_spool_bytes") > 100_000
        log.down = False
        await until(lambda: len(set(ids(log))) == 5010)
        assert names(0, 5010) == list(dict.fromkeys(ids(log)))
        await until(lambda: collector.metric("liqwatch_spool_bytes") == 0)
        assert not (tmp_path / "spool").exists()
        assert 0 == collector.metric("liqwatch_events_lost_total")


@pytest.mark.parametrize("memory", [200_000, 1000], ids=["from memory", "from memory and spool"])
async def test_no_time_is_called_watched_before_its_events_are_in_the_log(tmp_path: Path, memory: int) -> None:
    class Slow(MemoryLog):
        """Takes time for each append of events once it is back; notes what it had when coverage came."""

        seen: ClassVar[list[tuple[int, int]]] = []

        async def append(self, topic: Topic, entries: Sequence[Entry]) -> Sequence[Position]:
            if topic is LIQUIDATIONS:
                await asyncio.sleep(0.4)
            made = await super().append(topic, entries)
            if topic is COVERAGE:
                self.seen += [(entry.timestamp_ms, len(set(ids(self)))) for entry in entries]
            return made

    log = Slow()
    async with VenueServer() as server, collecting(server, log, tmp_path, memory=memory) as collector:
        await until(lambda: collector.watched)
        log.down = True
        for start in range(0, 2500, 250):
            await send(server, names(start, start + 250))
            await counted(collector, start + 250)
            await until(lambda: collector.metric("liqwatch_backlog_events") <= max(500, memory // 2))
        fell_ms = int(time.time() * 1000)
        await asyncio.sleep(QUICK.appended + 0.1)
        log.down = False
        await until(lambda: len(set(ids(log))) == 2500, within=10)
        await until(lambda: log.seen[-1][0] > fell_ms)
    assert {2500} == {number for at, number in log.seen if at > fell_ms}


async def test_beyond_the_spool_the_newest_are_lost_counted_and_a_gap_of_coverage(tmp_path: Path) -> None:
    log = MemoryLog()
    async with VenueServer() as server, collecting(server, log, tmp_path, memory=1000, spool_mib=0) as collector:
        await until(lambda: collector.watched)
        log.down = True
        await send(server, names(0, 1300))
        await counted(collector, 1300)
        assert 300 == collector.metric("liqwatch_events_lost_total")
        assert 1 == len(collector.told("events are being lost: memory and spool are full"))
        log.down = False
        await until(lambda: [one for one in coverage(log) if one["kind"] == "lost"])
        lost = next(one for one in coverage(log) if one["kind"] == "lost")
        assert (300, "fake", False) == (lost["events_lost"], lost["venue"], lost["open"])
        assert lost["from_ms"] < lost["to_ms"]
        await until(lambda: len(ids(log)) == 1000)
        assert names(0, 1000) == ids(log)
        book = CoverageBook(keep_ms=10**9)
        for message in coverage(log):
            book.apply(Coverage.model_validate(message))
        assert book.share("fake", lost["from_ms"], lost["to_ms"]) == 0.0


@pytest.mark.parametrize("memory", [200_000, 1000], ids=["from memory", "from memory and spool"])
async def test_a_stop_in_an_outage_brings_everything_to_the_next_run(tmp_path: Path, memory: int) -> None:
    log = MemoryLog()
    async with VenueServer() as server:
        async with collecting(server, log, tmp_path, memory=memory) as collector:
            await until(lambda: collector.watched)
            log.down = True
            await server.say("not JSON")
            for start in range(0, 2000, 400):
                await send(server, names(start, start + 400))
                await counted(collector, start + 400)
                await until(lambda: collector.metric("liqwatch_backlog_events") <= max(500, memory / 2))
            began = asyncio.get_running_loop().time()
            await collector.stop()
            assert asyncio.get_running_loop().time() - began < 5
            assert 0 == collector.metric("liqwatch_events_lost_total")
        assert (tmp_path / "spool").stat().st_size > 100_000
        log.down = False
        async with collecting(server, log, tmp_path, memory=memory):
            await until(lambda: len(set(ids(log))) == 2000)
            assert names(0, 2000) == list(dict.fromkeys(ids(log)))
            await until(lambda: not (tmp_path / "spool").exists())
            assert ["not JSON"] == [one["frame"] for one in rejected(log)]
            assert [one for one in coverage(log) if one["ended_by"] == "collector: stopped"]


async def test_a_full_disk_is_said_clearly_and_what_memory_cannot_hold_is_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_file: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    log = MemoryLog()
    async with VenueServer() as server, collecting(server, log, tmp_path, memory=1000) as collector:
        await until(lambda: collector.watched)
        monkeypatch.setattr(os, "fsync", full)
        log.down = True
        await send(server, names(0, 1500))
        await counted(collector, 1500)
        await until(lambda: collector.told("spool is down"))
        assert "No space left on device" == collector.told("spool is down")[0]["reason"]
        assert 500 == collector.metric("liqwatch_events_lost_total")
        log.down = False
        await until(lambda: len(set(ids(log))) == 1000)
        assert names(0, 1000) == list(dict.fromkeys(ids(log)))
        assert not collector.task.done()


async def test_a_spool_that_cannot_be_read_does_not_hold_up_what_comes(tmp_path: Path) -> None:
    (tmp_path / "spool").mkdir()  # not a file
    log = MemoryLog()
    async with VenueServer() as server, collecting(server, log, tmp_path) as collector:
        await until(lambda: collector.watched)
        await send(server, names(0, 5))
        await until(lambda: ids(log) == names(0, 5))
        assert 1 == len(collector.told("spool is down"))


async def test_what_was_being_appended_when_memory_ran_full_stays_ahead_of_the_rest(tmp_path: Path) -> None:
    log = MemoryLog()
    log.down = True
    lost: list[Entry] = []

    class Up:
        def set(self, _value: float) -> None: ...

    class Metrics:
        log_up = Up()

    link = LogLink(log, Metrics(), lambda *_: None)  # type: ignore[arg-type]
    spool = Spool(tmp_path / "spool", 1 << 20)
    outflow = Outflow(link, spool, 100, lost.extend, lambda: None, lambda *_: None)
    running = asyncio.create_task(outflow.run())
    entries = [Entry(b"fake:X", b"%03d" % number, number) for number in range(160)]
    outflow.put(entries[:10])
    await until(lambda: outflow._flying)
    outflow.put(entries[10:90])
    await until(lambda: spool.pending and outflow.held <= 50)
    outflow.put(entries[90:130])
    await until(lambda: outflow.held <= 50)
    outflow.put(entries[130:])
    log.down = False
    await until(lambda: outflow.idle)
    running.cancel()
    await asyncio.wait({running})
    assert [] == lost
    assert [entry.value for entry in entries] == [record.value for record in log.all(LIQUIDATIONS)]


async def test_coverage_that_waited_in_the_spool_reaches_its_own_topic(tmp_path: Path) -> None:
    spool = Spool(tmp_path / "spool", 1 << 20)
    message = Coverage(
        venue="fake", collector="collector-1", interval_id="i", kind="watched", from_ms=1, to_ms=2, open=False,
        completeness="all",
    )  # fmt: skip
    spool.append([Spooled(COVERAGE, Entry(b"fake", message.model_dump_json().encode(), 2))])
    spool.close()
    log = MemoryLog()
    async with VenueServer() as server, collecting(server, log, tmp_path):
        await until(lambda: [one for one in coverage(log) if one["interval_id"] == "i"])
