"""The machine's clock steps forward and back, by seconds and by an hour, before and while something is told."""

import asyncio
import random

from ..desk import Desk
from ..fault import Fault
from ..system import STEPS, until_told

_STEPS_OF_THE_CLOCK = (2.0, -2.0, 90.0, -90.0, 3600.0, -3600.0)


async def stepping(desk: Desk, chance: random.Random, coin: str, number: int) -> None:
    """Every step of the incident meets one of the clock, a little before or a little after."""
    for step in STEPS:
        by = chance.choice(_STEPS_OF_THE_CLOCK)
        if chance.random() < 0.5:
            desk.command(ahead=desk.orders.ahead + by)
            await asyncio.sleep(chance.uniform(0, 0.1))
            await desk.tell(coin, step)
        else:
            await desk.tell(coin, step)
            await asyncio.sleep(chance.uniform(0, 0.1))
            desk.command(ahead=desk.orders.ahead + by)
        await until_told(desk, coin, step)
    desk.hits += 1


FAULTS = (
    Fault(
        name="clock-steps",
        title="clock steps by 2 s, 90 s, an hour, forward and back",
        runs=20,
        play=stepping,
        documented="not tried: its clock cannot be moved without the machine's",
    ),
)
