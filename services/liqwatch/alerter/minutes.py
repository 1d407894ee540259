"""Minutes put together from the bars of all partitions, for the scopes that rules ask about. Pure."""

from collections.abc import Collection, Iterable, Iterator
from typing import NamedTuple

from ..coins import coin_class
from ..relative import PAST_DAYS
from ..rulesettings import RuleSettings

Sums = dict[tuple[str, str], int]  # scope, side -> micro-dollars
_DAY_MINUTES = 1440
NORMAL_MINUTES = 25 * 60  # of the past that is read to know what is normal


class Row(NamedTuple):
    """One venue and coin in a minute. Micro-dollars."""

    venue: str
    base: str
    long: int
    short: int


def asks_the_past(rule: RuleSettings) -> bool:
    """Whether the bars have to be read for it."""
    return rule.kind in ("surge", "record", "cascade") or rule.is_relative


class _Scopes:
    def __init__(self, rules: Iterable[RuleSettings], also: str | None = None) -> None:
        rules = list(rules)
        self.named = {rule.scope for rule in rules if not rule.each} | ({also} if also else set())
        self.each = {(rule.each, rule.each_in) for rule in rules if rule.each is not None}


class Wanted:
    """Which scopes of a row have to be added up: those of surge rules (lately), of records and of levels relative to
    their past, and the whole market."""

    def __init__(self, rules: Iterable[RuleSettings], majors: Collection[str]) -> None:
        rules = [rule for rule in rules if asks_the_past(rule)]
        self._majors = majors
        lately = [rule for rule in rules if rule.kind != "level"]
        always = [rule for rule in rules if rule.kind in ("level", "record")]
        self._lately = _Scopes([*lately, *always], also="all")
        self._always = _Scopes(always)
        self._relative = _Scopes([rule for rule in rules if rule.kind == "level"])
        self.minutes = max(
            [NORMAL_MINUTES] * bool(rules)
            + [
                (PAST_DAYS if rule.kind == "level" else rule.days[-1]) * _DAY_MINUTES + rule.ladder.span_ms // 60_000
                for rule in always
            ],
            default=0,
        )

    def scopes(self, row: Row, lately: bool) -> Iterator[str]:
        """Those the row belongs to."""
        wanted = self._lately if lately else self._always
        kind = coin_class(row.base, self._majors)
        venue, base = f"venue={row.venue}", f"base={row.base}"
        for scope in ("all", venue, base, f"{venue},{base}", f"class={kind}"):
            if scope in wanted.named:
                yield scope
        if ("base=", None) in wanted.each or ("base=", kind) in wanted.each:
            yield base
        if ("venue=", None) in wanted.each:
            yield venue

    def is_relative(self, scope: str) -> bool:
        """Whether a level of the scope is judged by its past."""
        if scope in self._relative.named:
            return True
        if "," in scope or not self._relative.each:
            return False
        kind = coin_class(scope[5:], self._majors) if scope.startswith("base=") else None
        return any(scope.startswith(prefix) and coins in (None, kind) for prefix, coins in self._relative.each)


class Minutes:
    """A minute is handed out once, whole and in order. What comes for it later is left out."""

    def __init__(self, wanted: Wanted) -> None:
        self._wanted = wanted
        self._parts: dict[int, dict[int, Sums]] = {}  # minute -> partition
        self._done = -1

    def add(self, minute: int, partition: int, rows: Iterable[Row], lately: bool) -> None:
        """A bar; another for the same minute and partition takes its place."""
        if minute <= self._done:
            return
        sums: Sums = {}
        for row in rows:
            for scope in set(self._wanted.scopes(row, lately)):
                if row.long:
                    sums[scope, "long"] = sums.get((scope, "long"), 0) + row.long
                if row.short:
                    sums[scope, "short"] = sums.get((scope, "short"), 0) + row.short
        self._parts.setdefault(minute, {})[partition] = sums

    def until(self, minute: int) -> Iterator[tuple[int, Sums]]:
        """The minutes before `minute` that brought anything, in order."""
        for number in sorted(known for known in self._parts if known < minute):
            merged: Sums = {}
            for sums in self._parts.pop(number).values():
                for key, usd in sums.items():
                    merged[key] = merged.get(key, 0) + usd
            yield number, merged
        self._done = max(self._done, minute - 1)
