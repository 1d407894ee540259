"""Follows the coverage topic: what this collector and all others have watched, filled and lost."""

import asyncio
from collections.abc import Mapping
from typing import Literal

import msgspec
import structlog

from ..clock import Clock
from ..coverage import CoverageBook
from ..eventlog import Log, LogClosed, LogError, Reader, Record, since
from ..events import Completeness
from ..supervise import Backoff
from ..topics import COVERAGE

_FETCH = 0.5
_FORGET_EVERY = 600.0  # seconds


class _Interval(msgspec.Struct, gc=False):
    """What is needed of an `events.Coverage`; two days of twenty venues are half a million."""

    venue: str
    collector: str
    interval_id: str
    kind: Literal["watched", "lost", "filled"]
    from_ms: int
    to_ms: int
    open: bool
    completeness: Completeness
    ended_by: str | None = None


_decode = msgspec.json.Decoder(_Interval).decode


class CoverageFollower:
    """`run` ends only by cancellation; `book` is what is known, and means something once `caught_up`."""

    def __init__(self, log: Log, clock: Clock, keep_ms: int) -> None:
        self.book = CoverageBook(2 * keep_ms)
        self.caught_up = False
        self._log, self._clock, self._keep_ms = log, clock, keep_ms

    async def run(self) -> None:
        """Reads from as far back as is kept, then what comes; begins anew when the log was away."""
        backoff = Backoff(first=0.5, cap=10.0)
        while True:
            try:
                await self._follow(backoff)
            except LogClosed:
                await asyncio.Event().wait()  # the end is near, and tells itself
            except LogError:  # the publisher says that the log is away
                await asyncio.sleep(backoff.next())
            except Exception as error:
                structlog.get_logger("collector").error("the coverage cannot be followed", exc_info=error)
                await asyncio.sleep(backoff.next(5.0))

    async def _follow(self, backoff: Backoff) -> None:
        loop = asyncio.get_running_loop()
        reader = await self._log.reader(COVERAGE, start=since(self._clock.now_ms() - self._keep_ms))
        try:
            ends = await reader.end_offsets()
            forget_at = loop.time() + _FORGET_EVERY
            while True:
                if not self.caught_up and _reached(reader, ends):
                    self.caught_up = True
                for record in await reader.fetch(_FETCH):
                    self._apply(record)
                backoff.reset()
                if loop.time() > forget_at:
                    self.book.forget(self._clock.now_ms())
                    forget_at = loop.time() + _FORGET_EVERY
                await asyncio.sleep(0)
        finally:
            await reader.close()

    def _apply(self, record: Record) -> None:
        if record.value is None:
            return
        try:
            self.book.apply(_decode(record.value))
        except msgspec.MsgspecError:
            return  # of a later version: its time counts as not watched


def _reached(reader: Reader, ends: Mapping[int, int]) -> bool:
    positions = reader.positions()
    return all(positions.get(partition, 0) >= end for partition, end in ends.items())
