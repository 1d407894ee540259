"""Venues that misbehave: each fault is survived, counted under its reason, told once, and never hammered."""

import asyncio
import functools
import json
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from websockets.asyncio.server import ServerConnection

from liqwatch.supervise import Backoff
from liqwatch.venues import discover
from tests.support import venue_server as venues
from tests.support.collecting import QUICK, collecting, coverage, ids, rejected
from tests.support.fake_venue import FAKE, LISTING, PATH, liquidation_frame
from tests.support.memory_log import MemoryLog
from tests.support.venue_server import VenueServer
from tests.support.waiting import until


async def test_a_liquidation_reaches_the_log_under_its_key_and_time(tmp_path: Path) -> None:
    log = MemoryLog()
    async with VenueServer() as server, collecting(server, log, tmp_path) as collector:
        await until(lambda: collector.watched)
        await server.say('{"liq": [{"id": "a", "symbol": "BTCUSDT", "side": "short", "usd": "250.5", "at": 1000}]}')
        await until(lambda: ids(log))
        record = next(record for partition in log.records["liqwatch.liquidations.v1"] for record in partition)
        assert b"fake:BTCUSDT" == record.key
        assert 1000 == record.timestamp_ms
        await until(lambda: 1 == collector.metric("liqwatch_events_total", side="short"))
        assert [] == collector.service.unready()
        state = collector.service.states()[0]
        assert ("fake", "main", "delivering", "", 1) == (
            state.venue,
            state.feed,
            state.state,
            state.detail,
            state.events,
        )


async def test_a_venue_that_accepts_and_closes_is_not_hammered(tmp_path: Path) -> None:
    venue = replace(FAKE, connects=4, connects_per=timedelta(seconds=60))
    async with VenueServer(behave=venues.accepts_and_closes) as server:
        async with collecting(server, MemoryLog(), tmp_path, venue=venue) as collector:
            await until(lambda: collector.reconnects("closed") == 4)
            await asyncio.sleep(0.5)  # more connects than the budget would come in this time
            assert 4 == server.connects
            state = collector.service.states()[0]
            assert ("down", "closed by the venue (code 1001, 'bye')") == (state.state, state.detail)
            assert state.retry_at_ms is not None
            assert 1 == len(collector.told("venue is down"))
            assert [
                "no venue is delivering: fake: closed by the venue (code 1001, 'bye')"
            ] == collector.service.unready()


@pytest.mark.parametrize("status", [429, 418, 403])
async def test_a_handshake_that_is_turned_away_waits_as_long_as_it_is_told(tmp_path: Path, status: int) -> None:
    async with VenueServer(turn_away=(status, {"Retry-After": "90"})) as server:
        async with collecting(server, MemoryLog(), tmp_path) as collector:
            await until(lambda: collector.reconnects("throttled") == 1)
            await until(lambda: collector.told("venue is down"))
            assert 90 <= collector.told("venue is down")[0]["retry_seconds"] <= 99
            assert "refused" == collector.service.states()[0].state
            assert not collector.task.done()


async def test_a_venue_is_silent_though_its_library_pongs(tmp_path: Path) -> None:
    venue = replace(FAKE, silence_limit=timedelta(seconds=0.4))
    limits = replace(QUICK, ping=0.1)
    log = MemoryLog()
    async with VenueServer(behave=venues.silent_while_it_pongs) as server:
        async with collecting(server, log, tmp_path, venue=venue, limits=limits) as collector:
            await until(lambda: collector.reconnects("silent") >= 1)
            await until(lambda: [one for one in coverage(log) if one["ended_by"] == "main: silent"])
            ended = next(one for one in coverage(log) if one["ended_by"] == "main: silent")
            assert ended["to_ms"] - ended["from_ms"] < 350  # set back to the last frame, not to when we noticed
            assert collector.metric("liqwatch_feed_gap_seconds_total") > 0.3


async def test_a_control_channel_that_stops_is_a_dead_route_though_heartbeats_go_on(tmp_path: Path) -> None:
    venue = replace(FAKE, control_limit=timedelta(seconds=0.4))
    log = MemoryLog()
    async with VenueServer(behave=venues.only_pongs) as server:
        async with collecting(server, log, tmp_path, venue=venue) as collector:
            await until(lambda: collector.watched)
            await server.say('{"tick": 1}')
            await until(lambda: collector.reconnects("control_silent") >= 1)
            assert 0 == collector.reconnects("silent")
            await until(lambda: [one for one in coverage(log) if one["ended_by"] == "main: control_silent"])


async def test_half_a_frame_and_a_reset_cost_a_reconnect_and_no_more(tmp_path: Path) -> None:
    log = MemoryLog()
    async with VenueServer(behave=venues.half_a_frame) as server, collecting(server, log, tmp_path) as collector:
        await until(lambda: collector.reconnects("closed") >= 1)
        server.behave = venues.obedient
        await until(lambda: collector.watched)
        await server.say(liquidation_frame("a"))
        await until(lambda: ids(log) == ["a"])


async def test_a_subscription_that_nobody_acknowledges_is_given_up(tmp_path: Path) -> None:
    async with VenueServer(behave=venues.never_acknowledges) as server:
        async with collecting(server, MemoryLog(), tmp_path) as collector:
            await until(lambda: collector.reconnects("refused") >= 1)
            assert not collector.watched
            await until(lambda: collector.told("venue is down"))
            assert "subscription not acknowledged within 0 s" == collector.told("venue is down")[0]["reason"]


async def test_a_refusal_is_counted_and_its_words_are_shown(tmp_path: Path) -> None:
    async with VenueServer(behave=venues.refuses) as server:
        async with collecting(server, MemoryLog(), tmp_path) as collector:
            await until(lambda: collector.metric("liqwatch_feed_refused_total") >= 1)
            await until(lambda: collector.service.states()[0].state == "refused")
            assert "refused: no such channel" == collector.service.states()[0].detail
            await until(lambda: collector.reconnects("refused") >= 1)


async def test_a_socket_whose_frames_cannot_be_read_is_replaced_and_each_frame_is_kept(tmp_path: Path) -> None:
    log = MemoryLog()
    async with VenueServer(behave=venues.talks_rubbish) as server, collecting(server, log, tmp_path) as collector:
        await until(lambda: collector.reconnects("rejected_frames") == 1)
        server.behave = venues.obedient
        await until(lambda: len(rejected(log)) >= 20)
        first = rejected(log)[0]
        assert ("malformed", "<html>502 Bad Gateway</html>", 28) == (
            first["reason"], first["frame"], first["frame_bytes"],
        )  # fmt: skip
        await until(lambda: collector.watched)
        assert len(rejected(log)) == collector.metric("liqwatch_events_rejected_total", reason="malformed")


async def test_binary_long_and_buggy_frames_are_rejected_one_by_one(tmp_path: Path) -> None:
    log = MemoryLog()
    async with VenueServer() as server, collecting(server, log, tmp_path) as collector:
        await until(lambda: collector.watched)
        await server.say(b"\x00\xff\xfe", "x" * 40_000, '{"bug": 1}', liquidation_frame("good"))
        await until(lambda: len(rejected(log)) == 3 and ids(log) == ["good"])
        binary, long, buggy = rejected(log)
        assert "hex:00fffe" == binary["frame"]
        assert (16 * 1024, 40_000) == (len(long["frame"]), long["frame_bytes"])
        assert "the decoder failed: ZeroDivisionError: a bug in the decoder" == buggy["error"]
        assert 1 == len(collector.told("the decoder failed on a frame; see rejected-frames"))
        assert collector.watched


async def test_a_frame_beyond_all_bounds_ends_the_socket_and_is_counted(tmp_path: Path) -> None:
    log = MemoryLog()
    async with VenueServer() as server, collecting(server, log, tmp_path) as collector:
        await until(lambda: collector.watched)
        await server.say("x" * (16 * 1024 * 1024 + 1))
        await until(lambda: collector.reconnects("rejected_frames") == 1)
        await until(lambda: [one["error"] for one in rejected(log)] == ["a frame larger than 16 MiB"])


async def test_an_unreachable_venue_is_told_once_with_words_and_once_more_when_it_is_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Backoff, "next", lambda self, at_least=0.0: 0.05)
    log = MemoryLog()
    async with VenueServer() as server, collecting(server, log, tmp_path) as collector:
        await until(lambda: collector.watched)
        await server.stop()
        await until(lambda: collector.reconnects("unreachable") >= 2)
        state = collector.service.states()[0]
        assert ("down", "connection refused") == (state.state, state.detail)
        assert ["no venue is delivering: fake: connection refused"] == collector.service.unready()
        await server.start()
        await until(lambda: collector.told("venue is back"))
        assert 1 == len(collector.told("venue is down")) == len(collector.told("venue is back"))
        assert collector.told("venue is back")[0]["away_seconds"] > 0
        await until(lambda: collector.watched)


async def test_without_any_network_there_is_one_line_and_no_spinning(tmp_path: Path) -> None:
    server = VenueServer()
    server.port = 1  # nobody listens there
    async with collecting(server, MemoryLog(), tmp_path) as collector:
        await until(lambda: collector.metric("liqwatch_instrument_refresh_failures_total") >= 1)
        await until(lambda: collector.told("venue is down"))
        state = collector.service.states()[0]
        assert ("down", "instrument list: connection refused") == (state.state, state.detail)
        assert state.retry_at_ms is not None
        assert 1 == len([line for line in collector.lines if line["log_level"] in ("warning", "error")])
        assert collector.metric("liqwatch_instrument_refresh_failures_total") <= 3


async def test_a_renewal_overlaps_and_loses_nothing(tmp_path: Path) -> None:
    venue = replace(FAKE, lifetime=timedelta(seconds=0.6))
    log = MemoryLog()
    sent: list[str] = []
    async with VenueServer() as server, collecting(server, log, tmp_path, venue=venue) as collector:
        await until(lambda: collector.watched)
        while collector.reconnects("planned") < 2:
            sent.append(f"e{len(sent)}")
            await server.say(liquidation_frame(sent[-1]))
            await asyncio.sleep(0.01)
        await until(lambda: set(ids(log)) == set(sent))
        assert collector.watched
        assert {None} == {one["ended_by"] for one in coverage(log)}
        assert 1 == len({one["interval_id"] for one in coverage(log)})
        assert [] == collector.told("venue is down")


async def test_a_renewal_that_fails_leaves_the_old_socket_at_work(tmp_path: Path) -> None:
    venue = replace(FAKE, lifetime=timedelta(seconds=0.4))
    log = MemoryLog()
    async with VenueServer() as server, collecting(server, log, tmp_path, venue=venue) as collector:
        await until(lambda: collector.watched)
        server.turn_away = (503, {})
        await until(lambda: collector.reconnects("refused") == 1)
        await server.say(liquidation_frame("a"))
        await until(lambda: ids(log) == ["a"])
        assert collector.watched
        assert [] == collector.told("venue is down")


async def test_when_a_part_is_refused_the_rest_is_collected_but_the_venue_is_not_watched(tmp_path: Path) -> None:
    log = MemoryLog()
    limits = replace(QUICK, partial=0.3)
    async with VenueServer(behave=venues.refuses_a_part) as server:
        async with collecting(server, log, tmp_path, limits=limits) as collector:
            await until(lambda: collector.told("venue is down"))
            assert "refused: no coin futures today" == collector.told("venue is down")[0]["reason"]
            await server.say(liquidation_frame("a"))
            await until(lambda: ids(log) == ["a"])
            assert not collector.watched
            assert [] == collector.service.unready()
            assert "refused: no coin futures today" == collector.service.states()[0].detail
            server.behave = venues.obedient
            await until(lambda: collector.watched)  # it was asked again, by a socket that took over
            await until(lambda: collector.told("venue is back"))


async def test_a_stop_is_quick_though_the_venue_hangs(tmp_path: Path) -> None:
    async with VenueServer(behave=venues.deaf) as server:
        async with collecting(server, MemoryLog(), tmp_path) as collector:
            await until(lambda: server.connects == 1 and collector.service.states()[0].state == "connected")
            began = asyncio.get_running_loop().time()
            await collector.stop()
            assert asyncio.get_running_loop().time() - began < 4


async def test_one_venue_that_fails_is_no_trouble_for_another(tmp_path: Path) -> None:
    log = MemoryLog()
    broken = replace(FAKE, name="broken")
    async with VenueServer() as server, VenueServer(behave=venues.accepts_and_closes) as bad:
        bad.rest[PATH] = LISTING
        async with collecting(server, log, tmp_path, beside=[(broken, bad)]) as collector:
            await until(lambda: collector.watched)
            await server.say(liquidation_frame("a"))
            await until(lambda: ids(log) == ["a"])
            await until(lambda: {state.venue: state.state for state in collector.service.states()}["broken"] == "down")
            assert [] == collector.service.unready()


async def test_a_venue_that_delivers_a_little_and_closes_is_not_hammered_either(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    longest = functools.partial(Backoff, random=lambda: 1.0)
    monkeypatch.setattr("liqwatch.collector.connection.Backoff", longest)
    log = MemoryLog()
    limits = replace(QUICK, proven=5.0)
    async with VenueServer(behave=venues.says_a_word_and_closes) as server:
        async with collecting(server, log, tmp_path, limits=limits) as collector:
            await until(lambda: collector.reconnects("closed") >= 3)
            await asyncio.sleep(0.5)
            assert server.connects <= 4  # after 0.25, 0.5, 1, 2 seconds, not after 0.25 each time
            assert 1 == len(collector.told("venue is down"))


async def test_a_socket_that_missed_a_numbered_message_is_replaced_and_says_why(tmp_path: Path) -> None:
    row = {"m": "BTC-USD", "S": "SELL", "tT": "TRADE", "T": 1_795_000_000_000, "p": "70000", "q": "1", "i": 1}

    async def leaves_one_out(server: VenueServer, peer: ServerConnection) -> None:
        for number in (1, 2, *range(4, 1000)):
            await peer.send(json.dumps({"ts": 1_795_000_000_900, "data": [row], "seq": number}, separators=(",", ":")))
            await asyncio.sleep(0.02)

    numbered = replace(FAKE, session=discover()["extended"].session, ping_every=None)
    async with VenueServer(behave=leaves_one_out) as server:
        async with collecting(server, MemoryLog(), tmp_path, venue=numbered) as collector:
            await until(lambda: collector.reconnects("refused") >= 1)
            assert "message 4 came after 2" in str(collector.lines)
