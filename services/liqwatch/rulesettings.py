"""What a rule may say, by kind. Each kind watches another figure; all have a ladder of steps that is told by. Pure."""

import re
from collections.abc import Iterable, Mapping
from datetime import timedelta
from decimal import Decimal
from functools import cached_property
from math import ceil
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, field_validator, model_validator

from .coins import CLASSES
from .relative import Relative, check_order, least_step, parse_threshold
from .section import Duration, Percent, Section, Usd
from .spelling import window_name

RuleKind = Literal["level", "order", "surge", "record", "cascade", "feed"]
Severity = Literal["info", "warning", "critical"]
Threshold = Annotated[Decimal | Relative, BeforeValidator(parse_threshold)]
Percentile = tuple[int, int]  # which, and its micro-dollars

MICRO = 1_000_000
_NAME = re.compile(r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$")
_SCOPE = re.compile(
    r"^(all|each base|each venue|venue=[\w.-]+|base=[\w.:/-]+|venue=[\w.-]+,base=[\w.:/-]+"
    rf"|(class=|each base in )({'|'.join(CLASSES)}))$"
)
_COMMON = frozenset(
    ("name", "kind", "scope", "side", "hold", "clear_hold", "repeat", "severity", "targets", "held_back_by")
)
KEYS: Mapping[str, frozenset[str]] = {
    "level": _COMMON | {"window", "thresholds", "clear_below", "share", "floor"},
    "order": _COMMON | {"window", "thresholds"},
    "surge": _COMMON | {"window", "times", "floor"},
    "record": _COMMON | {"window", "days", "floor"},
    "cascade": _COMMON | {"times", "falls", "legs", "normal"},
    "feed": (_COMMON | {"window", "condition", "after", "missing"}) - {"side"},
}
NEEDED: Mapping[str, tuple[str, ...]] = {
    "level": ("thresholds",),
    "order": ("thresholds",),
    "surge": ("times", "floor"),
    "record": ("floor",),
    "cascade": (),
    "feed": ("condition",),
}
WINDOWS = {"order": "5m", "surge": "5m", "record": "24h", "cascade": "5m", "feed": "1h", "level": "24h"}
_EACH_IN = "each base in "


class RuleSettings(Section):
    """One rule. `KEYS` says which keys a kind knows, `steps` what its ladder is."""

    name: str
    kind: RuleKind = Field(
        default="level",
        description="`level`: a rolling total; `order`: one large order; `surge`: far above its own normal; `record`: "
        "the most in a long time; `cascade`: falling prices and liquidations feed each other; `feed`: a venue is down, "
        "silent or incomplete.",
    )
    scope: str = Field(
        default="all",
        description="`all`, `venue=binance`, `base=BTC`, `class=majors`, `each base`, `each base in others` or "
        "`each venue`.",
    )
    side: Literal["long", "short", "both"] = "both"
    window: Duration = timedelta(hours=24)
    thresholds: tuple[Threshold, ...] = Field(
        default=(),
        description='level, order: the steps in USD; level: or "3 x p99", times a percentile of its own totals of the '
        "last 30 days around the same hour of the week.",
    )
    share: Percent | None = Field(default=None, description="level: only while the side is so much of the total.")
    times: tuple[Annotated[Decimal, Field(gt=1)], ...] = Field(
        default=(), description="surge: the steps, times its own normal; cascade: one number, times a normal 5 minutes."
    )
    floor: Usd | None = Field(
        default=None, description="surge, record, level relative to its past: nothing is said under this total."
    )
    days: tuple[Annotated[int, Field(ge=1, le=390)], ...] = Field(
        default=(30,), description="record: the most in so many days; every day is read from the log at the start."
    )
    falls: tuple[Percent, Percent] = Field(
        default=(Decimal(1), Decimal("1.5")),
        description="cascade: fall of BTC and ETH from their 15-minute high for the first word and for the alert.",
    )
    legs: tuple[Annotated[int, Field(ge=2)], ...] = Field(default=(3, 6, 12), description="cascade: told at these.")
    normal: Usd = Field(default=Decimal(30_000), description="cascade: a normal minute of a side is never under this.")
    condition: Literal["down", "silent", "incomplete"] | None = Field(default=None, description="feed.")
    after: tuple[Duration, ...] = Field(
        default=(timedelta(minutes=2), timedelta(minutes=15), timedelta(hours=1)),
        description="feed down: not watched for so long.",
    )
    missing: tuple[Percent, ...] = Field(
        default=(Decimal(5), Decimal(20)), description="feed incomplete: so much of the window was not watched."
    )
    clear_below: Usd | None = Field(
        default=None, description="level: cleared under this total; by default 90 % of the first step."
    )
    hold: Duration = Field(default=timedelta(0), description="It has to stay above for so long before it fires.")
    clear_hold: Duration = Field(default=timedelta(seconds=60), description="… and below for so long before it clears.")
    repeat: Duration | None = Field(default=None, description="Remind this often while it lasts; absent: never.")
    severity: Severity = "warning"
    targets: tuple[str, ...] = Field(default=(), description="Names of targets; empty: as the routes say, else all.")
    held_back_by: tuple[str, ...] = Field(
        default=(), description="Rules whose open incident, of the same or a wider scope, holds this rule's words back."
    )

    @model_validator(mode="before")
    @classmethod
    def _own_window(cls, values: Any) -> Any:
        kind = values.get("kind") if isinstance(values, Mapping) else None
        if isinstance(kind, str) and kind in WINDOWS and "window" not in values:
            return {**values, "window": WINDOWS[kind]}
        return values

    @field_validator("name")
    @classmethod
    def _named(cls, name: str) -> str:
        if not _NAME.match(name):
            raise ValueError("a name is 1 to 64 letters, digits, '-', '_' or '.'")
        return name

    @field_validator("scope")
    @classmethod
    def _scope(cls, scope: str) -> str:
        if not _SCOPE.match(scope):
            raise ValueError(
                'a scope is "all", "venue=NAME", "base=COIN", "venue=NAME,base=COIN", "each base", "each venue", '
                f'or one of the classes {", ".join(CLASSES)}: "class=majors", "each base in others"'
            )
        return scope

    @field_validator("thresholds", "times", "days", "legs", "after", "missing", "falls")
    @classmethod
    def _ladder(cls, steps: tuple[Any, ...]) -> tuple[Any, ...]:
        if not steps:
            raise ValueError("name at least one threshold")
        if any(isinstance(step, Relative) for step in steps):
            check_order(steps)
            return steps
        if list(steps) != sorted(set(steps)):
            raise ValueError("thresholds rise from step to step, none twice")
        return steps

    @model_validator(mode="after")
    def _clears_below(self) -> "RuleSettings":
        first = next(iter(self.thresholds), None)
        if self.clear_below is not None and isinstance(first, Decimal) and self.clear_below >= first:
            raise ValueError("clear_below has to be under the first threshold")
        return self

    @property
    def relative(self) -> tuple[Relative, ...]:
        """The steps of a ladder that the scope's own past makes; empty where they are amounts."""
        return tuple(step for step in self.thresholds if isinstance(step, Relative))

    @property
    def clear_level(self) -> Decimal:
        """Under which the incident clears, in the unit of the steps; of relative ones a share of the floor."""
        if self.clear_below is not None:
            return self.clear_below
        first = self.steps[0] if self.steps else self.floor or Decimal(0)
        return first * _CLEAR.get(self.kind, Decimal("0.9"))

    @cached_property
    def steps(self) -> tuple[Decimal, ...]:
        """The ladder: USD (level, order; none where they are relative), multiples (surge), days (record), seconds or
        percent (feed), or the stages of a cascade: 1 begun, 2 alert, then one for each number of legs."""
        match self.kind:
            case "surge":
                return self.times
            case "record":
                return tuple(Decimal(days) for days in self.days)
            case "cascade":
                return tuple(Decimal(stage) for stage in range(1, 3 + len(self.legs)))
            case "feed" if self.condition == "down":
                return tuple(Decimal(int(span.total_seconds())) for span in self.after)
            case "feed" if self.condition == "incomplete":
                return self.missing
            case "feed":
                return (Decimal(int(self.window.total_seconds())),)
            case _:
                return tuple(step for step in self.thresholds if isinstance(step, Decimal))

    @cached_property
    def ladder(self) -> "Ladder":
        """The same for arithmetic: integers only. Of relative steps it knows the floor, and none is ever reached."""
        return Ladder(self, self.steps, self.clear_level)

    def ladder_at(self, percentiles: tuple[Percentile, ...] | None) -> "Ladder":
        """The ladder where the percentiles of the scope's past are these. A step that would be under the floor is
        taken for its part of a ladder that begins at the floor."""
        if percentiles is None or not self.is_relative:
            return self.ladder
        known = self._ladders.get(percentiles)
        if known is None:
            if len(self._ladders) >= _KEPT_LADDERS:
                self._ladders.clear()
            steps = tuple(_usd(self.relative, self.floor or Decimal(0), percentiles))
            known = self._ladders[percentiles] = Ladder(self, steps, steps[0] * _RELATIVE_CLEAR)
        return known

    @cached_property
    def is_relative(self) -> bool:
        """Whether what its steps are worth depends on the past."""
        return bool(self.relative)

    @cached_property
    def _ladders(self) -> "dict[tuple[Percentile, ...], Ladder]":
        return {}

    @property
    def each(self) -> str | None:
        """`base=` or `venue=` where every coin or venue is judged by itself."""
        return "venue=" if self.scope == "each venue" else "base=" if self.scope.startswith("each base") else None

    @property
    def each_in(self) -> str | None:
        """The class of coins that `each base in …` is about."""
        return self.scope.removeprefix(_EACH_IN) if self.scope.startswith(_EACH_IN) else None


# A surge is over at half of its first multiple, a feed is back when it is back, a record ends with the record.
_CLEAR = {"surge": Decimal("0.5"), "feed": Decimal("0.9"), "record": Decimal(1), "cascade": Decimal(1)}


_RELATIVE_CLEAR = Decimal("0.9")
_KEPT_LADDERS = 4_096


def _usd(steps: tuple[Relative, ...], floor: Decimal, percentiles: tuple[Percentile, ...]) -> Iterable[Decimal]:
    known = dict(percentiles)
    for step in steps:
        usd = step.times * known[step.percentile] / MICRO
        yield least_step(max(usd, floor * step.times / steps[0].times))


class Ladder:
    """A rule's steps in millionths of their unit, and its waits in milliseconds. `first`: under it nothing is said.
    `floor`: micro-dollars, 0 where there is none."""

    __slots__ = (
        "clear", "clear_hold_ms", "clear_level", "first", "floor", "hold_ms", "repeat_ms", "span_ms", "steps", "window",
    )  # fmt: skip

    def __init__(self, rule: RuleSettings, steps: tuple[Decimal, ...], clear_level: Decimal) -> None:
        self.steps = tuple((ceil(step * MICRO), step) for step in steps)
        self.floor = ceil((rule.floor or Decimal(0)) * MICRO)
        self.first = self.steps[0][0] if self.steps else self.floor
        self.clear_level = clear_level
        self.clear = ceil(clear_level * MICRO)
        self.hold_ms, self.clear_hold_ms = _ms(rule.hold), _ms(rule.clear_hold)
        self.repeat_ms = None if rule.repeat is None else _ms(rule.repeat)
        self.window = window_name(rule.window)
        self.span_ms = _ms(rule.window)


def _ms(span: timedelta) -> int:
    return int(span.total_seconds() * 1000)
