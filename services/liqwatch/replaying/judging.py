"""Asks each rule when its answer may have changed: after an event that it looks at, and as time passes. Pure."""

from collections.abc import Callable, Collection, Sequence
from typing import NamedTuple

from ..aggregator.window import RollingTotals
from ..alerter.measures import Measured, Measures
from ..alerter.rules import NOTHING, Memory, judge
from ..rulesettings import RuleSettings
from ..wire import Liquidation
from .figures import Figures
from .incidents import Incidents
from .pairs import Pair, Pairs
from .past import NoFeeds, Past

_NEVER = 1 << 62


class _Known(NamedTuple):
    """What is remembered of a pair, and how long there is nothing to ask it."""

    memory: Memory
    due_ms: int  # when the passing of time alone may make the rule speak
    calm: tuple[int, int] | None  # the open incident of a plain level: between which totals it says nothing till then


class RulesOnThePast:
    """Every verdict is told to `incidents`. `window` is the services' own with all that has come, at the clock."""

    def __init__(
        self, rules: Sequence[RuleSettings], window: Callable[[int], RollingTotals], majors: Collection[str]
    ) -> None:
        self._past = Past(rules, majors)
        self._stages = self._past.stages()
        self._figures = Figures(rules, window, majors)
        self._measures = Measures(self._figures.money, self._figures.scopes, NoFeeds(), self._past)
        self._pairs = Pairs(rules, self._figures, majors)
        self.incidents = Incidents(self._figures, self._measures)
        self._known: dict[Pair, _Known] = {}  # where there is something to know
        self._soonest_ms = 0  # that anything is due

    def pass_time(self, now_ms: int) -> None:
        """Judges what waits for time to pass (holds, open incidents), once the clock has moved and before an event."""
        second = self._figures.second
        self._figures.pass_time(now_ms)
        if self._figures.second != second:
            self._past.pass_time(now_ms)
        elif now_ms < self._soonest_ms:
            return
        for pair, known in list(self._known.items()):
            if not self._is_calm(pair, known, now_ms):
                self._judge(pair, now_ms)
        due = [at for _, at, _ in self._known.values() if at > now_ms]
        self._soonest_ms = min(due, default=now_ms + 1000)

    def look(self, event: Liquidation, amount: int, now_ms: int) -> None:
        """Judges what `event` of so many micro-dollars has changed."""
        self._past.take(event, amount)
        now, second = self._figures.second, event.event_time_ms // 1000
        totals, pairs = self._pairs.of(event)
        for rolling in totals:
            if rolling.now != now:
                rolling.move(now)
            rolling.add(second, amount)
        for pair in pairs:
            if pair.orders is not None:
                may_speak = pair.orders.add(second, amount)
            elif (known := self._known.get(pair)) is not None:
                may_speak = not self._is_calm(pair, known, now_ms)
            else:
                may_speak = pair.total.usd(now) >= pair.least
            if may_speak:
                self._judge(pair, now_ms)
        if self._pairs.cascades and (stages := self._past.stages()) != self._stages:
            self._stages = stages
            for pair in self._pairs.cascades:
                self._judge(pair, now_ms)

    def _is_calm(self, pair: Pair, known: _Known, now_ms: int) -> bool:
        """Whether `judge` would say nothing and remember nothing: most events of a crash, and most seconds."""
        if known.calm is None or now_ms >= known.due_ms:
            return False
        clear, following = known.calm
        usd = pair.total.usd(self._figures.second)
        if not clear <= usd < following:
            return False
        self.incidents.reach(pair, usd, now_ms)
        return True

    def _judge(self, pair: Pair, now_ms: int) -> None:
        known = self._known.get(pair)
        before = NOTHING if known is None else known.memory
        is_open = before.told is not None
        measured = self._measured(pair, is_open, now_ms)
        if measured is None:
            return
        verdict, after = judge(pair.rule, measured.value, before, now_ms, measured.yardstick)
        if after is not before:
            self._remember(pair, after, now_ms)
        if is_open:
            self.incidents.reach(pair, measured.usd, now_ms)
        if verdict is not None:
            self.incidents.tell(pair, verdict, measured.usd, now_ms)

    def _measured(self, pair: Pair, is_open: bool, now_ms: int) -> Measured | None:
        if pair.is_plain:
            usd = pair.total.usd(self._figures.second)
        elif pair.orders is not None:
            usd = pair.orders.largest(self._figures.second)
        else:
            return self._measures.take(pair.rule, pair.scope, is_open, now_ms)
        return Measured(usd, usd)

    def _remember(self, pair: Pair, memory: Memory, now_ms: int) -> None:
        self._known.pop(pair, None)  # what is new comes last: so they are asked as time passes
        if memory == NOTHING:
            return
        ladder, due_ms = pair.rule.ladder, _due_ms(pair.rule, memory, now_ms)
        calm = None
        if pair.is_plain and memory.told is not None and memory.below_since_ms is None:
            following = (least for least, step in ladder.steps if step > memory.told)
            calm = ladder.clear, min(following, default=_NEVER)
        self._known[pair] = _Known(memory, due_ms, calm)
        self._soonest_ms = min(self._soonest_ms, due_ms)


def _due_ms(rule: RuleSettings, memory: Memory, now_ms: int) -> int:
    """When the first hold or reminder ends."""
    ladder = rule.ladder
    due = [
        since + span
        for since, span in (
            (memory.above_since_ms, ladder.hold_ms),
            (memory.below_since_ms, ladder.clear_hold_ms),
            (memory.told_ms if memory.told is not None else None, ladder.repeat_ms),
        )
        if since is not None and span is not None
    ]
    return min((at for at in due if at > now_ms), default=_NEVER)
