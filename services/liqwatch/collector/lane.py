"""A small lane to the log for what is not a liquidation: the newest per key, or the first so many, in order."""

import asyncio
from collections.abc import Callable

from ..eventlog import Entry
from ..topics import Topic
from .link import LogLink

_BATCH = 200
_LOOK = 0.05  # seconds


class Lane:
    """Entries under an id: a later one replaces an earlier one of the same id that still waits."""

    def __init__(
        self,
        link: LogLink,
        topic: Topic,
        most: int,
        overflow: Callable[[], None],
        held: Callable[[], bool] = lambda: False,
    ) -> None:
        """`held`: nothing may be appended yet."""
        self.topic, self._held = topic, held
        self._link, self._most, self._overflow = link, most, overflow
        self._waiting: dict[str, Entry] = {}
        self._flying: dict[str, Entry] = {}
        self._wake = asyncio.Event()

    @property
    def idle(self) -> bool:
        return not self._waiting and not self._flying

    def put(self, name: str, entry: Entry) -> None:
        """Never waits. Beyond the bound the new one is dropped and `overflow` is told."""
        if len(self._waiting) >= self._most and name not in self._waiting:
            self._overflow()
            return
        self._waiting[name] = entry
        self._wake.set()

    async def run(self) -> None:
        """Appends what comes; ends only by cancellation."""
        while True:
            self._wake.clear()
            while self._waiting:
                if self._held():
                    await asyncio.sleep(_LOOK)
                    continue
                names = list(self._waiting)[:_BATCH]
                self._flying = {name: self._waiting.pop(name) for name in names}
                await self._link.append(self.topic, list(self._flying.values()))
                self._flying = {}
            await self._wake.wait()

    def rest(self) -> list[Entry]:
        """What was not appended, oldest first. `run` is over by now."""
        return [*self._flying.values(), *self._waiting.values()]
