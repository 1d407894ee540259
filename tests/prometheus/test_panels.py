"""Every panel of the dashboards shows data: a real Prometheus scrapes the services while events come."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Mapping
from pathlib import Path

import pytest

from liqwatch.simulator import Simulator
from liqwatch.simulator.scenarios import burst
from tests.support.config import Setup
from tests.support.kafka_broker import running_broker
from tests.support.program import Program, running
from tests.support.prometheus import Prometheus, complaints, prometheus, require_prometheus
from tests.support.repository import ROOT

pytestmark = [pytest.mark.prometheus, pytest.mark.timeout(240)]

DASHBOARDS = ROOT / "deploy" / "grafana" / "dashboards"
LIMIT = 120.0  # seconds until the last panel has data
CHOSEN = {"$__rate_interval": "5s", "$job": ".+", "$instance": ".+", "$venue": ".+", "$window": "24h"}
STEPS = ", ".join(f'"{millions}M"' for millions in range(1, 200))  # one is crossed every few seconds
RULES = f"""
[[rules]]
name = "longs-24h"
side = "long"
window = "24h"
thresholds = [{STEPS}]
"""


def panels() -> dict[str, list[str]]:
    """Title and expressions of every panel, with the variables filled in as a viewer would have them."""
    documents = [json.loads(path.read_text()) for path in sorted(DASHBOARDS.glob("*.json"))]
    return {
        f"{document['title']}: {panel['title']}": [filled(target["expr"]) for target in panel["targets"]]
        for document in documents
        for panel in document["panels"]
        if panel["type"] != "row"
    } | {
        f"{document['title']}, marks: {annotation['name']}": [filled(annotation["expr"])]
        for document in documents
        for annotation in document["annotations"]["list"]
    }


def filled(expression: str) -> str:
    for variable, value in CHOSEN.items():
        expression = expression.replace(variable, value)
    assert "$" not in expression
    return expression


@pytest.fixture(params=["run", pytest.param("services on Kafka", marks=pytest.mark.kafka)])
async def programs(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[dict[str, Program]]:
    """By job: `liqwatch run`, or each service a process, on local venues that send 40 liquidations a second."""
    require_prometheus()
    async with contextlib.AsyncExitStack() as stack:
        broker = None if request.param == "run" else stack.enter_context(running_broker(tmp_path))
        simulator = await stack.enter_async_context(Simulator(burst(40, int(LIMIT) + 60)))
        origins = {name: (origin.websocket, origin.rest) for name, origin in simulator.origins.items()}
        setup = Setup(tmp_path, origins, bootstrap=broker and broker.bootstrap, rules=RULES)
        config = str(setup.write())
        if broker:
            async with running(["topics", "create", "--config", config], tmp_path) as create:
                assert 0 == await asyncio.wait_for(create.process.wait(), 60), create.stderr
        started = {
            f"liqwatch-{name}": await stack.enter_async_context(
                running([name, "--config", config], tmp_path, port=setup.ports[name])
            )
            for name in (("collect", "aggregate", "alert", "web") if broker else ("run",))
        }
        for program in started.values():
            await program.ready()
        play = asyncio.create_task(simulator.play())
        try:
            yield started
        finally:
            play.cancel()
            await asyncio.wait([play], timeout=5)


async def test_every_panel_has_data_while_events_come(programs: dict[str, Program], tmp_path: Path) -> None:
    waiting = panels()
    targets = {job: f"127.0.0.1:{program.port}" for job, program in programs.items()}
    async with prometheus(tmp_path / "prometheus", targets) as server:
        try:
            async with asyncio.timeout(LIMIT):
                while waiting := await without_data(server, waiting):
                    await asyncio.sleep(1)
        except TimeoutError:
            pytest.fail(f"no data in: {json.dumps(waiting, indent=2)}")
        assert dict.fromkeys(targets, True) == await server.targets_up()
        assert not await server.numbers("liqwatch_no_such_metric"), "an expression without data would not be seen"
        assert {"ok"} == {rule["health"] for rule in await server.rules()}
        assert {"LiqwatchWatchdog"} == await server.alerts("firing")
    for program in programs.values():
        status, page = await program.ask("/metrics")
        assert 200 == status
        assert [] == await asyncio.to_thread(complaints, page)


async def without_data(server: Prometheus, wanted: Mapping[str, list[str]]) -> dict[str, list[str]]:
    """The panels, and of each the expressions, that have no finite value yet."""
    missing = {
        title: [expression for expression in expressions if not await server.numbers(expression)]
        for title, expressions in wanted.items()
    }
    return {title: expressions for title, expressions in missing.items() if expressions}
