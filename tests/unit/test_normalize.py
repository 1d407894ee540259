"""`normalize`: one line in, one object out, in order, whatever the lines hold."""

import gzip
import io
import json
from collections.abc import Iterable
from typing import Any

import pytest

from liqwatch import normalize
from liqwatch.clock import Clock

INSTRUMENTS = {"BTCUSDT": {"contractType": "LinearPerpetual", "baseCoin": "BTC", "quoteCoin": "USDT"}}


def row(number: int, side: str = "Buy", symbol: str = "BTCUSDT") -> dict[str, Any]:
    return {"T": 1_795_000_000_000 + number, "s": symbol, "S": side, "v": "0.5", "p": "70000"}


def frame(*rows: dict[str, Any]) -> str:
    return json.dumps({"topic": "allLiquidation.BTCUSDT", "type": "snapshot", "ts": 1, "data": rows})


def normalized(
    lines: Iterable[str],
    venue: str = "bybit",
    instruments: dict[str, Any] | None = INSTRUMENTS,
    recording: bool = False,
) -> list[dict[str, Any]]:
    out = io.StringIO()
    normalize.run(venue, lines, out, instruments, recording)
    return [json.loads(line) for line in out.getvalue().splitlines()]


def times(answer: dict[str, Any]) -> list[int]:
    return [event["event_time_ms"] - 1_795_000_000_000 for event in answer["liquidations"]]


def test_every_line_gives_one_object_in_order() -> None:
    answers = normalized([frame(row(1)), "", "rubbish", '{"op":"pong"}', frame(row(2)) + "\r\n"])

    assert [1, 2, 3, 4, 5] == [answer["line"] for answer in answers]
    assert ["data", "rejected", "rejected", "heartbeat", "data"] == [answer["kind"] for answer in answers]
    assert [[1], [], [], [], [2]] == [times(answer) for answer in answers]
    assert [True, False, False, True, True] == [answer["error"] is None for answer in answers]
    assert {"line", "kind", "liquidations", "error"} == set(answers[0])


def test_a_repeated_id_comes_out_once_a_file() -> None:
    answers = normalized([frame(row(1), row(1), row(2)), frame(row(1), row(3)), frame(row(2))])

    assert [[1, 1, 2], [3], []] == [times(answer) for answer in answers]
    assert ["data", "data", "data"] == [answer["kind"] for answer in answers]


def test_a_bad_row_does_not_cost_the_good_ones() -> None:
    some, none = normalized([frame(row(1), row(2, "?"), row(3)), frame(row(4, "?"))])

    assert ("data", [1, 3]) == (some["kind"], times(some))
    assert some["error"].startswith("row 2: BTCUSDT: S is '?'")
    assert ("rejected", []) == (none["kind"], times(none))


def test_an_unusable_instrument_makes_its_events_unknown_and_says_why() -> None:
    lines = [frame(row(1)), frame(row(2, symbol="OTHER"))]

    answers = normalized(lines, instruments={"BTCUSDT": {"contractType": "LinearPerpetual", "baseCoin": "BTC"}})

    assert "row 1: unknown symbol BTCUSDT (its instrument has no 'quoteCoin')" == answers[0]["error"]
    assert "row 1: unknown symbol OTHER" == answers[1]["error"]


def test_a_recording_lays_its_instruments_over_those_before() -> None:
    usd = {"BTCUSDT": {"contractType": "LinearPerpetual", "baseCoin": "BTC", "quoteCoin": "USDT"}}
    lines = [
        {"frame": frame(row(1))},
        {"frame": frame(row(2)), "instruments": usd, "expect": "not read"},
        {"frame": frame(row(3)), "instruments": {}},
        {"frame": frame(row(4)), "instruments": {"BTCUSDT": usd["BTCUSDT"] | {"quoteCoin": "EUR"}}},
        {"frame": frame(row(5)), "instruments": {"BTCUSDT": 7}},
    ]

    answers = normalized(map(json.dumps, lines), instruments=None, recording=True)

    assert [[], [2], [3], [], []] == [times(answer) for answer in answers]
    assert "quoted in EUR" in answers[3]["error"]
    assert "is not an object" in answers[4]["error"]


@pytest.mark.parametrize(
    "line", ["", "[]", "7", "{}", '{"frame": 7}', "{", '{"frame": "x", "instruments": 7}', "[" * 99_999]
)
def test_a_recording_line_of_another_shape_is_rejected(line: str) -> None:
    assert ["rejected", "data"] == [a["kind"] for a in normalized([line, _recorded(frame(row(1)))], recording=True)]


def test_contract_sizes_are_exact_though_json_has_them_as_numbers() -> None:
    line = (
        '{"frame": "{\\"op\\":\\"notify\\",\\"topic\\":\\"public.X-USDT.liquidation_orders\\",\\"data\\":[{'
        '\\"contract_code\\":\\"X-USDT\\",\\"direction\\":\\"sell\\",\\"volume\\":3,\\"price\\":0.1,'
        '\\"created_at\\":1795000000000}]}", "instruments": {"X-USDT": {"symbol": "X", "contract_size": 0.1}}}'
    )

    (answer,) = normalized([line], "htx", None, recording=True)

    assert ("0.3", "0.03") == tuple(answer["liquidations"][0][key] for key in ("quantity", "notional_usd"))


def test_binary_frames_are_written_as_hex_and_gunzipped_for_htx() -> None:
    ping = b'{"op":"ping","ts":"1"}'
    packed = gzip.compress(ping)
    lines = [
        packed.hex(),
        packed[:12].hex(),
        (packed[:12] + b"x" * 20).hex(),
        ping.hex(),
        "zz",
        "a",
        gzip.compress(b" " * 2**25).hex(),
    ]

    kinds = [answer["kind"] for answer in normalized((f"hex:{line}" for line in lines), "htx", None)]

    assert ["heartbeat", "rejected", "rejected", "heartbeat", "rejected", "rejected", "rejected"] == kinds


def test_binary_frames_of_other_venues_are_not_text() -> None:
    assert ["rejected", "data"] == [
        a["kind"] for a in normalized(["hex:1f8b0800", "hex:" + frame(row(1)).encode().hex()])
    ]


def test_bytes_that_are_not_utf8_do_not_stop_the_file() -> None:
    broken = b'{"topic":"allLiquidation.BTCUSDT\xff","data":[]}'.decode(errors="surrogateescape")

    answers = normalized([broken, '{"success":false,"ret_msg":"\\ud800","req_id":"1"}', frame(row(1))])

    assert [[], [], [1]] == [times(answer) for answer in answers]


def test_received_time_is_our_clock() -> None:
    out = io.StringIO()

    normalize.run("bybit", [frame(row(1))], out, INSTRUMENTS, clock=Clock(wall=lambda: 1_795_000_123.5))

    assert 1_795_000_123_500 == json.loads(out.getvalue())["liquidations"][0]["received_time_ms"]


def test_lines_are_answered_as_they_come() -> None:
    out = io.StringIO()
    seen = []

    def lines() -> Iterable[str]:
        for number in range(3):
            seen.append(out.getvalue().count("\n"))
            yield frame(row(number))

    normalize.run("bybit", lines(), out, INSTRUMENTS)

    assert [0, 1, 2] == seen


def test_an_unknown_venue_is_named_with_those_there_are() -> None:
    with pytest.raises(normalize.UnknownVenue, match=r"'binanse'; there are .*binance, .*okx"):
        normalize.run("binanse", [], io.StringIO())


def _recorded(text: str) -> str:
    return json.dumps({"frame": text, "instruments": INSTRUMENTS})
