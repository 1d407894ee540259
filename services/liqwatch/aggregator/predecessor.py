"""What earlier owners of a partition left in `totals`, read once at assignment."""

import asyncio
from collections.abc import Iterable

import msgspec

from ..eventlog import Log
from ..topics import TOTALS
from ..wire import Heartbeat, decode_totals
from .partition import Predecessor

_FETCH_SECONDS = 0.5


async def predecessors(log: Log, partitions: Iterable[int]) -> dict[int, Predecessor]:
    """Reads `totals` once, to its present end. Raises `LogUnavailable` in an outage."""
    found = {partition: Predecessor() for partition in partitions}
    reader = await log.reader(TOTALS, partitions=found)
    try:
        ends = await reader.end_offsets()
        while any(reader.positions().get(partition, 0) < end for partition, end in ends.items()):
            for record in await reader.fetch(_FETCH_SECONDS):
                _learn(found[record.partition], record.key, record.value)
            await asyncio.sleep(0)
    finally:
        await reader.close()
    return found


def _learn(predecessor: Predecessor, key: bytes, value: bytes | None) -> None:
    if value is None:
        _, *row = key.decode(errors="replace").split(",", 2)
        if len(row) == 2:
            predecessor.rows.discard((row[0], row[1]))
        elif row != ["heartbeat"]:
            predecessor.unreadable += 1
        return
    try:
        message = decode_totals(value)
    except (msgspec.DecodeError, ValueError):
        predecessor.unreadable += 1
        return
    predecessor.generation = max(predecessor.generation, message.generation)
    if isinstance(message, Heartbeat):
        predecessor.beat = message
    else:
        predecessor.rows.add((message.window, message.scope))
