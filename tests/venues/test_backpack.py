"""Backpack: nothing acknowledges a subscription, and the wildcard may be gone."""

import json
from typing import Any

from liqwatch import venues
from liqwatch.venues.base import FrameKind, Instrument, Received, Session, build_instruments
from tests.support.recordings import NOW_MS, USD

BACKPACK = venues.discover()["backpack"]
TICK = {"stream": "markPrice.BTC_USDC_PERP", "data": {"e": "markPrice", "s": "BTC_USDC_PERP", "p": "70000"}}
INVALID = {"id": None, "error": {"code": 4006, "message": "Invalid stream"}}


def market(symbol: str, kind: str = "PERP", **more: Any) -> dict[str, Any]:
    base, _, rest = symbol.partition("_")
    return {"symbol": symbol, "baseSymbol": base, "quoteSymbol": rest.partition("_")[0], "marketType": kind, **more}


def known(*rows: dict[str, Any]) -> dict[str, Instrument]:
    listed = BACKPACK.read_instruments(BACKPACK.instrument_lists[0], json.dumps(rows).encode())
    built, errors = build_instruments(BACKPACK, listed.objects, USD)
    assert [] == errors
    return built


def opened(instruments: dict[str, Instrument]) -> Session:
    made = BACKPACK.session(BACKPACK.feeds[0], instruments, [])
    made.opening_frames()
    return made


def told(made: Session, message: object) -> Received:
    return made.receive(json.dumps(message), NOW_MS)


def asked(received: Received) -> list[str]:
    return [stream for reply in received.replies for stream in json.loads(reply)["params"]]


def test_spot_and_other_markets_are_known_but_none_of_ours() -> None:
    built = known(market("BTC_USDC_PERP"), market("SOL_USDC", "SPOT"), market("X_USDC", "IPERP"))

    assert Instrument("BTC_USDC_PERP", "BTC", "USDC", feed="perpetuals") == built["BTC_USDC_PERP"]
    assert ["others", "others"] == [built[symbol].feed for symbol in ("SOL_USDC", "X_USDC")]
    assert not built["SOL_USDC"].trading


def test_a_closed_market_does_not_trade() -> None:
    assert not known(market("BTC_USDC_PERP", orderBookState="Closed"))["BTC_USDC_PERP"].trading


def test_the_first_tick_after_the_subscription_stands_for_a_yes() -> None:
    made = opened({})

    assert not made.acknowledged
    assert [FrameKind.ACK, FrameKind.CONTROL] == [told(made, TICK).kind, told(made, TICK).kind]
    assert made.acknowledged


def test_a_refused_wildcard_is_asked_for_symbol_by_symbol() -> None:
    listed = [market(f"C{n:03}_USDC_PERP") for n in range(60)]
    made = opened(known(*listed, market("SOL_USDC", "SPOT"), market("OLD_USDC_PERP", visible=False)))

    received = told(made, INVALID)

    assert FrameKind.REFUSED is received.kind
    assert [f"liquidation.C{n:03}_USDC_PERP" for n in range(60)] == asked(received)
    assert [50, 10] == [len(json.loads(reply)["params"]) for reply in received.replies]
    assert not made.acknowledged
    told(made, TICK)
    assert made.acknowledged


def test_symbol_by_symbol_new_listings_are_asked_for_at_the_next_tick() -> None:
    instruments = known(market("A_USDC_PERP"))
    made = opened(instruments)
    told(made, INVALID)
    told(made, TICK)

    instruments |= known(market("B_USDC_PERP"))

    assert ["liquidation.B_USDC_PERP"] == asked(told(made, TICK))
    assert [] == asked(told(made, TICK))


def test_refused_both_ways_it_is_not_acknowledged_by_any_tick() -> None:
    made = opened(known(market("A_USDC_PERP")))
    told(made, INVALID)
    told(made, TICK)

    assert FrameKind.REFUSED is told(made, INVALID).kind

    assert not made.acknowledged
    assert FrameKind.CONTROL is told(made, TICK).kind
    assert not made.acknowledged
