"""Bitfinex: numbers of channels, maintenance, pairs, and a history of five hundred rows a page."""

import json
from typing import Any

import pytest

from liqwatch import venues
from liqwatch.venues.base import FrameKind, HistoryPage, Instrument, Session, build_instruments
from tests.support.recordings import NOW_MS, USD

BITFINEX = venues.discover()["bitfinex"]
ADDRESS = "https://api-pub.bitfinex.com/v2/liquidations/hist?start=1794990000000&end={}&limit=500&sort=-1"


def opened() -> Session:
    known, errors = build_instruments(BITFINEX, {"tBTCUSD": {"pair": "BTCUSD"}}, USD)
    assert [] == errors
    session = BITFINEX.session(BITFINEX.feeds[0], known, [])
    session.opening_frames()
    return session


def told(session: Session, message: Any) -> FrameKind:
    return session.receive(json.dumps(message), NOW_MS).kind


def acknowledged(key: str, channel: int) -> dict[str, Any]:
    return {"event": "subscribed", "channel": "status", "chanId": channel, "key": key}


def row(time_ms: int, number: int = 1) -> list[Any]:
    return ["pos", number, time_ms, None, "tBTCUSD", 0.5, 1, None, 1, 1, None, 80000]


def answer(until_ms: int, rows: list[list[Any]]) -> HistoryPage:
    assert BITFINEX.history is not None
    known, _ = build_instruments(BITFINEX, {"tBTCUSD": {"pair": "BTCUSD"}}, USD)
    return BITFINEX.history.read(ADDRESS.format(until_ms), json.dumps([[one] for one in rows]).encode(), known, NOW_MS)


def test_the_channel_that_ticks_is_known_by_its_number() -> None:
    session = opened()
    ticked = [32, [1795000000000, None, 80000.5, 80001]]

    assert FrameKind.IGNORED is told(session, ticked)
    told(session, acknowledged("deriv:tBTCF0:USTF0", 32))
    assert FrameKind.CONTROL is told(session, ticked)
    assert FrameKind.HEARTBEAT is told(session, [32, "hb"])


def test_rows_of_the_liquidations_channel_that_are_not_of_positions_are_rejected() -> None:
    session = opened()
    told(session, acknowledged("liq:global", 31))

    assert FrameKind.REJECTED is told(session, [31, [["ps", 1, 2]]])
    assert FrameKind.REJECTED is told(session, [31, [1795000000000, None, 80000.5]])


@pytest.mark.parametrize("code", [20051, 20060])
def test_a_venue_that_stops_to_deliver_is_not_acknowledged_until_it_is_asked_again(code: int) -> None:
    session = opened()
    told(session, acknowledged("liq:global", 31))
    assert session.acknowledged

    told(session, {"event": "info", "code": code, "msg": "wait"})
    assert not session.acknowledged
    again = session.receive('{"event":"info","code":20061,"msg":"done"}', NOW_MS).replies
    assert ["liq:global", "deriv:tBTCF0:USTF0"] == [json.loads(frame)["key"] for frame in again]
    told(session, acknowledged("liq:global", 41))
    assert session.acknowledged


@pytest.mark.parametrize(
    ("pair", "base", "quote"),
    [
        ("BTCUSD", "BTC", "USD"),
        ("BTCF0:USTF0", "BTC", "USDT"),
        ("DOGE:USD", "DOGE", "USD"),
        ("USTUSD", "USDT", "USD"),
        ("XAUTF0:USTF0", "XAUT", "USDT"),
    ],
)
def test_a_pair_names_its_coins(pair: str, base: str, quote: str) -> None:
    name = f"t{pair}"

    assert ({name: Instrument(name, base, quote)}, []) == build_instruments(BITFINEX, {name: {"pair": pair}}, USD)


@pytest.mark.parametrize("pair", ["BTC", "BTCUSDT", ":USD", "BTC:", "F0:USTF0"])
def test_what_is_no_pair_is_left_out(pair: str) -> None:
    known, errors = build_instruments(BITFINEX, {"x": {"pair": pair}}, USD)

    assert ({}, 1) == (known, len(errors))


def test_play_money_is_not_counted() -> None:
    known, _ = build_instruments(BITFINEX, {"x": {"pair": "TESTBTCF0:TESTUSTF0"}}, USD)

    assert "quoted in TESTUST, for which no USD rate is known" == known["x"].unpriced


def test_a_list_is_an_array_in_an_array_and_a_refusal_is_no_list() -> None:
    listed, _ = BITFINEX.instrument_lists

    assert ["tBTCF0:USTF0"] == list(BITFINEX.read_instruments(listed, b'[["BTCF0:USTF0",7]]').objects)
    with pytest.raises(ValueError, match="no list of pairs"):
        BITFINEX.read_instruments(listed, b'["error",11010,"ratelimit: error"]')


def test_a_full_page_of_the_history_leads_on_to_what_is_older() -> None:
    page = answer(1795000000000, [row(1794999999000 - number, number) for number in range(500)])

    assert (500, ADDRESS.format(1794999998501)) == (len(page.liquidations), page.next_url)


def test_a_full_page_of_one_millisecond_does_not_lead_back_to_itself() -> None:
    page = answer(1794999999000, [row(1794999999000)] * 500)

    assert (1, ADDRESS.format(1794999998999)) == (len(page.liquidations), page.next_url)


def test_a_page_that_is_not_full_or_reaches_back_far_enough_is_the_last() -> None:
    assert answer(1795000000000, [row(1794999999000)]).next_url is None
    assert answer(1794990000000, [row(1794990000000)] * 500).next_url is None
