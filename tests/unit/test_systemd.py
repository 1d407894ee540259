"""systemd is told when the process is ready, why it is not, and by the event loop itself that the loop turns."""

import asyncio
import contextlib
import os
import signal
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from liqwatch.systemd import Systemd
from tests.support.config import Setup
from tests.support.program import running


class Listener:
    """What systemd hears."""

    def __init__(self, line: socket.socket) -> None:
        self._line = line
        self.heard: list[str] = []

    def listen(self) -> list[str]:
        with contextlib.suppress(BlockingIOError):
            while True:
                self.heard += self._line.recv(4096).decode().splitlines()
        return self.heard

    async def until(self, wanted: str, limit: float = 30.0) -> None:
        """Waits for a line that begins so."""
        try:
            async with asyncio.timeout(limit):
                while not any(text.startswith(wanted) for text in self.listen()):
                    await asyncio.sleep(0.02)
        except TimeoutError:
            raise AssertionError(f"{wanted} was not heard: {self.heard}") from None


@pytest.fixture
def address() -> str:
    return f"@liqwatch-test-{os.getpid()}-{time.monotonic_ns()}"


@pytest.fixture
def listener(address: str) -> Iterator[Listener]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as line:
        line.bind("\0" + address[1:])
        line.setblocking(False)
        yield Listener(line)


@contextlib.asynccontextmanager
async def following(systemd: Systemd, reasons: list[str]):  # type: ignore[no-untyped-def]
    task = asyncio.create_task(systemd.follow(lambda: reasons))
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait([task])


async def test_the_watchdog_is_fed_while_the_loop_turns_and_not_while_it_stands(
    address: str, listener: Listener
) -> None:
    systemd = Systemd({"NOTIFY_SOCKET": address, "WATCHDOG_USEC": "300000"})
    systemd.ready()
    async with following(systemd, []):
        await listener.until("STATUS=ready")
        listener.heard.clear()
        await listener.until("WATCHDOG=1")
        listener.heard.clear()
        time.sleep(0.4)  # noqa: ASYNC251 - the loop stands still
        assert [] == listener.listen()
        await listener.until("WATCHDOG=1")


async def test_a_start_that_waits_says_for_what_and_asks_for_time(address: str, listener: Listener) -> None:
    systemd = Systemd({"NOTIFY_SOCKET": address, "WATCHDOG_USEC": "300000"})
    async with following(systemd, ["log: nobody\nanswers"]):
        await listener.until("EXTEND_TIMEOUT_USEC=")
    assert "STATUS=log: nobody answers" in listener.heard
    assert "WATCHDOG=1" not in listener.heard


def test_a_reload_is_told_only_by_who_was_ready(address: str, listener: Listener) -> None:
    systemd = Systemd({"NOTIFY_SOCKET": address})
    with systemd.reloading():
        pass
    assert [] == listener.listen()
    systemd.ready()
    with systemd.reloading():
        pass
    systemd.stopping()
    heard = [text.split("=")[0] for text in listener.listen()]
    expected = ["READY", "WATCHDOG", "RELOADING", "MONOTONIC_USEC", "READY", "WATCHDOG", "STOPPING"]
    assert expected == heard


async def test_without_systemd_nothing_is_told_and_nothing_is_waited_for() -> None:
    systemd = Systemd({})
    systemd.ready()
    async with asyncio.timeout(5):
        await systemd.follow(lambda: ["never asked for"])


async def test_a_watchdog_of_another_process_is_not_ours(address: str, listener: Listener) -> None:
    systemd = Systemd({"NOTIFY_SOCKET": address, "WATCHDOG_USEC": "30000", "WATCHDOG_PID": "1"})
    systemd.ready()
    async with following(systemd, []):
        await listener.until("STATUS=ready")
        listener.heard.clear()
        await asyncio.sleep(0.3)
        assert ["WATCHDOG=1"] * len(listener.listen()) == listener.heard
        assert len(listener.heard) <= 1


async def test_a_systemd_that_has_gone_does_not_stop_the_service(tmp_path: Path) -> None:
    Systemd({"NOTIFY_SOCKET": str(tmp_path / "gone")}).ready()


async def test_the_program_tells_its_whole_life(address: str, listener: Listener, tmp_path: Path) -> None:
    setup = Setup(tmp_path, {})
    environment = {"NOTIFY_SOCKET": address, "WATCHDOG_USEC": "600000"}
    command = ["run", "--config", str(setup.write())]
    async with running(command, tmp_path, port=setup.ports["run"], environment=environment) as program:
        await listener.until("READY=1", 60)
        listener.heard.clear()
        await listener.until("WATCHDOG=1")
        program.process.send_signal(signal.SIGHUP)
        await listener.until("RELOADING=1")
        await listener.until("READY=1")
        assert 0 == await program.end()
        await listener.until("STOPPING=1")
