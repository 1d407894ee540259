"""What every fault is played against, whichever program delivers: its course of an incident, and what arrived."""

import asyncio
from collections.abc import Callable, Iterable, Sequence
from typing import Protocol

from tests.support.chat_server import ChatServer

from .counts import Alert

FIRED, STEPPED_UP, CLEARED = "fired", "stepped_up", "cleared"
STEPS = (FIRED, STEPPED_UP, CLEARED)
LEVELS = {FIRED: 1_200_000_000, STEPPED_UP: 1_800_000_000, CLEARED: 1_000_000}  # dollars
PATIENCE = 12.0  # seconds for one step; what comes later still counts, but the run goes on
Told = dict[Alert, list[bool]]


class System(Protocol):
    """A program that tells chats of incidents."""

    chats: dict[str, ChatServer]
    hits: int

    async def tell(self, coin: str, step: str) -> None:
        """The incident of this coin takes this step now."""
        ...

    def due(self, coin: str, step: str) -> Sequence[Alert]:
        """What has to arrive because of it."""
        ...

    def told(self) -> Told:
        """What has arrived so far."""
        ...

    async def kill(self) -> None:
        """kill -9, and the same program again on what it has kept."""
        ...


async def until(condition: Callable[[], bool], seconds: float = PATIENCE) -> bool:
    """False if it did not come true in time."""
    try:
        async with asyncio.timeout(seconds):
            while not condition():
                await asyncio.sleep(0.005)
    except TimeoutError:
        return False
    return True


async def until_told(system: System, coin: str, step: str, seconds: float = PATIENCE) -> bool:
    """Everybody has been told of this step."""
    wanted = system.due(coin, step)

    def all_told() -> bool:
        told = system.told()
        return all(alert in told for alert in wanted)

    return await until(all_told, seconds)


def add(told: Told, found: Iterable[tuple[Alert, bool]]) -> None:
    """Copies that have come, in their order."""
    for alert, marked in found:
        told.setdefault(alert, []).append(marked)


async def whole_incident(system: System, coin: str, seconds: float = PATIENCE) -> None:
    """All steps, each one told before the next."""
    for step in STEPS:
        await system.tell(coin, step)
        await until_told(system, coin, step, seconds)
