"""Every simulated venue at once on a real Kafka, with sockets cut at random and a collector killed."""

import asyncio
import contextlib
import signal
from collections import Counter
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

# Its stream has no prices: what is repeated after a cut is worth what the coin is then, so only the count is exact.
MARKED = {"orderly"}

Worth = dict[tuple[str, str], "Counter[int]"]  # how many events of so many micro-dollars, by venue and side


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
        listing = {name for name in simulator.venues if known[name].history is not None}
        unheard = simulator.books.unheard
        assert any(one.entry.listing.venue in listing for one in unheard)
        assert any(one.entry.listing.venue not in listing for one in unheard)

        async with opened(own_kafka) as log:
            await until([], lambda: differences(log, simulator, listing), FILLED_WITHIN)
            await until(True, lambda: totals_agree(log))
            assert [] == await everything(log, REJECTED_FRAMES)
            coverage = await everything(log, COVERAGE)
        for one in unheard:
            when = reach(simulator, one)
            venue = one.entry.listing.venue
            # Nobody says to have watched at the time of the event, or just before it was due to be sent …
            assert [] != subtract([when], spans(coverage, venue, "watched")), (one, spans(coverage, venue, "watched"))
            if venue in listing:  # … and where there is a list, that time was filled.
                assert [when] != subtract([when], spans(coverage, venue, "filled")), one
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


async def collected(log: Log) -> Worth:
    """The distinct events of the topic, by plain decimal arithmetic. Of an event told twice, the first counts."""
    events: dict[str, dict] = {}  # type: ignore[type-arg]
    for event in await everything(log, LIQUIDATIONS):
        events.setdefault(event["event_id"], event)
    found: Worth = {}
    for event in events.values():
        micro = int((Decimal(event["notional_usd"]) * 1_000_000).to_integral_value(ROUND_HALF_EVEN))
        found.setdefault((event["venue"], event["side"]), Counter())[micro] += 1
    return found


def due(events: Iterable[Due]) -> Worth:
    """What the simulator's books say."""
    found: Worth = {}
    for one in events:
        found.setdefault((one.entry.listing.venue, one.entry.side), Counter())[one.micro_usd] += 1
    return found


async def differences(log: Log, simulator: Simulator, listing: set[str]) -> list[object]:
    """With a history everything is in the log. Without, what was sent is, and maybe what a new socket was told anew."""
    found, sent, unheard = await collected(log), due(simulator.books.events), due(simulator.books.unheard)
    wrong: list[object] = []
    for key in sorted(sent.keys() | unheard.keys() | found.keys()):
        here, there, missed = found.get(key, Counter()), sent.get(key, Counter()), unheard.get(key, Counter())
        if key[0] in MARKED:
            here, there, missed = (Counter({0: each.total()}) for each in (here, there, missed))
        lacking = (there + missed if key[0] in listing else there) - here
        invented = here - there - missed
        if lacking or invented:
            wrong.append((key, "lacking", dict(lacking), "invented", dict(invented)))
    return wrong


def over_all(worth: Worth) -> dict[str, tuple[int, int]]:
    found = {"long": (0, 0), "short": (0, 0)}
    for (_, side), events in worth.items():
        count, usd = found[side]
        found[side] = count + events.total(), usd + sum(micro * times for micro, times in events.items())
    return found


async def totals_agree(log: Log) -> bool:
    """What the aggregator says of the longest window is what is in the log."""
    total, found = (await totals(log)).sum("24h", "all"), over_all(await collected(log))
    return found == {"long": (total.long_count, total.long), "short": (total.short_count, total.short)}


def spans(coverage: Iterable[dict], venue: str, kind: str) -> list[tuple[int, int]]:  # type: ignore[type-arg]
    """Of every collector's intervals the last word, merged."""
    last = {message["interval_id"]: message for message in coverage if message["venue"] == venue}
    return merge((one["from_ms"], one["to_ms"]) for one in last.values() if one["kind"] == kind)


def reach(simulator: Simulator, due: Due) -> tuple[int, int]:
    """From the time of an event to when it was sent at the latest."""
    late_ms = simulator.venues[due.entry.listing.venue].dialect.batch_ms + SLACK_MS
    return due.entry.event_ms, due.entry.event_ms + late_ms
