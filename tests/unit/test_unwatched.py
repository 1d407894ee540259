"""`liqwatch coverage` says when each venue was not watched: what the records of the coverage topic say, and no more."""

import json
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from liqwatch import coverage, topics, unwatched
from liqwatch.clock import Clock
from liqwatch.coverage import newest
from liqwatch.eventlog import Entry, Record
from liqwatch.eventlog.sqlite import SqliteLog
from liqwatch.events import Coverage
from liqwatch.settings import LogSettings, Settings
from tests.support.program import liqwatch

NOW = 1_764_364_800_000  # 2025-11-28 21:20:00 UTC
MINUTE = 60_000


def said(venue: str, from_ms: int, to_ms: int, *, still: bool = False, **more: object) -> Coverage:
    fields: dict[str, object] = {"kind": "watched", "ended_by": None if still else "main: closed"} | more
    return Coverage.model_validate(
        {
            "venue": venue, "collector": "c", "interval_id": f"{venue}:{from_ms}:{fields['kind']}", "from_ms": from_ms,
            "to_ms": to_ms, "open": still, "completeness": "all", **fields,
        }
    )  # fmt: skip


def records(*messages: Coverage) -> list[Record]:
    return [Record(0, n, one.to_ms, b"", one.model_dump_json().encode()) for n, one in enumerate(messages)]


STORY = (
    said("okx", NOW - 90 * MINUTE, NOW - 40 * MINUTE),
    said("okx", NOW - 40 * MINUTE, NOW - 35 * MINUTE, kind="filled", events_filled=2),
    said("okx", NOW - 30 * MINUTE, NOW - 4_000, still=True),
    said("gate", NOW - 90 * MINUTE, NOW - 15 * MINUTE, ended_by="usdt: silent"),
)


def test_people_see_the_share_the_gaps_and_why() -> None:
    found = unwatched.judge(records(*STORY), NOW - 60 * MINUTE, NOW)
    assert [
        "from 2025-11-28 20:20:00 UTC to 2025-11-28 21:20:00 UTC",
        "gate   75.0 %  NOT WATCHED  1 gap, the longest 15 min",
        "okx    91.7 %  watched      1 gap, the longest 5 min",
        "",
        "okx   2025-11-28 20:40:00 UTC to 2025-11-28 20:45:00 UTC  5 min: main: closed; "
        "filled from the venue's own list",
        "okx   2025-11-28 20:45:00 UTC to 2025-11-28 20:50:00 UTC  5 min: main: closed",
        "gate  2025-11-28 21:05:00 UTC still open  15 min: usdt: silent",
    ] == list(unwatched.words(NOW - 60 * MINUTE, NOW, found))
    (only,) = unwatched.judge(records(*STORY), NOW - 60 * MINUTE, NOW, ["okx"])
    assert ("okx", True) == (only.venue, only.is_watched)


def test_a_share_is_never_called_whole_or_nothing_unless_it_is() -> None:
    found = unwatched.judge(records(said("okx", 0, NOW - 1, still=False)), NOW - 60 * MINUTE, NOW)
    assert "99.9 %" in list(unwatched.words(NOW - 60 * MINUTE, NOW, found))[1]
    assert "nobody has watched any venue in this time" in list(unwatched.words(0, 1, []))


def test_of_an_open_interval_only_the_last_word_is_kept_and_what_cannot_be_read_stays() -> None:
    growing = [said("okx", 0, at, still=True) for at in range(1, 50)]
    batch = records(*growing, said("gate", 0, 9, still=True), said("okx", 0, 60))
    batch.insert(3, Record(0, 99, 0, b"", b"{"))
    batch.insert(4, Record(0, 100, 0, b"", None))
    kept = newest(batch)
    assert [99, 100, 48, 49, 50] == [one.offset for one in kept]


told = st.builds(
    lambda venue, start, end, still, kind: said(venue, NOW + start, NOW + end, still=still, kind=kind),
    st.sampled_from(["okx", "gate"]), st.integers(0, 2), st.integers(3, 99), st.booleans(),
    st.sampled_from(["watched", "lost"]),
)  # fmt: skip


@given(st.lists(told | st.sampled_from([b"{", b"[]", None]), max_size=40))
def test_of_each_interval_the_last_word_is_kept_open_and_ended_whatever_came_between(batch: list[Any]) -> None:
    made: list[Record] = []
    last: dict[Any, int] = {}
    for offset, one in enumerate(batch):
        value = one.model_dump_json().encode() if isinstance(one, Coverage) else one
        made.append(Record(0, offset, 0, b"", value))
        last[(one.interval_id, one.open) if isinstance(one, Coverage) else offset] = offset
    assert sorted(last.values()) == [record.offset for record in newest(made)]


def test_a_growing_interval_is_read_once_a_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    """A month has tens of millions of its records."""
    read: list[bytes] = []
    marks = coverage._thinning._marks

    def reading(value: bytes) -> object:
        read.append(value)
        return marks(value)

    monkeypatch.setattr(coverage._thinning, "_marks", reading)
    batch = records(*(said(venue, NOW, NOW + at, still=True) for at in range(1, 500) for venue in ("okx", "gate")))
    assert [996, 997] == [one.offset for one in newest(batch)]
    assert 2 == len(read)


def test_intervals_are_told_apart_in_whatever_order_their_fields_come() -> None:
    def written(name: str, end: int) -> bytes:
        return b'{"venue":"okx","to_ms":%d,"interval_id":"%s","open":true,"kind":"watched"}' % (end, name.encode())

    batch = [Record(0, n, 0, b"", written(name, NOW)) for n, name in enumerate(["c:okx:1", "c:okx:2", "c:okx:1"])]
    assert [1, 2] == [one.offset for one in newest(batch)]


@pytest.fixture
async def config(tmp_path: Path) -> Path:
    """Settings of a log in which a venue was watched for the last half hour."""
    path = tmp_path / "liqwatch.toml"
    path.write_text(f'[log]\npath = "{tmp_path / "log.db"}"\n')
    clock = Clock()
    log = SqliteLog(tmp_path / "log.db", clock)
    await log.open()
    await log.create(topics.TOPICS.values())
    now_ms = clock.now_ms()
    for at in range(now_ms - 30 * MINUTE, now_ms + MINUTE, MINUTE // 4):  # as if it went on while the command starts
        message = said("okx", now_ms - 30 * MINUTE, at, still=True)
        await log.append(topics.COVERAGE, [Entry(b"okx", message.model_dump_json().encode(), at)])
    await log.close(2)
    return path


async def test_the_command_reads_it_from_the_log(config: Path) -> None:
    done = liqwatch("coverage", "okx", "--since", "1h", "--json", "--config", str(config))
    assert 0 == done.returncode, done.stderr
    (row,) = json.loads(done.stdout)["venues"]
    assert ("okx", True, ["not watched before"]) == (row["venue"], row["watched"], [g["reason"] for g in row["gaps"]])
    assert 0.5 == pytest.approx(row["share"], abs=0.02)
    shown = liqwatch("coverage", "--config", str(config)).stdout
    assert "okx" in shown and "not watched before" in shown
    assert "did you mean 'okx'" in liqwatch("coverage", "okxx", "--config", str(config)).stderr
    assert 2 == liqwatch("coverage", "--since", "soon", "--config", str(config)).returncode


async def test_a_span_of_nothing_is_refused_and_no_venue_called_unwatched(config: Path) -> None:
    for nothing in ("0s", "0.4ms"):
        done = liqwatch("coverage", "--since", nothing, "--config", str(config))
        assert (1, "") == (done.returncode, done.stdout)
        assert "liqwatch: there is nothing to look at in a span of no time; --since says" in done.stderr


async def test_what_the_log_has_forgotten_is_not_called_unwatched(tmp_path: Path) -> None:
    kept = topics.COVERAGE.retention
    assert kept is not None
    clock = Clock()
    log = SqliteLog(tmp_path / "log.db", clock)
    await log.open()
    await log.create(topics.TOPICS.values())
    began_ms = clock.now_ms() - int(kept.total_seconds() * 1000) - 60 * MINUTE
    at = clock.now_ms() + MINUTE
    await log.append(topics.COVERAGE, [Entry(b"okx", said("okx", began_ms, at).model_dump_json().encode(), at)])
    await log.close(2)
    settings = Settings(log=LogSettings(path=str(tmp_path / "log.db")))
    from_ms, to_ms, (okx,) = await unwatched.read(settings, timedelta(days=40))
    assert (kept, 1.0, 0) == (timedelta(milliseconds=to_ms - from_ms), okx.share, len(okx.gaps))
    assert next(unwatched.words(from_ms, to_ms, [okx])).endswith("; the log keeps 30 days")
    assert next(unwatched.words(from_ms + MINUTE, to_ms, [okx])).endswith("UTC")


async def test_many_intervals_are_looked_at_a_few_times_each_and_not_once_for_each_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = Clock()
    log = SqliteLog(tmp_path / "log.db", clock)
    await log.open()
    await log.create(topics.TOPICS.values())
    from_ms, number = clock.now_ms() - 20_000_000, 10_300
    template = said("okx", 0, 1).model_dump()
    entries = []
    for at in range(from_ms, from_ms + 1_000 * number, 1_000):
        told = template | {"interval_id": f"okx:{at}", "from_ms": at, "to_ms": at + 500}
        entries.append(Entry(b"okx", json.dumps(told).encode(), at))
    await log.append(topics.COVERAGE, entries)
    await log.close(2)
    looked_at = 0

    def counting(batch: Sequence[Record]) -> list[Record]:
        nonlocal looked_at
        looked_at += len(batch)
        return newest(batch)

    monkeypatch.setattr(unwatched, "newest", counting)
    settings = Settings(log=LogSettings(path=str(tmp_path / "log.db")))
    _, _, (okx,) = await unwatched.read(settings, timedelta(hours=6))
    assert number + 1 == len(okx.gaps), "nothing is lost on the way"
    assert looked_at <= 3 * number
