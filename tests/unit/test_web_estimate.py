"""The estimate beside the totals: there only when it is asked for, and never in place of what was observed."""

import pytest

from liqwatch.eventlog import Record
from liqwatch.venues import discover
from liqwatch.web.answers import totals
from liqwatch.web.market import Market
from liqwatch.web.shapes import TotalsAnswer
from liqwatch.wire import Totals, encode
from tests.support.liquidations import liquidation

NOW = 1_790_000_000_000
WINDOWS = (("1h", 3_600), ("24h", 86_400))


def market(estimate: bool) -> Market:
    made = Market(WINDOWS, discover(), estimate=estimate)
    for number in range(200):
        at = NOW - 12_300_000 + number * 61_000
        for part, usd in ((0, "80"), (1, "20")):
            taken(made, liquidation(f"bybit{number}:{part}", at + part, usd, venue="bybit"))
    taken(made, liquidation("binance", NOW, "80"))
    row = Totals(0, "24h", "all", 1, NOW, 0, "20080", 401, "0", 0)
    made.take_totals(Record(0, 0, NOW, b"0,24h,all", encode(row)))
    return made


def taken(made: Market, event: object) -> None:
    made.take_liquidation(Record(0, 0, NOW, b"", encode(event)))


def test_without_the_setting_nothing_is_estimated() -> None:
    assert [] == totals(market(False), [], "24h", "all", NOW)["estimates"]


def test_the_range_stands_beside_what_was_observed() -> None:
    answer = totals(market(True), [], "24h", "all", NOW)
    TotalsAnswer.model_validate(answer)
    assert answer["long"]["usd"] == "20080.000000"
    (long,) = answer["estimates"]
    assert long["side"] == "long"
    assert 20_080 <= float(long["low_usd"]) <= float(long["high_usd"]) < 20_200
    (binance,) = long["venues"]
    assert ("binance", "80.000000", False) == (binance["venue"], binance["observed_usd"], binance["saturated"])
    assert binance["capture"] == pytest.approx(0.8, abs=0.02)


def test_a_coin_has_no_estimate() -> None:
    assert [] == totals(market(True), [], "24h", "base=BTC", NOW)["estimates"]
