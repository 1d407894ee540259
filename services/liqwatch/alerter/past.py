"""Reads what rules need of the past: bars for what is normal and for records, single liquidations for cascades."""

import asyncio
from collections.abc import Callable, Collection, Coroutine, Iterable

import structlog

from ..clock import Clock
from ..coverage import newest
from ..eventlog import Record, Start, since
from ..following import Follower, values
from ..relative import PAST_DAYS
from ..rulesettings import RuleSettings
from ..topics import BARS, COVERAGE, LIQUIDATIONS, PRICES, Topic
from .cascade import Cascade
from .history import MINUTE_MS, History
from .minutes import asks_the_past
from .tape import BACK_MS, Tape
from .watchedpast import DAY_MS, HOUR_MS, WatchedPast

log_ = structlog.get_logger("alerter")
# The topic, where to begin, who takes a record, and what is called after each fetch.
Follow = Callable[[Topic, Callable[[], Start], Callable[[Record], None], Callable[[int], None]], Follower]


class PastReader:
    """Follows only the topics that a rule asks for, anew with other rules. `on_change`: other answers."""

    def __init__(
        self,
        follow: Follow,
        clock: Clock,
        rules: Iterable[RuleSettings],
        majors: Collection[str],
        on_change: Callable[[], None],
    ) -> None:
        self._follow = follow
        self._clock = clock
        self._on_change = on_change
        self._changed = asyncio.Event()
        self._needs: object = None
        self._stages: tuple[int, ...] = ()
        self.history: History | None = None
        self._tape: Tape | None = None
        self._watched: WatchedPast | None = None
        self.use(rules, majors)

    def use(self, rules: Iterable[RuleSettings], majors: Collection[str]) -> None:
        """Other rules. What is known stays where it is all that they need."""
        asking = [rule for rule in rules if asks_the_past(rule)]
        needs = ([(rule.name, *_needs(rule)) for rule in asking], list(majors))
        if needs == self._needs:
            return
        self._needs = needs
        self.history = History(asking, majors, self._clock.speed) if asking else None
        self._tape = Tape(asking, self._clock.speed) if any(rule.kind == "cascade" for rule in asking) else None
        compares = any(rule.kind == "record" or rule.is_relative for rule in asking)
        self._watched = WatchedPast(self._clock.speed) if compares else None
        self._changed.set()

    def hours(self, scope: str, span_ms: int, now_ms: int) -> Collection[int]:
        """Hours that were watched well enough to compare with; none while that is still being read."""
        return (self._watched and self._watched.hours(scope, span_ms, now_ms)) or ()

    def whole_days(self, scope: str, days: int, now_ms: int) -> int | None:
        """How many of the last days are known to be watched in full; None while that is still being read."""
        return None if self._watched is None else self._watched.whole_days(scope, days, now_ms)

    def cascade(self, rule: str) -> Cascade | None:
        """The detector of a rule; None while it does not know enough."""
        tape = self._tape
        return tape.cascades.get(rule) if tape is not None and tape.begun else None

    async def run(self) -> None:
        """Reads until cancelled."""
        while True:
            self._changed.clear()
            tasks = [asyncio.create_task(reading, name="past") for reading in self._readings()]
            changed = asyncio.create_task(self._changed.wait(), name="past")
            try:
                done, _ = await asyncio.wait([*tasks, changed], return_when=asyncio.FIRST_COMPLETED)
                for task in done - {changed}:
                    task.result()  # raises: a reading does not end by itself
            finally:
                for task in (*tasks, changed):
                    task.cancel()
                await asyncio.wait([*tasks, changed], timeout=1)

    def _readings(self) -> list[Coroutine[None, None, None]]:
        history, tape, follow, now_ms = self.history, self._tape, self._follow, self._clock.now_ms
        readings: list[Coroutine[None, None, None]] = []
        if history is not None:
            began_ms, needs_ms = now_ms(), history.needs * MINUTE_MS

            def settle(_: int) -> None:
                was_ready = history.ready
                history.settle(now_ms(), () if bars.caught_up else bars.behind())
                if history.ready and not was_ready:
                    self._on_change()  # what could not be said until now

            take_bar = values(lambda value: history.take(value, began_ms))
            bars = follow(BARS, lambda: since(began_ms - needs_ms), take_bar, settle)
            readings.append(bars.run())
        if (watched := self._watched) is not None:
            forgot_ms = now_ms()

            def seen(_: int) -> None:
                nonlocal forgot_ms
                if abs(now_ms() - forgot_ms) >= HOUR_MS:
                    forgot_ms = now_ms()
                    watched.forget(forgot_ms)
                if coverage.caught_up and not watched.caught_up:
                    watched.caught_up = True
                    self._on_change()

            reach = since(now_ms() - (PAST_DAYS + 1) * DAY_MS)
            coverage = follow(COVERAGE, lambda: reach, values(watched.take), seen)
            coverage.thin = newest  # a month of it: an interval is written anew every few seconds
            readings.append(coverage.run())
        if tape is not None and history is not None:

            def told(_: int) -> None:
                if not tape.begun and events.caught_up and history.ready:
                    tape.begin(history)
                    log_.info("watching for cascades", rules=list(tape.cascades))
                self._tick(tape)

            start = since(now_ms() - BACK_MS)
            events = follow(LIQUIDATIONS, lambda: start, values(lambda value: tape.take(value, now_ms())), told)
            prices = follow(PRICES, lambda: start, values(lambda value: tape.take_price(value, now_ms())), _nothing)
            readings += [events.run(), prices.run()]
        return readings

    def _tick(self, tape: Tape) -> None:
        tape.tick(self._clock.now_ms())
        stages = tuple(cascade.stage for cascade in tape.cascades.values())
        if stages != self._stages:
            self._stages = stages
            self._on_change()


def _needs(rule: RuleSettings) -> tuple[object, ...]:
    """Everything of a rule that the past is kept by; not its words, steps and targets."""
    own: tuple[object, ...] = (*rule.days[-1:], rule.is_relative)
    if rule.kind == "cascade":
        own = (rule.times, rule.falls, rule.legs, rule.normal)
    return (rule.kind, rule.scope, rule.side, rule.window, own)


def _nothing(_: int) -> None:
    return None
