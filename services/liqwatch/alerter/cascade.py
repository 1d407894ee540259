"""Recognises a cascade of one side: prices fall, liquidations swell, prices fall further. One event at a time. Pure.

Two things have to come together: the side's liquidations of 5 minutes are many times what 5 minutes normally bring,
and the index of BTC and ETH stands clearly below its high of the last 15 minutes (above its low, for shorts). Every
further fall that liquidations paid for is a leg: the legs say how far the chain has gone.
"""

import math
from dataclasses import dataclass, field

SLOT_MS, SLOTS = 5_000, 60  # the 5 minutes
HIGH_MS, HIGHS = 30_000, 30  # the 15 minutes
QUIET_MS = 1_800_000  # without the condition for so long, it is over
LATE_MS = 60_000  # what comes later than that is left out, and counted
CHAIN_QUIET_MS = 900_000  # a chain of legs ends after so long without one
TIMES = 60.0  # times a normal 5 minutes
LEG_FALL = 0.005
LEG_TIMES = 20.0  # a leg takes so many times a normal 5 minutes
_DAY_MINUTES = 1440.0
_AT_MOST = 20.0  # a minute counts as so many normal ones
_ROUNDING = 1e-9  # one rounding error of a logarithm must not decide
MICRO = 1_000_000


@dataclass(frozen=True, slots=True)
class Knobs:
    """When it is one. `falls`: shares of the index, for the first word and for the alert."""

    times: float = TIMES
    falls: tuple[float, float] = (0.010, 0.015)
    legs: tuple[int, ...] = (3, 6, 12)
    normal_minute: float = 30_000.0  # USD a minute and side: normal is never taken for less
    late_ms: int = LATE_MS


@dataclass(slots=True)
class Episode:
    """One cascade, from its beginning to its end. USD in micro-dollars, falls as shares."""

    started_ms: int
    top: float  # logarithm of the index before the fall
    usd: int  # of it, with the 5 minutes that began it
    normal: float  # USD a second, when it began
    low: float = 0.0
    orders: int = 0
    largest: int = 0
    peak: int = 0  # most in 5 minutes
    peak_ms: int = 0
    alert: bool = False
    legs: int = 0
    ended_ms: int | None = None
    # As it stood when the latest stage was reached: 5 minutes, times the normal, fall from the high.
    stage: int = 0
    stage_five: int = 0
    stage_times: float = 0.0
    stage_fall: float = 0.0
    # The leg that reached it: what it took and how far the index went, both since the leg before.
    leg_usd: int = 0
    leg_times: float = 0.0
    leg_fall: float = 0.0

    @property
    def fall(self) -> float:
        """How far the index has gone, at most."""
        return 1 - math.exp(self.low - self.top)


@dataclass(slots=True)
class Cascade:
    """The detector of one side. Times in milliseconds, of the events; the clock is the largest that was seen."""

    side: str
    knobs: Knobs = field(default_factory=Knobs)
    now_ms: int = 0
    late: int = 0
    episode: Episode | None = None
    last: Episode | None = None  # the latest that is over
    five: int = 0  # micro-dollars of the last 5 minutes
    _rate: float = -1.0  # USD a second of a normal minute; below zero: nothing is known
    _minute: int = -1
    _in_minute: int = 0
    _slots: list[int] = field(default_factory=lambda: [0] * SLOTS)
    _slot: int = -1
    _highs: list[float] = field(default_factory=lambda: [-math.inf] * HIGHS)
    _high_slot: int = -1
    _x: float = 0.0
    _priced_ms: int = -HIGH_MS * HIGHS
    _hot_ms: int = -QUIET_MS
    _legs: int = 0
    _leg_usd: int = 0
    _leg_x: float = 0.0
    _leg_ms: int = -CHAIN_QUIET_MS - 1
    _leg: tuple[int, float] = (0, 0.0)  # the latest: micro-dollars, fall

    @property
    def stage(self) -> int:
        """0 none, 1 begun, 2 alert, then one more for each number of legs in the knobs."""
        episode = self.episode
        if episode is None:
            return 0
        if not episode.alert:
            return 1
        return 2 + sum(1 for legs in self.knobs.legs if episode.legs >= legs)

    @property
    def normal(self) -> float:
        """USD of a normal second."""
        return max(self._rate, self.knobs.normal_minute / 60)

    @property
    def times_normal(self) -> float:
        """The last 5 minutes against normal ones."""
        return self.five / MICRO / (300 * self.normal)

    def learn(self, minute: int, usd: float) -> None:
        """A minute that was over before the first event: for a start in the middle of the day."""
        if self._minute < minute:
            self._fade(minute - self._minute - 1 if self._minute >= 0 else 0)
            self._weigh(usd)
            self._minute = minute
            self._in_minute = 0

    def price(self, at_ms: int, index: float) -> None:
        """Logarithm of the index. Prices of fills or marks; bankruptcy prices are ahead of the market."""
        x = index if self.side == "long" else -index
        at_ms = max(at_ms, self.now_ms)
        if at_ms - self._priced_ms >= HIGH_MS * HIGHS:  # a price of long ago says nothing of a high
            self._highs = [-math.inf] * HIGHS
            self._high_slot = at_ms // HIGH_MS
        else:
            self._carry(at_ms)
        place = self._high_slot % HIGHS
        self._highs[place] = max(self._highs[place], x)
        self._x, self._priced_ms = x, at_ms

    def tick(self, now_ms: int) -> None:
        """Time has passed: minutes end, and a cascade that has been quiet for half an hour is over."""
        self.now_ms = max(self.now_ms, now_ms)
        self._advance(self.now_ms)
        if self.episode is not None and self.now_ms - self._hot_ms > QUIET_MS:
            self.episode.ended_ms = self.now_ms
            self.last, self.episode = self.episode, None

    def liquidation(self, at_ms: int, usd: int, orders: int = 1) -> None:
        """Micro-dollars of this side. An event up to a minute late counts as of now."""
        if usd <= 0:
            return
        if self.now_ms - at_ms > self.knobs.late_ms:
            self.late += 1
            return
        self.tick(at_ms)
        self._in_minute += usd
        self.five += usd
        self._slots[self._slot % SLOTS] += usd
        if self.now_ms - self._priced_ms >= HIGH_MS * HIGHS:
            return  # no price to compare: the sums go on
        normal = self.normal
        leg = self._is_leg(usd, normal)
        episode = self.episode
        if episode is not None:
            episode.usd += usd
            episode.orders += orders
            episode.low = min(episode.low, self._x)
            episode.largest = max(episode.largest, usd if orders == 1 else 0)
            if self.five > episode.peak:
                episode.peak, episode.peak_ms = self.five, self.now_ms
            if leg:
                episode.legs = self._legs
                episode.leg_usd, episode.leg_fall = self._leg
                episode.leg_times = episode.leg_usd / MICRO / (300 * normal)
        is_much = self.five >= self.knobs.times * 300 * normal * MICRO
        if not is_much and not leg:
            return  # nearly always
        top = self._high()
        fall = top - self._x if top is not None else 0.0
        if not is_much or top is None or fall < self.knobs.falls[0] - _ROUNDING:
            self._note_stage(fall)
            return
        self._hot_ms = self.now_ms
        if episode is None:
            episode = self.episode = Episode(
                self.now_ms, top, self.five, normal, self._x, orders, usd, self.five, self.now_ms, legs=self._legs
            )
        episode.alert = episode.alert or fall >= self.knobs.falls[1] - _ROUNDING
        self._note_stage(fall)

    def fall(self) -> float | None:
        """How far the index stands below its high of 15 minutes; None without a fresh price."""
        top = self._high()
        return None if top is None else 1 - math.exp(self._x - top)

    def _note_stage(self, fall: float) -> None:
        episode = self.episode
        if episode is not None and (stage := self.stage) > episode.stage:
            episode.stage, episode.stage_five = stage, self.five
            episode.stage_times, episode.stage_fall = self.times_normal, 1 - math.exp(-fall)

    def _advance(self, at_ms: int) -> None:
        minute = at_ms // 60_000
        if self._minute < 0:
            self._minute = minute
        elif minute > self._minute:
            self._weigh(self._in_minute / MICRO)
            self._fade(minute - self._minute - 1)
            self._minute, self._in_minute = minute, 0
        slot = at_ms // SLOT_MS
        if slot > self._slot:
            if slot - self._slot >= SLOTS:
                self._slots = [0] * SLOTS
            else:
                for old in range(self._slot + 1, slot + 1):
                    self._slots[old % SLOTS] = 0
            self._slot = slot
            self.five = sum(self._slots)

    def _weigh(self, usd: float) -> None:
        if self._rate < 0:
            self._rate = self.knobs.normal_minute / 60
        counted = min(usd, _AT_MOST * 60 * self.normal)
        self._rate += (counted / 60 - self._rate) / _DAY_MINUTES

    def _fade(self, minutes: int) -> None:
        if minutes > 0 and self._rate > 0:
            self._rate *= math.exp(-minutes / _DAY_MINUTES)

    def _carry(self, at_ms: int) -> None:
        """Half minutes without a price had the last one."""
        place = at_ms // HIGH_MS
        for skipped in range(self._high_slot + 1, place + 1):
            self._highs[skipped % HIGHS] = self._x
        self._high_slot = max(self._high_slot, place)

    def _high(self) -> float | None:
        if self.now_ms - self._priced_ms >= HIGH_MS * HIGHS:
            return None
        if self.now_ms // HIGH_MS > self._high_slot:
            self._carry(self.now_ms)
        return max(self._x, *self._highs)

    def _is_leg(self, usd: int, normal: float) -> bool:
        if self.now_ms - self._leg_ms > CHAIN_QUIET_MS:
            top = self._high()
            self._legs, self._leg_usd, self._leg_ms = 0, 0, self.now_ms
            self._leg_x = self._x if top is None else top
        self._leg_usd += usd
        enough = self._leg_usd >= LEG_TIMES * 300 * normal * MICRO
        if not enough or self._x > self._leg_x - LEG_FALL + _ROUNDING:
            return False
        self._legs += 1
        self._leg = self._leg_usd, 1 - math.exp(self._x - self._leg_x)
        self._leg_x, self._leg_usd, self._leg_ms = self._x, 0, self.now_ms
        return True
