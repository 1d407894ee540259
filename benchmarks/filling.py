"""Fills the topic of liquidations with a day's worth of events, through the log itself."""

import random
import time
from collections.abc import Iterator
from itertools import islice

from liqwatch.eventlog import Entry, Log
from liqwatch.topics import LIQUIDATIONS
from liqwatch.wire import Liquidation, encode

VENUES = ("binance", "bybit", "okx", "bitget", "gate", "htx")
COINS = [f"C{number:03d}" for number in range(600)]
HOURS = 20  # the events lie in the last so many hours: all of them count
_BATCH = 5_000


def events(number: int, now_ms: int) -> Iterator[Liquidation]:
    """`number` liquidations in the order of their times, ending now; the same at every call but for the times."""
    dice = random.Random(11)
    first = now_ms - HOURS * 3_600_000
    for at in range(number):
        venue, coin, side = dice.choice(VENUES), dice.choice(COINS), dice.choice(("long", "short"))
        when = first + at * HOURS * 3_600_000 // number
        price, quantity = f"{dice.uniform(0.1, 999):.4f}", f"{dice.expovariate(0.05) + 0.001:.3f}"
        yield Liquidation(
            f"{venue}:{coin}USDT:{when}:{side}:{quantity}@{price}#{at % 7}",
            venue,
            f"{coin}USDT",
            coin,
            "USDT",
            side,
            price,
            "fill",
            quantity,
            f"{float(price) * float(quantity):.7f}",
            when,
            when + 60,
            "venue",
            "stream",
            "order",
        )


async def fill(log: Log, number: int) -> None:
    """Writes them; returns when the log has them all."""
    made = events(number, int(time.time() * 1000))
    while batch := list(islice(made, _BATCH)):
        entries = [
            Entry(f"{one.venue}:{one.symbol}".encode(), encode(one), min(one.event_time_ms, one.received_time_ms))
            for one in batch
        ]
        await log.append(LIQUIDATIONS, entries)
