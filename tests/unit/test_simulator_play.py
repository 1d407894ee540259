"""Playing a scenario: in the clock's time, each event once, with books of what nobody was there to hear."""

import asyncio
import json
from collections import Counter
from decimal import Decimal
from typing import Any

import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed

from liqwatch.clock import Clock
from liqwatch.simulator import Simulator, on_by_default, serve
from liqwatch.simulator.orders import Order
from liqwatch.simulator.scenarios import Scenario

LIMIT = 20.0


def order(at_ms: int, venue: str = "binance", symbol: str = "BTCUSDT", side: Any = "long") -> Order:
    return Order(at_ms, venue, symbol, side, Decimal(100_000), Decimal("0.5"))


class Listener:
    """Subscribes to a venue of the simulator and keeps what it hears."""

    def __init__(self, simulator: Simulator, venue: str, path: str, *opening: object) -> None:
        self._url = simulator.origins[venue].websocket + path
        self._opening = opening
        self._venue = simulator.venues[venue]
        self.heard: list[Any] = []

    async def __aenter__(self) -> "Listener":
        before = self._venue.sockets
        self._socket = await connect(self._url, compression=None)
        self._task = asyncio.create_task(self._listen())
        for message in self._opening:
            await self._socket.send(json.dumps(message))
        async with asyncio.timeout(LIMIT):
            while self._venue.sockets == before:
                await asyncio.sleep(0.001)
            await self._venue.until_subscribed()
        return self

    async def _listen(self) -> None:
        try:
            async for frame in self._socket:
                self.heard.append(json.loads(frame))
        except ConnectionClosed:
            pass

    async def __aexit__(self, *error: Any) -> None:
        await self._socket.close()
        await self._task


def binance(simulator: Simulator) -> Listener:
    return Listener(simulator, "binance", "/market/ws/!forceOrder@arr")


async def test_event_times_follow_the_fast_clock_and_never_lie_ahead_of_it() -> None:
    clock = Clock(speed=10_000)
    async with Simulator([order(n * 60_000) for n in range(20)], clock=clock) as sim, binance(sim) as listener:
        start_ms = clock.now_ms()
        await sim.play()
        end_ms = clock.now_ms()
    times = [frame["o"]["T"] for frame in listener.heard]
    assert [n * 60_000 for n in range(20)] == [at - times[0] for at in times]
    assert start_ms <= times[0]
    assert times[-1] <= end_ms
    assert all(frame["o"]["T"] <= frame["E"] for frame in listener.heard)


async def test_a_scenario_is_squeezed_where_the_clock_is_real() -> None:
    async with Simulator([order(0), order(100_000)], speed=1_000) as sim, binance(sim) as listener:
        await sim.play()
    first, second = (frame["o"]["T"] for frame in listener.heard)
    assert 100 == second - first


async def test_no_two_events_of_a_symbol_share_a_time() -> None:
    orders = [order(0), order(0), order(0, symbol="ETHUSDT"), order(0)]
    async with Simulator(orders) as sim, binance(sim) as listener:
        await sim.play()
    times = Counter((frame["o"]["s"], frame["o"]["T"]) for frame in listener.heard)
    assert [1] * 4 == list(times.values())


async def test_time_runs_on_after_the_last_order() -> None:
    clock = Clock(speed=100_000)
    scenario = Scenario("short", "", (order(0),), 3_600_000)
    async with Simulator(scenario, clock=clock) as sim:
        start_ms = clock.now_ms()
        await sim.play()
        assert clock.now_ms() >= start_ms + 3_600_000


async def test_what_nobody_is_subscribed_to_is_in_the_books_as_missed() -> None:
    orders = [order(0), order(0, "bybit"), order(0, "bybit", "ETHUSDT")]
    opening = {"op": "subscribe", "args": ["allLiquidation.ETHUSDT"]}
    async with Simulator(orders) as sim, Listener(sim, "bybit", "/v5/public/linear", opening):
        await sim.play()
    assert [("bybit", "ETHUSDT", "long")] == list(sim.books.sent.tallies)
    assert [("binance", "BTCUSDT", "long"), ("bybit", "BTCUSDT", "long")] == sorted(sim.books.missed.tallies)


async def test_bybit_gathers_events_of_half_a_second_in_one_push() -> None:
    orders = [order(n, "bybit") for n in range(0, 400, 20)]
    opening = {"op": "subscribe", "args": ["allLiquidation.BTCUSDT"]}
    async with Simulator(orders) as sim, Listener(sim, "bybit", "/v5/public/linear", opening) as listener:
        await sim.play()
    pushes = [len(frame["data"]) for frame in listener.heard if "data" in frame]
    assert 20 == sum(pushes)
    assert len(pushes) <= 2  # the first event may go alone


async def test_two_subscribers_hear_everything_and_the_books_count_it_once() -> None:
    async with Simulator([order(n) for n in range(50)]) as sim, binance(sim) as one, binance(sim) as other:
        await sim.play()
    assert one.heard == other.heard
    assert (50, 50 * 50_000 * 10**6) == (sim.books.count("long", "binance"), sim.books.usd("long", "binance"))


async def test_what_was_sent_before_a_disconnect_has_arrived() -> None:
    async with Simulator([], keep_events=True) as sim, binance(sim) as listener:
        for _ in range(200):
            await sim.send("binance", "BTCUSDT", "short", "100000.0", "0.001")
        assert 1 == await sim.venues["binance"].disconnect()
    assert 200 == len(listener.heard) == len(sim.books.events)


async def test_serve_prints_settings_that_point_at_the_servers_and_ends_when_told() -> None:
    said: list[str] = []
    stop = asyncio.Event()

    def say(text: str) -> None:
        said.append(text)
        stop.set()

    async with asyncio.timeout(LIMIT):
        await serve("quiet", say=say, stop=stop)
    for venue in on_by_default():
        assert f'[venues.{venue}]\nwebsocket_origin = "ws://127.0.0.1:' in said[0]


async def test_serve_refuses_an_unknown_scenario() -> None:
    with pytest.raises(ValueError, match="unknown scenario"):
        await serve("nothing", say=lambda text: None)


async def test_the_books_tell_what_a_history_gives_back_and_what_nobody_can_know() -> None:
    orders = [order(0), order(0, "bybit"), order(0, "gate", "BTC_USDT"), order(0, "gate", "BTC_USDT", "short")]
    async with Simulator(orders) as sim, binance(sim):
        await sim.play()
    worth = 50_000 * 10**6
    assert [
        ("binance", "long", (1, worth), (0, 0)),
        ("bybit", "long", (0, 0), (1, worth)),
        ("gate", "long", (1, worth), (0, 0)),
        ("gate", "short", (1, worth), (0, 0)),
    ] == [(account.venue, account.side, account.known, account.lost) for account in sim.books.accounts()]
