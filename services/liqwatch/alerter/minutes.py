"""Minutes put together from the bars of all partitions, for the scopes that rules ask about. Pure."""

from collections.abc import Collection, Iterable, Iterator
from typing import NamedTuple

from ..coins import coin_class
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


class Wanted:
    """Which scopes of a row have to be added up: those of surge rules (lately), of records, and the whole market."""

    def __init__(self, rules: Iterable[RuleSettings], majors: Collection[str]) -> None:
        rules = [rule for rule in rules if rule.kind in ("surge", "record", "cascade")]
        self._majors = majors
        self._each = {(rule.each, rule.each_in) for rule in rules if rule.each}
        self._lately = {rule.scope for rule in rules if not rule.each} | {"all"}
        self._always = {rule.scope for rule in rules if rule.kind == "record"}
        self.minutes = max(
            [NORMAL_MINUTES] * bool(rules)
            + [rule.days[-1] * _DAY_MINUTES + rule.ladder.span_ms // 60_000 for rule in rules if rule.kind == "record"],
            default=0,
        )

    def scopes(self, row: Row, lately: bool) -> Iterator[str]:
        """Those the row belongs to."""
        wanted = self._lately if lately else self._always
        kind = coin_class(row.base, self._majors)
        venue, base = f"venue={row.venue}", f"base={row.base}"
        for scope in ("all", venue, base, f"{venue},{base}", f"class={kind}"):
            if scope in wanted:
                yield scope
        if lately:
            if ("base=", None) in self._each or ("base=", kind) in self._each:
                yield base
            if ("venue=", None) in self._each:
                yield venue


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
