"""Runs liqwatch commands as processes of their own, asks their HTTP surface, ends them by their own id."""

import asyncio
import contextlib
import os
import random
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import aiohttp

ROOT = Path(__file__).resolve().parents[2]
START_LIMIT = 60.0  # seconds; generous for slow machines, every wait ends as soon as its condition holds


PORTS = range(16_384, 32_768)  # Linux gives connections, and who asks for any port, those from 32768 on
_given: set[int] = set()


def free_port() -> int:
    """A port that nobody listens on, and that no connection takes before the program for which it is meant does."""
    choose = random.SystemRandom()  # another process that tests must not choose the same
    while True:
        port = choose.choice(PORTS)
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            if port not in _given:
                _given.add(port)
                return port


def liqwatch(*arguments: str, stdin: str = "", cwd: Path = ROOT) -> subprocess.CompletedProcess[str]:
    """A command that answers and ends."""
    return subprocess.run(
        [sys.executable, "-m", "liqwatch.cli", *arguments],
        check=False,
        text=True,
        input=stdin,
        capture_output=True,
        timeout=60,
        cwd=cwd,
    )


class Program:
    """One running liqwatch command."""

    def __init__(self, process: asyncio.subprocess.Process, port: int, folder: Path, name: str) -> None:
        self.process = process
        self.port = port
        self._stderr = folder / f"{name}-{process.pid}.err"
        self._stdout = folder / f"{name}-{process.pid}.out"

    @property
    def stderr(self) -> str:
        return self._stderr.read_text(errors="replace")

    @property
    def stdout(self) -> str:
        return self._stdout.read_text(errors="replace")

    async def ask(self, path: str) -> tuple[int, Any]:
        """GET on the service's own port; (0, None) while it does not listen."""
        with contextlib.suppress(aiohttp.ClientError, TimeoutError):
            timeout = aiohttp.ClientTimeout(total=5)
            async with (
                aiohttp.ClientSession(timeout=timeout) as http,
                http.get(f"http://127.0.0.1:{self.port}{path}") as response,
            ):
                body = await response.json() if "json" in response.content_type else await response.text()
                return response.status, body
        return 0, None

    async def said(self, text: str, limit: float = START_LIMIT) -> None:
        """Waits until the text is on stdout; fails with stderr at the limit, and as soon as the program has ended."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(limit):
                while text not in self.stdout and self.process.returncode is None:
                    await asyncio.sleep(0.05)
        if text not in self.stdout:
            raise AssertionError(f"never said {text!r}, exit {self.process.returncode}\n{self.stderr[-4000:]}")

    async def ready(self, limit: float = START_LIMIT) -> None:
        """Waits until /readyz says ready."""
        body: Any = None
        try:
            async with asyncio.timeout(limit):
                while True:
                    status, body = await self.ask("/readyz")
                    if status == 200:
                        return
                    if self.process.returncode is not None:
                        break
                    await asyncio.sleep(0.1)
        except TimeoutError:
            pass
        raise AssertionError(f"never ready: {body}, exit {self.process.returncode}\n{self.stderr[-4000:]}")

    async def metric(self, sample: str) -> float:
        """The value of one sample, written as on the page: `name{label="x"}`; 0 where it is absent."""
        _, text = await self.ask("/metrics")
        for line in (text or "").splitlines():
            name, _, value = line.rpartition(" ")
            if name == sample:
                return float(value)
        return 0.0

    async def end(self, number: int = signal.SIGTERM, limit: float = 12.0) -> int:
        """Sends the signal and waits; the exit status."""
        if self.process.returncode is None:
            self.process.send_signal(number)
        async with asyncio.timeout(limit):
            return await self.process.wait()


@contextlib.asynccontextmanager
async def running(
    command: Sequence[str], folder: Path, *, port: int = 0, environment: dict[str, str] | None = None
) -> AsyncIterator[Program]:
    """Starts `liqwatch COMMAND…`; whatever happens, it is gone at the end."""
    folder.mkdir(parents=True, exist_ok=True)
    name = command[0]
    with open(folder / f"{name}.out", "wb") as out, open(folder / f"{name}.err", "wb") as err:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "liqwatch.cli",
            *command,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=out,
            stderr=err,
            cwd=folder,
            env={**os.environ, "PYTHONUNBUFFERED": "1", **(environment or {})},
        )
    (folder / f"{name}.out").rename(folder / f"{name}-{process.pid}.out")
    (folder / f"{name}.err").rename(folder / f"{name}-{process.pid}.err")
    program = Program(process, port, folder, name)
    try:
        yield program
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()
