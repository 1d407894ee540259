"""The spool: oldest first, bounded, and readable after a torn write."""

import errno
import os
from pathlib import Path

import pytest

from liqwatch.collector.spool import Damage, Spool, Spooled
from liqwatch.eventlog import Entry
from liqwatch.topics import COVERAGE, LIQUIDATIONS


def records(first: int, last: int) -> list[Spooled]:
    return [
        Spooled(LIQUIDATIONS if n % 3 else COVERAGE, Entry(f"fake:{n}".encode(), b"v" * n, n))
        for n in range(first, last)
    ]


def test_what_goes_in_comes_out_oldest_first(tmp_path: Path) -> None:
    spool = Spool(tmp_path / "deep" / "spool", 1 << 20)
    assert 20 == spool.append(records(0, 20))
    assert 10 == spool.append(records(20, 30))
    assert records(0, 12) == spool.take(12)
    assert records(0, 12) == spool.take(12)  # not done yet: the same again
    spool.done()
    assert records(12, 30) == spool.take(100)
    spool.done()
    assert not spool.pending
    assert not spool.path.exists()
    spool.append(records(0, 1))
    assert records(0, 1) == spool.take(5)
    spool.close()


def test_another_run_takes_up_what_was_left(tmp_path: Path) -> None:
    spool = Spool(tmp_path / "spool", 1 << 20)
    spool.append(records(0, 20))
    spool.close()
    again = Spool(tmp_path / "spool", 1 << 20)
    again.open()
    assert [] == again.damage
    assert records(0, 20) == again.take(100)
    again.close()


@pytest.mark.parametrize(("cut", "key"), [(1, b"fake:19"), (5, b"fake:19"), (20, b"")])  # the last reaches the key
def test_a_torn_tail_is_cut_off_and_the_rest_is_read(tmp_path: Path, cut: int, key: bytes) -> None:
    spool = Spool(tmp_path / "spool", 1 << 20)
    spool.append(records(0, 20))
    spool.close()
    os.truncate(spool.path, spool.path.stat().st_size - cut)
    again = Spool(tmp_path / "spool", 1 << 20)
    again.open()
    assert [(key, 18, True)] == [(one.key, one.from_ms, one.bytes > 0) for one in again.damage]
    again.append(records(20, 22))
    assert [*records(0, 19), *records(20, 22)] == again.take(100)
    again.close()


def offset(number: int) -> int:
    """Where record `number` begins."""
    return sum(19 + len(f"fake:{n}") + n for n in range(number))


@pytest.mark.parametrize("byte", [0, 3, 5, 19 + 3])  # length, checksum, key
def test_a_damaged_record_costs_itself_and_the_damaged_file_is_kept(tmp_path: Path, byte: int) -> None:
    spool = Spool(tmp_path / "spool", 1 << 20)
    spool.append(records(0, 20))
    spool.close()
    data = bytearray(spool.path.read_bytes())
    data[offset(7) + byte] ^= 0x3F
    spool.path.write_bytes(data)
    again = Spool(tmp_path / "spool", 1 << 20)
    again.open()
    assert [(6, 8, offset(8) - offset(7))] == [(one.from_ms, one.to_ms, one.bytes) for one in again.damage]
    assert again.aside is not None
    assert bytes(data) == again.aside.read_bytes()
    again.append(records(20, 22))
    assert [*records(0, 7), *records(8, 22)] == again.take(100)
    again.close()


def test_what_is_damaged_while_it_is_open_is_found_too(tmp_path: Path) -> None:
    spool = Spool(tmp_path / "spool", 1 << 20)
    spool.append(records(0, 20))
    assert records(0, 5) == spool.take(5)
    spool.done()
    data = bytearray(spool.path.read_bytes())
    data[offset(7)] ^= 0x3F
    spool.path.write_bytes(data)
    assert [*records(5, 7), *records(8, 20)] == spool.take(100)
    assert [b"fake:7"] == [one.key for one in spool.damage]
    spool.close()


def test_a_file_with_nothing_whole_is_kept_and_a_new_spool_begun(tmp_path: Path) -> None:
    path = tmp_path / "spool"
    path.write_bytes(b"nonsense" * 1000 + bytes(3_000_000))
    spool = Spool(path, 1 << 20)
    spool.append(records(0, 2))
    assert [Damage(b"", spool.damage[0].to_ms, spool.damage[0].to_ms, 3_008_000)] == spool.damage
    assert records(0, 2) == spool.take(5)
    assert ["spool", f"spool.damaged-{spool.damage[0].to_ms}"] == sorted(one.name for one in tmp_path.iterdir())
    spool.close()


def test_the_limit_holds_and_says_how_many_went_in(tmp_path: Path) -> None:
    spool = Spool(tmp_path / "spool", 2000)
    taken = spool.append(records(0, 100))
    assert 0 < taken < 100
    assert spool.size <= 2000
    assert 0 == spool.append([Spooled(LIQUIDATIONS, Entry(b"k", b"v" * 2000, 1))])
    assert 1 == spool.append([Spooled(COVERAGE, Entry(b"k", b"v" * 2000, 1))], vital=True)
    spool.close()


def test_a_limit_of_nothing_means_no_spool(tmp_path: Path) -> None:
    spool = Spool(tmp_path / "spool", 0)
    assert 0 == spool.append(records(0, 5), vital=True)
    assert not spool.path.exists()


def test_a_failed_write_leaves_what_was_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    spool = Spool(tmp_path / "spool", 1 << 20)
    spool.append(records(0, 5))

    def full(_file: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(OSError, match="No space left"):
            spool.append(records(5, 9))
    spool.append(records(9, 11))
    assert [*records(0, 5), *records(9, 11)] == spool.take(100)
    spool.close()


def test_two_processes_cannot_share_a_spool(tmp_path: Path) -> None:
    spool = Spool(tmp_path / "spool", 1 << 20)
    spool.append(records(0, 5))
    with pytest.raises(OSError, match="another process uses this spool"):
        Spool(tmp_path / "spool", 1 << 20).open()
    spool.close()
