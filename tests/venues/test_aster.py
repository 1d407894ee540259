"""Aster: orders that are not at their end yet, its REST list, and what it says no with."""

import json
from decimal import Decimal
from typing import Any

import pytest

from liqwatch import venues
from liqwatch.venues.base import Instrument, Received, build_instruments
from tests.support.recordings import NOW_MS, USD

ASTER = venues.discover()["aster"]
BTC = {"symbol": "BTCUSDT", "baseAsset": "BTC", "quoteAsset": "USDT", "status": "TRADING"}


def told(**order: Any) -> Received:
    known, errors = build_instruments(ASTER, {"BTCUSDT": BTC}, USD)
    assert [] == errors
    said = {"s": "BTCUSDT", "S": "BUY", "q": "9", "p": "1", "ap": "70000", "X": "FILLED", "l": "5", "z": "2", **order}
    session = ASTER.session(ASTER.feeds[0], known, [])
    return session.receive(json.dumps({"e": "forceOrder", "o": {**said, "T": 1_795_000_000_000}}), NOW_MS)


@pytest.mark.parametrize(
    ("state", "filled", "counted"),
    [
        ("FILLED", "2", ["2"]),
        ("EXPIRED", "0.5", ["0.5"]),
        ("CANCELED", "0.5", ["0.5"]),
        ("EXPIRED", "0", []),
        ("CANCELED", "0.000", []),
        ("NEW", "0", []),
        ("PARTIALLY_FILLED", "1", []),
    ],
)
def test_only_an_order_at_its_end_counts_with_all_that_it_filled(state: str, filled: str, counted: list[str]) -> None:
    received = told(X=state, z=filled)

    assert None is received.error
    assert [Decimal(text) for text in counted] == [Decimal(event.quantity) for event in received.liquidations]


def test_a_symbol_of_another_quote_than_dollars_is_known_and_not_counted() -> None:
    listed = ASTER.read_instruments(
        ASTER.instrument_lists[0], json.dumps({"symbols": [BTC, {**BTC, "symbol": "X", "quoteAsset": "BTC"}]}).encode()
    )
    known, errors = build_instruments(ASTER, listed.objects, USD)

    assert [] == errors
    assert Instrument("BTCUSDT", "BTC", "USDT") == known["BTCUSDT"]
    assert "quoted in BTC, for which no USD rate is known" == known["X"].unpriced


def test_a_symbol_that_does_not_trade_is_known_all_the_same() -> None:
    known, _ = build_instruments(ASTER, {"BTCUSDT": {**BTC, "status": "SETTLING"}}, USD)

    assert not known["BTCUSDT"].trading


def test_a_refusal_is_not_an_empty_list() -> None:
    with pytest.raises(ValueError, match="no symbols"):
        ASTER.read_instruments(ASTER.instrument_lists[0], b'{"code":-1003,"msg":"Too many requests"}')
