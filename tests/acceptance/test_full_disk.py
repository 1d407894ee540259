"""A disk that is really full: a small file system of its own, gone with the process that has it mounted.

Each story runs in a second pytest, in a mount namespace; the first one only starts it and reads how it went.
"""

import asyncio
import contextlib
import os
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from liqwatch.clock import Clock
from liqwatch.coverage import CoverageBook
from liqwatch.eventlog import Entry, LogUnavailable
from liqwatch.eventlog.sqlite import SqliteLog
from liqwatch.events import Coverage
from liqwatch.simulator import Simulator
from liqwatch.simulator.scenarios import burst
from liqwatch.topics import COVERAGE, LIQUIDATIONS, TOPICS
from tests.support.collecting import Collecting, collecting, names, send
from tests.support.config import Setup
from tests.support.program import running
from tests.support.reading import everything, recount, totals
from tests.support.reading import until as until_equal
from tests.support.venue_server import VenueServer
from tests.support.waiting import until

DISK = "SMALL_DISK"  # where it is mounted, for those who are inside
MIB = 1 << 20
NOW = int(time.time() * 1000)
Story = Callable[[Path], Awaitable[None]]


def namespace(folder: Path) -> list[str]:
    """What to put before a command that may mount, unseen by all others; ends the test where nothing may."""
    said = ""
    for command in (["unshare", "--map-root-user", "--mount"], ["unshare", "--mount"]):  # the second is for root
        with contextlib.suppress(FileNotFoundError):
            mount = [*command, "mount", "-t", "tmpfs", "-o", "size=1m", "none", str(folder)]
            tried = subprocess.run(mount, capture_output=True, text=True, timeout=30, check=False)
            if tried.returncode == 0:
                return command
            said = tried.stderr.strip()
    pytest.skip(f"no file system can be mounted here, with user namespaces or as root: {said or 'unshare not found'}")


def on_a_disk_of(mib: int) -> Callable[[Story], Callable[..., None]]:
    """A test that is given an empty file system of so many MiB."""

    def decorate(story: Story) -> Callable[..., None]:
        @pytest.mark.timeout(150)
        def test(request: pytest.FixtureRequest, tmp_path: Path) -> None:
            if DISK in os.environ:
                asyncio.run(with_limit(story), debug=True)
                return
            command = [
                *namespace(tmp_path), "sh", "-ec", f'mount -t tmpfs -o size={mib}m none "$0"; exec "$@"', tmp_path,
                sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider",
                f"--basetemp={tmp_path}-inside",  # the usual one may be another user's there
                request.node.nodeid,
            ]  # fmt: skip
            environment = {**os.environ, DISK: str(tmp_path)}
            root = request.config.rootpath
            run = subprocess.run(
                command, env=environment, cwd=root, capture_output=True, text=True, timeout=140, check=False
            )
            assert run.returncode == 0 and "1 passed" in run.stdout, run.stdout + run.stderr

        test.__name__, test.__doc__ = story.__name__, story.__doc__
        return test

    return decorate


async def with_limit(story: Story) -> None:
    async with asyncio.timeout(120):
        await story(Path(os.environ[DISK]))


def free(disk: Path) -> int:
    there = os.statvfs(disk)
    return there.f_bavail * there.f_frsize


def fill(disk: Path, leave: int = 0) -> Path:
    """A file of somebody else's that takes all the room but so many bytes."""
    filler = disk / "filler"
    with open(filler, "ab", buffering=0) as file, contextlib.suppress(OSError):
        while (left := free(disk) - leave) > 0:
            file.write(bytes(min(left, 64 << 10)))
    assert free(disk) == leave // 4096 * 4096
    return filler


def entries(first: int, count: int, at_ms: int = NOW) -> list[Entry]:
    return [Entry(b"key:%d" % number, b"%300d" % number, at_ms) for number in range(first, first + count)]


@contextlib.asynccontextmanager
async def opened(disk: Path, clock: Any = None, **options: Any) -> AsyncIterator[SqliteLog]:
    log = SqliteLog(disk / "liqwatch.db", clock or Clock(), **options)
    await log.open()
    try:
        await log.create(TOPICS.values())
        yield log
    finally:
        await log.close()


async def numbers(log: SqliteLog) -> list[int]:
    """What is in the log, each record as often as it is there."""
    found: list[Any] = await everything(log, LIQUIDATIONS)
    return sorted(found)


async def append_until_full(log: SqliteLog, first: int = 0, at_ms: int = NOW) -> tuple[int, str]:
    """The number of the first record that it would not take, and why."""
    with pytest.raises(LogUnavailable) as refused:
        while True:
            await log.append(LIQUIDATIONS, entries(first, 50, at_ms))
            first += 50
    return first, str(refused.value)


@on_a_disk_of(4)
async def test_what_a_full_disk_refused_is_appended_once_there_is_room_and_nothing_is_lost(disk: Path) -> None:
    async with opened(disk, keep_free=0) as log:
        (disk / "filler").write_bytes(bytes(MIB))
        refused, why = await append_until_full(log)
        assert f"{disk}/liqwatch.db: no room left on the disk; free some, writing goes on by itself" == why
        assert refused > 500
        for _ in range(3):
            with pytest.raises(LogUnavailable, match="no room left on the disk"):
                await log.append(LIQUIDATIONS, entries(refused, 50))
        assert list(range(refused)) == await numbers(log)

    async with opened(disk, keep_free=0) as log:
        assert list(range(refused)) == await numbers(log), "it can be opened and read while there is no room"
        (disk / "filler").unlink()
        await log.append(LIQUIDATIONS, entries(refused, 500))
        assert list(range(refused + 500)) == await numbers(log)


class HandClock:
    speed = 1.0

    def __init__(self) -> None:
        self.at_ms = NOW

    def now_ms(self) -> int:
        return self.at_ms


@on_a_disk_of(24)
async def test_a_log_that_filled_its_disk_goes_on_by_itself_once_what_is_in_it_is_old(disk: Path) -> None:
    clock = HandClock()
    async with opened(disk, clock, keep_free=8 * MIB, tidy_every=0.05) as log:
        refused, why = await append_until_full(log)
        assert f"{disk}/liqwatch.db: no room left on the disk (the last 8 MiB are for deleting what is old)" in why
        size = (disk / "liqwatch.db").stat().st_size
        assert size > 8 * MIB

        clock.at_ms += 8 * 86_400_000
        fresh = entries(refused, 50, clock.at_ms)
        async with asyncio.timeout(30):
            while True:
                with contextlib.suppress(LogUnavailable):
                    await log.append(LIQUIDATIONS, fresh)
                    break
                await asyncio.sleep(0.05)
        again, _ = await append_until_full(log, refused + 50, clock.at_ms)
        assert again > refused + 5_000
        assert list(range(refused, again)) == await numbers(log)
        # In the room of the old ones, but for what is appended between two looks at the disk.
        assert (disk / "liqwatch.db").stat().st_size < size + MIB


@on_a_disk_of(4)
async def test_housekeeping_that_has_no_room_says_so_once_and_goes_on_when_there_is_some(disk: Path) -> None:
    clock = HandClock()
    with capture_logs() as lines:
        async with opened(disk, clock, keep_free=0, tidy_every=0.02) as log:
            (disk / "filler").write_bytes(bytes(MIB))
            await append_until_full(log)
            clock.at_ms += 8 * 86_400_000
            await until(lambda: lines, 20)
            await asyncio.sleep(0.5)  # many more rounds
            (disk / "filler").unlink()
            await until(lambda: len(lines) > 1, 20)
            assert [] == await numbers(log)
    assert ["housekeeping failed", "housekeeping works again"] == [line["event"] for line in lines]
    assert "no room left on the disk" in lines[0]["reason"]


async def counted(collector: Collecting, number: int) -> None:
    await until(lambda: collector.metric("liqwatch_events_total", side="long") == number, 20)


async def ids(log: SqliteLog) -> list[str]:
    return [event["event_id"] for event in await everything(log, LIQUIDATIONS)]


async def lost(log: SqliteLog) -> list[dict[str, Any]]:
    return [one for one in await everything(log, COVERAGE) if one["kind"] == "lost"]


def trouble(collector: Collecting) -> list[str]:
    return [reason for reason in collector.service.unready() if "no room left on the disk" in reason]


@on_a_disk_of(4)
async def test_a_collector_keeps_what_the_full_disk_of_its_log_refuses_and_names_the_disk(disk: Path) -> None:
    async with (
        VenueServer() as server,
        opened(disk, keep_free=0) as log,
        collecting(server, log, disk, memory=5000) as collector,
    ):
        await until(lambda: collector.watched, 20)
        await send(server, names(0, 100))
        await until_equal(names(0, 100), partial(ids, log))
        filler = fill(disk)
        await send(server, names(100, 2500))
        await counted(collector, 2500)
        await until(lambda: trouble(collector), 20)
        assert [
            f"the log takes nothing: {disk}/liqwatch.db: no room left on the disk; free some, writing goes on by itself"
        ] == trouble(collector)
        assert names(0, 100) == (await ids(log))[:100]

        filler.unlink()
        await until_equal(names(0, 2500), partial(ids, log))
        await until(lambda: not collector.service.unready(), 20)
        assert [] == await lost(log)
        assert 0 == collector.metric("liqwatch_events_lost_total")


@on_a_disk_of(4)
async def test_what_neither_memory_nor_the_spool_on_a_full_disk_can_hold_is_counted_and_a_gap(disk: Path) -> None:
    """Room is left for two writes of the spool and a part of the third, which must not damage it."""
    async with (
        VenueServer() as server,
        opened(disk, keep_free=2 * MIB) as log,
        collecting(server, log, disk, memory=1000) as collector,
    ):
        await until(lambda: collector.watched, 20)
        await send(server, names(0, 10))
        await until_equal(names(0, 10), partial(ids, log))
        filler = fill(disk, leave=220 << 10)
        await send(server, names(10, 800))
        await until(lambda: collector.told("log is down"), 20)
        await until(lambda: collector.metric("liqwatch_backlog_events") <= 500, 20)
        for start in range(800, 2400, 200):
            await send(server, names(start, start + 200))
            await counted(collector, start + 200)
            await asyncio.sleep(0.3)
        await until(lambda: collector.told("spool is down"), 20)
        assert "No space left on device" in collector.told("spool is down")[0]["reason"]
        gone = int(collector.metric("liqwatch_events_lost_total"))
        assert 0 < gone
        assert 0 < collector.metric("liqwatch_spool_bytes") <= 220 << 10

        filler.unlink()
        await until(lambda: collector.metric("liqwatch_spool_bytes") == 0, 30)
        await until(lambda: not trouble(collector), 20)
        await until_equal([gone], lambda: events_lost(log))
        kept = list(dict.fromkeys(await ids(log)))
        assert 2400 - gone == len(kept)
        assert sorted(kept) == kept, "in the order in which they came"
        assert names(0, 1000) == kept[:1000], "what came last is what was lost"
        assert not collector.told("the spool was damaged; what could be read of it goes on to the log")
        book = CoverageBook(keep_ms=10**9)
        for message in await everything(log, COVERAGE):
            book.apply(Coverage.model_validate(message))
        (gap,) = await lost(log)
        assert 0.0 == book.share("fake", gap["from_ms"], gap["to_ms"])


async def events_lost(log: SqliteLog) -> list[int]:
    return [one["events_lost"] for one in await lost(log)]


@on_a_disk_of(64)
async def test_everything_in_one_process_outlives_a_full_disk_and_adds_up_to_the_same(disk: Path) -> None:
    async with Simulator(burst(40, 14, seed=5), seed=5, venues=("binance", "bybit")) as simulator:
        setup = Setup(disk, {name: (origin.websocket, origin.rest) for name, origin in simulator.origins.items()})
        async with running(["run", "--config", str(setup.write())], disk, port=setup.ports["run"]) as program:
            await program.ready()
            await simulator.until_watched()
            playing = asyncio.create_task(simulator.play())
            await asyncio.sleep(2)
            filler = fill(disk)
            async with asyncio.timeout(30):
                while "no room left on the disk" not in str(said := (await program.ask("/readyz"))[1]):
                    await asyncio.sleep(0.1)
            assert f"collector: the log takes nothing: {disk}/liqwatch.db" in str(said)
            await asyncio.sleep(5)
            filler.unlink()
            await playing

            books = {side: (simulator.books.usd(side), simulator.books.count(side)) for side in ("long", "short")}
            log = SqliteLog(disk / "liqwatch.db", Clock(), read_only=True)
            await log.open()

            async def added_up() -> dict[str, tuple[int, int]]:
                total = (await totals(log)).sum("24h", "all")
                return {"long": (total.long, total.long_count), "short": (total.short, total.short_count)}

            try:
                await until_equal(books, lambda: recount(log))
                await until_equal(books, added_up)
            finally:
                await log.close()
            await program.ready()
            assert "Traceback" not in program.stderr, program.stderr
            assert 0 == await program.end()
