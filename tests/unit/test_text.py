"""What an alert says."""

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from liqwatch.alerter.text import Amount, Snapshot, compose, duration, exact, moment, name, span_words
from liqwatch.amounts import DOLLAR, money
from liqwatch.events import LargestRecord, VenueCoverage

AT_MS = 1_769_748_190_123  # 2026-01-30 04:43:10 UTC
LARGEST = LargestRecord(
    event_id="e",
    venue="htx",
    symbol="BTC-USDT",
    base="BTC",
    side="long",
    price="82000",
    notional_usd="80570000.12",
    event_time_ms=AT_MS - 3_600_000,
    unit="order",
)
TITLES = {"binance": "Binance", "bybit": "Bybit", "htx": "HTX"}


def covered(**shares: float) -> tuple[VenueCoverage, ...]:
    """Binance is sampled, the others publish everything."""
    return tuple(
        VenueCoverage(venue=venue, completeness="sampled" if venue == "binance" else "all", share=share)
        for venue, share in shares.items()
    )


def snapshot(**changes: Any) -> Snapshot:
    fields: dict[str, Any] = {
        "kind": "fired",
        "scope": "all",
        "side": "long",
        "window": "24h",
        "now_ms": AT_MS,
        "threshold": Decimal("1.7e9"),
        "long": 1_714_900_000 * DOLLAR,
        "short": 85_880_000 * DOLLAR,
        "count": 24_310,
        "coins": (Amount("BTC", 745_300_000 * DOLLAR), Amount("ETH", 390_000_000 * DOLLAR)),
        "venues": (Amount("bybit", 344_950_000 * DOLLAR), Amount("binance", 188_150_000 * DOLLAR)),
        "largest": LARGEST,
        "coverage": covered(binance=1.0, bybit=0.91, htx=1.0),
        "by_kind": {"all": 1_526_750_000 * DOLLAR, "sampled": 188_150_000 * DOLLAR},
        "watched_since_ms": AT_MS - 80_000_000,
        "titles": TITLES,
    }
    return Snapshot(**fields | changes)


FULL = """\
Longs $1.71B (95.2 %), shorts $85.8M (4.8 %); 24,310 liquidation orders reported.
Top coins: BTC $745M, ETH $390M.
Top venues: Bybit $344M, Binance $188M.
Largest order: HTX BTC-USDT long, $80.5M at 2026-01-30 03:43:10 UTC.
Coverage: watched 97 % of the window: Bybit 91 %; the rest of Binance, Bybit, HTX in full; \
watching since 2026-01-29 06:29:50 UTC. Not every order is published by Binance. \
From such feeds $188M, from those that publish all $1.52B.
As of 2026-01-30 04:43:10 UTC."""


def test_the_whole_text() -> None:
    assert FULL == compose(snapshot()).text


HEADLINES: list[tuple[dict[str, Any], str]] = [
    ({}, "At least $1.71B of longs liquidated in 24 hours, past $1.7B."),
    ({"coverage": covered(bybit=1.0, htx=1.0)}, "$1.71B of longs liquidated in 24 hours, past $1.7B."),
    ({"coverage": covered(bybit=0.99)}, "At least $1.71B of longs liquidated in 24 hours, past $1.7B."),
    ({"coverage": covered(binance=1.0)}, "At least $1.71B of longs liquidated in 24 hours, past $1.7B."),
    ({"coverage": ()}, "At least $1.71B of longs liquidated in 24 hours, past $1.7B."),
    ({"kind": "stepped_up"}, "At least $1.71B of longs liquidated in 24 hours, now past $1.7B."),
    ({"kind": "reminded"}, "Still open past $1.7B: at least $1.71B of longs liquidated in 24 hours."),
    (
        {"kind": "cleared", "long": 899 * 10**6 * DOLLAR, "threshold": Decimal("9e8")},
        "Cleared: longs liquidated in 24 hours back under $900M, now at least $899M.",
    ),
    ({"side": "both"}, "At least $1.80B of positions liquidated in 24 hours, past $1.7B."),
    (
        {"side": "short", "scope": "base=BTC", "window": "1h", "threshold": Decimal(8 * 10**7)},
        "At least $85.8M of BTC shorts liquidated in 1 hour, past $80M.",
    ),
    (
        {"scope": "venue=bybit", "coverage": covered(bybit=1.0)},
        "$1.71B of longs liquidated on Bybit in 24 hours, past $1.7B.",
    ),
    (
        {"scope": "venue=bybit,base=ETH", "coverage": covered(bybit=1.0)},
        "$1.71B of ETH longs liquidated on Bybit in 24 hours, past $1.7B.",
    ),
    # Cut to three digits the figure would stand below the threshold that it has passed.
    (
        {"long": 1_234_600_000 * DOLLAR, "threshold": Decimal("1234500000")},
        "At least $1.2346B of longs liquidated in 24 hours, past $1.2345B.",
    ),
]


@pytest.mark.parametrize(("changes", "expected"), HEADLINES)
def test_headline(changes: dict[str, Any], expected: str) -> None:
    assert expected == compose(snapshot(**changes)).headline


def test_cleared_says_peak_and_duration() -> None:
    text = compose(
        snapshot(
            kind="cleared",
            long=10 * DOLLAR,
            opened_ms=AT_MS - 22_320_000,
            peak=3_120_000_000 * DOLLAR,
            peak_at_ms=AT_MS - 60_000,
        )
    ).text
    assert "Peak: at least $3.12B at 2026-01-30 04:42:10 UTC; lasted 6 h 12 min." in text.splitlines()


COVERAGE: list[tuple[dict[str, Any], str]] = [
    ({"coverage": ()}, "Coverage: unknown, so the figure is a floor."),
    (
        {"coverage": covered(bybit=1.0, htx=1.0)},
        "Coverage: watched the whole window on Bybit, HTX.",
    ),
    (
        {"coverage": covered(bybit=0.475, htx=0.478), "watched_since_ms": None},
        "Coverage: watched 47.6 % of the window on Bybit, HTX.",
    ),
    (
        {"coverage": covered(bybit=0.0), "watched_since_ms": None},
        "Coverage: watched 0 % of the window: Bybit 0 %.",
    ),
    (
        {"coverage": covered(bybit=0.0001), "watched_since_ms": None},
        "Coverage: watched 0.1 % of the window: Bybit 0.1 %.",
    ),
]


@pytest.mark.parametrize(("changes", "expected"), COVERAGE)
def test_coverage(changes: dict[str, Any], expected: str) -> None:
    assert expected in compose(snapshot(**changes)).text.splitlines()


def test_nobody_is_called_a_trader() -> None:
    assert "trader" not in compose(snapshot()).text.lower()


def test_an_empty_window_has_no_shares() -> None:
    text = compose(snapshot(kind="cleared", long=0, short=0, count=0, coins=(), venues=(), largest=None)).text
    assert "No liquidation orders in the window." == text.splitlines()[0]


@pytest.mark.parametrize(
    ("dollars", "expected"),
    [
        (0, "$0"), (999, "$999"), (12_400, "$12,400"), (999_999, "$999,999"), (1_000_000, "$1.00M"),
        (85_999_999, "$85.9M"), (999_999_999, "$999M"), (1_705_000_000, "$1.70B"), (17_100_000_000, "$17.1B"),
        (1_000_000_000_000, "$1.00T"),
    ],
)  # fmt: skip
def test_money(dollars: int, expected: str) -> None:
    assert expected == money(dollars * DOLLAR)


@given(st.integers(0, 10**15))
def test_money_is_never_rounded_up(usd: int) -> None:
    text = money(usd).removeprefix("$").replace(",", "")
    scale = {"M": 10**6, "B": 10**9, "T": 10**12}.get(text[-1], 1)
    assert Decimal(text.rstrip("MBT")) * scale * DOLLAR <= usd


@pytest.mark.parametrize(
    ("usd", "expected"),
    [("1.7e9", "$1.7B"), ("250000000", "$250M"), ("12500", "$12,500"), ("0.5", "$0.5"), ("1e10", "$10B")],
)
def test_a_threshold_is_written_as_it_was_set(usd: str, expected: str) -> None:
    assert expected == exact(Decimal(usd))


@pytest.mark.parametrize(
    ("ms", "expected"),
    [(45_999, "45 s"), (720_000, "12 min"), (3_600_000, "1 h"), (22_320_000, "6 h 12 min"), (183_600_000, "2 d 3 h")],
)
def test_duration(ms: int, expected: str) -> None:
    assert expected == duration(ms)


def test_a_moment_names_its_time_zone() -> None:
    assert "2026-01-30 04:43:10 UTC" == moment(AT_MS)


@pytest.mark.parametrize(("window", "expected"), [("24h", "24 hours"), ("1h", "1 hour"), ("5m", "5 minutes"), ("", "")])
def test_span(window: str, expected: str) -> None:
    assert expected == span_words(window)


@given(st.text())
def test_a_name_is_printable_and_short_whatever_a_venue_sends(text: str) -> None:
    shown = name(text)
    assert len(shown) <= 64
    assert all(mark.isalnum() or mark in "._:/-?…" for mark in shown)


def test_a_venue_is_written_as_its_own_people_write_it_and_an_unknown_one_cannot_be_markup() -> None:
    titles = {"kraken_futures": "Kraken Futures", "hyperliquid": "Hyperliquid (partial view)"}
    shares = [Amount("kraken_futures", DOLLAR), Amount("hyperliquid", DOLLAR), Amount("<b> x", DOLLAR)]
    text = compose(
        Snapshot("fired", "all", "long", "1h", 0, Decimal(1), DOLLAR * 3, 0, 3, venues=shares, titles=titles)
    ).text
    assert "Top venues: Kraken Futures $1, Hyperliquid (partial view) $1, ?b??x $1." in text
