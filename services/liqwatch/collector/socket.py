"""One websocket, from the handshake to its end: reads, answers, pings, and ends what its conversation ends."""

import asyncio
import contextlib
import logging
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

import structlog
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from ..clock import Clock
from ..supervise import Budget
from ..venues.base import Feed, Frame, Venue
from .addresses import proxy_for
from .conversation import Conversation
from .failures import Failure, classify
from .gunzip import LARGEST
from .watch import Limits

_BURST, _PACE = 5, 0.12  # so many frames at once, then one each so many seconds: venues allow ten a second
_QUEUE = 64  # messages read ahead

# What the library has to say of a broken connection is said by us, once and in words.
_library = logging.getLogger("liqwatch.websockets")
_library.addHandler(logging.NullHandler())
_library.propagate = False
_library.setLevel(logging.CRITICAL + 1)


@dataclass(frozen=True, slots=True)
class Ended:
    """Why a socket ended, and until when it can be said to have been alive (None: it never was)."""

    failure: Failure
    alive_until_ms: int | None


class Socket:
    """`run` lives as long as the socket. `requests` is what the venue allows all of its sockets together to send."""

    def __init__(
        self,
        venue: Venue,
        feed: Feed,
        url: str,
        conversation: Conversation,
        clock: Clock,
        limits: Limits,
        requests: Budget | None = None,
    ) -> None:
        self.conversation = conversation
        self._requests = requests
        self._venue, self._feed, self._url = venue, feed, url
        self._clock, self._limits = clock, limits
        self._outbox: deque[Frame] = deque()
        self._more: list[str] = []
        self._awake = asyncio.Event()

    async def run(self) -> Ended:
        """Connects, subscribes and reads until the socket ends, by whomever. Raises only `CancelledError`."""
        try:
            async with asyncio.timeout(self._limits.open + 1):
                connection = await self._connect()
        except Exception as error:
            return self._ended(classify(error))
        try:
            return self._ended(await self._converse(connection))
        finally:
            await _close(connection, self._limits.close)

    def subscribe(self, symbols: Sequence[str]) -> None:
        """Asks for more symbols on this socket, once its opening frames are on their way."""
        self._more += symbols
        self._awake.set()

    def end(self, reason: str, detail: str) -> None:
        """Ends the socket from our side; the first reason counts."""
        self.conversation.over = self.conversation.over or Failure(reason, detail)
        self._awake.set()

    def _connect(self) -> connect:
        return connect(
            self._url,
            compression=None if self._feed.compression == "gzip" else "deflate",
            additional_headers=dict(self._feed.headers),
            user_agent_header="liqwatch",
            proxy=proxy_for(self._url),
            open_timeout=self._limits.open,
            ping_interval=self._limits.ping,  # proof of the peer's life only: a mute peer may well answer
            ping_timeout=self._limits.ping,
            close_timeout=self._limits.close,
            max_size=LARGEST,
            max_queue=_QUEUE,
            logger=_library,
        )

    async def _converse(self, connection: ClientConnection) -> Failure:
        self._outbox.extend(self.conversation.begin(time.monotonic(), self._clock.now_ms()))
        tasks = [
            asyncio.create_task(self._read(connection), name=f"read {self._url}"),
            asyncio.create_task(self._tend(connection), name=f"tend {self._url}"),
        ]
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        if self.conversation.over is not None:
            return self.conversation.over
        error = next((e for task in done if (e := task.exception()) is not None), None)
        failure = classify(error) if error is not None else Failure("closed", "ended")
        if failure.reason == "error":
            structlog.get_logger("collector").error("socket failed", venue=self._venue.name, exc_info=error)
        elif failure.reason == "rejected_frames":
            self.conversation.unreadable(failure.detail, self._clock.now_ms())
        return failure

    async def _read(self, connection: ClientConnection) -> None:
        hear, now_ms, monotonic = self.conversation.hear, self._clock.now_ms, time.monotonic
        while True:
            frame = await connection.recv()
            for reply in hear(frame, monotonic(), now_ms()):
                if self._requests is not None:
                    self._requests.use()
                await connection.send(reply)

    async def _tend(self, connection: ClientConnection) -> None:
        """Sends what waits, pings, and looks at the watch; returns when the socket has to end."""
        conversation, ping_every = self.conversation, self._venue.ping_every
        every = ping_every.total_seconds() if ping_every is not None else float("inf")
        next_ping = time.monotonic() + every
        sent = 0
        while conversation.over is None:
            self._awake.clear()
            if self._more:
                more, self._more = self._more, []
                self._outbox.extend(conversation.session.subscribe_more(more))
            asking = bool(self._outbox)
            while self._outbox and not self._exhausted() and conversation.over is None:
                await self._send(connection, self._outbox.popleft())
                sent += 1
                if sent > _BURST:
                    await asyncio.sleep(_PACE)
            now = time.monotonic()
            if asking:
                conversation.asking(now, self._clock.now_ms())
            if now >= next_ping:
                next_ping = now + every
                ping = conversation.session.ping_frame()
                if ping is not None:
                    await self._send(connection, ping)
            conversation.look(now, self._clock.now_ms())
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(max(0.0, min(self._limits.look, next_ping - now))):
                    await self._awake.wait()
        if conversation.over.reason != "planned":
            connection.transport.abort()  # whoever does not answer would not answer a goodbye either

    def _exhausted(self) -> bool:
        """The venue allows no more requests for now: what waits is sent in one of the next rounds."""
        return self._requests is not None and self._requests.wait() > 0

    async def _send(self, connection: ClientConnection, frame: Frame) -> None:
        if self._requests is not None:
            self._requests.use()
        async with asyncio.timeout(self._limits.send):
            await connection.send(frame)

    def _ended(self, failure: Failure) -> Ended:
        return Ended(failure, self.conversation.alive_until(failure.reason, self._clock.now_ms()))


async def _close(connection: ClientConnection, seconds: float) -> None:
    with contextlib.suppress(ConnectionClosed, OSError, TimeoutError):
        async with asyncio.timeout(seconds):
            await connection.close()
    connection.transport.abort()
