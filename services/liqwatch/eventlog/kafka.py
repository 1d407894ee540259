"""The log on Apache Kafka, through aiokafka: acks=all, idempotent, explicit partitions, every wait bounded."""

import asyncio
from collections.abc import Collection, Mapping, Sequence
from datetime import timedelta

from ..clock import Clock
from ..settings import KafkaSettings
from ..topics import Topic, partition_for
from . import EARLIEST, Entry, LogClosed, Position, Start, TopicState
from . import kafka_admin as admin
from .checks import missing, unfit
from .kafka_connection import connection
from .kafka_member import KafkaMember
from .kafka_membership import Membership
from .kafka_producer import KafkaProducer
from .kafka_reader import KafkaReader


class KafkaLog:
    """See `eventlog.Log`. The secrets in `settings` are already resolved (`sasl_password`, not its file)."""

    def __init__(self, settings: KafkaSettings, clock: Clock) -> None:
        self._settings = settings
        self._clock = clock
        self._connection = connection(settings)
        self._producer = KafkaProducer(self._connection)
        self._partitions: dict[str, int] = {}
        self._open: set[KafkaReader | KafkaMember] = set()
        self._closed = False

    async def open(self) -> None:
        await self._producer.start()

    async def append(self, topic: Topic, entries: Sequence[Entry]) -> Sequence[Position]:
        await self._require(topic)
        if not entries:
            return []
        count = topic.partitions
        partitions = [partition_for(e.key, count) if e.partition is None else e.partition for e in entries]
        if not 0 <= min(partitions) <= max(partitions) < count:
            raise ValueError(f"topic {topic.name} has partitions 0 to {count - 1}")
        return await self._producer.append(topic.name, entries, partitions)

    async def reader(
        self, topic: Topic, *, start: Start = EARLIEST, partitions: Collection[int] | None = None
    ) -> KafkaReader:
        await self._require(topic)
        reader = KafkaReader(self._connection, topic.name, topic.compacted, self._open.discard)
        self._open.add(reader)  # the log ends what its user forgets to
        try:
            chosen = range(topic.partitions) if partitions is None else partitions
            await reader.go_to(await (await reader.client()).starts(chosen, start))
        except BaseException:
            await reader.close(0.5)
            raise
        return reader

    async def member(self, topic: Topic, group: str, *, start: Start | timedelta = EARLIEST) -> KafkaMember:
        await self._require(topic)
        membership = Membership(self._connection, self._settings, topic.name, group)
        reader = KafkaReader(self._connection, topic.name, topic.compacted)
        member = KafkaMember(membership, reader, start, self._clock, self._open.discard)
        self._open.add(member)
        try:
            await membership.start()
        except BaseException:
            await member.close(0.5)
            raise
        return member

    async def describe(self, topic: Topic) -> TopicState | None:
        return await admin.describe(self._connection, topic.name)

    async def create(self, topics: Collection[Topic]) -> Sequence[str]:
        self._check_open()
        known = await admin.partitions(self._connection)
        absent = [topic for topic in topics if topic.name not in known]
        made = await admin.create(self._connection, absent, self._settings.replication_factor) if absent else []
        for topic in topics:
            if topic.name not in made:
                state = await admin.describe(self._connection, topic.name)
                problem = missing(topic.name) if state is None else unfit(topic, state)
                if problem is not None:
                    raise problem
        return made

    async def close(self, timeout: float = 5.0) -> None:
        if self._closed:
            return
        self._closed = True
        share = timeout * 0.6  # ending what does not end by itself takes a moment more
        await asyncio.gather(self._producer.stop(share), *[part.close(share) for part in list(self._open)])

    async def _require(self, topic: Topic) -> None:
        """There, and with the partitions it should have. Asked once: neither changes while we run."""
        self._check_open()
        if topic.name not in self._partitions:
            known: Mapping[str, int] = await admin.partitions(self._connection)
            if topic.name not in known:
                raise missing(topic.name)
            self._partitions[topic.name] = known[topic.name]
        state = TopicState(topic.name, self._partitions[topic.name], topic.retention, topic.compacted)
        if (problem := unfit(topic, state)) is not None:
            raise problem

    def _check_open(self) -> None:
        if self._closed:
            raise LogClosed("the log was closed")
