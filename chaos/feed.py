"""The totals that an alerter judges, written as an aggregator would: rows of coins, a heartbeat of each partition."""

import asyncio
from collections.abc import Callable

from liqwatch.clock import Clock
from liqwatch.eventlog import Entry, Log, LogUnavailable
from liqwatch.topics import TOTALS
from liqwatch.wire import Heartbeat, Totals, encode

from .orders import Orders

WINDOW = "24h"
BEAT_SECONDS = 0.4  # an alerter calls totals stale after 5
LOOK_SECONDS = 0.005


class Feed:
    """`ordered` says which levels are wanted; what differs from the last time is written at once."""

    def __init__(self, log: Log, clock: Clock, ordered: Callable[[], Orders], speed: float = 1.0) -> None:
        self._log = log
        self._clock = clock
        self._ordered = ordered
        self._look_seconds = LOOK_SECONDS * speed  # of a loop that runs so much faster
        self._written: dict[str, int] = {}
        self._now_ms = 0  # never goes back, as that of an aggregator's window

    async def run(self) -> None:
        """Until it is cancelled."""
        loop = asyncio.get_running_loop()
        beat_at = 0.0
        while True:
            orders = self._ordered()
            self._now_ms = max(self._now_ms, self._clock.now_ms())
            entries = [self._beat(number) for number in range(TOTALS.partitions)] if loop.time() >= beat_at else []
            changed = {coin: usd for coin, usd in orders.levels.items() if self._written.get(coin) != usd}
            entries += [self._row(coin, usd) for coin, usd in changed.items()]
            try:
                if entries:
                    await self._log.append(TOTALS, entries)
                    self._written |= changed
                    if len(entries) > len(changed):
                        beat_at = loop.time() + BEAT_SECONDS
            except LogUnavailable:
                pass
            await asyncio.sleep(self._look_seconds)

    def _beat(self, number: int) -> Entry:
        beat = Heartbeat(number, 1, self._now_ms, 7, 8, True)
        return Entry(f"{number},heartbeat".encode(), encode(beat), self._now_ms, number)

    def _row(self, coin: str, usd: int) -> Entry:
        row = Totals(
            partition=0,
            window=WINDOW,
            scope=f"base={coin}",
            generation=1,
            as_of_ms=self._now_ms,
            offset=7,
            long_usd=f"{usd}.000000",
            long_count=3 if usd else 0,
            short_usd="0.000000",
            short_count=0,
        )
        return Entry(f"0,{WINDOW},base={coin}".encode(), encode(row), self._now_ms, 0)
