"""Reading from Kafka without a group: own positions, losses counted, a client that went silent replaced."""

import asyncio
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import structlog

from . import LogClosed, LogError, LogUnavailable, Record
from .kafka_connection import Connection
from .kafka_consumer import KafkaConsumer, OutOfRange

PAGE = 2_000
_SILENCE_SECONDS = 3.0
_STUCK_SECONDS = 15.0


@dataclass(slots=True, eq=False)
class KafkaReader:
    """See `eventlog.Reader`. Built by `KafkaLog`; a member moves its partitions with `go_to`."""

    connection: Connection
    topic: str
    compacted: bool
    forget: Callable[["KafkaReader"], None] = lambda reader: None
    lost: int = 0
    _positions: dict[int, int] = field(default_factory=dict)
    _order: deque[int] = field(default_factory=deque)
    _consumer: KafkaConsumer | None = None
    _connecting: asyncio.Lock = field(default_factory=asyncio.Lock)
    _heard: float = field(default_factory=time.monotonic)  # when something came, or there was nothing to come
    _asked: float = field(default_factory=time.monotonic)
    _down_since: float | None = None
    _closed: bool = False

    async def go_to(self, positions: Mapping[int, int]) -> None:
        """From now on reads these partitions, from these offsets on."""
        self._positions = dict(positions)
        self._order = deque(sorted(positions))
        self._heard = time.monotonic()
        (await self.client()).assign(self._positions)

    async def client(self) -> KafkaConsumer:
        """The consumer; a new one at the same positions where there is none."""
        async with self._connecting:
            self._check_open()
            if self._consumer is None:
                consumer = KafkaConsumer(self.connection, self.topic)
                await consumer.start()
                try:
                    self._check_open()  # `close` does not wait for a connection
                except LogClosed:
                    await consumer.stop(0.5)
                    raise
                if self._positions:
                    consumer.assign(self._positions)
                self._consumer = consumer
            return self._consumer

    async def fetch(self, timeout: float) -> Sequence[Record]:
        if not self._positions:
            await asyncio.sleep(timeout)
            return ()
        try:
            consumer = await self.client()
            records = await self._poll(consumer, timeout)
            if records:
                self._heard = time.monotonic()
            elif time.monotonic() - max(self._heard, self._asked) >= self._patience():
                await self._ask_for_the_end(consumer)
        except LogUnavailable:
            self._say_down()
            raise
        if self._down_since is not None and max(self._heard, self._asked) > self._down_since:
            seconds = round(time.monotonic() - self._down_since, 1)
            structlog.get_logger("log").info("reading again", topic=self.topic, seconds=seconds)
            self._down_since = None
        return records

    def positions(self) -> Mapping[int, int]:
        return dict(self._positions)

    async def end_offsets(self) -> Mapping[int, int]:
        return await (await self.client()).ends(self._positions)

    async def close(self, timeout: float = 2.0) -> None:
        self._closed = True
        self.forget(self)
        consumer, self._consumer = self._consumer, None
        if consumer is not None:
            await consumer.stop(timeout)

    async def _poll(self, consumer: KafkaConsumer, timeout: float) -> list[Record]:
        """Every partition its share, each time another one first; waits only where none has anything."""
        share = max(1, PAGE // len(self._order))
        self._order.rotate(-1)
        records: list[Record] = []
        try:
            for partition in tuple(self._order):
                records += await self._took(consumer, await consumer.poll([partition], share, 0.0))
            if not records and timeout > 0:
                records += await self._took(consumer, await consumer.poll(self._order, share, timeout))
        except OutOfRange as error:
            await self._overtaken(consumer, error.partitions)
        except LogError:
            if not records:
                raise  # else it comes again: what was taken must reach the caller first
        return records

    async def _took(self, consumer: KafkaConsumer, found: Mapping[int, list[Record]]) -> list[Record]:
        taken: list[Record] = []
        for partition, records in found.items():
            reached = await consumer.position(partition)
            if not self.compacted:
                self.lost += reached - self._positions[partition] - len(records)
            self._positions[partition] = reached
            taken += records
        return taken

    async def _overtaken(self, consumer: KafkaConsumer, partitions: Sequence[int]) -> None:
        """Retention took what we had not read (compacted topics: at most so many), or the partition was made anew."""
        for partition, start in (await consumer.beginning(partitions)).items():
            missed = max(0, start - self._positions[partition])
            self.lost += missed
            structlog.get_logger("log").warning(
                "position is gone", topic=self.topic, partition=partition, start=start, lost=missed
            )
            self._positions[partition] = start
            consumer.seek(partition, start)

    async def _ask_for_the_end(self, consumer: KafkaConsumer) -> None:
        """Silence is an outage, a client that is stuck, or a quiet topic: the end offsets tell which."""
        ends = await consumer.ends(self._positions)
        self._asked = time.monotonic()
        for partition, at in self._positions.items():
            if ends[partition] > at:
                reached = await consumer.position(partition)  # records deleted at the end move it on
                if not self.compacted:
                    self.lost += reached - at
                self._positions[partition] = reached
        if all(ends[partition] <= at for partition, at in self._positions.items()):
            self._heard = self._asked
        elif self._asked - self._heard > _STUCK_SECONDS:
            structlog.get_logger("log").warning("fetching went silent, connecting anew", topic=self.topic)
            self._consumer, self._heard = None, self._asked
            await consumer.stop(1.0)

    def _check_open(self) -> None:
        if self._closed:
            raise LogClosed("this reader was closed")

    def _patience(self) -> float:
        return 0.0 if self._down_since is not None else _SILENCE_SECONDS

    def _say_down(self) -> None:
        if self._down_since is None:
            self._down_since = time.monotonic()
            reason = f"Kafka at {self.connection.servers} does not answer"
            structlog.get_logger("log").warning("cannot read", topic=self.topic, reason=reason)
