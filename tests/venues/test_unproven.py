"""What is special to the unproven venues: their lists of instruments, and what a refusal costs."""

import json
from typing import Any

import pytest

from liqwatch import venues
from liqwatch.venues.base import FrameKind, InstrumentPage, Session
from tests.support.recordings import NOW_MS

VENUES = venues.discover()
ZOOMEX = {"symbol": "BTCUSDT", "contractType": "LinearPerpetual", "baseCoin": "BTC", "quoteCoin": "USDT"}
DEEPCOIN = [{"instId": "BTC-USDT-SWAP", "ctVal": "0.001"}, {"instId": "ETH-USD-SWAP"}, {"instId": 7}]
LISTS: list[tuple[str, Any, list[str]]] = [
    ("deepcoin", {"code": "0", "msg": "", "data": DEEPCOIN}, ["BTCUSDT", "ETHUSD"]),
    ("poloniex", {"code": 200, "msg": "Success", "data": [{"symbol": "BTC_USDT_PERP"}]}, ["BTC_USDT_PERP"]),
    ("zoomex", {"retCode": 0, "result": {"list": [ZOOMEX], "nextPageCursor": ""}}, ["BTCUSDT"]),
    ("bitmart", {"code": 1000, "message": "Ok", "data": {"symbols": [{"symbol": "BTCUSDT"}]}}, ["BTCUSDT"]),
    ("coinbase_international", {"result": [{"instrument_name": "BTC_USDC-PERPETUAL"}]}, ["BTC_USDC-PERPETUAL"]),
]
REFUSALS: list[tuple[str, Any]] = [
    ("deepcoin", {"code": "51", "msg": "too many requests", "data": []}),
    ("poloniex", {"code": 429, "message": "Too Many Requests"}),
    ("zoomex", {"retCode": 10006, "retMsg": "Too many visits!", "result": {}}),
    ("bitmart", {"code": 40030, "message": "rate limit", "data": {}}),
    ("coinbase_international", {"error": {"code": 10028, "message": "too_many_requests"}}),
]


def listed(name: str, answer: Any) -> InstrumentPage:
    return VENUES[name].read_instruments(VENUES[name].instrument_lists[0], json.dumps(answer).encode())


def told(session: Session, message: dict[str, Any]) -> Any:
    return session.receive(json.dumps(message), NOW_MS)


@pytest.mark.parametrize(("name", "answer", "symbols"), LISTS)
def test_a_list_gives_objects_by_the_name_that_frames_use(name: str, answer: Any, symbols: list[str]) -> None:
    page = listed(name, answer)

    assert symbols == list(page.objects)
    assert page.next_url is None


@pytest.mark.parametrize(("name", "answer"), REFUSALS)
def test_a_refusal_is_not_an_empty_list(name: str, answer: Any) -> None:
    with pytest.raises(ValueError, match=r".+"):
        listed(name, answer)


def test_zoomex_names_the_next_page() -> None:
    page = listed("zoomex", {"retCode": 0, "result": {"list": [ZOOMEX], "nextPageCursor": "a=1&b"}})

    assert f"{VENUES['zoomex'].instrument_lists[0].url}&cursor=a%3D1%26b" == page.next_url


def test_zoomex_asks_alone_for_each_topic_of_a_refused_request_and_drops_the_bad_one() -> None:
    session = VENUES["zoomex"].session(VENUES["zoomex"].feeds[0], {}, ["A", "GONE"])
    (request,) = [json.loads(frame) for frame in session.opening_frames()]

    refused = told(
        session, {"success": False, "ret_msg": "no such topic", "req_id": request["req_id"], "op": "subscribe"}
    )
    again = [json.loads(frame) for frame in refused.replies]
    good = told(session, {"success": True, "req_id": again[0]["req_id"], "op": "subscribe"})
    assert not session.acknowledged
    gone = told(session, {"success": False, "ret_msg": "", "req_id": again[1]["req_id"], "op": "subscribe"})

    assert [["liquidation.A"], ["liquidation.GONE"]] == [frame["args"] for frame in again]
    assert [FrameKind.REFUSED, FrameKind.ACK, FrameKind.REFUSED] == [refused.kind, good.kind, gone.kind]
    assert ("no such topic", "(no text)", []) == (refused.error, gone.error, list(gone.replies))
    assert session.acknowledged


def test_zoomex_takes_answers_without_a_name_in_the_order_of_the_requests() -> None:
    symbols = [f"C{number}" for number in range(11)]
    session = VENUES["zoomex"].session(VENUES["zoomex"].feeds[0], {}, symbols)
    session.opening_frames()

    told(session, {"success": True, "req_id": "", "op": "subscribe"})
    assert not session.acknowledged
    told(session, {"success": True, "req_id": "", "op": "subscribe"})

    assert session.acknowledged


def test_bitmart_goes_on_with_the_topics_that_were_not_refused() -> None:
    session = VENUES["bitmart"].session(VENUES["bitmart"].feeds[0], {}, ["BTCUSDT", "GONE"])
    session.opening_frames()

    told(session, {"action": "subscribe", "group": "futures/trade:BTCUSDT", "success": True})
    assert not session.acknowledged
    told(session, {"action": "subscribe", "group": "futures/trade:GONE", "success": False, "error": "not found"})

    assert session.acknowledged


@pytest.mark.parametrize(
    "spelling", ['"type":1', '"type": 1', '"type" :1', '"\\u0074ype":1', '"type":1.0', '"type":1e0']
)
def test_bitmart_sees_the_flag_however_it_is_spelt(spelling: str) -> None:
    instruments = {"BTCUSDT": VENUES["bitmart"].instrument("BTCUSDT", {
        "base_currency": "BTC", "quote_currency": "USDT", "contract_size": "0.001",
    })}  # fmt: skip
    session = VENUES["bitmart"].session(VENUES["bitmart"].feeds[0], instruments, [])
    row = (
        '{"trade_id":1,"symbol":"BTCUSDT","deal_price":"70000","deal_vol":"1","m":true,'
        '"created_at":"2026-11-18T11:06:40.111Z","type":8},{"trade_id":2,"symbol":"BTCUSDT","deal_price":"70000",'
        f'"deal_vol":"1","m":true,"created_at":"2026-11-18T11:06:40.111Z",{spelling}}}'
    )

    received = session.receive(f'{{"data":[{row}],"group":"futures/trade:BTCUSDT"}}', NOW_MS)

    assert ["bitmart:BTCUSDT:2"] == [event.event_id for event in received.liquidations]
