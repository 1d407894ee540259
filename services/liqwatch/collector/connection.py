"""One place for a websocket, kept filled: reconnects with backoff, and renews ahead of the venue's own end."""

import asyncio
import random
import time
from collections.abc import Callable, Collection, Sequence
from typing import Protocol

import structlog

from ..clock import Clock
from ..supervise import Backoff, Budget
from ..venues.base import Feed, Instruments, Venue
from .conversation import Conversation
from .failures import Failure
from .intake import Intake
from .meter import Meter
from .socket import Ended, Socket
from .watch import Limits

_STATE_AFTER = {"silent": "silent", "control_silent": "silent", "refused": "refused", "throttled": "refused"}


class Listener(Protocol):
    """Who wants to know how the connection fares."""

    def alive(self, connection: "Connection") -> None:
        """Its socket was acknowledged, in all it asked for."""

    def down(self, connection: "Connection", ended: Ended, retry_seconds: float) -> None:
        """Its socket ended and there is no other, or a part of what it asked for was refused."""


class Connection:
    """`run` ends only by cancellation. `symbols` is what its next socket will carry (empty: a wildcard)."""

    def __init__(
        self,
        venue: Venue,
        feed: Feed,
        url: str,
        symbols: Sequence[str],
        instruments: Instruments,
        *,
        intake: Intake,
        meter: Meter,
        budget: Budget,
        requests: Budget | None,
        listener: Listener,
        count: Callable[[str], None],
        clock: Clock,
        limits: Limits,
    ) -> None:
        self.feed = feed
        self.symbols = list(symbols)
        self.state = "connecting"
        self.detail = ""
        self.retry_at_ms: int | None = None
        self.alive = False
        self._venue, self._url, self._instruments = venue, url, instruments
        self._intake, self._meter, self._budget, self._listener = intake, meter, budget, listener
        self._requests, self._count, self._clock, self._limits = requests, count, clock, limits
        self._backoff = Backoff()
        self._news = asyncio.Event()
        self._partial: Socket | None = None  # told to be so
        self._living: dict[Socket, asyncio.Task[Ended]] = {}
        self._log = structlog.get_logger("collector").bind(venue=venue.name, feed=feed.name)

    async def run(self) -> None:
        """Keeps one socket connected, two while one takes over from the other."""
        try:
            socket: Socket | None = None
            while True:
                if socket is None:
                    await self._spend()
                    socket = self._open()
                socket = await self._follow(socket)
        finally:
            tasks = list(self._living.values())
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    def add(self, symbols: Sequence[str]) -> None:
        """New listings for this socket, subscribed at once where it is connected."""
        self.symbols += symbols
        for socket in self._living:
            socket.subscribe(symbols)

    def drop(self, symbols: Collection[str]) -> None:
        """Delisted: left out of the next socket. The present one will hear nothing of them."""
        gone = set(symbols)
        self.symbols = [symbol for symbol in self.symbols if symbol not in gone]

    def suspect(self, detail: str, since_ms: int | None) -> None:
        """Ends its sockets as silent: since `since_ms` they have brought nothing of what they should."""
        for socket in self._living:
            socket.conversation.doubt(since_ms)
            socket.end("silent", detail)

    async def _follow(self, socket: Socket) -> Socket | None:
        """Stays with a socket until it is over (None) or another has taken its place."""
        renew_at, patience = self._renewal(), Backoff(first=10.0, cap=300.0)
        successor: Socket | None = None
        while True:
            self._news.clear()
            self._notice(socket)
            if self._living[socket].done():
                ended = self._living.pop(socket).result()
                self._count(ended.failure.reason)
                if successor is None or not successor.conversation.acknowledged:
                    await self._lost(ended, retry=successor is None)
                return successor
            if successor is not None and self._living[successor].done():
                failed = self._living.pop(successor).result().failure
                self._count(failed.reason)
                successor, renew_at = None, time.monotonic() + patience.next(failed.wait)
            if successor is not None and successor.conversation.acknowledged:
                await self._retire(socket)
                return successor
            if self._partial is socket:
                renew_at = min(renew_at, time.monotonic() + self._limits.partial)
            if successor is None and time.monotonic() >= renew_at and self._budget.wait() == 0.0:
                self._budget.use()
                successor = self._open()
            wait = 60.0 if successor is not None else min(60.0, max(0.25, renew_at - time.monotonic()))
            try:
                async with asyncio.timeout(wait):
                    await self._news.wait()
            except TimeoutError:
                pass

    async def _retire(self, socket: Socket) -> None:
        """The old socket is read on for a moment, so that nothing falls between the two; then it is closed."""
        await asyncio.sleep(self._limits.overlap)
        socket.end("planned", "renewed")
        ended = await self._living[socket]
        del self._living[socket]
        self._count(ended.failure.reason)
        self._log.debug("socket renewed")

    async def _lost(self, ended: Ended, *, retry: bool) -> None:
        failure = ended.failure
        self.alive = False
        wait = max(self._backoff.next(failure.wait), self._budget.wait()) if retry else 0.0
        self.state = _STATE_AFTER.get(failure.reason, "down")
        self.detail = failure.detail
        self.retry_at_ms = self._clock.now_ms() + int(wait * 1000 * self._clock.speed)
        self._listener.down(self, ended, wait)
        await asyncio.sleep(wait)

    async def _spend(self) -> None:
        """Waits until the venue's budget of connects allows one more."""
        while (wait := self._budget.wait()) > 0:
            self.retry_at_ms = self._clock.now_ms() + int(wait * 1000 * self._clock.speed)
            await asyncio.sleep(wait)
        self._budget.use()

    def _open(self) -> Socket:
        session = self._venue.session(self.feed, self._instruments, tuple(self.symbols))
        conversation = Conversation(
            self._venue,
            session,
            self._intake,
            self._meter,
            self._limits,
            self._news.set,
            gzipped=self.feed.compression == "gzip",
            wildcard=self.feed.symbols_per_socket is None,
        )
        socket = Socket(self._venue, self.feed, self._url, conversation, self._clock, self._limits, self._requests)
        task = asyncio.create_task(self._survive(socket), name=f"socket {self._venue.name} {self.feed.name}")
        task.add_done_callback(lambda _: self._news.set())
        self._living[socket] = task
        return socket

    async def _survive(self, socket: Socket) -> Ended:
        try:
            return await socket.run()
        except Exception as error:  # a bug of ours or of a session: seen, and tried again like any other end
            self._log.error("socket failed", exc_info=error)
            return Ended(Failure("error", f"{type(error).__name__}: {error}", 5.0), None)

    def _notice(self, socket: Socket) -> None:
        """Takes over what the socket's conversation has come to."""
        conversation = socket.conversation
        if conversation.useful and conversation.over is None and self._backoff.failures:
            self._backoff.reset()
        if self._living[socket].done():
            return
        self.state, self.retry_at_ms = conversation.state, None
        self.detail = conversation.detail or ("" if conversation.acknowledged else self.detail)
        if not conversation.acknowledged:
            return
        if not conversation.partial and not self.alive:
            self.alive = True
            self._listener.alive(self)
        elif conversation.partial and self._partial is not socket:
            self._partial, self.alive = socket, False
            ended = Ended(Failure("refused", conversation.partial), self._clock.now_ms())
            self._listener.down(self, ended, self._limits.partial)

    def _renewal(self) -> float:
        if self._venue.lifetime is None:
            return float("inf")
        share = random.uniform(*self._limits.renewal_share)  # noqa: S311 - spread, not secrecy
        return time.monotonic() + self._venue.lifetime.total_seconds() * share
