"""When a rolling total was last as high as it is now: the highest of each hour, kept for as long as rules ask. Pure."""

from bisect import bisect_left
from collections import deque
from dataclasses import dataclass, field

HOUR_MINUTES = 60
MINUTE_MS = 60_000


@dataclass(slots=True)
class Record:
    """One scope, side and window. Minutes come in order; USD in micro-dollars.

    The past is known by whole minutes, so that a total may have been a little higher than the record says.
    """

    span: int  # minutes of the window
    _minutes: "deque[tuple[int, int]]" = field(default_factory=deque)
    _sum: int = 0
    _hours: "deque[tuple[int, int]]" = field(default_factory=deque)  # hour, highest: too recent to compare with
    # Older hours: only those that no later one has reached, so the highest first. Negative, for bisect.
    _old: list[int] = field(default_factory=list)
    _old_hours: list[int] = field(default_factory=list)
    began: int | None = None  # first minute known

    def minute(self, number: int, usd: int) -> None:
        """A minute is over and brought so many micro-dollars."""
        if self.began is None:
            self.began = number
        if self._minutes and number <= self._minutes[-1][0]:
            return
        while self._minutes and self._minutes[0][0] <= number - self.span:
            self._sum -= self._minutes.popleft()[1]
        self._minutes.append((number, usd))
        self._sum += usd
        hour = number // HOUR_MINUTES
        if not self._hours or self._hours[-1][0] != hour:
            self._hours.append((hour, self._sum))
        elif self._sum > self._hours[-1][1]:
            self._hours[-1] = (hour, self._sum)

    def last_as_high(self, usd: int, now_minute: int) -> tuple[int | None, int]:
        """The minute about which a total that shares nothing with the present one was last as high, None if it never
        was; and the minute since which that is known."""
        if self.began is None:
            return None, now_minute
        self._settle(now_minute)
        at = bisect_left(self._old, -usd + 1) - 1  # the latest hour whose highest is at least `usd`
        return (self._old_hours[at] * HOUR_MINUTES if at >= 0 else None), self.began

    def forget(self, before_minute: int) -> None:
        """Lets go of hours that no rule asks for."""
        keep = next((at for at, hour in enumerate(self._old_hours) if hour * HOUR_MINUTES >= before_minute), None)
        at = len(self._old_hours) if keep is None else keep
        del self._old[:at], self._old_hours[:at]
        if self.began is not None and self.began < before_minute:
            self.began = before_minute

    def _settle(self, now_minute: int) -> None:
        while self._hours and (self._hours[0][0] + 1) * HOUR_MINUTES <= now_minute - self.span:
            hour, usd = self._hours.popleft()
            while self._old and -self._old[-1] <= usd:
                self._old.pop()
                self._old_hours.pop()
            self._old.append(-usd)
            self._old_hours.append(hour)
