"""The range beside the observed total: what it learns, how wide it is, and when it declines to say."""

import random

import pytest

from liqwatch.estimate import Estimator
from liqwatch.shadow import LEAST_PUSHES, Shadow

START = 1_790_000_000_000
USD = 1_000_000
DAY = {"24h": 86_400, "5m": 300}


def estimator() -> Estimator:
    made = Estimator(DAY, {"binance": "largest", "okx": "first"}, {"bybit"})
    made.advance(START)
    return made


def told(made: Estimator, venue: str, symbol: str, side: str, at_ms: int, usd: int) -> None:
    made.add(f"{venue}:{symbol}:{at_ms}:{side}:{usd}", venue, symbol, side, at_ms, usd)


def taught(made: Estimator, pushes: int, kept: float) -> int:
    """A complete venue that shows `pushes` calm pushes, each of two orders; when the last was."""
    at = START
    for number in range(pushes):
        at = START + number * 61_000
        told(made, "bybit", "BTCUSDT", "long", at, round(100 * USD * kept))
        told(made, "bybit", "BTCUSDT", "long", at + 300, round(100 * USD * (1 - kept)))
    made.advance(at + 2_000)
    return at + 2_000


def test_until_enough_is_seen_there_is_no_upper_end() -> None:
    made = estimator()
    now = taught(made, LEAST_PUSHES - 1, 0.8)
    told(made, "binance", "BTCUSDT", "long", now, 80 * USD)
    found = made.estimate("24h", "long", 200 * USD)
    assert found is not None
    assert found.high is None
    assert found.low >= 200 * USD


def test_the_share_that_the_largest_order_keeps_is_learned_from_a_complete_venue() -> None:
    made = estimator()
    now = taught(made, 400, 0.8)
    told(made, "binance", "BTCUSDT", "long", now, 80 * USD)
    found = made.estimate("24h", "long", 80 * USD)
    assert found is not None
    (venue,) = found.venues
    assert venue.capture == pytest.approx((400 * 0.8 + 30 * 0.86) / 430, rel=1e-4)
    assert venue.high is not None
    assert found.low == 80 * USD  # never under what was observed
    assert found.high == venue.high > 100 * USD


def test_complete_venues_enter_as_they_are() -> None:
    made = estimator()
    now = taught(made, 400, 0.8)
    told(made, "binance", "BTCUSDT", "long", now, 80 * USD)
    alone, beside = made.estimate("24h", "long", 80 * USD), made.estimate("24h", "both", 580 * USD)
    assert alone is not None
    assert beside is not None
    assert alone.high is not None
    assert beside.high == alone.high + 500 * USD
    assert beside.low == alone.low + 500 * USD


def test_a_feed_that_shows_the_first_order_is_always_at_least() -> None:
    made = estimator()
    now = taught(made, 400, 0.3)
    told(made, "okx", "BTC-USDT-SWAP", "short", now, 30 * USD)
    found = made.estimate("24h", "short", 30 * USD)
    assert found is not None
    assert found.high is None
    assert found.low > 30 * USD


def test_a_symbol_with_a_push_every_second_is_saturated() -> None:
    made = estimator()
    now = taught(made, 400, 0.8)
    for number in range(120):
        told(made, "binance", "BTCUSDT", "long", now + number * 1000, USD)
    made.advance(now + 120_000)
    found = made.estimate("24h", "long", 120 * USD)
    assert found is not None
    assert found.high is None


def test_without_a_complete_venue_for_ten_minutes_there_is_no_upper_end() -> None:
    made = estimator()
    now = taught(made, 400, 0.8)
    told(made, "binance", "BTCUSDT", "long", now, 80 * USD)
    made.advance(now + 590_000)
    before = made.estimate("24h", "long", 80 * USD)
    made.advance(now + 700_000)
    after = made.estimate("24h", "long", 80 * USD)
    assert before is not None
    assert after is not None
    assert before.high is not None
    assert after.high is None


def test_what_leaves_the_window_leaves_the_range() -> None:
    made = estimator()
    now = taught(made, 400, 0.8)
    told(made, "binance", "BTCUSDT", "long", now, 80 * USD)
    made.advance(now + 300_999)
    assert made.estimate("5m", "long", 80 * USD) is None
    assert made.estimate("24h", "long", 80 * USD) is not None


def test_a_quiet_symbol_is_forgotten() -> None:
    shadow = Shadow()
    for number in range(1000):
        shadow.learn("bybit", f"C{number}USDT", START, USD)
        shadow.push("binance", f"C{number}USDT", START, USD, "largest")
    shadow.forget(START + 1_000)
    shadow.forget(START + 61_000)
    assert not shadow._open
    assert not shadow._times


def test_thinning_a_clustered_stream_in_software_gives_back_about_its_total() -> None:
    dice = random.Random(5)
    made = estimator()
    truth = at = 0
    shown = 0
    for number in range(3000):
        at = START + number * 15_000
        orders = [round(USD * dice.lognormvariate(9, 2)) for _ in range(1 + (dice.random() < 0.4) * dice.randrange(6))]
        for order in orders:
            told(made, "bybit", f"C{number % 40}USDT", "long", at, order)
        others = [round(USD * dice.lognormvariate(9, 2)) for _ in range(1 + (dice.random() < 0.4) * dice.randrange(6))]
        truth += sum(others)
        shown += max(others)
        told(made, "binance", f"C{number % 40}USDT", "long", at, max(others))
    made.advance(at)
    found = made.estimate("24h", "long", shown)
    assert found is not None
    assert found.high is not None
    assert found.low <= truth <= found.high
    assert 0.7 < found.venues[0].observed / found.venues[0].capture / truth < 1.4


def test_an_order_that_comes_twice_counts_once() -> None:
    once, twice = estimator(), estimator()
    for made, times in ((once, 1), (twice, 2)):
        for _ in range(times):
            now = taught(made, 400, 0.8)
            told(made, "binance", "BTCUSDT", "long", now, 80 * USD)
    assert once.estimate("24h", "long", 80 * USD) == twice.estimate("24h", "long", 80 * USD)


def test_partitions_may_come_one_after_the_other() -> None:
    made = estimator()
    now = taught(made, 400, 0.8)
    told(made, "binance", "BTCUSDT", "long", now, 80 * USD)
    told(made, "binance", "ETHUSDT", "long", now - 200_000, 40 * USD)  # of a partition that is read later
    made.advance(now + 150_000)
    found = made.estimate("5m", "long", 80 * USD)
    assert found is not None
    assert [80 * USD] == [venue.observed for venue in found.venues]
