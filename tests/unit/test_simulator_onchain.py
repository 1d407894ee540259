"""Aster, Lighter, Backpack, Orderly and Hyperliquid as simulated: the words of their pages, limits and refusals."""

import json
from collections.abc import AsyncIterator
from decimal import Decimal
from typing import Any

import aiohttp
import pytest_asyncio

from liqwatch.simulator import Simulator
from liqwatch.simulator.dialects.hyperliquid import VAULT
from tests.unit.test_simulator_protocols import SECOND, Client, Open, rest

ONE, TWO = "0x010461c14e146ac35fe42271bdc1134ee31c703a", "0x31ca8395cf837de08b24da3f660e77761dfb974b"


@pytest_asyncio.fixture
async def sim() -> AsyncIterator[Simulator]:
    async with Simulator([], second=SECOND, keep_events=True) as simulator:
        yield simulator


async def hear_until(client: Client, **wanted: Any) -> Any:
    """The next message with these values; what comes before it is passed over."""
    while True:
        heard = await client.hear()
        if all(heard.get(name) == value for name, value in wanted.items()):
            return heard


async def test_aster_tells_of_an_order_while_it_fills_and_at_its_end(sim: Simulator) -> None:
    async with Open(sim, "aster", "/ws") as client:
        subscribe = {"method": "SUBSCRIBE", "params": ["!forceOrder@arr"], "id": 1}
        assert {"result": None, "id": 1} == await client.ask(subscribe)
        orders: list[Any] = []
        for _ in range(30):  # the number of an order says how it goes
            await sim.send("aster", "BTCUSDT", "long", "112000", "0.5")
            orders.append((await client.hear())["o"])
            while orders[-1]["X"] not in ("FILLED", "EXPIRED"):
                orders.append((await client.hear())["o"])
    ended = [order for order in orders if order["X"] in ("FILLED", "EXPIRED")]
    assert {"NEW", "PARTIALLY_FILLED", "FILLED", "EXPIRED", "CANCELED"} == {order["X"] for order in orders}
    assert {("SELL", "0.500", "112000.0")} == {(order["S"], order["z"], order["ap"]) for order in ended}
    assert all(Decimal(order["p"]) < Decimal(order["ap"]) for order in ended)


async def test_aster_refuses_an_unknown_stream_and_its_list_of_orders_is_closed(sim: Simulator) -> None:
    async with Open(sim, "aster", "/stream") as client:
        refused = await client.ask({"method": "SUBSCRIBE", "params": ["nope@forceOrder"], "id": 7})
    assert (2, 7) == (refused["error"]["code"], refused["id"])
    assert "out of maintenance" in (await rest(sim, "aster", "/fapi/v1/allForceOrders"))["msg"]


async def test_lighter_answers_with_a_colon_and_flags_the_taker(sim: Simulator) -> None:
    async with Open(sim, "lighter", "/stream?readonly=true") as client:
        assert "connected" == (await client.ask({"type": "subscribe", "channel": "trade/1"}))["type"]
        yes = await client.hear()
        assert ("subscribed/trade", "trade:1") == (yes["type"], yes["channel"])
        assert "trade" == yes["trades"][0]["type"]
        await sim.send("lighter", "BTC", "short", "112000", "0.5")
        while not (heard := await hear_until(client, type="update/trade"))["liquidation_trades"]:
            pass
    trade = heard["liquidation_trades"][0]
    assert ("liquidation", 1, True, "0.500") == (
        trade["type"],
        trade["market_id"],
        trade["is_maker_ask"],
        trade["size"],
    )
    assert Decimal(trade["taker_position_size_before"]) < 0
    assert trade["timestamp"] == trade["transaction_time"] // 1000


async def test_lighter_replays_what_it_pushed_to_who_subscribes_later(sim: Simulator) -> None:
    async with Open(sim, "lighter", "/stream") as first, Open(sim, "lighter", "/stream") as second:
        await first.ask({"type": "subscribe", "channel": "trade/1"})
        assert "subscribed/trade" == (await first.hear())["type"]
        await sim.send("lighter", "BTC", "long", "112000", "0.5")
        await second.ask({"type": "subscribe", "channel": "trade/1"})
        replayed = await second.hear()
    assert ["liquidation"] == [row["type"] for row in replayed["liquidation_trades"]][:1]
    assert 1 == sim.books.count("long", "lighter")


async def test_lighter_refuses_by_channel_and_by_number(sim: Simulator) -> None:
    async with Open(sim, "lighter", "/stream") as client:
        await client.ask({"type": "subscribe", "channel": "trade/77"})
        assert "Invalid Channel : trade/77" == (await client.hear())["error"]["message"]
        await client.ask({"type": "subscribe", "channel": "trade/1"})
        refused = await client.ask({"type": "subscribe", "channel": "trade/1"})
        assert "Already Subscribed : trade:1" == refused["error"]["message"]


async def test_lighter_hangs_up_on_who_does_not_answer_its_pings(sim: Simulator) -> None:
    sim.venues["lighter"].trouble.ignore_pongs = True
    async with Open(sim, "lighter", "/stream") as client:
        heard = await client.hear_until_closed()
    assert {"type": "ping"} in heard


async def test_backpack_acknowledges_nothing_and_refuses_by_a_number(sim: Simulator) -> None:
    async with Open(sim, "backpack", "/") as client:
        await client.say({"method": "SUBSCRIBE", "params": ["liquidation"]})
        refused = await client.ask({"method": "SUBSCRIBE", "params": ["nope.BTC_USDC_PERP"]})
        assert {"id": None, "error": {"code": 4006, "message": "Invalid stream"}} == refused
        assert 4002 == (await client.ask("{"))["error"]["code"]
        sent = await sim.send("backpack", "BTC_USDC_PERP", "long", "112000", "0.5")
        heard = await client.hear()
    row = heard["data"]
    assert ("liquidation", "Ask", "0.500") == (heard["stream"], row["S"], row["q"])
    assert sent.event_ms == row["T"] // 1000


async def test_backpack_has_no_wildcard_where_it_is_refused_but_streams_of_symbols(sim: Simulator) -> None:
    sim.venues["backpack"].trouble.refuse = {"liquidation"}
    async with Open(sim, "backpack", "/") as client:
        assert 4006 == (await client.ask({"method": "SUBSCRIBE", "params": ["liquidation"]}))["error"]["code"]
        await client.say({"method": "SUBSCRIBE", "params": ["liquidation.BTC_USDC_PERP", "markPrice.BTC_USDC_PERP"]})
        assert "markPrice.BTC_USDC_PERP" == (await client.hear())["stream"]
        await sim.send("backpack", "BTC_USDC_PERP", "short", "112000", "0.5")
        heard = await hear_until(client, stream="liquidation.BTC_USDC_PERP")
    assert "Bid" == heard["data"]["S"]
    assert {"BTC_USDC_PERP"} == {due.entry.listing.symbol for due in sim.books.events}


async def test_orderly_signs_the_position_and_has_its_price_in_another_topic_and_in_the_list(sim: Simulator) -> None:
    async with Open(sim, "orderly", "/ws/stream/anybody") as client:
        for topic in ("markprices", "liquidation"):
            answer = await client.ask({"id": topic, "topic": topic, "event": "subscribe"})
            assert (topic, True) == (answer["id"], answer["success"])
        sent = await sim.send("orderly", "PERP_BTC_USDC", "short", "112000", "0.5")
        heard = await hear_until(client, topic="liquidation")
    (row,) = heard["data"]
    position = row["positionsByPerp"][-1]
    assert ("PERP_BTC_USDC", Decimal("-0.5")) == (position["symbol"], position["positionQty"])
    assert "price" not in json.dumps(heard, default=str).lower()
    listed = await rest(sim, "orderly", f"/v1/public/liquidated_positions?start_t={sent.event_ms}&size=5")
    (past,) = listed["data"]["rows"]
    assert (row["liquidationId"], 112000.0, -0.5) == (
        past["liquidation_id"],
        past["positions_by_perp"][0]["transfer_price"],
        past["positions_by_perp"][0]["position_qty"],
    )


async def test_orderly_pings_in_json_and_refuses_in_words(sim: Simulator) -> None:
    async with Open(sim, "orderly", "/ws/stream/anybody") as client:
        refused = await client.ask({"id": "7", "topic": "nope", "event": "subscribe"})
        assert (False, "invalid topic nope") == (refused["success"], refused["errorMsg"])
        assert "ping" == (await client.hear())["event"]
        await client.say({"event": "pong"})


async def test_hyperliquid_flags_the_fills_of_a_vault_and_tells_both_vaults_of_one_trade(sim: Simulator) -> None:
    async with Open(sim, "hyperliquid", "/ws") as client:
        for user in (ONE, TWO):
            yes = await client.ask({"method": "subscribe", "subscription": {"type": "userFills", "user": user}})
            assert user == yes["data"]["subscription"]["user"]
            assert (True, []) == ((snapshot := (await client.hear())["data"])["isSnapshot"], snapshot["fills"])
        await sim.send("hyperliquid", "BTC", "long", "112000", "0.5")
        flagged: list[Any] = []
        while not flagged:
            heard = await hear_until(client, channel="userFills")
            flagged = [fill for fill in heard["data"]["fills"] if "liquidation" in fill]
        await client.say({"method": "ping"})
        assert {"channel": "pong"} == await hear_until(client, channel="pong")
    assert ("B", "0.500") == (flagged[0]["side"], flagged[0]["sz"])
    assert flagged[0]["liquidation"]["liquidatedUser"] not in (ONE, TWO, VAULT)


async def test_hyperliquid_tracks_ten_users_and_no_more(sim: Simulator) -> None:
    async with Open(sim, "hyperliquid", "/ws") as client:
        for number in range(11):
            await client.say({"method": "subscribe", "subscription": {"type": "userFills", "user": f"0x{number:040x}"}})
        refused = await hear_until(client, channel="error")
    assert "Cannot track more than 10 total users." == refused["data"]


async def test_hyperliquid_lists_its_markets_to_a_post(sim: Simulator) -> None:
    async with aiohttp.ClientSession() as http:
        place = sim.origins["hyperliquid"].rest + "/info"
        async with http.post(place, json={"type": "allPerpMetas"}) as response:
            metas = await response.json()
        async with http.post(place, json={"type": "nothing"}) as response:
            assert 422 == response.status
    assert "BTC" in [market["name"] for market in metas[0]["universe"]]
    assert "xyz:NVDA" in [market["name"] for market in metas[1]["universe"]]
