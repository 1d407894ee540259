"""Which rules have to be asked now, and what each remembers of each scope. No I/O."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace

import structlog

from ..events import Incident
from ..settings import RuleSettings, window_name
from .incidents import memory
from .rules import Memory, Verdict, judge

MAX_SCOPES = 2_000  # of one `each …` rule
_EACH = {"each base": "base=", "each venue": "venue="}
_NOTHING = Memory()

log_ = structlog.get_logger("alerter")
Pair = tuple[str, str]  # rule, scope


class Judging:
    """Rules and memories. A pair is due when its total changed, and each second while it remembers something."""

    def __init__(self, rules: Iterable[RuleSettings]) -> None:
        self.rules: dict[str, RuleSettings] = {}
        self._memories: dict[Pair, Memory] = {}
        self._due: dict[Pair, None] = {}
        self._by_scope: dict[tuple[str, str], list[str]] = {}
        self._each: list[tuple[str, str, str]] = []  # window, prefix, rule
        self._scopes: dict[str, set[str]] = {}
        self.use(rules)

    def use(self, rules: Iterable[RuleSettings]) -> None:
        """Other rules. What is remembered of a rule and scope stays, where it is still about the same total."""
        before, self.rules = self.rules, {rule.name: rule for rule in rules}
        self._by_scope.clear()
        self._each.clear()
        self._due.clear()
        for rule in self.rules.values():
            window = window_name(rule.window)
            if rule.scope in _EACH:
                self._each.append((window, _EACH[rule.scope], rule.name))
            else:
                self._by_scope.setdefault((window, rule.scope), []).append(rule.name)
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
        for name in self._by_scope.get((window, scope), ()):
            self._due[name, scope] = None
        for each_window, prefix, name in self._each:
            if each_window == window and scope.startswith(prefix) and "," not in scope and self._within(name, scope):
                self._due[name, scope] = None

    def touch_remembered(self) -> None:
        """Time has passed: holds, reminders and clears may be due."""
        for pair in self._memories:
            self._due[pair] = None

    def due(self) -> Iterator[tuple[RuleSettings, str]]:
        """Every pair to be asked, once."""
        due, self._due = self._due, {}
        for name, scope in due:
            if name in self.rules:
                yield self.rules[name], scope

    def ask(self, rule: RuleSettings, scope: str, usd: int, now_ms: int) -> Verdict | None:
        """What the rule says; it remembers that it was asked."""
        verdict, after = judge(rule, usd, self._memories.get((rule.name, scope), _NOTHING), now_ms)
        self._remember(rule, scope, after)
        if usd == 0 and after == _NOTHING and rule.name in self._scopes:
            self._scopes[rule.name].discard(scope)  # its place is free: coins come and go
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
        if after == _NOTHING:
            self._memories.pop((rule.name, scope), None)
        else:
            self._memories[rule.name, scope] = after

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
    return (one.scope, one.side, one.window) == (other.scope, other.side, other.window)


def why_orphaned(incident: Incident, rules: Mapping[str, RuleSettings]) -> str | None:
    """Why no rule stands for an open incident any more; None if one does."""
    rule = rules.get(incident.rule)
    if rule is None:
        return f"the rule {incident.rule} is no longer in the settings"
    scope_fits = incident.scope.startswith(_EACH[rule.scope]) if rule.scope in _EACH else incident.scope == rule.scope
    if not scope_fits or incident.side != rule.side or incident.window != window_name(rule.window):
        return f"the rule {incident.rule} watches another total now"
    return None
