"""Products are exact whatever their digits, quotients have at least 24, and no thread's settings change that."""

import json
from decimal import Decimal, localcontext

import pytest
from hypothesis import given
from hypothesis import strategies as st

from liqwatch import venues
from liqwatch.venues.base import Instrument, build_instruments
from liqwatch.wire import Liquidation
from tests.support.recordings import NOW_MS

VENUES = venues.discover()
OKX = {"ctMult": "1", "ctValCcy": "BTC", "ctType": "linear", "settleCcy": "USDT"}


def digits(most: int) -> st.SearchStrategy[str]:
    """Decimal text with up to `most` digits, above a thousandth and below ten thousand."""
    return st.builds(
        lambda whole, fraction: f"{whole}.{fraction}",
        st.integers(1, 9999),
        st.text("0123456789", min_size=1, max_size=most - 4),
    )


def order_of(contract_size: str, sz: str, price: str) -> Liquidation:
    instruments, _ = build_instruments(VENUES["okx"], {"X": OKX | {"ctVal": contract_size}}, ("USDT",))
    session = VENUES["okx"].session(VENUES["okx"].feeds[0], instruments, [])
    detail = {"bkPx": price, "posSide": "long", "side": "sell", "sz": sz, "ts": "1795000000000"}
    arg = {"channel": "liquidation-orders", "instType": "SWAP"}
    (event,) = session.receive(
        json.dumps({"arg": arg, "data": [{"instId": "X", "details": [detail]}]}), NOW_MS
    ).liquidations
    return event


@given(st.sampled_from(["0.01", "100", "0.025", "0.125", "0.123456789", "123.4567"]), digits(20), digits(20))
def test_what_an_order_is_worth_is_exact(contract_size: str, sz: str, price: str) -> None:
    event = order_of(contract_size, sz, price)

    with localcontext(prec=100):
        assert Decimal(contract_size) * Decimal(sz) == Decimal(event.quantity)
        assert Decimal(contract_size) * Decimal(sz) * Decimal(price) == Decimal(event.notional_usd)


@pytest.mark.parametrize("size", ["1", "0.01", "0.025", "100", "10000000"])
def test_usual_contracts_are_read_the_quick_way(size: str) -> None:
    assert Instrument("X", "X", "USDT", contract_size=Decimal(size)).quick
    assert not Instrument("X", "X", "USDT", contract_size=Decimal(size), unpriced="odd").quick


def test_contracts_of_odd_sizes_are_read_the_careful_way() -> None:
    assert not Instrument("X", "X", "USDT", contract_size=Decimal("0.125")).quick


@given(st.integers(1, 10**6), digits(12))
def test_coins_of_an_inverse_contract_have_24_digits(contracts: int, price: str) -> None:
    usd = {"contractSize": 100, "baseAsset": "BTC", "quoteAsset": "USD"}
    instruments, _ = build_instruments(VENUES["binance"], {"X": usd}, ("USD",))
    session = VENUES["binance"].session(VENUES["binance"].feeds[0], instruments, [])
    order = {"s": "X", "S": "BUY", "ap": price, "z": str(contracts), "T": 1_795_000_000_000, "st": 2}

    (event,) = session.receive(json.dumps({"e": "forceOrder", "o": order}), NOW_MS).liquidations

    assert Decimal(contracts * 100) == Decimal(event.notional_usd)
    with localcontext(prec=100):
        exact = Decimal(contracts * 100) / Decimal(price)
        assert abs(Decimal(event.quantity) / exact - 1) < Decimal("1e-24")


@pytest.mark.parametrize("sz", ["12345678901234.5", "1234567.1234567"])
def test_a_number_too_long_for_the_quick_way_is_read_all_the_same(sz: str) -> None:
    event = order_of("0.001", sz, "1.5")

    assert Decimal(sz) / 1000 == Decimal(event.quantity)
    assert Decimal(sz) * Decimal("0.0015") == Decimal(event.notional_usd)
