"""Keep a coroutine alive: classify its failures, back off with jitter and a cap, say so once down and once up."""

import asyncio
import random
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import timedelta

import structlog


@dataclass(frozen=True, slots=True)
class Retry:
    """Try again; not before `after`, where the other side said so."""

    reason: str
    after: timedelta | None = None


@dataclass(frozen=True, slots=True)
class GiveUp:
    """Trying again will not help; a person has to act."""

    reason: str


Verdict = Retry | GiveUp


@dataclass(slots=True)
class Backoff:
    """Delays that double from `first` to `cap` seconds with full jitter, until `reset`.

    Reset it only after the work was useful, not after a mere connect: a venue that accepts and closes would
    otherwise be hammered.
    """

    first: float = 0.25
    cap: float = 30.0
    random: Callable[[], float] = field(default=random.random)
    failures: int = 0

    def next(self, at_least: float = 0.0) -> float:
        """Seconds to wait before the next try."""
        ceiling = min(self.cap, self.first * 2.0 ** min(self.failures, 30))
        self.failures += 1
        return max(at_least, ceiling * (0.5 + 0.5 * self.random()))

    def reset(self) -> None:
        self.failures = 0


@dataclass(slots=True)
class Budget:
    """At most `amount` uses in any `per` seconds; `wait` is how long until the next is allowed."""

    amount: int
    per: float
    clock: Callable[[], float] = time.monotonic
    _uses: list[float] = field(default_factory=list)

    def wait(self) -> float:
        now = self.clock()
        self._uses = [use for use in self._uses if use > now - self.per]
        if len(self._uses) < self.amount:
            return 0.0
        return self._uses[0] + self.per - now

    def use(self) -> None:
        self._uses.append(self.clock())


async def keep_alive(
    name: str,
    work: Callable[[], Awaitable[None]],
    classify: Callable[[Exception], Verdict],
    *,
    backoff: Backoff | None = None,
    on_down: Callable[[Verdict], None] | None = None,
) -> None:
    """Runs `work` again whenever it fails with something worth a retry; returns when `work` returns.

    `work` calls `backoff.reset()` itself once it has been useful. Raises the exception that `classify` gives up on.
    """
    log = structlog.get_logger(name)
    backoff = backoff or Backoff()
    down_since: float | None = None
    while True:
        try:
            await work()
            return
        except asyncio.CancelledError:
            raise
        except Exception as error:
            verdict = classify(error)
            if on_down is not None:
                on_down(verdict)
            if isinstance(verdict, GiveUp):
                log.error("gave up", reason=verdict.reason)
                raise
            if backoff.failures == 0 or down_since is None:
                down_since = time.monotonic()
                log.warning("down, retrying", reason=verdict.reason)
            await asyncio.sleep(backoff.next(verdict.after.total_seconds() if verdict.after else 0.0))
