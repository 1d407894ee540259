"""A chat that limits, fails, says nothing, hangs up after it has taken the message, or is away for an hour."""

import asyncio
import random
from collections.abc import Callable

from tests.support.chat_server import Fault as ChatFault

from ..desk import Desk
from ..fault import Fault, Play
from ..reference import Reference
from ..system import STEPS, until_told

SPEED = 90.0  # the hour in which the chats are away passes in 40 seconds
_HOUR = 3600 / SPEED
_SHORT_HOUR = 24.0  # seconds, for Alertmanager, whose clock is the machine's
_SOON = 8.0


def meeting(make: Callable[[random.Random], list[ChatFault]], pause: float = 0.0) -> Play:
    """Every step meets these at every chat before it is let through. `pause`: seconds between Alertmanager's steps."""

    async def play(system: Desk | Reference, chance: random.Random, coin: str, number: int) -> None:
        for step in STEPS:
            for chat in system.chats.values():
                chat.fail(make(chance))
            system.hits += step == STEPS[0]
            await system.tell(coin, step)
            await until_told(system, coin, step, _SOON if isinstance(system, Reference) else 20.0)
            if isinstance(system, Reference):
                await asyncio.sleep(pause)

    return play


def limited(chance: random.Random) -> list[ChatFault]:
    return [ChatFault("limited", seconds=chance.uniform(0.05, 0.5))] * chance.randint(1, 2)


def failing(chance: random.Random) -> list[ChatFault]:
    return [ChatFault("status", code=chance.choice((500, 502, 503)))] * chance.randint(1, 2)


def silent(_: random.Random) -> list[ChatFault]:
    return [ChatFault("silent")]


def resetting(chance: random.Random) -> list[ChatFault]:
    return [ChatFault(chance.choice(("reset", "reset", "reset_before")))]


def away(seconds: float) -> Play:
    """All chats refuse connections; in that time the incident opens, steps up and ends."""

    async def play(system: Desk | Reference, chance: random.Random, coin: str, number: int) -> None:
        for chat in system.chats.values():
            await chat.hang_up()
        system.hits += 1
        for step in STEPS:
            await asyncio.sleep(seconds / 12)
            await system.tell(coin, step)
            await asyncio.sleep(seconds / 4)
        for chat in system.chats.values():
            await chat.listen()
        for step in STEPS:
            await until_told(system, coin, step, _SOON)

    return play


def _fault(
    name: str, title: str, make: Callable[[random.Random], list[ChatFault]], documented: str, slow: bool
) -> Fault:
    return Fault(
        name=name,
        title=title,
        runs=12,
        play=meeting(make),
        # Alertmanager waits 10 seconds for an answer: its incidents last longer than that.
        reference=meeting(make, 12.0 if slow else 0.0),
        reference_runs=3 if slow else 12,
        documented=documented,
        reference_settle=12.0 if slow else 3.0,
    )


FAULTS = (
    _fault(
        "chat-429",
        "chat answers 429 once or twice to every message",
        limited,
        "a webhook's 429 is not tried again before the next group interval (5 min; here 1 s)",
        False,
    ),
    _fault(
        "chat-500",
        "chat answers 500, 502 or 503, having taken nothing",
        failing,
        "5xx is tried again with growing pauses",
        False,
    ),
    _fault(
        "chat-timeout",
        "chat takes every message, and never answers the first time",
        silent,
        "an unanswered post is tried again at the next interval; no key tells the receiver that it has it",
        True,
    ),
    _fault(
        "chat-reset",
        "chat resets the connection, two times of three after taking the message",
        resetting,
        "a broken connection is tried again; no key tells the receiver that it has it",
        False,
    ),
    Fault(
        name="chat-dead",
        title=f"chat refuses connections for an hour, in which the incident opens and ends (virtual time, ×{SPEED:g}; "
        f"for Alertmanager {_SHORT_HOUR:g} s)",
        runs=2,
        play=away(_HOUR),
        reference=away(_SHORT_HOUR),
        documented="tries again while the alert fires; of one that has ended untold, nothing is said",
        options={"speed": SPEED, "timeout": "60s"},
        settle=3.0,
        reference_settle=5.0,
    ),
)
