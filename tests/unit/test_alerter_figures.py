"""The figures that rules are judged by, and which rules are asked."""

from datetime import timedelta
from typing import Any

import pytest
from structlog.testing import capture_logs

from liqwatch.alerter.figures import Figures
from liqwatch.alerter.judging import MAX_SCOPES, Judging, why_orphaned
from liqwatch.alerter.text import Amount
from liqwatch.events import Coverage, Incident
from liqwatch.settings import RuleSettings
from liqwatch.wire import Heartbeat, Totals, encode

MILLION = 10**12
NOW_MS = 1_764_000_000_000
HOUR_MS = 3_600_000


def figures(**venues: str) -> Figures:
    return Figures(timedelta(hours=24), 1.0, venues)


def rule(**changes: Any) -> RuleSettings:
    return RuleSettings.model_validate({"name": "r", "side": "long", "thresholds": ("1M",)} | changes)


def give(to: Figures, scope: str, millions: int, *, partition: int = 0, generation: int = 1) -> None:
    to.take_totals(encode(Totals(partition, "24h", scope, generation, NOW_MS, 1, f"{millions}000000.0", 1, "0.0", 0)))


def beat(to: Figures, *, generation: int = 1, partitions: int = 12, at_ms: int = NOW_MS) -> None:
    for partition in range(partitions):
        to.take_totals(encode(Heartbeat(partition, generation, at_ms, 1, 2, True)))


def watch(to: Figures, venue: str, from_ms: int, to_ms: int) -> None:
    message = Coverage(
        venue=venue, collector="c", interval_id=f"{venue}{from_ms}", kind="watched", from_ms=from_ms, to_ms=to_ms,
        open=True, completeness="all",
    )  # fmt: skip
    to.take_coverage(message.model_dump_json().encode())


def test_a_sum_follows_every_change() -> None:
    at = figures()
    give(at, "all", 5)
    assert 5 * MILLION == at.sum("24h", "all").long
    give(at, "all", 7, partition=1)
    assert 12 * MILLION == at.sum("24h", "all").long
    assert {("24h", "all")} == at.touched()
    assert set() == at.touched()


def test_what_a_former_owner_of_a_partition_left_is_forgotten() -> None:
    at = figures()
    give(at, "all", 5)
    beat(at)
    assert 5 * MILLION == at.sum("24h", "all").long
    at.touched()
    beat(at, generation=2)
    assert 0 == at.sum("24h", "all").long
    assert ("24h", "all") in at.touched()


def test_totals_are_stale_without_heartbeats_and_the_limit_runs_with_the_clock() -> None:
    slow, fast = figures(), Figures(timedelta(hours=24), 100.0, {})
    for at in (slow, fast):
        beat(at, partitions=11)
        assert [11] == at.stale(NOW_MS)
        beat(at)
    assert [[12, 0], [0, 12]] == [
        [len(slow.stale(NOW_MS + 5001)), len(fast.stale(NOW_MS + 5001))],
        [len(slow.stale(NOW_MS + 5000)), len(fast.stale(NOW_MS + 500_001))],
    ]


def test_top_coins_and_venues_are_those_of_the_scope() -> None:
    at = figures(okx="OKX")
    for scope, millions in (
        ("all", 60), ("base=BTC", 40), ("base=ETH", 20), ("venue=okx", 30), ("venue=bybit", 30),
        ("venue=okx,base=BTC", 25), ("venue=bybit,base=BTC", 15), ("venue=okx,base=ETH", 5), ("base=XRP", 0),
    ):  # fmt: skip
        give(at, scope, millions)
    everything = at.view(rule(), "all", NOW_MS)
    assert [Amount("BTC", 40 * MILLION), Amount("ETH", 20 * MILLION)] == everything.coins
    assert [Amount("bybit", 30 * MILLION), Amount("okx", 30 * MILLION)] == everything.venues
    assert [Amount("okx", 25 * MILLION), Amount("bybit", 15 * MILLION)] == at.view(rule(), "base=BTC", NOW_MS).venues
    assert [Amount("BTC", 25 * MILLION), Amount("ETH", 5 * MILLION)] == at.view(rule(), "venue=okx", NOW_MS).coins
    assert ((), ()) == (at.view(rule(), "base=BTC", NOW_MS).coins, at.view(rule(), "venue=okx", NOW_MS).venues)


def test_coverage_names_a_venue_that_was_never_watched() -> None:
    at = figures(okx="OKX", bybit="Bybit")
    watch(at, "okx", NOW_MS - 48 * HOUR_MS, NOW_MS)
    assert [("bybit", 0.0), ("okx", 1.0)] == [(row.venue, row.share) for row in at.view(rule(), "all", NOW_MS).coverage]
    assert ["okx"] == [row.venue for row in at.view(rule(), "venue=okx", NOW_MS).coverage]


@pytest.mark.parametrize(
    ("scope", "expected"),
    [("all", ["bybit"]), ("base=BTC", ["bybit"]), ("venue=bybit", ["bybit"]), ("venue=okx", [])],
)
def test_a_venue_that_was_watched_and_is_not_now_is_blind(scope: str, expected: list[str]) -> None:
    at = figures(okx="OKX", bybit="Bybit", gate="Gate")
    watch(at, "okx", NOW_MS - HOUR_MS, NOW_MS)
    watch(at, "bybit", NOW_MS - HOUR_MS, NOW_MS - 60_001)
    assert expected == at.blind(rule(), scope, NOW_MS - HOUR_MS, NOW_MS)


def test_with_nobody_watching_all_are_blind_though_the_window_has_run_empty() -> None:
    at = figures(okx="OKX", bybit="Bybit")
    assert ["bybit", "okx"] == at.blind(rule(), "all", NOW_MS - HOUR_MS, NOW_MS)


@pytest.mark.parametrize(
    ("gap", "opened", "expected"),
    [
        ((40, 30), 60, ["bybit"]),  # 10 of 60 minutes of the incident
        ((40, 36), 60, []),  # a twentieth may be missed
        ((40, 30), 20, []),  # before it opened
        ((22, 17), 20, ["bybit"]),  # 3 of 20
        ((5, 2), 2000, []),  # longer than the window of an hour: 3 of 60
        ((70, 30), 2000, ["bybit"]),
    ],
)
def test_a_venue_that_was_away_for_a_tenth_of_the_incident_is_blind(
    gap: tuple[int, int], opened: int, expected: list[str]
) -> None:
    at, minute = figures(okx="OKX", bybit="Bybit"), HOUR_MS // 60
    watch(at, "okx", NOW_MS - 40 * HOUR_MS, NOW_MS)
    watch(at, "bybit", NOW_MS - 40 * HOUR_MS, NOW_MS - gap[0] * minute)
    watch(at, "bybit", NOW_MS - gap[1] * minute, NOW_MS)
    assert expected == at.blind(rule(window="1h"), "all", NOW_MS - opened * minute, NOW_MS)


def test_a_venue_whose_part_of_the_total_has_left_the_window_unseen_is_blind() -> None:
    at = figures(okx="OKX", bybit="Bybit")
    watch(at, "okx", NOW_MS - 9 * HOUR_MS, NOW_MS)
    watch(at, "bybit", NOW_MS - 9 * HOUR_MS, NOW_MS - 3 * HOUR_MS)
    opened_ms = NOW_MS - 3 * HOUR_MS - 60_000
    assert ["bybit"] == at.blind(rule(window="1h"), "all", opened_ms, NOW_MS)
    assert [] == at.blind(rule(window="1h"), "all", NOW_MS - HOUR_MS, NOW_MS)  # it had no part in this one


def test_a_venue_that_was_switched_off_is_not_blind() -> None:
    at = figures(okx="OKX")
    watch(at, "okx", NOW_MS - HOUR_MS, NOW_MS)
    watch(at, "gate", NOW_MS - HOUR_MS, NOW_MS - 600_000)
    assert [] == at.blind(rule(), "all", NOW_MS - HOUR_MS, NOW_MS)  # else nothing would clear for a day


def due(judging: Judging) -> list[tuple[str, str]]:
    return [(one.name, scope) for one, scope in judging.due()]


def test_only_rules_of_the_changed_total_are_asked() -> None:
    judging = Judging(
        [rule(name="all"), rule(name="hour", window="1h"), rule(name="btc", scope="base=BTC"),
         rule(name="coins", scope="each base"), rule(name="venues", scope="each venue")]
    )  # fmt: skip
    for scope in ("all", "base=BTC", "venue=okx", "venue=okx,base=BTC"):
        judging.touch("24h", scope)
    assert [("all", "all"), ("btc", "base=BTC"), ("coins", "base=BTC"), ("venues", "venue=okx")] == due(judging)
    assert [] == due(judging)


def test_a_pair_is_asked_by_the_clock_while_it_remembers_something() -> None:
    judging = Judging([rule()])
    (one,) = judging.rules.values()
    judging.touch_remembered()
    assert [] == due(judging)
    judging.ask(one, "all", 5 * MILLION, NOW_MS)
    judging.touch_remembered()
    assert [("r", "all")] == due(judging)


def test_a_rule_for_each_coin_watches_only_so_many_and_says_so() -> None:
    judging = Judging([rule(scope="each base")])
    with capture_logs() as logs:
        for number in range(MAX_SCOPES + 5):
            judging.touch("24h", f"base=C{number}")
    assert (MAX_SCOPES, 1) == (len(due(judging)), len(logs))


def test_the_place_of_a_coin_whose_total_is_zero_and_told_is_free_again() -> None:
    judging = Judging([rule(scope="each base")])
    (one,) = judging.rules.values()
    with capture_logs():
        for number in range(MAX_SCOPES):
            judging.touch("24h", f"base=C{number}")
    due(judging)
    judging.ask(one, "base=C1", 0, NOW_MS)
    judging.ask(one, "base=C2", 5 * MILLION, NOW_MS)  # open: stays
    judging.ask(one, "base=C2", 0, NOW_MS)
    with capture_logs():
        for name in ("base=NEW", "base=TOO-MANY"):
            judging.touch("24h", name)
    assert [("r", "base=NEW")] == due(judging)


def test_what_was_not_seen_counts_towards_no_hold() -> None:
    judging = Judging([rule(hold="10s", clear_hold="10s")])
    (one,) = judging.rules.values()
    for second, millions in ((0, 5), (9, 5)):
        assert judging.ask(one, "all", millions * MILLION, NOW_MS + second * 1000) is None
    judging.restart_holds(NOW_MS + 60_000)
    assert judging.ask(one, "all", 5 * MILLION, NOW_MS + 69_999) is None
    fired = judging.ask(one, "all", 5 * MILLION, NOW_MS + 70_000)
    assert fired is not None and "fired" == fired.kind
    assert judging.ask(one, "all", 0, NOW_MS + 71_000) is None
    judging.restart_holds(NOW_MS + 200_000)
    assert judging.ask(one, "all", 0, NOW_MS + 209_999) is None
    cleared = judging.ask(one, "all", 0, NOW_MS + 210_000)
    assert cleared is not None and "cleared" == cleared.kind


@pytest.mark.parametrize(
    ("rules", "expected"),
    [
        ([rule()], None),
        ([rule(thresholds=("9M",))], None),
        ([rule(name="other")], "the rule r is no longer in the settings"),
        ([rule(side="short")], "the rule r watches another total now"),
        ([rule(window="1h")], "the rule r watches another total now"),
        ([rule(scope="each base")], "the rule r watches another total now"),
    ],
)
def test_why_an_open_incident_has_no_rule(rules: list[RuleSettings], expected: str | None) -> None:
    incident = Incident.model_validate(
        {
            "incident_id": "r:all:1", "rule": "r", "scope": "all", "side": "long", "window": "24h",
            "severity": "warning", "generation": 1, "opened_ms": 1, "peak_usd": "1", "peak_at_ms": 1, "steps": (),
        }
    )  # fmt: skip
    assert expected == why_orphaned(incident, Judging(rules).rules)
