"""What goes wrong is seen: real services in real trouble move the panels and the alerts that are for it."""

import asyncio
import contextlib
import json
from pathlib import Path

import aiohttp
import pytest

from liqwatch.simulator import Simulator
from liqwatch.simulator.scenarios import burst
from tests.prometheus.test_panels import RULES, panels
from tests.support.chat_server import ChatServer
from tests.support.config import Setup
from tests.support.program import running
from tests.support.prometheus import Prometheus, prometheus, require_prometheus

pytestmark = [pytest.mark.prometheus, pytest.mark.timeout(240)]

LIMIT = 90.0
# By panel, the lowest value of any of its series that shows the trouble.
SEEN = {
    "liqwatch: Feeds: Reconnects, by reason": 1,
    "liqwatch: Feeds: Share of time not watched": 0.01,
    "liqwatch: Pipeline: Duplicate, late, from the future, unreadable, lost": 1,
    "liqwatch: Pipeline: Rejected, by venue": 1,
    "liqwatch: Alerts: Deliveries, by outcome": 1,
    "liqwatch: Alerts: Outbox, by target": 1,
    "liqwatch: Alerts: Oldest undelivered": 3,
    "liqwatch: Alerts: Told, by kind": 1,
    "liqwatch: Pipeline: Viewers": 1,
}
ALERTS = {"LiqwatchTargetFailing", "LiqwatchFeedDown"}


async def test_a_venue_that_breaks_off_a_chat_that_fails_and_a_viewer_are_on_the_panels(tmp_path: Path) -> None:
    require_prometheus()
    async with contextlib.AsyncExitStack() as stack:
        chat = await stack.enter_async_context(ChatServer())
        chat.dead = True
        simulator = await stack.enter_async_context(Simulator(burst(40, int(LIMIT) + 60)))
        origins = {name: (origin.websocket, origin.rest) for name, origin in simulator.origins.items()}
        setup = Setup(tmp_path, origins, rules=RULES, chat_url=f"http://127.0.0.1:{chat.port}/hook")
        command = ["run", "--config", str(setup.write())]
        program = await stack.enter_async_context(running(command, tmp_path, port=setup.ports["run"]))
        await program.ready()
        play = asyncio.create_task(simulator.play())
        stack.callback(play.cancel)
        server = await stack.enter_async_context(
            prometheus(tmp_path / "prometheus", {"liqwatch-run": f"127.0.0.1:{program.port}"})
        )
        http = await stack.enter_async_context(aiohttp.ClientSession())
        await stack.enter_async_context(http.get(f"http://127.0.0.1:{setup.page_port}/api/v1/stream"))
        await until_scraped(server)
        simulator.venues["bybit"].trouble.replay = 50
        simulator.venues["bybit"].trouble.disconnect_every_seconds = 2
        simulator.venues["okx"].trouble.close_after_connect = True
        for venue in ("bybit", "okx"):
            await simulator.venues[venue].disconnect(politely=False)
        for _ in range(3):
            await simulator.venues["gate"].send_raw("no message of theirs")
        unseen: dict[str, float] = {}
        quiet = ALERTS
        try:
            async with asyncio.timeout(LIMIT):
                while quiet or unseen:
                    await asyncio.sleep(1)
                    unseen = await not_seen(server)
                    quiet = quiet - await server.alerts("pending", "firing")
        except TimeoutError:
            pytest.fail(f"not on the panels: {json.dumps(unseen, indent=2)}; no alert: {sorted(quiet)}")


async def until_scraped(server: Prometheus) -> None:
    async with asyncio.timeout(LIMIT):
        while not await server.numbers("liqwatch_log_up"):
            await asyncio.sleep(0.5)


async def not_seen(server: Prometheus) -> dict[str, float]:
    """The panels that do not show it yet, with the highest value that they have shown."""
    shown = panels()
    found = {
        title: max([number for expression in shown[title] for number in await server.numbers(expression)], default=-1.0)
        for title in SEEN
    }
    return {title: highest for title, highest in found.items() if highest < SEEN[title]}
