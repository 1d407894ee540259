"""What the log already has of one venue and time: read back before the venue's own list is compared with it."""

import asyncio
from collections.abc import AsyncIterator, Mapping

import msgspec

from ..eventlog import Log, Reader, Record, since
from ..events import QUARANTINED
from ..topics import LIQUIDATIONS, REJECTED_FRAMES, Topic
from ..wire import Liquidation, decode_liquidation

_SLACK_MS = 120_000  # a record's time may be so much earlier than the event's: the earlier of two clocks counts
_LIMIT = 120.0  # seconds
_FETCH = 1.0


class _Rejected(msgspec.Struct, gc=False):
    """The fields of a rejected frame that tell whether an event was held back."""

    venue: str
    reason: str
    frame: str


_decode_rejected = msgspec.json.Decoder(_Rejected).decode


async def read_back(log: Log, venue: str, since_ms: int, until_ms: int) -> list[Liquidation]:
    """The venue's events of the time, those that were quarantined as well: what was held back is not missing.

    Raises `LogError` or `TimeoutError` where the log does not answer.
    """
    async with asyncio.timeout(_LIMIT):
        found = [event async for event in _events(log, LIQUIDATIONS, f"{venue}:", since_ms)]
        found += [event async for event in _events(log, REJECTED_FRAMES, venue, since_ms)]
    return [event for event in found if event.venue == venue and since_ms <= event.event_time_ms <= until_ms]


async def _events(log: Log, topic: Topic, key: str, since_ms: int) -> AsyncIterator[Liquidation]:
    """Everything under the key up to the end as it is now."""
    reader = await log.reader(topic, start=since(since_ms - _SLACK_MS))
    wanted = key.encode()
    try:
        ends = await reader.end_offsets()
        while _behind(reader, ends):
            for record in await reader.fetch(_FETCH):
                if record.key.startswith(wanted) and (event := _event(topic, record)) is not None:
                    yield event
            await asyncio.sleep(0)  # a day of events is read without holding up the sockets
    finally:
        await reader.close()


def _behind(reader: Reader, ends: Mapping[int, int]) -> bool:
    positions = reader.positions()
    return any(positions.get(partition, 0) < end for partition, end in ends.items())


def _event(topic: Topic, record: Record) -> Liquidation | None:
    if record.value is None:
        return None
    try:
        if topic is LIQUIDATIONS:
            return decode_liquidation(record.value)
        rejected = _decode_rejected(record.value)
        return decode_liquidation(rejected.frame) if rejected.reason in QUARANTINED else None
    except msgspec.MsgspecError:
        return None  # not ours to judge: the aggregator counts what cannot be read
