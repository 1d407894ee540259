"""Every venue against its recording: one test over all of them."""

import io
import json
from typing import Any

import pytest

from liqwatch import events, normalize, venues
from liqwatch.wire import encode
from tests.support import recordings

ALL = [(name, *frame) for name in recordings.NAMES for frame in recordings.frames(name)]
# Kinds of frames that a venue never sends stand as `never` in the first line of its recording.
SILENT = {"binance"}  # its heartbeats are control frames, which a session never sees
UNTIMED = {"bitmex"}  # it gives no time


@pytest.mark.parametrize(("name", "number", "line"), ALL, ids=[f"{name}-{number}" for name, number, _ in ALL])
def test_a_frame_comes_out_as_its_recording_says(name: str, number: int, line: dict[str, Any]) -> None:
    decoder = normalize.Decoder(venues.discover()[name], recordings.USD)

    received = decoder.recorded(json.dumps(line), recordings.NOW_MS)

    assert line["kind"] == received.kind.value
    assert recordings.expected(line) == [recordings.facts(event) for event in received.liquidations]
    if "error" in line:
        assert received.error is not None
        assert line["error"] in received.error
    else:
        assert received.error is None
    if "reason" in line:
        assert line["reason"] == received.bad_rows[0].reason.value
    assert line.get("replies", []) == list(received.replies)
    assert line.get("prices", []) == [price.model_dump(exclude={"version"}) for price in received.prices]


@pytest.mark.parametrize("name", recordings.NAMES)
def test_events_keep_the_contract_and_say_where_they_come_from(name: str) -> None:
    venue = venues.discover()[name]
    decoder = normalize.Decoder(venue, recordings.USD)

    for _, line in recordings.frames(name):
        for event in decoder.recorded(json.dumps(line), recordings.NOW_MS).liquidations:
            message = events.Liquidation.model_validate_json(encode(event))
            source = "gap-fill" if line.get("replay") else "stream"
            assert (name, venue.unit, "received" if name in UNTIMED else "venue", source) == (
                message.venue,
                message.unit,
                message.timed_by,
                message.source,
            )
            assert recordings.NOW_MS == message.received_time_ms
            assert message.price_kind in (venue.price_kind, "bankruptcy")


@pytest.mark.parametrize("name", recordings.NAMES)
def test_a_whole_recording_gives_each_id_once(name: str) -> None:
    lines = recordings.frames(name)
    out = io.StringIO()

    normalize.run(name, [json.dumps(line) for _, line in lines], out, recording=True)

    told = [json.loads(line) for line in out.getvalue().splitlines()]
    assert [line["kind"] for _, line in lines] == [answer["kind"] for answer in told]
    assert list(range(1, len(lines) + 1)) == [answer["line"] for answer in told]
    ids = [event["event_id"] for answer in told for event in answer["liquidations"]]
    every = {event["event_id"] for _, line in lines for event in line["expect"]}
    assert every == set(ids)
    assert len(every) == len(ids)


@pytest.mark.parametrize("name", recordings.NAMES)
def test_a_session_opens_with_the_frames_of_the_recording(name: str) -> None:
    venue, opening = venues.discover()[name], recordings.lines(name)[0]["opening"]

    assert [feed.name for feed in venue.feeds] == list(opening)
    for feed in venue.feeds:
        session = venue.session(feed, {}, opening[feed.name]["symbols"])
        assert opening[feed.name]["frames"] == list(session.opening_frames())
        assert not session.acknowledged


def test_every_venue_has_a_complete_recording() -> None:
    assert list(venues.names()) == recordings.NAMES
    for name in recordings.NAMES:
        lines = [line for _, line in recordings.frames(name)]
        kinds = {line["kind"] for line in lines}
        never = recordings.lines(name)[0].get("never", ["heartbeat"] if name in SILENT else [])
        assert {"data", "ack", "refused", "rejected", "ignored", "heartbeat"} - set(never) <= kinds, name
        assert {"long", "short"} == {event["side"] for line in lines for event in line["expect"]}, name
        assert all(line["source"] for line in lines), name
