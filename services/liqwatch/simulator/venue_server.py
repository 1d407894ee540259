"""One simulated venue on 127.0.0.1: a websocket server, a REST server, and the troubles it is told to make."""

import asyncio
import random
from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from http import HTTPStatus

import structlog
from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response

from ..clock import Clock
from .books import Books
from .dialects.base import Conversation, Dialect, Frame, HangUp
from .listings import Listing
from .orders import Entry
from .past import Past
from .rest_server import HOST, RestServer
from .trouble import Trouble

SEND_TIMEOUT = 5.0  # a reader that is slower than this is closed
REMEMBERED = 50  # pushes kept for replays


@dataclass(frozen=True, slots=True)
class Origins:
    """Scheme, host and port that stand in for a venue's own."""

    websocket: str
    rest: str


class VenueServer:
    """Serves one venue while it is entered; `second` is the length of a protocol second, short in tests."""

    def __init__(
        self, dialect: Dialect, listings: dict[str, Listing], trouble: Trouble, past: Past, books: Books,
        clock: Clock, *, seed: int = 1, second: float = 1.0,
    ) -> None:  # fmt: skip
        self.dialect = dialect
        self.listings = listings
        self.trouble = trouble
        self.past = past
        self.connections_made = 0
        self.rest = RestServer(dialect, trouble)
        self._books = books
        self._clock = clock
        self._second = second
        self._seed = seed
        self._conversations = 0
        self._sockets: dict[ServerConnection, Conversation] = {}
        self._pushed: deque[list[Entry]] = deque(maxlen=REMEMBERED)
        self._changed = asyncio.Event()
        self._undisturbed = asyncio.Lock()  # no socket is closed in the middle of a push: the books stay exact
        self._server: Server | None = None
        self._log = structlog.get_logger("simulator")

    async def start(self, websocket_port: int = 0, rest_port: int = 0) -> Origins:
        """Listens; port 0 takes a free one."""
        self._server = await serve(
            self._converse,
            HOST,
            websocket_port,
            process_request=self._shake_hands,
            compression=None,
            ping_interval=self.dialect.control_ping_seconds,
            ping_timeout=600,
            close_timeout=1,
            server_header=None,
        )
        websocket = next(iter(self._server.sockets)).getsockname()[1]
        return Origins(f"ws://{HOST}:{websocket}", await self.rest.start(rest_port))

    async def stop(self) -> None:
        if self._server is not None:
            self._server.close()
            await self._server.wait_closed()
        await self.rest.stop()

    def _shake_hands(self, connection: ServerConnection, request: Request) -> Response | None:
        self.connections_made += 1
        status = self.trouble.handshake_status
        if status is not None:
            response = connection.respond(HTTPStatus(status), "refused\n")
            response.headers.update(self.trouble.retry_after())
            return response
        if self.dialect.connect(request.path, request.headers) is None:
            return connection.respond(HTTPStatus.NOT_FOUND, "nothing here\n")
        return None

    async def _converse(self, socket: ServerConnection) -> None:
        assert socket.request is not None  # noqa: S101 - set once the handshake is done
        conversation = self.dialect.connect(socket.request.path, socket.request.headers)
        if conversation is None or self.trouble.close_after_connect:
            await socket.close(1001, "going away")
            return
        self._sockets[socket] = conversation
        self._conversations += 1
        lot = random.Random(f"{self._seed} {self.dialect.venue} {self._conversations}")
        self._changed.set()
        try:
            async with asyncio.TaskGroup() as tasks:
                beats = [
                    tasks.create_task(self._heartbeat(socket, conversation)),
                    tasks.create_task(self._cut(socket, lot)),
                ]
                await self._listen(socket, conversation)
                for beat in beats:
                    beat.cancel()
        except* ConnectionClosed:
            pass
        finally:
            del self._sockets[socket]
            self._changed.set()

    async def _listen(self, socket: ServerConnection, conversation: Conversation) -> None:
        with suppress(ConnectionClosed):
            async for frame in socket:
                before = self._carried(conversation)
                try:
                    replies = conversation.receive(frame, self._clock.now_ms())
                except HangUp as end:
                    await self._hang_up(socket, end)
                    return
                await self._send(socket, replies)
                if self._carried(conversation) > before:
                    self._changed.set()
                    await self._replay(socket, conversation)

    def _carried(self, conversation: Conversation) -> int:
        return sum(conversation.carries(listing) for listing in self.listings.values())

    async def _replay(self, socket: ServerConnection, conversation: Conversation) -> None:
        last = list(self._pushed)[-self.trouble.replay :] if self.trouble.replay else []
        for entries in last:
            wanted = [entry for entry in entries if conversation.carries(entry.listing)]
            await self._send(socket, conversation.push(wanted, self._clock.now_ms()))

    async def _heartbeat(self, socket: ServerConnection, conversation: Conversation) -> None:
        while True:
            await asyncio.sleep(self._second)
            now_ms = self._clock.now_ms()
            try:
                frames = list(conversation.second(now_ms))
            except HangUp as end:
                await self._hang_up(socket, end)
                return
            if not self.trouble.silent:
                frames += conversation.ticks(now_ms)
            await self._send(socket, frames)

    async def _cut(self, socket: ServerConnection, lot: random.Random) -> None:
        """Ends the socket at a random time, while the trouble says so."""
        while True:
            mean = self.trouble.disconnect_every_seconds
            await asyncio.sleep(self._second if mean is None else lot.expovariate(1 / mean))
            if mean is not None and self.trouble.disconnect_every_seconds is not None:
                async with self._undisturbed:
                    await socket.close(1012, "service restart")
                return

    async def _hang_up(self, socket: ServerConnection, end: HangUp) -> None:
        self._log.info("venue hangs up", venue=self.dialect.venue, reason=str(end))
        async with self._undisturbed:
            await self._send(socket, end.last_words)
            await socket.close(1008, str(end))

    async def _send(self, socket: ServerConnection, frames: Sequence[Frame]) -> bool:
        """True if everything was handed to the socket."""
        try:
            async with asyncio.timeout(SEND_TIMEOUT):
                for frame in frames:
                    await socket.send(frame)
        except TimeoutError:
            socket.transport.abort()
            return False
        except ConnectionClosed:
            return False
        return True

    # play

    async def push(self, entries: list[Entry]) -> None:
        """Sends `entries` to every socket that is subscribed, and enters them in the books."""
        if not entries:
            return
        self.past.add(entries)
        reached: dict[int, bool] = {}  # entry by place in the list: True if every receiver cuts off fractions
        async with self._undisturbed:
            now_ms = self._clock.now_ms()
            for socket, conversation in [] if self.trouble.silent else list(self._sockets.items()):
                wanted = {place: entry for place, entry in enumerate(entries) if conversation.carries(entry.listing)}
                frames = conversation.push(list(wanted.values()), now_ms) if wanted else []
                if wanted and await self._send(socket, frames):
                    for place in wanted:
                        reached[place] = reached.get(place, True) and conversation.whole_contracts
        for place, entry in enumerate(entries):
            cut = reached.get(place, False)
            listed = self.dialect.lists_past
            self._books.add(entry, sent=place in reached, whole_contracts=cut, listed=listed, at_ms=now_ms)
        self._pushed.append(entries)

    async def send_raw(self, frame: Frame) -> int:
        """Sends any frame to every socket; the number of sockets."""
        return sum([await self._send(socket, [frame]) for socket in list(self._sockets)])

    async def half_frame(self) -> None:
        """Sends the first half of a websocket text frame to every socket and cuts the connection."""
        for socket in list(self._sockets):
            socket.transport.write(b"\x81\x7e\x01\x00" + b'{"half": ')
            await asyncio.sleep(0)
            socket.transport.close()

    async def disconnect(self, *, politely: bool = True) -> int:
        """Ends every socket, with a close frame or without; the number of sockets."""
        async with self._undisturbed:
            sockets = list(self._sockets)
            for socket in sockets:
                if politely:
                    await socket.close(1001, "going away")
                else:
                    socket.transport.abort()
        return len(sockets)

    # facts

    @property
    def sockets(self) -> int:
        return len(self._sockets)

    def watched(self) -> set[str]:
        """The symbols that at least one socket is subscribed to."""
        conversations = list(self._sockets.values())
        return {
            symbol
            for symbol, listing in self.listings.items()
            if any(conversation.carries(listing) for conversation in conversations)
        }

    async def until_subscribed(self) -> None:
        """Returns once anything is subscribed. No limit of its own."""
        while not self.watched():
            self._changed.clear()
            await self._changed.wait()

    async def until_watched(self, symbols: Sequence[str] | None = None) -> None:
        """Returns once every one of `symbols` (None: everything that trades) is subscribed. No limit of its own."""
        while True:
            self._changed.clear()
            wanted = symbols or [symbol for symbol, listing in self.listings.items() if listing.trading]
            if self.watched().issuperset(wanted):
                return
            await self._changed.wait()
