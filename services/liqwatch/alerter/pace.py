"""How fast a target may be told: tokens of a rate. No clock of its own."""

from dataclasses import dataclass

from .notifiers.base import Rate


@dataclass(slots=True)
class Bucket:
    """`burst` uses at once, then one every `every`. Times are seconds of a monotonic clock."""

    rate: Rate
    _full_at: float = 0.0  # when every token will be back

    def wait(self, now: float) -> float:
        """Seconds until the next use is allowed."""
        every = self.rate.every.total_seconds()
        return max(0.0, self._full_at - now - every * (self.rate.burst - 1))

    def idle_wait(self, now: float) -> float:
        """Seconds until nothing was used for a while: what is not a message takes half the rate at most."""
        return max(0.0, self._full_at + self.rate.every.total_seconds() - now)

    def use(self, now: float) -> None:
        """Takes a token."""
        self._full_at = max(self._full_at, now) + self.rate.every.total_seconds()
