"""Ordinary trades as the trade feeds send them, in the documented formats, seeded: what most of such a feed is.

Each function gives one frame and is named as its venue; the number of trades in it stands beside it in `ORDINARY`.
"""

import random
import struct
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

Frame = dict[str, Any] | bytes


def _price(rng: random.Random) -> float:
    return round(rng.uniform(60_000, 80_000), 1)


def _size(rng: random.Random) -> str:
    return f"{rng.uniform(0.001, 2):.3f}"


def _iso(at: int) -> str:
    moment = datetime.fromtimestamp(at // 1000, UTC)
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{at % 1000:03}Z"


def kraken_futures(rng: random.Random, at: int) -> Frame:
    return {
        "feed": "trade",
        "product_id": "PF_XBTUSD",
        "uid": f"{rng.getrandbits(32):08x}-6d1c-4c1e-9a1b-{rng.getrandbits(48):012x}",
        "side": rng.choice(["buy", "sell"]),
        "type": "fill",
        "seq": at % 1_000_000,
        "time": at,
        "qty": float(_size(rng)),
        "price": _price(rng),
    }


def deribit(rng: random.Random, at: int) -> Frame:
    trades = [
        {
            "trade_seq": at % 1_000_000 + number,
            "trade_id": str(400_000_000 + rng.getrandbits(24)),
            "timestamp": at,
            "tick_direction": rng.randrange(4),
            "price": _price(rng),
            "mark_price": _price(rng),
            "index_price": _price(rng),
            "instrument_name": "BTC-PERPETUAL",
            "direction": rng.choice(["buy", "sell"]),
            "contracts": 1.0 * rng.randint(1, 500),
            "amount": 10.0 * rng.randint(1, 500),
        }
        for number in range(2)
    ]
    params = {"channel": "trades.future.any.100ms", "data": trades}
    return {"jsonrpc": "2.0", "method": "subscription", "params": params}


def dydx(rng: random.Random, at: int) -> Frame:
    trade = {
        "id": f"{rng.getrandbits(96):024x}",
        "size": _size(rng),
        "price": str(_price(rng)),
        "side": rng.choice(["BUY", "SELL"]),
        "createdAt": _iso(at),
        "type": "LIMIT",
    }
    return {
        "type": "channel_data",
        "connection_id": "3f0a2f44-7d0d-4a94-9a25-0d8a4d2f1c11",
        "message_id": at % 100_000,
        "id": "BTC-USD",
        "channel": "v4_trades",
        "version": "2.1.0",
        "contents": {"trades": [trade]},
    }


def lighter(rng: random.Random, at: int) -> Frame:
    number, size, price = 5_000_000_000 + rng.getrandbits(24), _size(rng), _price(rng)
    trade = {
        "trade_id": number,
        "trade_id_str": str(number),
        "tx_hash": f"{rng.getrandbits(256):064x}",
        "type": "trade",
        "market_id": 1,
        "size": size,
        "price": str(price),
        "usd_amount": f"{float(size) * price:.6f}",
        "ask_id": rng.getrandbits(48),
        "bid_id": rng.getrandbits(48),
        "ask_client_id": 0,
        "bid_client_id": 0,
        "ask_account_id": rng.getrandbits(18),
        "bid_account_id": rng.getrandbits(18),
        "is_maker_ask": rng.choice([True, False]),
        "block_height": 100_000_000 + at % 1_000_000,
        "timestamp": at,
        "taker_position_size_before": _size(rng),
        "transaction_time": at * 1000,
    }
    return {
        "channel": "trade:1",
        "liquidation_trades": [],
        "nonce": rng.getrandbits(32),
        "trades": [trade],
        "type": "update/trade",
    }


def extended(rng: random.Random, at: int) -> Frame:
    trade = {
        "m": "BTC-USD",
        "S": rng.choice(["BUY", "SELL"]),
        "tT": "TRADE",
        "T": at,
        "p": str(_price(rng)),
        "q": _size(rng),
        "i": 1_990_000_000_000_000_000 + rng.getrandbits(32),
    }
    return {"ts": at + 12, "data": [trade], "seq": (at - 1_795_000_000_000) // 37 + 1}


def pacifica(rng: random.Random, at: int) -> Frame:
    trade = {
        "h": 90_000_000 + at % 1_000_000,
        "s": "BTC",
        "a": _size(rng),
        "p": str(round(_price(rng))),
        "d": rng.choice(["open_long", "open_short", "close_long", "close_short"]),
        "tc": "normal",
        "t": at,
        "li": 1_600_000_000 + rng.getrandbits(24),
        "it": 0,
    }
    return {"channel": "trades", "data": [trade]}


def paradex(rng: random.Random, at: int) -> Frame:
    price, size = round(_price(rng) * 10**8), rng.randint(10**5, 10**8)
    name, number = b"BTC-USD-PERP", str(at * 10**6 + rng.getrandbits(16)).encode()
    header = struct.pack("<HHHH", 50, 1, 1, 3)
    block = struct.pack("<qqqBqqqB", at * 1000, at % 10**6, 0, rng.choice([1, 2]), price, size, at * 1000, 1)
    return header + block + bytes([len(name)]) + name + bytes([len(number)]) + number


def hyperliquid(rng: random.Random, at: int) -> Frame:
    fill = {
        "coin": "BTC",
        "px": str(_price(rng)),
        "sz": _size(rng),
        "side": rng.choice(["A", "B"]),
        "time": at,
        "startPosition": _size(rng),
        "dir": rng.choice(["Open Long", "Open Short", "Close Long", "Close Short"]),
        "closedPnl": "0.0",
        "hash": f"0x{rng.getrandbits(256):064x}",
        "oid": rng.getrandbits(38),
        "crossed": rng.choice([True, False]),
        "fee": "0.0",
        "tid": rng.getrandbits(48),
        "feeToken": "USDC",
    }
    user = "0x010461c14e146ac35fe42271bdc1134ee31c703a"
    return {"channel": "userFills", "data": {"user": user, "fills": [fill]}}


# Venue: (how a frame is made, trades in it).
ORDINARY: dict[str, tuple[Callable[[random.Random, int], Frame], int]] = {
    "kraken_futures": (kraken_futures, 1),
    "deribit": (deribit, 2),
    "dydx": (dydx, 1),
    "lighter": (lighter, 1),
    "extended": (extended, 1),
    "pacifica": (pacifica, 1),
    "paradex": (paradex, 1),
    "hyperliquid": (hyperliquid, 1),
}
