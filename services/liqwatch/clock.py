"""The clock that services are given: the wall clock, or one that runs faster for a demo."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Clock:
    """Milliseconds since the epoch. With `speed` above 1 it starts at the present and runs ahead of it.

    Limits that compare two readings of this clock have to be multiplied by `speed`; waits stay in real seconds.
    """

    speed: float = 1.0
    wall: Callable[[], float] = time.time
    _start: float = field(default_factory=time.time)

    def now_ms(self) -> int:
        now = self.wall()
        if self.speed == 1.0:
            return int(now * 1000)
        return int((self._start + (now - self._start) * self.speed) * 1000)
