"""What the window looks like in the metrics."""

from collections.abc import Iterable, Sequence

from ..events import SIDES
from ..metrics import AggregatorMetrics
from .coins import CoinGauges
from .partition import Owned, Stage
from .window import RollingTotals

_MOST_VENUES = 64


class Gauges:
    """Rolling USD and counts of the held partitions, by window, side and venue."""

    def __init__(self, window: RollingTotals, windows: Sequence[str], metrics: AggregatorMetrics) -> None:
        self._window = window
        self._windows = windows
        self._metrics = metrics
        self._coins = CoinGauges(window, windows, metrics)
        self._venues: dict[str, None] = {}
        self._lags: set[int] = set()  # partitions whose lag is shown

    def show(self, held: Iterable[Owned]) -> None:
        """Sets the gauges to what the window holds now."""
        held = list(held)
        live = [owned.number for owned in held if owned.stage is Stage.LIVE]
        for venue in self._window.venues():
            if len(self._venues) < _MOST_VENUES:
                self._venues[venue] = None
        for name in self._windows:
            for venue in ("all", *self._venues):
                scope = "all" if venue == "all" else f"venue={venue}"
                totals = [self._window.totals(number, scope, name) for number in live]
                for side, parts in zip(SIDES, ([t.long for t in totals], [t.short for t in totals]), strict=True):
                    usd = sum(part.usd for part in parts) / 1_000_000
                    self._metrics.window_usd.labels(name, side, venue).set(usd)
                    if venue == "all":
                        self._metrics.window_events.labels(name, side).set(sum(part.events for part in parts))
        self._coins.show(live)
        self._metrics.owned.set(len(held))
        self._metrics.rebuilding.set(len(held) - len(live))
        for number in self._lags.difference(owned.number for owned in held):
            self._metrics.lag.remove(str(number))  # its owner shows it now
        self._lags = {owned.number for owned in held}
        for owned in held:
            self._metrics.lag.labels(str(owned.number)).set(owned.behind)
