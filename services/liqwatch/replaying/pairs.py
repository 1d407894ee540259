"""Which rules look at an event, and in which scope. Pure."""

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import NamedTuple

from ..coins import coin_class
from ..peaks import Rolling
from ..rulesettings import RuleSettings
from ..wire import Liquidation
from .figures import OF_TOTALS, Figures, Total
from .orders import Orders

_NO_TOTAL = Total((), 0)


@dataclass(frozen=True, slots=True, eq=False)  # there is one of each: compared by identity, which is quick
class Pair:
    """A rule, and a scope that it looks at."""

    rule: RuleSettings
    scope: str
    least: int  # micro-dollars of the total; under it the rule says nothing of what was quiet before
    total: Total  # always 0 for kinds that look at none
    orders: Orders | None  # of a rule about single orders
    is_plain: bool  # judged by the total and nothing else


class Concerned(NamedTuple):
    """What an event of one venue, coin and side has to do with the rules."""

    totals: tuple[Rolling, ...]  # that it belongs to
    pairs: tuple[Pair, ...]  # that it may make speak


class Pairs:
    """Every pair is made when the first event of its scope comes; those of cascades at once."""

    def __init__(self, rules: Iterable[RuleSettings], figures: Figures, majors: Collection[str]) -> None:
        rules = list(rules)
        self._figures = figures
        self._majors = majors
        self._made: dict[tuple[int, str], Pair] = {}  # by number of the rule, and scope
        self._concerned: dict[tuple[str, str, str], Concerned] = {}  # by venue, base, side
        # What holds others back is judged first, as in the alerter.
        self._rules = sorted(enumerate(rules), key=lambda numbered: bool(numbered[1].held_back_by))
        self.cascades = tuple(self._pair(n, rule, "all") for n, rule in enumerate(rules) if rule.kind == "cascade")

    def of(self, event: Liquidation) -> Concerned:
        """Those that look at the event, in the order in which they are judged."""
        return self._concerned.get((event.venue, event.base, event.side)) or self._find(event)

    def _find(self, event: Liquidation) -> Concerned:
        """For this event and all others of its venue, coin and side."""
        totals: dict[str, Rolling] = {}
        pairs: list[Pair] = []
        for number, rule in self._rules:
            scope = scope_of(rule, event, self._majors)
            if scope is None:
                continue
            if rule.kind in OF_TOTALS:
                totals[scope] = self._figures.rolling(scope)[event.side == "short"]
            if rule.side in ("both", event.side):
                pairs.append(self._pair(number, rule, scope))
        found = self._concerned[event.venue, event.base, event.side] = Concerned(tuple(totals.values()), tuple(pairs))
        return found

    def _pair(self, number: int, rule: RuleSettings, scope: str) -> Pair:
        pair = self._made.get((number, scope))
        if pair is None:
            pair = self._made[number, scope] = Pair(
                rule,
                scope,
                least=rule.ladder.first if rule.floor is None else rule.ladder.floor,
                total=self._figures.total(rule, scope) if rule.kind in OF_TOTALS else _NO_TOTAL,
                orders=Orders(rule.ladder) if rule.kind == "order" else None,
                is_plain=rule.kind == "level" and rule.share is None and not rule.is_relative,
            )
        return pair


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
