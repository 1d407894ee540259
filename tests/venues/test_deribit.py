"""Deribit: which side a flag says, ordinary trades that are not decoded, instruments, and a history in thousands."""

import json
from collections.abc import Mapping
from typing import Any

import pytest

from liqwatch import venues
from liqwatch.venues.base import CONTROL, FrameKind, Instrument, Session, build_instruments
from tests.support.recordings import NOW_MS, USD

DERIBIT = venues.discover()["deribit"]
PERPETUAL = {"instrument_type": "reversed", "base_currency": "BTC", "quote_currency": "USD"}
LINEAR = {"instrument_type": "linear", "base_currency": "XRP", "quote_currency": "USDC"}


def opened() -> Session:
    known, errors = build_instruments(DERIBIT, {"BTC-PERPETUAL": PERPETUAL}, USD)
    assert [] == errors
    session = DERIBIT.session(DERIBIT.feeds[0], known, [])
    session.opening_frames()
    return session


@pytest.mark.parametrize(
    ("direction", "flag", "sides"),
    [
        ("sell", "T", ["long"]),
        ("buy", "T", ["short"]),
        ("sell", "M", ["short"]),
        ("buy", "M", ["long"]),
        ("sell", "MT", ["long", "short"]),
        ("buy", "MT", ["short", "long"]),
    ],
)
def test_the_flag_says_whose_position_it_was(direction: str, flag: str, sides: list[str]) -> None:
    trade = {"trade_id": "7", "timestamp": NOW_MS, "price": 80000, "amount": 10, "instrument_name": "BTC-PERPETUAL"}
    data = [{**trade, "direction": direction, "liquidation": flag}]
    frame = {"method": "subscription", "params": {"channel": "trades.future.any.100ms", "data": data}}

    events = opened().receive(json.dumps(frame), NOW_MS).liquidations

    assert sides == [event.side for event in events]
    assert [f"deribit:BTC-PERPETUAL:7:{side}" for side in sides] == [event.event_id for event in events]


def test_ordinary_trades_are_not_decoded() -> None:
    assert CONTROL is opened().receive(
        '{"params":{"channel":"trades.future.any.100ms","data":[{ not JSON at all }', NOW_MS
    )


def test_a_channel_that_was_left_out_is_a_refusal() -> None:
    session = opened()

    received = session.receive('{"jsonrpc":"2.0","id":1,"result":["trades.future.BTC.100ms"]}', NOW_MS)

    assert (FrameKind.REFUSED, False) == (received.kind, session.acknowledged)


def test_a_test_request_is_answered() -> None:
    received = opened().receive('{"method":"heartbeat","params":{"type":"test_request"}}', NOW_MS)

    (reply,) = received.replies
    assert "public/test" == json.loads(reply)["method"]


@pytest.mark.parametrize(
    ("raw", "wanted"),
    [
        (PERPETUAL, Instrument("X", "BTC", "USD", inverse=True)),
        (LINEAR | {"is_active": False, "contract_size": 10}, Instrument("X", "XRP", "USDC", trading=False)),
    ],
)
def test_an_instrument_is_read_from_the_fields_of_its_object(raw: Mapping[str, Any], wanted: Instrument) -> None:
    assert ({"X": wanted}, []) == build_instruments(DERIBIT, {"X": raw}, USD)


def test_what_is_no_future_is_left_out_and_said() -> None:
    objects = {
        "OPTION": PERPETUAL | {"kind": "option"},
        "ODD": PERPETUAL | {"instrument_type": "quanto"},
        "NONE": {"base_currency": "BTC", "quote_currency": "USD"},
    }

    known, errors = build_instruments(DERIBIT, objects, USD)

    assert {} == known
    assert [
        "OPTION: kind is 'option', not future",
        "ODD: instrument_type is 'quanto', neither reversed nor linear",
        "NONE: has no 'future_type'",
    ] == errors


def test_a_list_is_by_name_and_a_refusal_is_no_list() -> None:
    (listed,) = DERIBIT.instrument_lists
    good = {"jsonrpc": "2.0", "result": [{"instrument_name": "BTC-PERPETUAL", **PERPETUAL}, 7]}

    assert ["BTC-PERPETUAL"] == list(DERIBIT.read_instruments(listed, json.dumps(good).encode()).objects)
    with pytest.raises(ValueError, match="no result in the answer"):
        DERIBIT.read_instruments(listed, b'{"jsonrpc":"2.0","error":{"code":10028,"message":"too_many_requests"}}')
