"""Services and a Kafka that is not there yet, goes away, comes back, or is not fit: waits, keeps, ends in time."""

import asyncio
import contextlib
import signal
import time
from pathlib import Path

import pytest

from liqwatch.clock import Clock
from liqwatch.eventlog.kafka import KafkaLog
from liqwatch.settings import KafkaSettings
from liqwatch.simulator import Simulator
from liqwatch.simulator.scenarios import burst
from tests.support.config import Setup
from tests.support.kafka_broker import RealBroker
from tests.support.program import free_port, running
from tests.support.reading import recount, until

SERVICES = ("alert", "aggregate", "collect")
VENUES = ("binance", "bybit")


async def topics_created(config: str, folder: Path) -> None:
    async with running(["topics", "create", "--config", config], folder) as create:
        assert 0 == await asyncio.wait_for(create.process.wait(), 60), create.stderr


@pytest.mark.kafka
@pytest.mark.timeout(300)
async def test_an_outage_loses_nothing_and_every_service_ends_within_ten_seconds_in_the_next(
    own_broker: RealBroker, tmp_path: Path
) -> None:
    async with contextlib.AsyncExitStack() as stack:
        simulator = await stack.enter_async_context(Simulator(burst(50, 16, seed=3), seed=3, venues=VENUES))
        origins = {name: (origin.websocket, origin.rest) for name, origin in simulator.origins.items()}
        setup = Setup(tmp_path, origins, bootstrap=own_broker.bootstrap)
        config = str(setup.write())
        await topics_created(config, tmp_path)
        programs = {
            name: await stack.enter_async_context(running([name, "--config", config], tmp_path, port=setup.ports[name]))
            for name in SERVICES
        }
        for program in programs.values():
            await program.ready()
        await simulator.until_watched()
        playing = asyncio.create_task(simulator.play())
        await asyncio.sleep(3)
        await asyncio.to_thread(own_broker.stop)
        await asyncio.sleep(6)
        status, body = await programs["collect"].ask("/readyz")
        assert 503 == status and any("log" in reason for reason in body["reasons"]), body
        await asyncio.to_thread(own_broker.start)
        await playing

        books = {side: (simulator.books.usd(side), simulator.books.count(side)) for side in ("long", "short")}
        assert 300 < sum(count for _, count in books.values())
        log = KafkaLog(KafkaSettings(bootstrap_servers=own_broker.bootstrap), clock=Clock())
        await log.open()
        try:
            await until(books, lambda: recount(log))
        finally:
            await log.close()
        for program in programs.values():
            await program.ready()

        await asyncio.to_thread(own_broker.stop)
        for name, program in programs.items():
            started = time.monotonic()
            assert program.process.returncode is None, (name, program.stderr)
            status = await program.end(signal.SIGTERM)
            assert time.monotonic() - started < 10, name
            assert 0 == status, (name, program.stderr)
            assert "Traceback" not in program.stderr, program.stderr


@pytest.mark.kafka
@pytest.mark.timeout(180)
async def test_a_service_waits_for_a_broker_that_is_down_at_its_start(own_broker: RealBroker, tmp_path: Path) -> None:
    setup = Setup(tmp_path, {}, bootstrap=own_broker.bootstrap)
    config = str(setup.write())
    await topics_created(config, tmp_path)
    await asyncio.to_thread(own_broker.stop)
    async with running(["aggregate", "--config", config], tmp_path, port=setup.ports["aggregate"]) as program:
        async with asyncio.timeout(30):
            while "log cannot be reached" not in program.stderr:
                await asyncio.sleep(0.1)
        status, body = await program.ask("/readyz")
        assert 503 == status and body["reasons"][0].startswith("log: "), body
        await asyncio.to_thread(own_broker.start)
        await program.ready()
        assert 1 == program.stderr.count("log cannot be reached")
        assert 0 == await program.end()
        assert "Traceback" not in program.stderr


async def test_a_service_ends_quickly_though_there_never_was_a_broker(tmp_path: Path) -> None:
    setup = Setup(tmp_path, {}, bootstrap=f"127.0.0.1:{free_port()}")
    async with running(["alert", "--config", str(setup.write())], tmp_path, port=setup.ports["alert"]) as program:
        async with asyncio.timeout(30):
            while "log cannot be reached" not in program.stderr:
                await asyncio.sleep(0.1)
        started = time.monotonic()
        assert 0 == await program.end(signal.SIGTERM)
        assert time.monotonic() - started < 10
        assert "Traceback" not in program.stderr


@pytest.mark.kafka
@pytest.mark.timeout(120)
async def test_a_service_refuses_topics_that_are_missing_or_keep_too_little(
    own_broker: RealBroker, tmp_path: Path
) -> None:
    setup = Setup(tmp_path, {}, bootstrap=own_broker.bootstrap)
    config = str(setup.write())
    async with running(["aggregate", "--config", config], tmp_path) as program:
        assert 1 == await asyncio.wait_for(program.process.wait(), 30)
        assert "liqwatch topics create" in program.stderr
    await topics_created(config, tmp_path)
    longer = str(
        Setup(tmp_path, {}, bootstrap=own_broker.bootstrap, extra='[aggregator]\nwindows = ["72h"]').write("l")
    )
    await shorten(own_broker.bootstrap)
    async with running(["aggregate", "--config", longer], tmp_path) as program:
        assert 1 == await asyncio.wait_for(program.process.wait(), 30)
        assert "liqwatch.liquidations.v1" in program.stderr and "retention" in program.stderr
        assert "Traceback" not in program.stderr


async def shorten(bootstrap: str) -> None:
    """Sets the retention of `liquidations` to one day, as an operator by mistake might."""
    from aiokafka.admin import AIOKafkaAdminClient
    from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType

    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await admin.start()
    try:
        topic = ConfigResource(
            ConfigResourceType.TOPIC, "liqwatch.liquidations.v1", configs={"retention.ms": "86400000"}
        )
        await admin.alter_configs([topic])
    finally:
        await admin.close()
