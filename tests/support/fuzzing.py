"""What both fuzzers ask of every venue: the frames to begin with, what an answer must be like, what a session holds.

Pure Python and the recordings: `tests/venues/test_fuzz.py` drives it with hypothesis, `tests/fuzz` with atheris.
"""

import gc
import json
import random
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from types import BuiltinFunctionType, CodeType, FunctionType, ModuleType
from typing import Any

from liqwatch import events
from liqwatch.events import Reason
from liqwatch.venues._rows import explained
from liqwatch.venues.base import (
    BadRow,
    Frame,
    FrameKind,
    HistoryPage,
    Instrument,
    InstrumentPage,
    Received,
    Session,
    Venue,
    build_instruments,
)
from liqwatch.wire import Liquidation, encode
from tests.support import recordings

NOW_MS = recordings.NOW_MS
HISTORIES = Path(__file__).parents[1] / "data" / "history"
SPOILT: list[Any] = [
    "", "0", "-1", "1e400", "NaN", "Infinity", "-0.0", "٣", "1_0", ".5", "5.", "9" * 60, "1E-30", " 1", "\ud800",
    "1e15", "0.0000000001", "a\n", "\\", "1\u200b", float("inf"), float("nan"), None, True, False, 0, -1, 1e308, 5e-324,
    10**30, 2**63, -(2**63), {}, [], [[]], {"": None},
]  # fmt: skip
_NOT_STATE = (type, ModuleType, FunctionType, BuiltinFunctionType, CodeType)


class Target:
    """A venue with the instruments of its recording, and the frames of it to spoil."""

    def __init__(self, venue: Venue) -> None:
        self.venue = venue
        self.objects: dict[str, Any] = {}  # the venue's own of its instruments
        self.frames: list[Frame] = []
        self.opening: dict[str, list[str]] = {}
        if venue.name in recordings.NAMES:
            first = recordings.lines(venue.name)[0]
            self.opening = {feed: about["symbols"] for feed, about in first["opening"].items()}
            for _, line in recordings.frames(venue.name):
                self.objects |= json.loads(json.dumps(line["instruments"]), parse_float=Decimal)
                self.frames.append(_raw(line["frame"]))
        self.history: list[tuple[str, bytes]] = []  # addresses and answers
        path = HISTORIES / f"{venue.name}.json"
        if venue.history is not None and path.is_file():
            recorded = json.loads(path.read_text("utf-8"), parse_float=Decimal)
            self.objects |= recorded["instruments"]
            self.history = [(page["url"], _body(page["body"])) for page in recorded["pages"]]
        self.instruments, _ = build_instruments(venue, self.objects, recordings.USD)
        self._by_symbol = {known.symbol: known for known in self.instruments.values()}
        self.words = sorted(set(_words(venue)))  # names of fields, and what stands in them

    def session(self, place: int = 0) -> Session:
        """A fresh one that has sent its opening frames."""
        feed = self.venue.feeds[place % len(self.venue.feeds)]
        session = self.venue.session(feed, self.instruments, self.opening.get(feed.name, []))
        session.opening_frames()
        return session

    def hear(self, session: Session, frame: Frame) -> Received:
        """What the session makes of a frame, which has to be as promised."""
        received = session.receive(frame, NOW_MS)
        self._judge(received)
        assert isinstance(session.acknowledged, bool)
        assert isinstance(session.control_expected, bool)
        return received

    def compare(self, frame: str) -> None:
        """The quick way reads as the careful one. Ordinary trades are told by their text alone, and must be."""
        quick, session = self.hear(self.session(), frame), self.session()
        careful = explained(frame, lambda message: session._answer(message, NOW_MS))  # type: ignore[attr-defined]
        if quick.kind is FrameKind.HEARTBEAT:  # one that is not JSON
            return
        assert list(map(recordings.facts, careful.liquidations)) == list(map(recordings.facts, quick.liquidations))
        if quick.kind is not FrameKind.CONTROL:
            assert (careful.kind, careful.error, careful.bad_rows) == (quick.kind, quick.error, quick.bad_rows)

    def list_instruments(self, place: int, body: bytes) -> InstrumentPage | None:
        """What the REST list's reader makes of an answer; None for the error it may raise."""
        listed = self.venue.instrument_lists[place % len(self.venue.instrument_lists)]
        try:
            page = self.venue.read_instruments(listed, body)
        except ValueError as error:
            assert str(error)
            return None
        assert page.next_url is None or page.next_url.startswith("https://")
        self.build(page.objects)
        return page

    def build(self, objects: Any) -> None:
        """Instruments of objects that may be anything: usable ones, and sentences about the others."""
        built, errors = build_instruments(self.venue, objects, recordings.USD)
        assert all(isinstance(error, str) and error for error in errors)
        assert all(sound(known) for known in built.values()), built

    def read_history(self, url: str, body: bytes) -> HistoryPage | None:
        """What the history's reader makes of an answer; None for the error it may raise."""
        assert self.venue.history is not None
        try:
            page = self.venue.history.read(url, body, self.instruments, NOW_MS)
        except ValueError as error:
            assert str(error)
            return None
        assert page.next_url is None or page.next_url.startswith("https://")
        assert all(isinstance(row, BadRow) and isinstance(row.reason, Reason) for row in page.bad_rows)
        for event in page.liquidations:
            self._judge_event(event, ("gap-fill",))
        return page

    def history_urls(self) -> list[str]:
        """First pages of an hour."""
        history = self.venue.history
        urls = history.urls(self.instruments, NOW_MS - 3_600_000, NOW_MS) if history is not None else []
        assert all(url.startswith("https://") for url in urls)
        return list(urls)

    def _judge(self, received: Received) -> None:
        assert isinstance(received.kind, FrameKind)
        assert received.error is None or received.error
        (received.error or "").encode()
        assert received.kind not in (FrameKind.REJECTED, FrameKind.REFUSED) or received.error is not None
        assert received.kind is FrameKind.DATA or not received.liquidations
        assert not received.bad_rows or received.error is not None
        for row in received.bad_rows:
            assert isinstance(row, BadRow)
            assert isinstance(row.reason, Reason)
            assert row.error
        for reply in received.replies:
            assert isinstance(reply, str | bytes)
            assert reply
        ids = [event.event_id for event in received.liquidations]
        assert len(ids) == len(set(ids))
        for event in received.liquidations:
            self._judge_event(event, ("stream", "gap-fill"))  # what is replayed on subscribing fills a gap

    def _judge_event(self, event: Liquidation, sources: tuple[str, ...]) -> None:
        message = events.Liquidation.model_validate_json(encode(event))
        instrument = self._by_symbol[event.symbol]
        assert (self.venue.name, self.venue.unit) == (message.venue, message.unit)
        assert message.source in sources
        assert (instrument.base, instrument.quote) == (message.base, message.quote)
        assert instrument.unpriced is None
        assert NOW_MS == message.received_time_ms
        for text in (event.price, event.quantity, event.notional_usd):
            assert text.isascii(), text
            assert text.replace(".", "", 1).isdecimal(), text  # neither a sign nor an exponent
            assert Decimal(text) > 0
        assert Decimal(event.notional_usd) <= Decimal("1e11")
        assert 0 < len(event.event_id) < 300


def sound(instrument: Instrument) -> bool:
    """An instrument that the arithmetic can use."""
    size = instrument.contract_size
    return size.is_finite() and size > 0 and "" not in (instrument.symbol, instrument.base, instrument.quote)


def held(session: Session, instruments: object) -> int:
    """How many objects can be reached from a session; the instruments are not its own."""
    found = {id(session), id(instruments)}
    waiting: list[Any] = [session]
    while waiting:
        for inner in gc.get_referents(waiting.pop()):
            if id(inner) not in found and not isinstance(inner, _NOT_STATE):
                found.add(id(inner))
                waiting.append(inner)
    return len(found)


def varied(frame: Frame, rng: random.Random, number: int) -> Frame:
    """The frame with some of its values changed by `number`, each into another good one of its kind."""
    if isinstance(frame, bytes):
        changed = bytearray(frame)
        for _ in range(rng.randint(1, 4)):
            if changed:
                changed[rng.randrange(len(changed))] = rng.randrange(256)
        return bytes(changed)
    try:
        message = json.loads(frame, parse_float=Decimal)
    except ValueError:
        return f"{frame}{number}" if rng.random() < 0.5 else frame
    share = rng.choice([0.05, 0.3, 0.9])
    for holder, key in places(message):
        if rng.random() < share:
            holder[key] = _another(holder[key], rng, number)
    return json.dumps(message, separators=(",", ":"), default=float, ensure_ascii=rng.random() < 0.1)


def places(value: Any) -> list[tuple[Any, Any]]:
    """(holder, key) of every value inside `value`."""
    found: list[tuple[Any, Any]] = []
    waiting = [value]
    while waiting:
        holder = waiting.pop()
        pairs = holder.items() if isinstance(holder, dict) else enumerate(holder) if isinstance(holder, list) else ()
        for key, inner in pairs:
            found.append((holder, key))
            waiting.append(inner)
    return found


def _another(value: Any, rng: random.Random, number: int) -> Any:
    if isinstance(value, bool) or value is None:
        return not value
    if isinstance(value, int | Decimal):
        return value + number
    if isinstance(value, str):
        if value.isascii() and value.isdecimal():
            return str(int(value) + number)
        return f"{value}{number}"
    return rng.choice(SPOILT) if rng.random() < 0.1 else value


def _raw(text: str) -> Frame:
    """A frame of a recording as the socket gives it: binary ones are written `hex:…` there."""
    return bytes.fromhex(text[4:]) if text.startswith("hex:") else text


def _body(recorded: Any) -> bytes:
    return (recorded if isinstance(recorded, str) else json.dumps(recorded, default=float)).encode()


def _words(venue: Venue) -> Iterator[str]:
    """Short text in the venue's module: most of what it looks for in a frame is among it."""
    module = __import__(f"liqwatch.venues.{venue.name}", fromlist=["VENUE"])
    path = Path(str(module.__file__))
    waiting: list[CodeType] = [compile(path.read_text("utf-8"), str(path), "exec")]
    while waiting:
        for constant in waiting.pop().co_consts:
            if isinstance(constant, CodeType):
                waiting.append(constant)
            elif isinstance(constant, str) and 0 < len(constant) <= 30 and " " not in constant:
                yield constant
            elif isinstance(constant, tuple):
                yield from (word for word in constant if isinstance(word, str) and 0 < len(word) <= 30)
