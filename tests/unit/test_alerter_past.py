"""What is normal, and when a total was last as high: from the bars."""

import asyncio
import itertools
from collections.abc import Iterable
from datetime import timedelta
from typing import Any

import pytest
import structlog
from hypothesis import given
from hypothesis import strategies as st

from liqwatch.alerter.figures import Figures
from liqwatch.alerter.history import History
from liqwatch.alerter.judging import Judging
from liqwatch.alerter.measures import Measures
from liqwatch.alerter.normals import MINUTES_NEEDED, Normals
from liqwatch.alerter.past import PastReader
from liqwatch.alerter.records import HOUR_MINUTES, Record
from liqwatch.alerter.watchedpast import WatchedPast
from liqwatch.clock import Clock
from liqwatch.coins import MAJORS
from liqwatch.coverage import CoverageBook
from liqwatch.eventlog import Entry
from liqwatch.events import Coverage
from liqwatch.following import Away, Follower
from liqwatch.settings import RuleSettings
from liqwatch.topics import COVERAGE
from liqwatch.totals import Sum
from liqwatch.wire import Bar, BarRow, Totals, encode
from tests.support.memory_log import MemoryLog
from tests.support.waiting import until

ALL = ("all", "long")
MINUTE_MS = 60_000


def test_nothing_is_normal_until_an_hour_was_seen() -> None:
    normals = Normals()
    for minute in range(MINUTES_NEEDED - 1):
        normals.minute(minute, {ALL: 6000.0})
    assert normals.per_second("all", "long") is None
    normals.minute(MINUTES_NEEDED - 1, {ALL: 6000.0})
    assert 100.0 == pytest.approx(normals.per_second("all", "long"))
    assert 0 == normals.per_second("base=NEW", "long")


def test_normal_is_the_average_of_the_day_and_a_crash_counts_little_in_it() -> None:
    normals = Normals()
    for minute in range(5000):
        normals.minute(minute, {ALL: 6000.0, ("all", "short"): 60.0} if minute != 4990 else {ALL: 10.0**9})
    assert 100.0 == pytest.approx(normals.per_second("all", "long"), rel=0.02)
    assert 101.0 == pytest.approx(normals.per_second("all", "both"), rel=0.02)


def test_what_was_normal_fades_over_quiet_days() -> None:
    normals = Normals()
    for minute in range(1440):
        normals.minute(minute, {ALL: 6000.0})
    for minute in range(1440, 3 * 1440):
        normals.minute(minute, {})
    assert 20.0 > (normals.per_second("all", "long") or 0) > 5.0


def reference(minutes: list[int], span: int, usd: int, now: int) -> int | None:
    """The last hour, apart from the present window, in which a window of whole minutes was as high."""
    found = None
    for end in range(now):
        hour = end // HOUR_MINUTES
        if (hour + 1) * HOUR_MINUTES <= now - span and sum(minutes[max(0, end - span + 1) : end + 1]) >= usd:
            found = hour * HOUR_MINUTES
    return found


@given(st.lists(st.integers(0, 50), min_size=60, max_size=600), st.integers(1, 200), st.integers(1, 3000))
def test_a_total_was_last_as_high_when_a_recount_says_so(minutes: list[int], span: int, usd: int) -> None:
    record = Record(span)
    for number, amount in enumerate(minutes):
        record.minute(number, amount)
    assert (reference(minutes, span, usd, len(minutes)), 0) == record.last_as_high(usd, len(minutes))


def test_what_no_rule_asks_for_is_let_go_of() -> None:
    record = Record(5)
    for number in range(10_000):
        record.minute(number, 10_000 - number)
    assert record.last_as_high(20_000, 10_000)[0] is not None
    record.forget(9_000)
    last, began = record.last_as_high(20_000, 10_000)
    assert (None, 9_000) == (last, began)


def rule(**changes: Any) -> RuleSettings:
    return RuleSettings.model_validate({"name": "r"} | changes)


def bar(partition: int, minute: int, *rows: tuple[str, str, int, int]) -> bytes:
    made = (BarRow(venue, base, f"{long}.5", 1, f"{short}.0", 1) for venue, base, long, short in rows)
    return encode(Bar(partition, minute * MINUTE_MS, 1, tuple(made)))


def history(*rules: RuleSettings) -> History:
    return History(rules, MAJORS)


SURGES = [
    rule(kind="surge", times=[20], floor="1M", scope="each base in others"),
    rule(kind="surge", times=[20], floor="1M", scope="class=majors"),
    rule(kind="surge", times=[20], floor="1M", scope="each venue"),
]


def test_bars_of_all_partitions_are_put_together_by_the_scopes_that_rules_ask_for() -> None:
    past = history(*SURGES)
    for minute in range(100):
        past.take(bar(0, minute, ("okx", "SOL", 600, 0), ("okx", "PEPE", 60, 0)), 100 * MINUTE_MS)
        past.take(bar(1, minute, ("bybit", "XRP", 1200, 60), ("bybit", "BTC", 6000, 0)), 100 * MINUTE_MS)
    past.settle(102 * MINUTE_MS)
    normals = past.normals
    expected = {
        "class=majors": 1801 / 60, "base=PEPE": 60.5 / 60, "base=BTC": 0, "venue=okx": 661 / 60,
        "venue=bybit": 7201 / 60, "all": 7862 / 60,
    }  # fmt: skip
    assert expected == {scope: pytest.approx(normals.per_second(scope, "long")) for scope in expected}


def test_a_bar_written_anew_takes_the_place_of_the_first_and_a_late_one_is_left_out() -> None:
    past = history(rule(kind="record", floor="1M", window="1h"))
    record = past.record(rule(kind="record", floor="1M", window="1h"))
    assert record is not None
    past.take(bar(0, 10, ("okx", "BTC", 100, 0)), 0)
    past.take(bar(0, 10, ("okx", "BTC", 300, 0)), 0)
    past.settle(11 * MINUTE_MS + 29_999)
    assert record.began is None  # not settled
    past.settle(11 * MINUTE_MS + 30_000)
    past.take(bar(1, 10, ("okx", "BTC", 900, 0)), 0)
    past.settle(60 * MINUTE_MS)
    assert [(0, 10), (None, 10)] == [record.last_as_high(usd, 200) for usd in (300_500_000, 300_500_001)]


def test_while_the_past_is_read_minutes_wait_for_the_partition_that_is_furthest_behind() -> None:
    past = history(rule(kind="record", floor="1M"))
    for partition, minute in itertools.product((0, 1), range(0, 1000, 10)):
        past.take(bar(partition, minute, ("okx", "BTC", 1, 0)), 5000 * MINUTE_MS)
        if (partition, minute) == (1, 500):
            past.settle(5000 * MINUTE_MS, behind={1})
            assert (489, False) == (past.market[-1][0] // 10 * 10 + 9, past.ready)
    past.settle(5000 * MINUTE_MS)
    assert (990, True) == (past.market[-1][0], past.ready)
    assert past.market[-1][1] == 3_000_000


def test_the_past_that_is_needed_is_that_of_the_longest_rule() -> None:
    assert 0 == history().needs
    assert 25 * 60 == history(rule(kind="cascade", side="long")).needs
    assert (30 + 1) * 1440 == history(rule(kind="record", floor="1M")).needs


class Watching:
    """What coverage says, as far as a surge asks."""

    def __init__(self, watched: float | None = None, interrupted: tuple[str, ...] = ()) -> None:
        self._watched, self._interrupted = watched, interrupted

    def unwatched_ms(self, scope: str, now_ms: int) -> int:
        return 0

    def watched(self, scope: str, span_ms: int, now_ms: int) -> float | None:
        return self._watched

    def watched_mean(self, scope: str, span_ms: int, now_ms: int) -> float | None:
        return self._watched

    def interrupted(self, scope: str, span_ms: int, now_ms: int) -> tuple[str, ...]:
        return self._interrupted


class Known:
    """A past of some minutes."""

    def __init__(self, history: History) -> None:
        self.history: History | None = history

    def cascade(self, rule: str) -> None:
        return None

    def hours(self, scope: str, span_ms: int, now_ms: int) -> tuple[int, ...]:
        return ()

    def whole_days(self, scope: str, days: int, now_ms: int) -> int:
        return 0


DAY = 1440
SURGE = rule(kind="surge", side="long", times=[20], floor="1M", window="5m")
USD = {"all": 90_000_000, "venue=okx": 60_000_000, "venue=bybit": 30_000_000}


def surge(feeds: Watching, minutes: Iterable[int], is_open: bool = False) -> tuple[int, int]:
    """Millionths of times the normal, and dollars, of 90 million now; each of the minutes brought 60,000."""
    past = history(SURGE)
    for minute in minutes:
        past.pass_minute(minute, {("all", "long"): 60_000_000_000})
    past.ready = True

    def total(window: str, scope: str) -> Sum:
        return Sum(long=USD.get(scope, 0) * 10**6)

    found = Measures(total, lambda window, prefix: (), feeds, Known(past)).take(SURGE, "all", is_open, DAY * MINUTE_MS)
    assert found is not None
    return found.value, found.usd // 10**6


def test_what_was_not_watched_of_the_last_day_makes_the_normal_no_smaller() -> None:
    """Half the day was watched and brought 300,000 in 5 minutes: 90 million are 300 times that, not 600."""
    whole, usd = surge(Watching(), range(DAY))
    assert (300_000_000, 90_000_000) == (pytest.approx(whole, rel=0.01), usd)
    blind, _ = surge(Watching(), [*range(1), *range(DAY // 2, DAY)])
    assert blind > 470_000_000
    assert 300_000_000 == pytest.approx(surge(Watching(0.5), [0, *range(DAY // 2, DAY)])[0], rel=0.25)


@pytest.mark.parametrize(
    ("interrupted", "is_open", "millions"),
    [
        ((), False, 90),
        (("okx",), False, 30),
        (("okx", "bybit"), False, 0),
        ((), True, 90),
        (("okx",), True, 30),
        (("okx", "bybit"), True, 3),  # just enough to stay open: all of it together is not over
    ],
)
def test_a_surge_is_not_judged_by_venues_that_were_away(
    interrupted: tuple[str, ...], is_open: bool, millions: int
) -> None:
    value, usd = surge(Watching(interrupted=interrupted), range(DAY), is_open)
    assert 90_000_000 == usd
    assert (1 if millions == 0 else pytest.approx(millions / 0.3 * 10**6, rel=0.01)) == value


def test_an_open_surge_steps_up_by_what_was_heard_live_and_clears_by_all_of_it() -> None:
    """A normal 5 minutes bring 300,000. Times in seconds after the first word; millions of okx and of bybit."""
    ladder = rule(kind="surge", side="long", times=[20, 100], floor="1M", window="5m", clear_hold="0s")
    past = history(ladder)
    for minute in range(DAY):
        past.pass_minute(minute, {("all", "long"): 60_000_000_000})
    past.ready = True
    figures = Figures(timedelta(hours=1), 1.0, {})
    judging = Judging([ladder])
    measures = Measures(figures.sum, figures.scopes, figures, Known(past), figures)
    began_ms = DAY * MINUTE_MS

    def say(second: int, okx: int, bybit: int) -> str | None:
        """What is told at that time."""
        now_ms = began_ms + second * 1000
        figures.take_coverage(interval("bybit", 0, now_ms))
        for scope, millions in (("all", okx + bybit), ("venue=okx", okx), ("venue=bybit", bybit)):
            row = Totals(0, "5m", scope, 1, now_ms, 1, f"{millions}000000.0", 1, "0.0", 0)
            figures.take_totals(encode(row))
        measured = measures.take(ladder, "all", judging.is_open(ladder, "all"), now_ms)
        assert measured is not None
        verdict = judging.ask(ladder, "all", measured.value, now_ms)
        return None if verdict is None else f"{verdict.kind} {verdict.threshold}"

    figures.take_coverage(interval("okx", 0, began_ms + 10_000))
    assert "fired 20" == say(0, 6, 3)
    back_ms = began_ms + 130_000
    figures.take_coverage(interval("okx", back_ms, back_ms + 900_000))
    assert None is say(135, 60, 6)  # its list of the two minutes in which it was away
    assert "stepped_up 100" == say(140, 70, 40)
    assert None is say(200, 70, 2)  # not over: of bybit alone it would be
    assert "cleared 10.0" == say(250, 2, 0)
    assert "fired 100" == say(700, 40, 0)  # heard live again for all of the window


# How far it was watched.

HOUR_MS, DAY_MS = 3_600_000, 86_400_000
NOW_MS = 500_000 * HOUR_MS


def interval(venue: str, from_ms: int, to_ms: int) -> bytes:
    fields = {
        "venue": venue, "collector": "c", "interval_id": f"{venue}{from_ms}", "kind": "watched", "from_ms": from_ms,
        "to_ms": to_ms, "open": False, "completeness": "all",
    }  # fmt: skip
    return Coverage.model_validate(fields).model_dump_json().encode()


def watched(*messages: bytes) -> WatchedPast:
    past = WatchedPast()
    for message in messages:
        past.take(message)
    past.caught_up = True
    return past


BEFORE = (interval("bybit", NOW_MS - 20 * DAY_MS, NOW_MS), interval("okx", NOW_MS - 20 * DAY_MS, NOW_MS))


@pytest.mark.parametrize(("span_ms", "hours"), [(MINUTE_MS, 480), (DAY_MS, 458)])
def test_a_venue_that_was_enabled_today_makes_no_earlier_hour_unknown(span_ms: int, hours: int) -> None:
    enabled = watched(*BEFORE, interval("htx", NOW_MS - 5 * HOUR_MS // 2, NOW_MS))
    expected = watched(*BEFORE).hours("all", span_ms, NOW_MS)
    assert hours == len(expected or ())
    assert expected == enabled.hours("all", span_ms, NOW_MS)


def test_a_venue_that_was_away_still_counts_and_no_hour_is_known_before_the_first_of_all() -> None:
    away = (interval("htx", NOW_MS - 9 * HOUR_MS, NOW_MS - 6 * HOUR_MS), interval("htx", NOW_MS - HOUR_MS, NOW_MS))
    known = watched(*BEFORE, *away).hours("all", MINUTE_MS, NOW_MS) or ()
    now = NOW_MS // HOUR_MS
    assert {now - 9, now - 8, now - 7, now - 1} == {hour for hour in known if hour >= now - 9}
    together = watched(interval("okx", NOW_MS - 4 * HOUR_MS, NOW_MS), interval("htx", NOW_MS - 4 * HOUR_MS + 5, NOW_MS))
    assert {now - 3, now - 2, now - 1} == together.hours("all", HOUR_MS, NOW_MS)


watches = st.lists(
    st.tuples(st.sampled_from(["okx", "gate", "htx"]), st.integers(0, 59), st.integers(1, 30)),
    min_size=1,
    max_size=12,
    unique_by=lambda one: one[:2],
)


@given(watches, st.sampled_from([5 * MINUTE_MS, HOUR_MS, 90 * MINUTE_MS, DAY_MS]))
def test_an_hour_can_be_compared_with_where_a_recount_of_its_minutes_says_so(
    some: list[tuple[str, int, int]], span_ms: int
) -> None:
    """Each venue was watched in half hours, so many from the end and so many long."""
    half = HOUR_MS // 2
    known = {name: set[int]() for name, _, _ in some}
    messages = []
    for name, back, length in some:
        start = NOW_MS - (back + 1) * half
        end = min(NOW_MS, start + length * half)
        messages.append(interval(name, start, end))
        known[name].update(range(start // MINUTE_MS, end // MINUTE_MS))
    found = watched(*messages).hours("all", span_ms, NOW_MS)
    recounted = set()
    today = [minutes for minutes in known.values() if (max(minutes) + 1) * MINUTE_MS > NOW_MS - DAY_MS]
    first = min((min(minutes) for minutes in today), default=0)
    for hour in range(NOW_MS // HOUR_MS - 720, NOW_MS // HOUR_MS):
        start, end = (hour * HOUR_MS - span_ms) // MINUTE_MS, (hour + 1) * 60
        asked = [(minutes, max(start, min(minutes))) for minutes in today if min(minutes) < end]
        shares = [len(minutes.intersection(range(since, end))) / (end - since) for minutes, since in asked]
        most = (end - max(start, first)) / (end - start)
        if shares and min(sum(shares) / len(shares), most) >= 0.9:
            recounted.add(hour)
    assert frozenset(recounted) == found


async def test_days_are_not_counted_before_they_are_read_and_old_coverage_is_let_go_of(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The reader, on a log: what it knows of how far the past was watched."""
    log, ahead = MemoryLog(), [0]
    forgotten: list[int] = []
    forget = CoverageBook.forget

    def spy(book: CoverageBook, now_ms: int) -> None:
        forgotten.append(now_ms)
        forget(book, now_ms)

    monkeypatch.setattr(CoverageBook, "forget", spy)

    def follow(topic: Any, start: Any, take: Any, then: Any) -> Follower:
        words = structlog.get_logger("test")
        return Follower(log, topic, start, take, Away(words), words, then=then)

    clock = Clock(wall=lambda: (NOW_MS + ahead[0]) / 1000)
    changes: list[int] = []
    record = rule(kind="record", floor="1M")
    reader = PastReader(follow, clock, [record], MAJORS, lambda: changes.append(1))
    assert reader.whole_days("all", 30, NOW_MS) is None
    await log.append(COVERAGE, [Entry(b"okx", interval("okx", NOW_MS - 3 * DAY_MS, NOW_MS), NOW_MS, 0)])
    running = asyncio.create_task(reader.run())
    try:
        await until(lambda: reader.whole_days("all", 30, NOW_MS) == 3)
        first = len(forgotten)
        assert first <= 1
        ahead[0] = HOUR_MS - 1000
        await log.append(COVERAGE, [Entry(b"okx", interval("okx", NOW_MS, NOW_MS + ahead[0]), NOW_MS, 0)])
        await until(lambda: reader.whole_days("all", 30, NOW_MS + ahead[0]) == 3)
        assert first == len(forgotten)
        ahead[0] = HOUR_MS + 1000
        await until(lambda: len(forgotten) == first + 1)
        assert NOW_MS + ahead[0] == forgotten[-1]
    finally:
        running.cancel()
        await asyncio.wait([running])


def test_a_side_without_its_share_is_judged_as_next_to_nothing_and_keeps_its_place() -> None:
    """Only a total of zero gives up the place of its coin."""
    share = rule(side="long", thresholds=("1M",), share="85%")

    def judged(long: int, short: int) -> tuple[int, int]:
        measures = Measures(lambda *_: Sum(long, short), lambda *_: (), Watching(), Known(history(share)))
        found = measures.take(share, "base=BTC", False, NOW_MS)
        assert found is not None
        return found.value, found.usd

    assert (1, 2 * 10**12) == judged(2 * 10**12, 10**12)
    assert (2 * 10**12, 2 * 10**12) == judged(2 * 10**12, 0)
    assert (0, 0) == judged(0, 10**12)
