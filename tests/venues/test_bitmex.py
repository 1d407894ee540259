"""BitMEX: what a quanto contract is worth, and what its REST list and refusals say."""

import json
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

import pytest

from liqwatch import venues
from liqwatch.events import Reason
from liqwatch.venues.base import FrameKind, Instrument, Session, build_instruments
from tests.support.recordings import NOW_MS, USD

BITMEX = venues.discover()["bitmex"]
XBTUSD: dict[str, Any] = {
    "symbol": "XBTUSD",
    "underlying": "XBT",
    "quoteCurrency": "USD",
    "settlCurrency": "XBt",
    "multiplier": -100000000,
    "isInverse": True,
}
ETHUSD: dict[str, Any] = XBTUSD | {"symbol": "ETHUSD", "underlying": "ETH", "multiplier": 100, "isInverse": False}
ORDER = {"orderID": "0-0", "symbol": "ETHUSD", "side": "Buy", "price": 3000, "leavesQty": 10}


def built(*objects: Mapping[str, Any]) -> dict[str, Instrument]:
    known, errors = build_instruments(BITMEX, {raw["symbol"]: raw for raw in objects}, USD)
    assert [] == errors
    return known


def opened(instruments: Mapping[str, Instrument]) -> Session:
    session = BITMEX.session(BITMEX.feeds[0], instruments, [])
    session.opening_frames()
    return session


def worth(session: Session, order: Mapping[str, Any] = ORDER) -> Decimal:
    frame = json.dumps({"table": "liquidation", "action": "insert", "data": [order]})
    (event,) = session.receive(frame, NOW_MS).liquidations
    return Decimal(event.notional_usd)


def priced(session: Session, mark: object) -> None:
    row = {"symbol": "XBTUSD", "markPrice": mark}
    assert FrameKind.CONTROL is session.receive(json.dumps({"table": "instrument", "data": [row]}), NOW_MS).kind


def test_a_quanto_contract_is_worth_what_bitcoin_is_at_the_time() -> None:
    session = opened(built(ETHUSD, XBTUSD | {"markPrice": 80000}))

    assert Decimal(2400) == worth(session)  # 10 contracts * 3000 * 100 satoshi = 0.03 XBT
    priced(session, 90000)
    assert Decimal(2700) == worth(session)


@pytest.mark.parametrize("mark", [None, 0, -1, "x", True])
def test_a_price_that_is_none_leaves_the_one_before(mark: object) -> None:
    session = opened(built(ETHUSD, XBTUSD))

    priced(session, 70000.5)
    priced(session, mark)

    assert Decimal("2100.015") == worth(session)


def test_a_quanto_contract_without_a_price_of_bitcoin_is_rejected_and_says_so() -> None:
    session = opened(built(ETHUSD, XBTUSD | {"markPrice": None}))

    received = session.receive(json.dumps({"table": "liquidation", "action": "insert", "data": [ORDER]}), NOW_MS)

    assert [(Reason.NO_RATE, "ETHUSD")] == [(row.reason, row.symbol) for row in received.bad_rows]


def test_an_order_that_stands_twice_in_a_frame_is_one_event() -> None:
    session = opened(built(XBTUSD))
    order = ORDER | {"symbol": "XBTUSD"}

    received = session.receive(
        json.dumps({"table": "liquidation", "action": "partial", "data": [order, order]}), NOW_MS
    )

    assert ["bitmex:0-0"] == [event.event_id for event in received.liquidations]


@pytest.mark.parametrize(
    ("raw", "wanted"),
    [
        (XBTUSD, Instrument("XBTUSD", "BTC", "USD", inverse=True)),
        (XBTUSD | {"state": "Closed"}, Instrument("XBTUSD", "BTC", "USD", inverse=True, trading=False)),
        (ETHUSD, Instrument("ETHUSD", "ETH", "USD", contract_size=Decimal("0.000001"), rate_of="XBTUSD")),
        (
            ETHUSD | {"symbol": "ETHUSDT", "quoteCurrency": "USDT", "settlCurrency": "USDt", "multiplier": 10},
            Instrument("ETHUSDT", "ETH", "USDT", contract_size=Decimal("0.00001")),
        ),
    ],
    ids=["inverse", "closed", "quanto", "linear"],
)
def test_an_instrument_is_read_from_the_fields_of_its_object(raw: Mapping[str, Any], wanted: Instrument) -> None:
    assert {wanted.symbol: wanted} == built(raw)


def test_what_cannot_be_a_contract_is_left_out_and_said() -> None:
    objects = {
        "SPOT": XBTUSD | {"multiplier": 1},
        "NONE": XBTUSD | {"multiplier": None},
        "SHORT": {key: value for key, value in XBTUSD.items() if key != "settlCurrency"},
    }

    known, errors = build_instruments(BITMEX, objects, USD)

    assert {} == known
    assert [
        "SPOT: multiplier is not the size of a contract: Decimal('-1E-8')",
        "NONE: multiplier is neither text nor a number: None",
        "SHORT: has no 'settlCurrency'",
    ] == errors


def test_a_list_gives_objects_by_symbol_and_a_refusal_is_no_list() -> None:
    (listed,) = BITMEX.instrument_lists

    assert ["XBTUSD"] == list(BITMEX.read_instruments(listed, json.dumps([XBTUSD, 7]).encode()).objects)
    with pytest.raises(ValueError, match="no list of instruments"):
        BITMEX.read_instruments(listed, b'{"error":{"message":"Rate limit exceeded","name":"RateLimitError"}}')


def test_a_refusal_that_repeats_no_request_answers_nothing() -> None:
    session = opened({})

    received = session.receive('{"status":400,"error":"Unrecognized request.","meta":{},"request":{}}', NOW_MS)

    assert (FrameKind.REFUSED, "Unrecognized request. (status 400)") == (received.kind, received.error)
    assert session.control_expected
    session.receive('{"success":true,"subscribe":"liquidation","request":{}}', NOW_MS)
    assert session.acknowledged
