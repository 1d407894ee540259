"""Tells systemd how this process is: ready, what it waits for, and that its event loop turns (sd_notify)."""

import asyncio
import contextlib
import os
import socket
import time
from collections.abc import Callable, Iterator, Mapping

_EVERY_SECONDS = 5.0  # without a watchdog: how often the status is told
_START_EXTENDED_BY = 30.0  # seconds that a start may take longer, told while the loop turns


class Systemd:
    """Silent where systemd does not listen (`NOTIFY_SOCKET` is not set), so that callers need not ask."""

    def __init__(self, environment: Mapping[str, str] = os.environ) -> None:
        address = environment.get("NOTIFY_SOCKET", "")
        self._address = "\0" + address[1:] if address.startswith("@") else address
        self._state = "starting"
        self._said = ""
        mine = environment.get("WATCHDOG_PID", str(os.getpid())) == str(os.getpid())
        watchdog_us = environment.get("WATCHDOG_USEC", "")
        self._every = int(watchdog_us) / 1e6 / 3 if mine and watchdog_us.isdecimal() else _EVERY_SECONDS

    def ready(self) -> None:
        """What needs this service may start now; from here on the watchdog counts."""
        self._state = "ready"
        self._tell("READY=1", "WATCHDOG=1")

    def stopping(self) -> None:
        """The end has begun."""
        self._state = "stopping"
        self._tell("STOPPING=1")

    @contextlib.contextmanager
    def reloading(self) -> Iterator[None]:
        """While it is entered, the settings are read again."""
        if self._state != "ready":
            yield
            return
        self._tell("RELOADING=1", f"MONOTONIC_USEC={time.monotonic_ns() // 1000}")
        try:
            yield
        finally:
            self.ready()

    async def follow(self, unready: Callable[[], list[str]]) -> None:
        """Feeds the watchdog from the event loop, and tells as status why the process is not ready. Ends by
        cancellation."""
        while self._address:
            reasons = unready()
            self._status("; ".join(reasons) if reasons else "ready")
            if self._state == "ready":
                self._tell("WATCHDOG=1")
            elif self._state == "starting":  # a broker that is away at the start is waited for, not given up on
                self._tell(f"EXTEND_TIMEOUT_USEC={int(_START_EXTENDED_BY * 1e6)}")
            await asyncio.sleep(self._every)

    def _status(self, text: str) -> None:
        text = " ".join(text.split())[:500]  # one line
        if text != self._said:
            self._said = text
            self._tell(f"STATUS={text}")

    def _tell(self, *lines: str) -> None:
        if not self._address:
            return
        # A full or vanished socket must not hold up the service: systemd asks again by its watchdog.
        with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as line:
            line.setblocking(False)
            line.sendto("\n".join(lines).encode(), self._address)
