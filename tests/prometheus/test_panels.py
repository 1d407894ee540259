"""Every panel of the dashboard shows data: the real services play a crash day, a real Prometheus scrapes them."""

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from pathlib import Path

import aiohttp
import pytest

from liqwatch import configuration
from liqwatch.assembly import Process
from liqwatch.clock import Clock
from liqwatch.simulator import Simulator
from tests.support.config import Setup
from tests.support.prometheus import Prometheus, prometheus, promtool, require_prometheus
from tests.support.repository import ROOT

pytestmark = [pytest.mark.prometheus, pytest.mark.timeout(240)]

SPEED = 1800.0  # a day in 48 seconds
LIMIT = 120.0  # seconds until the last panel has data
CHOSEN = {"$__rate_interval": "5s", "$job": ".+", "$instance": ".+", "$venue": ".+", "$window": "24h"}
RULES = """
[[rules]]
name = "longs-24h"
side = "long"
window = "24h"
thresholds = ["100M", "1.7B"]
"""


def panels() -> dict[str, list[str]]:
    """Title and expressions of every panel, with the variables filled in as a viewer would have them."""
    document = json.loads((ROOT / "deploy" / "grafana" / "dashboards" / "liqwatch.json").read_text())
    return {
        panel["title"]: [filled(target["expr"]) for target in panel["targets"]]
        for panel in document["panels"]
        if panel["type"] != "row"
    }


def filled(expression: str) -> str:
    for variable, value in CHOSEN.items():
        expression = expression.replace(variable, value)
    assert "$" not in expression
    return expression


@pytest.fixture
async def address(tmp_path: Path) -> AsyncIterator[str]:
    """Where the services of a crash day that is being played show their metrics."""
    require_prometheus()
    clock = Clock(speed=SPEED)
    async with Simulator("2025-10-10", seed=1, speed=SPEED, clock=clock) as simulator:
        origins: Mapping[str, tuple[str, str]] = {
            name: (origin.websocket, origin.rest) for name, origin in simulator.origins.items()
        }
        setup = Setup(tmp_path, origins, rules=RULES)
        settings = configuration.read(setup.write(), {})
        parts = ("alerter", "aggregator", "collector")
        process = Process("run", parts, settings, port=0, clock=clock, create_topics=True, emit=lambda _text: None)
        work = asyncio.create_task(process.run())
        try:
            async with asyncio.timeout(60):
                await process.ready.wait()
                while process.unready():
                    await asyncio.sleep(0.1)
            play = asyncio.create_task(simulator.play())
            yield process.address
        finally:
            play.cancel()
            process.stop.set()
            await asyncio.wait([play, work], timeout=20)
    assert work.done() and work.result() == 0


async def test_every_panel_has_data_while_a_day_is_played(address: str, tmp_path: Path) -> None:
    waiting = panels()
    async with prometheus(tmp_path / "prometheus", {"liqwatch-run": address}) as server:
        try:
            async with asyncio.timeout(LIMIT):
                while waiting := await without_data(server, waiting):
                    await asyncio.sleep(1)
        except TimeoutError:
            pytest.fail(f"no data in: {json.dumps(waiting, indent=2)}")
        assert {"liqwatch-run": True} == await server.targets_up()
        assert not await server.numbers("liqwatch_no_such_metric"), "an expression without data would not be seen"


async def without_data(server: Prometheus, wanted: Mapping[str, list[str]]) -> dict[str, list[str]]:
    """The panels, and of each the expressions, that have no finite value yet."""
    missing = {
        title: [expression for expression in expressions if not await server.numbers(expression)]
        for title, expressions in wanted.items()
    }
    return {title: expressions for title, expressions in missing.items() if expressions}


async def test_promtool_finds_nothing_wrong_with_what_the_services_show(address: str) -> None:
    async with aiohttp.ClientSession() as http, http.get(f"http://{address}/metrics") as response:
        page = await response.text()
    done = await asyncio.to_thread(promtool, "check", "metrics", text=page)
    assert [] == [line for line in (done.stdout + done.stderr).splitlines() if line.startswith("liqwatch_")]
