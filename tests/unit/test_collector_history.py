"""A venue's own list is read politely: within its limits, tried again, and never hammered when it says no."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta
from itertools import count

import aiohttp
import pytest

from liqwatch.clock import Clock
from liqwatch.collector import history as reading
from liqwatch.collector.history import HistoryFailed, HistoryReader, Reading
from liqwatch.venues.base import Instrument
from tests.support.fake_history import answering, with_history
from tests.support.venue_server import VenueServer

AT = 1_795_000_000_000
KNOWN = {name: Instrument(name, name.removesuffix("USDT"), "USDT") for name in ("BTCUSDT", "ETHUSDT")}


def row(name: str, at: int, symbol: str = "BTCUSDT") -> dict[str, object]:
    return {"id": name, "symbol": symbol, "at": at}


@asynccontextmanager
async def reader(server: VenueServer, symbols: int = 2) -> AsyncIterator[HistoryReader]:
    venue = with_history()
    assert venue.history is not None
    known = KNOWN if symbols == 2 else {f"C{n:03}USDT": Instrument(f"C{n:03}USDT", "C", "USDT") for n in range(symbols)}
    history = replace(venue.history, pause=timedelta(milliseconds=1))
    async with aiohttp.ClientSession() as http:
        yield HistoryReader(http, venue, history, server.rest_origin, known, Clock())


async def test_only_what_fell_in_the_time_is_taken() -> None:
    rows = [row("before", AT - 1), row("first", AT), row("last", AT + 100), row("after", AT + 101)]
    async with VenueServer(past=lambda _: {"rows": rows}) as server, reader(server, 1) as one:
        found = Reading()
        await one.read(AT, AT + 100, found)
    assert ["first", "last"] == [event.event_id for event in found.events]


async def test_a_stumble_is_tried_again() -> None:
    calls = 0
    good = answering([row("a", AT)])

    def stumbling(path: str) -> object:
        nonlocal calls
        calls += 1
        return (502, {}, b"") if calls <= 2 else good(path)

    async with VenueServer(past=stumbling) as server, reader(server) as one:
        found = Reading()
        await one.read(AT, AT + 1, found)
    assert (["a"], 4, 4) == ([event.event_id for event in found.events], found.requests, calls)


@pytest.mark.parametrize("status", [429, 418, 403])
async def test_who_asks_for_a_long_pause_is_not_asked_again_at_once(status: int) -> None:
    async with VenueServer(past=lambda _: (status, {"Retry-After": "120"}, b"")) as server, reader(server) as one:
        with pytest.raises(HistoryFailed) as failed:
            await one.read(AT, AT + 1, Reading())
        assert failed.value.wait >= 120
        assert 1 == len(server.asked)


async def test_a_venue_that_does_not_answer_is_not_asked_every_question() -> None:
    async with VenueServer(past=lambda _: (404, {}, b"")) as server, reader(server, 100) as one:
        with pytest.raises(HistoryFailed, match="5 of 5 questions failed: answered HTTP 404"):
            await one.read(AT, AT + 1, Reading())
        assert 5 == len(server.asked)


async def test_a_no_in_words_to_one_question_does_not_cost_the_others() -> None:
    good = answering([row("a", AT, "C099USDT")])

    def choosy(path: str) -> object:
        return (
            good(path) if "C099" in path else {"error": "no such contract"} if int(path[14:17]) < 40 else {"rows": []}
        )

    async with VenueServer(past=choosy) as server, reader(server, 100) as one:
        found = Reading()
        with pytest.raises(HistoryFailed, match="40 of 100 questions failed: no such contract"):
            await one.read(AT, AT + 1, found)
    assert ["a"] == [event.event_id for event in found.events]


async def test_a_list_of_rows_that_cannot_be_read_is_not_kept_without_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "MOST_BAD", 3)
    numbers = count()

    def spoilt(_: str) -> object:
        return {"rows": [], "bad": ["price is 0"] * 2, "next": f"https://venue.example/past?page={next(numbers)}"}

    async with VenueServer(past=spoilt) as server, reader(server, 1) as one:
        found = Reading()
        with pytest.raises(HistoryFailed, match="too many of its rows cannot be read, such as: price is 0"):
            await one.read(AT, AT + 1, found)
        assert (4, 2) == (len(found.bad_rows), len(server.asked))


async def test_a_list_without_an_end_is_read_only_so_far(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "MOST_REQUESTS", 20)
    page = 0

    def endless(_: str) -> object:
        nonlocal page
        page += 1
        return {"rows": [row(f"e{page}", AT + 1)], "next": f"https://venue.example/past?page={page}"}

    async with VenueServer(past=endless) as server, reader(server) as one:
        with pytest.raises(HistoryFailed, match="not read to its end after 20 requests"):
            await one.read(AT, AT + 1, Reading())
        assert 20 == len(server.asked)
