"""Pictures for the steps of incidents: the bars of the last day kept at hand, drawn in a thread, each one once.

Nothing is read or imported until a target wants pictures; then both are done ahead, so that no alert pays for it.
"""

import asyncio
import threading
from collections import OrderedDict
from collections.abc import Callable, Collection, Mapping
from datetime import timedelta
from queue import SimpleQueue
from typing import Any

import structlog

from ..clock import Clock
from ..eventlog import Record, Start, since
from ..events import Incident, Step
from ..following import Follower, values
from ..settings import TargetSettings
from ..topics import BARS, Topic
from . import picture
from .day import Gaps, MinuteBook, day, from_ms
from .zones import UTC, Zone

QUEUE_SIZE = 8  # pictures that wait to be drawn
_KEPT = 16  # pictures that were drawn: several targets want the same one
_WITHIN = 25.0  # seconds, for the bars to be read, and for a place in the thread
_FORGET_EVERY = 120  # fetches: once in a minute or so

Follow = Callable[[Topic, Callable[[], Start], Callable[[Record], None], Callable[[int], None]], Follower]
_Key = tuple[str, int, Zone]  # incident, time of the step
log_ = structlog.get_logger("alerter")


class Pictures:
    """`follow` reads a topic; `unwatched` says when nobody watched a scope; `keep` is the longest window."""

    def __init__(
        self,
        follow: Follow,
        clock: Clock,
        keep: timedelta,
        unwatched: Gaps,
        majors: Callable[[], Collection[str]],
    ) -> None:
        self._follow = follow
        self._clock = clock
        self._unwatched = unwatched
        self._majors = majors
        self._book = MinuteBook(int((timedelta(days=1, minutes=2) + keep).total_seconds() * 1000))
        self._wanted = asyncio.Event()
        self._read = asyncio.Event()
        self._made: OrderedDict[_Key, asyncio.Task[bytes]] = OrderedDict()
        self._worker = _Worker()

    def use(self, targets: Mapping[str, TargetSettings]) -> None:
        """Begins to get ready once a target wants pictures; what was begun goes on."""
        if picture.is_available() and any(target.enabled and target.picture for target in targets.values()):
            self._wanted.set()

    async def run(self) -> None:
        """Keeps the bars at hand until cancelled."""
        await self._wanted.wait()
        self._warm()
        began_ms, fetches = self._clock.now_ms(), 0

        def taken(_: int) -> None:
            nonlocal fetches
            fetches += 1
            if bars.caught_up:
                self._read.set()
            if fetches % _FORGET_EVERY == 0:
                self._book.forget(self._clock.now_ms())

        bars = self._follow(BARS, lambda: since(began_ms - self._book.keep_ms), values(self._book.take), taken)
        await bars.run()

    async def of(self, incident: Incident, step: Step, zone: Zone = UTC) -> bytes | None:
        """A PNG of the 24 hours before the step, drawn once for all who ask in a zone. None where there is nothing to
        draw: no total, or too many wait. Raises `PictureUnavailable`, or `TimeoutError` where it takes too long."""
        if incident.rule_kind == "feed":
            return None
        key = (incident.incident_id, step.at_ms, zone)
        drawing = self._made.get(key)
        if drawing is None:
            if self._worker.waiting >= QUEUE_SIZE:
                log_.warning("a picture is left out: too many wait", incident=incident.incident_id)
                return None
            drawing = self._made[key] = asyncio.create_task(self._drawn(incident, step, zone), name="picture")
            drawing.add_done_callback(lambda done: self._forget_failed(key, done))
            while len(self._made) > _KEPT:
                self._made.popitem(last=False)
        return await asyncio.shield(drawing)

    def close(self) -> None:
        """Ends the thread once it is done with what it draws; what waits is not drawn."""
        for drawing in list(self._made.values()):
            drawing.cancel()
        self._worker.close()

    def _forget_failed(self, key: _Key, done: "asyncio.Task[bytes]") -> None:
        """Who asks next may have more luck."""
        if done.cancelled() or done.exception() is not None:
            self._made.pop(key, None)

    async def _drawn(self, incident: Incident, step: Step, zone: Zone) -> bytes:
        async with asyncio.timeout(_WITHIN):
            await self._read.wait()
            gaps = self._unwatched(incident.scope, from_ms(step.at_ms), step.at_ms)
            minutes, majors = self._book.minutes(), tuple(self._majors())
            png: bytes = await self._worker.do(lambda: picture.draw(day(incident, step, minutes, majors, gaps, zone)))
            return png

    def _warm(self) -> None:
        def done(warmed: "asyncio.Future[None]") -> None:
            if not warmed.cancelled() and (error := warmed.exception()) is not None:
                log_.warning("pictures cannot be drawn", reason=str(error))

        self._worker.do(picture.warm).add_done_callback(done)


class _Worker:
    """One thread, and what waits for it. It does not hold up the end of the process, whatever it is at."""

    def __init__(self) -> None:
        self._work: SimpleQueue[tuple[Callable[[], Any], asyncio.Future[Any]] | None] = SimpleQueue()
        self._thread: threading.Thread | None = None

    @property
    def waiting(self) -> int:
        """How much waits, given up meanwhile or not."""
        return self._work.qsize()

    def do(self, work: Callable[[], Any]) -> "asyncio.Future[Any]":
        """The result of `work`, done in the thread after what was asked before. Cancelled before, it is not done."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="pictures", daemon=True)
            self._thread.start()
        future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._work.put((work, future))
        return future

    def close(self) -> None:
        """Ends the thread."""
        if self._thread is not None:
            self._work.put(None)

    def _run(self) -> None:
        while (one := self._work.get()) is not None:
            work, future = one
            if future.cancelled():
                continue
            result, error = None, None
            try:
                result = work()
            except Exception as failed:
                error = failed
            try:
                future.get_loop().call_soon_threadsafe(_settle, future, result, error)
            except RuntimeError:
                return  # the loop has ended


def _settle(future: "asyncio.Future[Any]", result: object, error: Exception | None) -> None:
    if future.cancelled():
        return
    if error is not None:
        future.set_exception(error)
    else:
        future.set_result(result)
