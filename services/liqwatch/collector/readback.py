"""What the log already has of one venue and time: read back before the venue's own list is compared with it."""

import asyncio
from functools import partial

import msgspec

from ..eventlog import Log, Record, since
from ..events import QUARANTINED
from ..following import read_to_the_end
from ..topics import LIQUIDATIONS, REJECTED_FRAMES, Topic
from ..wire import UNREADABLE, Liquidation, decode_liquidation

_SLACK_MS = 120_000  # a record's time may be so much earlier than the event's: the earlier of two clocks counts
_LIMIT = 120.0  # seconds


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
    found: list[Liquidation] = []

    def take(topic: Topic, key: bytes, record: Record) -> None:
        if record.key.startswith(key) and (event := _event(topic, record)) is not None:
            found.append(event)

    start = since(since_ms - _SLACK_MS)
    async with asyncio.timeout(_LIMIT):
        for topic, key in ((LIQUIDATIONS, f"{venue}:"), (REJECTED_FRAMES, venue)):
            await read_to_the_end(log, topic, partial(take, topic, key.encode()), start=start)
    return [event for event in found if event.venue == venue and since_ms <= event.event_time_ms <= until_ms]


def _event(topic: Topic, record: Record) -> Liquidation | None:
    if record.value is None:
        return None
    try:
        if topic is LIQUIDATIONS:
            return decode_liquidation(record.value)
        rejected = _decode_rejected(record.value)
        return decode_liquidation(rejected.frame) if rejected.reason in QUARANTINED else None
    except UNREADABLE:
        return None  # not ours to judge: the aggregator counts what cannot be read
