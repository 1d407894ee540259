"""Which prices a cascade is judged by: of the prices topic, else of fills; and none of another time."""

from typing import Any

import pytest

from liqwatch.alerter.history import History
from liqwatch.alerter.tape import Tape
from liqwatch.coins import MAJORS
from liqwatch.events import Price
from liqwatch.settings import RuleSettings
from liqwatch.wire import Liquidation, encode

START_MS = 1_795_000_000_000
MINUTE_MS = 60_000
CASCADE = RuleSettings.model_validate({"name": "longs", "kind": "cascade", "side": "long"})


def fill(at_ms: int, usd: str, base: str = "BTC", number: int = 0) -> bytes:
    place = (f"{at_ms}{base}{usd}{number}", "htx", f"{base}-USDT", base, "USDT", "long")
    return encode(Liquidation(*place, usd, "fill", "1", "1", at_ms, at_ms, "venue", "stream", "order"))


def told(at_ms: int, usd: str, base: str = "BTC") -> bytes:
    return Price(base=base, usd=usd, at_ms=at_ms, venue="binance").model_dump_json().encode()


def begun(tape: Tape, now_ms: int) -> float | None:
    """How far the index is seen to have fallen."""
    tape.begin(History([CASCADE], MAJORS))
    tape.tick(now_ms)
    return tape.cascades["longs"].fall()


def test_prices_of_the_topic_go_before_fills() -> None:
    tape = Tape([CASCADE])
    begun(tape, START_MS)
    for coin in ("BTC", "ETH"):
        tape.take_price(told(START_MS, "100", coin), START_MS)
    tape.take(fill(START_MS + 1000, "50"), START_MS + 1000)
    tape.tick(START_MS + 1000)
    assert 0 == tape.cascades["longs"].fall()
    tape.take(fill(START_MS + 61_000, "50"), START_MS + 61_000)  # the topic has said nothing for a minute
    assert 0.29 < (tape.cascades["longs"].fall() or 0) < 0.30


def test_a_coin_without_prices_keeps_its_fills() -> None:
    """The index needs both coins."""
    tape = Tape([CASCADE])
    begun(tape, START_MS)
    tape.take_price(told(START_MS, "100"), START_MS)
    tape.take(fill(START_MS, "100", "ETH"), START_MS)
    tape.take(fill(START_MS + 1000, "50", "ETH"), START_MS + 1000)
    assert 0.29 < (tape.cascades["longs"].fall() or 0) < 0.30


@pytest.mark.parametrize("prices_first", [True, False])
def test_after_a_start_fills_tell_of_the_time_before_the_prices_that_are_left(prices_first: bool) -> None:
    """Compaction leaves only the last minutes of prices; what fell before them is seen all the same."""
    tape, now_ms = Tape([CASCADE]), START_MS
    records: list[tuple[Any, bytes]] = []
    for minute in range(10, 0, -1):
        for coin in ("BTC", "ETH"):
            usd = "100" if minute > 5 else "97"
            records.append((tape.take, fill(now_ms - minute * MINUTE_MS, usd, coin)))
    for coin in ("BTC", "ETH"):
        records.append((tape.take, fill(now_ms - 30_000, "150", coin)))  # beside a price: it does not count
        records.append((tape.take_price, told(now_ms - 40_000, "97", coin)))
    for take, value in sorted(records, key=lambda one: (one[0] == tape.take) is prices_first):
        take(value, now_ms)
    assert 0.03 == pytest.approx(begun(tape, now_ms))


@pytest.mark.parametrize("off_ms", [-61_000, 61_000])
def test_a_price_of_another_time_is_not_taken_for_the_price_now(off_ms: int) -> None:
    tape = Tape([CASCADE])
    begun(tape, START_MS)
    for coin in ("BTC", "ETH"):
        tape.take_price(told(START_MS, "100", coin), START_MS)
    tape.take_price(told(START_MS + off_ms, "50"), START_MS)
    assert 0 == tape.cascades["longs"].fall()
