"""A fault: how often, against what, and how one run of it goes. And the play of it, which returns counts."""

import asyncio
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from . import desk, reference
from .counts import Counts, count
from .system import STEPS, System, until

Play = Callable[[Any, random.Random, str, int], Awaitable[None]]  # system, random, coin, number of the run


@dataclass(frozen=True, slots=True)
class Fault:
    """`documented`: what Alertmanager's own pages say of it. `settle`: seconds in which a late copy may still come.

    `options` are those of `desk.opened`; `nodes` how many Alertmanagers; without `reference` it says nothing there.
    """

    name: str
    title: str
    runs: int
    play: Play
    documented: str
    reference: Play | None = None
    reference_runs: int | None = None
    options: dict[str, Any] = field(default_factory=dict)
    nodes: int = 1
    needs_kafka: bool = False
    needs_broker: bool = False  # takes the broker away
    settle: float = 2.0
    reference_settle: float = 3.0

    async def on_liqwatch(
        self, seed: int, runs: int, folder: Path, *, bootstrap: str | None = None, broker: Any = None
    ) -> Counts:
        """Plays it against liqwatch. The same seed orders the same faults."""
        async with desk.opened(folder, bootstrap=bootstrap, **self.options) as system:
            system.broker = broker
            counts = await _played(self, self.play, system, seed, runs, self.settle)
            return counts + Counts(kept_out=system.kept_out(), struck=tuple(system.struck))

    async def on_alertmanager(self, seed: int, runs: int, folder: Path, *, repeats: bool) -> Counts | None:
        """Plays it against Alertmanager; None where it means nothing there."""
        if self.reference is None:
            return None
        async with reference.opened(folder, repeats=repeats, nodes=self.nodes) as system:
            return await _played(self, self.reference, system, seed, runs, self.reference_settle)


async def _played(fault: Fault, play: Play, system: Any, seed: int, runs: int, settle: float) -> Counts:
    coins = [coin_of(fault.name, number) for number in range(runs)]
    for number, coin in enumerate(coins):
        await play(system, random.Random(f"{seed}:{fault.name}:{number}"), coin, number)
    due = [alert for coin in coins for step in STEPS for alert in system.due(coin, step)]
    await _settled(system, due, settle)
    return count(due, system.told(), runs=runs, hits=system.hits)


async def _settled(system: System, due: Any, settle: float) -> None:
    """What is still missing gets a last chance; then a while in which a copy too many would come."""
    await until(lambda: all(alert in system.told() for alert in due), 4 * settle)
    await asyncio.sleep(settle)


def coin_of(fault: str, number: int) -> str:
    """A coin for each run of each fault: `K` and five digits."""
    return f"K{sum(map(ord, fault)) % 90:02d}{number:03d}"
