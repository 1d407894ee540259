"""A line between a browser and a server on 127.0.0.1 that the test can cut and mend."""

import asyncio
import contextlib
from collections.abc import AsyncIterator


class CutLine:
    """Hands bytes on, until it is cut: what is open is closed, what comes new is refused."""

    def __init__(self, host: str, port: int) -> None:
        self._to = host, port
        self._server: asyncio.Server | None = None
        self._open: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self.asked = bytearray()  # everything that the browser has sent
        self.port = 0

    @property
    def origin(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def mend(self) -> None:
        self._server = await asyncio.start_server(self._join, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def cut(self) -> None:
        if self._server is not None:
            self._server.close()
        for writer in list(self._open):
            writer.transport.abort()
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=5)

    async def _join(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            back_reader, back_writer = await asyncio.open_connection(*self._to)
        except OSError:
            writer.transport.abort()
            return
        for source, sink, note in ((reader, back_writer, True), (back_reader, writer, False)):
            self._open.add(sink)
            task = asyncio.create_task(self._pump(source, sink, note=note))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _pump(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter, *, note: bool) -> None:
        with contextlib.suppress(ConnectionError, OSError):
            while chunk := await source.read(65536):
                if note:
                    self.asked += chunk
                sink.write(chunk)
                await sink.drain()
        self._open.discard(sink)
        sink.close()
        with contextlib.suppress(ConnectionError, OSError):
            await sink.wait_closed()


@contextlib.asynccontextmanager
async def cut_line(host: str, port: int) -> AsyncIterator[CutLine]:
    line = CutLine(host, port)
    await line.mend()
    try:
        yield line
    finally:
        await line.cut()
