"""Keep a coroutine alive: classify its failures, back off with jitter and a cap, say so once down and once up."""

import asyncio
import random
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

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
    """Delays with full jitter under a ceiling that doubles from `first` to `cap` seconds, until `reset`.

    Reset it only after the work was useful, not after a mere connect: a venue that accepts and closes would
    otherwise be hammered. No delay is shorter than half of `first`.
    """

    first: float = 0.25
    cap: float = 30.0
    random: Callable[[], float] = field(default=random.random)
    failures: int = 0
    on_reset: Callable[[], None] | None = None

    def next(self, at_least: float = 0.0) -> float:
        """Seconds to wait before the next try. `at_least` is kept to and spread by up to a tenth."""
        ceiling = min(self.cap, self.first * 2.0 ** min(self.failures, 30))
        self.failures += 1
        return max(self.first / 2, at_least * (1 + 0.1 * self.random()), ceiling * self.random())

    def reset(self) -> None:
        self.failures = 0
        if self.on_reset is not None:
            self.on_reset()


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
        return self._uses[-self.amount] + self.per - now

    def use(self) -> None:
        self._uses.append(self.clock())


@dataclass(slots=True)
class Outage:
    """One thing that can be away: a warning once when it goes, a line once when it is back, with how long it took."""

    what: str
    log: Any  # a structlog logger; its own type is lazy and has no name
    clock: Callable[[], float] = time.monotonic
    since: float | None = None
    reason: str = ""

    def down(self, reason: str, **more: object) -> bool:
        """True if this is news. The reason is kept up to date all the same."""
        self.reason = reason
        if self.since is not None:
            return False
        self.since = self.clock()
        self.log.warning(f"{self.what} is down", reason=reason, **more)
        return True

    def up(self, *, ago: float = 0.0, **more: object) -> bool:
        """True if this is news. `ago`: so many seconds it has been back already."""
        if self.since is None:
            return False
        away = max(0.0, self.clock() - self.since - ago)
        self.since, self.reason = None, ""
        self.log.info(f"{self.what} is back", away_seconds=round(away, 1), **more)
        return True


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
    backoff = backoff or Backoff()
    outage = Outage(name, structlog.get_logger(name))
    told = backoff.on_reset

    def useful() -> None:
        outage.up()
        if told is not None:
            told()

    backoff.on_reset = useful
    while True:
        try:
            await work()
            return
        except Exception as error:
            verdict = classify(error)
            if on_down is not None:
                on_down(verdict)
            if isinstance(verdict, GiveUp):
                structlog.get_logger(name).error("gave up", reason=verdict.reason)
                raise
            delay = backoff.next(verdict.after.total_seconds() if verdict.after else 0.0)
            outage.down(verdict.reason, retry_seconds=round(delay, 1))
            await asyncio.sleep(delay)
