"""The rolling window by example: what counts, until when, and what does not."""

import pytest

from liqwatch import wire
from liqwatch.aggregator.window import Added, RollingTotals
from tests.support.liquidations import liquidation

NOW = 1_790_000_000_000
WINDOWS = (("5s", 5), ("1m", 60))


def window() -> RollingTotals:
    rolling = RollingTotals(WINDOWS)
    rolling.advance(NOW)
    return rolling


def usd(rolling: RollingTotals, name: str = "5s", scope: str = "all", partition: int = 0) -> tuple[str, str]:
    totals = rolling.totals(partition, scope, name)
    return wire.usd_text(totals.long.usd), wire.usd_text(totals.short.usd)


def test_an_event_counts_in_its_four_scopes_on_its_own_side() -> None:
    rolling = window()
    assert Added.COUNTED == rolling.add(liquidation("a", NOW, "12.5", venue="okx", base="BTC", side="short"))
    for scope in ("all", "venue=okx", "base=BTC", "venue=okx,base=BTC"):
        assert ("0.000000", "12.500000") == usd(rolling, scope=scope)
        totals = rolling.totals(0, scope, "5s")
        assert (0, 1) == (totals.long.events, totals.short.events)
    assert ("0.000000", "0.000000") == usd(rolling, scope="venue=gate")


def test_a_window_of_five_seconds_holds_the_seconds_to_the_clock_and_four_before() -> None:
    rolling = window()
    for age in range(7):
        rolling.add(liquidation(f"e{age}", NOW - 1000 * age, str(10**age)))
    assert ("11111.000000", "0.000000") == usd(rolling)
    assert ("1111111.000000", "0.000000") == usd(rolling, "1m")
    rolling.advance(NOW + 999)
    assert ("11111.000000", "0.000000") == usd(rolling)
    rolling.advance(NOW + 1000)
    assert ("1111.000000", "0.000000") == usd(rolling)


def test_the_clock_never_goes_back() -> None:
    rolling = window()
    rolling.add(liquidation("a", NOW, "1"))
    rolling.advance(NOW + 5_000)
    rolling.advance(NOW)
    assert ("0.000000", "0.000000") == usd(rolling)
    assert NOW + 5_000 == rolling.now_ms


def test_a_jump_over_years_is_quick_and_leaves_nothing() -> None:
    rolling = window()
    rolling.add(liquidation("a", NOW, "1"))
    rolling.advance(NOW + 10**12)
    assert ("0.000000", "0.000000") == usd(rolling, "1m")
    assert Added.COUNTED == rolling.add(liquidation("a", NOW + 10**12, "1"))


def test_each_event_is_rounded_half_even_once_on_entering() -> None:
    rolling = window()
    for number, text in enumerate(("0.0000005", "0.0000015", "0.0000025", "0.00000050000000001")):
        rolling.add(liquidation(f"e{number}", NOW, text))
    assert ("0.000005", "0.000000") == usd(rolling)


def test_an_event_a_minute_ahead_is_held_until_the_clock_gets_there() -> None:
    rolling = window()
    assert Added.COUNTED == rolling.add(liquidation("a", NOW + 60_000, "3"))
    assert ("0.000000", "0.000000") == usd(rolling)
    assert Added.DUPLICATE == rolling.add(liquidation("a", NOW, "3"))
    rolling.advance(NOW + 59_999)
    assert ("0.000000", "0.000000") == usd(rolling)
    rolling.advance(NOW + 60_000)
    assert ("3.000000", "0.000000") == usd(rolling)


def test_an_event_further_ahead_is_not_added_and_not_known() -> None:
    rolling = window()
    assert Added.FUTURE == rolling.add(liquidation("a", NOW + 60_001, "3"))
    assert Added.COUNTED == rolling.add(liquidation("a", NOW, "3"))
    assert ("3.000000", "0.000000") == usd(rolling)


def test_a_late_event_enters_only_the_windows_that_still_hold_it() -> None:
    rolling = window()
    assert Added.COUNTED == rolling.add(liquidation("a", NOW - 5_000, "7"))
    assert ("0.000000", "0.000000") == usd(rolling)
    assert ("7.000000", "0.000000") == usd(rolling, "1m")
    assert None is rolling.totals(0, "all", "5s").long.largest
    assert Added.LATE == rolling.add(liquidation("b", NOW - 60_000, "7"))


def test_late_comes_before_duplicate() -> None:
    rolling = window()
    rolling.add(liquidation("a", NOW, "7"))
    assert Added.LATE == rolling.add(liquidation("a", NOW - 60_000, "7"))


def test_a_repeated_id_changes_nothing_whatever_its_new_time_and_side() -> None:
    rolling = window()
    rolling.add(liquidation("a", NOW, "7"))
    for time_ms in (NOW - 3_000, NOW, NOW + 30_000, NOW + 90_000):
        assert Added.DUPLICATE == rolling.add(liquidation("a", time_ms, "9", side="short", venue="gate"))
    rolling.advance(NOW + 59_999)
    assert Added.DUPLICATE == rolling.add(liquidation("a", NOW + 59_000, "9"))
    assert ("7.000000", "0.000000") == usd(rolling, "1m")
    rolling.advance(NOW + 60_000)
    assert Added.COUNTED == rolling.add(liquidation("a", NOW + 60_000, "9"))


def named(time_ms: int, side: str = "long", base: str = "BTC") -> str:
    """An id as the venues' decoders make them: it names the time of its event."""
    return f"binance:{base}USDT:{time_ms}:{side}:1@2"


def test_an_id_that_names_its_time_counts_once_whatever_comes_with_it() -> None:
    rolling = window()
    assert Added.COUNTED == rolling.add(liquidation(named(NOW), NOW, "7"))
    for time_ms in (NOW - 3_000, NOW, NOW + 1, NOW + 30_000, NOW + 90_000):
        assert Added.DUPLICATE == rolling.add(liquidation(named(NOW), time_ms, "9"))
        assert Added.DUPLICATE == rolling.add(liquidation(named(NOW), time_ms, "9", side="short", timed_by="received"))
    assert Added.COUNTED == rolling.add(liquidation(named(NOW, "short"), NOW, "9", side="short"))
    assert ("7.000000", "9.000000") == usd(rolling, "1m")


def test_an_id_that_names_another_time_counts_once_too() -> None:
    rolling = window()
    assert Added.COUNTED == rolling.add(liquidation(named(NOW - 1_000), NOW, "7"))
    assert Added.DUPLICATE == rolling.add(liquidation(named(NOW - 1_000), NOW - 1_000, "7"))
    assert Added.DUPLICATE == rolling.add(liquidation(named(NOW - 1_000), NOW, "7"))
    rolling.advance(NOW + 60_000)
    assert Added.LATE == rolling.add(liquidation(named(NOW - 1_000), NOW - 1_000, "7"))
    assert Added.COUNTED == rolling.add(liquidation(named(NOW - 1_000), NOW + 60_000, "7"))


def test_ids_of_many_seconds_are_known_in_whatever_order_they_come_again() -> None:
    rolling = RollingTotals([("24h", 86_400)])
    rolling.advance(NOW)
    events = [
        liquidation(named(at, base=base), at, "1", base=base)
        for number in range(12_000)
        for at, base in [(NOW - 7_000 * number, f"C{number % 100}")]
    ]
    assert {Added.COUNTED} == {rolling.add(event) for event in events}
    assert {Added.DUPLICATE} == {rolling.add(event) for event in (*events, *reversed(events))}


def test_a_partition_that_comes_back_is_counted_anew() -> None:
    rolling = window()
    for _ in range(2):
        assert Added.COUNTED == rolling.add(liquidation(named(NOW), NOW, "7"), 3)
        assert Added.DUPLICATE == rolling.add(liquidation(named(NOW), NOW, "7"), 3)
        assert ("7.000000", "0.000000") == usd(rolling, partition=3)
        rolling.drop(3)


def test_totals_stay_exact_however_large_they_grow() -> None:
    rolling = window()
    trillion = "1000000000000"
    for number in range(100):  # as much as 2^64 micro-dollars five times over, the latter half of it late
        at = NOW - 1_000 * (number % 2)
        assert Added.COUNTED == rolling.add(liquidation(f"e{number}", at, trillion))
        assert (f"{number + 1}{trillion[1:]}.000000", "0.000000") == usd(rolling)
    rolling.advance(NOW + 4_000)
    assert (f"50{trillion[1:]}.000000", "0.000000") == usd(rolling)
    rolling.advance(NOW + 5_000)
    assert ("0.000000", "0.000000") == usd(rolling)


def test_ids_of_events_timed_by_us_are_known_twice_as_long() -> None:
    rolling = window()
    rolling.add(liquidation("a", NOW, "7", timed_by="received"))
    rolling.advance(NOW + 119_999)
    assert Added.DUPLICATE == rolling.add(liquidation("a", NOW + 119_000, "7", timed_by="received"))
    rolling.advance(NOW + 120_000)
    assert Added.COUNTED == rolling.add(liquidation("a", NOW + 120_000, "7", timed_by="received"))


def test_a_rebuild_remembers_ids_that_have_left_the_window_if_timed_by_us() -> None:
    rolling = window()
    rolling.remember(liquidation("a", NOW - 100_000, "7", timed_by="received"))
    rolling.remember(liquidation("b", NOW - 100_000, "7", timed_by="venue"))
    rolling.remember(liquidation("c", NOW - 120_000, "7", timed_by="received"))
    added = [rolling.add(liquidation(name, NOW, "1", timed_by="received")) for name in "abc"]
    assert [Added.DUPLICATE, Added.COUNTED, Added.COUNTED] == added


def test_the_largest_record_leaves_with_its_second_and_the_next_takes_its_place() -> None:
    rolling = window()
    for name, age, amount in (("old", 4, "9"), ("mid", 2, "8"), ("new", 0, "1"), ("late", 3, "8.5")):
        rolling.add(liquidation(name, NOW - 1000 * age, amount))
    seen = []
    for later in range(6):
        rolling.advance(NOW + 1000 * later)
        largest = rolling.totals(0, "all", "5s").long.largest
        seen.append(largest.event_id if largest else None)
    assert ["old", "late", "mid", "new", "new", None] == seen


def test_of_equal_largest_records_the_smaller_id_counts() -> None:
    for order in (("a", "b"), ("b", "a")):
        rolling = window()
        for name in order:
            rolling.add(liquidation(name, NOW, "5"))
        largest = rolling.totals(0, "all", "5s").long.largest
        assert largest is not None and "a" == largest.event_id


def test_the_largest_record_comes_back_whole() -> None:
    rolling = window()
    event = liquidation("a", NOW, "5.000000000001", venue="okx", base="ETH")
    rolling.add(event)
    assert event == rolling.totals(0, "venue=okx,base=ETH", "1m").long.largest


def test_partitions_stand_apart_and_are_dropped_whole() -> None:
    rolling = window()
    rolling.add(liquidation("a", NOW, "1"), 3)
    rolling.add(liquidation("b", NOW, "2"), 4)
    rolling.add(liquidation("c", NOW + 2_000, "4", timed_by="received"), 3)
    rolling.drop(3)
    rolling.advance(NOW + 2_000)
    assert ("0.000000", "0.000000") == usd(rolling, partition=3)
    assert ("2.000000", "0.000000") == usd(rolling, partition=4)
    assert [] == list(rolling.scopes(3))
    assert [Added.COUNTED, Added.COUNTED] == [rolling.add(liquidation(name, NOW, "8"), 3) for name in "ac"]


@pytest.mark.parametrize(
    ("amount", "side"),
    [("-1", "long"), ("1e3", "long"), ("", "long"), ("1000000000000.000001", "long"), ("1", "buy")],
)
def test_an_impossible_event_is_refused_and_changes_nothing(amount: str, side: str) -> None:
    rolling = window()
    with pytest.raises(ValueError):
        rolling.add(liquidation("a", NOW, amount, side=side))
    assert ([], set()) == (list(rolling.scopes(0)), rolling.changed().events)
    assert Added.COUNTED == rolling.add(liquidation("a", NOW, "1"))


def test_changes_are_told_once_and_by_cause() -> None:
    rolling = window()
    rolling.add(liquidation("a", NOW, "1", venue="okx", base="BTC"), 7)
    scopes = {(7, scope) for scope in ("all", "venue=okx", "base=BTC", "venue=okx,base=BTC")}
    assert (scopes, set()) == rolling.changed()
    assert (set(), set()) == rolling.changed()
    rolling.advance(NOW + 5_000)
    assert (set(), {(*scope, "5s") for scope in scopes}) == rolling.changed()
    rolling.advance(NOW + 60_000)
    assert (set(), {(*scope, "1m") for scope in scopes}) == rolling.changed()


def test_what_a_stretch_of_time_brought_is_told_by_venue_base_and_side() -> None:
    rolling = window()
    for name, age, amount in (("a", 3, "1"), ("b", 2, "2"), ("c", 1, "4"), ("d", 0, "8")):
        rolling.add(liquidation(name, NOW - 1000 * age, amount))
    second = NOW // 1000
    found = [
        (leaf.venue, leaf.base, leaf.side, usd, count)
        for leaf, usd, count in rolling.between(second - 2, second - 1, {0})
    ]
    assert [("binance", "BTC", "long", 6_000_000, 2)] == found


def test_a_late_event_is_forgotten_with_those_before_it_when_the_clock_leaps() -> None:
    rolling = window()
    for number in range(10):
        rolling.add(liquidation(f"e{number}", NOW - 1_000 * (10 - number), "1"))
    assert ("10.000000", "0.000000") == usd(rolling, "1m")
    rolling.add(liquidation("late", NOW - 5_500, "2"))
    rolling.advance(NOW + 100_000_000)
    assert ("0.000000", "0.000000") == usd(rolling, "1m")
    for number in range(40):
        rolling.add(liquidation(f"f{number}", NOW + 100_000_000 - 500 * number, "1"))
    assert ("40.000000", "0.000000") == usd(rolling, "1m")


def test_a_leap_of_the_clock_empties_every_window_and_says_so() -> None:
    rolling = window()
    rolling.add(liquidation("a", NOW, "1", venue="okx", base="BTC"), 7)
    rolling.changed()
    rolling.advance(NOW + 200_000_000)
    scopes = {(7, scope) for scope in ("all", "venue=okx", "base=BTC", "venue=okx,base=BTC")}
    assert (set(), {(*scope, name) for scope in scopes for name in ("5s", "1m")}) == rolling.changed()
