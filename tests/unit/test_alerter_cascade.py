"""What is a cascade, what is not, and when it is said."""

import math
import random
from collections.abc import Iterator

import pytest

from liqwatch.alerter.cascade import Cascade, Knobs
from liqwatch.alerter.stories import Facts, story
from liqwatch.alerter.text import Snapshot
from liqwatch.settings import RuleSettings

MILLION = 10**12  # micro-dollars
MINUTE_MS = 60_000
START_MS = 1_764_000_000_000
Event = tuple[int, float, int]  # time, logarithm of the index, micro-dollars


def calm(minutes: int, seed: int, *, start_ms: int = START_MS, index: float = 10.0) -> Iterator[Event]:
    """About $20K a minute of heavy-tailed sizes, prices that wander."""
    luck, at_ms = random.Random(seed), float(start_ms)
    while at_ms < start_ms + minutes * MINUTE_MS:
        at_ms += luck.expovariate(1 / 3000)
        index += luck.gauss(0, 0.00003)
        yield int(at_ms), index, int(luck.lognormvariate(5, 1.8) * 1_000_000)


def falling(minutes: int, fall: float, per_minute: int, *, start_ms: int, index: float = 10.0) -> Iterator[Event]:
    """An event each second, while the index falls evenly."""
    for second in range(minutes * 60):
        yield start_ms + second * 1000, index + math.log(1 - fall * second / minutes / 60), per_minute // 60


def play(cascade: Cascade, *courses: Iterator[Event], until_ms: int | None = None) -> list[tuple[int, int]]:
    """(stage, seconds after the start) at every change of the stage."""
    told: list[tuple[int, int]] = []
    stage = 0

    def look(at_ms: int) -> None:
        nonlocal stage
        if cascade.stage != stage:
            stage = cascade.stage
            told.append((stage, (at_ms - START_MS) // 1000))

    last_ms = START_MS
    for course in courses:
        for at_ms, index, usd in course:
            cascade.price(at_ms, index)
            cascade.liquidation(at_ms, usd)
            look(at_ms)
            last_ms = at_ms
    for at_ms in range(last_ms, until_ms or last_ms, MINUTE_MS):
        cascade.tick(at_ms)
        look(at_ms)
    return told


@pytest.mark.parametrize("seed", range(3))
def test_a_calm_day_says_nothing(seed: int) -> None:
    assert [] == play(Cascade("long"), calm(1440, seed))


def test_a_large_order_alone_says_nothing() -> None:
    assert [] == play(Cascade("long"), iter([(START_MS, 10.0, 25 * MILLION), (START_MS + 1000, 10.0, MILLION)]))


def test_a_fall_with_few_liquidations_says_nothing() -> None:
    assert [] == play(Cascade("long"), falling(10, 0.03, MILLION // 16, start_ms=START_MS))


def test_a_slow_bleed_says_nothing() -> None:
    assert [] == play(Cascade("long"), falling(720, 0.05, MILLION * 6 // 10, start_ms=START_MS))


def test_a_fall_with_many_is_told_at_once_and_again_as_an_alert_with_its_legs_and_its_end() -> None:
    cascade = Cascade("long")
    told = play(cascade, falling(10, 0.03, 5 * MILLION, start_ms=START_MS), until_ms=START_MS + 50 * MINUTE_MS)
    # A normal minute is $30K at least, so 60 times 5 of them are $9M: after 108 s; the fall is 1 % after 200 s.
    assert [1, 2, 3, 4, 0] == [stage for stage, _ in told]
    (_, begun), (_, alert), _, _, (_, over) = told
    assert (199 <= begun <= 201, 297 <= alert <= 302, 2380 <= over <= 2460) == (True, True, True)
    assert cascade.last is not None
    assert (30 * MILLION < cascade.last.usd <= 50 * MILLION, 25 * MILLION - 100) == (True, cascade.last.peak)
    assert 0.0295 < cascade.last.fall < 0.0301
    assert 3 <= cascade.last.legs <= 6


def test_shorts_are_the_mirror() -> None:
    course = list(falling(10, 0.03, 5 * MILLION, start_ms=START_MS))
    mirrored = [(at_ms, 20.0 - index, usd) for at_ms, index, usd in course]
    assert play(Cascade("long"), iter(course)) == play(Cascade("short"), iter(mirrored))
    assert [] == play(Cascade("short"), iter(course))


def test_a_second_wave_after_its_end_is_a_cascade_of_its_own() -> None:
    second_ms = START_MS + 50 * MINUTE_MS
    told = play(
        Cascade("long"),
        falling(8, 0.03, 5 * MILLION, start_ms=START_MS),
        falling(8, 0.03, 5 * MILLION, start_ms=second_ms, index=9.97),
    )
    assert 2 == [stage for stage, _ in told].count(2)


def test_a_second_wave_soon_after_the_first_is_the_same() -> None:
    told = play(
        Cascade("long"),
        falling(8, 0.03, 5 * MILLION, start_ms=START_MS),
        falling(8, 0.03, 5 * MILLION, start_ms=START_MS + 18 * MINUTE_MS, index=9.97),
    )
    assert 1 == [stage for stage, _ in told].count(1)


def test_without_a_fresh_price_nothing_is_said() -> None:
    cascade = Cascade("long")
    cascade.price(START_MS, 10.0)
    for second in range(1800, 2400):
        cascade.liquidation(START_MS + second * 1000, MILLION)
    assert (0, None) == (cascade.stage, cascade.fall())


def test_an_event_of_long_ago_is_left_out_and_counted() -> None:
    cascade = Cascade("long")
    cascade.price(START_MS, 10.0)
    cascade.liquidation(START_MS, MILLION)
    cascade.liquidation(START_MS - 600_000, 50 * MILLION)
    assert (1, MILLION) == (cascade.late, cascade.five)


def test_yesterdays_crash_hides_no_second_one() -> None:
    once, again = Cascade("long"), Cascade("long")
    for minute in range(1440):
        once.learn(minute, 20_000)
        again.learn(minute, 20_000 if minute != 700 else 400_000_000)
    assert again.normal <= once.normal * 1.02 + 1


def test_a_start_in_the_middle_knows_the_normal_of_the_minutes_before() -> None:
    busy = Cascade("long")
    for minute in range(START_MS // MINUTE_MS - 1440, START_MS // MINUTE_MS):
        busy.learn(minute, 600_000)  # twenty times what is taken at least
    told = play(busy, falling(10, 0.03, 5 * MILLION, start_ms=START_MS))
    assert [] == told  # 60 times normal would be more than $100M here


@pytest.mark.parametrize("kind", ["stepped_up", "reminded"])
def test_what_is_told_of_a_leg_is_what_it_took_though_its_5_minutes_are_over(kind: str) -> None:
    """A clock that runs ahead of the events, as in the demo, has let go of them when the last order comes."""
    cascade = Cascade("long", Knobs(legs=(6,)))
    play(cascade, falling(6, 0.018, 5 * MILLION, start_ms=START_MS))
    assert cascade.episode is not None
    at_ms, legs = START_MS + 6 * MINUTE_MS, cascade.episode.legs
    for leg in range(legs, 6):
        for usd, wait_ms in ((9 * MILLION, 0), (1000, 400_000)):
            at_ms += wait_ms
            cascade.tick(at_ms)
            cascade.price(at_ms, 10.0 + math.log(1 - 0.018) - 0.02 * (leg - legs + 1 if usd == 1000 else 0))
            cascade.liquidation(at_ms, usd)
    assert (3, 1000) == (cascade.stage, cascade.episode.stage_five)
    rule = RuleSettings(name="c", kind="cascade", side="long")
    snapshot = Snapshot(kind, "all", "long", "5m", at_ms, rule.steps[2], 0, 0, 0)  # type: ignore[arg-type]
    told = story(rule, snapshot, Facts(times=0.0, episode=cascade.episode, fall=0.0))
    assert told is not None
    assert "$0" not in told.headline
    since = "since the leg before, " if kind == "stepped_up" else "since 20"
    assert since in told.headline
    assert " 0 % down" not in told.headline
