"""What happens to the embedded log when its file, its disk or its process is in trouble."""

import asyncio
import errno
import os
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, closing
from pathlib import Path
from typing import Any

import pytest

from liqwatch.clock import Clock
from liqwatch.eventlog import Entry, LogError, LogUnavailable, Record
from liqwatch.eventlog.sqlite import SqliteLog
from liqwatch.eventlog.sqlite_file import LogInUse
from liqwatch.topics import LIQUIDATIONS, TOTALS

NOW = int(time.time() * 1000)
Opened = Callable[..., Any]


def entries(first: int, count: int, size: int = 10) -> list[Entry]:
    return [Entry(b"key:%d" % number, b"%*d" % (size, number), NOW) for number in range(first, first + count)]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "liqwatch.db"


@pytest.fixture
async def opened(path: Path) -> AsyncIterator[Opened]:
    async with AsyncExitStack() as stack:

        async def open_log(**options: Any) -> SqliteLog:
            log = SqliteLog(path, Clock(), **options)
            stack.push_async_callback(log.close)
            await log.open()
            if not options.get("read_only"):
                await log.create([LIQUIDATIONS])
            return log

        yield open_log


async def everything(log: SqliteLog, count: int) -> list[Record]:
    reader = await log.reader(LIQUIDATIONS)
    found: list[Record] = []
    async with asyncio.timeout(20):
        while len(found) < count:
            found += await reader.fetch(1.0)
    return found


async def test_a_second_writer_is_refused_and_told_who_writes(opened: Opened, path: Path) -> None:
    await opened()
    with pytest.raises(LogInUse, match=rf"{path.name}: another liqwatch writes it \(process {os.getpid()}\)"):
        await SqliteLog(path, Clock()).open()


async def test_a_disk_that_has_no_locks_is_not_taken_for_another_writer(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def none_left(_handle: int, _how: int) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr("fcntl.flock", none_left)
    with pytest.raises(LogError, match=r"cannot be opened .*No locks available") as error:
        await SqliteLog(path, Clock()).open()
    assert not isinstance(error.value, LogInUse)


async def test_a_path_may_be_of_any_bytes(tmp_path: Path) -> None:
    path = tmp_path / os.fsdecode(b"not-utf8-\xff?.db")
    log = SqliteLog(path, Clock())
    await log.open()
    await log.close()
    assert path.exists()


async def test_the_file_is_free_again_after_close(opened: Opened) -> None:
    await (await opened()).close()
    await opened()


async def test_another_process_may_read_while_one_writes(opened: Opened, path: Path) -> None:
    log = await opened()
    script = f"""
import asyncio
from liqwatch.clock import Clock
from liqwatch.eventlog.sqlite import SqliteLog
from liqwatch.topics import LIQUIDATIONS

async def main():
    log = SqliteLog({str(path)!r}, Clock(), read_only=True)
    await log.open()
    reader = await log.reader(LIQUIDATIONS)
    print("reading", flush=True)
    numbers = []
    while len(numbers) < 30:
        numbers += [int(record.value) for record in await reader.fetch(10.0)]
    print(sorted(numbers), reader.lost, flush=True)
    await log.close()

asyncio.run(main())
"""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", script, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    try:
        assert process.stdout is not None
        async with asyncio.timeout(30):
            assert b"reading\n" == await process.stdout.readline()
            for first in range(0, 30, 10):
                await log.append(LIQUIDATIONS, entries(first, 10))
            assert f"{list(range(30))} 0\n".encode() == await process.stdout.readline()
            assert 0 == await process.wait()
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


async def test_a_log_for_reading_writes_nothing(opened: Opened) -> None:
    await opened()
    reading = await opened(read_only=True)
    with pytest.raises(LogError, match="opened for reading only"):
        await reading.append(LIQUIDATIONS, entries(0, 1))


async def test_reading_waits_for_a_file_that_is_not_there_yet(path: Path) -> None:
    with pytest.raises(LogUnavailable, match="not there yet; start the program that writes it"):
        await SqliteLog(path, Clock(), read_only=True).open()


async def test_a_file_locked_by_another_program_is_unavailable_until_it_lets_go(opened: Opened, path: Path) -> None:
    log = await opened()
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(LogUnavailable, match="locked by another program"):
            await log.append(LIQUIDATIONS, entries(0, 3))
        other.execute("ROLLBACK")
    await log.append(LIQUIDATIONS, entries(0, 3))
    assert 3 == len(await everything(log, 3))


async def test_a_full_disk_is_unavailable_and_writing_goes_on_when_there_is_room(opened: Opened, path: Path) -> None:
    log = await opened(max_bytes=400_000)
    kept = 0
    with pytest.raises(LogUnavailable, match="no room left on the disk"):
        for first in range(0, 10_000, 100):
            await log.append(LIQUIDATIONS, entries(first, 100, size=300))
            kept = first + 100
    with pytest.raises(LogUnavailable):
        await log.append(LIQUIDATIONS, entries(kept, 100, size=300))
    await log.close()
    log = await opened(max_bytes=4_000_000)
    await log.append(LIQUIDATIONS, entries(kept, 100, size=300))
    values = [int(record.value or b"") for record in await everything(log, kept + 100)]
    assert list(range(kept + 100)) == sorted(values)


async def test_a_failed_append_gives_no_offset_away(opened: Opened) -> None:
    log = await opened(max_bytes=400_000)
    big = [Entry(b"one key", b"x" * 800_000, NOW)]
    (before,) = await log.append(LIQUIDATIONS, [Entry(b"one key", b"1", NOW)])
    with pytest.raises(LogUnavailable):
        await log.append(LIQUIDATIONS, big)
    (after,) = await log.append(LIQUIDATIONS, [Entry(b"one key", b"2", NOW)])
    assert before.offset + 1 == after.offset


@pytest.mark.parametrize("keep", [0.5, 0.9])
async def test_a_file_that_was_cut_off_is_named_with_a_remedy(opened: Opened, path: Path, keep: float) -> None:
    log = await opened()
    await log.append(LIQUIDATIONS, entries(0, 2_000, size=300))
    await log.close()
    os.truncate(path, int(path.stat().st_size * keep))
    with pytest.raises(LogError, match=rf"{path.name}: damaged .*move it aside.*{path.name}-wal"):
        await opened()


async def test_a_file_that_is_no_database_is_named_with_a_remedy(opened: Opened, path: Path) -> None:
    path.write_bytes(b"venue,symbol,price\n" * 500)
    with pytest.raises(LogError, match=rf"{path.name}: damaged .*move it aside"):
        await opened()


async def test_a_database_of_another_program_is_left_alone(opened: Opened, path: Path) -> None:
    with closing(sqlite3.connect(path)) as other:
        other.execute("CREATE TABLE notes (text TEXT)")
    with pytest.raises(LogError, match="not one of liqwatch"):
        await opened()


async def test_a_file_of_a_later_format_is_refused(opened: Opened, path: Path) -> None:
    await (await opened()).close()
    with closing(sqlite3.connect(path)) as other:
        other.execute("PRAGMA user_version=99")
    with pytest.raises(LogError, match="written in format 99, this program knows 1"):
        await opened()


async def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(LogError, match=r"liqwatch.db: cannot be opened .*check log.path"):
        await SqliteLog(tmp_path / "file" / "liqwatch.db", Clock()).open()


def test_a_read_only_file_is_named_with_a_remedy() -> None:
    """In a process without root's rights, which no permission holds back."""
    script = """
import asyncio, os, sys
from liqwatch.clock import Clock
from liqwatch.eventlog import LogError
from liqwatch.eventlog.sqlite import SqliteLog

async def main():
    try:
        await SqliteLog(sys.argv[1], Clock()).open()
    except LogError as error:
        print(type(error).__name__, error)

if os.getuid() == 0:
    os.setuid(65534)
asyncio.run(main())
"""
    with tempfile.TemporaryDirectory() as name:
        folder, file = Path(name), Path(name) / "liqwatch.db"
        with closing(sqlite3.connect(file)) as made:
            made.execute("PRAGMA journal_mode=WAL")
        (folder / "liqwatch.db.lock").touch()
        for each in folder.iterdir():
            each.chmod(0o444)
        (folder / "liqwatch.db.lock").chmod(0o666)
        folder.chmod(0o555)
        command = [sys.executable, "-c", script, str(file)]
        try:
            run = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
        finally:
            folder.chmod(0o755)
    assert "" == run.stderr
    assert run.stdout.startswith(f"LogError {file}: cannot be written; give this user write access")


def killed_in_mid_write(path: Path) -> dict[tuple[int, int], int]:
    """Position and number of what another process had acknowledged when it was killed."""
    script = [sys.executable, "-m", "tests.eventlog.writing_process", str(path)]
    with subprocess.Popen(script, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        lines = [process.stdout.readline() for _ in range(600)]
        process.send_signal(signal.SIGKILL)
        lines += process.stdout.readlines()
    told = [line.split() for line in lines if line.endswith("\n")]
    return {(int(partition), int(offset)): int(number) for partition, offset, number in told}


async def test_what_was_acknowledged_is_there_after_kill_9(opened: Opened, path: Path) -> None:
    acknowledged: dict[tuple[int, int], int] = {}
    for _ in range(2):
        acknowledged |= killed_in_mid_write(path)
        log = await opened()
        reader = await log.reader(LIQUIDATIONS)
        ends = await reader.end_offsets()
        there = {(r.partition, r.offset): int(r.value or b"") for r in await everything(log, sum(ends.values()))}
        assert acknowledged.items() <= there.items()
        (position,) = await log.append(LIQUIDATIONS, entries(0, 1))
        assert ends[position.partition] == position.offset
        await log.close()


async def test_a_half_written_commit_is_as_if_it_never_was(opened: Opened, path: Path, tmp_path: Path) -> None:
    log = await opened()
    await log.append(LIQUIDATIONS, entries(0, 10))
    whole = (tmp_path / "liqwatch.db-wal").stat().st_size
    await log.append(LIQUIDATIONS, entries(10, 200, size=200))
    left = tmp_path / "left"
    left.mkdir()
    (left / "liqwatch.db").write_bytes(path.read_bytes())
    wal = (tmp_path / "liqwatch.db-wal").read_bytes()
    (left / "liqwatch.db-wal").write_bytes(wal[: whole + (len(wal) - whole) // 2])
    survivor = SqliteLog(left / "liqwatch.db", Clock())
    await survivor.open()
    try:
        assert 10 == len(await everything(survivor, 10))
        assert 10 == sum((await (await survivor.reader(LIQUIDATIONS)).end_offsets()).values())
    finally:
        await survivor.close()


@pytest.mark.parametrize("is_read", [False, True], ids=["", "while another program has it open"])
async def test_after_a_stop_the_file_alone_has_everything(opened: Opened, path: Path, is_read: bool) -> None:
    log = await opened()
    await log.append(LIQUIDATIONS, entries(0, 500))
    await everything(log, 500)
    with closing(sqlite3.connect(path)) as other:
        if is_read:
            other.execute("SELECT count(*) FROM batches").fetchone()
        await log.close()
        copied = path.with_name("copied.db")
        copied.write_bytes(path.read_bytes())
    assert is_read or not path.with_name(path.name + "-wal").exists()
    copy = SqliteLog(copied, Clock())
    await copy.open()
    try:
        assert 500 == len(await everything(copy, 500))
    finally:
        await copy.close()


async def test_closing_finishes_what_was_submitted(opened: Opened) -> None:
    log = await opened()
    waiting = [asyncio.create_task(log.append(LIQUIDATIONS, entries(n * 10, 10))) for n in range(50)]
    await asyncio.sleep(0)
    await log.close()
    assert 500 == sum(len(positions) for positions in await asyncio.gather(*waiting))
    assert 500 == len(await everything(await opened(), 500))


async def test_a_second_member_stands_by_until_the_first_leaves(opened: Opened) -> None:
    log = await opened()
    first = await log.member(LIQUIDATIONS, "group")
    second = await log.member(LIQUIDATIONS, "group")
    await first.fetch(0.0)
    assert () == await second.fetch(0.05)
    assert (12, 0) == (len(first.assignment.partitions), len(second.assignment.partitions))
    waiting = asyncio.create_task(second.fetch(20.0))
    await asyncio.sleep(0)
    await first.close()
    async with asyncio.timeout(10):
        await waiting
    assert (12, first.assignment.generation + 1) == (
        len(second.assignment.partitions),
        second.assignment.generation,
    )


async def test_generations_of_one_group_grow_over_restarts(opened: Opened) -> None:
    seen = []
    for _ in range(3):
        log = await opened()
        await log.create([TOTALS])
        for topic in (LIQUIDATIONS, TOTALS):
            member = await log.member(topic, "group")
            await member.fetch(0.0)
            seen.append(member.assignment.generation)
        await log.close()
    assert [1, 1, 2, 2, 3, 3] == seen
