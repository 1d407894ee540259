"""A connection first, and nothing on it before that is allowed: a handshake takes long, and so may the permission."""

from collections.abc import Awaitable, Callable
from contextvars import ContextVar

import aiohttp
from aiohttp.client_reqrep import ClientRequest
from aiohttp.connector import Connection
from aiohttp.tracing import Trace
from typing_extensions import override

GATE: ContextVar[Callable[[], Awaitable[None]] | None] = ContextVar("gate", default=None)


class GatedConnector(aiohttp.TCPConnector):
    """Awaits the `GATE` of the task that asks for a connection. What that raises is raised, and closes it."""

    @override
    async def connect(self, req: ClientRequest, traces: list[Trace], timeout: aiohttp.ClientTimeout) -> Connection:
        connection = await super().connect(req, traces, timeout)
        gate = GATE.get()
        if gate is not None:
            try:
                await gate()
            except BaseException:
                connection.close()
                raise
        return connection
