"""What sessions ask for, what counts as a yes, and what a venue's no costs."""

import json
from collections.abc import Sequence
from typing import Any

import pytest

from liqwatch import venues
from liqwatch.venues.base import Feed, FrameKind, Session
from liqwatch.venues.bybit import SYMBOLS_PER_SOCKET, TOPICS_PER_REQUEST
from tests.support import recordings
from tests.support.recordings import NOW_MS

VENUES = venues.discover()
# Answers and ping of a venue stand in the first line of its recording; the tables below are of the first six.
FIRST = {name: recordings.lines(name)[0] for name in recordings.NAMES}


def opened(name: str, symbols: Sequence[str] = (), feed: int = 0) -> Session:
    """A session that has sent its opening frames."""
    venue = VENUES[name]
    session = venue.session(venue.feeds[feed], {}, symbols)
    session.opening_frames()
    return session


def told(session: Session, message: dict[str, Any] | str) -> Any:
    return session.receive(message if isinstance(message, str) else json.dumps(message), NOW_MS)


def okx_yes(product: str) -> dict[str, Any]:
    return {"event": "subscribe", "arg": {"channel": "liquidation-orders", "instType": product}, "connId": "0d"}


def okx_no(what: str) -> dict[str, Any]:
    return {"event": "error", "code": "60018", "msg": f"Wrong URL or channel:{what} doesn't exist", "connId": "0d"}


def bitget_yes(product: str) -> dict[str, Any]:
    return {"event": "subscribe", "arg": {"instType": product, "topic": "liquidation"}, "connId": "0d"}


def bitget_no(product: str, topic: str = "liquidation") -> dict[str, Any]:
    return {"event": "error", "code": "30001", "msg": "no", "arg": {"instType": product, "topic": topic}}


def gate(channel: str, **answer: Any) -> dict[str, Any]:
    return {"time": 1, "channel": channel, "event": "subscribe", **answer}


YES: dict[str, list[dict[str, Any]]] = {name: first["yes"] for name, first in FIRST.items() if "yes" in first} | {
    "binance": [{"result": None, "id": 1}],
    "bybit": [{"success": True, "ret_msg": "", "req_id": "liq-1", "op": "subscribe"}],
    "okx": [okx_yes("SWAP"), okx_yes("FUTURES")],
    "bitget": [bitget_yes(product) for product in ("usdt-futures", "coin-futures", "usdc-futures")],
    "gate": [gate("futures.public_liquidates", result={"status": "success"})],
    "htx": [{"op": "sub", "cid": "x", "topic": "public.*.liquidation_orders", "ts": 1, "err-code": 0}],
}
NO: dict[str, list[dict[str, Any]]] = {name: first["no"] for name, first in FIRST.items() if "no" in first} | {
    "binance": [{"error": {"code": 2, "msg": "no"}, "id": 1}],
    "bybit": [{"success": False, "ret_msg": "error:too many topics", "req_id": "liq-1", "op": "subscribe"}],
    "okx": [okx_no(f"liquidation-orders,instType:{product}") for product in ("SWAP", "FUTURES")],
    "bitget": [bitget_no(product) for product in ("usdt-futures", "coin-futures", "usdc-futures")],
    "gate": [gate("futures.public_liquidates", error={"code": 2, "message": "no"}, result=None)],
    "htx": [{"op": "sub", "cid": "x", "topic": "public.*.liquidation_orders", "ts": 1, "err-code": 1002}],
}
NO_CONTROL: dict[str, dict[str, Any]] = {
    name: first["no_control"] for name, first in FIRST.items() if "no_control" in first
} | {
    "binance": {"error": {"code": 2, "msg": "no"}, "id": 2},
    "bybit": {"success": False, "ret_msg": "error:handler not found,topic:tickers.BTCUSDT", "req_id": "control"},
    "okx": okx_no("mark-price,instId:BTC-USDT-SWAP"),
    "bitget": bitget_no("usdt-futures", "ticker"),
    "gate": gate("futures.tickers", error={"code": 2, "message": "no"}, result=None),
}


@pytest.mark.parametrize("name", VENUES)
def test_a_session_is_acknowledged_once_every_part_was(name: str) -> None:
    session = opened(name, ["BTCUSDT"])

    for answer in YES[name]:
        assert not session.acknowledged
        # Where the address subscribes, the venue says neither yes nor no: data is the yes.
        assert told(session, answer).kind is (FrameKind.ACK if NO[name] else FrameKind.CONTROL)

    assert session.acknowledged


@pytest.mark.parametrize("name", VENUES)
def test_a_session_whose_every_part_was_refused_is_not_acknowledged(name: str) -> None:
    session = opened(name, ["BTCUSDT"])

    assert [FrameKind.REFUSED] * len(NO[name]) == [told(session, answer).kind for answer in NO[name]]

    assert not session.acknowledged


@pytest.mark.parametrize("name", ["okx", "bitget"])
def test_a_session_goes_on_with_what_was_not_refused(name: str) -> None:
    session = opened(name)

    answers = [*YES[name][:-1], NO[name][-1]]

    assert FrameKind.REFUSED is [told(session, answer).kind for answer in answers][-1]
    assert session.acknowledged


@pytest.mark.parametrize("name", NO_CONTROL)
def test_a_refused_control_channel_costs_nothing_but_the_control(name: str) -> None:
    session = opened(name, ["BTCUSDT"])
    assert session.control_expected

    received = told(session, NO_CONTROL[name])
    for answer in YES[name]:
        told(session, answer)

    assert (FrameKind.IGNORED, True, False) == (received.kind, session.acknowledged, session.control_expected)
    assert "no control channel" in (received.error or "")


def test_htx_has_no_control_channel() -> None:
    assert not opened("htx").control_expected


@pytest.mark.parametrize("name", VENUES)
def test_only_venues_without_a_wildcard_subscribe_new_listings(name: str) -> None:
    venue = VENUES[name]

    more = opened(name).subscribe_more(["NEWUSDT"])

    assert bool(more) == (venue.feeds[0].symbols_per_socket is not None)


def symbols(count: int) -> list[str]:
    return [f"COIN{number:04}USDT" for number in range(count)]


def arguments(frames: Sequence[str | bytes]) -> list[list[str]]:
    return [json.loads(frame)["args"] for frame in frames]


def bybit_feed() -> Feed:
    return VENUES["bybit"].feeds[0]


def test_bybit_asks_in_requests_that_stay_clear_of_its_limit() -> None:
    wanted = [f"1000000SOMELONGCOIN{number:04}USDT" for number in range(bybit_feed().symbols_per_socket or 0)]

    frames = VENUES["bybit"].session(bybit_feed(), {}, wanted).opening_frames()

    *requests, control = arguments(frames)
    assert wanted == [topic.removeprefix("allLiquidation.") for request in requests for topic in request]
    assert all(len(request) <= TOPICS_PER_REQUEST for request in requests)
    assert SYMBOLS_PER_SOCKET == len(wanted)
    assert sum(len(json.dumps(request)) for request in requests) + len(json.dumps(control)) < 20_000


def test_bybit_drops_the_refused_topic_and_asks_for_the_rest_again() -> None:
    session = VENUES["bybit"].session(bybit_feed(), {}, ["A", "GONE", "B"])
    request = json.loads(session.opening_frames()[0])
    gone = "error:handler not found,topic:allLiquidation.GONE"

    received = told(session, {"success": False, "ret_msg": gone, "req_id": request["req_id"], "op": "subscribe"})

    again = json.loads(received.replies[0])
    assert (FrameKind.REFUSED, gone) == (received.kind, received.error)
    assert ["allLiquidation.A", "allLiquidation.B"] == again["args"]
    assert request["req_id"] != again["req_id"]
    assert not session.acknowledged
    told(session, {"success": True, "ret_msg": "", "req_id": again["req_id"], "op": "subscribe"})
    assert session.acknowledged


def test_bybit_gives_up_when_the_last_topic_is_refused() -> None:
    session = opened("bybit", ["GONE"])

    received = told(
        session, {"success": False, "ret_msg": "error:handler not found,topic:allLiquidation.GONE", "req_id": "liq-1"}
    )

    assert (FrameKind.REFUSED, [], False) == (received.kind, list(received.replies), session.acknowledged)


@pytest.mark.parametrize("why", ["error:too many requests", "error:handler not found,topic:allLiquidation.OTHER"])
def test_bybit_leaves_open_what_a_refusal_does_not_name(why: str) -> None:
    session = VENUES["bybit"].session(bybit_feed(), {}, [f"S{n}USDT" for n in range(TOPICS_PER_REQUEST + 1)])
    first, second, _control = (json.loads(frame)["req_id"] for frame in session.opening_frames())

    received = told(session, {"success": False, "ret_msg": why, "req_id": first, "op": "subscribe"})
    told(session, {"success": True, "ret_msg": "", "req_id": second, "op": "subscribe"})

    assert (FrameKind.REFUSED, why, []) == (received.kind, received.error, list(received.replies))
    assert not session.acknowledged  # the socket is replaced after a while, and all is asked for again


def test_bybit_counts_an_already_subscribed_topic_as_subscribed() -> None:
    session = opened("bybit", ["A", "B"])

    received = told(
        session, {"success": False, "ret_msg": "error:already subscribed,topic:allLiquidation.A", "req_id": "liq-1"}
    )

    assert FrameKind.REFUSED is received.kind
    assert [["allLiquidation.B"]] == arguments(received.replies)
    told(session, {"success": True, "ret_msg": "", "req_id": json.loads(received.replies[0])["req_id"]})
    assert session.acknowledged


def test_bybit_is_acknowledged_again_only_when_new_listings_are() -> None:
    session = opened("bybit", ["A"])
    told(session, YES["bybit"][0])

    frames = session.subscribe_more(["NEW"])

    assert not session.acknowledged
    told(session, {"success": True, "ret_msg": "", "req_id": json.loads(frames[0])["req_id"]})
    assert session.acknowledged


@pytest.mark.parametrize("name", VENUES)
def test_an_answer_to_nothing_that_was_asked_acknowledges_nothing(name: str) -> None:
    session = opened(name, ["BTCUSDT"])

    told(session, {"success": True, "req_id": "x", "result": None, "id": 99, "event": "subscribe", "op": "sub"})

    assert not session.acknowledged


def test_pings_are_what_each_venue_wants() -> None:
    pings = {name: opened(name).ping_frame() for name in VENUES}

    assert {name: first["ping"] for name, first in FIRST.items() if "ping" in first} | {
        "binance": None,
        "bitget": "ping",
        "bybit": '{"op":"ping"}',
        "gate": '{"time":1787270400,"channel":"futures.ping"}',
        "htx": None,
        "okx": "ping",
    } == pings
    assert all((VENUES[name].ping_every is None) == (ping is None) for name, ping in pings.items())


def test_gate_asks_for_decimal_sizes() -> None:
    assert all({"X-Gate-Size-Decimal": "1"} == feed.headers for feed in VENUES["gate"].feeds)
