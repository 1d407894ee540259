"""Who is told, by severity, scope and time of day. Pure."""

import re
from collections.abc import Sequence
from datetime import UTC, datetime, time, tzinfo
from functools import cached_property
from typing import Literal, NamedTuple
from zoneinfo import ZoneInfo

from pydantic import Field, field_validator

from .rulesettings import RuleKind, RuleSettings, Severity
from .section import Section

DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_HOURS = re.compile(r"^([01]\d|2[0-3]):([0-5]\d)-([01]\d|2[0-3]):([0-5]\d)$")
Day = Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"]


class RouteSettings(Section):
    """What matches goes to these targets. A rule that names its own targets asks no route."""

    targets: tuple[str, ...] = Field(min_length=1)
    severity: tuple[Severity, ...] = Field(default=(), description="Empty: any.")
    kinds: tuple[RuleKind, ...] = Field(default=(), description="Kinds of rules; empty: any.")
    rules: tuple[str, ...] = Field(default=(), description="Names of rules; empty: any.")
    scope: str | None = Field(default=None, description="`all`, `venue=okx`, `base=BTC`: this scope, or a part of it.")
    hours: str | None = Field(default=None, description="`07:00-23:00`; over midnight too. Else it is quiet here.")
    days: tuple[Day, ...] = Field(default=(), description="Empty: every day.")
    time_zone: str = "UTC"

    @field_validator("hours")
    @classmethod
    def _hours(cls, hours: str | None) -> str | None:
        if hours is not None and not _HOURS.match(hours):
            raise ValueError('write hours as "07:00-23:00"')
        if hours is not None and hours[:5] == hours[6:]:
            raise ValueError("these hours never begin, so nobody would ever be told; leave them out for the whole day")
        return hours

    @field_validator("time_zone")
    @classmethod
    def _known(cls, name: str) -> str:
        try:
            _zone(name)
        except (OSError, ValueError, KeyError):
            raise ValueError('write a time zone such as "Europe/Berlin" or "UTC"') from None
        return name

    def takes(self, rule: RuleSettings, scope: str) -> bool:
        """At some time of the day."""
        return (
            (not self.severity or rule.severity in self.severity)
            and (not self.kinds or rule.kind in self.kinds)
            and (not self.rules or rule.name in self.rules)
            and (self.scope is None or is_part(scope, self.scope))
        )

    def is_awake(self, now_ms: int) -> bool:
        """Whether it takes anything now. Days are those on which the hours begin."""
        now = datetime.fromtimestamp(now_ms / 1000, self._time_zone)
        day = now.weekday()
        if self._span is not None:
            start, end = self._span
            at = now.time()
            if start <= end:
                if not start <= at < end:
                    return False
            elif at < end:
                day = (day - 1) % 7
            elif at < start:
                return False
        return not self.days or DAYS[day] in self.days

    @cached_property
    def _time_zone(self) -> tzinfo:
        return _zone(self.time_zone)

    @cached_property
    def _span(self) -> tuple[time, time] | None:
        match = _HOURS.match(self.hours or "")
        if match is None:
            return None
        start_hour, start_minute, end_hour, end_minute = map(int, match.groups())
        return time(start_hour, start_minute), time(end_hour, end_minute)


class Routed(NamedTuple):
    """The targets' names, none meaning all there are; or that everybody who would be told has quiet hours."""

    targets: tuple[str, ...]
    is_quiet: bool = False


def route(rule: RuleSettings, scope: str, now_ms: int, routes: Sequence[RouteSettings]) -> Routed:
    """Every route that matches gets it. What no route would ever take goes to all: an alert is not lost by a gap."""
    if rule.targets or not routes:
        return Routed(rule.targets)
    taking = [one for one in routes if one.takes(rule, scope)]
    if not taking:
        return Routed(())
    awake = dict.fromkeys(target for one in taking if one.is_awake(now_ms) for target in one.targets)
    return Routed(tuple(awake), is_quiet=not awake)


def is_part(scope: str, of: str) -> bool:
    """A scope is a part of itself, of `all`, and of each that names less of the same."""
    return of == "all" or set(of.split(",")) <= set(scope.split(","))


def _zone(name: str) -> tzinfo:
    return UTC if name == "UTC" else ZoneInfo(name)
