"""Follows the coverage topic: what this collector and all others have watched, filled and lost."""

import asyncio

import structlog

from ..clock import Clock
from ..coverage import CoverageBook
from ..eventlog import Log, LogClosed, LogError, since
from ..following import Away, Follower, values
from ..metrics import ServiceMetrics
from ..supervise import Backoff, Outage
from ..topics import COVERAGE
from ..wire import decode_coverage

_FORGET_EVERY = 600.0  # seconds

log_ = structlog.get_logger("collector")


class CoverageFollower:
    """`run` ends only by cancellation; `book` is what is known, and means something once `caught_up`."""

    def __init__(self, log: Log, clock: Clock, keep_ms: int, metrics: ServiceMetrics) -> None:
        self.book = CoverageBook(2 * keep_ms)
        self._clock, self._forget_at = clock, 0.0
        self._backoff, self._outage = Backoff(first=0.5, cap=10.0), Outage("following the coverage", log_)
        self._follower = Follower(
            log, COVERAGE, lambda: since(clock.now_ms() - keep_ms), values(self._take), Away(log_), log_,
            then=self._after, count_lost=metrics.offset_gap, count_unreadable=metrics.unreadable,
        )  # fmt: skip

    @property
    def caught_up(self) -> bool:
        """It has read all that was there when it began."""
        return self._follower.caught_up

    async def run(self) -> None:
        """Reads from as far back as is kept, then what comes; begins anew where it failed: the venues go on without."""
        while True:
            try:
                await self._follower.run()
            except LogClosed:
                await asyncio.Event().wait()  # the end is near, and tells itself
            except LogError as error:
                self._outage.down(str(error))
                await asyncio.sleep(self._backoff.next())
            except Exception as error:
                log_.error("the coverage cannot be followed", exc_info=error)
                await asyncio.sleep(self._backoff.next(5.0))

    def _take(self, value: bytes) -> None:
        self.book.apply(decode_coverage(value))  # one of a later version is skipped: its time counts as not watched

    def _after(self, _: int) -> None:
        self._backoff.reset()
        self._outage.up()
        now = asyncio.get_running_loop().time()
        if now >= self._forget_at:
            self._forget_at = now + _FORGET_EVERY
            self.book.forget(self._clock.now_ms())
