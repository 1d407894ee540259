"""Binance's prices beside its liquidations: what they may cost, and for whom they count."""

import json
from typing import Any

import pytest

from liqwatch import venues
from liqwatch.venues.base import Feed, FrameKind, Instrument, Received, Session
from tests.support.recordings import NOW_MS

BTC, ETH = Instrument("BTCUSDT", "BTC", "USDT"), Instrument("ETHUSDT", "ETH", "USDT")
REFUSED = {"error": {"code": 2, "msg": "Invalid request: unknown stream"}, "id": 3}
MARK = {"e": "markPriceUpdate", "E": NOW_MS, "s": "BTCUSDT", "p": "70010.10000000", "i": "70000.00000000"}
ORDER = {"s": "BTCUSDT", "S": "SELL", "p": "69000", "ap": "70000", "q": "1", "z": "1", "X": "FILLED", "T": NOW_MS}


def opened(name: str = "binance", *instruments: Instrument) -> Session:
    venue = venues.discover()[name]
    feed: Feed = venue.feeds[0]
    session = venue.session(feed, {one.symbol: one for one in instruments}, ())
    session.opening_frames()
    return session


def told(session: Session, message: dict[str, Any]) -> Received:
    return session.receive(json.dumps(message), NOW_MS)


def prices(received: Received) -> list[tuple[str, str]]:
    return [(price.base, price.usd) for price in received.prices]


def test_refused_prices_cost_neither_the_liquidations_nor_the_control_channel() -> None:
    session = opened("binance", BTC)

    received = told(session, REFUSED)

    assert (FrameKind.IGNORED, "no prices: Invalid request: unknown stream (code 2)") == (received.kind, received.error)
    assert (False, True) == (session.acknowledged, session.control_expected)
    told(session, {"result": None, "id": 1})
    assert (True, True) == (session.acknowledged, session.control_expected)
    assert 1 == len(told(session, {"e": "forceOrder", "E": NOW_MS, "o": ORDER}).liquidations)
    assert [("BTC", "70010.10000000")] == prices(told(session, MARK))  # the control channel still brings this one


def test_granted_prices_are_no_yes_to_the_liquidations() -> None:
    session = opened("binance", BTC)

    told(session, {"result": None, "id": 3})

    assert not session.acknowledged


@pytest.mark.parametrize(
    "instruments",
    [(), (ETH,), (Instrument("BTCUSDT", "BTC", "USDT", unpriced="quoted in USDT, for which no USD rate is known"),)],
    ids=["none known", "another one known", "not in dollars"],
)
def test_a_price_that_is_not_known_to_be_in_dollars_is_proof_of_the_route_alone(instruments: Any) -> None:
    received = told(opened("binance", *instruments), MARK)

    assert (FrameKind.CONTROL, [], [], None) == (
        received.kind,
        prices(received),
        list(received.bad_rows),
        received.error,
    )


@pytest.mark.parametrize("symbol", [None, 1, [], {}, ["BTCUSDT"], "btcusdt"])
def test_a_symbol_of_any_kind_is_proof_of_the_route(symbol: Any) -> None:
    received = told(opened("binance", BTC), MARK | {"s": symbol})

    assert (FrameKind.CONTROL, []) == (received.kind, prices(received))


def test_a_liquidation_brings_no_price() -> None:
    assert [] == prices(told(opened("binance", BTC), {"e": "forceOrder", "E": NOW_MS, "o": ORDER}))


def test_aster_which_speaks_the_same_is_asked_for_no_prices_and_gives_none() -> None:
    received = told(opened("aster", BTC), MARK)

    assert (FrameKind.CONTROL, []) == (received.kind, prices(received))
