"""Prometheus accepts the project's configuration and finds nothing to mend in its metrics."""

from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry, GCCollector, PlatformCollector, ProcessCollector, generate_latest

from liqwatch.metrics import AggregatorMetrics, AlerterMetrics, CollectorMetrics, ServiceMetrics
from tests.support.prometheus import CONFIGURATION, complaints, promtool, require_prometheus

pytestmark = pytest.mark.prometheus


@pytest.fixture(autouse=True)
def _prometheus_is_here() -> None:
    require_prometheus()


@pytest.mark.parametrize("name", ["prometheus.yml", "prometheus.kubernetes.yml"])
def test_the_configuration_is_valid(name: str) -> None:
    done = promtool("check", "config", str(CONFIGURATION.with_name(name)))
    assert 0 == done.returncode, done.stderr


def test_a_misspelt_configuration_is_seen(tmp_path: Path) -> None:
    spoilt = tmp_path / "prometheus.yml"
    spoilt.write_text(CONFIGURATION.read_text().replace("scrape_interval", "scrape_intervall"))
    assert 0 != promtool("check", "config", str(spoilt)).returncode


def exposed() -> str:
    """What one process that runs every service shows."""
    registry = CollectorRegistry()
    for collector in (ProcessCollector, PlatformCollector, GCCollector):
        collector(registry=registry)
    ServiceMetrics(registry, "run")
    CollectorMetrics(registry, ["binance", "bybit"])
    AggregatorMetrics(registry, ["5m", "24h"]).lag.labels("0").set(0)
    AlerterMetrics(registry, ["console"], ["longs-24h"])
    return generate_latest(registry).decode()


def test_the_names_and_units_of_the_metrics_are_as_prometheus_wants_them() -> None:
    assert [] == complaints(exposed())


def test_a_metric_in_milliseconds_is_seen() -> None:
    bad = "# HELP liqwatch_bad_ms Too long.\n# TYPE liqwatch_bad_ms gauge\nliqwatch_bad_ms 1\n"
    assert complaints(bad)
