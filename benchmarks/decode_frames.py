"""Frames of the decode benchmark written by hand: many different ones of each kind, in the documented formats, seeded.

They are of the venues with several forms of which each is worth measuring.
"""

import json
import random
from collections.abc import Callable
from typing import Any

DIFFERENT = 500
START_MS = 1_795_000_000_000

Frame = dict[str, Any]


def texts(name: str) -> list[str]:
    """The wire texts of one kind of frame, all different, the same in every process."""
    rng = random.Random(f"decode {name}")
    make = KINDS[name]
    return [json.dumps(make(rng, START_MS + 37 * number), separators=(",", ":")) for number in range(DIFFERENT)]


def _price(rng: random.Random) -> str:
    return f"{rng.uniform(60_000, 80_000):.1f}"


def _size(rng: random.Random) -> str:
    return f"{rng.uniform(0.001, 2):.3f}"


def _order(rng: random.Random, at: int, symbol: str, pair: str, product: int, size: str) -> Frame:
    order = {
        "s": symbol,
        "S": rng.choice(["SELL", "BUY"]),
        "o": "LIMIT",
        "f": "IOC",
        "q": size,
        "p": _price(rng),
        "ap": _price(rng),
        "X": "FILLED",
        "l": size,
        "z": size,
        "T": at,
        "ps": pair,
        "st": product,
    }
    return {"e": "forceOrder", "E": at + 1000, "o": order}


def binance(rng: random.Random, at: int) -> Frame:
    return _order(rng, at, "BTCUSDT", "BTCUSDT", 1, _size(rng))


def binance_wrapped(rng: random.Random, at: int) -> Frame:
    return {"stream": "!forceOrder@arr", "data": binance(rng, at)}


def coinm(rng: random.Random, at: int) -> Frame:
    return _order(rng, at, "BTCUSD_270326", "BTCUSD", 2, str(rng.randint(1, 500)))


def coinm_wrapped(rng: random.Random, at: int) -> Frame:
    return {"stream": "!forceOrder@arr", "data": coinm(rng, at)}


def _bybit(rng: random.Random, at: int, symbol: str, sizes: list[str]) -> Frame:
    rows = [
        {"T": at + number, "s": symbol, "S": rng.choice(["Buy", "Sell"]), "v": size, "p": _price(rng)}
        for number, size in enumerate(sizes)
    ]
    return {"topic": f"allLiquidation.{symbol}", "type": "snapshot", "ts": at + 400, "data": rows}


def bybit(rng: random.Random, at: int) -> Frame:
    return _bybit(rng, at, "BTCUSDT", [_size(rng)])


def bybit_two(rng: random.Random, at: int) -> Frame:
    return _bybit(rng, at, "BTCUSDT", [_size(rng), _size(rng)])


def bybit_inverse(rng: random.Random, at: int) -> Frame:
    return _bybit(rng, at, "BTCUSD", [str(rng.randint(1, 50_000))])


def _okx(rng: random.Random, at: int, family: str) -> Frame:
    position, order = rng.choice([("long", "sell"), ("short", "buy")])
    detail = {
        "bkLoss": "0",
        "bkPx": _price(rng),
        "ccy": "",
        "posSide": position,
        "side": order,
        "sz": f"{rng.uniform(0.1, 90):.2f}",
        "ts": str(at),
    }
    item = {
        "details": [detail],
        "instFamily": family,
        "instId": f"{family}-SWAP",
        "instType": "SWAP",
        "uly": family,
    }
    return {"arg": {"channel": "liquidation-orders", "instType": "SWAP"}, "data": [item]}


def okx(rng: random.Random, at: int) -> Frame:
    return _okx(rng, at, "BTC-USDT")


def okx_inverse(rng: random.Random, at: int) -> Frame:
    return _okx(rng, at, "BTC-USD")


def bitget(rng: random.Random, at: int) -> Frame:
    row = {
        "symbol": "BTCUSDT",
        "side": rng.choice(["buy", "sell"]),
        "price": _price(rng),
        "amount": f"{rng.uniform(10, 90_000):.4f}",
        "ts": str(at),
    }
    arg = {"instType": "usdt-futures", "topic": "liquidation"}
    return {"action": "update", "arg": arg, "data": [row], "ts": at + 900}


def gate(rng: random.Random, at: int) -> Frame:
    rows = [
        {"price": _price(rng), "size": f"{rng.choice([-1, 1]) * rng.uniform(1, 900):.1f}", "time": at + number}
        for number in range(2)
    ]
    return {
        "channel": "futures.public_liquidates",
        "event": "update",
        "time": at // 1000,
        "time_ms": at + 50,
        "result": [row | {"contract": "BTC_USDT"} for row in rows],
    }


def htx(rng: random.Random, at: int) -> Frame:
    row = {
        "symbol": "BTC",
        "contract_code": "BTC-USDT",
        "direction": rng.choice(["buy", "sell"]),
        "offset": "close",
        "volume": rng.randint(1, 900),
        "price": float(_price(rng)),
        "created_at": at,
        "amount": 0.5,
        "trade_turnover": 35_000.5,
        "contract_type": "swap",
        "pair": "BTC-USDT",
        "business_type": "swap",
        "trade_partition": "USDT",
    }
    return {"op": "notify", "topic": "public.BTC-USDT.liquidation_orders", "ts": at + 5, "data": [row]}


KINDS: dict[str, Callable[[random.Random, int], Frame]] = {
    "binance": binance,
    "binance, wrapped": binance_wrapped,
    "binance COIN-M": coinm,
    "binance COIN-M, wrapped": coinm_wrapped,
    "bybit, 1 row": bybit,
    "bybit, 2 rows": bybit_two,
    "bybit inverse": bybit_inverse,
    "okx": okx,
    "okx inverse": okx_inverse,
    "bitget": bitget,
    "gate, 2 rows": gate,
    "htx": htx,
}
