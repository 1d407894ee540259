"""Whatever a venue sends or answers: its decoders raise only what they promise, end, and keep nothing of it."""

import contextlib
import json
import os
import random
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from liqwatch import venues
from liqwatch.events import Reason
from liqwatch.venues.base import BadRow, Frame, FrameKind, Received
from tests.support.fuzzing import NOW_MS, SPOILT, Target, held, places, varied

VENUES = venues.discover()
TARGETS = {name: Target(venue) for name, venue in VENUES.items()}
SESSIONS = {name: target.session() for name, target in TARGETS.items()}
RECORDED = [name for name, target in TARGETS.items() if target.frames]
HISTORIES = [name for name, venue in VENUES.items() if venue.history is not None]

EXAMPLES = int(os.environ.get("LIQWATCH_FUZZ_EXAMPLES", "20"))  # `make fuzz` takes many more where it has to
ROUND = 1500  # frames: a session may remember as many as two rounds of them, not one more

each_venue = pytest.mark.parametrize("name", list(VENUES))
each_recorded = pytest.mark.parametrize("name", RECORDED)
each_history = pytest.mark.parametrize("name", HISTORIES)
scalars = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20) | st.sampled_from(SPOILT)


def json_of(words: list[str], depth: int = 3) -> st.SearchStrategy[Any]:
    """Any JSON, whose names and texts are often those that the venue's module knows."""
    known = st.sampled_from(words) if words else st.text(max_size=8)
    leaf = scalars | known
    if not depth:
        return leaf
    inner = st.deferred(lambda: json_of(words, depth - 1))
    return leaf | st.lists(inner, max_size=3) | st.dictionaries(known | st.text(max_size=8), inner, max_size=5)


def like(value: Any) -> st.SearchStrategy[Any]:
    """JSON of the shape of `value`: the same names, mostly, and other values."""
    if isinstance(value, dict):
        names = {name: like(inner) for name, inner in value.items()}
        return st.fixed_dictionaries({}, optional=names) | st.fixed_dictionaries(names) | scalars
    if isinstance(value, list):
        return st.tuples(*map(like, value)).map(list) | st.lists(like(value[0]) if value else scalars, max_size=4)
    if isinstance(value, str):
        digits = st.integers().map(str) | st.decimals(allow_nan=False, allow_infinity=False, places=6).map(str)
        return st.just(value) | digits | scalars
    return st.just(value) | st.integers(0, 2**63) | st.floats(0, 1e15) | scalars


def parsed(frame: Frame) -> Any:
    try:
        return json.loads(frame)
    except ValueError:
        return None


def text_of(message: Any) -> str:
    return json.dumps(message, separators=(",", ":"), default=float)


def spoilt_by(huge: str, message: Any) -> Iterator[str]:
    """The message as text, each of its values in turn replaced by this text."""
    for holder, key in places(message):
        value, holder[key] = holder[key], "HERE"
        yield text_of(message).replace('"HERE"', huge)
        holder[key] = value


SHAPES = {name: [like(m) for m in map(parsed, TARGETS[name].frames) if isinstance(m, dict | list)] for name in RECORDED}
JSON = {name: json_of(target.words, 4) for name, target in TARGETS.items()}
VALUES = {name: json_of(target.words, 1) for name, target in TARGETS.items()}


@each_recorded
@settings(max_examples=EXAMPLES, deadline=None)
@given(seed=st.integers(0, 2**32), count=st.integers(1, 8))
def test_spoilt_frames_in_any_order_are_answered_as_promised(name: str, seed: int, count: int) -> None:
    rng, target = random.Random(seed), TARGETS[name]
    session = target.session(rng.randrange(8))

    for number in range(count):
        frame = varied(rng.choice(target.frames), rng, number)
        target.hear(session, frame)
        cut = frame[: rng.randrange(len(frame) + 1)]
        target.hear(session, cut)


@each_recorded
@settings(max_examples=3 * EXAMPLES, deadline=None)
@given(seed=st.integers(0, 2**32))
def test_the_quick_way_takes_nothing_that_the_careful_one_does_not(name: str, seed: int) -> None:
    """Of spoilt frames: the same liquidations and errors. Ordinary trades are told by their text, and not read."""
    rng, target = random.Random(seed), TARGETS[name]
    frame = varied(rng.choice(target.frames), rng, rng.randrange(1, 10**6))

    if isinstance(frame, str):
        target.compare(frame)


@each_recorded
@pytest.mark.parametrize("odd", ['" 1"', '"1_0"', '"٣"', '"1"', "true", "null", "1e1", "2.0", '"7\\n"', "[]"])
def test_the_quick_way_reads_odd_values_as_the_careful_one(name: str, odd: str) -> None:
    for frame in TARGETS[name].frames:
        for text in spoilt_by(odd, parsed(frame)):
            TARGETS[name].compare(text)


@each_recorded
@pytest.mark.parametrize("huge", ["1e999999999", "-1e-999999999", '"1e999999999"', "9" * 4000])
@pytest.mark.timeout(20)
def test_a_number_of_any_size_is_done_with_at_once(name: str, huge: str) -> None:
    """In every place of every frame, answer and instrument: written out, it would fill the memory."""
    target, session = TARGETS[name], TARGETS[name].session()

    for frame in target.frames:
        for text in spoilt_by(huge, parsed(frame)):
            target.hear(session, text)
    for url, body in target.history:
        for text in spoilt_by(huge, parsed(body)):
            target.read_history(url, text.encode())
    for text in spoilt_by(huge, json.loads(text_of(target.objects))):
        with contextlib.suppress(ValueError):  # of the parser
            target.build(json.loads(text, parse_float=Decimal))


@pytest.mark.parametrize("name", [name for name in RECORDED if SHAPES[name]])
@settings(max_examples=EXAMPLES, deadline=None)
@given(data=st.data())
def test_json_of_a_frames_shape_is_answered_as_promised(name: str, data: st.DataObject) -> None:
    frame = text_of(data.draw(st.one_of(SHAPES[name])))

    TARGETS[name].hear(SESSIONS[name], frame)
    TARGETS[name].hear(SESSIONS[name], frame.encode(errors="surrogatepass"))


@each_venue
@settings(max_examples=EXAMPLES, deadline=None)
@given(data=st.data())
def test_any_text_bytes_and_json_is_answered_as_promised(name: str, data: st.DataObject) -> None:
    target, session = TARGETS[name], SESSIONS[name]

    target.hear(session, data.draw(st.text(max_size=100)))
    target.hear(session, data.draw(st.binary(max_size=100)))
    target.hear(session, text_of(data.draw(JSON[name])))


@each_recorded
def test_a_session_holds_no_more_after_thousands_of_frames(name: str) -> None:
    """Three rounds: what is remembered of a frame for a while may fill up in the first two."""
    rng, target = random.Random(name), TARGETS[name]
    session = target.session()
    sizes = []

    for number in range(3 * ROUND):
        session.receive(varied(target.frames[number % len(target.frames)], rng, number + 1), NOW_MS + number)
        if number % ROUND == ROUND - 1:
            sizes.append(held(session, target.instruments))

    assert sizes[2] - sizes[1] < ROUND / 50, sizes


@each_venue
@settings(max_examples=EXAMPLES, deadline=None)
@given(data=st.data())
def test_an_answer_of_an_instrument_list_raises_nothing_but_a_value_error(name: str, data: st.DataObject) -> None:
    target, place = TARGETS[name], data.draw(st.integers(0, 3))

    target.list_instruments(place, data.draw(st.binary(max_size=100)))
    target.list_instruments(place, text_of(data.draw(JSON[name])).encode(errors="surrogatepass"))


@each_recorded
@settings(max_examples=EXAMPLES, deadline=None)
@given(data=st.data())
def test_no_object_of_a_list_breaks_the_building_of_instruments(name: str, data: st.DataObject) -> None:
    objects = json.loads(text_of(TARGETS[name].objects), parse_float=Decimal)
    found = places(objects)
    for holder, key in data.draw(st.lists(st.sampled_from(found), max_size=4)) if found else []:
        holder[key] = data.draw(VALUES[name])

    TARGETS[name].build(objects)
    TARGETS[name].build(data.draw(st.dictionaries(st.text(max_size=8), VALUES[name], max_size=3)))


@each_history
@settings(max_examples=EXAMPLES, deadline=None)
@given(data=st.data())
def test_an_answer_of_a_history_raises_nothing_but_a_value_error(name: str, data: st.DataObject) -> None:
    target = TARGETS[name]
    addresses = [*target.history_urls(), *(url for url, _ in target.history)]
    url = data.draw(st.sampled_from(addresses)) if addresses else VENUES[name].instrument_lists[0].url

    target.read_history(url, data.draw(st.binary(max_size=100)))
    target.read_history(url, text_of(data.draw(JSON[name])).encode(errors="surrogatepass"))
    if target.history:
        url, body = data.draw(st.sampled_from(target.history))
        message = json.loads(body)
        for holder, key in data.draw(st.lists(st.sampled_from(places(message)), max_size=4)):
            holder[key] = data.draw(VALUES[name])
        target.read_history(url, text_of(message).encode(errors="surrogatepass"))
        target.read_history(url, body[: data.draw(st.integers(0, len(body)))])


@each_history
def test_a_history_is_read_as_recorded(name: str) -> None:
    """The fuzzers spoil answers that are good to begin with."""
    pages = [TARGETS[name].read_history(url, body) for url, body in TARGETS[name].history]

    assert any(page is not None and page.liquidations for page in pages)


@each_recorded
def test_the_fuzzers_begin_with_frames_that_give_liquidations(name: str) -> None:
    session = TARGETS[name].session()

    assert any(TARGETS[name].hear(session, frame).liquidations for frame in TARGETS[name].frames)


class Leaking:
    """A session that keeps what it hears."""

    def __init__(self) -> None:
        self.heard: dict[int, list[Frame]] = {}

    def receive(self, frame: Frame) -> None:
        self.heard.setdefault(len(self.heard) % 7, []).append(str(frame))


def test_a_session_that_keeps_frames_is_seen() -> None:
    session: Any = Leaking()
    before = held(session, {})

    for number in range(100):
        session.receive(f"frame {number}")

    assert held(session, {}) - before >= 100


@pytest.mark.parametrize(
    "bad",
    [
        Received(FrameKind.REJECTED),
        Received(FrameKind.REFUSED, error=""),
        Received(FrameKind.REJECTED, error="\ud800"),
        Received(FrameKind.ACK, bad_rows=(BadRow(Reason.MALFORMED, "row 1"),)),
        Received(FrameKind.ACK, replies=("",)),
        "one of okx with an exponent",
        "one of okx twice",
        "one of okx by another venue",
    ],
)
def test_an_answer_that_breaks_its_promises_is_seen(bad: Received | str, monkeypatch: pytest.MonkeyPatch) -> None:
    target = TARGETS["okx"]
    good = next(one for frame in target.frames if (one := target.hear(target.session(), frame)).liquidations)
    (event, *_) = good.liquidations
    spoilt = {
        "one of okx with an exponent": [replace(event, notional_usd="1E+3")],
        "one of okx twice": [event, event],
        "one of okx by another venue": [replace(event, venue="bybit")],
    }
    answer = bad if isinstance(bad, Received) else Received(FrameKind.DATA, spoilt[bad])
    session = target.session()
    monkeypatch.setattr(type(session), "receive", lambda self, frame, received_ms: answer)

    with pytest.raises((AssertionError, ValueError)):
        target.hear(session, "{}")
