"""A local venue: websocket and REST on one port, well behaved or, at the test's command, not at all.

It speaks a small protocol of its own (see `fake_venue.py`): `{"sub": [...]}` is answered with `{"ack": [...]}`.
"""

import asyncio
import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Self

from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.datastructures import Headers
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response

Behaviour = Callable[["VenueServer", ServerConnection], Awaitable[None]]


async def obedient(server: "VenueServer", peer: ServerConnection) -> None:
    """Acknowledges what is asked for and answers pings, for ever."""
    async for frame in peer:
        server.heard.append(frame)
        if isinstance(frame, str) and frame.startswith("{"):
            asked = json.loads(frame).get("sub")
            if asked is not None:
                server.subscribed.append(asked)
                await peer.send(json.dumps({"ack": asked}))
        elif frame == "ping":
            await peer.send("pong")


async def accepts_and_closes(server: "VenueServer", peer: ServerConnection) -> None:
    await peer.close(1001, "bye")


async def says_a_word_and_closes(server: "VenueServer", peer: ServerConnection) -> None:
    await peer.send(json.dumps({"ack": json.loads(await peer.recv())["sub"]}))
    await peer.send('{"tick": 1}')
    await peer.close(1000)


async def silent_while_it_pongs(server: "VenueServer", peer: ServerConnection) -> None:
    """Acknowledges, then says nothing any more; the library goes on answering protocol pings."""
    await peer.send(json.dumps({"ack": json.loads(await peer.recv())["sub"]}))
    await peer.wait_closed()


async def only_pongs(server: "VenueServer", peer: ServerConnection) -> None:
    """Acknowledges and answers the venue's own heartbeat, but delivers nothing."""
    await obedient(server, peer)


async def never_acknowledges(server: "VenueServer", peer: ServerConnection) -> None:
    async for frame in peer:
        server.heard.append(frame)


async def refuses(server: "VenueServer", peer: ServerConnection) -> None:
    await peer.recv()
    await peer.send(json.dumps({"no": "no such channel"}))
    await peer.wait_closed()


async def refuses_a_part(server: "VenueServer", peer: ServerConnection) -> None:
    """Acknowledges one subscription and refuses another."""
    await peer.send(json.dumps({"no": "no coin futures today"}))
    await obedient(server, peer)


async def deaf(server: "VenueServer", peer: ServerConnection) -> None:
    """Reads nothing any more, not even a goodbye, for as long as its own TCP connection lasts."""
    peer.transport.pause_reading()
    await peer.wait_closed()


async def half_a_frame(server: "VenueServer", peer: ServerConnection) -> None:
    """Acknowledges, then writes the head of a text frame of 100 bytes, ten of them, and resets."""
    await peer.send(json.dumps({"ack": json.loads(await peer.recv())["sub"]}))
    peer.transport.write(b"\x81\x64" + b'{"liq":[{"')
    await asyncio.sleep(0)
    peer.transport.abort()


async def talks_rubbish(server: "VenueServer", peer: ServerConnection) -> None:
    """Acknowledges, then sends what nobody can read."""
    await peer.send(json.dumps({"ack": json.loads(await peer.recv())["sub"]}))
    for _ in range(60):
        await peer.send("<html>502 Bad Gateway</html>")
    await peer.wait_closed()


@dataclass
class VenueServer:
    """`behave` may be changed at any time; it holds for the connections that come after."""

    behave: Behaviour = obedient
    rest: dict[str, object] = field(default_factory=dict)  # path with query -> JSON, or (status, headers, bytes)
    past: Callable[[str], object] | None = None  # answers what begins with /past, as `rest` does
    turn_away: tuple[int, dict[str, str]] | None = None  # handshakes are answered with this status and headers
    connects: int = 0
    heard: list[str | bytes] = field(default_factory=list)
    subscribed: list[list[str]] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)  # REST paths
    port: int = 0
    _server: Server | None = None

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    async def start(self) -> None:
        """Listens; after `stop`, on the same port again."""
        self._server = await serve(
            self._handle, "127.0.0.1", self.port, process_request=self._answer, ping_interval=None, close_timeout=0.2
        )
        self.port = next(iter(self._server.sockets)).getsockname()[1]

    async def stop(self) -> None:
        if self._server is not None:
            self._server.close()
            for peer in list(self._server.connections):
                peer.transport.abort()
            await self._server.wait_closed()
            self._server = None

    @property
    def websocket_origin(self) -> str:
        return f"ws://127.0.0.1:{self.port}"

    @property
    def rest_origin(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def peers(self) -> list[ServerConnection]:
        return list(self._server.connections) if self._server is not None else []

    async def say(self, *frames: str | bytes) -> None:
        """Sends frames to everybody who is connected."""
        for peer in self.peers:
            for frame in frames:
                await peer.send(frame)

    async def _handle(self, peer: ServerConnection) -> None:
        self.connects += 1
        try:
            await self.behave(self, peer)
        except ConnectionClosed:
            pass

    async def _answer(self, _peer: ServerConnection, request: Request) -> Response | None:
        if request.headers.get("Upgrade", "").lower() == "websocket":
            if self.turn_away is None:
                return None
            self.connects += 1
            status, headers = self.turn_away
            return _response(status, headers, b"")
        self.asked.append(request.path)
        answer = self.rest.get(request.path, (404, {}, b"no such list"))
        if self.past is not None and request.path.startswith("/past"):
            answer = self.past(request.path)
        if isinstance(answer, tuple):
            return _response(*answer)
        return _response(200, {"Content-Type": "application/json"}, json.dumps(answer).encode())


def _response(status: int, headers: dict[str, str], body: bytes) -> Response:
    # `Connection: close` because this server answers one request a connection.
    return Response(
        status,
        HTTPStatus(status).phrase,
        Headers({**headers, "Content-Length": str(len(body)), "Connection": "close"}),
        body,
    )
