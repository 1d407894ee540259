"""When a rule speaks: one function from a total, what was said before, and the time, to a verdict."""

from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Literal

from ..rulesettings import Ladder
from ..settings import RuleSettings
from .percentiles import Yardstick

Kind = Literal["fired", "stepped_up", "reminded", "cleared"]


@dataclass(frozen=True, slots=True)
class Verdict:
    """Something to be told. `usd` is in micro-dollars.

    `threshold` is the highest step reached (fired, stepped_up), the highest told so far (reminded), or the
    level the total has stayed under (cleared). `value` is what was judged, in millionths of the unit of the rule's
    steps, where that is not `usd`. `yardstick`: what the steps of the incident are times of, where they are relative.
    """

    kind: Kind
    threshold: Decimal
    usd: int
    value: int | None = None
    yardstick: Yardstick | None = None


@dataclass(frozen=True, slots=True)
class Memory:
    """What one rule remembers of one scope. `Memory()` knows nothing; with `told` an incident is open.

    All but the two `_since_ms` can be read back from the open incident, so that a restart neither forgets nor
    repeats; a hold that was under way begins anew.
    """

    told: Decimal | None = None  # highest step told in the open incident
    told_ms: int = 0  # when it last spoke
    above_since_ms: int | None = None  # at or above the first step, not fired yet
    below_since_ms: int | None = None  # under the clear level, not cleared yet
    yardstick: Yardstick | None = None  # of relative steps, as it was when the incident opened: it stays so


NOTHING = Memory()


def judge(
    rule: RuleSettings, usd: int, memory: Memory, now_ms: int, yardstick: Yardstick | None = None
) -> tuple[Verdict | None, Memory]:
    """What `rule` says to a total of `usd` micro-dollars, and what it remembers of it: the same `memory` where
    nothing is new.

    The figure of a kind that does not count in USD is given in millionths of the unit of its steps.

    A step is told once in an incident, however often the total wavers around it; a jump over several steps
    tells the highest alone. Steps relative to the past are times `yardstick`; those of an open incident do not move.
    While the yardstick is not known, such a rule says nothing.
    """
    fixed = None
    if rule.is_relative:
        fixed = memory.yardstick or yardstick
        if fixed is None:
            return None, memory if memory.told is not None or usd >= rule.ladder.first else NOTHING
    ladder = rule.ladder if fixed is None else rule.ladder_at(fixed.usd)
    if memory.told is None:
        verdict, after = _quiet(ladder, usd, memory, now_ms)
    else:
        verdict, after = _open(ladder, usd, memory, memory.told, now_ms)
    if fixed is not None:
        verdict = None if verdict is None else replace(verdict, yardstick=fixed)
        if after.told is not None and after.yardstick is None:
            after = replace(after, yardstick=fixed)
    return verdict, after


def _quiet(ladder: Ladder, usd: int, memory: Memory, now_ms: int) -> tuple[Verdict | None, Memory]:
    reached = _highest_reached(ladder, usd)
    if reached is None:
        return None, memory if memory.above_since_ms is None else NOTHING
    since = _earlier(memory.above_since_ms, now_ms)
    if now_ms - since < ladder.hold_ms:
        return None, memory if memory.above_since_ms == since else Memory(above_since_ms=since)
    return Verdict("fired", reached, usd), Memory(told=reached, told_ms=now_ms)


def _open(ladder: Ladder, usd: int, memory: Memory, told: Decimal, now_ms: int) -> tuple[Verdict | None, Memory]:
    reached = _highest_reached(ladder, usd)
    if reached is not None and reached > told:
        return Verdict("stepped_up", reached, usd), Memory(told=reached, told_ms=now_ms, yardstick=memory.yardstick)
    if usd < ladder.clear:
        since = _earlier(memory.below_since_ms, now_ms)
        if now_ms - since < ladder.clear_hold_ms:
            return None, memory if memory.below_since_ms == since else replace(memory, below_since_ms=since)
        return Verdict("cleared", ladder.clear_level, usd), NOTHING
    if ladder.repeat_ms is not None and now_ms - memory.told_ms >= ladder.repeat_ms:
        return Verdict("reminded", told, usd), Memory(told=told, told_ms=now_ms, yardstick=memory.yardstick)
    return None, memory if memory.below_since_ms is None else replace(memory, below_since_ms=None)


def _highest_reached(ladder: Ladder, usd: int) -> Decimal | None:
    """The highest step that `usd` micro-dollars are at or above."""
    for least, step in reversed(ladder.steps):  # they rise
        if usd >= least:
            return step
    return None


def _earlier(since_ms: int | None, now_ms: int) -> int:
    return now_ms if since_ms is None else min(since_ms, now_ms)  # a clock set back must not prolong a hold
