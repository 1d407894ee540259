"""Time in which nothing would happen passes at once: for tests of what waits for long."""

import asyncio
from typing import Any
from weakref import WeakKeyDictionary

_skipped: "WeakKeyDictionary[asyncio.AbstractEventLoop, float]" = WeakKeyDictionary()


def hurry() -> None:
    """From now on the running loop waits for no timer: its time jumps to the next one instead.

    Whatever the sockets of this process have to say is heard before. Not for tests that wait for a thread or another
    process: to them that time does not pass.
    """
    loop: Any = asyncio.get_running_loop()
    wait, clock = loop._selector.select, loop.time
    _skipped[loop] = 0.0

    def select(timeout: float | None = None) -> Any:
        ready = wait(0)
        if ready or timeout == 0:
            return ready
        if timeout is None:
            return wait(None)
        _skipped[loop] += timeout
        return ready

    loop._selector.select = select
    loop.time = lambda: clock() + _skipped[loop]


def skipped() -> float:
    """Seconds that have passed on the running loop and on no other clock."""
    return _skipped.get(asyncio.get_running_loop(), 0.0)
