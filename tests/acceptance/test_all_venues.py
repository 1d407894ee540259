"""Every simulated venue at once, sockets cut at random, collectors killed: exact, or said to be missing."""

import asyncio
import contextlib
import signal
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from liqwatch.clock import Clock
from liqwatch.eventlog import Log
from liqwatch.eventlog.kafka import KafkaLog
from liqwatch.eventlog.sqlite import SqliteLog
from liqwatch.settings import KafkaSettings
from liqwatch.simulator import Simulator
from liqwatch.simulator.scenarios import burst
from liqwatch.topics import REJECTED_FRAMES
from tests.support.against_books import compare, cut, sockets, told, totals_agree, with_history
from tests.support.config import Setup
from tests.support.program import Program, running
from tests.support.reading import everything, until

RATE, SECONDS = 100, 30
CUT_EVERY = 5.0  # seconds in the mean, each socket
# A venue's list is asked only once it has surely taken up what fell in a gap.
FILLED_WITHIN = 180.0


@pytest.mark.kafka
@pytest.mark.timeout(420)
async def test_one_of_two_collectors_is_killed_and_the_totals_are_exact_where_a_venue_has_a_history(
    own_kafka: str, tmp_path: Path
) -> None:
    async with contextlib.AsyncExitStack() as stack:
        scenario = burst(RATE, SECONDS, seed=23)
        simulator = await stack.enter_async_context(Simulator(scenario, seed=23, keep_events=True))
        origins = {name: (origin.websocket, origin.rest) for name, origin in simulator.origins.items()}
        setup = Setup(tmp_path, origins, bootstrap=own_kafka)
        config = str(setup.write())
        other = Setup(tmp_path, origins, bootstrap=own_kafka, collector="collector-2")
        config_other = str(other.write("other.toml"))

        async def start(name: str, port: int, config: str = config) -> Program:
            return await stack.enter_async_context(running([name, "--config", config], tmp_path, port=port))

        async with running(["topics", "create", "--config", config], tmp_path) as create:
            assert 0 == await asyncio.wait_for(create.process.wait(), 60), create.stderr
        aggregator = await start("aggregate", setup.ports["aggregate"])
        first = await start("collect", setup.ports["collect"])
        await first.ready()
        await simulator.until_watched(60)
        alone = sockets(simulator)
        both = {name: 2 * count for name, count in alone.items()}
        second = await start("collect", other.ports["collect"], config_other)
        for program in (second, aggregator):
            await program.ready()
        await settled(simulator, both)

        playing = asyncio.create_task(simulator.play())
        cut(simulator, CUT_EVERY)
        await asyncio.sleep(SECONDS / 3)
        # What a process has in hand when it is killed is gone; here the other one has it as well.
        cut(simulator, None)
        await settled(simulator, both)
        await first.end(signal.SIGKILL)
        await asyncio.sleep(2)
        cut(simulator, CUT_EVERY)
        await playing
        cut(simulator, None)
        await settled(simulator, alone)

        async with opened(KafkaLog(KafkaSettings(bootstrap_servers=own_kafka), clock=Clock())) as log:
            await hold_against_the_books(log, simulator, killed_alone=False)
        for program in (second, aggregator):
            assert 0 == await program.end()
            assert "Traceback" not in program.stderr


@pytest.mark.timeout(300)
async def test_a_run_killed_and_started_again_fills_what_it_missed_where_a_venue_has_a_history(tmp_path: Path) -> None:
    async with contextlib.AsyncExitStack() as stack:
        scenario = burst(RATE, 15, seed=29)
        simulator = await stack.enter_async_context(Simulator(scenario, seed=29, keep_events=True))
        origins = {name: (origin.websocket, origin.rest) for name, origin in simulator.origins.items()}
        setup = Setup(tmp_path, origins)
        command = ["run", "--config", str(setup.write())]
        program = await stack.enter_async_context(running(command, tmp_path, port=setup.ports["run"]))
        await program.ready()
        await simulator.until_watched(60)
        alone = sockets(simulator)

        playing = asyncio.create_task(simulator.play())
        await asyncio.sleep(5)
        await program.end(signal.SIGKILL)
        await asyncio.sleep(4)
        program = await stack.enter_async_context(running(command, tmp_path, port=setup.ports["run"]))
        await playing
        await program.ready()
        await settled(simulator, alone)

        async with opened(SqliteLog(str(tmp_path / "liqwatch.db"), clock=Clock(), read_only=True)) as log:
            await hold_against_the_books(log, simulator, killed_alone=True)
        assert 0 == await program.end()
        assert "Traceback" not in program.stderr


async def hold_against_the_books(log: Log, simulator: Simulator, *, killed_alone: bool) -> None:
    """`killed_alone`: what was sent just before is lost, where no other collector and no history has it."""
    listing, books = with_history(simulator), simulator.books
    assert any(due.entry.listing.venue in listing for due in books.unheard)
    assert any(due.entry.listing.venue not in listing for due in books.unheard)

    async def wrong() -> list[object]:
        found, coverage = await compare(log, simulator), await told(log)
        lacking = [due for due in found.unsent + found.unheard if due.entry.listing.venue in listing]
        unfilled = [due for due in books.unheard if due.entry.listing.venue in listing and not coverage.filled(due)]
        return [*lacking, *unfilled, *found.invented, *([] if killed_alone else found.unsent)]

    await until([], wrong, FILLED_WITHIN)
    await until(True, lambda: totals_agree(log))
    assert [] == await everything(log, REJECTED_FRAMES)
    lost = (await compare(log, simulator)).unsent
    coverage = await told(log)
    assert [] == [due for due in books.unheard + lost if not coverage.missing(due)]


async def settled(simulator: Simulator, wanted: dict[str, int]) -> None:
    """Returns once the venues have so many sockets, and all of them their subscriptions."""
    await until(wanted, lambda: asyncio.sleep(0, sockets(simulator)))
    await simulator.until_watched(60)
    await asyncio.sleep(1)


@contextlib.asynccontextmanager
async def opened(log: Log) -> AsyncIterator[Log]:
    await log.open()
    try:
        yield log
    finally:
        await log.close()
