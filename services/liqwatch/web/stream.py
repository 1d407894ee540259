"""Server-sent events: each update is made once for all viewers, kept for a while, and read by each at its own pace."""

import asyncio
import contextlib
import secrets
from collections import deque
from collections.abc import Callable

import orjson
from aiohttp import web

from ..clock import Clock
from ..metrics import WebMetrics
from .problems import Problem
from .updates import Updates

TICK_SECONDS = 0.5
_SLOW_EVERY = 4  # ticks between two tellings of coins and venues
_IDLE_EVERY = 2  # ticks: so often something is said, so that a viewer knows that it is still connected
KEPT = 120  # updates that can be had again: a minute
MOST_VIEWERS = 1_000
_WRITE_SECONDS = 10.0  # a viewer that takes nothing for so long is let go
_HEADERS = {
    "Content-Type": "text/event-stream",
    "Cache-Control": "no-store",
    "X-Accel-Buffering": "no",  # a proxy that gathers first would make it anything but live
}


class Hub:
    """The updates of one service. Ids are `<run>-<number>`: those of an earlier run are known to be of no use."""

    def __init__(self, updates: Updates, clock: Clock, metrics: WebMetrics, kept: int = KEPT) -> None:
        self._updates, self._clock, self._metrics = updates, clock, metrics
        self._run = secrets.token_hex(4)
        self._kept_most = kept
        self._kept: deque[bytes] = deque(maxlen=kept)
        self._last = 0  # number of the newest update
        self._snapshot: tuple[int, bytes] | None = None
        self._next = asyncio.Event()
        self._closed = False
        self.viewers = 0
        self._unseen = kept  # ticks without a viewer; more than updates are kept, and none is made

    async def run(self, stop: asyncio.Event, since_ms: Callable[[], int | None]) -> None:
        """Publishes until told to stop. `since_ms`: the time of the oldest total not yet told."""
        ticks = idle = 0
        while not stop.is_set():
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), TICK_SECONDS)
                return
            ticks += 1
            idle += 1
            now_ms = self._clock.now_ms()
            self._unseen = 0 if self.viewers else self._unseen + 1
            if self._unseen > self._kept_most:
                self._forget()
            else:
                update = self._updates.update(now_ms, slow=ticks % _SLOW_EVERY == 0)
                if update is None and idle >= _IDLE_EVERY:
                    update = self._updates.idle(now_ms)
                if update is None:
                    continue
                idle = 0
                self.publish(update)
            oldest_ms = since_ms()
            if oldest_ms is not None and self._clock.speed == 1.0:
                self._metrics.stream_lag.observe(max(0, now_ms - oldest_ms) / 1000)

    def _forget(self) -> None:
        """Nobody looks, and who comes is given everything: to make updates would only hold up the process."""
        self._updates.skip()
        self._kept.clear()
        self._last += 1
        self._snapshot = None

    def publish(self, update: object) -> None:
        """One more update, for all."""
        self._last += 1
        self._kept.append(self._message("update", self._last, update))
        woken, self._next = self._next, asyncio.Event()
        woken.set()

    def close(self) -> None:
        """Ends every viewer's stream."""
        self._closed = True
        self._next.set()

    def place(self, last_event_id: str) -> int | None:
        """The number after which a viewer goes on; None for one that needs everything."""
        run, _, number = last_event_id.partition("-")
        if run != self._run or not number.isascii() or not number.isdigit() or len(number) > 12:
            return None
        at = int(number)
        return at if self._last - len(self._kept) <= at <= self._last else None

    def pending(self, place: int | None) -> tuple[bytes, int]:
        """What a viewer has to be sent, and where it then stands: what it missed, or everything."""
        if place is None or place < self._last - len(self._kept):
            if self._snapshot is None or self._snapshot[0] != self._last:
                now = self._updates.snapshot(self._clock.now_ms())
                self._snapshot = self._last, self._message("snapshot", self._last, now)
            return self._snapshot[1], self._last
        missed = self._last - place
        return b"".join(self._kept[at] for at in range(len(self._kept) - missed, len(self._kept))), self._last

    async def serve(self, request: web.Request, last_event_id: str, headers: dict[str, str]) -> web.StreamResponse:
        """One viewer, until it goes, falls silent, or the service stops. Raises `Problem` when there are too many."""
        if self.viewers >= MOST_VIEWERS:
            raise Problem(503, f"{MOST_VIEWERS} viewers are connected; come back later", {"Retry-After": "30"})
        response = web.StreamResponse(headers={**_HEADERS, **headers})
        self.viewers += 1
        self._metrics.viewers.set(self.viewers)
        try:
            await response.prepare(request)
            await self._show(response, self.place(last_event_id))
        except (ConnectionError, TimeoutError):
            pass  # a closed tab, or one that takes nothing
        finally:
            self.viewers -= 1
            self._metrics.viewers.set(self.viewers)
            if request.transport is not None and not self._closed:
                request.transport.abort()
        return response

    async def _show(self, response: web.StreamResponse, place: int | None) -> None:
        await response.write(b"retry: 1000\n\n")
        fresh = place is None
        while not self._closed:
            if place is not None and not fresh and place < self._last - len(self._kept):
                self._metrics.resyncs.inc()
            fresh = False
            woken = self._next
            chunk, place = self.pending(place)
            if chunk:
                async with asyncio.timeout(_WRITE_SECONDS):
                    await response.write(chunk)
            if place == self._last:
                await woken.wait()
        await response.write_eof()

    def _message(self, kind: str, number: int, content: object) -> bytes:
        data = orjson.dumps(content)  # has no line breaks
        return b"id: %s-%d\nevent: %s\ndata: %s\n\n" % (self._run.encode(), number, kind.encode(), data)
