"""Nothing that a venue sends raises out of a session, and the quick way reads as the careful one does."""

import json
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from liqwatch import normalize, venues
from liqwatch.venues._rows import LARGEST_FRAME, explained
from liqwatch.venues.base import Frame, FrameKind, Received
from liqwatch.wire import encode
from tests.support import recordings

VENUES = venues.discover()
NOW = recordings.NOW_MS
FRAMES = {name: [line["frame"] for _, line in recordings.frames(name)] for name in recordings.NAMES}

anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)
SPOILT = ["", "0", "-1", "1e400", "NaN", "Infinity", "-0.0", "٣", "1_0", ".5", "5.", "9" * 60, "1E-30", " 1", "\ud800"]


def decoder(name: str) -> normalize.Decoder:
    """A decoder that knows every instrument of the recording that can be used."""
    made = normalize.Decoder(VENUES[name], recordings.USD)
    for _, line in recordings.frames(name):
        if line["kind"] == "data":
            made.learn(json.loads(json.dumps(line["instruments"]), parse_float=Decimal))
    return made


DECODERS = {name: decoder(name) for name in recordings.NAMES}
named = st.sampled_from(recordings.NAMES)


def heard(name: str, frame: Frame) -> Received:
    """The answer, which keeps the promises of a session whatever the frame."""
    received = DECODERS[name]._session.receive(frame, NOW)
    assert (received.kind is FrameKind.REJECTED) <= (received.error is not None)
    assert bool(received.bad_rows) <= (received.error is not None)
    assert received.kind is FrameKind.DATA or not received.liquidations
    for event in received.liquidations:
        encode(event)
        assert event.side in ("long", "short")
        for text in (event.price, event.quantity, event.notional_usd):
            assert text.replace(".", "", 1).isdecimal(), text
            assert text.isascii()
            assert Decimal(text) > 0
        assert Decimal(event.notional_usd) <= Decimal("1e11")
    (received.error or "").encode()
    return received


@given(named, st.binary(max_size=200))
def test_bytes_of_any_kind_do_not_raise(name: str, frame: bytes) -> None:
    heard(name, frame)


@given(named, st.text(max_size=200))
def test_text_of_any_kind_does_not_raise(name: str, frame: str) -> None:
    heard(name, frame)


@given(named, anything)
def test_json_of_any_shape_does_not_raise(name: str, message: Any) -> None:
    heard(name, json.dumps(message))


@settings(max_examples=300)
@given(named, st.data())
def test_a_frame_cut_anywhere_or_with_a_wrong_character_does_not_raise(name: str, data: st.DataObject) -> None:
    frame = data.draw(st.sampled_from(FRAMES[name]))
    at = data.draw(st.integers(0, len(frame)))
    if data.draw(st.booleans()):
        heard(name, frame[:at])
    else:
        heard(name, frame[:at] + data.draw(st.characters()) + frame[at + 1 :])
    heard(name, frame.encode(errors="surrogatepass")[:at])


@settings(max_examples=500)
@given(named, st.data())
def test_a_frame_with_anything_in_the_place_of_a_value_does_not_raise(name: str, data: st.DataObject) -> None:
    message = json.loads(json.dumps(_json(data.draw(st.sampled_from(FRAMES[name])))))
    places = list(_places(message))
    for holder, key in data.draw(st.lists(st.sampled_from(places), max_size=3)) if places else []:
        holder[key] = data.draw(anything | st.sampled_from(SPOILT))
    heard(name, json.dumps(message))


@settings(max_examples=300)
@given(named, st.data())
def test_the_quick_way_reads_as_the_careful_one(name: str, data: st.DataObject) -> None:
    """Same events, ids and texts as numbers, whatever valid numbers a frame carries."""
    number = st.decimals("0.0000001", "99999999", places=data.draw(st.integers(0, 12))).map(lambda d: format(d, "f"))
    message = _json(
        data.draw(st.sampled_from([line["frame"] for _, line in recordings.frames(name) if line["expect"]]))
    )
    for holder, key in list(_places(message)):
        value = holder[key]
        if key in (
            "z",
            "ap",
            "v",
            "p",
            "sz",
            "bkPx",
            "amount",
            "price",
            "size",
            "volume",
            "leavesQty",
        ) and value not in (
            None,
            True,
        ):
            text = data.draw(number)
            holder[key] = text if isinstance(value, str) else json.loads(text)
    frame = json.dumps(message, ensure_ascii=False)
    session = DECODERS[name]._session

    quick = heard(name, frame)
    careful = explained(frame, lambda whole: session._answer(whole, NOW))  # type: ignore[attr-defined]

    assert (careful.kind, careful.error, careful.bad_rows) == (quick.kind, quick.error, quick.bad_rows)
    assert [recordings.facts(event) for event in careful.liquidations] == [
        recordings.facts(event) for event in quick.liquidations
    ]


@settings(max_examples=300)
@given(
    anything.filter(lambda message: not any(word in json.dumps(message) for word in ("NaN", "Infinity"))), st.booleans()
)
def test_the_quick_parser_reads_as_the_careful_one(message: Any, ascii_only: bool) -> None:
    text = json.dumps(message, ensure_ascii=ascii_only)
    heard_by: list[Any] = []

    explained(text, lambda whole: (heard_by.append(whole), Received(FrameKind.IGNORED))[1])
    assert [json.loads(text, parse_float=Decimal)] == heard_by


@pytest.mark.parametrize("name", recordings.NAMES)
def test_a_huge_frame_is_rejected(name: str) -> None:
    received = heard(name, " " * LARGEST_FRAME + "{}")

    assert FrameKind.REJECTED is received.kind
    assert "more than" in (received.error or "")


@pytest.mark.parametrize("name", recordings.NAMES)
@pytest.mark.parametrize(
    "frame", ["[" * 100_000, '{"a":' * 100_000, "", "\x00", b"\xff\xfe\x00", b"\x1f\x8b\x08\x00", "9" * 10_000]
)
def test_rubbish_is_rejected(name: str, frame: Frame) -> None:
    assert FrameKind.REJECTED is heard(name, frame).kind


@pytest.mark.parametrize("name", recordings.NAMES)
def test_frames_may_come_as_bytes(name: str) -> None:
    of_text, of_bytes = decoder(name)._session, decoder(name)._session
    for _, line in recordings.frames(name):
        text = line["frame"]
        as_text, as_bytes = of_text.receive(text, NOW), of_bytes.receive(text.encode(), NOW)
        assert (as_text.kind, as_text.liquidations) == (as_bytes.kind, as_bytes.liquidations)


def _json(frame: str) -> Any:
    return "pong" if frame == "pong" else _or_none(frame)


def _or_none(frame: str) -> Any:
    try:
        return json.loads(frame)
    except ValueError:
        return None


def _places(value: Any) -> Any:
    """(holder, key) of every value inside `value`."""
    inside = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in list(inside):
        yield value, key
        yield from _places(inner)
