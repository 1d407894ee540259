"""Prices on their way to the log: of each coin the newest, at most one a second, and none kept for later."""

import asyncio

import structlog

from ..clock import Clock
from ..eventlog import Entry, Log, LogError
from ..events import Price
from ..supervise import Outage
from ..topics import PRICES

_TOGETHER = 0.05  # seconds; coins tick at the same moment: one append for all of them
_PATIENCE = 5.0  # seconds; no price is written that has waited longer for the log


class Prices:
    """`put` never waits; `run` appends. What the log does not take is let go: the next one is a second away."""

    def __init__(self, log: Log, clock: Clock, patience: float = _PATIENCE) -> None:
        self._log, self._clock, self._patience = log, clock, patience
        self._waiting: dict[bytes, Entry] = {}
        self._seconds: dict[bytes, int] = {}  # of the clock, in which the coin's last one was taken
        self._wake = asyncio.Event()
        self._lines = structlog.get_logger("collector")
        self._outage = Outage("prices topic", self._lines)

    def put(self, price: Price) -> None:
        """Takes a price. In the same second it only replaces one that still waits."""
        key, second = price.base.encode(), self._clock.now_ms() // 1000
        if self._seconds.get(key) == second and key not in self._waiting:
            return
        self._seconds[key] = second
        self._waiting[key] = Entry(key, price.model_dump_json().encode(), price.at_ms)
        self._wake.set()

    async def run(self) -> None:
        """Appends what comes; ends only by cancellation."""
        while True:
            await self._wake.wait()
            await asyncio.sleep(_TOGETHER)
            self._wake.clear()
            entries, self._waiting = list(self._waiting.values()), {}
            await self._append(entries)

    async def _append(self, entries: list[Entry]) -> None:
        try:
            async with asyncio.timeout(self._patience):
                await self._log.append(PRICES, entries)
        except TimeoutError:
            self._outage.down(f"no answer for {self._patience:.0f} s")
        except LogError as error:
            self._outage.down(str(error))
        except Exception as error:  # a bug of ours or of the log's library costs prices, not events
            if self._outage.down(f"{type(error).__name__}: {error}"):
                self._lines.error("a price could not be written", exc_info=error)
        else:
            self._outage.up()
