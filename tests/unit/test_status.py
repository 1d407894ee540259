"""Words and lines of the status: calm, exact, never early."""

import pytest

from liqwatch.amounts import money
from liqwatch.status.lines import trouble_lines
from liqwatch.status.words import ago, share, until
from tests.support.feeds import StubFeed


@pytest.mark.parametrize(
    ("dollars", "text"),
    [
        ("1699999999.999999", "$1.69B"),
        ("1700000000", "$1.70B"),
        ("85880000", "$85.8M"),
        ("516940000", "$516M"),
        ("12400", "$12,400"),
        ("950.99", "$950"),
        ("0", "$0"),
        ("19130000000", "$19.1B"),
        ("1234567000000", "$1.23T"),
    ],
)
def test_money_has_three_figures_and_is_never_rounded_up(dollars: str, text: str) -> None:
    whole, _, fraction = dollars.partition(".")
    assert text == money(int(whole) * 1_000_000 + int(fraction.ljust(6, "0") or 0))


def test_shares_and_times_read_plainly() -> None:
    assert ["86 %", "–"] == [share(86, 100), share(0, 0)]
    now = 10_000_000_000
    assert ["–", "now", "12 s ago", "3 min ago", "2.1 h ago"] == [
        ago(None, now),
        ago(now - 500, now),
        ago(now - 12_000, now),
        ago(now - 180_000, now),
        ago(now - 7_560_000, now),
    ]
    assert "next try in 12 s" == until(now + 12_000, now)


def test_trouble_names_the_socket_the_reason_and_the_next_try() -> None:
    feeds = [
        StubFeed("bybit", "linear", "down", "name not resolved", retry_at_ms=15_000),
        StubFeed("okx", "public", "delivering", ""),
    ]
    assert ["bybit linear: down: name not resolved; next try in 5 s"] == trouble_lines(feeds, 10_000)
