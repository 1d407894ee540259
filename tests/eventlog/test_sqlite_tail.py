"""The newest records in memory: the same that the file has, within their bounds, and the file beyond them."""

import random
from collections.abc import Sequence
from pathlib import Path

import pytest

from liqwatch.clock import Clock
from liqwatch.eventlog import Entry, Record
from liqwatch.eventlog import sqlite_store as store
from liqwatch.eventlog.sqlite import SqliteLog
from liqwatch.eventlog.sqlite_reader import SqliteReader
from liqwatch.eventlog.sqlite_tail import Tail
from liqwatch.topics import LIQUIDATIONS

A, B = 1 << 43, 2 << 43


def rows(first: int, last: int, size: int = 10) -> list[Record]:
    return [Record(0, offset, 1000 + offset, b"key", b"%d" % offset * size) for offset in range(first, last)]


def offsets(page: store.Page) -> list[int]:
    return [record.offset for record in page.records]


def test_what_the_latest_commits_brought_is_there_from_any_offset() -> None:
    tail = Tail(1 << 20)
    for first in range(0, 50, 5):
        tail.add({A: rows(first, first + 5)})
    for wanted in range(50):
        page = tail.pages({A: wanted}, 1000)[A]
        assert (list(range(wanted, 50)), wanted, 50) == (offsets(page), page.start, page.reached)
    assert rows(49, 50)[0] == page.records[0]


def test_a_page_ends_with_the_commit_that_reaches_its_share() -> None:
    tail = Tail(1 << 20)
    for first in range(0, 40, 10):
        tail.add({A: rows(first, first + 10), B: rows(first, first + 10)})
    pages = tail.pages({A: 3, B: 25}, 30)
    assert list(range(3, 20)) == offsets(pages[A])  # 15 each: 7 of the first commit are too few
    assert list(range(25, 40)) == offsets(pages[B])


def test_what_is_older_or_of_another_slot_is_left_to_the_file() -> None:
    tail = Tail(1 << 20)
    tail.add({A: rows(100, 110)})
    assert {} == tail.pages({A: 99, B: 0}, 1000)
    assert [A] == list(tail.pages({A: 100, B: 0}, 1000))


def test_it_lets_go_of_the_oldest_commits() -> None:
    tail = Tail(50_000)
    for number in range(100):
        tail.add({A: rows(number * 10, number * 10 + 10, 100), B: rows(number, number + 1)})
    kept = next(offset for offset in range(1000) if A in tail.pages({A: offset}, 5))
    assert 0 < kept < 990
    assert kept % 10 == 0
    assert list(range(kept, 1000)) == offsets(tail.pages({A: kept}, 10_000)[A])


def test_a_commit_larger_than_all_is_not_kept() -> None:
    tail = Tail(1000)
    tail.add({A: rows(0, 5)})
    tail.add({A: rows(5, 500, 100)})
    assert {} == tail.pages({A: 0, B: 0}, 10)
    tail.add({A: rows(500, 502)})
    assert [500, 501] == offsets(tail.pages({A: 500}, 10)[A])


def test_behind_a_hole_it_begins_anew() -> None:
    """A commit that failed for us and is in the file nevertheless: nobody may be led over it."""
    tail = Tail(1 << 20)
    tail.add({A: rows(0, 10), B: rows(0, 2)})
    tail.add({A: rows(15, 20)})
    assert {} == tail.pages({A: 5, B: 0}, 100)
    assert {} == tail.pages({A: 12}, 100)
    assert [15, 16, 17, 18, 19] == offsets(tail.pages({A: 15}, 100)[A])


@pytest.mark.parametrize("keep_newest", [0, 2_000, 1 << 20])
async def test_readers_see_the_same_wherever_it_comes_from(tmp_path: Path, keep_newest: int) -> None:
    """Some follow closely, one starts late; commits of all sizes."""
    dice = random.Random(keep_newest)
    log = SqliteLog(tmp_path / "log.db", Clock(), keep_newest=keep_newest)
    await log.open()
    await log.create([LIQUIDATIONS])
    close, slow = await log.reader(LIQUIDATIONS), await log.reader(LIQUIDATIONS)
    written: dict[int, list[bytes | None]] = {number: [] for number in range(LIQUIDATIONS.partitions)}
    seen: list[dict[int, list[bytes | None]]] = [{number: [] for number in written} for _ in range(3)]

    def take(place: int, records: Sequence[Record]) -> None:
        for record in records:
            assert len(seen[place][record.partition]) == record.offset
            seen[place][record.partition].append(record.value)

    for number in range(60):
        entries = [
            Entry(b"key", b"%d-%d" % (number, one), 1000, dice.randrange(LIQUIDATIONS.partitions))
            for one in range(dice.choice((1, 3, 40, 300)))
        ]
        for entry in entries:
            assert entry.partition is not None
            written[entry.partition].append(entry.value)
        await log.append(LIQUIDATIONS, entries)
        take(0, await close.fetch(0.0))
    late = await log.reader(LIQUIDATIONS)
    for place, reader in ((0, close), (1, slow), (2, late)):
        await _read_all(reader, lambda records, place=place: take(place, records))
        assert written == seen[place]
        assert reader.lost == 0
    await log.close()


async def _read_all(reader: SqliteReader, take: object) -> None:
    assert callable(take)
    ends = await reader.end_offsets()
    while any(reader.positions()[number] < end for number, end in ends.items()):
        take(await reader.fetch(1.0))
