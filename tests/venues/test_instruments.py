"""The venues' REST lists: what is read of them, what cannot be used, and how each says no."""

import json
from collections.abc import Mapping
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

from liqwatch import venues
from liqwatch.venues.base import Instrument, InstrumentPage, Reason, Venue, build_instruments
from tests.support.recordings import USD

VENUES = venues.discover()


def listed(venue: Venue, number: int, answer: object) -> InstrumentPage:
    return venue.read_instruments(venue.instrument_lists[number], json.dumps(answer).encode())


def built(name: str, symbol: str, raw: Mapping[str, Any]) -> Instrument:
    known, errors = build_instruments(VENUES[name], {symbol: raw}, USD)
    assert errors == []
    return known[symbol]


BYBIT = {"symbol": "BTCUSDT", "contractType": "LinearPerpetual", "baseCoin": "BTC", "quoteCoin": "USDT"}
ANSWERS: list[tuple[str, int, Any, list[str]]] = [
    ("binance", 0, {"symbols": [{"symbol": "BTCUSDT"}, {"symbol": "龙虾USDT"}]}, ["BTCUSDT", "龙虾USDT"]),
    ("binance", 1, {"symbols": [{"symbol": "BTCUSD_PERP"}]}, ["BTCUSD_PERP"]),
    ("bybit", 0, {"retCode": 0, "result": {"list": [BYBIT], "nextPageCursor": ""}}, ["BTCUSDT"]),
    ("okx", 0, {"code": "0", "data": [{"instId": "BTC-USDT-SWAP"}, {"odd": 1}]}, ["BTC-USDT-SWAP"]),
    ("bitget", 0, {"code": "00000", "data": [{"symbol": "BTCUSDT"}]}, ["BTCUSDT"]),
    ("gate", 0, [{"name": "BTC_USDT"}, 7], ["BTC_USDT"]),
    ("htx", 0, {"status": "ok", "data": [{"contract_code": "BTC-USDT"}]}, ["BTC-USDT"]),
]
REFUSALS: list[tuple[str, Any]] = [
    ("binance", {"code": 0, "msg": "Service unavailable from a restricted location"}),
    ("bybit", {"retCode": 10006, "retMsg": "Too many visits!", "result": {}}),
    ("okx", {"code": "50011", "msg": "Too Many Requests", "data": []}),
    ("bitget", {"code": "429", "msg": "Too Many Requests", "data": None}),
    ("gate", {"label": "TOO_MANY_REQUESTS", "message": "Request Rate limit Exceeded"}),
    ("htx", {"status": "error", "err_code": 1032, "err_msg": "over the limit"}),
]


@pytest.mark.parametrize(("name", "number", "answer", "symbols"), ANSWERS)
def test_a_list_gives_objects_by_the_name_that_frames_use(
    name: str, number: int, answer: Any, symbols: list[str]
) -> None:
    page = listed(VENUES[name], number, answer)

    assert symbols == list(page.objects)
    assert page.next_url is None


@pytest.mark.parametrize(("name", "answer"), REFUSALS)
def test_a_refusal_is_not_an_empty_list(name: str, answer: Any) -> None:
    with pytest.raises(ValueError, match=r".+"):
        listed(VENUES[name], 0, answer)


@pytest.mark.parametrize("name", VENUES)
@pytest.mark.parametrize(
    "body",
    [
        b'{"data":NaN}',
        b"[1e99999999999999999999]",
        b"",
        b"<html>",
        b"[1,2",
        b"null",
        b"7",
        b'"x"',
        b"{}",
        b"[" * 100_000,
        b"\xff\xfe",
    ],
)
def test_an_unreadable_list_is_a_value_error(name: str, body: bytes) -> None:
    venue = VENUES[name]

    with pytest.raises(ValueError, match=r".+"):
        venue.read_instruments(venue.instrument_lists[0], body)


def test_bybit_names_the_next_page() -> None:
    venue = VENUES["bybit"]

    page = listed(venue, 0, {"retCode": 0, "result": {"list": [BYBIT], "nextPageCursor": "first=A&page=2"}})

    assert f"{venue.instrument_lists[0].url}&cursor=first%3DA%26page%3D2" == page.next_url


CASES: list[tuple[str, str, Mapping[str, Any], Instrument]] = [
    (
        "binance",
        "BTCUSDT",
        {"baseAsset": "BTC", "quoteAsset": "USDT", "status": "SETTLING"},
        Instrument("BTCUSDT", "BTC", "USDT", trading=False),
    ),
    (
        "binance",
        "BTCUSD_PERP",
        {"baseAsset": "BTC", "quoteAsset": "USD", "contractStatus": "TRADING", "contractSize": 100},
        Instrument("BTCUSD_PERP", "BTC", "USD", inverse=True, contract_size=Decimal(100)),
    ),
    (
        "bybit",
        "ETHUSD",
        {"contractType": "InversePerpetual", "baseCoin": "ETH", "quoteCoin": "USD", "status": "PreLaunch"},
        Instrument("ETHUSD", "ETH", "USD", inverse=True, feed="inverse", trading=False),
    ),
    ("bybit", "BTCUSDT", BYBIT, Instrument("BTCUSDT", "BTC", "USDT", feed="linear")),
    (
        "okx",
        "BTC-USD_UM_XPERP-310404",
        {
            "ctVal": "0.0001",
            "ctMult": "10",
            "ctValCcy": "BTC",
            "ctType": "linear",
            "settleCcy": "USDC",
            "state": "live",
        },
        Instrument("BTC-USD_UM_XPERP-310404", "BTC", "USDC", contract_size=Decimal("0.001")),
    ),
    (
        "okx",
        "XBT-USD-SWAP",
        {"ctVal": "100", "ctMult": "", "ctValCcy": "USD", "ctType": "inverse", "settleCcy": "XBT", "state": "suspend"},
        Instrument("XBT-USD-SWAP", "BTC", "USD", inverse=True, contract_size=Decimal(100), trading=False),
    ),
    (
        "bitget",
        "BTCUSD_CM",
        {"baseCoin": "BTC", "quoteCoin": "USD", "status": "online"},
        Instrument("BTCUSD_CM", "BTC", "USD"),
    ),
    (
        "gate",
        "BTC_USD1",
        {"type": "direct", "quanto_multiplier": "0.0001", "settle": "usd1"},
        Instrument("BTC_USD1", "BTC", "USD1", contract_size=Decimal("0.0001"), feed="usd1"),
    ),
    (
        "gate",
        "PEPE_USDT",
        {"type": "direct", "quanto_multiplier": 1e7, "in_delisting": True},
        Instrument("PEPE_USDT", "PEPE", "USDT", contract_size=Decimal(10_000_000), feed="usdt", trading=False),
    ),
    (
        "gate",
        "BTC_USD",
        {"type": "inverse", "quanto_multiplier": "0"},
        Instrument("BTC_USD", "BTC", "USD", inverse=True, feed="btc"),
    ),
    (
        "htx",
        "BTC-USDT-270326",
        {"symbol": "BTC", "contract_size": 0.001, "contract_status": 1, "trade_partition": "USDT"},
        Instrument("BTC-USDT-270326", "BTC", "USDT", contract_size=Decimal("0.001"), feed="linear"),
    ),
    (
        "htx",
        "BTC-USD",
        {"symbol": "BTC", "contract_size": 100, "contract_status": 7},
        Instrument("BTC-USD", "BTC", "USD", inverse=True, contract_size=Decimal(100), feed="coin", trading=False),
    ),
]


@pytest.mark.parametrize(("name", "symbol", "raw", "wanted"), CASES, ids=[f"{case[0]}-{case[1]}" for case in CASES])
def test_an_instrument_is_read_from_the_fields_of_its_object(
    name: str, symbol: str, raw: Mapping[str, Any], wanted: Instrument
) -> None:
    assert wanted == built(name, symbol, raw)


def test_the_size_of_an_okx_contract_is_exact_however_many_digits_it_has() -> None:
    raw = {"ctType": "linear", "ctValCcy": "BTC", "settleCcy": "USDT"}

    found = built("okx", "BTC-USDT-SWAP", {**raw, "ctVal": "1.000000000000001", "ctMult": "1.000000000000000003"})
    short = built("okx", "BTC-USDT-SWAP", {**raw, "ctVal": "0.010", "ctMult": "1"})

    assert Decimal("1.000000000000001003000000000000003") == found.contract_size
    assert not found.quick
    assert short.quick


def test_a_contract_size_is_long_though_it_rounds_to_a_short_one() -> None:
    assert not Instrument("A", "A", "USDT", contract_size=Decimal("1.00000000000000000000000000000001")).quick


def test_a_quote_without_a_rate_leaves_the_instrument_unpriced() -> None:
    known = built("binance", "ETHBTC", {"baseAsset": "ETH", "quoteAsset": "BTC"})

    assert "quoted in BTC, for which no USD rate is known" == known.unpriced
    assert Reason.NO_RATE is known.unpriced_reason


def test_a_quanto_contract_of_gate_is_unsupported_and_not_subscribed() -> None:
    known = built("gate", "ETH_USD", {"type": "direct", "quanto_multiplier": "0.000001"})

    assert (Reason.UNSUPPORTED, False) == (known.unpriced_reason, known.trading)
    assert known.unpriced is not None


def test_unusable_objects_are_left_out_and_said() -> None:
    raw = {"ctVal": "0.01", "ctMult": "1", "ctValCcy": "BTC", "ctType": "linear", "settleCcy": "USDT", "state": "live"}
    objects: dict[str, Any] = {
        "GOOD": raw,
        "NO-SIZE": {key: value for key, value in raw.items() if key != "ctVal"},
        "ZERO": raw | {"ctVal": "0"},
        "TRUE": raw | {"ctVal": True},
        "LONG": raw | {"ctVal": "0.123456789012345678901"},
        "ENDLESS": raw | {"ctVal": float("inf")},
        "ODD": raw | {"ctType": "quanto"},
        "NO-COIN": raw | {"ctValCcy": ""},
        "TEXT": "BTC",
        "": raw,
    }

    known, errors = build_instruments(VENUES["okx"], objects, USD)

    assert ["GOOD"] == list(known)
    assert [
        "NO-SIZE: has no 'ctVal'",
        "ZERO: ctVal is not the size of a contract: '0'",
        "TRUE: ctVal is neither text nor a number: True",
        "LONG: ctVal is not the size of a contract: '0.123456789012345678901'",
        "ENDLESS: ctVal is absurd: Decimal('Infinity')",
        "ODD: ctType is 'quanto', neither linear nor inverse",
        "NO-COIN: not the name of a coin: ''",
        "TEXT: is not an object",
        ": is not a name",
    ] == errors


@pytest.mark.parametrize("name", VENUES)
def test_every_venue_says_what_people_need_to_know(name: str) -> None:
    venue = VENUES[name]

    assert name == venue.name
    assert venue.docs.startswith("https://")
    assert all(feed.url.startswith("wss://") for feed in venue.feeds)
    assert all(listed.url.startswith("https://") for listed in venue.instrument_lists)
    assert venue.completeness_note.endswith(".")
    assert venue.side_rule[-1] in ".)"
    assert replace(venue) == venue
