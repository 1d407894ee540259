"""One contender of the decode benchmark, in the environment that has it: `decode_worker.py NAME SECONDS FILE`.

FILE is the table of `decode_kinds.py`. Prints a JSON object: what it can read and which versions it runs on. Then, for
every line on stdin, which names a kind of frame: the CPU seconds that one took. CPU time, because a shared machine's
wall clock also measures the neighbours.
"""

import asyncio
import gc
import json
import logging
import os
import struct
import sys
import time
from collections.abc import Callable, Iterator
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from itertools import cycle, islice
from pathlib import Path
from typing import Any

NOW_MS = 1_795_000_500_000
Frame = str | bytes
Once = Callable[[list[Frame]], float]  # CPU seconds for these frames
KINDS: dict[str, dict[str, Any]] = {}  # read from the file
FRAMES: dict[str, list[Frame]] = {}


def floor() -> Iterator[tuple[str, Once]]:
    """Bare `orjson.loads`; of binary frames, the fields of Paradex's trade by `struct`."""
    import orjson

    unpack = struct.Struct("<HHHHqqqBqqqB").unpack_from
    for name, frames in FRAMES.items():
        yield name, timed(unpack if isinstance(frames[0], bytes) else orjson.loads)


def ours() -> Iterator[tuple[str, Once]]:
    """A session's `receive`: instruments, ids and validation included, as `normalize` calls it."""
    sys.path.insert(0, str(Path(__file__).parents[1]))
    from benchmarks.decode_kinds import session_of

    for name, kind in KINDS.items():
        receive = session_of(kind)
        if kind["trades"]:
            yield name, afresh(partial(session_of, kind), len(FRAMES[name]))
            continue
        assert all(receive(frame, NOW_MS).liquidations for frame in FRAMES[name]), name
        yield name, timed(receive, NOW_MS)


def afresh(receive_of: Callable[[], Callable[..., object]], every: int) -> Once:
    """A new session for every so many frames, which may be numbered."""

    def once(frames: list[Frame]) -> float:
        seconds = 0.0
        for begin in range(0, len(frames), every):
            receive, some = receive_of(), frames[begin : begin + every]
            start = time.process_time()
            for frame in some:
                receive(frame, NOW_MS)
            seconds += time.process_time() - start
        return seconds

    return once


def cryptofeed() -> Iterator[tuple[str, Once]]:
    """cryptofeed's own message handlers, callbacks included."""
    from cryptofeed.defines import LIQUIDATIONS
    from cryptofeed.exchanges import OKX, BinanceDelivery, BinanceFutures, Bitmex, Bybit, Deribit
    from cryptofeed.symbols import Symbols

    class Connection:
        uuid = "benchmark"

        def __init__(self, address: str) -> None:
            self.address = address

    heard: list[object] = []

    async def callback(liquidation: object, receipt: float) -> None:
        heard.append(liquidation)

    classes = {
        "binance COIN-M": (BinanceDelivery, "BTCUSD_270326", "BTC-USD-27H26", "wss://dstream.binance.com/stream"),
        "binance": (BinanceFutures, "BTCUSDT", "BTC-USDT-PERP", "wss://fstream.binance.com/stream"),
        "bybit": (Bybit, "BTCUSDT", "BTC-USDT-PERP", "wss://stream.bybit.com/v5/public/linear"),
        "okx": (OKX, "BTC-USDT-SWAP", "BTC-USDT-PERP", "wss://ws.okx.com:8443/ws/v5/public"),
        "bitmex": (Bitmex, None, "BTC-USD-PERP", "wss://www.bitmex.com/realtime"),
        "deribit": (Deribit, None, "BTC-USD-PERP", "wss://www.deribit.com/ws/api/v2"),
    }
    loop = asyncio.new_event_loop()
    for name, kind in KINDS.items():
        for prefix, (exchange, symbol, standard, address) in classes.items():
            if not name.startswith(prefix):
                continue
            about = {"instrument_type": {standard: "perpetual"}, "tick_size": {}, "is_quanto": {}}
            Symbols.set(exchange.id, {standard: symbol or kind["symbol"]}, about)
            feed = exchange(symbols=[standard], channels=[LIQUIDATIONS], callbacks={LIQUIDATIONS: callback})

            connection = Connection(address)

            async def run(frames: list[Frame], feed: Any = feed, connection: Any = connection) -> float:
                handle = feed.message_handler
                start = time.process_time()
                for frame in frames:
                    await handle(frame, connection, 1.0)
                return time.process_time() - start

            heard.clear()
            try:
                loop.run_until_complete(run(FRAMES[name][:3]))
            except Exception:  # a frame that it cannot read
                heard.clear()
            if len(heard) >= 3:
                yield name, lambda frames, run=run: (heard.clear(), loop.run_until_complete(run(frames)))[1]
            break


def ccxt() -> Iterator[tuple[str, Once]]:
    """ccxt.pro's own handlers; it caches at most 1,000 liquidations a symbol."""
    from ccxt import pro

    setups = {
        "binance COIN-M": (pro.binancecoinm, "wss://dstream.binance.com/ws/0", "BTCUSD_270326", False, 100),
        "binance": (pro.binanceusdm, "wss://fstream.binance.com/market/ws/0", "BTCUSDT", True, 1),
        "bybit inverse": (pro.bybit, "wss://stream.bybit.com/v5/public/inverse", "BTCUSD", False, 1),
        "bybit": (pro.bybit, "wss://stream.bybit.com/v5/public/linear", "BTCUSDT", True, 1),
        "okx inverse": (pro.okx, "wss://ws.okx.com:8443/ws/v5/public", "BTC-USD-SWAP", False, 100),
        "okx": (pro.okx, "wss://ws.okx.com:8443/ws/v5/public", "BTC-USDT-SWAP", True, 0.01),
        "bitget": (pro.bitget, "wss://ws.bitget.com/v2/ws/public", "BTCUSDT", True, 1),
        "gate": (pro.gate, "wss://fx-ws.gateio.ws/v4/ws/usdt", "BTC_USDT", True, 0.0001),
        "htx": (pro.htx, "wss://api.hbdm.com/linear-swap-notification", "BTC-USDT", True, 0.001),
        "lighter": (pro.lighter, "wss://mainnet.zklighter.elliot.ai/stream", "1", True, 1),
    }
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)

    async def build(exchange: Any, url: str, *market: Any) -> tuple[Any, Any]:
        made = exchange()
        made.set_markets([_ccxt_market(*market)])
        return made, made.client(url)

    async def run(handle: Callable[[str], None], frames: list[Frame]) -> float:
        start = time.process_time()
        for frame in frames:
            handle(frame)
        return time.process_time() - start

    for name in KINDS:
        prefix = next((prefix for prefix in setups if name.startswith(prefix)), None)
        if prefix is None:
            continue
        made, client = loop.run_until_complete(build(*setups[prefix]))
        made.liquidations = None
        handle = client.handle_text_or_binary_message
        try:
            loop.run_until_complete(run(handle, FRAMES[name][:3]))
        except Exception:  # a frame that it cannot read
            made.liquidations = None
        if made.liquidations:
            yield name, lambda frames, handle=handle: loop.run_until_complete(run(handle, frames))


def _ccxt_market(name: str, linear: bool, size: float) -> dict[str, Any]:
    """What ccxt would have learned of a swap from the venue's REST list."""
    quote, settle = ("USDT", "USDT") if linear else ("USD", "BTC")
    coins = {"base": "BTC", "quote": quote, "settle": settle, "baseId": "BTC", "quoteId": quote, "settleId": settle}
    kinds = {"spot": False, "margin": False, "swap": True, "future": False, "option": False, "contract": True}
    return {
        "id": name,
        "lowercaseId": name.lower(),
        "symbol": f"BTC/{quote}:{settle}",
        "type": "swap",
        "active": True,
        "linear": linear,
        "inverse": not linear,
        "contractSize": size,
        "precision": {"amount": 0.001, "price": 0.1},
        "limits": {},
        "info": {},
        **coins,
        **kinds,
    }


def timed(function: Callable[..., object], *more: object) -> Once:
    def once(frames: list[Frame]) -> float:
        start = time.process_time()
        if more:
            (second,) = more
            for frame in frames:
                function(frame, second)
        else:
            for frame in frames:
                function(frame)
        return time.process_time() - start

    return once


def main() -> None:
    logging.disable(logging.CRITICAL)
    if hasattr(os, "sched_setaffinity"):  # all contenders on the same core: it is as fast, and as disturbed, for all
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    seconds = float(sys.argv[2])
    contender: Callable[[], Iterator[tuple[str, Once]]] = {
        "floor": floor, "ours": ours, "cryptofeed": cryptofeed, "ccxt": ccxt,
    }[sys.argv[1]]  # fmt: skip
    KINDS.update(json.loads(Path(sys.argv[3]).read_text(encoding="utf-8")))
    for name, kind in KINDS.items():
        FRAMES[name] = [bytes.fromhex(one[4:]) if one.startswith("hex:") else one for one in kind["texts"]]
    plan: dict[str, tuple[Once, list[Frame]]] = {}
    for name, once in contender():
        frames = FRAMES[name]
        once(frames)  # warm
        took = once(frames) / len(frames)
        plan[name] = once, list(islice(cycle(frames), max(len(frames), int(seconds / took))))
    print(json.dumps({"reads": list(plan), "versions": versions()}), flush=True)
    for line in sys.stdin:
        once, frames = plan[line.strip()]
        gc.collect()
        print(once(frames) / len(frames), flush=True)


def versions() -> dict[str, str]:
    found = {}
    for package in ("orjson", "msgspec", "cryptofeed", "ccxt"):
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


if __name__ == "__main__":
    main()
