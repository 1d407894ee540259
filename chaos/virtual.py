"""An event loop whose hours pass in seconds: every wait and every limit of the program is that much shorter."""

import asyncio
import selectors
import time
from collections.abc import Callable

from typing_extensions import override


class _Hurried(selectors.DefaultSelector):
    """Waits in real seconds for what is asked for in those of the loop."""

    speed: float = 1.0

    @override
    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        return super().select(None if timeout is None else timeout / self.speed)


def fast_loop(speed: float) -> Callable[[], asyncio.AbstractEventLoop]:
    """A factory of loops on which `speed` seconds pass in one."""

    def make() -> asyncio.AbstractEventLoop:
        selector = _Hurried()
        selector.speed = speed
        loop = asyncio.SelectorEventLoop(selector)
        begun = time.monotonic()
        loop.time = lambda: begun + (time.monotonic() - begun) * speed  # type: ignore[method-assign]
        return loop

    return make


def fast_wall(speed: float) -> Callable[[], float]:
    """The wall clock of such a loop: starts at the present."""
    begun = time.time()
    return lambda: begun + (time.time() - begun) * speed
