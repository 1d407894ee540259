"""A backend of the log under test: logs on one store, and topics and groups of the test's own."""

import itertools
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any

from liqwatch.eventlog import Log
from liqwatch.settings import KafkaSettings
from liqwatch.topics import LIQUIDATIONS, Topic
from tests.support.mock_broker import MockBroker


def kafka_settings(bootstrap: str, **values: Any) -> KafkaSettings:
    """Settings for tests: a member that died is noticed after 2 s."""
    return KafkaSettings(bootstrap_servers=bootstrap, **{"session_timeout": timedelta(seconds=2), **values})


@dataclass(slots=True)
class Bench:
    """A backend under test: logs on the same store, topics of the test's own."""

    backend: str
    connect: Callable[..., Any]  # → a Log
    mock: MockBroker | None = None
    _logs: list[Log] = field(default_factory=list)
    _numbers: Iterator[int] = field(default_factory=lambda: itertools.count(1))
    _run: str = field(default_factory=lambda: uuid.uuid4().hex[:8])

    async def log(self, **options: Any) -> Log:
        log: Log = self.connect(**options)
        await log.open()
        self._logs.append(log)
        return log

    async def topic(self, log: Log, partitions: int = 1, **changes: Any) -> Topic:
        """A new topic, made in the log."""
        topic = self.unmade(partitions, **changes)
        if self.mock is not None:
            self.mock.create(topic.name, partitions)
        else:
            await log.create([topic])
        return topic

    def unmade(self, partitions: int = 1, **changes: Any) -> Topic:
        name = f"test.{self._run}.{next(self._numbers)}"
        return replace(LIQUIDATIONS, name=name, partitions=partitions, **changes)

    def group(self) -> str:
        return f"group.{self._run}.{next(self._numbers)}"

    async def close(self) -> None:
        for log in self._logs:
            await log.close()
