"""The collector's side of the log: appends until it is done, and knows whether the log is there."""

import asyncio
import time
from collections.abc import Callable, Sequence

import structlog

from ..eventlog import Entry, Log, LogError, RecordRefused
from ..metrics import ServiceMetrics
from ..supervise import Backoff, Outage
from ..topics import Topic

_SLOW = 3.0  # seconds; an append that takes longer says that the log is away


class LogLink:
    """Shared by all that is appended, so that an outage is told once."""

    def __init__(
        self,
        log: Log,
        metrics: ServiceMetrics,
        refused: Callable[[Topic, Entry, str], None],
        slow: float = _SLOW,
    ) -> None:
        self._log, self._metrics, self._refused, self._slow = log, metrics, refused, slow
        self._outage = Outage("log", structlog.get_logger("collector"))

    @property
    def trouble(self) -> str:
        """Why the log takes nothing; empty while it does."""
        return f"the log takes nothing: {self._outage.reason}" if self._outage.since is not None else ""

    async def append(self, topic: Topic, entries: Sequence[Entry]) -> None:
        """Returns when the log has them. Tries again through every outage: cancel it to give up.

        A record that the log will never take holds up nothing: halving finds it, and `refused` is told.
        """
        loop = asyncio.get_running_loop()
        backoff = Backoff(first=0.1, cap=5.0)
        while True:
            began = time.monotonic()
            patience = loop.call_later(self._slow, self._down, f"no answer for {self._slow:.0f} s")
            try:
                await self._log.append(topic, entries)
            except RecordRefused as error:
                self._up()
                if len(entries) == 1:
                    self._refused(topic, entries[0], str(error))
                    return
                break
            except LogError as error:
                self._down(str(error))
            except Exception as error:  # not the protocol's; the events are kept all the same
                structlog.get_logger("collector").error("the log failed", topic=topic.name, exc_info=error)
                self._down(f"{type(error).__name__}: {error}")
            else:
                self._up()
                return
            finally:
                patience.cancel()
            await asyncio.sleep(backoff.next(0.0 if time.monotonic() - began > 1 else 0.05))
        middle = len(entries) // 2
        await self.append(topic, entries[:middle])
        await self.append(topic, entries[middle:])

    def _down(self, reason: str) -> None:
        self._metrics.log_up.set(0)
        self._outage.down(reason, kept="in memory, then in the spool")

    def _up(self) -> None:
        if self._outage.since is not None:
            self._metrics.log_up.set(1)
            self._outage.up()
