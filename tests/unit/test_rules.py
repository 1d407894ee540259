"""When a rule speaks and when it keeps quiet."""

from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from liqwatch.alerter.judging import same_total, why_orphaned
from liqwatch.alerter.rules import Memory, Verdict, judge
from liqwatch.events import Incident, UsualTotals
from liqwatch.settings import RuleSettings

MILLION = 10**12  # micro-dollars in a million dollars
SECOND = 1000


def rule(**changes: Any) -> RuleSettings:
    """Steps at $1000M, $1700M and $3000M; clears at once under $900M."""
    fields: dict[str, Any] = {
        "name": "longs-24h",
        "thresholds": ("1B", "1.7B", "3B"),
        "clear_hold": timedelta(0),
    }
    return RuleSettings.model_validate(fields | changes)


def said(rule: RuleSettings, course: list[tuple[int, int]]) -> list[tuple[str, int, int]]:
    """What is said to (second, millions) after (second, millions): (kind, second, threshold in millions)."""
    memory = Memory()
    spoken: list[tuple[str, int, int]] = []
    for second, millions in course:
        verdict, memory = judge(rule, millions * MILLION, memory, second * SECOND)
        if verdict is not None:
            spoken.append((verdict.kind, second, int(verdict.threshold / 10**6)))
    return spoken


COURSES: list[tuple[str, dict[str, Any], list[tuple[int, int]], list[tuple[str, int, int]]]] = [
    ("below_the_first_step_nothing_is_said", {}, [(0, 0), (1, 999)], []),
    ("exactly_at_a_step_it_fires", {}, [(0, 1000)], [("fired", 0, 1000)]),
    ("a_step_is_told_once", {}, [(0, 1000), (1, 1001), (2, 1600)], [("fired", 0, 1000)]),
    ("it_steps_up", {}, [(0, 1200), (1, 1700)], [("fired", 0, 1000), ("stepped_up", 1, 1700)]),
    ("a_jump_fires_with_the_highest_step_alone", {}, [(0, 10), (1, 3500)], [("fired", 1, 3000)]),
    (
        "a_jump_over_two_steps_steps_up_once",
        {},
        [(0, 1000), (1, 4000)],
        [("fired", 0, 1000), ("stepped_up", 1, 3000)],
    ),
    (
        "a_total_that_wavers_around_a_step_does_not_tell_it_again",
        {},
        [(0, 1699), (1, 1701), (2, 1699), (3, 1702), (4, 950), (5, 1001), (6, 1800)],
        [("fired", 0, 1000), ("stepped_up", 1, 1700)],
    ),
    (
        "between_the_clear_level_and_the_first_step_it_stays_open",
        {},
        [(0, 1000), (1, 900), (2, 999)],
        [("fired", 0, 1000)],
    ),
    (
        "it_clears_once_under_the_clear_level",
        {},
        [(0, 1000), (1, 899), (2, 10), (3, 0)],
        [("fired", 0, 1000), ("cleared", 1, 900)],
    ),
    (
        "a_clear_level_of_its_own_counts",
        {"clear_below": "500M"},
        [(0, 1000), (1, 500), (2, 499)],
        [("fired", 0, 1000), ("cleared", 2, 500)],
    ),
    (
        "after_clearing_it_may_fire_again",
        {},
        [(0, 1000), (1, 0), (2, 1000)],
        [("fired", 0, 1000), ("cleared", 1, 900), ("fired", 2, 1000)],
    ),
    (
        "it_holds_before_it_fires",
        {"hold": "10s"},
        [(0, 1000), (9, 1000), (10, 1000)],
        [("fired", 10, 1000)],
    ),
    (
        "a_dip_under_the_first_step_begins_the_hold_anew",
        {"hold": "10s"},
        [(0, 1000), (5, 999), (6, 1000), (15, 1000), (16, 1000)],
        [("fired", 16, 1000)],
    ),
    (
        "the_hold_counts_from_the_first_step_though_a_higher_one_was_just_reached",
        {"hold": "10s"},
        [(0, 1000), (10, 1800)],
        [("fired", 10, 1700)],
    ),
    (
        "a_step_up_does_not_wait_for_the_hold",
        {"hold": "10s"},
        [(0, 1000), (10, 1000), (11, 1700)],
        [("fired", 10, 1000), ("stepped_up", 11, 1700)],
    ),
    (
        "it_holds_before_it_clears",
        {"clear_hold": "60s"},
        [(0, 1000), (1, 800), (60, 800), (61, 800)],
        [("fired", 0, 1000), ("cleared", 61, 900)],
    ),
    (
        "a_rise_over_the_clear_level_begins_the_clear_hold_anew",
        {"clear_hold": "60s"},
        [(0, 1000), (1, 800), (50, 900), (51, 800), (110, 800), (111, 800)],
        [("fired", 0, 1000), ("cleared", 111, 900)],
    ),
    (
        "it_reminds_while_it_lasts",
        {"repeat": "1h"},
        [(0, 1000), (3599, 1100), (3600, 1200), (7199, 950), (7200, 950)],
        [("fired", 0, 1000), ("reminded", 3600, 1000), ("reminded", 7200, 1000)],
    ),
    (
        "a_step_up_puts_the_reminder_off",
        {"repeat": "1h"},
        [(0, 1000), (3000, 1700), (3600, 1700), (6600, 1700)],
        [("fired", 0, 1000), ("stepped_up", 3000, 1700), ("reminded", 6600, 1700)],
    ),
    (
        "it_does_not_remind_while_it_is_about_to_clear",
        {"repeat": "1h", "clear_hold": "60s"},
        [(0, 1000), (3590, 800), (3600, 800), (3650, 800)],
        [("fired", 0, 1000), ("cleared", 3650, 900)],
    ),
    (
        "a_clock_set_back_does_not_prolong_the_hold",
        {"hold": "10s"},
        [(5000, 1000), (0, 1000), (10, 1000)],
        [("fired", 10, 1000)],
    ),
]


@pytest.mark.parametrize(("changes", "course", "expected"), [c[1:] for c in COURSES], ids=[c[0] for c in COURSES])
def test_course(changes: dict[str, Any], course: list[tuple[int, int]], expected: list[tuple[str, int, int]]) -> None:
    assert expected == said(rule(**changes), course)


def test_a_micro_dollar_decides() -> None:
    one = rule()
    assert judge(one, 1000 * MILLION - 1, Memory(), 0) == (None, Memory())
    verdict, _ = judge(one, 1000 * MILLION, Memory(), 0)
    assert Verdict("fired", Decimal(10**9), 1000 * MILLION) == verdict


def test_a_step_added_below_what_was_told_is_not_told() -> None:
    memory = Memory(told=Decimal("1.7e9"), told_ms=0)
    assert judge(rule(thresholds=("1B", "1.5B", "1.7B")), 1750 * MILLION, memory, 1) == (None, memory)


course = st.lists(st.tuples(st.integers(0, 90), st.integers(0, 4000)), max_size=60)
rules = st.builds(
    rule,
    hold=st.sampled_from(["0s", "10s"]),
    clear_hold=st.sampled_from(["0s", "60s"]),
    repeat=st.sampled_from([None, "120s"]),
)


@given(rules, course)
def test_any_course_makes_incidents_of_one_fire_rising_steps_and_one_clear(
    one: RuleSettings, course: list[tuple[int, int]]
) -> None:
    second = 0
    steps = []
    for wait, millions in course:
        second += wait
        steps.append((second, millions))
    told: int | None = None
    for kind, _, threshold in said(one, steps):
        match kind:
            case "fired":
                assert told is None
                told = threshold
            case "stepped_up":
                assert told is not None and threshold > told
                told = threshold
            case "reminded":
                assert threshold == told
            case _:
                assert ("cleared", True) == (kind, told is not None)
                told = None


@given(rules, course)
def test_memory_read_back_from_what_was_told_repeats_nothing(one: RuleSettings, course: list[tuple[int, int]]) -> None:
    second = 0
    memory = Memory()
    for wait, millions in course:
        second += wait
        verdict, memory = judge(one, millions * MILLION, memory, second * SECOND)
        restarted = Memory(told=memory.told, told_ms=memory.told_ms)
        if verdict is not None and verdict.kind != "cleared":
            assert (None, restarted) == judge(one, verdict.usd, restarted, second * SECOND)


AMOUNTS, TIMES = rule(name="r", side="long"), rule(name="r", side="long", thresholds=("3 x p99",), floor="1M")
USUAL = UsualTotals(percentiles_usd={"p99": "50000000"}, hours=12, near_hours=1, days=29)
MEASURES = [
    (AMOUNTS, None, None),
    (TIMES, USUAL, None),
    (TIMES, None, "the rule r is measured by the past now, which this incident was not"),
    (AMOUNTS, USUAL, "the rule r is measured by amounts now, which this incident was not"),
]


@pytest.mark.parametrize(("now", "usual", "expected"), MEASURES)
def test_an_incident_does_not_outlive_what_it_was_measured_by(
    now: RuleSettings, usual: UsualTotals | None, expected: str | None
) -> None:
    """With times of the past as its steps, a rule cannot judge an incident of amounts: it would never clear."""
    incident = Incident.model_validate(
        {
            "incident_id": "r:all:1", "rule": "r", "scope": "all", "side": "long", "window": "24h",
            "severity": "warning", "generation": 1, "opened_ms": 1, "peak_usd": "1", "peak_at_ms": 1, "steps": (),
            "usual": usual,
        }
    )  # fmt: skip
    assert expected == why_orphaned(incident, {"r": now})
    assert not same_total(AMOUNTS, TIMES)


@pytest.mark.parametrize("millions", [950, 1200, 1699])
def test_where_nothing_is_new_the_memory_is_the_same(millions: int) -> None:
    told = Memory(told=Decimal("1e9"), told_ms=0)
    assert told is judge(rule(), millions * MILLION, told, SECOND)[1]
    waiting = Memory(above_since_ms=0)
    assert waiting is judge(rule(hold=timedelta(seconds=5)), 1200 * MILLION, waiting, SECOND)[1]
