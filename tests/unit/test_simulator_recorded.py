"""Recorded rows go out as the wire frames that they were, moved to the present."""

import asyncio
import gzip
import json
from decimal import Decimal
from pathlib import Path

import pytest
from websockets.asyncio.client import connect

from liqwatch.simulator import recorded

HEADER = "T,s,S,o,f,q,p,ap,X,l,z,symbol_recorded\n"
ROWS = (
    "1700000000500,LTCUSDT,SELL,LIMIT,IOC,2.5,69.80,70.02,FILLED,1.5,2.5,LTC\n"
    "1700000000498,XRPUSDC,BUY,LIMIT,IOC,100,0.6210,,FILLED,100,100,XRPUSDC\n"
    "1700000003500,BTCUSDT_240329,BUY,LIMIT,IOC,0.01,36100,36000.5,FILLED,0.01,0.01,BTC_240329\n"
    "1700000003500,ETHBTC,SELL,LIMIT,IOC,1,0.05,0.051,FILLED,1,1,ETHBTC\n"
)


def write(folder: Path, text: str) -> Path:
    path = folder / "recording.csv.gz"
    path.write_bytes(gzip.compress(text.encode()))
    return path


async def test_rows_are_sent_in_the_order_of_the_file_with_times_moved_to_the_present(tmp_path: Path) -> None:
    recording = recorded.read(write(tmp_path, HEADER + ROWS))
    async with recorded.simulator(recording) as sim, asyncio.timeout(10):
        url = sim.origins["binance"].websocket + "/market/ws/!forceOrder@arr"
        async with connect(url, compression=None) as socket:
            await sim.until_watched()
            sent = await recorded.play(recording, sim)
            orders = [json.loads(await socket.recv())["o"] for _ in sent]
    last_ms = sent[-1].event_ms
    assert [last_ms - 3000, last_ms - 3002, last_ms, last_ms] == [order.pop("T") for order in orders]
    first = dict(
        s="LTCUSDT", S="SELL", o="LIMIT", f="IOC", q="2.5", p="69.80", ap="70.02", X="FILLED", l="1.5", z="2.5"
    )
    assert first == orders[0]
    assert ["LTCUSDT", "XRPUSDC", "BTCUSDT_240329", "ETHBTC"] == [order["s"] for order in orders]
    assert (175_050_000, 62_100_000 + 360_005_000) == (sim.books.usd("long"), sim.books.usd("short"))
    assert 1 == sim.books.unpriced.of().count


def test_base_and_quote_come_from_the_name() -> None:
    found = recorded.listings(["1000PEPEUSDT", "BTCUSDT_240329", "ETHBTC", "BTCUSDC"])
    expected = [("1000PEPE", "USDT", False), ("BTC", "USDT", True), ("ETH", "BTC", False), ("BTC", "USDC", False)]
    assert expected == [(listing.base, listing.quote, listing.dated) for listing in found.values()]


def test_a_row_without_an_average_price_is_worth_its_limit_price(tmp_path: Path) -> None:
    recording = recorded.read(write(tmp_path, HEADER + ROWS))
    assert Decimal("62.1") == recording.entries(0)[1].notional()


def test_another_kind_of_file_is_refused_by_the_columns_it_lacks(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no column S, T, X"):
        recorded.read(write(tmp_path, "o,f,q,p,ap,l,z,s\n1,2,3,4,5,6,7,8\n"))
