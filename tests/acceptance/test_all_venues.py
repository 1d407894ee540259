"""Every simulated venue at once on a real Kafka, with sockets cut at random and a collector killed."""

import asyncio
import contextlib
import importlib.util
import signal
from collections.abc import AsyncIterator, Iterable
from decimal import ROUND_HALF_EVEN, Decimal
from pathlib import Path

import pytest

from liqwatch import venues
from liqwatch.clock import Clock
from liqwatch.coverage import merge, subtract
from liqwatch.eventlog import Log
from liqwatch.eventlog.kafka import KafkaLog
from liqwatch.settings import KafkaSettings
from liqwatch.simulator import Simulator
from liqwatch.simulator.books import Due
from liqwatch.simulator.scenarios import burst
from liqwatch.topics import COVERAGE, LIQUIDATIONS, REJECTED_FRAMES
from tests.support.config import Setup
from tests.support.program import Program, running
from tests.support.reading import everything, totals, until

RATE, SECONDS = 100, 30
CUT_EVERY = 5.0  # seconds in the mean, each socket
SLACK_MS = 1_000  # a busy machine sends that late
# A venue's list is asked only once it has surely taken up what fell in a gap.
FILLED_WITHIN = 180.0

FILLS = importlib.util.find_spec("liqwatch.collector.gapfill") is not None

Sums = dict[tuple[str, str], tuple[int, int]]  # count and micro-dollars by venue and side


@pytest.mark.kafka
@pytest.mark.timeout(420)
async def test_totals_are_exact_with_history_and_the_coverage_says_what_is_missing_without(
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
        second = await start("collect", other.ports["collect"], config_other)
        for program in (second, aggregator):
            await program.ready()
        await settled(simulator, {name: 2 * count for name, count in alone.items()})

        playing = asyncio.create_task(simulator.play())
        cut(simulator, CUT_EVERY)
        await asyncio.sleep(SECONDS / 3)
        # What a process has in hand when it is killed is gone; here the other one has it as well.
        cut(simulator, None)
        await settled(simulator, {name: 2 * count for name, count in alone.items()})
        await first.end(signal.SIGKILL)
        await asyncio.sleep(2)
        cut(simulator, CUT_EVERY)
        await playing
        cut(simulator, None)
        await settled(simulator, alone)

        known = venues.discover()
        listing = {name for name in simulator.venues if FILLS and known[name].history is not None}
        expected: Sums = {}
        for account in simulator.books.accounts():
            exact = (account.sent.count, account.sent.micro_usd)
            expected[account.venue, account.side] = account.known if account.venue in listing else exact
        unheard = simulator.books.unheard
        assert not FILLS or any(due.entry.listing.venue in listing for due in unheard)
        assert any(due.entry.listing.venue not in listing for due in unheard)

        async with opened(own_kafka) as log:
            await until(expected, lambda: recounted(log), FILLED_WITHIN)
            await until(over_all(expected), lambda: summed(log))
            assert [] == await everything(log, REJECTED_FRAMES)
            coverage = await everything(log, COVERAGE)
        for due in unheard:
            when = reach(simulator, due)
            venue = due.entry.listing.venue
            # Nobody says to have watched at the time of the event, or just before it was due to be sent …
            assert [] != subtract([when], spans(coverage, venue, "watched")), (due, spans(coverage, venue, "watched"))
            if venue in listing:  # … and where there is a list, that time was filled.
                assert [when] != subtract([when], spans(coverage, venue, "filled")), due
        for program in (second, aggregator):
            assert 0 == await program.end()
            assert "Traceback" not in program.stderr


def sockets(simulator: Simulator) -> dict[str, int]:
    return {name: venue.sockets for name, venue in simulator.venues.items()}


def cut(simulator: Simulator, every: float | None) -> None:
    for venue in simulator.venues.values():
        venue.trouble.disconnect_every_seconds = every


async def settled(simulator: Simulator, wanted: dict[str, int]) -> None:
    """Returns once the venues have so many sockets, and all of them their subscriptions."""
    await until(wanted, lambda: asyncio.sleep(0, sockets(simulator)))
    await simulator.until_watched(60)
    await asyncio.sleep(1)


@contextlib.asynccontextmanager
async def opened(bootstrap: str) -> AsyncIterator[KafkaLog]:
    log = KafkaLog(KafkaSettings(bootstrap_servers=bootstrap), clock=Clock())
    await log.open()
    try:
        yield log
    finally:
        await log.close()


async def recounted(log: Log) -> Sums:
    """The distinct events of the topic, by plain decimal arithmetic."""
    events = {event["event_id"]: event for event in await everything(log, LIQUIDATIONS)}
    sums: Sums = {}
    for event in events.values():
        micro = int((Decimal(event["notional_usd"]) * 1_000_000).to_integral_value(ROUND_HALF_EVEN))
        count, usd = sums.get((event["venue"], event["side"]), (0, 0))
        sums[event["venue"], event["side"]] = count + 1, usd + micro
    return sums


def over_all(sums: Sums) -> dict[str, tuple[int, int]]:
    found: dict[str, tuple[int, int]] = {}
    for (_, side), (count, usd) in sums.items():
        before = found.get(side, (0, 0))
        found[side] = before[0] + count, before[1] + usd
    return dict(sorted(found.items()))


async def summed(log: Log) -> dict[str, tuple[int, int]]:
    """What the aggregator says of the longest window."""
    total = (await totals(log)).sum("24h", "all")
    return {"long": (total.long_count, total.long), "short": (total.short_count, total.short)}


def spans(coverage: Iterable[dict], venue: str, kind: str) -> list[tuple[int, int]]:  # type: ignore[type-arg]
    """Of every collector's intervals the last word, merged."""
    last = {message["interval_id"]: message for message in coverage if message["venue"] == venue}
    return merge((one["from_ms"], one["to_ms"]) for one in last.values() if one["kind"] == kind)


def reach(simulator: Simulator, due: Due) -> tuple[int, int]:
    """From the time of an event to when it was sent at the latest."""
    late_ms = simulator.venues[due.entry.listing.venue].dialect.batch_ms + SLACK_MS
    return due.entry.event_ms, due.entry.event_ms + late_ms
