"""Scenarios have the shape of the days they are named for, and the same seed plays the same day."""

import itertools
from collections.abc import Callable, Iterable
from functools import cache

import pytest

from liqwatch import venues
from liqwatch.simulator import scenarios, shares
from liqwatch.simulator.dialects import VENUES, standard
from liqwatch.simulator.listings import Listing
from liqwatch.simulator.orders import Order, entry
from liqwatch.simulator.scenarios import Scenario
from liqwatch.simulator.shapes import HOUR_MS, MINUTE_MS

LISTINGS: dict[tuple[str, str], Listing] = {listing.key: listing for listing in standard()}
DAY_MS = 24 * HOUR_MS


@cache
def worth(order: Order) -> float:
    """After rounding to ticks and contracts, as it goes on the wire."""
    return float(entry(LISTINGS[order.venue, order.symbol], order, 0).notional())


def usd(orders: Iterable[Order]) -> float:
    return sum(worth(order) for order in orders)


def of(scenario: Scenario, keep: Callable[[Order], bool]) -> float:
    return usd(order for order in scenario.orders if keep(order))


def within(scenario: Scenario, from_ms: int, to_ms: int, side: str | None = None) -> float:
    return of(scenario, lambda order: from_ms <= order.at_ms < to_ms and side in (None, order.side))


def test_the_day_of_september_2025_has_its_published_totals_and_hour() -> None:
    scenario = scenarios.named("2025-09-22", orders=8_000)
    assert within(scenario, 0, DAY_MS) == pytest.approx(1.70e9, rel=0.01)
    assert within(scenario, 0, DAY_MS, "long") == pytest.approx(1.615e9, rel=0.01)
    hour = (390 * MINUTE_MS, 450 * MINUTE_MS)
    assert within(scenario, *hour) == pytest.approx(1.07e9, rel=0.01)
    assert within(scenario, *hour, side="long") == pytest.approx(1.05e9, rel=0.01)
    coins = {
        coin: of(scenario, lambda order, coin=coin: LISTINGS[order.venue, order.symbol].base == coin)
        for coin in ("ETH", "BTC")
    }
    assert 0.4e9 < coins["ETH"] < 0.7e9
    assert 0.2e9 < coins["BTC"] < 0.45e9


def test_the_day_of_october_2025_has_its_published_totals_and_peak_minute() -> None:
    scenario = scenarios.named("2025-10-10", orders=8_000)
    assert within(scenario, 0, DAY_MS) == pytest.approx(19.1e9, rel=0.01)
    assert within(scenario, 0, DAY_MS, "long") == pytest.approx(16.7e9, rel=0.01)
    minute = (495 * MINUTE_MS, 496 * MINUTE_MS)
    assert within(scenario, *minute) == pytest.approx(3.21e9, rel=0.01)
    assert within(scenario, *minute, side="long") == pytest.approx(3.21e9 * 0.935, rel=0.01)
    minutes: dict[int, float] = {}
    for order in scenario.orders:
        minutes[order.at_ms // MINUTE_MS] = minutes.get(order.at_ms // MINUTE_MS, 0.0) + usd([order])
    assert max(minutes, key=minutes.__getitem__) == 495


def test_the_day_of_january_2026_wavers_around_1_7_billion_while_shorts_leave() -> None:
    scenario = scenarios.named("2026-01-30", orders=12_000)
    half = 30 * MINUTE_MS
    readings = [24 * HOUR_MS + n * half for n in range(13)]
    totals = [within(scenario, at - DAY_MS, at) for at in readings]
    longs = [within(scenario, at - DAY_MS, at, "long") for at in readings]
    shorts = [within(scenario, at - DAY_MS, at, "short") for at in readings]
    assert totals[0] == pytest.approx(1.68e9, rel=0.01)
    assert totals[-1] == pytest.approx(1.71e9, rel=0.01)
    assert longs[0] == pytest.approx(1.56e9, rel=0.01)
    assert longs[-1] == pytest.approx(1.59e9, rel=0.01)
    assert shorts[0] == pytest.approx(118e6, rel=0.01)
    assert shorts[-1] == pytest.approx(107.74e6, rel=0.01)
    above = [total > 1.7e9 for total in totals]
    assert sum(now != before for before, now in itertools.pairwise(above)) >= 3
    largest = max(scenario.orders, key=lambda order: order.price * order.quantity)
    assert ("htx", "BTC-USDT", "long") == (largest.venue, largest.symbol, largest.side)
    assert usd([largest]) == pytest.approx(80.57e6, rel=0.001)


def test_the_demo_climbs_past_the_steps_and_falls_below_the_first_before_it_ends() -> None:
    scenario = scenarios.named(scenarios.DEMO, orders=8_000)
    longs = [within(scenario, at - DAY_MS, at, "long") for at in range(0, scenario.lasts_ms + 1, HOUR_MS)]
    for step in (1e9, 1.7e9, 3e9, 5e9, 10e9):
        assert max(longs) > step
    assert longs[-1] < 0.9e9
    assert within(scenario, 0, 320 * MINUTE_MS, "long") == pytest.approx(2.0e9, rel=0.01)
    assert scenario.lasts_ms / scenarios.DEMO_SPEED / 1000 < 90


def test_a_seed_makes_the_same_orders_and_another_seed_others() -> None:
    assert scenarios.named("quiet", 7).orders == scenarios.named("quiet", 7).orders
    assert scenarios.named("quiet", 7).orders != scenarios.named("quiet", 8).orders


@pytest.mark.parametrize("name", scenarios.NAMES)
def test_orders_come_sorted_by_time_for_listed_symbols_of_all_venues(name: str) -> None:
    scenario = scenarios.named(name, orders=1_500)
    assert list(scenario.orders) == sorted(scenario.orders, key=lambda order: order.at_ms)
    assert {order.venue for order in scenario.orders} == set(VENUES)
    assert all((order.venue, order.symbol) in LISTINGS for order in scenario.orders)
    assert scenario.orders[-1].at_ms <= scenario.lasts_ms
    assert len(scenario.orders) == pytest.approx(1_500, rel=0.1)


def test_a_burst_is_even() -> None:
    scenario = scenarios.burst(1_000, 3)
    seconds = [sum(second <= order.at_ms // 1000 < second + 1 for order in scenario.orders) for second in range(3)]
    assert seconds == pytest.approx([1_000] * 3, rel=0.15)


def test_an_unknown_scenario_is_refused_with_the_known_names() -> None:
    with pytest.raises(ValueError, match="known are crash-day"):
        scenarios.named("nothing")


def test_only_venues_have_shares() -> None:
    assert set(shares.USUAL) <= set(venues.names())
    assert set(VENUES) <= set(venues.names())


# Millions: total, longs where they were told; parts of the total by venue and coin.
PUBLISHED: dict[str, tuple[float, float | None, dict[str, float], dict[str, float]]] = {
    "2021-04-17": (9850, 8680, {"binance": 0.53, "htx": 0.18, "bybit": 0.115}, {"BTC": 0.645, "ETH": 0.127}),
    "2021-05-19": (8600, None, {"binance": 0.116}, {}),
    "2022-10-25": (1260, 160, {"bitget": 0.82, "binance": 0.05}, {}),
    "2022-11-08": (870, 710, {}, {"SOL": 0.056}),
    "2025-02-03": (2240, None, {"bybit": 0.149}, {}),
    "2026-02-05": (1450 + 2607, 1240 + 2140, {}, {"BTC": 0.51, "ETH": 0.22, "SOL": 0.072}),
}


@pytest.mark.parametrize("name", PUBLISHED)
def test_an_older_day_has_its_published_totals_and_parts(name: str) -> None:
    """The parts to a third: large orders go where there is room for them."""
    total, longs, by_venue, by_coin = PUBLISHED[name]
    scenario = scenarios.named(name)
    assert usd(scenario.orders) == pytest.approx(total * 1e6, rel=0.01)
    if longs is not None:
        assert of(scenario, lambda order: order.side == "long") == pytest.approx(longs * 1e6, rel=0.01)
    for venue, share in by_venue.items():
        part = of(scenario, lambda order, venue=venue: order.venue == venue)
        assert part / total / 1e6 == pytest.approx(share, rel=0.35), venue
    for coin, share in by_coin.items():
        part = of(scenario, lambda order, coin=coin: LISTINGS[order.venue, order.symbol].base == coin)
        assert part / total / 1e6 == pytest.approx(share, rel=0.35), coin


def test_older_days_have_the_largest_orders_and_the_readings_that_were_told() -> None:
    april, february = scenarios.named("2021-04-17", orders=4_000), scenarios.named("2026-02-05", orders=4_000)
    assert 68.73e6 == pytest.approx(max(map(worth, april.orders)), rel=0.001)
    assert 12e6 == pytest.approx(max(map(worth, february.orders)), rel=0.001)
    reading = 24 * HOUR_MS
    assert within(february, 0, reading) == pytest.approx(1450e6, rel=0.01)
    assert within(february, 0, reading, "long") == pytest.approx(1240e6, rel=0.01)
    assert within(february, 20 * HOUR_MS, reading) == pytest.approx(646e6, rel=0.01)
    assert within(february, 23 * HOUR_MS, reading) == pytest.approx(85e6, rel=0.01)
    assert within(february, reading, 2 * reading, "long") == pytest.approx(2140e6, rel=0.01)
    assert within(scenarios.named("2021-05-19", orders=4_000), 0, 18 * HOUR_MS) > 8e9
    first = int(15.5 * HOUR_MS)
    assert within(scenarios.named("2022-10-25", orders=4_000), 0, first) == pytest.approx(750e6, rel=0.01)
