"""Bars as readers keep them: sums by minute and scope, each partition's part replaced when it is written anew. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from sys import intern
from typing import NamedTuple

from ..wire import Bar, micros

MINUTE_MS = 60_000
_HOLD = 4  # numbers of a sum: USD and count of longs, then of shorts


class Amounts(NamedTuple):
    """What one step of time brought; USD in micro-dollars."""

    long: int
    long_count: int
    short: int
    short_count: int


_Part = tuple[int, tuple[tuple[str, str, int, int, int, int], ...]]  # generation, rows


@dataclass(slots=True)
class _Minute:
    parts: dict[int, _Part] = field(default_factory=dict)
    sums: dict[str, list[int]] = field(default_factory=dict)  # scopes of one dimension


class BarBook:
    """The minutes of the last `keep_ms`. Those older than `detail_ms` are kept as a whole only, for rolling sums."""

    def __init__(self, keep_ms: int, detail_ms: int) -> None:
        self.keep_ms, self.detail_ms = keep_ms, detail_ms
        self._minutes: dict[int, _Minute] = {}
        self._forgotten_ms = 0

    def apply(self, bar: Bar) -> bool:
        """Takes a record of the topic; False if it is older than what is known."""
        if bar.minute_ms < self._forgotten_ms:
            return False
        minute = self._minutes.setdefault(bar.minute_ms // MINUTE_MS * MINUTE_MS, _Minute())
        known = minute.parts.get(bar.partition)
        if known is not None and known[0] > bar.generation:
            return False
        rows = tuple(
            (intern(r.venue), intern(r.base), micros(r.long_usd), r.long_count, micros(r.short_usd), r.short_count)
            for r in bar.rows
        )
        if known is not None:
            _add(minute.sums, known, -1)
        minute.parts[bar.partition] = (bar.generation, rows)
        _add(minute.sums, minute.parts[bar.partition], 1)
        return True

    def last_ms(self) -> int:
        """Start of the newest minute; 0 for none."""
        return max(self._minutes, default=0)

    def forget(self, now_ms: int) -> None:
        """Lets go of what nobody asks for any more."""
        self._forgotten_ms = now_ms - self.keep_ms
        for start in [start for start in self._minutes if start < self._forgotten_ms]:
            del self._minutes[start]
        for start, minute in self._minutes.items():
            if start < now_ms - self.detail_ms and len(minute.sums) > 1:
                minute.sums = {"all": minute.sums["all"]}
                minute.parts = {number: _whole(part) for number, part in minute.parts.items()}

    def series(self, scope: str, from_ms: int, to_ms: int, step_ms: int = MINUTE_MS) -> list[Amounts]:
        """The scope's steps from `from_ms` up to `to_ms`, both multiples of the step; nothing happened is zero."""
        found = []
        for start in range(from_ms, to_ms, step_ms):
            sums = [0] * _HOLD
            for at in range(start, start + step_ms, MINUTE_MS):
                minute = self._minutes.get(at)
                if minute is not None:
                    _plus(sums, _of(minute, scope))
            found.append(Amounts(*sums))
        return found


def _of(minute: _Minute, scope: str) -> Sequence[int]:
    if "," not in scope:
        return minute.sums.get(scope, ())
    venue, base = (part.partition("=")[2] for part in scope.split(",", 1))
    if f"venue={venue}" not in minute.sums or f"base={base}" not in minute.sums:
        return ()
    sums = [0] * _HOLD
    for _, rows in minute.parts.values():
        for row in rows:
            if row[0] == venue and row[1] == base:
                _plus(sums, row[2:])
    return sums


def _whole(part: _Part) -> _Part:
    """The part as one row of no venue and no coin: enough to take it off when it is written anew."""
    sums = [0] * _HOLD
    for row in part[1]:
        _plus(sums, row[2:])
    return part[0], (("", "", sums[0], sums[1], sums[2], sums[3]),) if part[1] else ()


def _add(sums: dict[str, list[int]], part: _Part, sign: int) -> None:
    for venue, base, *numbers in part[1]:
        for scope in ("all", f"venue={venue}", f"base={base}"):
            mine = sums.setdefault(intern(scope), [0] * _HOLD)
            _plus(mine, [sign * number for number in numbers])


def _plus(sums: list[int], numbers: Sequence[int]) -> None:
    for at, number in enumerate(numbers):
        sums[at] += number
