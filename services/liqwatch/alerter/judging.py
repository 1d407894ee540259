"""Which rules have to be asked now, and what each remembers of each scope. No I/O."""

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import replace

import structlog

from ..coins import MAJORS, coin_class
from ..events import Incident
from ..settings import RuleSettings
from .incidents import memory
from .percentiles import Yardstick
from .rules import NOTHING, Memory, Verdict, judge

MAX_SCOPES = 2_000  # of one `each …` rule
_KEPT = 20_000  # scopes whose rules are remembered
_TIMED = ("feed", "cascade")

log_ = structlog.get_logger("alerter")
Pair = tuple[str, str]  # rule, scope


class Judging:
    """Rules and memories. A pair is due when its total changed, and each second while it remembers something."""

    def __init__(self, rules: Iterable[RuleSettings], majors: Collection[str] = MAJORS) -> None:
        self.rules: dict[str, RuleSettings] = {}
        self._memories: dict[Pair, Memory] = {}
        self._due: dict[Pair, None] = {}
        self._by_scope: dict[tuple[str, str], list[str]] = {}
        self._each: dict[str, list[tuple[str, str | None, str]]] = {}  # window -> prefix, class of coins, rule
        self._asked: dict[tuple[str, str], tuple[Pair, ...]] = {}  # whom a total concerns, once it was asked
        self._classes: set[str] = set()  # windows in which a class of coins is watched as a whole
        self._majors = majors
        self._scopes: dict[str, set[str]] = {}
        self.use(rules)

    def use(self, rules: Iterable[RuleSettings], majors: Collection[str] | None = None) -> None:
        """Other rules. What is remembered of a rule and scope stays, where it is still about the same total."""
        self._majors = self._majors if majors is None else majors
        before, self.rules = self.rules, {rule.name: rule for rule in rules}
        self._by_scope.clear()
        self._each.clear()
        self._classes.clear()
        self._asked.clear()
        self._due.clear()
        for rule in self.rules.values():
            window = rule.ladder.window
            if rule.kind in _TIMED:
                continue
            if rule.each:
                self._each.setdefault(window, []).append((rule.each, rule.each_in, rule.name))
            else:
                self._by_scope.setdefault((window, rule.scope), []).append(rule.name)
                if rule.scope.startswith("class="):
                    self._classes.add(window)
        self._scopes = {name: found for name, found in self._scopes.items() if name in self.rules}
        self._memories = {
            pair: kept
            for pair, kept in self._memories.items()
            if pair[0] in self.rules and same_total(before[pair[0]], self.rules[pair[0]])
        }

    def recall(self, incidents: Mapping[str, Incident]) -> None:
        """Forgets everything but what the open incidents say."""
        self._memories = {(one.rule, one.scope): memory(one) for one in incidents.values() if one.closed_ms is None}

    def forget(self) -> None:
        """Not our turn: others remember."""
        self._memories.clear()

    def touch(self, window: str, scope: str) -> None:
        """A total has changed."""
        self.touch_all([(window, scope)])

    def touch_all(self, totals: Iterable[tuple[str, str]]) -> None:
        """Totals have changed: windows and scopes."""
        asked, due = self._asked, self._due
        for total in totals:
            pairs = asked.get(total)
            for pair in self._concerned(*total) if pairs is None else pairs:
                due[pair] = None

    def _concerned(self, window: str, scope: str) -> Collection[Pair]:
        """Kept for the next time, unless a rule has no place for the scope: it may have one then."""
        pairs = [(name, scope) for name in self._by_scope.get((window, scope), ())]
        if "," in scope:
            return pairs
        has_place = True
        for prefix, coins, name in self._each.get(window, ()):
            if scope.startswith(prefix) and self._is_in(coins, scope):
                if self._within(name, scope):
                    pairs.append((name, scope))
                else:
                    has_place = False
        if window in self._classes and scope.startswith("base="):
            whole = f"class={coin_class(scope[5:], self._majors)}"
            pairs += [(name, whole) for name in self._by_scope.get((window, whole), ())]
        if has_place:
            if len(self._asked) >= _KEPT:
                self._asked.clear()
            self._asked[window, scope] = tuple(pairs)
        return pairs

    def touch_timed(self, venues: Iterable[str]) -> None:
        """Rules that no total calls: feeds and cascades. Each second, or when something has happened to them."""
        for rule in self.rules.values():
            if rule.kind in _TIMED:
                for scope in [f"venue={venue}" for venue in venues] if rule.each else [rule.scope]:
                    self._due[rule.name, scope] = None

    def touch_remembered(self) -> None:
        """Time has passed: holds, reminders and clears may be due."""
        self._due.update(dict.fromkeys(self._memories))

    def due(self) -> Iterator[tuple[RuleSettings, str]]:
        """Every pair to be asked, once."""
        due, self._due = self._due, {}
        later = []
        for name, scope in due:
            rule = self.rules.get(name)
            if rule is None:
                continue
            if rule.held_back_by:
                later.append((rule, scope))  # what holds it back may open now
            else:
                yield rule, scope
        yield from later

    def ask(
        self, rule: RuleSettings, scope: str, usd: int, now_ms: int, yardstick: Yardstick | None = None
    ) -> Verdict | None:
        """What the rule says; it remembers that it was asked."""
        known = self._memories.get((rule.name, scope), NOTHING)
        if known is NOTHING and usd < rule.ladder.first:  # nearly always
            verdict, after = None, NOTHING
        else:
            verdict, after = judge(rule, usd, known, now_ms, yardstick)
            if after is not known:
                self._remember(rule, scope, after)
        if usd == 0 and rule.name in self._scopes and after == NOTHING:
            self._scopes[rule.name].discard(scope)  # its place is free: coins come and go
            self._asked.pop((rule.ladder.window, scope), None)
        return verdict

    def hold_back(self, rule: RuleSettings, scope: str, incident: Incident) -> None:
        """A clear was not to be told: the incident stays open, and its time under the clear level begins anew."""
        self._remember(rule, scope, memory(incident))

    def restart_holds(self, now_ms: int) -> None:
        """What was not seen does not count: every time above or below a level begins anew."""
        for pair, kept in self._memories.items():
            above = None if kept.above_since_ms is None else now_ms
            below = None if kept.below_since_ms is None else now_ms
            self._memories[pair] = replace(kept, above_since_ms=above, below_since_ms=below)

    def _remember(self, rule: RuleSettings, scope: str, after: Memory) -> None:
        if after == NOTHING:
            self._memories.pop((rule.name, scope), None)
        else:
            self._memories[rule.name, scope] = after

    def is_open(self, rule: RuleSettings, scope: str) -> bool:
        """Something was told of it and not cleared."""
        known = self._memories.get((rule.name, scope))
        return known is not None and known.told is not None

    def _is_in(self, coins: str | None, scope: str) -> bool:
        return coins is None or coin_class(scope[5:], self._majors) == coins

    def _within(self, name: str, scope: str) -> bool:
        known = self._scopes.setdefault(name, set())
        if scope in known:
            return True
        if len(known) >= MAX_SCOPES:
            return False
        known.add(scope)
        if len(known) == MAX_SCOPES:
            log_.error("a rule watches as many scopes as it may; further ones are not judged", rule=name)
        return True


def same_total(one: RuleSettings, other: RuleSettings) -> bool:
    """True where two rules watch the same figure, whatever they make of it."""
    return _watched(one) == _watched(other)


def _watched(rule: RuleSettings) -> tuple[object, ...]:
    # The steps of a cascade and of a feed are its own: what was told by others says nothing of them.
    own = rule.steps if rule.kind in _TIMED else ()
    return (rule.kind, rule.scope, rule.side, rule.window, rule.condition, rule.is_relative, own)


def why_orphaned(incident: Incident, rules: Mapping[str, RuleSettings], majors: Collection[str] = MAJORS) -> str | None:
    """Why no rule stands for an open incident any more; None if one does."""
    rule = rules.get(incident.rule)
    if rule is None:
        return f"the rule {incident.rule} is no longer in the settings"
    if rule.each:
        coins = rule.each_in
        fits = incident.scope.startswith(rule.each) and (
            coins is None or coin_class(incident.scope[5:], majors) == coins
        )
    else:
        fits = incident.scope == rule.scope
    same = (incident.rule_kind, incident.side, incident.window) == (rule.kind, rule.side, rule.ladder.window)
    if not fits or not same:
        return f"the rule {incident.rule} watches another total now"
    if rule.is_relative != (incident.usual is not None):  # there would be nothing to measure its end by
        measure = "the past" if rule.is_relative else "amounts"
        return f"the rule {incident.rule} is measured by {measure} now, which this incident was not"
    return None
