"""The broker goes away, stopped or frozen, while alerts are pending or their answers are on the way."""

import asyncio
import random

from tests.support.chat_server import Fault as ChatFault
from tests.support.kafka_broker import RealBroker

from ..desk import Desk
from ..fault import Fault
from ..system import FIRED, STEPS, until, until_told

_BACK = 60.0  # seconds for everything to be told once the broker is back
_GONE = 3.0


async def gone(desk: Desk, chance: random.Random, coin: str, number: int) -> None:
    """Pending: every chat limits until the broker is gone. On the way: a chat answers only after it is gone."""
    assert desk.broker is not None
    on_the_way = number % 2 == 1
    seen = {name: len(chat.accepted) for name, chat in desk.chats.items()}
    before = {name: chat.requests for name, chat in desk.chats.items()}
    for chat in desk.chats.values():
        chat.fail([ChatFault("slow", seconds=0.45)] if on_the_way else [ChatFault("limited", seconds=0.3)] * 3)
    await desk.tell(coin, FIRED)
    if on_the_way:
        await until(lambda: all(len(chat.accepted) > seen[name] for name, chat in desk.chats.items()))
    else:
        await until(lambda: all(chat.requests > before[name] for name, chat in desk.chats.items()))
    await _without(desk.broker, stopped=number % 3 == 0)
    desk.hits += 1
    for chat in desk.chats.values():
        chat.faults.clear()
    for step in STEPS:
        if step != FIRED:
            await desk.tell(coin, step)
        await until_told(desk, coin, step, _BACK)


async def _without(broker: RealBroker, *, stopped: bool) -> None:
    if stopped:
        await asyncio.to_thread(broker.stop)
        await asyncio.sleep(_GONE)
        await asyncio.to_thread(broker.start)
        return
    broker.freeze()
    try:
        await asyncio.sleep(_GONE)
    finally:
        broker.thaw()


FAULTS = (
    Fault(
        name="broker-gone",
        title="broker stopped or frozen while alerts are pending",
        runs=5,
        play=gone,
        documented="has no broker",
        needs_kafka=True,
        needs_broker=True,
        settle=5.0,
    ),
)
