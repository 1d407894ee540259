"""Hyperliquid: whose order it was, and the ordinary fills of the vaults, which cost next to nothing."""

import json
from typing import Any

import pytest

from liqwatch import venues
from liqwatch.venues.base import FrameKind, Instrument, Received, Session, build_instruments
from liqwatch.venues.hyperliquid import VAULTS
from tests.support.recordings import NOW_MS, USD

HYPERLIQUID = venues.discover()["hyperliquid"]
SOMEBODY = "0x00000000000000000000000000000000000000aa"


def opened() -> Session:
    known, errors = build_instruments(HYPERLIQUID, {"ETH": {"name": "ETH"}}, USD)
    assert [] == errors
    made = HYPERLIQUID.session(HYPERLIQUID.feeds[0], known, [])
    made.opening_frames()
    return made


def told(made: Session, channel: str, data: Any) -> Received:
    return made.receive(json.dumps({"channel": channel, "data": data}), NOW_MS)


def fills(user: str, *rows: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"user": user, "fills": list(rows), **more}


def fill(side: str, liquidated: str | None, number: int = 1) -> dict[str, Any]:
    row = {"coin": "ETH", "px": "2500", "sz": "2", "side": side, "time": 1_795_000_000_000, "dir": "Buy", "tid": number}
    return row | ({"liquidation": {"liquidatedUser": liquidated, "method": "backstop"}} if liquidated else {})


@pytest.mark.parametrize(
    ("watched", "order", "side"),
    [(VAULTS[0], "B", "long"), (VAULTS[0], "A", "short"), (SOMEBODY, "A", "long"), (SOMEBODY, "B", "short")],
)
def test_a_long_is_liquidated_by_selling_whoever_is_watched(watched: str, order: str, side: str) -> None:
    (event,) = told(opened(), "userFills", fills(watched, fill(order, SOMEBODY))).liquidations

    assert side == event.side


def test_two_vaults_that_see_one_trade_give_it_one_id() -> None:
    made = opened()

    first, second = (told(made, "userFills", fills(vault, fill("B", SOMEBODY))) for vault in VAULTS[:2])

    assert [event.event_id for event in first.liquidations] == [event.event_id for event in second.liquidations]


def test_what_a_vault_hands_on_is_not_counted_again() -> None:
    received = told(opened(), "userFills", fills(SOMEBODY, fill("A", VAULTS[3].upper().replace("0X", "0x"))))

    assert (FrameKind.CONTROL, []) == (received.kind, list(received.liquidations))


def test_the_fills_of_any_age_at_subscription_are_not_counted() -> None:
    made = opened()
    row = fill("B", SOMEBODY, 7)

    told_first = told(made, "userFills", fills(VAULTS[0], row, fill("A", None, 8), isSnapshot=True))
    live = told(made, "userFills", fills(VAULTS[0], row)).liquidations

    assert (FrameKind.CONTROL, []) == (told_first.kind, list(told_first.liquidations))
    assert ["stream"] == [event.source for event in live]


def test_more_users_than_allowed_leave_the_socket_unacknowledged() -> None:
    made = opened()
    for vault in VAULTS[:-1]:
        told(made, "subscriptionResponse", {"subscription": {"type": "userFills", "user": vault}})

    assert FrameKind.REFUSED is told(made, "error", "Cannot track more than 10 total users.").kind

    assert not made.acknowledged


def test_the_universes_of_all_deployers_are_one_list() -> None:
    metas = [
        {"universe": [{"name": "ETH", "szDecimals": 4}, {"name": "OLD", "szDecimals": 1, "isDelisted": True}]},
        {"universe": [{"name": "xyz:NVDA", "szDecimals": 3}], "collateralToken": 0},
        {"universe": [{"name": "abc:GOLD", "szDecimals": 3}], "collateralToken": 360},
    ]
    listed = HYPERLIQUID.read_instruments(HYPERLIQUID.instrument_lists[0], json.dumps(metas).encode())
    known, errors = build_instruments(HYPERLIQUID, listed.objects, USD)

    assert [] == errors
    assert Instrument("ETH", "ETH", "USDC") == known["ETH"]
    assert not known["OLD"].trading
    assert ("NVDA", "USDC") == (known["xyz:NVDA"].base, known["xyz:NVDA"].quote)
    assert "settled in coin 360, not in USDC" == known["abc:GOLD"].unpriced


def test_it_says_everywhere_that_it_is_partial() -> None:
    assert "partial" == HYPERLIQUID.completeness
    assert "partial" in HYPERLIQUID.title


@pytest.mark.parametrize("cut", ['{"channel":"userFills","data":{"fills":[', '"fills"'])
def test_a_frame_cut_off_is_not_taken_for_ordinary_fills(cut: str) -> None:
    assert FrameKind.REJECTED is opened().receive(cut, NOW_MS).kind
