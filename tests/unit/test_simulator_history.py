"""The simulated venues' REST histories: paging, limits and signs as documented, and what nobody heard is in them."""

import json
from collections.abc import AsyncIterator
from decimal import Decimal
from typing import Any

import aiohttp
import pytest_asyncio

from liqwatch.simulator import Simulator
from liqwatch.simulator.dialects import standard
from liqwatch.simulator.orders import Entry, entry
from liqwatch.simulator.past import Past
from tests.unit.test_scenarios import LISTINGS
from tests.unit.test_simulator_play import order


@pytest_asyncio.fixture
async def sim() -> AsyncIterator[Simulator]:
    """Nobody is connected: whatever is sent is missed."""
    async with Simulator([]) as simulator:
        yield simulator


async def ask(sim: Simulator, venue: str, path: str, **query: object) -> Any:
    texts = {name.rstrip("_"): str(value) for name, value in query.items()}
    async with aiohttp.ClientSession() as http, http.get(sim.origins[venue].rest + path, params=texts) as response:
        return json.loads(await response.text(), parse_float=Decimal)


async def sent(sim: Simulator, venue: str, symbol: str, count: int) -> list[Entry]:
    return [await sim.send(venue, symbol, "long", "100000", str(n + 1)) for n in range(count)]


async def test_gate_lists_positions_by_their_sign_and_orders_by_the_opposite(sim: Simulator) -> None:
    long = await sim.send("gate", "BTC_USDT", "long", "100000.0", "0.5")
    short = await sim.send("gate", "BTC_USDT", "short", "100000.0", "0.25")
    await sim.send("gate", "BTC_USD1", "short", "100000.0", "0.25")
    rows = await ask(sim, "gate", "/api/v4/futures/usdt/liq_orders", contract="BTC_USDT")
    expected = [(short.event_ms // 1000, "-2500.0", "2500.0"), (long.event_ms // 1000, "5000.0", "-5000.0")]
    assert expected == [(row["time"], row["size"], row["order_size"]) for row in rows]
    assert {("100000.0", "100300.0", "0")} == {(row["order_price"], row["fill_price"], row["left"]) for row in rows}
    assert 2 == sim.books.missed.of("gate", symbol="BTC_USDT").count


async def test_gate_answers_a_hundred_rows_of_an_hour_unless_asked_for_a_thousand(sim: Simulator) -> None:
    entries = await sent(sim, "gate", "BTC_USDT", 120)
    place, until = "/api/v4/futures/usdt/liq_orders", entries[-1].event_ms // 1000
    assert 100 == len(await ask(sim, "gate", place))
    assert 120 == len(await ask(sim, "gate", place, from_=until - 3600, to=until, limit=5000))
    refused = await ask(sim, "gate", place, from_=until - 3601, to=until)
    assert "INVALID_PARAM_VALUE" == refused["label"]
    assert [] == await ask(sim, "gate", place, from_=until + 1, to=until + 2)


async def test_okx_pages_by_time_through_one_family(sim: Simulator) -> None:
    entries = await sent(sim, "okx", "BTC-USDT-SWAP", 130)
    await sim.send("okx", "BTC-USD-SWAP", "short", "100000", "1")
    query = {"instType": "SWAP", "instFamily": "BTC-USDT", "state": "filled"}
    times: list[int] = []
    while True:
        after = {"after": times[-1]} if times else {}
        answer = await ask(sim, "okx", "/api/v5/public/liquidation-orders", **query, **after)
        details = [detail for data in answer["data"] for detail in data["details"]]
        if not details:
            break
        assert {"sell"} == {detail["side"] for detail in details}
        times += [int(detail["ts"]) for detail in details]
    assert [item.event_ms for item in reversed(entries)] == times
    newer = await ask(sim, "okx", "/api/v5/public/liquidation-orders", **query, before=entries[126].event_ms)
    assert [item.event_ms for item in entries[:126:-1]] == [int(row["ts"]) for row in newer["data"][0]["details"]]


async def test_okx_asks_for_a_family(sim: Simulator) -> None:
    answer = await ask(sim, "okx", "/api/v5/public/liquidation-orders", instType="SWAP", state="filled")
    assert "50015" == answer["code"]


async def test_bitget_pages_by_a_cursor_only(sim: Simulator) -> None:
    entries = await sent(sim, "bitget", "BTCUSDT", 230)
    rows: list[Any] = []
    cursor: dict[str, str] = {}
    sizes = []
    while True:
        answer = await ask(sim, "bitget", "/api/v3/market/liquidations", category="USDT-FUTURES", limit=500, **cursor)
        rows += answer["data"]["list"]
        sizes.append(len(answer["data"]["list"]))
        if not answer["data"]["cursor"]:
            break
        cursor = {"cursor": answer["data"]["cursor"]}
    assert [100, 100, 30] == sizes
    assert [str(item.event_ms) for item in reversed(entries)] == [row["ts"] for row in rows]
    assert {"buy"} == {row["side"] for row in rows}  # the position, as on the socket
    assert entries[0].notional() == Decimal(rows[-1]["amount"])


async def test_htx_pages_by_the_number_of_a_row(sim: Simulator) -> None:
    entries = await sent(sim, "htx", "BTC-USDT", 120)
    await sim.send("htx", "ETH-USDT", "long", "4000", "1")
    query = {"contract": "BTC-USDT", "trade_type": 0}
    rows: list[Any] = []
    while True:
        start = {"from_id": rows[-1]["query_id"]} if rows else {}
        page = (await ask(sim, "htx", "/linear-swap-api/v3/swap_liquidation_orders", **query, **start))["data"]
        if not page:
            break
        rows += page
    assert [(item.event_ms, "sell", item.contracts) for item in reversed(entries)] == [
        (row["created_at"], row["direction"], row["volume"]) for row in rows
    ]
    oldest = await ask(sim, "htx", "/linear-swap-api/v3/swap_liquidation_orders", **query, direct="next")
    assert [item.event_ms for item in entries[:50]] == [row["created_at"] for row in oldest["data"]]


async def test_htx_tells_of_the_coin_margined_swaps_elsewhere_and_of_two_hours_at_most(sim: Simulator) -> None:
    made = await sim.send("htx", "BTC-USD", "short", "100000", "1")
    query = {"contract": "BTC-USD", "trade_type": 6}
    place = "/swap-api/v3/swap_liquidation_orders"
    rows = (await ask(sim, "htx", place, **query))["data"]
    assert [("buy", 1000)] == [(row["direction"], row["volume"]) for row in rows]
    assert [] == (await ask(sim, "htx", place, **query | {"trade_type": 5}))["data"]
    assert 1332 == (await ask(sim, "htx", "/linear-swap-api/v3/swap_liquidation_orders", **query))["code"]
    longer = {"start_time": made.event_ms - 7_200_001, "end_time": made.event_ms}
    assert 200 != (await ask(sim, "htx", place, **query, **longer))["code"]


def test_the_past_is_sorted_by_time_and_bounded() -> None:
    listing = LISTINGS["binance", "BTCUSDT"]
    assert listing in standard("binance")
    past = Past(kept=100)
    made = [entry(listing, order(0), at, at) for at in range(200)]
    for place in range(0, 200, 2):
        past.add([made[place + 1], made[place]])
    assert list(made[200 - len(past) :]) == list(past)
    assert 100 <= len(past) <= 110
