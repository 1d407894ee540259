"""The largest record of a rolling window, exact when records expire or come late: a staircase of candidates. Pure.

The steps are sorted by second, each beaten by the one before it. A record that is beaten by another that came later,
or is of a later second, can never be the largest of a window that ends now or later: it is left out. The largest of any
window is its first step. So all windows share one short list.
"""

from bisect import bisect_right
from typing import TypeAlias

# Second, minus the micro-dollars, event_id, and the record as JSON: one object where a decoded one is sixteen.
# Sorted, the larger comes first and of equal ones the smaller id, so that partitions merge in any order.
Step: TypeAlias = tuple[int, int, str, bytes]


def beats(one: Step, other: Step) -> bool:
    """True if `one` is the larger."""
    return one[1:3] < other[1:3]


def climb(stairs: list[Step], steps: list[Step], in_order: bool) -> None:
    """Takes in records; `in_order`: none is of an earlier second than one before it, or than one on the stairs."""
    if not in_order:
        for step in steps:
            _climb_late(stairs, step)
        return
    best = steps[-1]
    up = [best]
    least = best[1]
    for step in reversed(steps):
        if step[1] > least:
            continue
        if step[1] < least or step[2] < best[2]:
            best, least = step, step[1]
            up.append(step)
    up.reverse()
    while stairs and beats(best, stairs[-1]):
        stairs.pop()
    stairs += up


def _climb_late(stairs: list[Step], step: Step) -> None:
    second = step[0]
    after = bisect_right(stairs, second, key=_second)
    if after < len(stairs) and beats(stairs[after], step):
        return
    if after and stairs[after - 1][0] == second and beats(stairs[after - 1], step):
        return
    before = after
    while before and beats(step, stairs[before - 1]):
        before -= 1
    stairs[before:after] = [step]


def largest_after(stairs: list[Step], second: int) -> Step | None:
    """The largest record of the seconds after `second`."""
    if not stairs:
        return None
    first = 0 if stairs[0][0] > second else bisect_right(stairs, second, key=_second)
    return stairs[first] if first < len(stairs) else None


def forget_until(stairs: list[Step], second: int) -> None:
    """Removes the steps of `second` and before."""
    if stairs and stairs[0][0] <= second:
        del stairs[: bisect_right(stairs, second, key=_second)]


def _second(step: Step) -> int:
    return step[0]
