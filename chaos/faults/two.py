"""Two side by side, one of them killed, or frozen (SIGSTOP) and thawed: a frozen one believes that it still acts."""

import asyncio
import random
import signal
from collections.abc import Awaitable, Callable

from ..deaths import POINTS
from ..desk import Desk
from ..fault import Fault
from ..reference import Node, Reference
from ..system import STEPS, until, until_told, whole_incident

_TAKE_OVER = 45.0  # seconds: the group's session of 6 s, and a rebalance
_SOON = 6.0
_Act = Callable[[Node], Awaitable[None]]


async def one_killed(desk: Desk, chance: random.Random, coin: str, number: int) -> None:
    """Whoever acts dies at some step and stays dead until the other has told everything."""
    desk.revives = False
    desk.arm(POINTS[(number + 4) % len(POINTS)], coin, chance.randint(1, 3), signal.SIGKILL)
    await whole_incident(desk, coin, _TAKE_OVER)
    desk.command(death=None)
    await desk.revive()


async def one_frozen(desk: Desk, chance: random.Random, coin: str, number: int) -> None:
    """Whoever acts freezes at some step; two times of three for so long that the other takes over."""
    desk.arm(POINTS[(number + 5) % len(POINTS)], coin, chance.randint(1, 3), signal.SIGSTOP)
    watching = asyncio.create_task(_thaw(desk, None if number % 3 else chance.uniform(0.5, 3.0)))
    await whole_incident(desk, coin, _TAKE_OVER)
    watching.cancel()
    await asyncio.wait([watching])
    desk.command(death=None)
    await desk.revive()
    await asyncio.sleep(1.0)  # what the thawed one had in hand goes out now, or never


async def _thaw(desk: Desk, after: float | None) -> None:
    """Sees the freezing, which must not meet the other one too; ends it after so many seconds, or leaves it."""
    await until(lambda: any(alerter.frozen for alerter in desk.alerters), 4 * _TAKE_OVER)
    desk.died()
    if after is not None:
        await asyncio.sleep(after)
        await desk.revive()


async def one_node_killed(reference: Reference, chance: random.Random, coin: str, number: int) -> None:
    """The client posts to both, as documented."""

    async def kill(node: Node) -> None:
        await node.kill()

    async def revive(node: Node) -> None:
        await node.start(reference.http)

    await _one_node(reference, chance, coin, kill, revive)


async def one_node_frozen(reference: Reference, chance: random.Random, coin: str, number: int) -> None:
    """For longer than the other one waits for it."""

    async def freeze(node: Node) -> None:
        node.signal(signal.SIGSTOP)

    async def thaw(node: Node) -> None:
        node.signal(signal.SIGCONT)

    await _one_node(reference, chance, coin, freeze, thaw)


async def _one_node(reference: Reference, chance: random.Random, coin: str, hit: _Act, mend: _Act) -> None:
    node, at = chance.choice(reference.nodes), chance.choice(STEPS)
    for step in STEPS:
        if step == at:
            telling = asyncio.create_task(reference.tell(coin, step))
            await asyncio.sleep(chance.uniform(0, 0.1))
            await hit(node)
            reference.hits += 1
            await telling
        else:
            await reference.tell(coin, step)
        await until_told(reference, coin, step, _SOON)
    await asyncio.sleep(4.0 if at == STEPS[-1] else 0.0)
    await mend(node)
    await asyncio.sleep(1.0)


FAULTS = (
    Fault(
        name="two-killed",
        title="two alerters, the acting one killed",
        runs=8,
        play=one_killed,
        reference=one_node_killed,
        reference_runs=6,
        documented="a cluster of two that gossips what was notified; where that fails it prefers a repeat to a loss",
        options={"alerters": 2},
        nodes=2,
        needs_kafka=True,
        settle=5.0,
        reference_settle=6.0,
    ),
    Fault(
        name="two-frozen",
        title="two alerters, the acting one frozen (SIGSTOP) and thawed",
        runs=10,
        play=one_frozen,
        reference=one_node_frozen,
        reference_runs=6,
        documented="the same; a frozen peer is not fenced",
        options={"alerters": 2},
        nodes=2,
        needs_kafka=True,
        settle=5.0,
        reference_settle=6.0,
    ),
)
