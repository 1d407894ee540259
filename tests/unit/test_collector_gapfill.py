"""Gaps are filled from the venue's own list: once, whole or not at all, and what the stream brought stays as it is."""

import asyncio
import json
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest

from liqwatch.collector import gapfill
from liqwatch.coverage import CoverageBook, Gap
from liqwatch.eventlog import Entry, Position, RecordRefused
from liqwatch.events import Coverage, Reason, RejectedFrame
from liqwatch.topics import COVERAGE, LIQUIDATIONS, REJECTED_FRAMES, Topic
from liqwatch.wire import encode
from tests.support.collecting import QUICK, Collecting, collecting, coverage, ids, messages, rejected
from tests.support.fake_history import answering, with_history
from tests.support.fake_history import read as read_past
from tests.support.fake_venue import FAKE, LISTING, PATH, liquidation_frame
from tests.support.memory_log import MemoryLog
from tests.support.venue_server import VenueServer
from tests.support.waiting import until

HOUR = 3_600_000


def now_ms() -> int:
    return int(time.time() * 1000)


def row(name: str, *, at: int | None = None, symbol: str = "BTCUSDT", usd: str = "100") -> dict[str, Any]:
    return {"id": name, "symbol": symbol, "usd": usd, "at": now_ms() if at is None else at}


def book(log: MemoryLog) -> CoverageBook:
    made = CoverageBook(keep_ms=10**12)
    for message in coverage(log):
        made.apply(Coverage.model_validate(message))
    return made


def fills(log: MemoryLog) -> list[dict[str, Any]]:
    return [message for message in coverage(log) if message["kind"] == "filled"]


def reasons(log: MemoryLog) -> set[str]:
    return {message["ended_by"] for message in fills(log)}


async def watched(
    log: MemoryLog, *, since_ms: int, until_ms: int, collector: str = "another", still: bool = False
) -> None:
    message = Coverage(
        venue="fake", collector=collector, interval_id=f"{collector}:{since_ms}", kind="watched", from_ms=since_ms,
        to_ms=until_ms, open=still, completeness="all", ended_by=None if still else "main: closed",
    )  # fmt: skip
    await log.append(COVERAGE, [Entry(b"fake", message.model_dump_json().encode(), until_ms)])


def failing_since(at_ms: int, good: Callable[[str], object]) -> Callable[[str], object]:
    """A list that refuses whoever asks for a time after `at_ms`."""

    def answer(path: str) -> object:
        since_ms = int(dict(parse_qsl(urlsplit(path).query))["since"])
        return {"error": "refused: come back later"} if since_ms > at_ms else good(path)

    return answer


async def compared(collector: Collecting, server: VenueServer) -> None:
    """The comparison at the start is over: what comes now is of this test."""
    await until(lambda: collector.watched and any("/past" in path for path in server.asked))
    await asyncio.sleep(0.1)


async def test_what_fell_while_the_socket_was_gone_is_filled_in_once(tmp_path: Path) -> None:
    log, rows = MemoryLog(), [row("old", at=now_ms() - 2 * HOUR)]
    async with VenueServer(past=answering(rows)) as server:
        async with collecting(server, log, tmp_path, venue=with_history()) as collector:
            await compared(collector, server)
            await server.say(liquidation_frame("before"))
            await until(lambda: ids(log) == ["before"])
            await server.stop()
            await until(lambda: not collector.watched)
            rows += [row("one"), row("two", symbol="ETHUSDT", usd="7.5")]
            await asyncio.sleep(0.05)
            await server.start()
            await until(lambda: len(ids(log)) == 3 and "main: closed" in reasons(log), within=15)
            assert {"before", "one", "two"} == set(ids(log))
            await server.say(liquidation_frame("after"))
            await until(lambda: "after" in ids(log))
            # What is left is the time before anybody watched.
            await until(lambda: 1 == collector.metric("liqwatch_coverage_gaps"))
            await asyncio.sleep(0.3)  # more looks would come in this time
            assert 4 == len(ids(log))
            assert 2 == collector.metric("liqwatch_feed_filled_events_total")
            assert 0 == collector.metric("liqwatch_feed_missed_events_total")
            state = collector.service.states()[0]
            assert (2, 0, 2, "2 filled in") == (state.filled, state.missed, state.events, state.detail)
    told = {message["event_id"]: message["source"] for message in messages(log, LIQUIDATIONS)}
    assert {"before": "stream", "one": "gap-fill", "two": "gap-fill", "after": "stream"} == told
    assert [2] == [message["events_filled"] for message in fills(log) if message["ended_by"] == "main: closed"]


async def test_a_restart_fills_what_fell_while_nobody_was_there(tmp_path: Path) -> None:
    log, rows = MemoryLog(), list[dict[str, Any]]()
    async with VenueServer(past=answering(rows)) as server:
        async with collecting(server, log, tmp_path, venue=with_history()) as collector:
            await compared(collector, server)
        rows.append(row("while away"))
        await asyncio.sleep(0.05)
        async with collecting(server, log, tmp_path, venue=with_history()) as collector:
            await until(lambda: "collector: stopped" in reasons(log), within=15)
            assert ["while away"] == ids(log)
    now = now_ms()
    assert [] == [gap for gap in book(log).gaps("fake", now - HOUR, book(log).watched("fake")[-1][1]) if not gap.filled]


async def test_a_collector_that_was_killed_left_a_gap_from_its_last_word_on(tmp_path: Path) -> None:
    log, start = MemoryLog(), now_ms()
    await watched(log, since_ms=start - 6 * HOUR, until_ms=start - 5 * HOUR, still=True)
    rows = [row("a", at=start - 5 * HOUR + 1), row("b", at=start - HOUR), row("far", at=start - 7 * HOUR)]
    async with VenueServer(past=answering(rows)) as server:
        async with collecting(server, log, tmp_path, venue=with_history()):
            await until(lambda: 1.0 == book(log).share("fake", start - 6 * HOUR, start), within=15)
            assert {"a", "b"} == set(ids(log))
    assert {"not heard of since"} == reasons(log)


async def test_what_another_collector_watched_is_no_gap(tmp_path: Path) -> None:
    log, start = MemoryLog(), now_ms()
    await watched(log, since_ms=start - 10 * HOUR, until_ms=start + HOUR)
    async with VenueServer(past=answering([row("far", at=start - 5 * HOUR)])) as server:
        async with collecting(server, log, tmp_path, venue=with_history()) as collector:
            await compared(collector, server)
            await asyncio.sleep(0.3)
            assert [] == ids(log) == fills(log)


async def test_a_list_that_fails_is_asked_again_and_the_gap_stays_until_then(tmp_path: Path) -> None:
    log, rows = MemoryLog(), [row("a", at=now_ms() - 60_000)]
    good, calls = answering(rows), 0

    def failing(path: str) -> object:
        nonlocal calls
        calls += 1
        return {"error": "refused: come back later"} if calls <= 5 else good(path)

    async with VenueServer(past=failing) as server:
        async with collecting(server, log, tmp_path, venue=with_history()) as collector:
            await until(lambda: fills(log), within=15)
            assert ["a"] == ids(log)
            assert 1 <= collector.metric("liqwatch_history_failures_total")
            assert ["2 of 2 questions failed: refused: come back later"] == [
                line["reason"] for line in collector.told("history is down")
            ]
            await until(lambda: collector.told("history is back"))


async def test_a_comparison_that_keeps_failing_leaves_older_gaps_their_turn(tmp_path: Path) -> None:
    log, start = MemoryLog(), now_ms()
    await watched(log, since_ms=start - 6 * HOUR, until_ms=start - 5 * HOUR)
    await watched(log, since_ms=start - 4 * HOUR, until_ms=start + HOUR)
    failing = failing_since(start - 3 * HOUR, answering([row("in the gap", at=start - 4 * HOUR - 60_000)]))
    async with VenueServer(past=failing) as server:
        async with collecting(server, log, tmp_path, venue=with_history()) as collector:
            await until(lambda: fills(log), within=15)
            assert ["in the gap"] == ids(log)
            await until(lambda: 3 <= collector.metric("liqwatch_history_failures_total"))
            assert 1 == len(collector.told("history is down"))
            assert [] == collector.told("history is back")


async def test_a_gap_that_keeps_failing_leaves_older_gaps_their_turn(tmp_path: Path) -> None:
    log, start = MemoryLog(), now_ms()
    for hours in (10, 8):
        await watched(log, since_ms=start - hours * HOUR, until_ms=start - (hours - 1) * HOUR)
    await watched(log, since_ms=start - 6 * HOUR, until_ms=start + HOUR)
    good = answering([row("older", at=start - 9 * HOUR + 60_000)])

    def failing(path: str) -> object:
        since_ms = int(dict(parse_qsl(urlsplit(path).query))["since"])
        return {"error": "refused"} if start - 7.5 * HOUR < since_ms < start - 6 * HOUR else good(path)

    async with VenueServer(past=failing) as server:
        async with collecting(server, log, tmp_path, venue=with_history()) as collector:
            await until(lambda: fills(log), within=15)
            assert ["older"] == ids(log)
            await until(lambda: 2 <= collector.metric("liqwatch_history_failures_total"))


async def test_what_could_be_read_is_filled_in_though_the_gap_is_not_filled(tmp_path: Path) -> None:
    log = MemoryLog()
    rows = [row("a", at=now_ms() - 60_000), row("b", at=now_ms() - 60_000, symbol="ETHUSDT")]
    good = answering(rows)

    def half(path: str) -> object:
        return {"error": "refused: too far back"} if "ETHUSDT" in path else good(path)

    async with VenueServer(past=half) as server:
        async with collecting(server, log, tmp_path, venue=with_history()) as collector:
            await until(lambda: collector.metric("liqwatch_history_failures_total") >= 2)
            assert ["a"] == ids(log)
            assert [] == fills(log)


async def test_a_symbol_that_was_listed_since_is_learned_before_a_gap_is_called_filled(tmp_path: Path) -> None:
    log = MemoryLog()
    listed = {"symbols": {**LISTING["symbols"], "NEWUSDT": {"size": "1"}}}
    fresh = row("fresh", at=now_ms() - 60_000, symbol="NEWUSDT")

    def past(path: str) -> object:
        server.rest[PATH] = listed
        return {"rows": [], "listed since": [fresh] if "BTCUSDT" in path else []}

    async with VenueServer(past=past) as server:
        async with collecting(server, log, tmp_path, venue=with_history()):
            await until(lambda: fills(log), within=15)
            assert ["fresh"] == ids(log)
            assert [] == rejected(log)


async def test_a_symbol_that_the_venue_does_not_list_is_rejected_and_holds_up_no_gap(tmp_path: Path) -> None:
    log = MemoryLog()
    gone = row("gone", at=now_ms() - 60_000, symbol="GONEUSDT")
    async with VenueServer(past=lambda _: {"rows": [], "listed since": [gone]}) as server:
        async with collecting(server, log, tmp_path, venue=with_history()):
            await until(lambda: fills(log) and rejected(log), within=15)
            assert {"unknown_symbol"} == {message["reason"] for message in rejected(log)}


async def test_a_contract_that_was_delisted_since_the_gap_began_is_asked_for_too(tmp_path: Path) -> None:
    log, start, noticed = MemoryLog(), now_ms(), asyncio.Event()
    await watched(log, since_ms=start - 6 * HOUR, until_ms=start - 5 * HOUR)
    await watched(log, since_ms=start - 4 * HOUR, until_ms=start + HOUR)
    at = start - 5 * HOUR + 600_000
    good = answering([row("one", at=at), row("last", at=at, symbol="ETHUSDT")])

    def past(path: str) -> object:
        return good(path) if noticed.is_set() else {"error": "refused: come back later"}

    async with VenueServer(past=past) as server:
        refresh = timedelta(seconds=0.05)
        async with collecting(server, log, tmp_path, venue=with_history(), refresh=refresh) as collector:
            await until(lambda: collector.watched)
            server.rest[PATH] = {"symbols": {"BTCUSDT": {"size": "1"}}}
            await until(lambda: not collector.service._collectors[0]._table.known["ETHUSDT"].trading)
            noticed.set()
            await until(lambda: fills(log), within=15)
    assert {"one", "last"} == set(ids(log))


async def gap_after_an_event_of_what_nobody_lists(tmp_path: Path, past: Callable[[str], object]) -> list[str]:
    """The log has an event of GONEUSDT shortly before a gap; returns what it has once the gap is filled."""
    log, start = MemoryLog(), now_ms()
    await watched(log, since_ms=start - 6 * HOUR, until_ms=start - 5 * HOUR)
    await watched(log, since_ms=start - 4 * HOUR, until_ms=start + HOUR)
    at = start - 5 * HOUR - 600_000
    page = read_past("", _json({"rows": [row("before", at=at, symbol="GONEUSDT")]}), {}, start)
    await log.append(LIQUIDATIONS, [Entry(b"fake:GONEUSDT", encode(page.liquidations[0]), at)])
    async with VenueServer(past=past) as server:
        async with collecting(server, log, tmp_path, venue=with_history()):
            await until(lambda: fills(log), within=15)
            assert any("GONEUSDT" in path for path in server.asked)
    return ids(log)


async def test_a_contract_of_which_only_the_log_knows_is_asked_for_too(tmp_path: Path) -> None:
    past = answering([row("last", at=now_ms() - 5 * HOUR + 600_000, symbol="GONEUSDT")])
    assert ["before", "last"] == await gap_after_an_event_of_what_nobody_lists(tmp_path, past)


@pytest.mark.parametrize("no", [(404, {}, b""), {"error": "no such contract"}], ids=["HTTP", "words"])
async def test_a_no_for_a_delisted_contract_holds_up_no_gap(tmp_path: Path, no: object) -> None:
    good = answering([row("one", at=now_ms() - 5 * HOUR + 600_000)])

    def past(path: str) -> object:
        return no if "GONEUSDT" in path else good(path)

    assert ["before", "one"] == await gap_after_an_event_of_what_nobody_lists(tmp_path, past)


async def test_pages_are_followed_until_they_are_older_than_the_gap(tmp_path: Path) -> None:
    log, start = MemoryLog(), now_ms()
    asked: list[str] = []

    def paged(path: str) -> object:
        asked.append(path)
        page = {"/past?page=2": 2, "/past?page=3": 3}.get(path, 1)
        if "ETHUSDT" in path:
            return {"rows": []}
        at = start - (60_000 if page == 1 else 120_000 if page == 2 else 10 * HOUR)
        rest = {"next": f"https://venue.example/past?page={page + 1}"}
        return {"rows": [row(f"page {page}", at=at)], "bad": ["row 2: price is 0"] * (page == 2), **rest}

    async with VenueServer(past=paged) as server:
        async with collecting(server, log, tmp_path, venue=with_history()):
            await until(lambda: fills(log), within=15)
            assert ["page 2", "page 1"] == ids(log)
            assert ["/past?page=2", "/past?page=3"] == [path for path in asked if "page" in path][:2]
            assert "/past?page=4" not in asked
            await until(lambda: rejected(log))
    assert ("history", "bad_price", "row 2: price is 0") == tuple(
        rejected(log)[0][k] for k in ("feed", "reason", "error")
    )


async def test_pages_that_do_not_end_end(tmp_path: Path) -> None:
    def same(path: str) -> object:
        return {"rows": [row("a")], "next": "https://venue.example/past?page=1"}

    async with VenueServer(past=same) as server:
        async with collecting(server, MemoryLog(), tmp_path, venue=with_history()) as collector:
            await until(lambda: collector.told("history is down"))
            assert "its pages do not end" in collector.told("history is down")[0]["reason"]


async def test_rows_without_the_streams_ids_are_matched_field_by_field(tmp_path: Path) -> None:
    log, venue = MemoryLog(), with_history(same_ids=False, resolution_ms=1000)
    rows: list[dict[str, Any]] = []
    async with VenueServer(past=answering(rows)) as server:
        # The second in which they fell began before the socket ended.
        async with collecting(server, log, tmp_path, venue=venue, limits=replace(QUICK, edge=2.0)) as collector:
            await compared(collector, server)
            await server.say(liquidation_frame("s1", "s2"))
            await until(lambda: len(ids(log)) == 2)
            await server.stop()
            await until(lambda: not collector.watched)
            second = messages(log, LIQUIDATIONS)[0]["event_time_ms"] // 1000 * 1000
            rows += [row(name, at=second) for name in ("r1", "r2", "r3", "r4")]
            await asyncio.sleep(0.05)
            await server.start()
            name = f"rest:fake:BTCUSDT:{second}:long:100@1"
            await until(lambda: {"s1", "s2", f"{name}#2", f"{name}#3"} == set(ids(log)), within=15)
            await until(lambda: "main: closed" in reasons(log))
            assert 4 == len(ids(log))


async def test_two_collectors_that_fill_the_same_gap_give_the_same_events(tmp_path: Path) -> None:
    log, venue, start = MemoryLog(), with_history(same_ids=False, resolution_ms=1000), now_ms()
    rows = [row(f"r{n}", at=(start - 60_000) // 1000 * 1000) for n in range(3)]
    async with VenueServer(past=answering(rows)) as server:
        async with (
            collecting(server, log, tmp_path / "1", venue=venue, name="one"),
            collecting(server, log, tmp_path / "2", venue=venue, name="two"),
        ):
            await until(lambda: {"one", "two"} == {message["collector"] for message in fills(log)}, within=15)
    assert 3 == len(set(ids(log)))


async def test_what_another_collector_may_still_bring_is_not_added_where_rows_have_no_ids(tmp_path: Path) -> None:
    log, venue, start = MemoryLog(), with_history(same_ids=False, resolution_ms=1000), now_ms()
    # It was cut off from the log five minutes ago, and keeps what comes.
    await watched(log, since_ms=start - 10 * HOUR, until_ms=start - 300_000, still=True)
    await watched(log, since_ms=start - 15 * HOUR, until_ms=start - 14 * HOUR)
    fell = (start - 60_000) // 1000 * 1000
    rows = [row("older", at=start - 13 * HOUR), row("theirs", at=fell)]
    async with VenueServer(past=answering(rows)) as server:
        async with collecting(server, log, tmp_path, venue=venue) as collector:
            await until(lambda: fills(log), within=15)
            await until(lambda: len(ids(log)) == 1)  # of a time before that all is known
            asked = len(server.asked)
            await asyncio.sleep(0.3)
            assert asked == len(server.asked)
            page = read_past("", _json({"rows": [row("from the stream", at=fell)]}), {}, start)
            await log.append(LIQUIDATIONS, [Entry(b"fake:BTCUSDT", encode(page.liquidations[0]), fell)])
            await watched(log, since_ms=start - 10 * HOUR, until_ms=start + HOUR, still=True)
            await until(lambda: len(server.asked) > asked)
            await asyncio.sleep(0.3)
            assert [f"rest:fake:BTCUSDT:{rows[0]['at'] // 1000 * 1000}:long:100@1", "from the stream"] == ids(log)
            assert 0 == collector.metric("liqwatch_feed_missed_events_total")


async def test_a_collector_that_is_not_heard_of_again_is_not_waited_for_for_ever(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gapfill, "_WAITED_FOR", 0.5)
    log, venue, start = MemoryLog(), with_history(same_ids=False, resolution_ms=1000), now_ms()
    await watched(log, since_ms=start - 10 * HOUR, until_ms=start - HOUR, still=True)
    async with VenueServer(past=answering([row("a", at=start - 60_000)])) as server:
        async with collecting(server, log, tmp_path, venue=venue):
            await until(lambda: len(ids(log)) == 1, within=15)


async def test_the_hourly_comparison_counts_what_the_stream_did_not_bring_and_fills_it_in(tmp_path: Path) -> None:
    log, start = MemoryLog(), now_ms()
    await watched(log, since_ms=start - 10 * HOUR, until_ms=start + HOUR)
    rows = [row("silently missed", at=start - 30 * 60_000)]
    async with VenueServer(past=answering(rows)) as server:
        async with collecting(server, log, tmp_path, venue=with_history()) as collector:
            await until(lambda: 1 == collector.metric("liqwatch_feed_missed_events_total"))
            await until(lambda: ["silently missed"] == ids(log))
            assert (1, 0) == (collector.service.states()[0].missed, collector.service.states()[0].filled)
            assert 1 == len(collector.told("the stream missed events that the venue's list has; they were filled in"))


async def test_a_row_that_comes_late_to_the_list_is_found_by_the_next_comparison(tmp_path: Path) -> None:
    log, start, rows = MemoryLog(), now_ms(), list[dict[str, Any]]()
    await watched(log, since_ms=start - 10 * HOUR, until_ms=start + HOUR)
    async with VenueServer(past=answering(rows)) as server:
        every = timedelta(seconds=0.4)
        async with collecting(server, log, tmp_path, venue=with_history(), compare=every) as collector:
            await until(lambda: len(server.asked) > 4)  # compared twice
            rows.append(row("late", at=start - 60_000))
            await until(lambda: ids(log) == ["late"])
            await until(lambda: 1 == collector.metric("liqwatch_feed_missed_events_total"))


async def test_what_only_a_late_list_tells_was_not_missed(tmp_path: Path) -> None:
    log, start = MemoryLog(), now_ms()
    await watched(log, since_ms=start - 10 * HOUR, until_ms=start + HOUR)
    venue = with_history()
    assert venue.history is not None
    venue = replace(venue, history=replace(venue.history, settles=timedelta(minutes=70)))
    rows = [row("flagged late", at=start - 90 * 60_000), row("not settled", at=start - 60 * 60_000)]
    async with VenueServer(past=answering(rows)) as server:
        async with collecting(server, log, tmp_path, venue=venue) as collector:
            await until(lambda: ids(log) == ["flagged late"])
            await until(lambda: 1 == collector.metric("liqwatch_feed_filled_events_total"))
            assert 0 == collector.metric("liqwatch_feed_missed_events_total")
            assert [] == fills(log)


async def test_what_was_quarantined_is_not_added_through_the_back_door(tmp_path: Path) -> None:
    log, start = MemoryLog(), now_ms()
    held = row("held back", at=start - 60_000)
    page = read_past("", b'{"rows": [%s]}' % _json(held), {}, start)
    frame = RejectedFrame(
        venue="fake", feed="main", collector="another", received_time_ms=start, reason=Reason.IMPLAUSIBLE_PRICE.value,
        error="far off", frame=encode(page.liquidations[0]).decode(), frame_bytes=1,
    )  # fmt: skip
    await log.append(REJECTED_FRAMES, [Entry(b"fake", frame.model_dump_json().encode(), start)])
    async with VenueServer(past=answering([held, row("good", at=start - 50_000)])) as server:
        async with collecting(server, log, tmp_path, venue=with_history()):
            await until(lambda: fills(log), within=15)
            assert ["good"] == ids(log)


async def test_what_the_log_never_shows_is_asked_for_ever_more_rarely(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Refusing(MemoryLog):
        async def append(self, topic: Topic, entries: Sequence[Entry]) -> Sequence[Position]:
            if topic is LIQUIDATIONS:
                raise RecordRefused("too old")
            return await super().append(topic, entries)

    monkeypatch.setattr(gapfill, "_LOOKS", 1)
    monkeypatch.setattr(gapfill, "_LOOK_AGAIN", 0.01)
    log = Refusing()
    async with VenueServer(past=answering([row("a", at=now_ms() - 60_000)])) as server:
        async with collecting(server, log, tmp_path, venue=with_history()) as collector:
            await until(lambda: 2 <= collector.metric("liqwatch_history_failures_total"))
            assert [] == fills(log)


async def test_nothing_is_compared_while_the_log_is_away(tmp_path: Path) -> None:
    log = MemoryLog()
    async with VenueServer(past=answering([row("a", at=now_ms() - 60_000)])) as server:
        async with collecting(server, log, tmp_path, venue=with_history()) as collector:
            log.down = True
            await until(lambda: collector.watched)
            await asyncio.sleep(0.3)
            assert [] == fills(log)
            log.down = False
            await until(lambda: ids(log) == ["a"] and fills(log), within=15)


async def test_a_venue_without_a_list_keeps_its_gap_for_all_to_see(tmp_path: Path) -> None:
    log, start = MemoryLog(), now_ms()
    await watched(log, since_ms=start - 4 * HOUR, until_ms=start - 3 * HOUR)
    async with VenueServer() as server:
        async with collecting(server, log, tmp_path, venue=FAKE) as collector:
            await until(lambda: 2 == collector.metric("liqwatch_coverage_gaps"))
            ratio = collector.metric("liqwatch_coverage_ratio", window="4h")
            assert 0.249 < ratio < 0.251
    gaps = [gap for gap in book(log).gaps("fake", start - 4 * HOUR, start) if gap.end - gap.start > 1000]
    assert [Gap(start - 3 * HOUR, gaps[0].end, "main: closed", False)] == gaps


def _json(value: object) -> bytes:
    return json.dumps(value).encode()
