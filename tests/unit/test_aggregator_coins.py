"""The metrics show the largest coins of each window and the rest as one: few series, and nothing left out."""

from prometheus_client import CollectorRegistry

from liqwatch.aggregator.coins import LARGEST, CoinGauges
from liqwatch.aggregator.window import RollingTotals
from liqwatch.metrics import AggregatorMetrics
from tests.support.liquidations import liquidation

NOW = 1_800_000_000_000


def shown(registry: CollectorRegistry) -> dict[tuple[str, str], float]:
    """USD by side and coin."""
    return {
        (sample.labels["side"], sample.labels["base"]): sample.value
        for family in registry.collect()
        for sample in family.samples
        if sample.name == "liqwatch_window_coin_notional_usd"
    }


def test_the_largest_coins_are_named_and_the_rest_is_one_sum() -> None:
    registry = CollectorRegistry()
    window = RollingTotals([("5m", 300)])
    gauges = CoinGauges(window, ["5m"], AggregatorMetrics(registry, ["5m"]))
    window.advance(NOW)
    for number in range(1, LARGEST + 3):  # C1 is the smallest
        window.add(liquidation(f"a{number}", NOW - 1000, f"{number}000", base=f"C{number}"), partition=number % 2)
    window.add(liquidation("short", NOW - 1000, "500", base="C1", side="short"), partition=0)
    gauges.show([0, 1])
    expected = {("long", f"C{number}"): number * 1000.0 for number in range(3, LARGEST + 3)}
    expected |= {("short", f"C{number}"): 0.0 for number in range(3, LARGEST + 3)}
    assert expected | {("long", "other"): 3000.0, ("short", "other"): 500.0} == shown(registry)


def test_a_coin_that_has_left_the_window_leaves_the_metrics() -> None:
    registry = CollectorRegistry()
    window = RollingTotals([("5m", 300)])
    gauges = CoinGauges(window, ["5m"], AggregatorMetrics(registry, ["5m"]))
    window.advance(NOW)
    window.add(liquidation("a", NOW - 1000, "7000", base="SOL"))
    gauges.show([0])
    assert shown(registry)["long", "SOL"] == 7000.0
    window.advance(NOW + 400_000)
    gauges._due = 0.0
    gauges.show([0])
    assert {("long", "other"): 0.0, ("short", "other"): 0.0} == shown(registry)


def test_a_partition_that_is_not_held_is_not_shown() -> None:
    registry = CollectorRegistry()
    window = RollingTotals([("5m", 300)])
    gauges = CoinGauges(window, ["5m"], AggregatorMetrics(registry, ["5m"]))
    window.advance(NOW)
    window.add(liquidation("a", NOW - 1000, "7000", base="SOL"), partition=3)
    gauges.show([0])
    assert {("long", "other"): 0.0, ("short", "other"): 0.0} == shown(registry)
