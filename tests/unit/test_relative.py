"""Thresholds that are times a percentile of the scope's own past, and how far that past was watched."""

import random
import time
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest

from liqwatch import replay
from liqwatch.alerter.judging import same_total
from liqwatch.alerter.percentiles import Percentiles, Yardstick
from liqwatch.alerter.rules import Memory, Verdict, judge
from liqwatch.alerter.watchedpast import WatchedPast
from liqwatch.eventlog import Entry
from liqwatch.events import Coverage
from liqwatch.relative import PERCENTILES, Relative
from liqwatch.rulewords import sentence
from liqwatch.settings import RuleSettings
from liqwatch.topics import BARS
from liqwatch.wire import Bar, BarRow, encode
from tests.support.alerter_stage import Stage, until
from tests.support.chat_server import ChatServer

from .test_replay import T0, recorded, row

DOLLAR = 10**6
MILLION = 10**6 * DOLLAR
MINUTE_MS, HOUR_MS, DAY_MS = 60_000, 3_600_000, 86_400_000


def rule(*thresholds: str, **changes: Any) -> RuleSettings:
    fields: dict[str, Any] = {"name": "r", "side": "long", "window": "1h", "floor": "5M", "clear_hold": "0s"}
    return RuleSettings.model_validate(fields | {"thresholds": thresholds} | changes)


def usual(p95: int, p99: int) -> Yardstick:
    """Micro-dollars from millions."""
    usd = {50: 0, 75: 0, 90: 0, 95: p95 * MILLION, 99: p99 * MILLION}
    return Yardstick(tuple(usd.items()), 12, 1, 30)


# What is usual.


@pytest.mark.parametrize("side", ["long", "short", "both"])
@pytest.mark.parametrize("span", [5, 60, 1440])
def test_percentiles_are_those_of_a_recount_of_every_minute(side: str, span: int) -> None:
    dice = random.Random(f"{side}{span}")
    now = 500_000 * 60 + 25  # a minute inside its hour
    minutes: dict[int, dict[tuple[str, str], int]] = {}
    for _ in range(6_000):
        minute = dice.randrange(now - 31 * 1440, now)
        sides = minutes.setdefault(minute, {})
        sides["all", dice.choice(("long", "short"))] = int(dice.expovariate(1 / 9e9))
    known = Percentiles()
    for minute in sorted(minutes):
        known.minute(minute, minutes[minute])

    def total(end: int) -> int:
        return sum(
            usd
            for minute in range(end - span + 1, end + 1)
            for (_, one), usd in minutes.get(minute, {}).items()
            if side in (one, "both")
        )

    hours = [500_000 - 168 * week + off for week in (1, 2, 3, 4) for off in (-1, 0, 1)]
    samples = sorted(total(hour * 60 + minute) for hour in hours for minute in range(60))
    expected = tuple((p, samples[-(-p * 720 // 100) - 1]) for p in PERCENTILES)
    assert Yardstick(expected, 12, 1, 30 if span < 1440 else 29) == known.yardstick(("all", side), span, now, None)


def hourly(days: int, usd: int = 7, now: int = 500_000) -> Percentiles:
    """The first minute of every hour up to the hour `now` brings the same."""
    known = Percentiles()
    for hour in range(now - 24 * days - 1, now):
        known.minute(hour * 60, {("all", "long"): usd})
    return known


def test_with_less_history_the_hours_beside_it_are_taken_and_with_too_little_nothing_is_said() -> None:
    now, key = 500_000 * 60, ("all", "long")
    flat = tuple((p, 7) for p in PERCENTILES)
    assert Yardstick(flat, 11, 3, 14) == hourly(14).yardstick(key, 60, now, None)  # 7 hours of one week, 4 of another
    assert Yardstick(flat, 15, 2, 22) == hourly(22).yardstick(key, 60, now, None)  # 5 hours in each of three
    assert None is hourly(13).yardstick(key, 60, now, None)


def test_hours_that_were_not_watched_are_left_out() -> None:
    now, key = 500_000, ("all", "long")
    watched = {hour for hour in range(now - 720, now) if now - hour not in (167, 168, 169)}
    known = hourly(30).yardstick(key, 60, now * 60, watched)
    assert (known and known.hours, known and known.near) == (17, 2)  # with one either side there would be 9
    assert None is hourly(30).yardstick(key, 60, now * 60, range(now - 13 * 24, now))


def test_what_is_usual_is_measured_once_an_hour() -> None:
    known, key = hourly(30), ("all", "long")
    first = known.yardstick(key, 60, 500_000 * 60, None)
    known.minute(500_000 * 60, {key: 10**9})
    assert first is known.yardstick(key, 60, 500_000 * 60 + 59, None)
    assert first is not known.yardstick(key, 60, 500_001 * 60, None)


def test_what_is_too_old_is_let_go_of_and_changes_no_later_total() -> None:
    known, key = hourly(60), ("all", "long")
    before = known.yardstick(key, 60, 500_000 * 60, None)
    known.forget(500_000 * 60 - 31 * 1440)
    known.minute(500_000 * 60, {})
    assert before == known.yardstick(key, 60, 500_000 * 60 + 1, None)
    known.forget(500_001 * 60)
    assert tuple((p, 0) for p in PERCENTILES) == (known.yardstick(key, 60, 500_167 * 60, None) or before)[0]  # type: ignore[index]


# What the rule makes of it.


def test_steps_are_times_the_percentile_rounded_up_to_three_digits() -> None:
    ladder = rule("2 x p95", "3 x p99").ladder_at(usual(p95=100, p99=137).usd)
    assert [(200 * MILLION, Decimal(200_000_000)), (411 * MILLION, Decimal(411_000_000))] == list(ladder.steps)
    odd = tuple((p, 137_456_789_123_456) for p in PERCENTILES)  # 3 times is 412,370,367.37
    assert (413 * MILLION, Decimal(413_000_000)) == rule("3x p99").ladder_at(odd).steps[0]


def test_no_step_is_under_the_floor_and_they_keep_their_distances() -> None:
    steps = rule("3 × p99", "6 x p99", floor="5M").ladder_at(usual(0, 0).usd).steps
    assert [5 * MILLION, 10 * MILLION] == [least for least, _ in steps]


def test_an_open_incident_keeps_the_steps_of_its_opening_and_clears_at_a_share_of_them() -> None:
    one, then, later = rule("3 x p99", "5 x p99"), usual(50, 100), usual(50, 300)
    assert (None, Memory()) == judge(one, 299 * MILLION, Memory(), 0, then)
    verdict, memory = judge(one, 300 * MILLION, Memory(), 1, then)
    assert Verdict("fired", Decimal(300_000_000), 300 * MILLION, yardstick=then) == verdict
    assert (None, memory) == judge(one, 499 * MILLION, memory, 2, later)
    assert (None, memory) == judge(one, 270 * MILLION, memory, 3, later)  # far under the first step of now
    verdict, up = judge(one, 500 * MILLION, memory, 4, later)
    assert Verdict("stepped_up", Decimal(500_000_000), 500 * MILLION, yardstick=then) == verdict
    verdict, over = judge(one, 270 * MILLION - 1, up, 5, later)
    assert (Verdict("cleared", Decimal(270_000_000), 270 * MILLION - 1, yardstick=then), Memory()) == (verdict, over)
    assert (None, Memory()) == judge(one, 600 * MILLION, over, 6, later)


def test_while_it_is_not_known_what_is_usual_nothing_fires_and_nothing_clears() -> None:
    one = rule("3 x p99", hold="10s")
    assert (None, Memory()) == judge(one, 900 * MILLION, Memory(), 0)
    waiting = Memory(above_since_ms=0)
    assert (None, waiting) == judge(one, 900 * MILLION, waiting, 5)
    assert (None, Memory()) == judge(one, 1, waiting, 5)
    told = Memory(told=Decimal(300_000_000))
    assert (None, told) == judge(one, 1, told, 5)


def test_a_reload_of_the_steps_goes_on_with_what_was_usual() -> None:
    before, after = rule("3 x p99"), rule("2 x p95", "4 x p99")
    assert same_total(before, after)
    _, memory = judge(before, 300 * MILLION, Memory(), 0, usual(50, 100))
    verdict, _ = judge(after, 400 * MILLION, memory, 1, usual(1, 1))
    assert ("stepped_up", Decimal(400_000_000)) == (verdict and verdict.kind, verdict and verdict.threshold)


@pytest.mark.parametrize("text", ["3 x p99", "3x p99", "3xP99", "3.0 × p99", " 3 x p99 "])
def test_times_a_percentile_is_read_as_people_write_it(text: str) -> None:
    assert (Relative(Decimal(3), 99),) == rule(text).thresholds


def test_a_relative_rule_is_told_as_a_sentence() -> None:
    assert (
        "tells when longs liquidated in 1h over all venues reach 2 x p95, 3.5 x p99 of the same in the last 30 days "
        "around this hour of the week, and $5M; it needs 14 days of history; clears below 90 % of the first of these "
        "as of the crossing; warning, to desk"
    ) == sentence(rule("2 x p95", "3.5 x p99"), ("desk",))


# On the stage.


def half_past() -> float:
    """So far ahead of the wall clock it is half past some hour: no hour ends within a test."""
    return 1800 - time.time() % 3600


def stage(chat: ChatServer, *rules: dict[str, Any], **more: Any) -> Stage:
    return Stage(list(rules), {"desk": chat.target("webhook")}, ahead_seconds=half_past(), **more)


RELATIVE: dict[str, Any] = {
    "name": "r", "side": "long", "window": "1h", "thresholds": ["2 x p50", "3 x p50", "3 x p99"], "floor": "5M",
    "clear_hold": "0s",
}  # fmt: skip


async def bar(on: Stage, hour: int, millions: int) -> None:
    """The first minute of an hour brought so much: so much is the total of one hour in all its minutes."""
    line = BarRow("bybit", "BTC", f"{millions}000000.000000", 1, "0.000000", 0)
    await on.log.append(BARS, [Entry(b"0", encode(Bar(0, hour * HOUR_MS, 1, (line,))), hour * HOUR_MS, 0)])


def headlines(chat: ChatServer) -> list[str]:
    return [message.body["headline"] for message in chat.accepted]


async def test_a_level_is_told_with_what_it_meant_and_keeps_it_over_a_restart_and_into_the_next_hour() -> None:
    """12 hours are looked at, with 10 to 120 million: the middle one is 60, the highest 120. Twice 60 is 120."""
    async with ChatServer() as chat, stage(chat, RELATIVE, venues={"bybit": "Bybit"}) as on:
        now = on.clock.now_ms() // HOUR_MS
        near = {now - 168 * week + off: 10 * (3 * week + off - 1) for week in (1, 2, 3, 4) for off in (-1, 0, 1)}
        after = {now + 2 - 168 * week: 999 for week in (1, 2, 3, 4)}
        for hour in range(now - 720, now):
            await bar(on, hour, (near | after).get(hour, 5))
        await on.watched("bybit", on.clock.now_ms() - 32 * DAY_MS, on.clock.now_ms() + 2 * HOUR_MS)
        one = await on.start()
        await on.total(119_000_000, window="1h")
        await on.total(150_000_000, window="1h")
        await chat.wait_for(1)
        await until(lambda: one.metric("liqwatch_rule_history_days", rule="r") == 29)
        await one.kill()
        on.ahead_seconds += 3600  # usual at this hour is another figure
        await on.start()
        await on.total(185_000_000, window="1h")
        await chat.wait_for(2)
        await on.total(108_000_000, window="1h")
        await on.total(107_999_999, window="1h")
        await chat.wait_for(3)
        past = "of its last 30 days at this hour"
        assert [
            f"$150M of longs liquidated in 1 hour, past 2 x p50 {past}, $120M.",
            f"$185M of longs liquidated in 1 hour, now past 3 x p50 {past}, $180M.",
            "Cleared: longs liquidated in 1 hour back under $108M, 90 % of what it fired at, now $107M of longs "
            "liquidated in 1 hour.",
        ] == headlines(chat)
        (incident,) = on.incidents()
        assert ["120000000", "180000000", "108000000"] == [step.threshold for step in incident.steps]
        assert incident.usual is not None
        assert ("60000000.000000", "120000000.000000", 12) == (
            incident.usual.percentiles_usd["p50"], incident.usual.percentiles_usd["p99"], incident.usual.hours
        )  # fmt: skip
        assert (
            "Usual for 1 hour at this hour of the week and up to 1 h beside it: p50 $60.0M, p99 $120M; of 12 hours on "
            "the 29 days that are known of the last 30."
        ) in incident.steps[0].text


@pytest.mark.parametrize(("bar_days", "watched_days"), [(10, 32), (30, 10)])
async def test_with_too_little_history_nothing_fires_and_the_metric_says_how_much_there_is(
    bar_days: int, watched_days: int
) -> None:
    plain = {"name": "l", "thresholds": ["1B"], "window": "1h"}
    async with ChatServer() as chat, stage(chat, RELATIVE, plain, venues={"bybit": "Bybit"}) as on:
        now = on.clock.now_ms() // HOUR_MS
        for hour in range(now - 24 * bar_days, now):
            await bar(on, hour, 5)
        await on.watched("bybit", on.clock.now_ms() - watched_days * DAY_MS, on.clock.now_ms() + HOUR_MS)
        one = await on.start()
        await on.total(2_000_000_000, window="1h")
        await chat.wait_for(1)
        await until(lambda: one.metric("liqwatch_rule_history_days", rule="r") == 9)
        assert ["l"] == [message.body["rule"] for message in chat.accepted]


async def test_the_end_of_a_gap_is_no_surge_and_a_surge_without_it_is_one() -> None:
    surge = {"name": "s", "kind": "surge", "side": "long", "times": [20], "floor": "5M"}
    plain = {"name": "l", "thresholds": ["8M"], "side": "long", "window": "5m"}
    async with ChatServer() as chat, stage(chat, surge, plain, venues={"okx": "OKX", "bybit": "Bybit"}) as on:
        now_ms = on.clock.now_ms()
        for minute in range(now_ms // MINUTE_MS - 1500, now_ms // MINUTE_MS - 1):
            line = BarRow("bybit", "BTC", "60000.000000", 1, "0.000000", 0)
            value = encode(Bar(0, minute * MINUTE_MS, 1, (line,)))
            await on.log.append(BARS, [Entry(b"0", value, minute * MINUTE_MS, 0)])
        await on.watched("bybit", now_ms - 2 * DAY_MS, now_ms + HOUR_MS)
        await on.watched("okx", now_ms - 2 * DAY_MS, now_ms - 30 * MINUTE_MS, open=False)
        await on.watched("okx", now_ms - 30_000, now_ms + HOUR_MS)
        await on.start()
        await on.total(8_000_000, window="5m", scope="venue=okx")
        await on.total(9_000_000, window="5m")  # 30 times the normal: what OKX brings is of before
        await chat.wait_for(1)
        await on.total(17_000_000, window="5m")
        await chat.wait_for(2)
        assert ["l", "s"] == [message.body["rule"] for message in chat.accepted]
        step = next(one for one in on.incidents() if one.rule == "s").steps[0]
        assert "Judged without OKX: not watched for all of the 5 minutes." in step.text
        assert 28 < float(step.value or 0) < 31  # 9 million against 300,000, less the half hour of one venue


async def test_a_record_says_of_how_many_days_it_is_known() -> None:
    record = {"name": "r", "kind": "record", "side": "long", "window": "1h", "days": [2, 4], "floor": "1M"}
    async with ChatServer() as chat, stage(chat, record) as on:
        now_ms = on.clock.now_ms()
        await bar(on, now_ms // HOUR_MS - 72, 30)
        await on.watched("bybit", now_ms - 5 * DAY_MS, now_ms - int(1.5 * DAY_MS), open=False)
        await on.watched("bybit", now_ms - int(1.4 * DAY_MS), now_ms + HOUR_MS)
        await on.start()
        await on.total(25_000_000, window="1h")
        await chat.wait_for(1)
        (headline,) = headlines(chat)
        assert "$25.0M of longs liquidated in 1 hour, the most since 20" in headline
        assert headline.endswith(" (3 of the last 4 days with full coverage).")


# How far the past was watched.


def coverage(venue: str, from_ms: int, to_ms: int, **changes: Any) -> bytes:
    fields: dict[str, Any] = {
        "venue": venue, "collector": "c", "interval_id": f"{venue}{from_ms}", "kind": "watched", "from_ms": from_ms,
        "to_ms": to_ms, "open": False, "completeness": "all",
    }  # fmt: skip
    return Coverage.model_validate(fields | changes).model_dump_json().encode()


NOW = 500_000


def watched(*messages: bytes) -> WatchedPast:
    past = WatchedPast()
    for message in messages:
        past.take(message)
    past.caught_up = True
    return past


def test_an_hour_can_be_compared_with_where_its_venues_were_watched_for_nine_tenths_of_it() -> None:
    at = NOW * HOUR_MS
    past = watched(
        coverage("okx", at - 10 * HOUR_MS, at - 5 * HOUR_MS + 1),
        coverage("okx", at - 4 * HOUR_MS, at),
        coverage("bybit", at - 10 * HOUR_MS, at),
        coverage("gone", at - 90 * HOUR_MS, at - 80 * HOUR_MS),  # nobody watches it today
    )
    assert {NOW - n for n in (10, 9, 8, 7, 6, 4, 3, 2, 1)} == past.hours("all", 1, at)
    assert {NOW - n for n in range(1, 11)} == past.hours("venue=bybit", 1, at)
    assert {NOW - n for n in (9, 8, 7, 6, 3, 2, 1)} == past.hours("all", HOUR_MS, at)  # the window before it, too
    assert set() == past.hours("venue=gone", 1, at)


def test_a_day_is_whole_where_each_venue_was_watched_in_full() -> None:
    at = NOW * HOUR_MS
    past = watched(
        coverage("bybit", at - 4 * DAY_MS, at),
        coverage("okx", at - 4 * DAY_MS, at - DAY_MS - HOUR_MS),
        coverage("okx", at - DAY_MS - HOUR_MS // 2, at),
    )
    asked = (("all", 2), ("all", 4), ("venue=bybit", 4), ("venue=bybit", 9))
    assert [1, 3, 4, 4] == [past.whole_days(scope, days, at) for scope, days in asked]


def test_until_it_has_been_read_nothing_is_known_and_a_filled_gap_is_watched() -> None:
    at = NOW * HOUR_MS
    past = watched(coverage("okx", at - 2 * DAY_MS, at - DAY_MS), coverage("okx", at - DAY_MS + HOUR_MS, at))
    past.caught_up = False
    assert (None, None) == (past.hours("all", 1, at), past.whole_days("all", 2, at))
    past.caught_up = True
    assert 1 == past.whole_days("all", 2, at)
    past.take(coverage("okx", at - DAY_MS, at - DAY_MS + HOUR_MS, kind="filled"))
    assert 2 == past.whole_days("all", 2, at + 61_000)


# On recorded days.


def test_replay_judges_by_the_days_before_and_says_what_it_meant(tmp_path: Any) -> None:
    rows = [row(f"h{hour}", T0 + hour * HOUR_MS, "100") for hour in range(480)]
    rows += [row("x", T0 + 480 * HOUR_MS, "250"), row("y", T0 + 480 * HOUR_MS + 60_000, "50")]
    rows += [row("z", T0 + 482 * HOUR_MS, "1")]
    made = {"name": "r", "side": "long", "window": "1h", "thresholds": ["3 x p99", "9 x p99"], "floor": "150"}
    one = RuleSettings.model_validate(made | {"clear_hold": "0s"})
    timeline: list[str] = []
    path = recorded(tmp_path / "days.jsonl", rows)
    alerts = replay.run([path], (one,), [timedelta(hours=1)], timeline=timeline)["alerts"]
    assert [
        ("fired", T0 + 480 * HOUR_MS + 60_000, "300.000000", "300"),
        ("cleared", T0 + 482 * HOUR_MS, "0.000000", "270.0"),
    ] == [(a["kind"], a["at_ms"], a["usd"], a["threshold"]) for a in alerts]
    assert "$300 of longs liquidated in 1 hour, past 3 x p99 of its last 30 days at this hour, $300." in timeline[0]
    short = recorded(tmp_path / "short.jsonl", [replaced for replaced in rows if replaced["event_id"] != "h0"][170:])
    assert [] == replay.run([short], (one,), [timedelta(hours=1)])["alerts"]
