"""`liqwatch web` as a process of its own on Kafka: shows what others wrote, lives through an outage, ends in time."""

import asyncio
import signal
import time
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from liqwatch import topics
from liqwatch.clock import Clock
from liqwatch.eventlog import Entry
from liqwatch.eventlog.kafka import KafkaLog
from liqwatch.settings import KafkaSettings
from liqwatch.wire import Heartbeat, Totals, encode
from tests.support.config import Setup
from tests.support.kafka_broker import RealBroker
from tests.support.program import running

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(240)]


async def write(log: KafkaLog, long_usd: str) -> None:
    now_ms = Clock().now_ms()
    row = Totals(3, "24h", "all", 1, now_ms, 5, long_usd, 1, "0", 0)
    beats = [
        Entry(f"{n},heartbeat".encode(), encode(Heartbeat(n, 1, now_ms, 5, 6, True)), now_ms, n) for n in range(12)
    ]
    await log.append(topics.TOTALS, [Entry(b"3,24h,all", encode(row), now_ms, 3), *beats])


async def shown(http: aiohttp.ClientSession, origin: str, wanted: str, *, stale: bool) -> None:
    """Waits until the long side is `wanted`, and is said to be stale or not."""
    answer: dict[str, Any] = {"long": {}}
    async with asyncio.timeout(60):
        while (answer["long"].get("usd"), answer.get("stale")) != (wanted, stale):
            await asyncio.sleep(0.1)
            async with http.get(f"{origin}/api/v1/totals") as response:
                answer = await response.json()


async def test_the_page_is_a_service_of_its_own_and_lives_through_an_outage(
    own_broker: RealBroker, tmp_path: Path
) -> None:
    (tmp_path / "token").write_text("planted-page-token\n")
    setup = Setup(tmp_path, {}, bootstrap=own_broker.bootstrap)
    command = ["--config", str(setup.write())]
    async with running(["topics", "create", *command], tmp_path) as create:
        assert 0 == await asyncio.wait_for(create.process.wait(), 60), create.stderr
    log = KafkaLog(KafkaSettings(bootstrap_servers=own_broker.bootstrap), clock=Clock())
    await log.open()
    environment = {"LIQWATCH_WEB__TOKEN_FILE": str(tmp_path / "token")}
    try:
        async with (
            running(["web", *command], tmp_path, port=setup.ports["web"], environment=environment) as program,
            aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=20)) as http,
        ):
            await program.ready()
            origin = f"http://127.0.0.1:{setup.page_port}"
            await write(log, "1700000000.25")
            await shown(http, origin, "1700000000.250000", stale=False)
            wanted = {"matcher": {"rule": "x"}, "reason": "r", "author": "a", "duration_seconds": 60}
            bearer = {"Authorization": "Bearer planted-page-token"}
            async with http.post(f"{origin}/api/v1/silences", json=wanted, headers=bearer) as response:
                assert 201 == response.status, await response.text()

            await asyncio.to_thread(own_broker.stop)
            async with asyncio.timeout(30):
                while (await program.ask("/readyz"))[0] != 503:
                    await asyncio.sleep(0.2)
            await shown(http, origin, "1700000000.250000", stale=True)  # what was last known, and that it is old
            await asyncio.to_thread(own_broker.start)
            await write(log, "1800000000.5")
            await shown(http, origin, "1800000000.500000", stale=False)
            assert 0.0 < await program.metric('liqwatch_web_requests_total{route="totals",status="2xx"}')

            stream = await http.get(f"{origin}/api/v1/stream")
            await stream.content.readline()
            began = time.monotonic()
            assert 0 == await program.end(signal.SIGTERM)
            assert time.monotonic() - began < 10
            stream.close()
            assert "Traceback" not in program.stderr
            assert "planted-page-token" not in program.stderr + program.stdout
    finally:
        await log.close(2)
