"""An alert can be checked: what it says it rests on is recounted from `liquidations`, by plain decimal arithmetic."""

import asyncio
import json
from decimal import ROUND_HALF_EVEN, Decimal
from pathlib import Path

import pytest

from liqwatch import configuration
from liqwatch.assembly import Process
from liqwatch.eventlog import EARLIEST, Log
from liqwatch.simulator import Simulator
from liqwatch.simulator.scenarios import burst
from liqwatch.topics import ALERTS, LIQUIDATIONS
from tests.support.config import Setup
from tests.support.reading import everything

RULE = '[[rules]]\nname = "early"\nside = "both"\nwindow = "5m"\nthresholds = [{}]\n'
SPAN = 300


async def by_partition(log: Log) -> dict[int, list[tuple[int, dict[str, str]]]]:
    """Offset and event of every record of `liquidations`."""
    reader = await log.reader(LIQUIDATIONS, start=EARLIEST)
    found: dict[int, list[tuple[int, dict[str, str]]]] = {}
    try:
        ends = await reader.end_offsets()
        while any(reader.positions().get(number, 0) < end for number, end in ends.items()):
            for record in await reader.fetch(1.0):
                found.setdefault(record.partition, []).append((record.offset, json.loads(record.value or b"")))
    finally:
        await reader.close()
    return found


def recounted(events: list[tuple[int, dict[str, str]]], offset: int, as_of_ms: int) -> dict[str, str]:
    sums, seen, second = {"long": 0, "short": 0}, set(), as_of_ms // 1000
    for at, event in events:
        inside = second - SPAN < int(event["event_time_ms"]) // 1000 <= second
        if at <= offset and inside and event["event_id"] not in seen:
            seen.add(event["event_id"])
            micro = (Decimal(event["notional_usd"]) * 1_000_000).to_integral_value(ROUND_HALF_EVEN)
            sums[event["side"]] += int(micro)
    return {side: f"{Decimal(total).scaleb(-6):.6f}" for side, total in sums.items()}


@pytest.mark.timeout(120)
async def test_the_evidence_of_an_alert_is_what_a_recount_of_the_log_gives(tmp_path: Path) -> None:
    scenario = burst(60, 6, seed=11)
    due = sum(int(order.price * order.quantity) for order in scenario.orders)
    async with Simulator(scenario, seed=11) as simulator:
        origins = {name: (origin.websocket, origin.rest) for name, origin in simulator.origins.items()}
        config = Setup(tmp_path, origins, rules=RULE.format(due // 3)).write()
        process = Process(
            "run",
            ["alerter", "aggregator", "collector"],
            configuration.read(config, {}),
            port=0,
            create_topics=True,
            emit=lambda _: None,
        )
        running = asyncio.create_task(process.run())
        try:
            async with asyncio.timeout(60):
                await process.ready.wait()
                await simulator.until_watched()
                while process.unready():
                    await asyncio.sleep(0.05)
                await simulator.play()
                while not (incidents := await everything(process.log, ALERTS)):
                    await asyncio.sleep(0.1)
            step = incidents[0]["steps"][0]
            events = await by_partition(process.log)
        finally:
            process.stop.set()
            assert 0 == await asyncio.wait_for(running, 15)
    assert "fired" == step["kind"]
    assert step["evidence"]
    for part in step["evidence"]:
        told = {"long": part["long_usd"], "short": part["short_usd"]}
        assert told == recounted(events.get(part["partition"], []), part["offset"], part["as_of_ms"]), part
    parts = [Decimal(part[key]) for part in step["evidence"] for key in ("long_usd", "short_usd")]
    assert sum(parts) == Decimal(step["usd"])
