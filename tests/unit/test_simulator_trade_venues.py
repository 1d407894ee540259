"""The simulated venues that publish all trades: what they acknowledge, refuse and send besides liquidations."""

import asyncio
import json
from collections.abc import AsyncIterator
from struct import unpack_from
from typing import Any

import aiohttp
import pytest
import pytest_asyncio
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from liqwatch.simulator import Simulator

SECOND = 0.02  # of the protocols, in real seconds
LIMIT = 10.0
PATHS = {
    "dydx": "/v4/ws",
    "extended": "/stream.extended.exchange/v1/publicTrades",
    "pacifica": "/ws",
    "paradex": "/v1?sbeSchemaId=1&sbeSchemaVersion=3",
}


@pytest_asyncio.fixture
async def sim() -> AsyncIterator[Simulator]:
    async with Simulator([], second=SECOND, keep_events=True, venues=tuple(PATHS)) as simulator:
        yield simulator


def opened(sim: Simulator, venue: str, path: str | None = None) -> connect:
    return connect(sim.origins[venue].websocket + (path or PATHS[venue]), ping_interval=None, compression=None)


async def hear(socket: ClientConnection) -> Any:
    async with asyncio.timeout(LIMIT):
        frame = await socket.recv()
    return frame if isinstance(frame, bytes) else json.loads(frame)


async def ask(socket: ClientConnection, message: object) -> Any:
    await socket.send(json.dumps(message))
    return await hear(socket)


async def until(socket: ClientConnection, wanted: str) -> Any:
    """The first message whose text has `wanted` in it."""
    while True:
        heard = await hear(socket)
        if not isinstance(heard, bytes) and wanted in json.dumps(heard):
            return heard


def subscribe(channel: str, number: int = 1) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "method": "subscribe", "params": {"channel": channel}, "id": number}


async def test_paradex_sends_a_trade_in_the_documented_bytes(sim: Simulator) -> None:
    async with opened(sim, "paradex") as socket:
        assert {"channel": "trades.ALL"} == (await ask(socket, subscribe("trades.ALL")))["result"]
        sent = await sim.send("paradex", "ETH-USD-PERP", "long", "4000.5", "1.25")
        while (frame := await hear(socket))[2] != 1 or frame[57] != 2:
            pass
    assert (50, 1, 1, 3) == unpack_from("<HHHH", frame)
    assert (2, 4000_5000_0000, 1_2500_0000) == unpack_from("<Bqq", frame, 32)
    assert sent.event_ms == unpack_from("<q", frame, 49)[0] // 1000
    assert b"\x0cETH-USD-PERP" == frame[58:71]
    assert len(frame) == 72 + frame[71]
    assert 5_000_625_000 == sim.books.usd("long")


async def test_paradex_refuses_an_unknown_channel_and_one_asked_for_twice(sim: Simulator) -> None:
    async with opened(sim, "paradex") as socket:
        assert -32602 == (await ask(socket, subscribe("trades.NOPE")))["error"]["code"]
        await ask(socket, subscribe("trades.BTC-USD-PERP", 2))
        assert 41 == (await hear(socket))[2]
        assert -32600 == (await ask(socket, subscribe("trades.BTC-USD-PERP", 3)))["error"]["code"]


@pytest.mark.parametrize("query", ["", "?sbeSchemaId=1", "?sbeSchemaId=1&sbeSchemaVersion=4"])
async def test_paradex_lets_nobody_in_who_does_not_ask_for_a_layout_it_has(sim: Simulator, query: str) -> None:
    with pytest.raises(InvalidStatus):
        async with opened(sim, "paradex", f"/v1{query}"):
            pass


async def test_paradex_has_ordinary_trades_and_heartbeats_without_end(sim: Simulator) -> None:
    async with opened(sim, "paradex") as socket:
        await ask(socket, subscribe("trades.ALL"))
        templates = {(await hear(socket))[2] for _ in range(20)}
    assert {1, 40, 41} == templates


async def test_extended_sends_without_being_asked_and_counts_its_messages(sim: Simulator) -> None:
    async with opened(sim, "extended") as socket:
        first = await hear(socket)
        sent = await sim.send("extended", "BTC-USD", "short", "110000", "0.5")
        told = await until(socket, "LIQUIDATION")
        after = await hear(socket)
    assert (1, True) == (first["seq"], len(first["data"]) > 1)
    assert told["seq"] + 1 == after["seq"]
    (row,) = [row for row in told["data"] if row["tT"] == "LIQUIDATION"]
    facts = (row["m"], row["S"], row["p"], row["q"], row["T"])
    assert ("BTC-USD", "BUY", "110000.0", "0.500", sent.event_ms) == facts
    assert row["i"] > 2**53


async def test_extended_of_one_market_tells_of_no_other(sim: Simulator) -> None:
    async with opened(sim, "extended", PATHS["extended"] + "/ETH-USD") as socket:
        await sim.venues["extended"].until_watched(["ETH-USD"])
        assert {"ETH-USD"} == sim.venues["extended"].watched()
        await sim.send("extended", "BTC-USD", "long", "110000", "1")
        await sim.send("extended", "ETH-USD", "long", "4000", "1")
        assert {"ETH-USD"} == {row["m"] for row in (await hear(socket))["data"] if row["tT"] == "LIQUIDATION"}
    with pytest.raises(InvalidStatus):
        async with opened(sim, "extended", PATHS["extended"] + "/NOPE-USD"):
            pass


async def test_pacifica_acknowledges_by_symbol_and_names_the_position(sim: Simulator) -> None:
    async with opened(sim, "pacifica") as socket:
        params = {"source": "trades", "symbol": "SOL"}
        assert {"channel": "subscribe", "data": params} == await ask(socket, {"method": "subscribe", "params": params})
        assert {"channel": "pong"} == await ask(socket, {"method": "ping"})
        refused = await ask(socket, {"method": "subscribe", "params": params | {"symbol": "NOPE"}})
        assert (400, "Invalid request") == (refused["code"], refused["err"])
        await sim.send("pacifica", "SOL", "long", "200", "2")
        (row,) = [row for row in (await hear(socket))["data"] if "_liquidation" in row["tc"] and row["tc"][:3] != "adl"]
    assert ("SOL", "close_long", "200.00", "2.00") == (row["s"], row["d"], row["p"], row["a"])


async def test_pacifica_closes_a_socket_that_says_nothing_for_a_minute(sim: Simulator) -> None:
    async with opened(sim, "pacifica") as socket:
        with pytest.raises(ConnectionClosed):
            await hear(socket)


async def test_pacifica_has_prices_that_always_tick(sim: Simulator) -> None:
    async with opened(sim, "pacifica") as socket:
        await ask(socket, {"method": "subscribe", "params": {"source": "prices"}})
        assert ["prices"] * 3 == [(await hear(socket))["channel"] for _ in range(3)]


def trades(market: str, **more: object) -> dict[str, Any]:
    return {"type": "subscribe", "channel": "v4_trades", "id": market, **more}


async def test_dydx_greets_and_gives_the_past_with_its_yes(sim: Simulator) -> None:
    missed = await sim.send("dydx", "BTC-USD", "long", "110000", "1")
    async with opened(sim, "dydx") as socket:
        assert "connected" == (await ask(socket, trades("BTC-USD")))["type"]
        yes = await hear(socket)
        await sim.send("dydx", "BTC-USD", "short", "110000", "0.5")
        told = await hear(socket)
        assert "already subscribed (v4_trades-BTC-USD)" in (await ask(socket, trades("BTC-USD")))["message"]
        assert "(v4_trades-NOPE-USD)" in (await ask(socket, trades("NOPE-USD")))["message"]
    assert ("subscribed", "v4_trades", "BTC-USD") == (yes["type"], yes["channel"], yes["id"])
    assert f"{2 * missed.number:024x}" == yes["contents"]["trades"][0]["id"]
    assert ("channel_data", "BTC-USD") == (told["type"], told["id"])
    rows = [(row["side"], row["size"]) for row in told["contents"]["trades"] if row["type"] != "LIMIT"]
    assert [("BUY", "0.500")] == rows
    assert (1, 1) == (sim.books.count(), sim.books.listed.of("dydx").count)


async def test_dydx_batches_for_whoever_asks(sim: Simulator) -> None:
    async with opened(sim, "dydx") as socket:
        await ask(socket, trades("ETH-USD", batched=True))
        await hear(socket)
        await sim.send("dydx", "ETH-USD", "long", "4000", "1")
        told = await hear(socket)
    assert "channel_batch_data" == told["type"]
    assert isinstance(told["contents"], list)


async def test_dydx_allows_so_many_markets_a_socket(sim: Simulator) -> None:
    venue = sim.venues["dydx"]
    first = venue.listings["BTC-USD"]
    for number in range(32):
        venue.listings[f"NEW{number}-USD"] = first
    async with opened(sim, "dydx") as socket:
        await ask(socket, trades("NEW0-USD"))
        answers = [await hear(socket)] + [await ask(socket, trades(f"NEW{number}-USD")) for number in range(1, 32)]
        refused = await ask(socket, trades("BTC-USD"))
    assert ["subscribed"] * 32 == [answer["type"] for answer in answers]
    assert "limit=32" in refused["message"]


async def test_dydx_lists_trades_before_a_moment_or_a_block(sim: Simulator) -> None:
    entries = [await sim.send("dydx", "BTC-USD", "long", "110000", str(n + 1)) for n in range(60)]
    place = f"{sim.origins['dydx'].rest}/v4/trades/perpetualMarket/"
    async with aiohttp.ClientSession() as http:

        async def rows(market: str, **query: str) -> Any:
            async with http.get(place + market, params=query) as answer:
                return await answer.json()

        latest = (await rows("BTC-USD"))["trades"]
        height = latest[-1]["createdAtHeight"]
        older = (await rows("BTC-USD", createdBeforeOrAtHeight=str(int(height) - 1)))["trades"]
        none = (await rows("BTC-USD", createdBeforeOrAt="2001-09-09T01:46:40.000Z"))["trades"]
        refused = await rows("NOPE-USD")
    assert 100 == len(latest)
    assert f"{2 * entries[-1].number:024x}" == latest[0]["id"]
    assert all(int(row["createdAtHeight"]) < int(height) for row in older)
    assert [] == none
    assert "valid ticker" in refused["errors"][0]["msg"]
