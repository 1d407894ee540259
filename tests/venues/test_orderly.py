"""Orderly: prices from another topic, and symbols that say all there is to know."""

import json
from decimal import Decimal
from typing import Any

import pytest

from liqwatch import venues
from liqwatch.venues.base import FrameKind, Instrument, Received, Session, build_instruments
from tests.support.recordings import NOW_MS, USD

ORDERLY = venues.discover()["orderly"]


def opened(**marks: Any) -> Session:
    objects = {f"PERP_{coin}_USDC": {"mark_price": mark} for coin, mark in marks.items()}
    known, errors = build_instruments(ORDERLY, objects, USD)
    assert [] == errors
    made = ORDERLY.session(ORDERLY.feeds[0], known, [])
    made.opening_frames()
    return made


def told(made: Session, message: object) -> Received:
    return made.receive(json.dumps(message), NOW_MS)


def marks(**prices: Any) -> dict[str, Any]:
    rows = [{"symbol": f"PERP_{coin}_USDC", "price": price} for coin, price in prices.items()]
    return {"topic": "markprices", "ts": 1_795_000_000_000, "data": rows}


def taken_over(number: int, coin: str, quantity: float) -> dict[str, Any]:
    positions = [{"symbol": f"PERP_{coin}_USDC", "positionQty": quantity, "liquidatorFee": 0.01}]
    row = {"liquidationId": number, "timestamp": 1_795_000_000_000, "type": "liquidated", "positionsByPerp": positions}
    return {"topic": "liquidation", "ts": 1_795_000_000_000, "data": [row]}


def answered(topic: str, success: bool) -> dict[str, Any]:
    return {"id": topic, "event": "subscribe", "success": success, "errorMsg": "no"}


def test_the_latest_mark_price_goes_before_that_of_the_list() -> None:
    made = opened(BTC=69000, SOL=140)
    told(made, marks(BTC=70000.1))
    told(made, marks(BTC=70000.5, NEW=1))

    prices = [told(made, taken_over(1, coin, 2)).liquidations[0].price for coin in ("BTC", "SOL")]

    assert ["70000.5", "140"] == prices


@pytest.mark.parametrize("nonsense", [0, -1, None, "?", [], 1e40])
def test_a_mark_price_of_nonsense_leaves_the_last_good_one(nonsense: Any) -> None:
    made = opened(BTC=None)
    told(made, marks(BTC=70000.5))

    assert FrameKind.CONTROL is told(made, marks(BTC=nonsense)).kind

    (event,) = told(made, taken_over(1, "BTC", -0.5)).liquidations
    assert ("short", "70000.5", "35000.25") == (event.side, event.price, event.notional_usd)


def test_an_amount_is_exact_though_json_has_it_as_a_number() -> None:
    (event,) = told(opened(BTC=0.1), taken_over(1, "BTC", 0.3)).liquidations

    assert ("0.3", Decimal("0.03")) == (event.quantity, Decimal(event.notional_usd))


def test_mark_prices_that_were_overtaken_change_nothing() -> None:
    made = opened(BTC=None)
    told(made, marks(BTC=70000))
    told(made, marks(BTC=69000) | {"ts": 1_794_999_999_999})

    assert ["70000"] == [event.price for event in told(made, taken_over(1, "BTC", 2)).liquidations]


@pytest.mark.parametrize("time", [None, "x", True, 1e30, 9 * 10**15, -1])
def test_a_time_of_nonsense_costs_no_prices_and_no_liquidations(time: Any) -> None:
    made = opened(BTC=None)
    told(made, marks(BTC=69000) | {"ts": time})
    told(made, marks(BTC=70000) | {"ts": NOW_MS})

    assert ["70000"] == [event.price for event in told(made, taken_over(1, "BTC", 2)).liquidations]


def test_what_is_older_than_the_prices_is_left_to_the_history() -> None:
    made = opened(BTC=70000)
    late = marks(BTC=80000) | {"ts": 1_795_000_061_000}

    before = told(made, taken_over(1, "BTC", 2))  # no prices were pushed yet: the list's will do
    told(made, late)
    after = told(made, taken_over(2, "BTC", 2))

    assert (["70000"], FrameKind.DATA, []) == (
        [event.price for event in before.liquidations],
        after.kind,
        list(after.liquidations),
    )


def test_what_is_pushed_again_has_the_price_that_it_had() -> None:
    made = opened(BTC=70000)

    first = told(made, taken_over(1, "BTC", 2)).liquidations
    told(made, marks(BTC=60000))
    again = told(made, taken_over(1, "BTC", 2)).liquidations
    other = told(made, taken_over(2, "BTC", 2)).liquidations

    assert list(first) == list(again)
    assert ["60000"] == [event.price for event in other]


def test_a_number_pushed_twice_in_a_frame_counts_once() -> None:
    message = taken_over(1, "BTC", 2)
    message["data"] *= 2

    assert 1 == len(told(opened(BTC=1), message).liquidations)


def test_without_prices_the_socket_is_not_acknowledged() -> None:
    made = opened()

    told(made, answered("markprices", False))
    told(made, answered("liquidation", True))

    assert not made.acknowledged


def test_symbols_have_their_coins_in_the_name() -> None:
    rows = [{"symbol": "PERP_1000PEPE_USDC", "mark_price": 0.008}, {"symbol": "SPOT_ETH_USDC", "mark_price": 1}]
    body = json.dumps({"success": True, "data": {"rows": rows}}).encode()
    listed = ORDERLY.read_instruments(ORDERLY.instrument_lists[0], body)
    known, errors = build_instruments(ORDERLY, listed.objects, USD)

    assert [Instrument("PERP_1000PEPE_USDC", "1000PEPE", "USDC", mark=Decimal("0.008"))] == list(known.values())
    assert ["SPOT_ETH_USDC: is not called PERP_{BASE}_{QUOTE}"] == errors


def test_a_refusal_is_not_an_empty_list() -> None:
    with pytest.raises(ValueError, match="refused: 'too many requests'"):
        ORDERLY.read_instruments(ORDERLY.instrument_lists[0], b'{"success":false,"message":"too many requests"}')
