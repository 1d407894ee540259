"""Frame received to alert delivered, with a burst of ordinary liquidations around it: p50 and p99.

A local venue server in this process sends `--rate` Binance frames a second, one symbol of many each time, to real
liqwatch processes. Every 200 ms a large order takes the total of all shorts over the threshold of the next of many
rules (with `--coins`: the total of one more coin over that of an `each base` rule); the alert's webhook ends at a local
chat server in this process. Latency is from the moment the large order's frame is written to the socket until the chat
server has the first byte of the request. The first seconds, while everything is warmed up, have no crossings.

`--targets` tells every crossing to so many webhooks, `--dead` of which are dead: by turns a port that accepts and never
answers, and one that refuses. The figures are then over every pair of a crossing and a target that lives.

    python -m benchmarks.latency embedded
    python -m benchmarks.latency embedded --targets 50 --dead 10
    python -m benchmarks.latency kafka --bootstrap 127.0.0.1:9092
"""

import argparse
import asyncio
import contextlib
import json
import statistics
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import orjson
from aiohttp import web
from tests.support.program import Program, free_port, running
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed

ORDINARY = [f"C{number:03d}USDT" for number in range(300)]
LARGE = [f"L{number:03d}USDT" for number in range(200)]
COINM = {
    "symbol": "BTCUSD_PERP",
    "pair": "BTCUSD",
    "contractType": "PERPETUAL",
    "contractStatus": "TRADING",
    "contractSize": 100,
    "baseAsset": "BTC",
    "quoteAsset": "USD",
    "marginAsset": "BTC",
}
THRESHOLD_USD = 1_000_000
CROSSING_EVERY = 0.2
WARM_UP_SECONDS = 3.0


class Venue:
    """A Binance-like venue: one subscriber, as many frames a second as asked."""

    def __init__(self) -> None:
        self.subscribed = asyncio.Event()
        self._socket: ServerConnection | None = None

    async def on_connect(self, socket: ServerConnection) -> None:
        with contextlib.suppress(ConnectionClosed):
            async for message in socket:
                request = orjson.loads(message)
                await socket.send(json.dumps({"result": None, "id": request["id"]}))
                self._socket = socket
                self.subscribed.set()

    async def on_rest(self, request: web.Request) -> web.Response:
        if "dapi" in request.path:
            return web.json_response({"symbols": [COINM]})
        return web.json_response(
            {
                "symbols": [
                    {
                        "symbol": symbol,
                        "pair": symbol,
                        "contractType": "PERPETUAL",
                        "status": "TRADING",
                        "baseAsset": symbol.removesuffix("USDT"),
                        "quoteAsset": "USDT",
                        "marginAsset": "USDT",
                    }
                    for symbol in ORDINARY + LARGE
                ]
            }
        )

    async def send(self, symbol: str, side: str, quantity: str, price: str) -> None:
        """One order; its time is now."""
        assert self._socket is not None
        now = int(time.time() * 1000)
        await self._socket.send(
            f'{{"stream":"!forceOrder@arr","data":{{"e":"forceOrder","E":{now},"o":{{"s":"{symbol}","S":"{side}",'
            f'"o":"LIMIT","f":"IOC","q":"{quantity}","p":"{price}","ap":"{price}","X":"FILLED","l":"{quantity}",'
            f'"z":"{quantity}","T":{now},"ps":"{symbol}","st":1}}}}}}'
        )


class Chat:
    """Notes when the first byte of each alert arrives at each target: by rule, and by scope."""

    def __init__(self) -> None:
        self.arrived: dict[tuple[str, str], float] = {}

    def take(self, target: str, body: bytes, at: float) -> None:
        alert = orjson.loads(body)
        for name in (alert["rule"], alert["scope"]):
            self.arrived.setdefault((name, target), at)


class Call(asyncio.Protocol):
    """One request of one connection, answered with 200. As little as there can be: a server that parses all of it
    before it looks at the clock would add its own time to each of fifty that come at once."""

    def __init__(self, chat: Chat) -> None:
        self._chat = chat
        self._at = 0.0
        self._bytes = bytearray()
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._at = self._at or time.perf_counter()
        self._bytes += data
        head, blank, body = bytes(self._bytes).partition(b"\r\n\r\n")
        lines = head.split(b"\r\n")
        sizes = [int(line.partition(b":")[2]) for line in lines if line.lower().startswith(b"content-length:")]
        if blank and sizes and len(body) >= sizes[0] and self._transport is not None:
            self._chat.take(lines[0].split()[1].decode().rsplit("/", 1)[1], body, self._at)
            self._transport.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok")
            self._transport.close()


async def never_answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """A chat that takes everything and says nothing, until the other side has enough."""
    while await reader.read(65536):
        pass
    writer.close()


def targets(alive: dict[str, int], dead: dict[str, int]) -> str:
    """Webhooks by name and port, as TOML."""
    return "\n".join(
        f'[targets.{name}]\nkind = "webhook"\nurl = "http://127.0.0.1:{port}/hook/{name}"\n'
        f'secret = "benchmark"\nallow_private = true'
        for name, port in (alive | dead).items()
    )


def settings(venue_ws: int, venue_rest: int, targets: str, ports: dict[str, int], log: str, rules: str) -> str:
    """The settings of the run, as TOML."""
    return f"""
[log]
{log}
[http]
{chr(10).join(f"{name}_port = {port}" for name, port in ports.items())}
[logging]
level = "warning"
[venues.binance]
enabled = true
websocket_origin = "ws://127.0.0.1:{venue_ws}"
rest_origin = "http://127.0.0.1:{venue_rest}"
{chr(10).join(f"[venues.{name}]{chr(10)}enabled = false" for name in ("bybit", "okx", "bitget", "gate", "htx"))}
{targets}
{rules}
"""


def rules(crossings: int, coins: bool) -> str:
    """One rule per crossing, or one for each coin."""
    wanted = (
        [("coins", "each base", THRESHOLD_USD)]
        if coins
        else [(f"short-{number}", "all", (number + 1) * THRESHOLD_USD) for number in range(crossings)]
    )
    return "\n".join(
        f'[[rules]]\nname = "{name}"\nscope = "{scope}"\nside = "short"\nwindow = "24h"\nthresholds = [{usd}]'
        for name, scope, usd in wanted
    )


@contextlib.asynccontextmanager
async def site(app: web.Application) -> AsyncIterator[int]:
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.5)
    await runner.setup()
    port = free_port()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    try:
        yield port
    finally:
        await runner.cleanup()


async def measure(options: argparse.Namespace) -> dict[str, Any]:
    """Runs the programs, plays the burst, returns latencies in milliseconds."""
    mode, rate, crossings, coins = options.mode, options.rate, options.crossings, options.coins
    venue, chat = Venue(), Chat()
    rest = web.Application()
    rest.router.add_get("/{path:.*}", venue.on_rest)
    with tempfile.TemporaryDirectory() as text:
        folder = Path(text)
        async with (
            serve(venue.on_connect, "127.0.0.1", 0, compression=None) as sockets,
            site(rest) as rest_port,
            await asyncio.get_running_loop().create_server(lambda: Call(chat), "127.0.0.1", 0) as hook,
            await asyncio.start_server(never_answer, "127.0.0.1", 0) as silent,
            contextlib.AsyncExitStack() as stack,
        ):
            ports = {name: free_port() for name in ("run", "collect", "aggregate", "alert")}
            log = (
                f'path = "{folder}/log.db"'
                if mode == "embedded"
                else f'backend = "kafka"\n[log.kafka]\nbootstrap_servers = "{options.bootstrap}"\n'
                f'group_prefix = "latency-{int(time.time())}"'
            )
            config = folder / "liqwatch.toml"
            ws_port = next(iter(sockets.sockets)).getsockname()[1]
            silent_port, refusing_port = silent.sockets[0].getsockname()[1], free_port()
            hook_port = hook.sockets[0].getsockname()[1]
            alive = {f"chat-{number}": hook_port for number in range(options.targets - options.dead)}
            dead = {f"dead-{number}": (refusing_port, silent_port)[number % 2] for number in range(options.dead)}
            told = targets(alive, dead)
            config.write_text(settings(ws_port, rest_port, told, ports, log, rules(crossings, coins)))
            programs: list[Program] = []
            if mode == "kafka":
                async with running(["topics", "create", "--config", str(config)], folder) as create:
                    assert await create.process.wait() == 0, create.stderr
            for name in ("run",) if mode == "embedded" else ("alert", "aggregate", "collect"):
                programs.append(
                    await stack.enter_async_context(running([name, "--config", str(config)], folder, port=ports[name]))
                )
            for program in programs:
                await program.ready()
            await asyncio.wait_for(venue.subscribed.wait(), 30)
            sent = await _burst(venue, rate, crossings, coins)
            await _told(chat, sent, list(alive), programs)
            for program in reversed(programs):
                await program.end()
    by_crossing = [[(chat.arrived[what, name] - at) * 1000 for name in alive] for what, at in sent.items()]
    result = {"mode": mode, "rate": rate, "crossings": len(sent), "of": "single coins" if coins else "the total"}
    if options.targets == 1:
        return result | quantiles([one for crossing in by_crossing for one in crossing])
    return (
        result
        | {"targets": options.targets, "dead": options.dead}
        | quantiles([one for crossing in by_crossing for one in crossing])
        | quantiles([min(crossing) for crossing in by_crossing], "first_target_")
    )


def quantiles(latencies: list[float], of: str = "") -> dict[str, float]:
    """Milliseconds."""
    ordered = sorted(latencies)
    return {
        f"{of}p50_ms": round(statistics.median(ordered), 1),
        f"{of}p99_ms": round(ordered[min(len(ordered) - 1, int(len(ordered) * 0.99))], 1),
        f"{of}max_ms": round(ordered[-1], 1),
    }


async def _told(chat: Chat, sent: dict[str, float], alive: list[str], programs: list[Program]) -> None:
    """Waits until every crossing has been told everywhere."""
    wanted = {(what, name) for what in sent for name in alive}
    try:
        async with asyncio.timeout(30):
            while not wanted <= chat.arrived.keys():
                await asyncio.sleep(0.05)
    except TimeoutError:
        missing = sorted(wanted - chat.arrived.keys())
        never = f"{len(missing)} of {len(wanted)}, such as {missing[:5]}"
        raise SystemExit(f"never told: {never}\n" + "\n".join(p.stderr[-2000:] for p in programs)) from None


async def _burst(venue: Venue, rate: int, crossings: int, coins: bool) -> dict[str, float]:
    """Small longs at `rate` a second in ticks of 5 ms, and a large short now and then. When each of these was sent."""
    sent: dict[str, float] = {}
    start = time.perf_counter()
    ordinary = 0
    while len(sent) < crossings:
        now = time.perf_counter() - start
        if now >= WARM_UP_SECONDS + len(sent) * CROSSING_EVERY:
            symbol, name = LARGE[len(sent)], f"short-{len(sent)}"
            at = time.perf_counter()
            await venue.send(symbol, "BUY", "10000", "100")
            sent[f"base={symbol.removesuffix('USDT')}" if coins else name] = at
        while ordinary < now * rate:
            ordinary += 1
            await venue.send(ORDINARY[ordinary % len(ORDINARY)], "SELL", f"1.{ordinary % 1000:03d}", "2.5")
        await asyncio.sleep(0.005)
    return sent


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("mode", choices=["embedded", "kafka"])
    parser.add_argument("--rate", type=int, default=5000)
    parser.add_argument("--crossings", type=int, default=100, choices=range(1, len(LARGE) + 1), metavar="N")
    parser.add_argument("--bootstrap")
    parser.add_argument("--coins", action="store_true", help="Crossings of single coins instead of the total.")
    parser.add_argument("--targets", type=int, default=1)
    parser.add_argument("--dead", type=int, default=0, help="So many of the targets.")
    options = parser.parse_args()
    if not 0 <= options.dead < options.targets:
        parser.error("at least one target has to live")
    result = asyncio.run(measure(options))
    json.dump(result, sys.stdout)
    print()


if __name__ == "__main__":
    main()
