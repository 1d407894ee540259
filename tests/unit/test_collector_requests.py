"""A venue that allows so many requests a minute, over all sockets, is asked for no more and has time to answer."""

import asyncio
import time
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

from websockets.asyncio.server import ServerConnection

from tests.support.collecting import collecting
from tests.support.fake_venue import PATH, per_symbol
from tests.support.memory_log import MemoryLog
from tests.support.venue_server import VenueServer, obedient
from tests.support.waiting import until

PER = 0.8  # seconds; longer than an answer may take in tests
COINS = {f"C{n}USDT": {"size": "1"} for n in range(12)}


async def test_requests_over_the_limit_wait_and_no_socket_is_given_up_for_that(tmp_path: Path) -> None:
    asked: list[float] = []

    async def listens(server: VenueServer, peer: ServerConnection) -> None:
        asked.append(time.monotonic())
        await obedient(server, peer)

    venue = replace(per_symbol(3), ping_every=None, requests=2, requests_per=timedelta(seconds=PER))
    async with VenueServer(behave=listens, rest={PATH: {"symbols": COINS}}) as server:
        began = time.monotonic()
        async with collecting(server, MemoryLog(), tmp_path, venue=venue) as collector:
            await until(lambda: collector.watched)
            assert time.monotonic() - began >= PER  # two of the four sockets had to wait
            assert 4 == server.connects == len(asked)
            assert 0 == collector.reconnects("refused")


async def test_a_request_that_was_sent_and_not_answered_is_overdue_all_the_same(tmp_path: Path) -> None:
    async def says_nothing(server: VenueServer, peer: ServerConnection) -> None:
        await asyncio.sleep(30)

    venue = replace(per_symbol(12), ping_every=None, requests=100, requests_per=timedelta(seconds=PER))
    async with VenueServer(behave=says_nothing, rest={PATH: {"symbols": COINS}}) as server:
        async with collecting(server, MemoryLog(), tmp_path, venue=venue) as collector:
            await until(lambda: collector.reconnects("refused") >= 1)
            assert not collector.watched
