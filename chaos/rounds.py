"""One fault after the other, the programs side by side; brokers where they are needed."""

import asyncio
import contextlib
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.support.kafka_broker import NoKafka, RealBroker

from . import reference
from .counts import Counts
from .fault import Fault


@dataclass(frozen=True, slots=True)
class Played:
    """What came of one fault. None: could not be played on this machine, or means nothing there."""

    name: str
    title: str
    documented: str
    liqwatch: Counts | None
    posted_again: Counts | None
    posted_once: Counts | None


async def play_all(faults: Sequence[Fault], seed: int, runs: int | None, folder: Path) -> list[Played]:
    """Says on stderr how far it is."""
    played = []
    for fault in faults:
        begun = time.monotonic()
        with broker_for(fault, folder / f"broker-{fault.name}") as broker:
            played.append(await _play(fault, seed, runs, folder / fault.name, broker))
        one = played[-1]
        took = time.monotonic() - begun
        found = [None if one is None else one.brief() for one in (one.liqwatch, one.posted_again, one.posted_once)]
        print(f"{fault.name}: {took:.0f} s, {found}", file=sys.stderr)
    return played


@contextlib.contextmanager
def broker_for(fault: Fault, folder: Path) -> Iterator[RealBroker | None]:
    """A fresh Apache Kafka, or None where it is not needed, or cannot be had."""
    if not fault.needs_kafka:
        yield None
        return
    broker = RealBroker(folder)
    try:
        broker.start()
    except NoKafka as reason:
        print(f"no Kafka, {fault.name} is left out: {reason}", file=sys.stderr)
        yield None
        return
    try:
        yield broker
    finally:
        broker.stop()


async def _play(fault: Fault, seed: int, runs: int | None, folder: Path, broker: RealBroker | None) -> Played:
    other_runs = runs or fault.reference_runs or fault.runs
    has_reference = fault.reference is not None and reference.present()

    async def ours() -> Counts | None:
        if fault.needs_kafka and broker is None:
            return None
        bootstrap = broker.bootstrap if broker is not None else None
        return await fault.on_liqwatch(
            seed, runs or fault.runs, folder / "liqwatch", bootstrap=bootstrap, broker=broker
        )

    async def theirs(repeats: bool) -> Counts | None:
        if not has_reference:
            return None
        return await fault.on_alertmanager(seed, other_runs, folder / f"repeats-{repeats}", repeats=repeats)

    found = await asyncio.gather(ours(), theirs(True), theirs(False))
    return Played(fault.name, fault.title, fault.documented, *found)
