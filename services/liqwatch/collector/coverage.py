"""Since when a venue is watched without a break: intervals for the coverage topic, and the gaps between them."""

import uuid
from collections.abc import Callable

from ..clock import Clock
from ..events import Coverage
from ..venues.base import Venue

_JUMP_MS = 10_000  # a clock that ran ahead of the monotonic one by more: the machine slept


class CoverageTracker:
    """`begin` when all sockets of the venue are alive, `end` when no more; `tick` lets the interval grow."""

    def __init__(
        self,
        venue: Venue,
        collector: str,
        clock: Clock,
        send: Callable[[Coverage], None],
        gap: Callable[[float], None],
        monotonic: Callable[[], float],
    ) -> None:
        self._venue, self._collector, self._clock = venue, collector, clock
        self._send, self._gap, self._monotonic = send, gap, monotonic
        self._feeds = tuple(feed.name for feed in venue.feeds)
        self._interval: str | None = None
        self._from_ms = 0
        self._seen_ms = clock.now_ms()  # up to here the time is accounted for, as watched or as a gap
        self._seen_at = monotonic()
        self._watched_at = 0.0

    @property
    def watching(self) -> bool:
        return self._interval is not None

    @property
    def watched_for(self) -> float:
        """Real seconds since the interval began; 0 where there is none."""
        return self._monotonic() - self._watched_at if self.watching else 0.0

    def begin(self) -> None:
        """Every socket of the venue is acknowledged and alive from now on."""
        if self.watching:
            return
        self._account()
        self._interval = f"{self._collector}:{self._venue.name}:{uuid.uuid4().hex[:12]}"
        self._from_ms, self._watched_at = self._seen_ms, self._monotonic()
        self._say(self._from_ms, open_=True)

    def end(self, by: str, alive_until_ms: int | None = None) -> None:
        """A socket is gone, and was last known to deliver at `alive_until_ms`."""
        self._account()  # a clock that jumped ends the interval by itself
        if self.watching:
            self._finish(by, self._seen_ms if alive_until_ms is None else alive_until_ms)

    def tick(self, *, write: bool) -> None:
        """Accounts for the time since the last tick; with `write` the interval is written again as it stands."""
        self._account()
        if write and self.watching:
            self._say(self._seen_ms, open_=True)

    def _account(self) -> None:
        now_ms, at = self._clock.now_ms(), self._monotonic()
        expected = (at - self._seen_at) * 1000 * self._clock.speed
        passed = now_ms - self._seen_ms
        if self.watching and passed > expected + _JUMP_MS * self._clock.speed:
            # The machine slept, or its clock was set: nobody can say that this time was watched.
            until = self._seen_ms
            self._seen_ms = now_ms
            self._finish("collector: the clock jumped ahead", until)
        elif not self.watching:
            self._gap(max(0, passed) / 1000)
        self._seen_ms, self._seen_at = max(now_ms, self._from_ms), at

    def _finish(self, by: str, until_ms: int) -> None:
        until_ms = min(max(until_ms, self._from_ms), self._seen_ms)
        self._gap((self._seen_ms - until_ms) / 1000)
        self._say(until_ms, open_=False, by=by)
        self._interval = None

    def _say(self, to_ms: int, *, open_: bool, by: str | None = None) -> None:
        assert self._interval is not None  # noqa: S101 - the callers looked
        self._send(
            Coverage(
                venue=self._venue.name,
                collector=self._collector,
                interval_id=self._interval,
                kind="watched",
                from_ms=self._from_ms,
                to_ms=max(to_ms, self._from_ms),
                open=open_,
                completeness=self._venue.completeness,
                feeds=self._feeds,
                ended_by=by,
            )
        )
