"""One aiokafka consumer that only holds a place in a group; its partitions are read by a reader of our own.

So a rebalance does not disturb the partitions that stay, and positions are never the group's business.
"""

import asyncio
import time
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import aiokafka
from aiokafka import errors

from ..settings import KafkaSettings
from .kafka_assignor import KeepingAssignor
from .kafka_connection import CALL_SECONDS, Connection, end

_MOST_IDLE = timedelta(minutes=2)  # a member that has not fetched for so long gives its partitions to others


class Superseded(Exception):
    """The group has moved on: another assignment is on its way."""


_Consumer: Any = aiokafka.AIOKafkaConsumer
_Listener: Any = aiokafka.ConsumerRebalanceListener


@dataclass(slots=True)
class Membership:
    """`assigned` is what the group gave us last, None until the first time; `changed` is set with each."""

    connection: Connection
    settings: KafkaSettings
    topic: str
    group: str
    assignor: KeepingAssignor = field(default_factory=KeepingAssignor)
    changed: asyncio.Event = field(default_factory=asyncio.Event)
    assigned: frozenset[int] | None = None
    _consumer: Any = None

    async def start(self) -> None:
        session_ms = int(self.settings.session_timeout.total_seconds() * 1000)
        consumer = _Consumer(
            group_id=self.group,
            group_instance_id=self.settings.group_instance_id,
            enable_auto_commit=False,
            session_timeout_ms=session_ms,
            heartbeat_interval_ms=max(200, session_ms // 10),
            rebalance_timeout_ms=max(session_ms, 5_000),
            max_poll_interval_ms=int(_MOST_IDLE.total_seconds() * 1000),
            partition_assignment_strategy=(self.assignor,),
            **self.connection.options,
        )
        try:
            await self.connection.call(consumer.start)
        except BaseException:
            await _end(consumer, 0.5)
            raise
        consumer.subscribe([self.topic], listener=_listener(self, consumer))
        self._consumer = consumer

    def check(self) -> None:
        """Tells the group that we are at work; raises `LogUnavailable` where we have fallen out of it."""
        try:
            self._consumer._coordinator.check_errors()
        except errors.KafkaError as error:
            raise self.connection.in_words(error) from error
        self._consumer._subscription._last_fetch_ended = time.monotonic()

    async def last_generations(self, partitions: Collection[int]) -> Mapping[int, int]:
        """What earlier owners wrote beside the partitions in `claim`."""
        tps = [aiokafka.TopicPartition(self.topic, partition) for partition in partitions]
        found = await self.connection.call(lambda: self._consumer._coordinator.fetch_committed_offsets(tps))
        return {tp.partition: int(c.metadata) for tp, c in found.items() if c.metadata.isdecimal()}

    async def claim(self, positions: Mapping[int, int], generation: int) -> None:
        """Writes our generation beside the partitions. The group refuses those who are no longer in it."""
        offsets = {
            aiokafka.TopicPartition(self.topic, partition): (offset, str(generation))
            for partition, offset in positions.items()
        }
        try:
            async with asyncio.timeout(CALL_SECONDS):
                await self._consumer.commit(offsets)
        except (errors.CommitFailedError, errors.IllegalStateError) as error:
            raise Superseded from error
        except (errors.KafkaError, OSError, TimeoutError) as error:
            raise self.connection.in_words(error) from error

    async def stop(self, timeout: float) -> None:
        if self._consumer is not None:
            consumer, self._consumer = self._consumer, None
            await _end(consumer, timeout)

    def running(self) -> bool:
        return self._consumer is not None


def _listener(membership: Membership, consumer: Any) -> Any:
    class Listener(_Listener):  # type: ignore[misc]
        def on_partitions_revoked(self, revoked: Collection[Any]) -> None:
            """Nothing: until the next assignment nobody else has them."""

        def on_partitions_assigned(self, assigned: Collection[Any]) -> None:
            for tp in assigned:  # never read here
                consumer.seek(tp, 0)
            if assigned:
                consumer.pause(*assigned)
            membership.assigned = frozenset(tp.partition for tp in assigned)
            membership.changed.set()

    return Listener()


async def _end(consumer: Any, timeout: float) -> None:
    owners = [consumer, consumer._subscription, consumer._fetcher, consumer._coordinator]
    await end(consumer.stop, consumer._client, [owner for owner in owners if owner is not None], timeout)
    consumer._closed = True
