"""Kraken Futures: products asked for in requests, answers one by one, and a history of a hundred trades a page."""

import json
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

import pytest

from liqwatch import venues
from liqwatch.venues.base import CONTROL, FrameKind, HistoryPage, Instrument, Session, build_instruments
from liqwatch.venues.kraken_futures import PRODUCTS_PER_REQUEST
from tests.support.recordings import NOW_MS, USD

KRAKEN = venues.discover()["kraken_futures"]
ADDRESS = "https://futures.kraken.com/derivatives/api/v3/history?symbol=PF_ETHUSD&lastTime=2026-11-18T11%3A06%3A"
INVERSE = {"type": "futures_inverse", "contractSize": 1}
COINS = {"type": "flexible_futures", "contractSize": 1}


def built(objects: Mapping[str, Any]) -> dict[str, Instrument]:
    known, errors = build_instruments(KRAKEN, objects, USD)
    assert [] == errors
    return known


def opened(symbols: Sequence[str]) -> tuple[Session, list[Any]]:
    session = KRAKEN.session(KRAKEN.feeds[0], {}, symbols)
    return session, [json.loads(frame) for frame in session.opening_frames()]


def told(session: Session, **message: Any) -> FrameKind:
    return session.receive(json.dumps(message), NOW_MS).kind


def trade(second: str, number: int, kind: str = "fill") -> dict[str, Any]:
    time = f"2026-11-18T11:06:{second}Z"
    return {"time": time, "uid": f"u-{number}", "side": "sell", "type": kind, "size": 1, "price": 3000}


def answer(address: str, trades: Sequence[Mapping[str, Any]]) -> HistoryPage:
    assert KRAKEN.history is not None
    body = json.dumps({"result": "success", "history": trades}).encode()
    return KRAKEN.history.read(address, body, built({"PF_ETHUSD": COINS}), NOW_MS)


def test_many_products_are_asked_for_in_several_requests() -> None:
    wanted = [f"PF_C{number:03}USD" for number in range(PRODUCTS_PER_REQUEST + 1)]

    _, frames = opened(wanted)

    *requests, ticker, heartbeat = frames
    assert [PRODUCTS_PER_REQUEST, 1] == [len(request["product_ids"]) for request in requests]
    assert wanted == [product for request in requests for product in request["product_ids"]]
    assert ("ticker_lite", ["PF_XBTUSD"], "heartbeat") == (ticker["feed"], ticker["product_ids"], heartbeat["feed"])


def test_each_product_is_answered_for_itself_and_a_refused_one_is_missed_by_nobody() -> None:
    session, _ = opened(["PF_AUSD", "PF_BUSD", "PF_CUSD"])

    told(session, event="subscribed", feed="ticker_lite", product_ids=["PF_AUSD"])
    told(session, event="subscribed", feed="trade", product_ids=["pf_busd"])
    told(session, event="subscribed", feed="trade", product_ids=["PF_CUSD"])
    assert not session.acknowledged
    assert FrameKind.REFUSED is told(session, event="alert", message="Couldn't subscribe to invalid product `PF_AUSD`")

    assert session.acknowledged


def test_an_ordinary_trade_is_not_decoded() -> None:
    session, _ = opened([])

    assert CONTROL is session.receive('{"feed":"trade","type":"fill", not JSON at all }', NOW_MS)


@pytest.mark.parametrize(
    ("symbol", "raw", "wanted"),
    [
        ("PI_XBTUSD", INVERSE, Instrument("PI_XBTUSD", "BTC", "USD", inverse=True)),
        ("FI_ETHUSD_270326", INVERSE, Instrument("FI_ETHUSD_270326", "ETH", "USD", inverse=True)),
        ("PF_SUSD", COINS | {"tradeable": False}, Instrument("PF_SUSD", "S", "USD", trading=False)),
        (
            "FF_XBTUSD_261127",
            COINS | {"contractSize": 0.001},
            Instrument("FF_XBTUSD_261127", "BTC", "USD", contract_size=Decimal("0.001")),
        ),
    ],
)
def test_an_instrument_is_read_from_its_name_and_type(symbol: str, raw: Mapping[str, Any], wanted: Instrument) -> None:
    assert {symbol: wanted} == built({symbol: raw})


def test_what_is_no_futures_contract_is_left_out_and_said() -> None:
    objects = {"PF_ETHUSD": COINS | {"type": "spot"}, "in_xbt": INVERSE, "PF_E-USD": COINS, "PF_XUSD": {"type": "x"}}

    known, errors = build_instruments(KRAKEN, objects, USD)

    assert {} == known
    assert [
        "PF_ETHUSD: type is 'spot', not a futures contract",
        "in_xbt: the symbol 'in_xbt' does not name its coins",
        "PF_E-USD: the symbol 'PF_E-USD' does not name its coins",
        "PF_XUSD: type is 'x', not a futures contract",
    ] == errors


def test_the_list_is_by_symbol_in_upper_case_and_a_refusal_is_no_list() -> None:
    (listed,) = KRAKEN.instrument_lists
    good = {"result": "success", "instruments": [{"symbol": "pi_xbtusd", **INVERSE}, 7]}

    assert ["PI_XBTUSD"] == list(KRAKEN.read_instruments(listed, json.dumps(good).encode()).objects)
    with pytest.raises(ValueError, match="refused: 'apiLimitExceeded'"):
        KRAKEN.read_instruments(listed, b'{"result":"error","error":"apiLimitExceeded"}')
    with pytest.raises(ValueError, match="no list of instruments"):
        KRAKEN.read_instruments(listed, b'{"result":"success","instruments":{}}')


def test_a_full_page_of_the_history_leads_on_to_what_is_older() -> None:
    page = answer(
        f"{ADDRESS}40.001Z#1794990000000",
        [
            trade("30.000", 1, "liquidation"),
            *[trade("20.000", n) for n in range(98)],
            trade("10.500", 2, "liquidation"),
        ],
    )

    assert ["kraken_futures:u-1", "kraken_futures:u-2"] == [event.event_id for event in page.liquidations]
    assert f"{ADDRESS}10.501Z#1794990000000" == page.next_url


def test_a_full_page_of_one_millisecond_does_not_lead_back_to_itself() -> None:
    page = answer(f"{ADDRESS}10.501Z#1794990000000", [trade("10.500", 1, "liquidation")] * 100)

    assert (1, f"{ADDRESS}10.500Z#1794990000000") == (len(page.liquidations), page.next_url)


def test_a_page_that_reaches_back_far_enough_is_the_last() -> None:
    since_ms = 1_795_000_000_000 - 20_000  # 11:06:20

    page = answer(
        f"{ADDRESS}40.001Z#{since_ms}",
        [trade("20.000", 1, "liquidation"), *[trade("19.999", n, "liquidation") for n in range(2, 101)]],
    )

    assert (["kraken_futures:u-1"], None) == ([event.event_id for event in page.liquidations], page.next_url)
