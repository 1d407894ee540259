"""Every service as its own process on a real Kafka, killed in mid-stream: nothing lost, nothing told twice."""

import asyncio
import contextlib
import json
import signal
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from aiohttp import web

from liqwatch.clock import Clock
from liqwatch.eventlog.kafka import KafkaLog
from liqwatch.settings import KafkaSettings
from liqwatch.simulator import Simulator
from liqwatch.simulator.scenarios import burst
from tests.support.config import Setup
from tests.support.program import Program, free_port, running
from tests.support.reading import recount, totals, until

RATE, SECONDS = 200, 24
RULES = """
[[rules]]
name = "both-24h"
side = "both"
window = "24h"
thresholds = [{first}, {second}]
"""


class Chat:
    """Keeps the body of every post under its idempotency key."""

    def __init__(self) -> None:
        self.posts: dict[str, list[dict]] = {}  # type: ignore[type-arg]

    async def on_post(self, request: web.Request) -> web.Response:
        body = json.loads(await request.read())
        self.posts.setdefault(request.headers["Idempotency-Key"], []).append(body)
        return web.Response(text="ok")

    def told(self) -> list[str]:
        return [posts[0]["kind"] for posts in self.posts.values()]


@contextlib.asynccontextmanager
async def chat_server() -> AsyncIterator[tuple[Chat, str]]:
    chat, app = Chat(), web.Application()
    app.router.add_post("/hook", chat.on_post)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.5)
    await runner.setup()
    port = free_port()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    try:
        yield chat, f"http://127.0.0.1:{port}/hook"
    finally:
        await runner.cleanup()


@contextlib.asynccontextmanager
async def opened(bootstrap: str) -> AsyncIterator[KafkaLog]:
    log = KafkaLog(KafkaSettings(bootstrap_servers=bootstrap), clock=Clock())
    await log.open()
    try:
        yield log
    finally:
        await log.close()


@pytest.mark.kafka
@pytest.mark.timeout(300)
async def test_kills_of_every_service_leave_totals_exact_and_alerts_told_once(own_kafka: str, tmp_path: Path) -> None:
    async with contextlib.AsyncExitStack() as stack:
        chat, url = await stack.enter_async_context(chat_server())
        scenario = burst(RATE, SECONDS, seed=7)
        simulator = await stack.enter_async_context(Simulator(scenario, seed=7))
        origins = {name: (origin.websocket, origin.rest) for name, origin in simulator.origins.items()}
        due = sum(int(order.price * order.quantity) for order in scenario.orders)
        rules = RULES.format(first=due // 4, second=due * 3 // 4)
        setup = Setup(tmp_path, origins, bootstrap=own_kafka, chat_url=url, rules=rules)
        config = str(setup.write())
        other = Setup(tmp_path, origins, bootstrap=own_kafka, collector="collector-2")
        config_other = str(other.write("other.toml"))

        async def start(name: str, config: str = config, port: int | None = None) -> Program:
            return await stack.enter_async_context(
                running([name, "--config", config], tmp_path, port=port or setup.ports[name])
            )

        async with running(["topics", "create", "--config", config], tmp_path) as create:
            assert 0 == await asyncio.wait_for(create.process.wait(), 60), create.stderr
        alerter, aggregator = await start("alert"), await start("aggregate")
        first = await start("collect")
        second = await start("collect", config_other, other.ports["collect"])
        for program in (alerter, aggregator, first, second):
            await program.ready()
        await simulator.until_watched()
        await asyncio.sleep(1)  # both collectors hold their subscriptions: the one that stays hears everything

        playing = asyncio.create_task(simulator.play())
        await asyncio.sleep(4)
        await first.end(signal.SIGKILL)
        await asyncio.sleep(4)
        await aggregator.end(signal.SIGKILL)
        aggregator = await start("aggregate")
        await aggregator.ready()
        await alerter.end(signal.SIGKILL)
        alerter = await start("alert")
        await playing

        books = {side: (simulator.books.usd(side), simulator.books.count(side)) for side in ("long", "short")}
        assert sum(count for _, count in books.values()) > RATE * SECONDS * 0.9
        async with opened(own_kafka) as log:
            await until(books, lambda: recount(log))

            async def summed() -> dict[str, tuple[int, int]]:
                total = (await totals(log)).sum("24h", "all")
                return {"long": (total.long, total.long_count), "short": (total.short, total.short_count)}

            await until(books, summed)
        async with asyncio.timeout(60):
            while len(chat.posts) < 2:
                await asyncio.sleep(0.2)
        assert ["fired", "stepped_up"] == chat.told()
        assert all(len(posts) == 1 for posts in chat.posts.values())
        for program in (second, aggregator, alerter):
            assert 0 == await program.end()
            assert "Traceback" not in program.stderr
