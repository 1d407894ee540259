"""The largest coins of each window in the metrics, the rest as `other`: the series stay few however many coins."""

import time
from collections.abc import Collection, Sequence

from ..events import SIDES
from ..metrics import AggregatorMetrics
from .window import RollingTotals

LARGEST = 12  # coins of each window
OTHER = "other"
_EVERY_SECONDS = 5.0  # a thousand coins in twelve partitions take some milliseconds to add up
_PREFIX = "base="


class CoinGauges:
    """Rolling USD by window, side and coin, of the partitions that this service holds."""

    def __init__(self, window: RollingTotals, windows: Sequence[str], metrics: AggregatorMetrics) -> None:
        self._window = window
        self._windows = windows
        self._metrics = metrics
        self._shown: set[tuple[str, str]] = set()  # window, coin
        self._due = 0.0

    def show(self, partitions: Collection[int]) -> None:
        """Sets the gauges to what the window holds now, now and then."""
        if time.monotonic() < self._due:
            return
        self._due = time.monotonic() + _EVERY_SECONDS
        found: set[tuple[str, str]] = set()
        for name in self._windows:
            coins = self._coins(partitions, name)
            ranked = sorted(coins, key=lambda coin: (-sum(coins[coin]), coin))
            for coin in ranked[:LARGEST]:
                self._set(name, coin, coins[coin])
                found.add((name, coin))
            rest = [coins[coin] for coin in ranked[LARGEST:]]
            self._set(name, OTHER, [sum(sides) for sides in zip(*rest, strict=True)] or [0, 0])
        for name, coin in self._shown - found:
            for side in SIDES:
                self._metrics.coin_usd.remove(name, side, coin)
        self._shown = found

    def _set(self, window: str, coin: str, sides: Sequence[int]) -> None:
        for side, usd in zip(SIDES, sides, strict=True):
            self._metrics.coin_usd.labels(window, side, coin).set(usd / 1_000_000)

    def _coins(self, partitions: Collection[int], window: str) -> dict[str, list[int]]:
        """Micro-dollars of each coin, by side; empty coins are left out."""
        coins: dict[str, list[int]] = {}
        for number in partitions:
            for scope in self._window.scopes(number):
                if scope.startswith(_PREFIX):
                    sides = [self._window.usd(number, scope, side, window) for side in SIDES]
                    if any(sides):
                        known = coins.setdefault(scope.removeprefix(_PREFIX), [0] * len(SIDES))
                        known[:] = [one + other for one, other in zip(known, sides, strict=True)]
        return coins
