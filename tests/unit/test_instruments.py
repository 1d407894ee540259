"""The table of instruments: pages, refreshes, lists that fail or change, new and unknown symbols."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from prometheus_client import CollectorRegistry
from structlog.testing import capture_logs

from liqwatch.collector import fetch
from liqwatch.collector.addresses import moved, proxy_for
from liqwatch.collector.instruments import InstrumentTable
from liqwatch.metrics import CollectorMetrics
from liqwatch.venues.base import InstrumentList, Venue
from tests.support.collecting import QUICK, collecting, ids, rejected
from tests.support.fake_venue import FAKE, LISTING, PATH, liquidation_frame, per_symbol
from tests.support.memory_log import MemoryLog
from tests.support.venue_server import VenueServer
from tests.support.waiting import until

OTHER = "/list?page=2"


@asynccontextmanager
async def table(server: VenueServer, venue: Venue = FAKE) -> AsyncIterator[InstrumentTable]:
    metrics = CollectorMetrics(CollectorRegistry(), ["fake"])
    async with aiohttp.ClientSession() as http:
        yield InstrumentTable(venue, http, server.rest_origin, 600.0, ("USDT",), metrics)


def listing(**sizes: str) -> dict[str, Any]:
    return {"symbols": {symbol: {"size": size} for symbol, size in sizes.items()}}


async def test_all_pages_of_a_list_are_read() -> None:
    pages = {
        PATH: {**listing(BTCUSDT="1"), "next": f"https://venue.example{OTHER}"},
        OTHER: listing(ETHUSDT="0.1"),
    }
    async with VenueServer(rest=pages) as server, table(server) as instruments:
        assert 600.0 == await instruments.refresh()
        assert {"BTCUSDT", "ETHUSDT"} == instruments.known.keys()
        assert Decimal("0.1") == instruments.known["ETHUSDT"].contract_size
        assert [PATH, OTHER] == server.asked


async def test_a_list_that_fails_keeps_the_old_table_and_is_told_once_down_and_once_up() -> None:
    async with VenueServer(rest={PATH: LISTING}) as server, table(server) as instruments:
        with capture_logs() as lines:
            await instruments.refresh()
            server.rest[PATH] = (500, {}, b"")
            first = await instruments.refresh()
            await instruments.refresh()
            assert first < 600.0
            assert "answered HTTP 500" == instruments.trouble()
            assert {"BTCUSDT", "ETHUSDT"} == instruments.known.keys()
            server.rest[PATH] = LISTING
            await instruments.refresh()
        assert ["instrument list is down", "instrument list is back"] == [line["event"] for line in lines]


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        ((429, {"Retry-After": "120"}, b""), "turned away with HTTP 429 (too many requests, or not allowed here)"),
        ((451, {}, b""), "turned away with HTTP 451 (not available from this place)"),
        ((200, {}, b"<html>"), "not readable: Expecting value: line 1 column 1 (char 0)"),
        ((200, {}, b'{"symbols": {}}'), "it is empty"),
        ((200, {}, b'{"symbols": {"X": {"size": "many"}}}'), "none of its 1 entries is usable"),
        ({**listing(X="1"), "next": f"https://venue.example{PATH}"}, "its pages do not end (more than 1)"),
    ],
)
async def test_an_unusable_answer_is_a_failure_in_words(answer: Any, words: str) -> None:
    async with VenueServer(rest={PATH: answer}) as server, table(server) as instruments:
        wait = await instruments.refresh()
        assert words in instruments.trouble()
        assert not instruments.usable
        assert wait >= 120 or "429" not in words


async def test_an_endless_body_is_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fetch, "LARGEST_PAGE", 1 << 20)
    async with VenueServer(rest={PATH: (200, {}, b" " * (3 << 20))}) as server, table(server) as instruments:
        await instruments.refresh()
        assert "larger than 1 MiB" == instruments.trouble()


async def test_changed_contract_terms_are_told_and_seen_by_whoever_holds_the_table() -> None:
    async with VenueServer(rest={PATH: listing(BTCUSDT="1")}) as server, table(server) as instruments:
        await instruments.refresh()
        held = instruments.known
        server.rest[PATH] = listing(BTCUSDT="10")
        with capture_logs() as lines:
            await instruments.refresh()
        assert Decimal(10) == held["BTCUSDT"].contract_size
        assert ["BTCUSDT: BTC/USDT linear 1 -> BTC/USDT linear 10"] == lines[0]["changes"]


async def test_a_delisted_symbol_can_still_be_read_but_trades_no_more() -> None:
    async with VenueServer(rest={PATH: LISTING}) as server, table(server) as instruments:
        await instruments.refresh()
        server.rest[PATH] = listing(BTCUSDT="1")
        await instruments.refresh()
        assert not instruments.known["ETHUSDT"].trading
        server.rest[PATH] = LISTING
        await instruments.refresh()
        assert instruments.known["ETHUSDT"].trading


async def test_one_list_of_two_is_usable_but_not_complete() -> None:
    lists = (FAKE.instrument_lists[0], InstrumentList("other", f"https://venue.example{OTHER}"))
    async with VenueServer(rest={PATH: LISTING}) as server:
        async with table(server, replace(FAKE, instrument_lists=lists)) as instruments:
            await instruments.refresh()
            assert (True, False) == (instruments.usable, instruments.complete)
            assert "other: answered HTTP 404" == instruments.trouble()


async def test_a_new_listing_is_subscribed_without_a_restart_and_a_full_socket_gets_company(tmp_path: Path) -> None:
    log = MemoryLog()
    async with VenueServer() as server:
        async with collecting(server, log, tmp_path, venue=per_symbol(3), refresh=timedelta(seconds=0.1)) as collector:
            await until(lambda: collector.watched)
            assert [["BTCUSDT", "ETHUSDT"]] == server.subscribed
            server.rest[PATH] = listing(BTCUSDT="1", ETHUSDT="1", NEWUSDT="1", OTHERUSDT="1")
            await until(lambda: len(server.subscribed) == 3)
            assert [["NEWUSDT"], ["OTHERUSDT"]] == server.subscribed[1:]
            assert 2 == server.connects
            await until(lambda: len(collector.service.states()) == 1 and collector.watched)
            await server.peers[0].send(liquidation_frame("n", symbol="NEWUSDT"))
            await until(lambda: ids(log) == ["n"])
            assert [] == collector.told("venue is down")


async def test_a_socket_whose_symbols_are_all_delisted_goes_and_the_others_stay(tmp_path: Path) -> None:
    async with VenueServer() as server:
        async with collecting(
            server, MemoryLog(), tmp_path, venue=per_symbol(1), refresh=timedelta(seconds=0.1)
        ) as collector:
            await until(lambda: collector.watched and len(server.peers) == 2)
            server.rest[PATH] = listing(BTCUSDT="1")
            await until(lambda: len(server.peers) == 1)
            assert collector.watched
            assert 2 == server.connects


async def test_an_event_of_an_unknown_symbol_waits_for_the_list_and_counts(tmp_path: Path) -> None:
    log = MemoryLog()
    async with VenueServer() as server, collecting(server, log, tmp_path) as collector:
        await until(lambda: collector.watched)
        server.rest[PATH] = {"symbols": {**LISTING["symbols"], "NEWUSDT": {"size": "7"}}}
        rows = [{"id": "old", "symbol": "BTCUSDT"}, {"id": "new", "symbol": "NEWUSDT", "usd": "2"}]
        await server.say(json.dumps({"liq": rows}))
        await until(lambda: ids(log) == ["old", "new"] or ids(log) == ["new", "old"])
        assert [] == rejected(log)
        assert 2 == collector.metric("liqwatch_events_total", side="long")


async def test_a_symbol_that_no_list_knows_is_rejected_and_not_asked_for_again(tmp_path: Path) -> None:
    log = MemoryLog()
    async with VenueServer() as server, collecting(server, log, tmp_path) as collector:
        await until(lambda: collector.watched)
        for number in range(3):
            await server.say(liquidation_frame(f"x{number}", symbol="GHOSTUSDT"))
            await until(lambda wanted=number + 1: len(rejected(log)) == wanted)
        assert {("unknown_symbol", "unknown symbol GHOSTUSDT")} == {(r["reason"], r["error"]) for r in rejected(log)}
        assert 3 == collector.metric("liqwatch_events_rejected_total", reason="unknown_symbol")
        assert 2 == len(server.asked)  # at the start, and once for the ghost
        assert [] == ids(log)


async def test_a_venue_whose_list_comes_late_is_not_watched_before(tmp_path: Path) -> None:
    async with VenueServer(rest={PATH: (503, {}, b"")}) as server:
        async with collecting(server, MemoryLog(), tmp_path) as collector:
            await until(lambda: collector.told("venue is down"))
            assert "instrument list: answered HTTP 503" == collector.told("venue is down")[0]["reason"]
            assert 0 == server.connects
            server.rest[PATH] = LISTING
            await until(lambda: collector.watched)


def test_an_origin_replaces_scheme_host_and_port_only() -> None:
    url = "wss://stream.venue.example:8443/v5/public/linear?x=1"
    assert url == moved(url, None)
    assert "ws://127.0.0.1:9000/v5/public/linear?x=1" == moved(url, "http://127.0.0.1:9000", websocket=True)
    assert "http://127.0.0.1:9/list?a=b" == moved("https://api.venue.example/list?a=b", "http://127.0.0.1:9/")


def test_a_proxy_is_for_the_world_and_not_for_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("https_proxy", "http://proxy.example:3128")
    monkeypatch.setenv("http_proxy", "http://proxy.example:3128")
    monkeypatch.setenv("no_proxy", "inside.example")
    assert "http://proxy.example:3128" == proxy_for("wss://venue.example/stream")
    for url in ("ws://127.0.0.1:1/", "http://localhost:1/", "http://[::1]:1/", "wss://inside.example/"):
        assert proxy_for(url) is None


async def test_what_waits_for_its_symbol_when_the_collector_stops_is_rejected_and_counted(tmp_path: Path) -> None:
    log = MemoryLog()
    async with VenueServer() as server:
        limits = replace(QUICK, refresh_gap=30.0)
        async with collecting(server, log, tmp_path, limits=limits) as collector:
            await until(lambda: collector.watched)
            await server.say('{"liq": [{"id": "a", "symbol": "BTCUSDT"}, {"id": "b", "symbol": "NEWUSDT"}]}')
            await until(lambda: ids(log) == ["a"])
            assert [] == rejected(log)
            await collector.stop()
        assert ["a"] == ids(log)
        assert [("unknown_symbol", "unknown symbol NEWUSDT")] == [(r["reason"], r["error"]) for r in rejected(log)]
        assert 1 == collector.metric("liqwatch_events_rejected_total", reason="unknown_symbol")
