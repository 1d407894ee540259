"""The latest liquidations, kept by size, so that a flood of small ones does not wash out the large. Pure."""

from bisect import bisect_right
from collections import deque
from heapq import nlargest

from ..wire import Liquidation, micros

LIMIT = 500  # so many of any size and above can be asked for
_TIERS = tuple(usd * 1_000_000 for usd in (0, 10_000, 100_000, 1_000_000, 10_000_000))


class Tape:
    """The last `LIMIT` of each size class: together they hold the last `LIMIT` above any size."""

    def __init__(self) -> None:
        self._tiers = [deque[tuple[int, Liquidation]](maxlen=LIMIT) for _ in _TIERS]
        self._ids: set[str] = set()

    def add(self, event: Liquidation) -> int | None:
        """Its worth in micro-dollars; None for one that is there already. Raises `ValueError` for odd money."""
        worth = micros(event.notional_usd)
        tier = self._tiers[max(0, bisect_right(_TIERS, worth) - 1)]
        if event.event_id in self._ids:
            return None
        if len(tier) == LIMIT:
            self._ids.discard(tier[0][1].event_id)
        tier.append((worth, event))
        self._ids.add(event.event_id)
        return worth

    def latest(
        self, least: int = 0, limit: int = LIMIT, *, scope: str = "all", side: str = "both"
    ) -> list[Liquidation]:
        """Those worth at least `least` micro-dollars, newest first."""
        wanted = dict(part.split("=", 1) for part in scope.split(",")) if scope != "all" else {}
        found = (
            event
            for tier in self._tiers
            for worth, event in tier
            if worth >= least
            and side in ("both", event.side)
            and event.venue == wanted.get("venue", event.venue)
            and event.base == wanted.get("base", event.base)
        )
        return nlargest(limit, found, key=lambda event: (event.event_time_ms, event.event_id))
