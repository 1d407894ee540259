"""Appending to Kafka: acks=all, idempotent, zstd; a producer that died is replaced by the next append."""

import asyncio
from collections import defaultdict
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import aiokafka
from aiokafka import errors

from . import Entry, LogClosed, Position, RecordRefused
from .kafka_connection import Connection, closed, end

BATCH_BYTES = 64 * 1024
LARGEST_RECORD = 900 * 1024  # brokers take 1 MiB a batch by default
_Producer: Any = aiokafka.AIOKafkaProducer
_WHOLE_BATCH = 16  # from so many entries for a partition on, a batch of our own is cheaper than a future a record


@dataclass(slots=True)
class KafkaProducer:
    """`append` waits through an outage: an idempotent producer never gives a batch up."""

    connection: Connection
    _producer: Any = None
    _broken: bool = False
    _replacing: asyncio.Lock = field(default_factory=asyncio.Lock)
    _closed: bool = False

    async def start(self) -> None:
        """Raises `LogUnavailable` at once where no broker answers."""
        producer = _Producer(
            acks="all",
            enable_idempotence=True,
            compression_type="zstd",
            max_batch_size=BATCH_BYTES,
            max_request_size=1024 * 1024,
            linger_ms=0,  # what comes while a request is under way makes the next batch
            **self.connection.options,
        )
        try:
            await self.connection.call(producer.start, seconds=10.0)
        except BaseException:
            await _end(producer, 0.5)
            raise
        self._producer, self._broken = producer, False

    async def append(self, topic: str, entries: Sequence[Entry], partitions: Sequence[int]) -> list[Position]:
        if any(len(entry.key) + len(entry.value or b"") > LARGEST_RECORD for entry in entries):
            raise RecordRefused(f"a record for {topic} is larger than {LARGEST_RECORD} bytes")
        producer = await self._working()
        by_partition: defaultdict[int, list[int]] = defaultdict(list)
        for index, partition in enumerate(partitions):
            by_partition[partition].append(index)
        offsets: list[int] = [0] * len(entries)
        parts = [
            self._partition(producer, topic, entries, partition, indexes, offsets)
            for partition, indexes in by_partition.items()
        ]
        try:
            if len(parts) == 1:
                await parts[0]
            else:
                await asyncio.gather(*parts)
        except errors.KafkaError as error:
            if self._producer is producer:  # the sequence numbers of what failed are used up: none may follow
                self._broken = True
            raise closed("log") if self._closed else self.connection.in_words(error) from error
        return [Position(partition, offset) for partition, offset in zip(partitions, offsets, strict=True)]

    async def stop(self, timeout: float) -> None:
        self._closed = True
        if self._producer is not None:
            producer, self._producer = self._producer, None
            await _end(producer, timeout)

    async def _working(self) -> Any:
        async with self._replacing:
            if self._closed:
                raise LogClosed("the log was closed")
            if self._broken and self._producer is not None:
                producer, self._producer = self._producer, None
                await _end(producer, 0.5)
            if self._producer is None:
                await self.start()
            return self._producer

    async def _partition(
        self,
        producer: Any,
        topic: str,
        entries: Sequence[Entry],
        partition: int,
        indexes: Sequence[int],
        offsets: list[int],
    ) -> None:
        if len(indexes) < _WHOLE_BATCH:
            futures = []
            for index in indexes:
                one = entries[index]
                send = partial(
                    producer.send, topic, one.value, one.key, partition=partition, timestamp_ms=one.timestamp_ms
                )
                futures.append(await _accepted(send))
            for index, told in zip(indexes, await asyncio.gather(*futures), strict=True):
                offsets[index] = told.offset
            return
        sent: list[tuple[Sequence[int], Any]] = []
        at = 0
        while at < len(indexes):
            builder, first = producer.create_batch(), at
            while at < len(indexes):
                one = entries[indexes[at]]
                if builder.append(key=one.key, value=one.value, timestamp=one.timestamp_ms) is None:
                    break
                at += 1
            builder.close()
            send = partial(producer.send_batch, builder, topic, partition=partition)
            sent.append((indexes[first:at], await _accepted(send)))
        for (members, _), told in zip(sent, await asyncio.gather(*[future for _, future in sent]), strict=True):
            for number, index in enumerate(members):
                offsets[index] = told.offset + number


async def _accepted(send: Callable[[], Awaitable[Any]]) -> Any:
    """The future of what was queued. Refused for want of room or metadata it was not queued: ask again."""
    while True:
        try:
            future = await send()
            future.add_done_callback(_retrieve)
            return future
        except errors.KafkaError as error:
            if not (error.retriable or isinstance(error, errors.KafkaTimeoutError)):
                raise
            await asyncio.sleep(0.1)


def _retrieve(future: "asyncio.Future[Any]") -> None:
    """Nobody may be waiting any more; an error that nobody asks for would be complained about."""
    if not future.cancelled():
        future.exception()


async def _end(producer: Any, timeout: float) -> None:
    accumulator = producer._message_accumulator

    async def stop() -> None:
        if producer._sender.sender_task is None:  # it never started
            await producer.client.close()
        else:
            await producer.stop()

    await end(stop, producer.client, [producer, producer._sender, accumulator], timeout)
    producer._closed = True
    waiting = [batch for batches in accumulator._batches.values() for batch in batches]
    waiting += list(accumulator._pending_batches)
    accumulator.fail_all(errors.ProducerClosed())
    # The library lets go of each batch once it has failed, and finds one that was to be sent again there no more.
    accumulator._pending_batches.update(waiting)
    for batch in waiting:
        _retrieve(batch.future)
        if batch._drain_waiter.done():
            _retrieve(batch._drain_waiter)
