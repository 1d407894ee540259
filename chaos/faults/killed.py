"""kill -9 of the one that delivers: at each step of decide, write, send, record, and at random moments."""

import asyncio
import random
import signal

from tests.support.chat_server import ChatServer
from tests.support.chat_server import Fault as ChatFault

from ..deaths import POINTS
from ..desk import Desk
from ..fault import Fault
from ..reference import TARGET, Reference
from ..system import STEPS, until, until_told, whole_incident

_SOON = 2.5  # seconds that Alertmanager is waited for: what a kill has taken from it does not come back
_ONCE_A_STEP = POINTS[:4]


async def at_a_step(desk: Desk, chance: random.Random, coin: str, number: int) -> None:
    """Each point in turn, and as the last one: the chat has it, its answer never comes."""
    turn = number % (len(POINTS) + 1)
    if turn == len(POINTS):
        await _unanswered(desk, chance.choice(list(desk.chats.values())), chance, coin)
        return
    point = POINTS[turn]
    n = chance.randint(1, 3) if point in _ONCE_A_STEP else chance.randint(1, 4)
    if number < len(POINTS):
        n = 1  # which is reached for sure; later times can fall together into one append
    desk.arm(point, coin, n, signal.SIGKILL)
    await whole_incident(desk, coin)
    desk.command(death=None)


async def _unanswered(system: Desk | Reference, chat: ChatServer, chance: random.Random, coin: str) -> None:
    at = chance.choice(STEPS)
    for step in STEPS:
        seen = len(chat.accepted)
        if step == at:
            chat.fail([ChatFault("silent")])
        await system.tell(coin, step)
        if step == at and await until(lambda seen=seen: len(chat.accepted) > seen, _SOON):  # type: ignore[misc]
            await system.kill()
            system.hits += 1
        await until_told(system, coin, step, _SOON)


async def at_a_step_outside(reference: Reference, chance: random.Random, coin: str, number: int) -> None:
    """What can be reached from outside: it has taken the alert, the receiver has it, the receiver has answered."""
    chat = reference.chats[TARGET]
    if number % 3 == 1:
        await _unanswered(reference, chat, chance, coin)
        return
    at = chance.choice(STEPS)
    for step in STEPS:
        await reference.tell(coin, step)
        if step == at:
            if number % 3 == 2:
                await until_told(reference, coin, step, _SOON)
                await asyncio.sleep(0.05)
            await reference.kill()
            reference.hits += 1
        await until_told(reference, coin, step, _SOON)


async def at_random(system: Desk | Reference, chance: random.Random, coin: str, number: int) -> None:
    """Within a quarter of a second of some step; the chats take their time, so that sendings are under way."""
    at = chance.choice(STEPS)
    for step in STEPS:
        for chat in system.chats.values():
            chat.faults[:] = [ChatFault("slow", seconds=chance.uniform(0, 0.08))]
        await system.tell(coin, step)
        if step == at:
            await asyncio.sleep(chance.uniform(0, 0.25))
            await system.kill()
            system.hits += 1
        await until_told(system, coin, step, 12.0 if isinstance(system, Desk) else _SOON)


FAULTS = (
    Fault(
        name="kill-steps",
        title="kill -9 at each step of decide → write → send → record",
        runs=77,
        play=at_a_step,
        reference=at_a_step_outside,
        reference_runs=24,
        documented="alerts only in memory; its log of notifications is saved every 15 min and at a clean end",
    ),
    Fault(
        name="kill-random",
        title="kill -9 at a random moment",
        runs=200,
        play=at_random,
        reference=at_random,
        reference_runs=40,
        documented="the same: it relies on a client that posts again, and promises at least once",
    ),
)
