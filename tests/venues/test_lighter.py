"""Lighter: markets by their numbers, replays that fill gaps, and ordinary trades that cost next to nothing."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from liqwatch import venues
from liqwatch.venues._rows import explained
from liqwatch.venues.base import FrameKind, Instrument, Received, Session, build_instruments
from liqwatch.venues.lighter import MARKETS_PER_SOCKET
from tests.support import recordings
from tests.support.recordings import NOW_MS, USD

LIGHTER = venues.discover()["lighter"]
MARKETS = {"0": {"market_id": 0, "symbol": "ETH"}, "1": {"market_id": 1, "symbol": "BTC"}}


def session(*symbols: str) -> Session:
    known, errors = build_instruments(LIGHTER, MARKETS, USD)
    assert [] == errors
    made = LIGHTER.session(LIGHTER.feeds[0], known, symbols)
    made.opening_frames()
    return made


def told(made: Session, message: dict[str, Any]) -> Received:
    return made.receive(json.dumps(message), NOW_MS)


def yes(market: str) -> dict[str, Any]:
    return {"type": "subscribed/trade", "channel": f"trade:{market}", "trades": [], "liquidation_trades": None}


def no(text: str) -> dict[str, Any]:
    return {"error": {"code": 30005, "message": text}}


def trade(number: int, **more: Any) -> dict[str, Any]:
    return {
        "trade_id": number,
        "type": "liquidation",
        "market_id": 1,
        "size": "0.5",
        "price": "70000",
        "is_maker_ask": False,
        "timestamp": 1_795_000_000_000,
        **more,
    }


def test_perpetuals_are_listed_by_the_number_of_their_market() -> None:
    rows = [
        {"market_id": 1, "symbol": "BTC", "market_type": "perp", "status": "active"},
        {"market_id": 7, "symbol": "OLD", "market_type": "perp", "status": "inactive"},
        {"market_id": 2048, "symbol": "ETH/USDC", "market_type": "spot", "status": "active"},
    ]
    listed = LIGHTER.read_instruments(LIGHTER.instrument_lists[0], json.dumps({"order_books": rows}).encode())
    known, errors = build_instruments(LIGHTER, listed.objects, USD)

    assert [] == errors
    assert {
        "1": Instrument("BTC", "BTC", "USDC", feed="trades"),
        "7": Instrument("OLD", "OLD", "USDC", feed="trades", trading=False),
    } == known


def test_a_socket_stays_below_the_hundred_subscriptions_allowed() -> None:
    frames = LIGHTER.session(LIGHTER.feeds[0], {}, [str(n) for n in range(MARKETS_PER_SOCKET)]).opening_frames()

    assert MARKETS_PER_SOCKET + 1 == len(frames)
    assert len(frames) <= 100


def test_each_market_is_answered_for_itself_and_a_refused_one_is_missed_by_nobody() -> None:
    made = session("0", "1", "9")

    told(made, yes("0"))
    assert FrameKind.REFUSED is told(made, no("Invalid Channel : trade/9")).kind
    assert not made.acknowledged
    told(made, yes("1"))

    assert made.acknowledged


def test_a_refusal_that_names_no_market_leaves_all_of_them_open() -> None:
    made = session("0", "1")
    told(made, yes("0"))

    assert FrameKind.REFUSED is told(made, no("Too Many Messages!")).kind

    assert not made.acknowledged


def test_what_is_subscribed_already_is_subscribed() -> None:
    made = session("0")

    told(made, no("Already Subscribed : trade:0"))

    assert made.acknowledged


def test_a_replay_acknowledges_and_gives_the_ids_that_the_stream_gave() -> None:
    made = session("1")
    live = told(made, {"type": "update/trade", "channel": "trade:1", "trades": [], "liquidation_trades": [trade(5)]})
    replayed = told(made, yes("1") | {"liquidation_trades": [trade(4), trade(5)]})

    assert made.acknowledged
    assert [("lighter:5", "stream")] == [(event.event_id, event.source) for event in live.liquidations]
    assert [("lighter:4", "gap-fill"), ("lighter:5", "gap-fill")] == [
        (event.event_id, event.source) for event in replayed.liquidations
    ]


def test_a_replay_with_a_bad_row_acknowledges_and_says_what_was_bad() -> None:
    made = session("1")

    received = told(made, yes("1") | {"liquidation_trades": [trade(4, price="?")]})

    assert (FrameKind.REJECTED, True) == (received.kind, made.acknowledged)
    assert "price" in (received.error or "")


def test_the_number_of_a_trade_may_come_as_text_alone() -> None:
    odd = trade(5) | {"trade_id": None, "trade_id_str": "123456789012345678901234567890"}

    received = told(session("1"), {"type": "update/trade", "liquidation_trades": [odd]})

    assert ["lighter:123456789012345678901234567890"] == [event.event_id for event in received.liquidations]


ordinary = st.fixed_dictionaries(
    {
        "type": st.sampled_from(["trade", "deleverage", "market-settlement", "liquidations", "buy"]),
        "market_id": st.integers(0, 3),
        "size": st.sampled_from(["0.5", "liquidation_trades", "é"]),
        "is_maker_ask": st.booleans(),
    }
)
forced = st.builds(trade, st.integers(1, 9))


@given(st.lists(ordinary | forced, max_size=4), st.lists(ordinary, max_size=3), st.booleans(), st.booleans())
def test_a_look_at_the_text_misses_no_liquidation(flagged: Any, trades: Any, spaced: bool, escaped: bool) -> None:
    frame = json.dumps(
        {"channel": "trade:1", "liquidation_trades": flagged, "trades": trades, "type": "update/trade"},
        separators=(", ", ": ") if spaced else (",", ":"),
        ensure_ascii=escaped,
    )
    if escaped:
        frame = frame.replace("liquidation", "\\u006ciquidation")
    made = session("1")

    quick = made.receive(frame, NOW_MS)

    careful = explained(frame, lambda whole: made._answer(whole, NOW_MS))  # type: ignore[attr-defined]
    assert [recordings.facts(event) for event in careful.liquidations] == [
        recordings.facts(event) for event in quick.liquidations
    ]
    assert len({row["trade_id"] for row in flagged if row["type"] == "liquidation"}) == len(quick.liquidations)


@pytest.mark.parametrize("frame", ['{"type":"update/trade","trades":[', '"update/trade"', '{"type":"update/trade"'])
def test_a_frame_cut_off_is_not_taken_for_ordinary_trades(frame: str) -> None:
    assert FrameKind.REJECTED is session("1").receive(frame, NOW_MS).kind
    assert FrameKind.REJECTED is session("1").receive(frame.encode(), NOW_MS).kind
