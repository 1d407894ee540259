"""The record of a crossing."""

from collections.abc import Sequence
from decimal import Decimal
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from liqwatch.alerter.firstmessage import FirstMessage, first_message, owes_summary, with_summary
from liqwatch.alerter.incidents import (
    KEPT_REMINDERS,
    KEPT_UNKNOWN,
    MOST_REMINDERS,
    Delivery,
    View,
    close_unannounced,
    memory,
    tell,
    undelivered,
    with_attempts,
    with_outcome,
    with_peak,
    with_unknowns,
)
from liqwatch.alerter.rules import Memory, Verdict, judge
from liqwatch.alerter.shrinking import shrunk
from liqwatch.events import Attempt, Incident, Summary
from liqwatch.settings import RuleSettings
from liqwatch.totals import Sum

MILLION = 10**12
RULE = RuleSettings.model_validate(
    {"name": "longs", "side": "long", "thresholds": ("1B", "2B", "3B"), "clear_hold": "0s", "repeat": "1h"}
)
TARGETS = ("desk", "news")


def told(incident: Incident | None, kind: Any, threshold: int, usd: int, now_ms: int) -> Incident:
    verdict = Verdict(kind, Decimal(threshold * 10**6), usd * MILLION)
    view = View(now_ms, Sum(long=usd * MILLION))
    return tell(RULE, "all", incident, verdict, view, generation=4, targets=TARGETS)


def fired() -> Incident:
    return told(None, "fired", 1000, 1100, 5000)


def attempt(number: int, outcome: Any = None, target: str = "desk", **more: Any) -> Attempt:
    return Attempt(target=target, number=number, generation=4, at_ms=6000, outcome=outcome, **more)


def with_attempt(incident: Incident, step_ms: int, one: Attempt) -> Incident:
    return with_attempts(incident, step_ms, [one])


def never(_target: str, _tried: Sequence[Attempt]) -> bool:
    return False


def open_ones(incident: Incident, fallback: str | None = None) -> list[tuple[str, str | None]]:
    return [(d.target, d.about) for d in undelivered(incident, never, lambda _name, _at: fallback)]


def test_it_is_named_for_rule_scope_and_time() -> None:
    assert "longs:all:5000" == fired().incident_id


def test_steps_are_added_and_clearing_closes_it() -> None:
    incident = told(told(fired(), "stepped_up", 2000, 2100, 6000), "cleared", 900, 800, 7000)
    assert ["fired", "stepped_up", "cleared"] == [step.kind for step in incident.steps]
    assert (7000, "2100.000000") == (incident.closed_ms, incident.peak_usd.replace("000000.", "."))


def test_two_steps_in_one_millisecond_have_times_of_their_own() -> None:
    incident = told(fired(), "stepped_up", 2000, 2100, 5000)
    assert [5000, 5001] == [step.at_ms for step in incident.steps]


def test_a_peak_only_rises() -> None:
    incident = with_peak(with_peak(fired(), 1500 * MILLION, 6000), 1400 * MILLION, 7000)
    assert ("1500000000.000000", 6000) == (incident.peak_usd, incident.peak_at_ms)


def test_memory_is_read_back_from_the_record() -> None:
    incident = told(told(fired(), "stepped_up", 2000, 2100, 6000), "reminded", 2000, 1900, 7000)
    assert Memory(told=Decimal(2 * 10**9), told_ms=7000) == memory(incident)
    assert Memory() == memory(told(incident, "cleared", 900, 1, 8000))


@given(st.lists(st.tuples(st.integers(1, 4_000_000), st.integers(0, 4000)), max_size=30))
def test_memory_from_the_record_is_what_the_rule_remembers(course: list[tuple[int, int]]) -> None:
    now_ms, remembered, incident = 0, Memory(), None
    for wait, millions in course:
        now_ms += wait
        verdict, remembered = judge(RULE, millions * MILLION, remembered, now_ms)
        if verdict is not None:
            view = View(now_ms, Sum(long=millions * MILLION))
            incident = tell(RULE, "all", incident, verdict, view, generation=1, targets=())
            if verdict.kind == "cleared":
                assert Memory() == memory(incident)
                incident = None
            else:
                assert remembered == memory(incident)


def test_an_incident_without_a_rule_is_closed_and_told_to_nobody() -> None:
    incident = close_unannounced(fired(), "the rule is gone", 9000, 5)
    assert (9000, 5, ()) == (incident.closed_ms, incident.generation, incident.steps[-1].targets)


def test_every_target_is_open_until_it_accepted_or_refused() -> None:
    incident = fired()
    assert [("desk", None), ("news", None)] == open_ones(incident)
    for outcome in (None, "not_sent", "unknown"):
        assert ("desk", None) in open_ones(with_attempt(incident, 5000, attempt(1, outcome)))
    assert [("news", None)] == open_ones(with_attempt(incident, 5000, attempt(1, "accepted")))


def test_a_refusal_opens_a_report_to_another_target() -> None:
    incident = with_attempt(fired(), 5000, attempt(1, "refused"))
    assert [("console", "desk"), ("news", None)] == open_ones(incident, "console")
    reported = with_attempt(incident, 5000, attempt(1, "accepted", "console", about="desk"))
    assert [("news", None)] == open_ones(reported, "console")


def test_a_refusal_is_reported_once_whoever_would_be_told_today() -> None:
    incident = with_attempt(fired(), 5000, attempt(1, "refused"))
    reported = with_attempt(incident, 5000, attempt(1, "accepted", "console", about="desk"))
    assert [("news", None)] == open_ones(reported, "another")
    begun = with_attempt(incident, 5000, attempt(1, "not_sent", "console", about="desk"))
    assert [("console", "desk"), ("news", None)] == open_ones(begun, "another")


def test_a_refused_report_is_not_reported_again() -> None:
    incident = with_attempt(fired(), 5000, attempt(1, "refused"))
    incident = with_attempt(incident, 5000, attempt(1, "refused", "news", about="desk"))
    assert [("news", None)] == open_ones(incident, "news")


def test_an_unknown_outcome_is_over_where_the_target_holds() -> None:
    incident = with_attempt(fired(), 5000, attempt(1, "unknown"))
    assert [Delivery("longs:all:5000", 5000, "news")] == list(
        undelivered(incident, lambda target, _: target == "desk", lambda _name, _at: None)
    )


def test_an_outcome_replaces_its_own_attempt_alone() -> None:
    incident = with_attempt(with_attempt(fired(), 5000, attempt(1)), 5000, attempt(1, None, "news"))
    incident = with_outcome(incident, 5000, attempt(1, "accepted", message_id="m"))
    assert [("desk", "accepted"), ("news", None)] == [(a.target, a.outcome) for a in incident.steps[0].attempts]


def test_attempts_without_outcome_become_unknown() -> None:
    incident = with_unknowns(with_attempt(fired(), 5000, attempt(1)))
    assert ["unknown"] == [a.outcome for a in incident.steps[0].attempts]


def test_an_hour_of_failures_does_not_grow_the_record() -> None:
    incident = fired()
    for number in range(1, 500):
        outcome = "not_sent" if number % 2 else "unknown"
        incident = with_attempt(incident, 5000, attempt(number))
        incident = with_outcome(incident, 5000, attempt(number, outcome))
    kept = incident.steps[0].attempts
    assert (2, 499) == (kept[0].number, kept[-1].number)
    assert len(kept) <= KEPT_UNKNOWN + 2


def test_months_of_reminders_do_not_grow_the_record() -> None:
    incident = fired()
    for hour in range(1, 200):
        incident = told(incident, "reminded", 1000, 1100, 5000 + hour * 3_600_000)
        for target in TARGETS:
            incident = with_attempt(incident, incident.steps[-1].at_ms, attempt(1, "accepted", target))
    assert 1 + KEPT_REMINDERS + 1 == len(incident.steps)
    assert "fired" == incident.steps[0].kind


def test_reminders_that_a_target_refuses_or_never_gets_do_not_grow_the_record_either() -> None:
    incident = fired()
    for hour in range(1, 400):
        incident = told(incident, "reminded", 1000, 1100, 5000 + hour * 3_600_000)
        incident = with_attempt(incident, incident.steps[-1].at_ms, attempt(1, "refused", TARGETS[0]))
    assert 1 + MOST_REMINDERS + 1 >= len(incident.steps)
    assert "fired" == incident.steps[0].kind


def accepted(incident: Incident, target: str, message_id: str) -> Incident:
    """The newest step, told to a target."""
    done = attempt(1, "accepted", target, message_id=message_id)
    return with_attempt(incident, incident.steps[-1].at_ms, done)


def test_a_reminder_that_was_the_first_message_stays_in_the_record() -> None:
    incident = accepted(fired(), "desk", "m0")
    for hour in range(1, MOST_REMINDERS + 10):  # the news heard of it by a reminder first: the rest was held back
        incident = told(incident, "reminded", 1000, 1100, 5000 + hour * 3_600_000)
        incident = accepted(accepted(incident, "desk", f"d{hour}"), "news", f"n{hour}")
    assert (FirstMessage(5000, "m0"), FirstMessage(5000 + 3_600_000, "n1")) == (
        first_message(incident, "desk", "here"),
        first_message(incident, "news", "here"),
    )
    for cut in shrunk(incident):
        assert first_message(incident, "news", "here") == first_message(cut, "news", "here")


def test_the_end_is_no_first_message_to_be_made_a_summary() -> None:
    over = told(accepted(fired(), "desk", "m0"), "cleared", 1000, 10, 9000)
    over = accepted(accepted(over, "desk", "m1"), "news", "n1")
    assert [True, False, False] == [owes_summary(over, target, "here") for target in ("desk", "news", "nobody")]
    done = with_summary(over, Summary(target="desk", at_ms=9500, outcome="refused"))
    assert not owes_summary(done, "desk", "here")
    assert not owes_summary(accepted(fired(), "desk", "m0"), "desk", "here")
