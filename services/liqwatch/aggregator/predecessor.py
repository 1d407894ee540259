"""What earlier owners of a partition left in `totals`, read once at assignment."""

from collections.abc import Iterable

from ..eventlog import Log
from ..following import read_to_the_end
from ..topics import TOTALS
from ..wire import UNREADABLE, Heartbeat, decode_totals
from .partition import Predecessor


async def predecessors(log: Log, partitions: Iterable[int]) -> dict[int, Predecessor]:
    """Reads `totals` once, to its present end. Raises `LogUnavailable` in an outage."""
    found = {partition: Predecessor() for partition in partitions}
    await read_to_the_end(
        log, TOTALS, lambda record: _learn(found[record.partition], record.key, record.value), partitions=found
    )
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
    except UNREADABLE:
        predecessor.unreadable += 1
        return
    predecessor.generation = max(predecessor.generation, message.generation)
    if isinstance(message, Heartbeat):
        predecessor.beat = message
    else:
        predecessor.rows.add((message.window, message.scope))
