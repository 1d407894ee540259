"""A log that stops dead at the n-th write to a topic, before or after it: the moment at which a process dies."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

from typing_extensions import override

from liqwatch.eventlog import Entry, Position
from liqwatch.topics import Topic

from .memory_log import MemoryLog


@dataclass
class CrashingLog(MemoryLog):
    """`crash(ALERTS, 2, "after")`: the second append with a value is kept and never returns. `mend` undoes it."""

    crashed: asyncio.Event = field(default_factory=asyncio.Event)
    _topic: str | None = None
    _appends_left: int = 0
    _moment: Literal["before", "after"] = "before"

    def crash(self, topic: Topic, append: int, moment: Literal["before", "after"]) -> None:
        self._topic, self._appends_left, self._moment = topic.name, append, moment

    def mend(self) -> None:
        self._topic = None

    @override
    async def append(self, topic: Topic, entries: Sequence[Entry]) -> Sequence[Position]:
        if topic.name != self._topic or all(entry.value is None for entry in entries):
            return await super().append(topic, entries)
        self._appends_left -= 1
        if self._appends_left > 0:
            return await super().append(topic, entries)
        if self._appends_left == 0 and self._moment == "after":
            # Kept, but nobody of this process learns of it any more.
            await super().append(topic, entries)
        self.crashed.set()
        await asyncio.Future()
        raise AssertionError
