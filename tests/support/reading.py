"""Reads what services wrote: totals added up, liquidations recounted without their code."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from decimal import ROUND_HALF_EVEN, Decimal
from typing import TypeVar

from liqwatch.eventlog import EARLIEST, Log
from liqwatch.topics import LIQUIDATIONS, TOTALS, Topic
from liqwatch.totals import TotalsBook
from liqwatch.wire import decode_totals

T = TypeVar("T")


async def everything(log: Log, topic: Topic) -> list[dict]:  # type: ignore[type-arg]
    """Every record of a topic, decoded."""
    reader = await log.reader(topic, start=EARLIEST)
    found = []
    try:
        ends = await reader.end_offsets()
        while any(reader.positions().get(number, 0) < end for number, end in ends.items()):
            for record in await reader.fetch(1.0):
                if record.value is not None:
                    found.append(json.loads(record.value))
    finally:
        await reader.close()
    return found


async def totals(log: Log) -> TotalsBook:
    """The totals as they stand."""
    book = TotalsBook(TOTALS.partitions)
    reader = await log.reader(TOTALS, start=EARLIEST)
    try:
        ends = await reader.end_offsets()
        while any(reader.positions().get(number, 0) < end for number, end in ends.items()):
            for record in await reader.fetch(1.0):
                if record.value is not None:
                    book.apply(decode_totals(record.value))
    finally:
        await reader.close()
    return book


async def recount(log: Log) -> dict[str, tuple[int, int]]:
    """Micro-dollars and count by side of the distinct events in `liquidations`, by plain decimal arithmetic."""
    seen: set[str] = set()
    sums = {"long": (0, 0), "short": (0, 0)}
    for event in await everything(log, LIQUIDATIONS):
        if event["event_id"] in seen:
            continue
        seen.add(event["event_id"])
        micro = int((Decimal(event["notional_usd"]) * 1_000_000).to_integral_value(ROUND_HALF_EVEN))
        usd, count = sums[event["side"]]
        sums[event["side"]] = (usd + micro, count + 1)
    return sums


async def until(wanted: T, ask: Callable[[], Awaitable[T]], limit: float = 60.0) -> None:
    """Waits until `ask` answers `wanted`; fails with its last answer."""
    answer: T | None = None
    try:
        async with asyncio.timeout(limit):
            while True:
                answer = await ask()
                if answer == wanted:
                    return
                await asyncio.sleep(0.2)
    except TimeoutError:
        pass
    raise AssertionError(f"wanted {wanted}, got {answer}")
