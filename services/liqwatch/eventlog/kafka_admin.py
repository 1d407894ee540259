"""Topics on Kafka: what is there, and making what is not. A client for each question; they are asked at start."""

from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from datetime import timedelta
from typing import Any, TypeVar

from aiokafka import admin as api
from aiokafka import errors
from aiokafka.admin import config_resource

from ..topics import Topic
from . import LogError, LogUnavailable, TopicState
from .kafka_connection import Connection, end

T = TypeVar("T")
_api: Any = api
_ConfigResource: Any = config_resource.ConfigResource
_ConfigResourceType: Any = config_resource.ConfigResourceType
_CREATE_SECONDS = 30.0


async def partitions(connection: Connection) -> Mapping[str, int]:
    """How many partitions each topic has. Asks for all: a question for one would create it on some brokers."""

    async def ask(admin: Any) -> Mapping[str, int]:
        return {topic["topic"]: len(topic["partitions"]) for topic in await admin.describe_topics()}

    return await _asking(connection, ask)


async def describe(connection: Connection, name: str) -> TopicState | None:
    async def ask(admin: Any) -> TopicState | None:
        known = {topic["topic"]: len(topic["partitions"]) for topic in await admin.describe_topics()}
        if name not in known:
            return None
        configs = await _configs(admin, name)
        policy = configs.get("cleanup.policy", "delete")
        kept_ms = int(configs.get("retention.ms", "-1"))
        kept = timedelta(milliseconds=kept_ms) if kept_ms >= 0 and "delete" in policy else None
        return TopicState(name, known[name], kept, "compact" in policy)

    return await _asking(connection, ask)


async def create(connection: Connection, topics: Collection[Topic], replicas: int) -> Sequence[str]:
    """Names of the topics made; one that somebody else made meanwhile is not among them."""

    async def ask(admin: Any) -> Sequence[str]:
        wanted = [
            _api.NewTopic(
                topic.name,
                num_partitions=topic.partitions,
                replication_factor=replicas,
                topic_configs=_wanted_configs(topic, replicas),
            )
            for topic in topics
        ]
        response = await admin.create_topics(wanted)
        made = []
        for name, code, *message in response.topic_errors:
            if code == 0:
                made.append(name)
            elif code != errors.TopicAlreadyExistsError.errno:
                raise _refused(name, code, message, replicas)
        return made

    return await _asking(connection, ask, seconds=_CREATE_SECONDS)


def _wanted_configs(topic: Topic, replicas: int) -> dict[str, str]:
    kept = "-1" if topic.retention is None else str(int(topic.retention.total_seconds() * 1000))
    configs = {
        "cleanup.policy": "delete",
        "retention.ms": kept,
        "retention.bytes": "-1",
        "message.timestamp.type": "CreateTime",
        "min.insync.replicas": str(max(1, min(2, replicas - 1))),
        "segment.ms": str(6 * 3_600_000),  # only whole segments are deleted
    }
    if topic.compacted:
        configs["cleanup.policy"] = "compact" if topic.retention is None else "compact,delete"
        configs["segment.ms"] = str(600_000)  # the segment that is being written is never compacted
        configs["segment.bytes"] = str(64 * 1024 * 1024)
        configs["min.cleanable.dirty.ratio"] = "0.2"
        configs["delete.retention.ms"] = str(3_600_000)
    return configs


async def _configs(admin: Any, name: str) -> Mapping[str, str]:
    responses = await admin.describe_configs([_ConfigResource(_ConfigResourceType.TOPIC, name)])
    configs: dict[str, str] = {}
    for response in responses:
        for code, message, _, _, entries in response.resources:
            if code:
                raise LogError(f"the settings of topic {name} cannot be read: {message or code}")
            configs |= {entry[0]: entry[1] for entry in entries}
    return configs


def _refused(name: str, code: int, message: Sequence[str | None], replicas: int) -> LogError:
    reason = (message[0] if message and message[0] else None) or errors.for_code(code).__name__
    if code == errors.InvalidReplicationFactorError.errno:
        return LogError(f"topic {name} cannot have {replicas} replicas ({reason}); lower kafka.replication_factor")
    return LogError(f"topic {name} could not be created: {reason}")


async def _asking(connection: Connection, ask: Callable[[Any], Awaitable[T]], seconds: float = 10.0) -> T:
    admin = _api.AIOKafkaAdminClient(**connection.options)
    try:
        await connection.call(admin.start, seconds)
        if not admin._client.cluster.brokers():
            raise LogUnavailable(f"Kafka at {connection.servers} knows no brokers yet; the same call may work soon")
        return await connection.call(lambda: ask(admin), seconds)
    finally:
        await end(admin.close, admin._client, [admin], 1.0)
