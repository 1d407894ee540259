"""Feeds of all trades: ordinary ones are told by a look at the raw frame, and no liquidation is lost by that."""

import json
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from liqwatch import venues
from liqwatch.events import Reason
from liqwatch.venues._rows import explained
from liqwatch.venues.base import Feed, Frame, FrameKind, InstrumentPage, Session, build_instrument, build_instruments
from tests.support import recordings
from tests.support.recordings import NOW_MS, USD

VENUES = venues.discover()
FEEDS = ["dydx", "extended", "pacifica", "paradex"]


def raw(frame: str) -> Frame:
    return bytes.fromhex(frame[4:]) if frame.startswith("hex:") else frame


def session(name: str, *symbols: str) -> Session:
    """A session that has sent its opening frames and knows the instruments of its recording."""
    objects: dict[str, Any] = {}
    for _, line in recordings.frames(name):
        objects |= line["instruments"]
    known, errors = build_instruments(VENUES[name], objects, USD)
    assert [] == errors
    made = VENUES[name].session(VENUES[name].feeds[0], known, symbols)
    made.opening_frames()
    return made


def told(made: Session, message: object) -> Any:
    return made.receive(json.dumps(message, separators=(",", ":")), NOW_MS)


@pytest.mark.parametrize("name", FEEDS)
def test_what_a_look_at_the_frame_says_the_whole_of_it_says_too(name: str) -> None:
    made = session(name)
    for _, line in recordings.frames(name):
        if isinstance(frame := raw(line["frame"]), str):
            whole = explained(frame, lambda message: made._answer(message, NOW_MS))  # type: ignore[attr-defined]
            assert (made.receive(frame, NOW_MS).kind, line["kind"]) == (whole.kind, whole.kind), line["source"]


@pytest.mark.parametrize("name", FEEDS)
@given(data=st.data())
def test_a_liquidation_is_found_however_json_writes_its_word(name: str, data: st.DataObject) -> None:
    lines = [line for _, line in recordings.frames(name) if line["expect"] and not line["frame"].startswith("hex:")]
    line = data.draw(st.sampled_from(lines))
    message = json.loads(line["frame"])
    words = [word for word in ("market_liquidation", "LIQUIDATION", "LIQUIDATED") if word in line["frame"]]
    frame = json.dumps(message, separators=data.draw(st.sampled_from([(",", ":"), (", ", ": ")])))
    for word in words:
        escaped = "".join(f"\\u{ord(c):04x}" if data.draw(st.booleans()) else c for c in word)
        frame = frame.replace(word, escaped)

    found = session(name).receive(frame, NOW_MS).liquidations

    assert recordings.expected(line) == [recordings.facts(event) for event in found]


@pytest.mark.parametrize("name", FEEDS)
def test_a_frame_in_another_order_of_fields_is_read_all_the_same(name: str) -> None:
    for _, line in recordings.frames(name):
        if line["expect"] and not line["frame"].startswith("hex:"):
            message = dict(reversed(json.loads(line["frame"]).items()))
            found = told(session(name), message).liquidations
            assert recordings.expected(line) == [recordings.facts(event) for event in found]


@given(st.binary(max_size=120), st.integers(0, 120), st.integers(0, 255))
def test_no_bytes_break_the_reading_of_a_binary_trade(tail: bytes, at: int, value: int) -> None:
    made = session("paradex")
    for _, line in recordings.frames("paradex"):
        frame = raw(line["frame"])
        if isinstance(frame, bytes):
            spoilt = bytearray(frame)
            spoilt[at % len(frame)] = value
            for one in (bytes(spoilt), frame[:at] + tail, frame[:8] + tail):
                received = made.receive(one, NOW_MS)
                assert (received.kind is FrameKind.REJECTED) <= (received.error is not None)
                for event in received.liquidations:
                    assert Decimal(event.notional_usd) > 0
                    assert event.side in ("long", "short")


def binary(line: int) -> bytes:
    frame = raw(recordings.lines("paradex")[line]["frame"])
    assert isinstance(frame, bytes)
    return frame


def liquidation() -> bytes:
    """The first liquidation of the recording."""
    number = next(n for n, line in recordings.frames("paradex") if line["expect"])
    return binary(number - 1)


@pytest.mark.parametrize(("kind", "is_one"), [(1, False), (2, True), (3, False), (4, False), (5, False), (6, False)])
def test_of_paradex_kinds_of_trade_one_counts(kind: int, is_one: bool) -> None:
    frame = bytearray(liquidation())
    frame[57] = kind

    received = session("paradex").receive(bytes(frame), NOW_MS)

    assert ((FrameKind.DATA, 1) if is_one else (FrameKind.CONTROL, 0)) == (received.kind, len(received.liquidations))


@pytest.mark.parametrize(("side", "position"), [(1, "short"), (2, "long")])
def test_a_paradex_taker_that_sells_closes_a_long(side: int, position: str) -> None:
    frame = bytearray(liquidation())
    frame[32] = side

    (event,) = session("paradex").receive(bytes(frame), NOW_MS).liquidations

    assert position == event.side


@pytest.mark.parametrize("units", [1, 99_999_999, 100_000_000, 100_000_001, 2**63 - 1])
def test_paradex_numbers_are_exact_hundred_millionths(units: int) -> None:
    frame = bytearray(liquidation())
    frame[33:41] = units.to_bytes(8, "little")
    frame[41:49] = (100_000_000).to_bytes(8, "little")

    (event,) = session("paradex").receive(bytes(frame), NOW_MS).liquidations

    assert (Decimal(units).scaleb(-8), Decimal(1)) == (Decimal(event.price), Decimal(event.quantity))


def extended(seq: int, kind: str = "TRADE") -> dict[str, Any]:
    row = {"m": "BTC-USD", "S": "SELL", "tT": kind, "T": 1_795_000_000_000, "p": "70000", "q": "1", "i": seq}
    return {"ts": 1_795_000_000_900, "data": [row], "seq": seq}


@pytest.mark.parametrize("kind", ["TRADE", "LIQUIDATION"])
def test_a_message_of_extended_that_is_missing_takes_the_yes_back(kind: str) -> None:
    made = session("extended")
    for seq in (7, 8, 9):
        told(made, extended(seq))
        assert made.acknowledged

    received = [told(made, extended(11, kind)), told(made, extended(12)), told(made, extended(13))]

    counted = kind == "LIQUIDATION"
    first = FrameKind.DATA if counted else FrameKind.CONTROL
    assert [first, FrameKind.CONTROL, FrameKind.CONTROL] == [one.kind for one in received]
    assert {"message 11 came after 9: what was between them is missing", None} == {one.error for one in received}
    assert counted == bool(received[0].liquidations)
    assert not made.acknowledged  # the socket has to be replaced: what was missed does not come again


def test_a_message_of_extended_that_is_read_twice_is_no_gap() -> None:
    made = session("extended")
    for seq in (7, 8, 7, 8, 9):
        told(made, extended(seq, "LIQUIDATION"))
    assert made.acknowledged


def test_extended_is_not_acknowledged_by_a_message_without_rows() -> None:
    made = session("extended")
    told(made, {"ts": 1_795_000_000_900, "data": None, "seq": 1})
    assert not made.acknowledged


def dydx_error(text: str) -> dict[str, Any]:
    return {"type": "error", "message": text, "connection_id": "0d5f", "message_id": 3}


def dydx_yes(market: str) -> dict[str, Any]:
    return {"type": "subscribed", "channel": "v4_trades", "id": market, "contents": {"trades": []}}


@pytest.mark.parametrize(("kind", "price_kind"), [("LIQUIDATED", "fill"), ("DELEVERAGED", "bankruptcy")])
def test_dydx_says_which_price_it_was(kind: str, price_kind: str) -> None:
    row = {"id": "0a", "size": "1", "price": "9", "side": "SELL", "createdAt": "2026-11-18T11:06:40.000Z", "type": kind}
    message = {"type": "channel_data", "id": "BTC-USD", "channel": "v4_trades", "contents": {"trades": [row]}}
    (event,) = told(session("dydx"), message).liquidations
    assert price_kind == event.price_kind


def test_dydx_goes_on_without_a_market_that_is_not_there() -> None:
    made = session("dydx", "BTC-USD", "GONE-USD")
    told(made, dydx_yes("BTC-USD"))
    assert not made.acknowledged

    received = told(made, dydx_error("Invalid subscription id for channel: (v4_trades-GONE-USD)"))

    assert (FrameKind.REFUSED, True) == (received.kind, made.acknowledged)


def test_dydx_leaves_open_what_a_refusal_does_not_name() -> None:
    made = session("dydx", "BTC-USD", "ETH-USD")
    told(made, dydx_yes("BTC-USD"))

    received = told(made, dydx_error("Per-connection subscription limit reached for v4_trades (limit=32)."))

    assert (FrameKind.REFUSED, False) == (received.kind, made.acknowledged)


def test_dydx_asks_for_no_more_markets_on_a_socket_than_the_indexer_allows() -> None:
    feed: Feed = VENUES["dydx"].feeds[0]
    assert 32 == feed.symbols_per_socket
    wanted = [f"COIN{number}-USD" for number in range(32)]
    frames = [json.loads(frame) for frame in VENUES["dydx"].session(feed, {}, wanted).opening_frames()]
    assert wanted == [frame["id"] for frame in frames if frame["channel"] == "v4_trades"]


def test_a_market_of_dydx_with_an_address_in_its_name_is_known_by_its_coin() -> None:
    name = "PUPU,RAYDIUM," + "7" * 44 + "-USD"

    known, error = build_instrument(VENUES["dydx"], name, {"ticker": name, "status": "ACTIVE"}, USD)

    assert error is None
    assert known is not None
    assert ("PUPU", "USD", True) == (known.base, known.quote, known.trading)


def test_a_new_market_of_dydx_with_an_address_in_its_name_is_an_unknown_symbol() -> None:
    name = "NEWER,UNISWAP_V3,0x" + "a" * 40 + "-USD"
    row = {"id": "0a", "size": "1", "price": "1", "side": "BUY", "createdAt": "2026-11-18T11:06:40.000Z"}
    contents = {"trades": [{**row, "type": "LIQUIDATED"}]}

    received = told(session("dydx"), {"type": "channel_data", "id": name, "channel": "v4_trades", "contents": contents})

    assert [(Reason.UNKNOWN_SYMBOL, name)] == [(row.reason, row.symbol) for row in received.bad_rows]


@pytest.mark.parametrize(
    ("name", "answer", "symbols"),
    [
        ("dydx", {"markets": {"BTC-USD": {"ticker": "BTC-USD", "status": "ACTIVE"}, "X": 1}}, ["BTC-USD"]),
        ("extended", {"status": "OK", "data": [{"name": "BTC-USD"}, 7]}, ["BTC-USD"]),
        ("pacifica", {"success": True, "data": [{"symbol": "kBONK"}]}, ["kBONK"]),
        ("paradex", {"results": [{"symbol": "BTC-USD-PERP"}]}, ["BTC-USD-PERP"]),
    ],
)
def test_a_list_gives_objects_by_the_name_that_frames_use(name: str, answer: Any, symbols: list[str]) -> None:
    venue = VENUES[name]
    page: InstrumentPage = venue.read_instruments(venue.instrument_lists[0], json.dumps(answer).encode())
    assert symbols == list(page.objects)


@pytest.mark.parametrize(
    ("name", "answer"),
    [
        ("dydx", {"errors": [{"msg": "Too many requests"}]}),
        ("extended", {"status": "ERROR", "data": None, "error": {"code": 1000, "message": "no"}}),
        ("pacifica", {"success": False, "data": None, "error": "no", "code": 429}),
        ("paradex", {"error": "RATE_LIMITED", "message": "no"}),
    ],
)
def test_a_refusal_is_not_an_empty_list(name: str, answer: Any) -> None:
    venue = VENUES[name]
    with pytest.raises(ValueError, match=r"."):
        venue.read_instruments(venue.instrument_lists[0], json.dumps(answer).encode())


@pytest.mark.parametrize(
    ("name", "symbol", "raw_object", "trading", "unpriced"),
    [
        ("paradex", "BTC-USD-PERP", {"base_currency": "BTC", "asset_kind": "PERP"}, True, False),
        ("paradex", "BTC-USD-9-C", {"base_currency": "BTC", "asset_kind": "PERP_OPTION"}, False, True),
        ("extended", "X-USD", {"assetName": "X", "collateralAssetName": "USD", "status": "DELISTED"}, False, False),
        ("pacifica", "SOL", {"base_asset": "SOL", "instrument_type": "perpetual"}, True, False),
        ("pacifica", "SOL-USDC", {"base_asset": "SOL", "instrument_type": "spot"}, False, True),
        ("dydx", "ETH-USD", {"ticker": "ETH-USD", "status": "FINAL_SETTLEMENT"}, False, False),
    ],
)
def test_only_perpetuals_that_trade_are_asked_for_and_priced(
    name: str, symbol: str, raw_object: dict[str, Any], trading: bool, unpriced: bool
) -> None:
    known, error = build_instrument(VENUES[name], symbol, raw_object, USD)
    assert error is None
    assert known is not None
    assert (trading, unpriced) == (known.trading, known.unpriced is not None)
