"""What cannot be is held back, and a real crash is not: prices, sizes, contracts, sides, and silence in a cascade."""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace as changed
from prometheus_client import CollectorRegistry

from liqwatch.clock import Clock
from liqwatch.collector import guard as guarding
from liqwatch.collector.guard import Guard
from liqwatch.collector.herd import Herd
from liqwatch.collector.intake import Intake
from liqwatch.collector.meter import Meter
from liqwatch.collector.sides import Sides
from liqwatch.events import Price, Reason, RejectedFrame, plain
from liqwatch.metrics import CollectorMetrics
from liqwatch.topics import LIQUIDATIONS
from liqwatch.venues.base import FrameKind, Received
from liqwatch.wire import Liquidation, decode_liquidation
from tests.support.collecting import QUICK, collecting, coverage, ids, messages, rejected
from tests.support.fake_venue import FAKE, LISTING, PATH, liquidation_frame
from tests.support.memory_log import MemoryLog
from tests.support.venue_server import VenueServer
from tests.support.waiting import until

AT = 1_795_000_000_000
MINUTE = 60_000


def event(price: float, *, side: str = "long", usd: str = "100", symbol: str = "BTCUSDT") -> Liquidation:
    place = ("gate", symbol, "BTC", "USDT")
    return Liquidation("e", *place, side, f"{price:.10f}", "order", "1", usd, AT, AT, "venue", "stream", "order")


def guard(*, doubted: Iterable[str] = (), largest: float = 1e9) -> Guard:
    return Guard(largest, 5.0, set(doubted))


def passes(made: Guard, prices: Iterable[float], *, start: int = AT, every_ms: int = 1000) -> list[bool]:
    """Which of the prices get through, one every so often."""
    found = []
    for place, price in enumerate(prices):
        found.append(made.judge(event(price), price, start + place * every_ms) is None)
    return found


def test_a_price_ten_times_off_is_held_back_and_says_why() -> None:
    made = guard()
    assert [True] * 3 == passes(made, [100.0, 101.0, 99.0])
    for price, at in ((1000.0, 3000), (10.0, 4000)):
        held = made.judge(event(price), price, AT + at)
        assert held is not None
        assert (Reason.IMPLAUSIBLE_PRICE, True) == (held[0], held[1].endswith("where the venue's latest are near 100"))
    assert made.judge(event(98.0), 98.0, AT + 5000) is None


def test_too_few_prices_and_old_ones_judge_nothing() -> None:
    assert [True, True, True] == passes(guard(), [100.0, 100.0, 1.0])
    made = guard()
    passes(made, [100.0] * 20)
    assert [True] == passes(made, [1.0], start=AT + 11 * MINUTE)
    other = guard()
    passes(other, [100.0] * 20)
    assert other.judge(event(1.0, symbol="ETHUSDT"), 1.0, AT + 30_000) is None


@pytest.mark.parametrize("seconds", [10, 60, 180])
def test_a_crash_of_ninety_percent_is_not_held_back(seconds: int) -> None:
    made = guard()
    passes(made, [100.0] * 600)
    fall = [100.0 * 0.1 ** (second / seconds) for second in range(seconds + 1)]
    assert [True] * len(fall) == passes(made, fall, start=AT + 600_000)
    rise = [10.0 * 20 ** (second / seconds) for second in range(seconds + 1)]
    assert [True] * len(rise) == passes(made, rise, start=AT + 600_000 + seconds * 1000)


def test_a_level_that_stays_is_taken_after_a_few_different_seconds() -> None:
    made = guard()
    passes(made, [100.0] * 30)
    assert [False] * 4 + [True] * 6 == passes(
        made, [7.0, 7.1, 7.0, 6.9, 7.0, 7.2, 6.0, 9.0, 7.0, 7.0], start=AT + 31_000
    )
    assert [False] == passes(made, [100.0], start=AT + 42_000)


def test_many_at_one_moment_are_not_a_level_that_stays() -> None:
    made = guard()
    passes(made, [100.0] * 30)
    assert [False] * 50 == passes(made, [1000.0] * 50, start=AT + 31_000, every_ms=1)


def held_back(made: Guard, prices: Iterable[float], *, start: int, every_ms: int = 1000) -> list[str]:
    """Takes an event of each price, named by its place; returns what is released meanwhile, in order."""
    released: list[str] = []
    for place, price in enumerate(prices):
        made.judge(changed(event(price), event_id=str(place)), price, start + place * every_ms)
        released += [one.event_id for one in made.release()]
    return released


def test_what_was_held_back_at_a_level_that_stays_is_released_once_and_in_order() -> None:
    made = guard()
    passes(made, [100.0] * 30)
    assert ["0", "1", "2", "3"] == held_back(made, [7.0, 7.1, 7.0, 6.9, 7.0], start=AT + 300_000)
    assert [] == held_back(made, [7.2, 6.0, 9.0, 7.0], start=AT + 305_000)


def test_what_is_absurd_at_either_level_stays_held_back() -> None:
    made = guard()
    passes(made, [100.0] * 30)
    prices = [7.0, 1e6, 7.1, 0.001, 7.0, 6.9, 20.0, 7.0]
    assert ["0", "2", "4", "5"] == held_back(made, prices, start=AT + 31_000)
    assert [True] == passes(made, [7.0], start=AT + 40_000)
    assert [False] == passes(made, [1e6], start=AT + 41_000)


def test_the_middle_of_a_new_level_knows_nothing_of_strays() -> None:
    made = guard()
    passes(made, [100.0] * 30)
    held_back(made, [7.0, 1e6, 7.1, 1e6, 7.0, 1e6, 7.0, 1e6, 7.0], start=AT + 31_000)
    assert [True, False] == passes(made, [7.0, 1e6], start=AT + 41_000)


def test_a_burst_at_the_new_level_hides_none_of_its_seconds_and_is_released_whole() -> None:
    made = guard()
    passes(made, [100.0] * 30)
    released = held_back(made, [7.0 + (n % 10) / 10 for n in range(410)], start=AT + 31_000, every_ms=10)
    assert [str(n) for n in range(400)] == released


def test_what_was_held_back_long_ago_is_not_released() -> None:
    made = guard()
    passes(made, [100.0] * 30)
    assert [False] == passes(made, [7.0], start=AT + 31_000)
    passes(made, [100.0] * 640, start=AT + 32_000)
    assert ["0", "1", "2", "3"] == held_back(made, [7.0] * 5, start=AT + 700_000)


def test_what_was_held_back_is_released_where_the_old_level_is_forgotten_before_the_new_one_is_sure() -> None:
    made = guard()
    passes(made, [100.0] * 30)
    assert [] == held_back(made, [7.0, 7.1, 0.01, 7.0], start=AT + 400_000, every_ms=30_000)
    assert ["0", "1", "3"] == held_back(made, [7.0, 7.1, 7.0, 7.2], start=AT + 650_000)


def test_no_more_is_kept_for_release_than_has_room(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guarding, "_MOST_HELD", 10)
    made = guard()
    for symbol in ("AUSDT", "BUSDT"):
        for second in range(3):
            made.judge(event(100.0, symbol=symbol), 100.0, AT + second * 1000)
    for number in range(20):  # another symbol takes all the room
        made.judge(event(7.0, symbol="AUSDT"), 7.0, AT + 5000 + number)
    for second in range(5):
        made.judge(event(7.0, symbol="BUSDT"), 7.0, AT + 10_000 + second * 1000)
    assert [] == made.release()
    for second in range(5):
        made.judge(event(7.0, symbol="AUSDT"), 7.0, AT + 20_000 + second * 1000)
    assert 10 == len(made.release())
    for symbol in ("AUSDT", "BUSDT"):
        for second in range(5):
            made.judge(event(500.0, symbol=symbol), 500.0, AT + 30_000 + second * 1000)
    assert 8 == len(made.release())


def test_strays_that_do_not_agree_never_become_the_level() -> None:
    made = guard()
    passes(made, [100.0] * 30)
    strays = [1000.0, 1.0, 5e4, 0.01, 7e6, 2e-5, 1e3 * 9, 3.0 * 1e-3]
    assert [False] * len(strays) == passes(made, strays, start=AT + 31_000)


def test_an_order_larger_than_the_limit_is_held_back() -> None:
    held = guard(largest=1e6).judge(event(1.0, usd="1000000.01"), 1.0, AT)
    assert held is not None
    assert (Reason.IMPLAUSIBLE_SIZE, "BTCUSDT: an order worth 1000000.01 USD") == held
    assert guard(largest=1e6).judge(event(1.0, usd="1000000"), 1.0, AT) is None


def test_of_the_past_only_size_and_contract_are_judged() -> None:
    made = guard(largest=1e6, doubted=["ETHUSDT"])
    passes(made, [100.0] * 30)
    assert made.fits(event(1.0)) is None
    assert Reason.IMPLAUSIBLE_SIZE == (made.fits(event(1.0, usd="2000000")) or [None])[0]
    assert Reason.CONTRACT_CHANGED == (made.fits(event(1.0, symbol="ETHUSDT")) or [None])[0]


# In the collector.


class Kept:
    """Where an intake puts events, and what was rejected."""

    def __init__(self) -> None:
        self.events: list[str] = []

    def liquidations(self, items: Sequence[Liquidation]) -> None:
        self.events += [item.event_id for item in items]

    def price(self, message: Price) -> None: ...

    def rejected(self, message: RejectedFrame) -> None: ...

    def may_come(self, symbol: str) -> bool:
        return False

    def want(self, symbol: str) -> None: ...


worths = st.sampled_from(["1", "49999.99", "50000", "50000.01", "99999", "123456", "9.123456789"])
amounts = st.builds(
    lambda digits, power: plain(Decimal(digits).scaleb(power)), st.integers(1, 99_999), st.integers(-6, 6)
)
near = st.sampled_from(
    ["70000", "70001.5", "69000.25", "75000", "14000.1", "13999", "350001", "349999.9", "7000", "99999"]
)


@given(st.lists(st.tuples(st.one_of(near, amounts), worths, st.integers(0, 900)), max_size=60))
def test_what_passes_at_a_glance_is_what_would_be_let_through(orders: list[tuple[str, str, int]]) -> None:
    kept, reference = Kept(), guard(largest=50_000.0)
    metrics = CollectorMetrics(CollectorRegistry(), ["fake"])
    intake = Intake(FAKE, "c", kept, kept, metrics, Clock(), 300.0, guard=guard(largest=50_000.0))
    expected, at = [], AT
    for number, (price, usd, passed) in enumerate(orders):
        at += passed
        one = changed(event(1.0, usd=usd), event_id=str(number), price=price)
        held = reference.judge(one, float(price), at)
        expected += [earlier.event_id for earlier in reference.release()]
        if held is None:
            expected.append(str(number))
        intake.take(None, Meter("main"), "", Received(FrameKind.DATA, [one]), at)  # type: ignore[arg-type]
    assert expected == kept.events


async def test_what_is_held_back_is_counted_shown_and_written_and_not_summed(tmp_path: Path) -> None:
    log = MemoryLog()
    async with VenueServer() as server, collecting(server, log, tmp_path) as collector:
        await until(lambda: collector.watched)
        await server.say(liquidation_frame("good"), liquidation_frame("huge", usd="1000000001"))
        await until(lambda: rejected(log))
        assert ["good"] == ids(log)
        frame = rejected(log)[0]
        assert ("fake", "main", "implausible_size") == (frame["venue"], frame["feed"], frame["reason"])
        assert "huge" == decode_liquidation(frame["frame"]).event_id
        assert 1 == collector.metric("liqwatch_events_rejected_total", reason="implausible_size")
        assert 1 == collector.service.states()[0].quarantined
        assert 1 == len(collector.told("held back, see rejected-frames"))
        assert [] == collector.service.unready()


def test_a_real_fall_after_a_silence_is_published_whole_once_it_stays() -> None:
    kept, metrics = Kept(), CollectorMetrics(CollectorRegistry(), ["fake"])
    intake = Intake(FAKE, "c", kept, kept, metrics, Clock(), 300.0, guard=guard())
    prices = ["100"] * 4 + ["12", "11.5", "1000000", "11", "12", "11", "10"]
    for number, price in enumerate(prices):
        at = AT + number * 1000 + (300_000 if number >= 4 else 0)
        one = changed(event(1.0), event_id=str(number), price=price)
        intake.take(None, Meter("main"), "", Received(FrameKind.DATA, [one]), at)  # type: ignore[arg-type]
    assert ["0", "1", "2", "3", "4", "5", "7", "8", "9", "10"] == kept.events
    assert 1 == intake.quarantined


async def test_a_contract_of_a_new_size_is_doubted_until_the_list_has_repeated_it(tmp_path: Path) -> None:
    log = MemoryLog()
    async with VenueServer() as server:
        async with collecting(server, log, tmp_path, refresh=timedelta(seconds=0.3)) as collector:
            await until(lambda: collector.watched)
            server.rest[PATH] = {"symbols": {**LISTING["symbols"], "BTCUSDT": {"size": "1000"}}}
            await until(lambda: collector.told("contract terms changed"))
            await server.say(liquidation_frame("doubted"), liquidation_frame("other", symbol="ETHUSDT"))
            await until(lambda: rejected(log) and ids(log))
            assert (["other"], "contract_changed") == (ids(log), rejected(log)[0]["reason"])
            await until(lambda: collector.told("contract terms are believed again"))
            await server.say(liquidation_frame("believed", usd="2"))
            await until(lambda: "believed" in ids(log))
            worth = {m["event_id"]: m["notional_usd"] for m in messages(log, LIQUIDATIONS)}
            assert "2000" == worth["believed"]
            assert "doubted" not in worth


async def test_a_size_that_is_written_in_another_way_is_no_other_size(tmp_path: Path) -> None:
    log = MemoryLog()
    async with VenueServer() as server:
        async with collecting(server, log, tmp_path, refresh=timedelta(seconds=0.1)) as collector:
            await until(lambda: collector.watched)
            server.rest[PATH] = {"symbols": {**LISTING["symbols"], "BTCUSDT": {"size": "1.00"}}}
            asked = len(server.asked)
            await until(lambda: len(server.asked) > asked + 1)
            await server.say(liquidation_frame("as ever"))
            await until(lambda: rejected(log) or ids(log))
            assert (["as ever"], []) == (ids(log), collector.told("contract terms changed"))


async def test_a_slip_of_the_list_is_over_when_it_is_taken_back(tmp_path: Path) -> None:
    log = MemoryLog()
    async with VenueServer() as server:
        async with collecting(server, log, tmp_path, refresh=timedelta(seconds=0.3)) as collector:
            await until(lambda: collector.watched)
            server.rest[PATH] = {"symbols": {**LISTING["symbols"], "BTCUSDT": {"size": "1000"}}}
            await until(lambda: collector.told("contract terms changed"))
            server.rest[PATH] = LISTING
            await until(lambda: len(collector.told("contract terms changed")) == 2)
            await server.say(liquidation_frame("good"))
            await until(lambda: ids(log))
            assert "100" == messages(log, LIQUIDATIONS)[0]["notional_usd"]
            assert [] == rejected(log)


# Sides.


def hour(sides: Sides, side_when_falling: str, *, minutes: int = 60, start: int = AT // 600_000 * 600_000) -> int:
    """An hour of prices that fall and rise, with longs closed when they fall, or shorts; returns when it ends."""
    made = guard()
    other = {"long": "short", "short": "long"}[side_when_falling]
    for second in range(0, minutes * 60, 5):
        at, phase = start + second * 1000, second % 600
        price = 100.0 * (1 - 0.1 * min(phase, 600 - phase) / 300)
        side = side_when_falling if phase < 300 else other
        one = event(price, side=side)
        band = made.bands.get("BTCUSDT")
        if band is not None:
            sides.note(band, one.side, price, at)
        made.judge(one, price, at)
    return start + minutes * MINUTE - 1


def test_longs_closed_when_prices_fall_agree() -> None:
    sides = Sides()
    assert not sides.disagree(hour(sides, "long"))


def test_sides_that_are_wrong_all_through_an_hour_are_flagged_and_not_before() -> None:
    sides = Sides()
    assert not sides.disagree(hour(sides, "short", minutes=25))
    sides = Sides()
    end = hour(sides, "short")
    assert sides.disagree(end)
    assert not sides.disagree(end + 61 * MINUTE)


def test_prices_that_stand_still_say_nothing_of_sides() -> None:
    sides, made = Sides(), guard()
    for second in range(0, 3600, 5):
        price = 100.0 + 0.2 * (second % 2)
        if (band := made.bands.get("BTCUSDT")) is not None:
            sides.note(band, "short", price, AT + second * 1000)
        made.judge(event(price), price, AT + second * 1000)
    assert not sides.disagree(AT + 3_600_000)


# Silence while the others cascade.


class Market:
    """Venues with so many events a minute, minute by minute."""

    def __init__(self) -> None:
        self.herd, self.totals, self.now_ms = Herd(), dict[str, int](), AT // MINUTE * MINUTE

    def go(self, minutes: int, rates: dict[str, int], *, without: tuple[str, ...] = ()) -> dict[str, Any]:
        for _ in range(minutes):
            for _ in range(4):
                watched = [name for name in rates if name not in without]
                self.herd.look(self.totals, watched, self.now_ms)
                self.now_ms += MINUTE // 4
            for name, rate in rates.items():
                self.totals[name] = self.totals.get(name, 0) + rate
        self.herd.look(self.totals, [name for name in rates if name not in without], self.now_ms)
        return self.herd.silent()


USUAL = {"binance": 40, "bybit": 30, "okx": 20, "gate": 10, "htx": 0}
CASCADE = {"binance": 400, "bybit": 300, "okx": 200, "gate": 100, "htx": 0}


def test_a_venue_without_an_event_while_the_others_cascade_is_silent() -> None:
    market = Market()
    assert {} == market.go(60, USUAL)
    assert {} == market.go(5, CASCADE)
    found = market.go(5, {**CASCADE, "gate": 0})
    assert ["gate"] == list(found)
    assert found["gate"] > 100


def test_in_quiet_times_and_of_thin_venues_nothing_is_said() -> None:
    market = Market()
    market.go(60, USUAL)
    assert {} == market.go(10, dict.fromkeys(USUAL, 0))
    market.go(60, USUAL)
    assert {} == market.go(5, {**CASCADE, "htx": 0})


def test_a_venue_that_is_not_watched_is_not_called_silent() -> None:
    market = Market()
    market.go(60, USUAL)
    assert {} == market.go(6, {**CASCADE, "gate": 0}, without=("gate",))


def test_with_too_little_before_nothing_is_said() -> None:
    market = Market()
    market.go(20, USUAL)
    assert {} == market.go(6, {**CASCADE, "gate": 0})


async def test_a_suspected_feed_connects_anew_and_counts_as_silent_since_its_last_event(tmp_path: Path) -> None:
    log = MemoryLog()
    async with (
        VenueServer() as server,
        collecting(server, log, tmp_path, limits=replace(QUICK, useful=0.1)) as collector,
    ):
        await until(lambda: collector.watched)
        await server.say(liquidation_frame("last"))
        await until(lambda: ids(log))
        last = messages(log, LIQUIDATIONS)[0]["received_time_ms"]
        await until(lambda: any(message["to_ms"] > last + 100 for message in coverage(log)))
        collector.service._collectors[0].suspect("no event while the others cascade")
        await until(lambda: 1 == collector.reconnects("silent"))
        await until(lambda: collector.watched and server.connects == 2)
        ended = next(message for message in coverage(log) if message["ended_by"] == "main: silent")
        assert last == ended["to_ms"]
        assert ["no event while the others cascade"] == [line["reason"] for line in collector.told("venue is down")]


def test_an_event_is_not_changed_by_being_judged() -> None:
    one = event(100.0)
    before = changed(one)
    guard().judge(one, 100.0, AT)
    assert before == one
