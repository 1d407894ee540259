"""One aiokafka consumer without a group, as typed calls about the partitions of one topic."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import aiokafka
from aiokafka import errors

from . import Record, Start
from .kafka_connection import Connection, end

_Consumer: Any = aiokafka.AIOKafkaConsumer
_FETCH_WAIT_MS = 100  # a fetch under way leaves out partitions that were not empty when it was sent
_PARTITION_FETCH_BYTES = 256 * 1024


class OutOfRange(Exception):
    """A position lies outside of what the partition holds."""

    def __init__(self, partitions: Iterable[int]) -> None:
        super().__init__()
        self.partitions = tuple(partitions)


@dataclass(slots=True)
class KafkaConsumer:
    """`start` first. Every call but `poll` is bounded and raises `LogError`s."""

    connection: Connection
    topic: str
    _consumer: Any = None

    async def start(self) -> None:
        consumer = _Consumer(
            enable_auto_commit=False,
            auto_offset_reset="none",
            fetch_max_wait_ms=_FETCH_WAIT_MS,
            max_partition_fetch_bytes=_PARTITION_FETCH_BYTES,
            **self.connection.options,
        )
        try:
            await self.connection.call(consumer.start)
        except BaseException:
            await _end(consumer, 0.5)
            raise
        self._consumer = consumer

    def assign(self, positions: Mapping[int, int]) -> None:
        """Reads these partitions from these offsets on."""
        if not positions:
            self._consumer.unsubscribe()
            return
        self._consumer.assign([self._tp(partition) for partition in positions])
        for partition, offset in positions.items():
            self._consumer.seek(self._tp(partition), offset)

    def seek(self, partition: int, offset: int) -> None:
        self._consumer.seek(self._tp(partition), offset)

    async def poll(self, partitions: Sequence[int], most: int, seconds: float) -> dict[int, list[Record]]:
        """What has been fetched, `most` records in all. Raises `OutOfRange`."""
        try:
            found = await self._consumer.getmany(
                *[self._tp(partition) for partition in partitions],
                timeout_ms=int(seconds * 1000),
                max_records=most,
            )
        except errors.OffsetOutOfRangeError as error:
            raise OutOfRange(tp.partition for tp in error.args[0]) from error
        except (errors.KafkaError, errors.ConsumerStoppedError) as error:
            raise self.connection.in_words(error) from error
        return {
            tp.partition: [Record(r.partition, r.offset, r.timestamp, r.key or b"", r.value) for r in records]
            for tp, records in found.items()
        }

    async def position(self, partition: int) -> int:
        """Where the next poll goes on: past deleted records too."""
        return int(await self.connection.call(lambda: self._consumer.position(self._tp(partition))))

    async def beginning(self, partitions: Iterable[int]) -> dict[int, int]:
        return await self._offsets(self._consumer.beginning_offsets, partitions)

    async def ends(self, partitions: Iterable[int]) -> dict[int, int]:
        return await self._offsets(self._consumer.end_offsets, partitions)

    async def starts(self, partitions: Iterable[int], start: Start) -> dict[int, int]:
        """Where `start` is.

        Kafka says nothing where no record is as young as `since_ms`: that is the end, as it was before we asked.
        (librdkafka's mock broker says nothing always, and knows no times.)
        """
        wanted = list(partitions)
        if start.at == "earliest":
            return await self.beginning(wanted)
        ends = await self.ends(wanted)
        if start.at == "latest" or not wanted:
            return ends
        times = {self._tp(partition): start.since_ms for partition in wanted}
        found = await self.connection.call(lambda: self._consumer.offsets_for_times(times))
        for tp, at in found.items():
            if at is not None:
                ends[tp.partition] = at.offset
        return ends

    async def stop(self, timeout: float) -> None:
        if self._consumer is not None:
            consumer, self._consumer = self._consumer, None
            await _end(consumer, timeout)

    async def _offsets(self, ask: Any, partitions: Iterable[int]) -> dict[int, int]:
        wanted = [self._tp(partition) for partition in partitions]
        if not wanted:
            return {}
        found = await self.connection.call(lambda: ask(wanted))
        return {tp.partition: offset for tp, offset in found.items()}

    def _tp(self, partition: int) -> Any:
        return aiokafka.TopicPartition(self.topic, partition)


async def _end(consumer: Any, timeout: float) -> None:
    owners = [consumer, consumer._subscription, consumer._fetcher, consumer._coordinator]
    await end(consumer.stop, consumer._client, [owner for owner in owners if owner is not None], timeout)
    consumer._closed = True
