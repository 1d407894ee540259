"""The simulated venues answer as the real ones are documented to: acknowledgements, refusals, heartbeats, frames."""

import asyncio
import gzip
import json
from collections.abc import AsyncIterator, Mapping
from decimal import Decimal
from typing import Any

import aiohttp
import pytest
import pytest_asyncio
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from liqwatch.simulator import Simulator
from liqwatch.simulator.listings import Listing

SECOND = 0.02  # of the protocols, in real seconds
LIMIT = 10.0
ALL_OKX = [{"channel": "liquidation-orders", "instType": kind} for kind in ("SWAP", "FUTURES")]
HTX_SUB = {"op": "sub", "cid": "x", "topic": "public.*.liquidation_orders"}


@pytest_asyncio.fixture
async def sim() -> AsyncIterator[Simulator]:
    async with Simulator([], second=SECOND, keep_events=True) as simulator:
        yield simulator


class Client:
    """A socket to a simulated venue that speaks JSON."""

    def __init__(self, socket: ClientConnection) -> None:
        self.socket = socket

    async def say(self, message: object) -> None:
        await self.socket.send(message if isinstance(message, str) else json.dumps(message))

    async def hear(self) -> Any:
        async with asyncio.timeout(LIMIT):
            frame = await self.socket.recv()
        text = gzip.decompress(frame).decode() if isinstance(frame, bytes) else frame
        return text if text == "pong" else json.loads(text, parse_float=Decimal)

    async def ask(self, message: object) -> Any:
        await self.say(message)
        return await self.hear()

    async def hear_until_closed(self) -> list[Any]:
        heard = []
        try:
            while True:
                heard.append(await self.hear())
        except ConnectionClosed:
            return heard


class Open:
    """`async with Open(sim, venue, path) as client`."""

    def __init__(self, sim: Simulator, venue: str, path: str, headers: Mapping[str, str] | None = None) -> None:
        self._connect = connect(
            sim.origins[venue].websocket + path, additional_headers=headers, ping_interval=None, compression=None
        )

    async def __aenter__(self) -> Client:
        return Client(await self._connect.__aenter__())

    async def __aexit__(self, *error: Any) -> None:
        await self._connect.__aexit__(*error)


async def rest(sim: Simulator, venue: str, path: str) -> Any:
    async with aiohttp.ClientSession() as http, http.get(sim.origins[venue].rest + path) as response:
        return await response.json()


async def test_binance_acknowledges_lists_and_delivers_on_the_routed_path(sim: Simulator) -> None:
    async with Open(sim, "binance", "/market/ws") as client:
        subscribe = {"method": "SUBSCRIBE", "params": ["!forceOrder@arr"], "id": 1}
        assert {"result": None, "id": 1} == await client.ask(subscribe)
        listed = await client.ask({"method": "LIST_SUBSCRIPTIONS", "id": 2})
        assert {"result": ["!forceOrder@arr"], "id": 2} == listed
        sent = await sim.send("binance", "BTCUSDT", "long", "112000.07", "1.2345")
        heard = await client.hear()
    assert "forceOrder" == heard["e"]
    order = heard["o"]
    assert ("BTCUSDT", "SELL", "1.234", "112000.1") == (order["s"], order["S"], order["z"], order["ap"])
    assert (sent.event_ms, 1) == (order["T"], order["st"])
    assert Decimal(order["p"]) < Decimal(order["ap"])
    assert 138_208_123_400 == sim.books.usd("long", "binance")


async def test_binance_wraps_frames_of_the_combined_stream_and_counts_contracts_on_coin_m(sim: Simulator) -> None:
    async with Open(sim, "binance", "/market/stream?streams=!forceOrder@arr") as client:
        async with asyncio.timeout(LIMIT):
            await sim.venues["binance"].until_watched()
        await sim.send("binance", "BTCUSD_PERP", "short", "112000.0", "0.5")
        heard = await client.hear()
    assert "!forceOrder@arr" == heard["stream"]
    order = heard["data"]["o"]
    assert ("BTCUSD_PERP", "BUY", "560", 2) == (order["s"], order["S"], order["z"], order["st"])
    assert 56_000 * 10**6 == sim.books.usd("short")


async def test_binance_old_path_acknowledges_and_stays_silent(sim: Simulator) -> None:
    routed = Open(sim, "binance", "/market/ws/btcusdt@markPrice@1s")
    async with Open(sim, "binance", "/ws") as client, routed as other:
        subscribe = {"method": "SUBSCRIBE", "params": ["!forceOrder@arr", "btcusdt@markPrice@1s"], "id": 1}
        assert {"result": None, "id": 1} == await client.ask(subscribe)
        await sim.send("binance", "BTCUSDT", "long", "112000.0", "1")
        for _ in range(3):
            await other.hear()  # in this time mark prices would have come
        listed = await client.ask({"method": "LIST_SUBSCRIPTIONS", "id": 2})
        assert 2 == listed["id"]  # the first thing heard
    assert (0, 1) == (sim.books.count(), sim.books.missed.of().count)


async def test_binance_mark_prices_tick_on_the_same_socket(sim: Simulator) -> None:
    async with Open(sim, "binance", "/market/ws/!forceOrder@arr/btcusdt@markPrice@1s") as client:
        ticks = [await client.hear() for _ in range(3)]
    assert ["markPriceUpdate"] * 3 == [tick["e"] for tick in ticks]


async def test_binance_mark_prices_follow_the_orders_also_for_who_comes_later(sim: Simulator) -> None:
    async def mark(symbol: str) -> Any:
        async with Open(sim, "binance", f"/market/ws/{symbol.lower()}@markPrice@1s") as client:
            tick = await client.hear()
        assert symbol == tick["s"]
        return tick["p"]

    assert "113000.00000000" == await mark("BTCUSDT")
    for price in [90_000] * 20 + [100_000] * 4 + [104_000] * 4:
        await sim.send("binance", "BTCUSDT", "long", str(price), "1")
        await sim.send("binance", "BTCUSD_PERP", "long", "80000", "1")
    assert "102000.00000000" == await mark("BTCUSDT")  # of the last eight
    assert "4000.00000000" == await mark("ETHUSDT")


async def test_binance_refuses_an_unknown_stream(sim: Simulator) -> None:
    async with Open(sim, "binance", "/market/ws") as client:
        refused = await client.ask({"method": "SUBSCRIBE", "params": ["nope@forceOrder"], "id": 7})
    assert (2, 7) == (refused["error"]["code"], refused["id"])


async def test_bybit_refuses_the_whole_request_for_one_bad_topic_and_names_it(sim: Simulator) -> None:
    async with Open(sim, "bybit", "/v5/public/linear") as client:
        topics = ["allLiquidation.BTCUSDT", "allLiquidation.NOPE"]
        refused = await client.ask({"op": "subscribe", "req_id": "1", "args": topics})
        assert (False, "error:handler not found,topic:allLiquidation.NOPE", "1") == (
            refused["success"],
            refused["ret_msg"],
            refused["req_id"],
        )
        assert set() == sim.venues["bybit"].watched()
        accepted = await client.ask({"op": "subscribe", "req_id": "2", "args": topics[:1]})
        assert (True, "2") == (accepted["success"], accepted["req_id"])
        again = await client.ask({"op": "subscribe", "req_id": "3", "args": topics[:1]})
        assert "error:already subscribed,topic:allLiquidation.BTCUSDT" == again["ret_msg"]
        assert "pong" == (await client.ask({"op": "ping"}))["ret_msg"]


async def test_bybit_names_the_position_and_counts_usd_on_inverse(sim: Simulator) -> None:
    async with Open(sim, "bybit", "/v5/public/inverse") as client:
        await client.ask({"op": "subscribe", "args": ["allLiquidation.BTCUSD"]})
        sent = await sim.send("bybit", "BTCUSD", "long", "100000.0", "0.25")
        heard = await client.hear()
    row = {"T": sent.event_ms, "s": "BTCUSD", "S": "Buy", "v": "25000", "p": "100000.0"}
    assert ("allLiquidation.BTCUSD", "snapshot", [row]) == (heard["topic"], heard["type"], heard["data"])
    assert 25_000 * 10**6 == sim.books.usd("long")


async def test_bybit_lists_instruments_in_pages(sim: Simulator) -> None:
    symbols, cursor = [], ""
    while True:
        path = f"/v5/market/instruments-info?category=linear&limit=7&cursor={cursor}"
        result = (await rest(sim, "bybit", path))["result"]
        symbols += [item["symbol"] for item in result["list"]]
        cursor = result["nextPageCursor"]
        if not cursor:
            break
    expected = [item.symbol for item in sim.venues["bybit"].listings.values() if item.product == "linear"]
    assert expected == symbols


async def test_okx_acknowledges_each_argument_and_refuses_an_instrument_alone(sim: Simulator) -> None:
    async with Open(sim, "okx", "/ws/v5/public") as client:
        await client.say({"op": "subscribe", "args": ALL_OKX})
        assert ALL_OKX == [(await client.hear())["arg"] for _ in ALL_OKX]
        arg = {"channel": "liquidation-orders", "instId": "BTC-USDT-SWAP"}
        refused = await client.ask({"op": "subscribe", "args": [arg]})
        assert ("error", "60018") == (refused["event"], refused["code"])
        assert "pong" == await client.ask("ping")
        await sim.send("okx", "BTC-USDT-SWAP", "short", "112000.0", "0.1234")
        data = (await client.hear())["data"]
    detail = data[0]["details"][0]
    assert ("BTC-USDT-SWAP", "buy", "12.34") == (data[0]["instId"], detail["side"], detail["sz"])
    assert detail["posSide"] in ("short", "net")
    assert 13_820_800_000 == sim.books.usd("short")


async def test_okx_closes_an_idle_socket_and_keeps_one_that_pings(sim: Simulator) -> None:
    async with Open(sim, "okx", "/ws/v5/public") as idle, Open(sim, "okx", "/ws/v5/public") as busy:
        closed = asyncio.create_task(idle.hear_until_closed())
        while not closed.done():
            assert "pong" == await busy.ask("ping")
            await asyncio.sleep(SECOND)
        assert [] == await closed
        assert "pong" == await busy.ask("ping")


async def test_okx_replays_its_last_push_after_a_subscription_when_told_to(sim: Simulator) -> None:
    sim.venues["okx"].trouble.replay = 1
    frames = []
    for _ in range(2):
        async with Open(sim, "okx", "/ws/v5/public") as client:
            await client.ask({"op": "subscribe", "args": ALL_OKX[:1]})
            if not frames:
                await sim.send("okx", "BTC-USDT-SWAP", "long", "112000.0", "1")
            frames.append(await client.hear())
    assert frames[0] == frames[1]
    assert 1 == sim.books.count()


async def test_bitget_tells_worth_in_the_quote_coin(sim: Simulator) -> None:
    async with Open(sim, "bitget", "/v3/ws/public") as client:
        arg = {"instType": "usdt-futures", "topic": "liquidation"}
        assert {"event": "subscribe", "arg": arg, "connId": "simulated"} == await client.ask(
            {"op": "subscribe", "args": [arg]}
        )
        refused = await client.ask({"op": "subscribe", "args": [arg | {"symbol": "BTCUSDT"}]})
        assert ("error", "30001") == (refused["event"], refused["code"])
        assert "pong" == await client.ask("ping")
        sent = await sim.send("bitget", "BTCUSDT", "long", "112000.0", "0.5")
        heard = await client.hear()
    row = {"symbol": "BTCUSDT", "side": "buy", "price": "112000.0", "amount": "56000.0000", "ts": str(sent.event_ms)}
    assert ("update", arg, [row]) == (heard["action"], heard["arg"], heard["data"])


@pytest.mark.parametrize(
    ("headers", "size", "usd"), [({"X-Gate-Size-Decimal": "1"}, "-12345.5", 13826.96), ({}, -12345, 13826.4)]
)
async def test_gate_cuts_fractions_off_for_clients_that_do_not_ask_for_decimals(
    sim: Simulator, headers: dict[str, str], size: object, usd: float
) -> None:
    async with Open(sim, "gate", "/v4/ws/usdt", headers) as client:
        message = {"time": 1, "channel": "futures.public_liquidates", "event": "subscribe", "payload": ["!all"]}
        acknowledged = await client.ask(message)
        assert ("subscribe", {"status": "success"}) == (acknowledged["event"], acknowledged["result"])
        assert "futures.pong" == (await client.ask({"time": 1, "channel": "futures.ping"}))["channel"]
        sent = await sim.send("gate", "BTC_USDT", "long", "11200.0", "1.23455")
        row = (await client.hear())["result"][0]
    assert {"price": "11200.0", "size": size, "time": sent.event_ms, "contract": "BTC_USDT"} == row
    assert round(usd * 10**6) == sim.books.usd("long")


async def test_gate_refuses_an_unknown_contract(sim: Simulator) -> None:
    async with Open(sim, "gate", "/v4/ws/btc") as client:
        message = {"time": 1, "channel": "futures.public_liquidates", "event": "subscribe", "payload": ["BTC_USDT"]}
        refused = await client.ask(message)
    assert "unknown contract BTC_USDT" == refused["error"]["message"]


async def test_htx_packs_every_frame_and_says_numbers(sim: Simulator) -> None:
    async with Open(sim, "htx", "/linear-swap-notification") as client:
        acknowledged = await client.ask(HTX_SUB)
        assert ("sub", 0) == (acknowledged["op"], acknowledged["err-code"])
        assert 2014 == (await client.ask(HTX_SUB | {"topic": "public.BTC-USDT.liquidation_orders"}))["err-code"]
        await sim.send("htx", "ETH-USDT", "long", "4000.07", "1.2345")
        heard = await client.hear()
    assert "public.ETH-USDT.liquidation_orders" == heard["topic"]
    row = heard["data"][0]
    assert ("sell", "close", 123, Decimal("4000.07"), Decimal("1.23"), Decimal("4920.0861")) == tuple(
        row[key] for key in ("direction", "offset", "volume", "price", "amount", "trade_turnover")
    )


async def test_htx_closes_after_five_pings_that_nobody_answers_with_the_same_text(sim: Simulator) -> None:
    async with Open(sim, "htx", "/swap-notification") as client:
        heard = []
        for _ in range(5):
            ping = await client.hear()
            assert isinstance(ping["ts"], str)
            await client.say({"op": "pong", "ts": int(ping["ts"])})  # a number is no answer
            heard.append(ping["op"])
        heard += [message["op"] for message in await client.hear_until_closed()]
    assert ["ping"] * 5 + ["close"] == heard


async def test_htx_keeps_a_socket_that_answers(sim: Simulator) -> None:
    async with Open(sim, "htx", "/swap-notification") as client:
        for _ in range(8):
            ping = await client.hear()
            assert "ping" == ping["op"]
            await client.say({"op": "pong", "ts": ping["ts"]})


@pytest.mark.parametrize(
    ("venue", "path", "count"),
    [
        ("binance", "/fapi/v1/exchangeInfo", lambda body: len(body["symbols"])),
        ("binance", "/dapi/v1/exchangeInfo", lambda body: len(body["symbols"])),
        ("okx", "/api/v5/public/instruments?instType=SWAP", lambda body: len(body["data"])),
        ("okx", "/api/v5/public/instruments?instType=FUTURES", lambda body: len(body["data"])),
        ("bitget", "/api/v3/market/instruments?category=USDT-FUTURES", lambda body: len(body["data"])),
        ("bitget", "/api/v3/market/instruments?category=COIN-FUTURES", lambda body: len(body["data"])),
        ("gate", "/api/v4/futures/usdt/contracts", len),
        ("gate", "/api/v4/futures/usd1/contracts", len),
        ("htx", "/linear-swap-api/v1/swap_contract_info?business_type=all", lambda body: len(body["data"])),
        ("htx", "/swap-api/v1/swap_contract_info", lambda body: len(body["data"])),
    ],
)
async def test_every_documented_list_is_served(sim: Simulator, venue: str, path: str, count: Any) -> None:
    assert count(await rest(sim, venue, path)) > 0


async def test_a_new_listing_appears_in_the_list_and_can_be_subscribed(sim: Simulator) -> None:
    new = Listing("bybit", "linear", "NEWUSDT", "NEW", "USDT", Decimal(1), Decimal("0.01"))
    async with Open(sim, "bybit", "/v5/public/linear") as client:
        request = {"op": "subscribe", "args": ["allLiquidation.NEWUSDT"]}
        assert not (await client.ask(request))["success"]
        sim.list_instrument(new)
        assert (await client.ask(request))["success"]


async def test_a_silent_venue_still_pongs_and_what_it_owed_is_in_the_books_as_missed(sim: Simulator) -> None:
    async with Open(sim, "okx", "/ws/v5/public") as client:
        await client.ask({"op": "subscribe", "args": ALL_OKX[:1]})
        sim.venues["okx"].trouble.silent = True
        await sim.send("okx", "BTC-USDT-SWAP", "long", "100000.0", "1")
        assert "pong" == await client.ask("ping")
    assert (0, 1) == (sim.books.count(), sim.books.missed.of("okx", "long").count)
    assert 100_000 * 10**6 == sim.books.missed.of().micro_usd


async def test_a_venue_answers_connections_and_lists_with_429_when_told_to(sim: Simulator) -> None:
    trouble = sim.venues["gate"].trouble
    trouble.handshake_status = trouble.rest_status = 429
    trouble.retry_after_seconds = 3
    with pytest.raises(InvalidStatus) as refused:
        async with Open(sim, "gate", "/v4/ws/usdt"):
            pass
    assert (429, "3") == (refused.value.response.status_code, refused.value.response.headers["Retry-After"])
    async with (
        aiohttp.ClientSession() as http,
        http.get(sim.origins["gate"].rest + "/api/v4/futures/usdt/contracts") as response,
    ):
        assert (429, "3") == (response.status, response.headers["Retry-After"])


async def test_sockets_are_cut_at_random_and_what_came_before_is_in_the_books(sim: Simulator) -> None:
    sim.venues["okx"].trouble.disconnect_every_seconds = SECOND
    async with Open(sim, "okx", "/ws/v5/public") as client:
        await client.ask({"op": "subscribe", "args": ALL_OKX[:1]})
        heard = asyncio.create_task(client.hear_until_closed())
        while not heard.done():
            await sim.send("okx", "BTC-USDT-SWAP", "long", "100000.0", "1")
            await asyncio.sleep(0)
        assert sim.books.count() == len(await heard)


async def test_half_a_frame_and_the_end(sim: Simulator) -> None:
    async with Open(sim, "okx", "/ws/v5/public") as client:
        assert "pong" == await client.ask("ping")
        await sim.venues["okx"].half_frame()
        assert [] == await client.hear_until_closed()


async def test_an_order_of_another_quote_currency_is_sent_and_kept_out_of_the_usd_books(sim: Simulator) -> None:
    async with Open(sim, "binance", "/market/ws/!forceOrder@arr") as client:
        async with asyncio.timeout(LIMIT):
            await sim.venues["binance"].until_watched()
        await sim.send("binance", "ETHBTC", "long", "0.03500", "2")
        assert "ETHBTC" == (await client.hear())["o"]["s"]
    assert (0, 70_000) == (sim.books.usd(), sim.books.unpriced.of().micro_usd)
