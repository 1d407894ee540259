"""The settings are loaded anew in mid-incident: the same, other targets, another rule, another rung."""

import asyncio
import random
import signal

from ..desk import RULE, Desk
from ..fault import Fault
from ..reference import Reference
from ..system import STEPS, until_told

_OTHER_RULE = """
[[rules]]
name = "shorts-24h"
side = "short"
thresholds = ["5B"]
"""
_VARIANTS = (
    (RULE, "1s"),
    (RULE, "2s"),  # every target is built anew
    (RULE + _OTHER_RULE, "1s"),
    (RULE.replace('"1.7B"', '"1.7B", "9B"'), "1s"),
)


async def in_mid_incident(system: Desk | Reference, chance: random.Random, coin: str, number: int) -> None:
    """SIGHUP before, while and after each step is told."""
    for step in STEPS:
        await system.tell(coin, step)
        for _ in range(chance.randint(1, 3)):
            await asyncio.sleep(chance.uniform(0, 0.1))
            _reload(system, chance)
        await until_told(system, coin, step, 12.0 if isinstance(system, Desk) else 4.0)
        _reload(system, chance)
    system.hits += 1


def _reload(system: Desk | Reference, chance: random.Random) -> None:
    if isinstance(system, Reference):
        system.nodes[0].signal(signal.SIGHUP)
        return
    rules, system.timeout = chance.choice(_VARIANTS)
    system.configure(rules)
    system.alerters[0].signal(signal.SIGHUP)


FAULTS = (
    Fault(
        name="reload",
        title="settings loaded anew in mid-incident, two to four times a step",
        runs=20,
        play=in_mid_incident,
        reference=in_mid_incident,
        documented="keeps alerts and its log of notifications over a reload; what is under way is cut off and made "
        "again, in five trials 0 to 199 times",
    ),
)
