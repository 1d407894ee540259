"""What a socket's frames and its silence mean: states, deadlines, acknowledgements, the words for each failure."""

import errno
import gzip
import socket
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta

import pytest
from prometheus_client import CollectorRegistry
from websockets.datastructures import Headers
from websockets.exceptions import ConnectionClosedError, InvalidStatus
from websockets.frames import Close
from websockets.http11 import Response

from liqwatch.clock import Clock
from liqwatch.collector.conversation import Conversation
from liqwatch.collector.failures import classify
from liqwatch.collector.gunzip import LARGEST, gunzip
from liqwatch.collector.intake import Intake, shown
from liqwatch.collector.meter import Meter
from liqwatch.collector.watch import LIMITS, Rejections, Watch
from liqwatch.events import Price, RejectedFrame
from liqwatch.metrics import CollectorMetrics
from liqwatch.venues.base import Instrument, Venue
from liqwatch.wire import Liquidation
from tests.support.fake_venue import FAKE, FakeSession, liquidation_frame

KNOWN = {"BTCUSDT": Instrument("BTCUSDT", "BTC", "USDT")}


class Outlet:
    """Takes what an intake gives, and knows no symbol but those that may come."""

    def __init__(self) -> None:
        self.events: list[str] = []
        self.frames: list[RejectedFrame] = []
        self.wanted: list[str] = []
        self.hopeless: set[str] = set()

    def liquidations(self, items: Sequence[Liquidation]) -> None:
        self.events += [item.event_id for item in items]

    def price(self, message: Price) -> None: ...

    def rejected(self, message: RejectedFrame) -> None:
        self.frames.append(message)

    def may_come(self, symbol: str) -> bool:
        return symbol not in self.hopeless

    def want(self, symbol: str) -> None:
        self.wanted.append(symbol)


class Talk:
    """A conversation with a clock of its own."""

    def __init__(self, venue: Venue = FAKE, symbols: Sequence[str] = (), *, gzipped: bool = False) -> None:
        self.now = 100.0
        self.known = dict(KNOWN)
        self.outlet = Outlet()
        self.intake = Intake(
            venue, "c", self.outlet, self.outlet, CollectorMetrics(CollectorRegistry(), ["fake"]), Clock(), 300.0
        )
        session = FakeSession(venue.feeds[0], self.known, symbols)
        self.conversation = Conversation(
            venue, session, self.intake, Meter("main"), LIMITS, lambda: None, gzipped=gzipped, wildcard=not symbols
        )
        self.conversation.begin(self.now, self.ms)

    @property
    def ms(self) -> int:
        return int(self.now * 1000)

    def hear(self, *frames: str | bytes, after: float = 1.0) -> str:
        for frame in frames:
            self.now += after
            self.conversation.hear(frame, self.now, self.ms)
        return self.conversation.state

    def look(self, after: float) -> str | None:
        self.now += after
        self.conversation.look(self.now, self.ms)
        return self.conversation.over.reason if self.conversation.over is not None else None


def test_the_states_follow_what_is_heard() -> None:
    talk = Talk()
    assert "connected" == talk.conversation.state
    assert "acknowledged" == talk.hear('{"ack": ["*"]}')
    assert not talk.conversation.useful
    assert "acknowledged" == talk.hear("pong")  # proof of the socket only
    assert "delivering" == talk.hear('{"tick": 1}')


def test_data_before_the_acknowledgement_delivers_only_with_it() -> None:
    talk = Talk()
    assert "connected" == talk.hear(liquidation_frame("a"))
    assert "delivering" == talk.hear('{"ack": ["*"]}')
    assert ["a"] == talk.outlet.events


def test_no_frame_at_all_is_silence_from_the_connect_on() -> None:
    talk = Talk(replace(FAKE, silence_limit=timedelta(seconds=10)))
    assert talk.look(9.9) is None
    assert "silent" == talk.look(0.2)
    assert talk.conversation.alive_until("silent", talk.ms) is None  # it was never acknowledged


def test_silence_is_counted_from_the_last_frame_and_set_back_to_it() -> None:
    talk = Talk()
    talk.hear('{"ack": ["*"]}', "pong")
    heard_ms = talk.ms
    assert talk.look(20.0) is None
    assert "silent" == talk.look(0.1)
    assert heard_ms == talk.conversation.alive_until("silent", talk.ms)


def test_a_control_channel_may_be_late_only_so_long_after_the_acknowledgement() -> None:
    talk = Talk(replace(FAKE, control_limit=timedelta(seconds=5), silence_limit=timedelta(seconds=60)))
    talk.hear('{"ack": ["*"]}')
    assert talk.look(4.0) is None
    talk.hear('{"tick": 1}')
    ticked_ms = talk.ms
    talk.hear("pong", "pong", "pong", "pong")
    assert "control_silent" == talk.look(1.1)
    assert ticked_ms == talk.conversation.alive_until("control_silent", talk.ms)


def test_a_socket_that_expects_no_control_channel_is_not_judged_by_it() -> None:
    class Without(FakeSession):
        @property
        def control_expected(self) -> bool:
            return False

    talk = Talk(replace(FAKE, control_limit=timedelta(seconds=5)))
    talk.conversation.session = Without(FAKE.feeds[0], KNOWN, ())
    talk.hear('{"ack": ["*"]}')
    assert talk.look(19.0) is None


def test_a_subscription_is_awaited_for_fifteen_seconds() -> None:
    talk = Talk()
    assert talk.look(14.9) is None
    assert "refused" == talk.look(0.2)


def test_a_new_listing_that_is_never_acknowledged_ends_the_socket_and_coverage_back_then() -> None:
    talk = Talk(symbols=["BTCUSDT"])
    talk.hear('{"ack": ["BTCUSDT"]}')
    talk.conversation.session.subscribe_more(["NEWUSDT"])
    assert talk.look(1.0) is None
    asked_ms = talk.ms
    assert talk.conversation.acknowledged  # what was delivered still is
    assert talk.look(14.0) is None
    assert "refused" == talk.look(1.1)
    assert asked_ms == talk.conversation.alive_until("refused", talk.ms)


def test_a_refusal_shows_its_words_and_an_acknowledgement_takes_them_back() -> None:
    talk = Talk(symbols=["BTCUSDT"])
    assert "refused" == talk.hear('{"no": "slow down"}')
    assert "refused: slow down" == talk.conversation.detail
    assert "acknowledged" == talk.hear('{"ack": ["BTCUSDT"]}')
    assert ("", "") == (talk.conversation.detail, talk.conversation.partial)


def test_a_wildcard_refused_beside_others_leaves_the_socket_partial() -> None:
    talk = Talk()
    talk.hear('{"no": "no such product"}')
    assert "acknowledged" == talk.hear('{"ack": ["*"]}')
    assert "refused: no such product" == talk.conversation.partial


def test_a_socket_that_delivered_was_useful_only_if_it_lived_on_for_a_while() -> None:
    talk = Talk()
    talk.hear('{"ack": ["*"]}', '{"tick": 1}', after=0.1)
    talk.look(4.0)
    assert not talk.conversation.useful  # it may close at once, and again, and again
    talk.look(1.0)
    assert talk.conversation.useful


def test_a_minute_after_the_acknowledgement_a_quiet_socket_was_useful() -> None:
    talk = Talk()
    talk.hear('{"ack": ["*"]}')
    for _ in range(6):
        talk.hear("pong", after=9.9)
        talk.look(0)
    assert not talk.conversation.useful
    talk.hear("pong")
    talk.look(0)
    assert talk.conversation.useful


def test_most_frames_unreadable_is_fatal_and_half_of_them_is_not() -> None:
    talk = Talk()
    talk.hear('{"ack": ["*"]}')
    for number in range(200):
        talk.hear(liquidation_frame(f"e{number}"), "rubbish", after=0.01)
    talk.hear(liquidation_frame("last"), after=0.01)
    assert talk.conversation.over is None
    good_ms = talk.ms
    for _ in range(40):
        talk.hear("rubbish", after=0.01)
    assert talk.conversation.over is not None
    assert ("rejected_frames", LIMITS.rejected_wait) == (talk.conversation.over.reason, talk.conversation.over.wait)
    assert good_ms == talk.conversation.alive_until("rejected_frames", talk.ms)


def test_a_few_unreadable_frames_say_nothing_yet() -> None:
    rejections = Rejections()
    for _ in range(19):
        rejections.note(True)
    assert not rejections.too_many
    rejections.note(True)
    assert rejections.too_many


def test_only_the_last_hundred_frames_are_judged() -> None:
    rejections = Rejections()
    for rejected in [True] * 500 + [False] * 50:
        rejections.note(rejected)
    assert not rejections.too_many  # 50 of 100
    assert not Watch.begin(0, 1, None, 1).late(0.5)


def test_binary_messages_of_a_gzip_feed_are_read_as_text_and_bombs_are_rejected() -> None:
    talk = Talk(gzipped=True)
    talk.hear(gzip.compress(b'{"ack": ["*"]}'), gzip.compress(liquidation_frame("a").encode()))
    assert ["a"] == talk.outlet.events
    talk.hear(gzip.compress(b"0" * (LARGEST + 1)), b"\x1f\x8b garbage", gzip.compress(b"whole")[:-9])
    assert ["more than 16 MiB after gunzip", "not gzip", "gzip cut off"] == [
        frame.error.partition(":")[0] for frame in talk.outlet.frames
    ]
    assert talk.outlet.frames[1].frame.startswith("hex:1f8b")


def test_gunzip_says_what_is_wrong() -> None:
    assert "a" * LARGEST == gunzip(gzip.compress(b"a" * LARGEST))
    with pytest.raises(ValueError, match="not UTF-8 after gunzip"):
        gunzip(gzip.compress(b"\xff"))


def test_a_frame_held_for_its_symbol_is_decoded_once_more_and_then_given_up() -> None:
    talk = Talk()
    talk.hear(
        '{"liq": [{"id": "a", "symbol": "BTCUSDT"}, {"id": "n", "symbol": "NEW"}, {"id": "g", "symbol": "GONE"}]}'
    )
    assert (["a"], [], {"NEW", "GONE"}) == (talk.outlet.events, talk.outlet.frames, set(talk.outlet.wanted))
    talk.known["NEW"] = Instrument("NEW", "NEW", "USDT")
    talk.intake.settle(complete=True)
    assert ["a", "n"] == talk.outlet.events
    assert [("unknown_symbol", "unknown symbol GONE")] == [(f.reason, f.error) for f in talk.outlet.frames]
    talk.intake.settle(complete=True)
    assert 1 == len(talk.outlet.frames)


def test_while_a_list_fails_held_frames_wait_and_only_so_many() -> None:
    talk = Talk()
    talk.now = Clock().now_ms() / 1000
    for number in range(1001):
        talk.hear(liquidation_frame(f"n{number}", symbol="NEW"), after=0)
    assert 1 == len(talk.outlet.frames)  # the oldest gave way
    talk.intake.settle(complete=False)
    assert 1 == len(talk.outlet.frames)
    talk.known["NEW"] = Instrument("NEW", "NEW", "USDT")
    talk.intake.settle(complete=True)
    assert 1000 == len(talk.outlet.events)


def test_a_symbol_without_hope_is_rejected_at_once() -> None:
    talk = Talk()
    talk.outlet.hopeless.add("GHOST")
    talk.hear(liquidation_frame("x", symbol="GHOST"))
    assert ["unknown_symbol"] == [frame.reason for frame in talk.outlet.frames]
    assert [] == talk.outlet.wanted


def test_frames_are_shown_cut_and_binary_as_hex() -> None:
    assert ("hex:00ff", 2) == shown(b"\x00\xff")
    assert ("ab", 2) == shown("ab")
    text, length = shown("ä" * 10_000)
    assert (8192, 20_000) == (len(text), length)
    assert 16 * 1024 == len(shown(b"\x00" * 20_000)[0])


def closed(sent: Close | None, received: Close | None, *, first: bool | None = None) -> ConnectionClosedError:
    return ConnectionClosedError(received, sent, first)


@pytest.mark.parametrize(
    ("error", "reason", "detail", "wait"),
    [
        (socket.gaierror(-2, "Name or service not known"), "unreachable", "name not resolved", 0),
        (ConnectionRefusedError(errno.ECONNREFUSED, "x"), "unreachable", "connection refused", 0),
        (OSError("Multiple exceptions: [Errno 111] a, [Errno 111] b"), "unreachable", "connection refused", 0),
        (OSError(errno.ENETUNREACH, "x"), "unreachable", "network not reachable", 0),
        (TimeoutError(), "unreachable", "no answer in time", 0),
        (EOFError(), "closed", "closed during the handshake", 0),
        (closed(None, None), "closed", "cut off without a goodbye", 0),
        (closed(None, Close(1006, "")), "closed", "closed by the venue (code 1006)", 0),
        (closed(Close(1011, "keepalive ping timeout"), None), "silent", "no answer to pings", 0),
        (closed(Close(1009, "too big"), None), "rejected_frames", "a frame larger than 16 MiB", 0),
        (closed(Close(1007, "invalid"), None), "rejected_frames", "a text frame that is not UTF-8", 0),
        (closed(Close(1002, "bad opcode"), None), "closed", "broke the protocol: bad opcode", 0),
        (ValueError("x"), "error", "ValueError: x", 0),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_each_failure_has_a_reason_and_words(error: Exception, reason: str, detail: str, wait: float) -> None:
    failure = classify(error)
    assert (reason, detail, wait) == (failure.reason, failure.detail, failure.wait)


@pytest.mark.parametrize(
    ("status", "retry_after", "reason", "wait"),
    [
        (429, None, "throttled", 30),
        (429, "5", "throttled", 30),
        (418, "120", "throttled", 120),
        (403, "999999", "throttled", 3600),
        (429, "Wed, 21 Oct 2015 07:28:00 GMT", "throttled", 30),
        (429, "soon", "throttled", 30),
        (404, None, "refused", 30),
        (451, None, "refused", 30),
        (503, "7", "refused", 7),
        (500, None, "refused", 0),
    ],
)
def test_a_handshake_answered_with_no_is_never_final(
    status: int, retry_after: str | None, reason: str, wait: float
) -> None:
    headers = Headers({"Retry-After": retry_after} if retry_after else {})
    failure = classify(InvalidStatus(Response(status, "", headers)))
    assert (reason, wait) == (failure.reason, failure.wait)
