"""The rules on the past: the same memory, figures and judgement as the alerter's, asked when an answer may change."""

import sys
from collections import Counter, deque
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, NamedTuple

from .aggregator.window import RollingTotals
from .alerter.cascade import Cascade
from .alerter.figures import added
from .alerter.history import MINUTE_MS, History
from .alerter.measures import Measured, Measures
from .alerter.minutes import Row, asks_the_past
from .alerter.rules import Memory, Verdict, judge
from .alerter.stories import story
from .alerter.tape import Tape
from .alerter.text import Snapshot, compose, moment
from .coins import coin_class
from .events import SIDES, LargestRecord, plain
from .peaks import Rolling
from .routes import is_part
from .rulesettings import MICRO, RuleSettings
from .totals import Sum
from .wire import LargestRecord as WireLargest
from .wire import Liquidation, usd_text

_NOTHING_KNOWN = Memory()
_NEVER = 1 << 62
_OF_TOTALS = ("level", "surge", "record")  # the kinds of rules that every event asks for a total
Key = tuple[int, str]  # rule, scope


class Past:
    """What the bars and the single liquidations say in a running alerter, from the events of the files."""

    def __init__(self, rules: Iterable[RuleSettings], majors: Collection[str]) -> None:
        rules = list(rules)
        self._is_needed = any(asks_the_past(rule) for rule in rules)
        self._history = History(rules, majors)
        self._history.ready = True
        self.tape = Tape(rules)
        self.tape.begun = True
        self._minutes: dict[int, dict[tuple[str, str], list[int]]] = {}
        self._settled = 0

    @property
    def history(self) -> History:
        return self._history

    def cascade(self, rule: str) -> Cascade | None:
        """The detector of a rule."""
        return self.tape.cascades.get(rule)

    def hours(self, scope: str, span_ms: int, now_ms: int) -> range:
        """A file says nothing of what was watched: every hour since it begins is compared with."""
        return range(now_ms // (60 * MINUTE_MS))

    def whole_days(self, scope: str, days: int, now_ms: int) -> None:
        """Not known, and not told."""

    def stages(self) -> list[int]:
        """Where the cascades stand."""
        return [cascade.stage for cascade in self.tape.cascades.values()]

    def pass_time(self, now_ms: int) -> None:
        """The clock has moved to another second."""
        if not self._is_needed:
            return
        self.tape.tick(now_ms)
        if (minute := now_ms // MINUTE_MS) != self._settled:
            self._settled = minute
            for number in sorted(self._minutes):
                if number < minute - 1:
                    rows = self._minutes.pop(number).items()
                    self._history.add(number, (Row(*where, *usd) for where, usd in rows))
            self._history.settle(now_ms)

    def take(self, event: Liquidation, amount: int) -> None:
        """An event that was counted."""
        if self._is_needed:
            minute = self._minutes.setdefault(event.event_time_ms // MINUTE_MS, {})
            usd = minute.setdefault((event.venue, event.base), [0, 0])
            usd[event.side == "short"] += amount
            if event.price_kind == "fill":
                self.tape.fill(event.base, event.price, event.event_time_ms)
            self.tape.count(event.side, amount, event.event_time_ms)


class NoFeeds:
    """A file of liquidations does not say what was watched."""

    def unwatched_ms(self, scope: str, now_ms: int) -> int:
        return 0

    def watched(self, scope: str, span_ms: int, now_ms: int) -> float | None:
        return None

    def watched_mean(self, scope: str, span_ms: int, now_ms: int) -> float | None:
        return None

    def interrupted(self, scope: str, span_ms: int, now_ms: int) -> tuple[str, ...]:
        return ()


class _Plan(NamedTuple):
    """What an event of one venue, coin and side has to do with the rules."""

    totals: tuple[Rolling, ...]  # that it belongs to
    judged: tuple[tuple[Key, bool, int], ...]  # whether by orders; the total under which nothing quiet is said of


class RulesOnThePast:
    """Every verdict in `alerts`, and as a line for people in `timeline`.

    The totals that rules are judged by are kept up here, event by event. `window` is the services' own with all that
    has come, at the clock: it is asked for what only a message tells.
    """

    def __init__(
        self, rules: Sequence[RuleSettings], window: Callable[[int], RollingTotals], majors: Collection[str]
    ) -> None:
        self.rules = rules
        self.alerts: list[dict[str, Any]] = []
        self.timeline: list[str] = []
        self.memories: dict[Key, Memory] = {}  # where there is something to know
        self._majors = majors
        self._past = Past(rules, majors)
        self._measures = Measures(partial(self._sum, largest=False), self._scopes, NoFeeds(), self._past)
        self._stages = self._past.stages()
        self._cascades = [number for number, rule in enumerate(rules) if rule.kind == "cascade"]
        self._is_plain = [rule.kind == "level" and rule.share is None and not rule.is_relative for rule in rules]
        self._spans = [rule.ladder.span_ms // 1000 for rule in rules]
        self._window = window
        self._windows = {rule.ladder.window: rule.ladder.span_ms // 1000 for rule in rules if rule.kind in _OF_TOTALS}
        self._places = {name: place for place, name in enumerate(self._windows)}
        self._rolling: dict[str, tuple[Rolling, Rolling]] = {}  # by scope: long, short
        self._parts: dict[
            Key, tuple[int, tuple[Rolling, ...]]
        ] = {}  # of what a rule is judged by, and its place in them
        self._plans: dict[tuple[str, str, str], _Plan] = {}  # by venue, base, side
        self._clock = self._second = 0
        self._due: dict[Key, int] = {}  # when the passing of time alone may make a rule speak
        self._soonest = 0
        # Open incidents of plain levels: between which totals, and until when, there is nothing to say.
        self._calm: dict[Key, tuple[int, int, int]] = {}
        self._opened: dict[Key, tuple[int, int, int]] = {}  # when, peak, peak's time
        self._orders: dict[Key, deque[tuple[int, int]]] = {}  # second, micro-dollars: the largest first
        self._told: set[Key] = set()  # open, and somebody knows
        self._messages: Counter[str] = Counter()  # by rule
        # What holds others back is judged first, as in the alerter.
        self._order = sorted(range(len(rules)), key=lambda number: bool(rules[number].held_back_by))
        for rule in rules:
            if rule.kind == "feed":
                print(f"rule {rule.name}: not judged, liquidations do not say what was watched", file=sys.stderr)

    def pass_time(self, now_ms: int) -> None:
        """Judges what waits for time to pass (holds, open incidents), once the clock has moved and before an event."""
        self._clock, second = now_ms, now_ms // 1000
        if second == self._second and now_ms < self._soonest:
            return
        if second != self._second:
            self._second = second
            self._past.pass_time(now_ms)
        for key in list(self.memories):
            if not self._is_calm(key, now_ms):
                self._judge(key, now_ms)
        self._soonest = min((at for at in self._due.values() if at > now_ms), default=now_ms + 1000)

    def look(self, event: Liquidation, amount: int, now_ms: int) -> None:
        """Judges what `event` of so many micro-dollars has changed."""
        self._past.take(event, amount)
        second = event.event_time_ms // 1000
        plan = self._plans.get((event.venue, event.base, event.side)) or self._plan(event)
        now, memories = self._second, self.memories
        for rolling in plan.totals:
            if rolling.now != now:
                rolling.move(now)
            rolling.add(second, amount)
        for key, by_orders, least in plan.judged:
            if by_orders:
                self._look_at_order(key, second, amount, now_ms)
            elif (not self._is_calm(key, now_ms)) if key in memories else self._total(key) >= least:
                self._judge(key, now_ms)
        if self._cascades and (stages := self._past.stages()) != self._stages:
            self._stages = stages
            for number in self._cascades:
                self._judge((number, "all"), now_ms)

    def _plan(self, event: Liquidation) -> _Plan:
        """For this event and all others of its venue, coin and side."""
        totals: dict[str, Rolling] = {}
        judged: list[tuple[Key, bool, int]] = []
        for number in self._order:
            rule = self.rules[number]
            scope = scope_of(rule, event, self._majors)
            if scope is None:
                continue
            if rule.kind in _OF_TOTALS:
                totals[scope] = self._rolling_of(scope)[event.side == "short"]
            if rule.side in ("both", event.side):
                judged.append(((number, scope), rule.kind == "order", _least(rule)))
        plan = self._plans[event.venue, event.base, event.side] = _Plan(tuple(totals.values()), tuple(judged))
        return plan

    def _rolling_of(self, scope: str) -> tuple[Rolling, Rolling]:
        """Made at the first event of the scope: it misses none."""
        known = self._rolling.get(scope)
        if known is None:
            spans = list(self._windows.values())
            known = self._rolling[scope] = Rolling(spans), Rolling(spans)
        return known

    def _look_at_order(self, key: Key, second: int, amount: int, now_ms: int) -> None:
        if amount >= self.rules[key[0]].ladder.clear:
            orders = self._orders.setdefault(key, deque())
            while orders and orders[-1][1] <= amount and orders[-1][0] <= second:
                orders.pop()
            orders.append((second, amount))
            self._judge(key, now_ms)

    def _largest_order(self, key: Key) -> int:
        """Of those that keep an incident open: of smaller ones there is nothing to say."""
        orders, after = self._orders.get(key, deque()), self._second - self._spans[key[0]]
        while orders and orders[0][0] <= after:
            orders.popleft()
        return max((usd for second, usd in orders if second > after), default=0)

    def _total(self, key: Key) -> int:
        parts = self._parts.get(key)
        if parts is None:
            number, scope = key
            side, window = self.rules[number].side, self.rules[number].ladder.window
            both = self._rolling_of(scope)
            place = self._places[window]
            parts = self._parts[key] = place, both if side == "both" else (both[SIDES.index(side)],)
        place, totals = parts
        now, usd = self._second, 0
        for rolling in totals:
            if rolling.now != now:
                rolling.move(now)
            usd += rolling.totals[place]
        return usd

    def _usd(self, window: str, scope: str) -> tuple[int, int]:
        """Long and short, in micro-dollars."""
        place, known = self._places.get(window), self._rolling.get(scope)
        if place is None or known is None:
            totals = self._window(self._clock)
            long, short = (totals.usd(0, scope, side, window) for side in SIDES)
            return long, short
        for rolling in known:
            rolling.move(self._second)
        return known[0].totals[place], known[1].totals[place]

    def _is_calm(self, key: Key, now_ms: int) -> bool:
        """Whether `judge` would say nothing and remember nothing: most events of a crash, and most seconds."""
        calm = self._calm.get(key)
        if calm is None:
            return False
        clear, following, due_ms = calm
        usd = self._total(key)
        if not clear <= usd < following or now_ms >= due_ms:
            return False
        opened_ms, peak, _ = self._opened[key]
        if usd > peak:
            self._opened[key] = (opened_ms, usd, now_ms)
        return True

    def _judge(self, key: Key, now_ms: int) -> None:
        number, scope = key
        rule = self.rules[number]
        known = self.memories.get(key, _NOTHING_KNOWN)
        measured: Measured | None
        if self._is_plain[number]:
            usd = self._total(key)
            measured = Measured(usd, usd)
        elif rule.kind == "order":
            usd = self._largest_order(key)
            measured = Measured(usd, usd)
        else:
            measured = self._measures.take(rule, scope, known.told is not None, now_ms)
            if measured is None:
                return
        verdict, memory = judge(rule, measured.value, known, now_ms, measured.yardstick)
        if memory is not known:
            for kept in (self._due, self.memories, self._calm):
                kept.pop(key, None)
            if memory != _NOTHING_KNOWN:
                self.memories[key] = memory
                due = self._due[key] = _due_ms(rule, memory, now_ms)
                self._soonest = min(self._soonest, due)
                if self._is_plain[number] and memory.told is not None and memory.below_since_ms is None:
                    more = (least for least, step in rule.ladder.steps if step > memory.told)
                    self._calm[key] = rule.ladder.clear, min(more, default=_NEVER), due
        if key in self._opened and measured.usd > self._opened[key][1]:
            self._opened[key] = (self._opened[key][0], measured.usd, now_ms)
        if verdict is not None:
            self._tell(key, verdict, measured.usd, now_ms)

    def _tell(self, key: Key, verdict: Verdict, usd: int, now_ms: int) -> None:
        number, scope = key
        rule = self.rules[number]
        self.alerts.append(
            {
                "rule": rule.name,
                "scope": scope,
                "kind": verdict.kind,
                "at_ms": now_ms,
                "usd": usd_text(usd),
                "threshold": plain(verdict.threshold),
            }
        )
        if verdict.kind == "fired":
            self._opened[key] = (now_ms, usd, now_ms)
        opened_ms, peak, peak_ms = self._opened.get(key, (now_ms, usd, now_ms))
        total = self._sum(rule.ladder.window, scope)
        largest = total.largest(rule.side)
        snapshot = Snapshot(
            verdict.kind, scope, rule.side, rule.ladder.window, now_ms, verdict.threshold, total.long, total.short,
            total.long_count + total.short_count, largest=_largest(largest), opened_ms=opened_ms, peak=peak,
            peak_at_ms=peak_ms,
        )  # fmt: skip
        facts = replace(self._measures.facts(rule, scope, usd, now_ms), yardstick=verdict.yardstick)
        headline = compose(snapshot, story(rule, snapshot, facts)).headline
        line = f"{moment(now_ms)} {rule.name} [{scope}] {verdict.kind.replace('_', ' ')}: {headline}"
        if verdict.kind == "cleared":
            self._opened.pop(key, None)
            is_told = key in self._told  # whoever knows of it is told its end
            self._told.discard(key)
        else:
            is_told = not self._is_held_back(rule, scope)
            if is_told:
                self._told.add(key)
        if is_told:
            self._messages[rule.name] += 1
        self.timeline.append(line if is_told else f"{line} (told to nobody)")
        if verdict.kind == "cleared":
            self._release(now_ms)

    def _is_held_back(self, rule: RuleSettings, scope: str) -> bool:
        return bool(rule.held_back_by) and any(
            self.rules[number].name in rule.held_back_by and is_part(scope, of) for number, of in self._opened
        )

    def _release(self, now_ms: int) -> None:
        """What was held back and still lasts is told as a reminder."""
        for number, scope in [key for key in self._opened if key not in self._told]:
            rule = self.rules[number]
            if not self._is_held_back(rule, scope):
                self._told.add((number, scope))
                self._messages[rule.name] += 1
                self.timeline.append(
                    f"{moment(now_ms)} {rule.name} [{scope}] reminded: no longer held back, still open"
                )

    def summary(self) -> list[str]:
        """How many messages each target would have got."""
        if not self.alerts:
            return []
        number = self._messages.total()
        rules = ", ".join(f"{name} {count}" for name, count in sorted(self._messages.items()))
        what = "1 message" if number == 1 else f"{number} messages"
        return [f"{what} to each target: {rules}; {len(self._opened)} still open"]

    def _scopes(self, window: str, prefix: str) -> list[str]:
        found = self._window(self._clock).scopes(0)
        return [scope for scope in found if scope.startswith(prefix) and "," not in scope]

    def _sum(self, window: str, scope: str, *, largest: bool = True) -> Sum:
        if not largest and (scope in self._rolling or not scope.startswith("class=")):
            return Sum(*self._usd(window, scope))
        if scope.startswith("class="):
            parts = (one for one in self._scopes(window, "base=") if coin_class(one[5:], self._majors) == scope[6:])
            return added(self._sum(window, part, largest=largest) for part in parts)
        long_side, short_side = self._window(self._clock).totals(0, scope, window)
        return Sum(
            long_side.usd, short_side.usd, long_side.events, short_side.events,
            _record(long_side.largest), _record(short_side.largest),
        )  # fmt: skip


def scope_of(rule: RuleSettings, event: Liquidation, majors: Collection[str]) -> str | None:
    """The scope in which the rule looks at the event; None if it does not."""
    if rule.kind in ("cascade", "feed"):
        return None
    if rule.each:
        if rule.each_in is not None and coin_class(event.base, majors) != rule.each_in:
            return None
        return f"base={event.base}" if rule.each == "base=" else f"venue={event.venue}"
    if rule.scope.startswith("class="):
        return rule.scope if coin_class(event.base, majors) == rule.scope[6:] else None
    scopes = ("all", f"venue={event.venue}", f"base={event.base}", f"venue={event.venue},base={event.base}")
    return rule.scope if rule.scope in scopes else None


def _least(rule: RuleSettings) -> int:
    """Under that many micro-dollars the rule says nothing of what was quiet before."""
    return rule.ladder.first if rule.floor is None else int(rule.floor * MICRO)


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


def _record(event: Liquidation | None) -> WireLargest | None:
    if event is None:
        return None
    return WireLargest(
        event.event_id, event.venue, event.symbol, event.base, event.side, event.price, event.notional_usd,
        event.event_time_ms, event.unit,
    )  # fmt: skip


def _largest(record: WireLargest | None) -> LargestRecord | None:
    return None if record is None else LargestRecord.model_validate(record, from_attributes=True)
