"""What a normal minute of a scope and side brings: the day's average, in which no single minute counts for much. Pure.

The average fades over a day. A minute counts as twenty normal ones at most, so that yesterday's crash does not hide
today's. Floats: this is a yardstick, not money.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass

DAY_MINUTES = 1440
MINUTES_NEEDED = 60  # before that nothing is known of what is normal
_AT_MOST = 20.0
_FLOOR = 50.0  # USD a second: a minute of less than twenty times that counts in full

Key = tuple[str, str]  # scope, side


@dataclass(slots=True)
class _Fading:
    weighed: float = 0.0  # USD a second
    minute: int = 0  # up to which it has faded


class Normals:
    """Give it every minute once, in order."""

    def __init__(self, floor: float = _FLOOR) -> None:
        self._floor = floor
        self._known: dict[Key, _Fading] = {}
        self._first: int | None = None
        self._last = 0
        self._seen = 1.0  # share of a full average that the minutes until the last one make up

    def minute(self, number: int, usd: Mapping[Key, float]) -> None:
        """A minute (number since the epoch) is over and brought so many USD by scope and side."""
        if self._first is None:
            self._first = number
        elif number <= self._last:
            return
        self._last = number
        self._seen = 1 - math.exp(-(number - self._first + 1) / DAY_MINUTES)
        for key, amount in usd.items():
            if amount <= 0:
                continue
            known = self._known.setdefault(key, _Fading(minute=number))
            known.weighed *= math.exp((known.minute - number) / DAY_MINUTES)
            rate = known.weighed / self._seen
            known.weighed += _SHARE * min(amount / 60, _AT_MOST * max(rate, self._floor))
            known.minute = number

    def per_second(self, scope: str, side: str) -> float | None:
        """USD of a normal second; None while too little has been seen to say. `both` is the sum of the sides."""
        if self._first is None or self._last - self._first + 1 < MINUTES_NEEDED:
            return None
        if side == "both":
            return self._rate(scope, "long") + self._rate(scope, "short")
        return self._rate(scope, side)

    def _rate(self, scope: str, side: str) -> float:
        known = self._known.get((scope, side))
        if known is None:
            return 0.0
        return known.weighed * math.exp((known.minute - self._last) / DAY_MINUTES) / self._seen


_SHARE = 1 - math.exp(-1 / DAY_MINUTES)
