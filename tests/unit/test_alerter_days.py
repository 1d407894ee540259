"""What the shipped rules would have said on days of the shape of those that matter: when, how often, cleared or not.

The days are made by a seed from published figures (`simulator/scenarios.py`); what is asserted is what we do with a
stream of that shape, never the published total itself.
"""

import json
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from liqwatch import configuration, replay
from liqwatch.settings import RuleSettings
from liqwatch.simulator import scenarios
from liqwatch.simulator.dialects import standard
from liqwatch.simulator.shapes import HOUR_MS, MINUTE_MS

ROOT = Path(__file__).resolve().parents[2]
START_MS = 1_760_097_600_000
BASES = {listing.key: listing.base for listing in standard()}
SEED = 1


def lines(name: str) -> Iterator[dict[str, Any]]:
    """The day's orders, and small ones afterwards, so that time goes on until the totals have fallen."""
    scenario = scenarios.named(name, SEED, 8_000)
    for number, order in enumerate(scenario.orders):
        yield {
            "event_id": f"{name}:{number}", "venue": order.venue, "symbol": order.symbol,
            "base": BASES[order.venue, order.symbol], "side": order.side, "price": f"{order.price:f}",
            "price_kind": "fill", "quantity": f"{order.quantity:f}",
            "notional_usd": f"{order.price * order.quantity:.6f}", "event_time_ms": START_MS + order.at_ms,
        }  # fmt: skip
    last_ms = scenario.orders[-1].at_ms
    for at_ms in range(last_ms, last_ms + 25 * HOUR_MS, 10 * MINUTE_MS):
        yield {
            "event_id": f"{name}:after:{at_ms}", "venue": "bybit", "symbol": "XRPUSDT", "base": "XRP", "side": "long",
            "notional_usd": "1", "event_time_ms": START_MS + at_ms,
        }  # fmt: skip


@cache
def shipped() -> tuple[RuleSettings, ...]:
    rules = configuration.read(ROOT / "deploy" / "liqwatch.toml", {}).rules
    return tuple(rule for rule in rules if rule.kind != "feed")


class Day(NamedTuple):
    """Every verdict, and what people would have read."""

    alerts: list[dict[str, Any]]
    timeline: list[str]

    def told(self, rule: str) -> list[tuple[str, str]]:
        return [(alert["kind"], alert["threshold"]) for alert in self.alerts if alert["rule"] == rule]

    def minute(self, rule: str, kind: str) -> int:
        return next(
            int(alert["at_ms"] - START_MS) // MINUTE_MS
            for alert in self.alerts
            if (alert["rule"], alert["kind"]) == (rule, kind)
        )


@cache
def day(name: str, folder: Path) -> Day:
    path, timeline = folder / f"{name}.jsonl", list[str]()
    path.write_text("".join(json.dumps(line) + "\n" for line in lines(name)))
    return Day(replay.run([path], shipped(), timeline=timeline)["alerts"], timeline)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("days")


LADDER = ["1000000000", "1700000000", "3000000000", "5000000000", "10000000000"]


def test_on_the_day_of_october_2025_every_rung_is_told_once_and_the_end(folder: Path) -> None:
    """20:50 UTC is minute 470; the worst minute is 495."""
    crash = day("2025-10-10", folder)
    assert [
        ("fired", LADDER[0]),
        *(("stepped_up", rung) for rung in LADDER[1:]),
        ("cleared", "900000000"),
    ] == crash.told("longs-24h")
    assert ["fired", "stepped_up", "stepped_up", "cleared"] == [kind for kind, _ in crash.told("shorts-24h")]
    assert 250 < crash.minute("longs-24h", "fired") < 400


def test_the_crash_of_october_2025_is_a_cascade_within_a_minute_of_its_beginning(folder: Path) -> None:
    crash = day("2025-10-10", folder)
    alerts = [
        int(alert["at_ms"] - START_MS) // MINUTE_MS
        for alert in crash.alerts
        if (alert["rule"], alert["threshold"]) == ("longs-cascade", "2")
    ]
    assert 1 == len(alerts)
    assert 470 <= alerts[0] <= 472
    assert any("Market-wide cascade of longs" in line for line in crash.timeline)
    assert any("Market-wide cascade of longs over." in line for line in crash.timeline)


def test_on_the_worst_day_the_chat_stays_readable(folder: Path) -> None:
    crash = day("2025-10-10", folder)
    messages = int(crash.timeline[-1].split()[0])
    assert messages < 70  # in 14 hours with 19 billion: about one in ten minutes
    silent = [line for line in crash.timeline if line.endswith("(told to nobody)")]
    assert silent  # single coins, while the market as a whole was told
    assert all(" coins-1h [" in line or " surge-5m [" in line for line in silent)


def test_on_the_day_of_january_2026_a_total_that_wavers_around_a_rung_is_told_once(folder: Path) -> None:
    path = folder / "flap.jsonl"
    path.write_text("".join(json.dumps(line) + "\n" for line in lines("2026-01-30")))
    made = {"name": "total", "thresholds": ["1.69B", "1.7B"]}
    rule = RuleSettings.model_validate(made)
    kinds = [alert["kind"] for alert in replay.run([path], [rule])["alerts"]]
    assert ["fired", "cleared"] == [kind for kind in kinds if kind != "stepped_up"]
    assert 1 >= kinds.count("stepped_up")
    # The same without a clear level of its own: it flaps, and that is what the level is for.
    again = RuleSettings.model_validate(made | {"clear_below": "1.6899B", "clear_hold": "0s"})
    assert 2 < sum(alert["kind"] == "fired" for alert in replay.run([path], [again])["alerts"])


def test_on_the_day_of_january_2026_the_largest_order_is_told(folder: Path) -> None:
    day_ = day("2026-01-30", folder)
    (line,) = [line for line in day_.timeline if "large-order" in line and "$80.5M of htx BTC-USDT long" in line]
    assert "fired" in line
    assert [("fired", LADDER[0]), ("cleared", "900000000")] == day_.told("longs-24h")


def test_on_the_day_of_september_2025_the_cascade_is_told_before_any_level(folder: Path) -> None:
    """The hour from 06:30, minute 390, brought 1.05 billion of longs."""
    slide = day("2025-09-22", folder)
    assert 390 <= slide.minute("longs-cascade", "fired") < slide.minute("total-1h", "fired")
    assert slide.minute("total-1h", "fired") < slide.minute("longs-24h", "fired") < 450
    assert ["fired", "cleared"] == [kind for kind, _ in slide.told("longs-24h")]


def test_a_quiet_day_is_quiet(folder: Path) -> None:
    assert ([], []) == day("quiet", folder)
