"""The last text of a first message: what the end said, and what it does not say of the course before it."""

from typing import Any

import pytest

from liqwatch.alerter.firstmessage import FirstMessage
from liqwatch.alerter.notices import summary
from liqwatch.events import Incident, LargestRecord, Step, VenueCoverage

OPENED = 1_763_999_999_000  # 2025-11-24 15:59:59 UTC
MINUTE = 60_000
FIRST = FirstMessage(OPENED, "m1")
LARGEST = LargestRecord.model_validate(
    {
        "venue": "okx",
        "symbol": "BTC-USDT-SWAP",
        "base": "BTC",
        "side": "long",
        "price": "90000",
        "notional_usd": "26700000.000000",
        "event_id": "e",
        "event_time_ms": OPENED + MINUTE,
        "unit": "order",
    }
)


def step(kind: str, minutes: int, threshold: str, text: str = "T") -> Step:
    return Step.model_validate(
        {"kind": kind, "at_ms": OPENED + minutes * MINUTE, "usd": "1.0", "threshold": threshold, "headline": "H."}
        | {"text": text}
    )


def over(rule_kind: str, *thresholds: str, text: str = "T", **more: Any) -> Incident:
    """Fired, and stepped up a minute later and so on; over after an hour and a half."""
    up = [step("stepped_up", minutes, each) for minutes, each in enumerate(thresholds[1:], start=1)]
    fields: dict[str, Any] = {
        "incident_id": "longs:all:1",
        "rule": "longs",
        "rule_kind": rule_kind,
        "scope": "all",
        "side": "long",
        "window": "24h",
        "severity": "critical",
        "generation": 1,
        "opened_ms": OPENED,
        "closed_ms": OPENED + 90 * MINUTE,
        "peak_usd": "1845000000.000000",
        "peak_at_ms": OPENED + 5 * MINUTE,
        "steps": (step("fired", 0, thresholds[0]), *up, step("cleared", 90, thresholds[-1], text)),
    }
    return Incident.model_validate(fields | more)


def lines(incident: Incident) -> list[str]:
    return summary(incident, FIRST, OPENED).text.split("\n")


def test_it_is_the_first_message_that_says_it() -> None:
    made = summary(over("level", "1000000000"), FIRST, OPENED)
    assert (f"longs:all:1:{OPENED}", "H.", "cleared") == (made.notice_id, made.headline, made.kind)


def test_opened_steps_peak_and_largest_come_before_what_the_end_said() -> None:
    assert [
        "Opened 2025-11-24 15:59:59 UTC, over 2025-11-24 17:29:59 UTC: 1 h 30 min.",
        "Steps: $1B at 2025-11-24 15:59:59 UTC, $1.7B at 2025-11-24 16:00:59 UTC.",
        "Peak: at least $1.84B at 2025-11-24 16:04:59 UTC.",
        "Largest order of the incident: okx BTC-USDT-SWAP long, $26.7M at 2025-11-24 16:00:59 UTC.",
        "T",
    ] == lines(over("level", "1000000000", "1700000000", largest=LARGEST))


def test_a_peak_that_was_watched_whole_is_exact() -> None:
    coverage = (VenueCoverage(venue="bybit", completeness="all", share=1.0),)
    assert "Peak: $1.84B at 2025-11-24 16:04:59 UTC." in lines(over("level", "1000000000", coverage=coverage))


def test_the_largest_is_named_as_it_was_told() -> None:
    then = "Sides.\nLargest order: OKX BTC-USDT-SWAP long, $26.7M at 2025-11-24 16:00:59 UTC.\nCoverage."
    up = step("stepped_up", 1, "1700000000", then)
    incident = over("level", "1000000000", largest=LARGEST)
    steps = (incident.steps[0], up, incident.steps[-1])
    assert "Largest order of the incident: OKX BTC-USDT-SWAP long, $26.7M at 2025-11-24 16:00:59 UTC." in lines(
        incident.model_copy(update={"steps": steps})
    )


def test_nothing_is_said_twice() -> None:
    text = (
        "Largest order: OKX BTC-USDT-SWAP long, $26.7M at 2025-11-24 16:00:59 UTC.\n"
        "Peak: at least $1.84B at 2025-11-24 16:04:59 UTC; lasted 1 h 30 min."
    )
    said = lines(over("level", "1000000000", text=text, largest=LARGEST))
    assert ["Step: $1B at 2025-11-24 15:59:59 UTC.", *text.split("\n")] == said[1:]


@pytest.mark.parametrize(
    ("rule_kind", "threshold", "expected"),
    [
        ("order", "5000000", "$5M"),
        ("surge", "20", "20 times"),
        ("record", "1", "1 day"),
        ("record", "90", "90 days"),
        ("cascade", "2", "stage 2"),
    ],
)
def test_a_step_is_in_the_unit_of_its_kind(rule_kind: str, threshold: str, expected: str) -> None:
    assert f"Step: {expected} at 2025-11-24 15:59:59 UTC." == lines(over(rule_kind, threshold))[1]


def test_a_feed_has_times_and_no_sums() -> None:
    assert [
        "Steps: 2025-11-24 15:59:59 UTC, 2025-11-24 16:00:59 UTC.",
        "T",
    ] == lines(over("feed", "120", "600", largest=LARGEST))[1:]


def test_many_steps_are_not_all_listed() -> None:
    listed = lines(over("level", *(str(10**9 + number) for number in range(20))))[1]
    assert listed.endswith(" UTC and 8 more.")
