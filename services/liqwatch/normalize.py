"""`liqwatch normalize`: what a venue's decoder makes of frames, one JSON object out for every line in."""

import json
import zlib
from collections.abc import Collection, Iterable, Mapping
from decimal import Decimal
from typing import Any, TextIO

import msgspec

from .clock import Clock
from .events import Reason
from .settings import CollectorSettings
from .venues import discover
from .venues.base import BadRow, Frame, FrameKind, Instrument, Received, Session, Venue, build_instrument
from .wire import Liquidation

_GZIP = b"\x1f\x8b"
_LARGEST_FRAME = 16 * 1024 * 1024


class UnknownVenue(Exception):
    """No venue has that name; the text names those there are."""


class _Line(msgspec.Struct):
    """What comes out for one frame."""

    line: int
    kind: str
    liquidations: list[Liquidation]
    error: str | None


def run(
    venue_name: str,
    lines: Iterable[str],
    out: TextIO,
    instruments: Mapping[str, Any] | None = None,
    recording: bool = False,
    usd_currencies: Collection[str] = CollectorSettings().usd_currencies,
    clock: Clock | None = None,
) -> None:
    """Decodes `lines` with one decoder and writes as it goes. Raises `UnknownVenue`; never for what a line holds."""
    venues = discover()
    if venue_name not in venues:
        raise UnknownVenue(f"no venue is called {venue_name!r}; there are {', '.join(venues)}")
    decoder = Decoder(venues[venue_name], usd_currencies)
    decoder.learn(instruments or {})
    now_ms = (clock or Clock()).now_ms
    encode = msgspec.json.Encoder().encode
    for number, line in enumerate(lines, 1):
        text = line.rstrip("\r\n")
        received = decoder.recorded(text, now_ms()) if recording else decoder.frame(text, now_ms())
        fresh = decoder.fresh(received.liquidations)
        out.write(encode(_Line(number, received.kind.value, fresh, received.error)).decode() + "\n")


class Decoder:
    """One session of a venue and the instruments it was told of."""

    def __init__(self, venue: Venue, usd_currencies: Collection[str]) -> None:
        self._venue = venue
        self._usd = usd_currencies
        self._known: dict[str, Instrument] = {}
        self._unusable: dict[str, str] = {}
        self._session: Session = venue.session(venue.feeds[0], self._known, [])
        self._gzip = any(feed.compression == "gzip" for feed in venue.feeds)
        self._told: set[str] = set()

    def learn(self, objects: Mapping[str, Any]) -> None:
        """Lays the venue's instrument objects over those known so far; an unusable one makes its symbol unknown."""
        for name, raw in objects.items():
            built, error = build_instrument(self._venue, name, raw, self._usd)
            if built is not None:
                self._known[name] = built
                self._unusable.pop(name, None)
            else:
                self._known.pop(name, None)
                self._unusable[name] = error or "cannot be used"

    def recorded(self, text: str, received_ms: int) -> Received:
        """A line of a recording: an object with `frame` and `instruments`."""
        try:
            line = json.loads(text, parse_float=Decimal)
        except (ValueError, RecursionError) as error:
            return Received(FrameKind.REJECTED, error=f"the line is not JSON: {str(error)[:200]}")
        if not isinstance(line, dict) or not isinstance(line.get("frame"), str):
            return Received(FrameKind.REJECTED, error="the line is not an object with the text of a frame")
        instruments = line.get("instruments")
        if isinstance(instruments, dict):
            self.learn(instruments)
        return self.frame(line["frame"], received_ms)

    def frame(self, text: str, received_ms: int) -> Received:
        """One frame; binary ones are written `hex:…`."""
        try:
            frame = self._unpacked(text)
        except ValueError as error:
            return Received(FrameKind.REJECTED, error=str(error))
        received = self._session.receive(frame, received_ms)
        if received.bad_rows and self._unusable:
            error_text = "; ".join(self._with_reason(row) for row in received.bad_rows)
            return msgspec.structs.replace(received, error=error_text)
        return received

    def fresh(self, liquidations: Iterable[Liquidation]) -> list[Liquidation]:
        """Those whose id did not come before."""
        told, fresh = self._told, []
        for liquidation in liquidations:
            if liquidation.event_id not in told:
                told.add(liquidation.event_id)
                fresh.append(liquidation)
        return fresh

    def _unpacked(self, text: str) -> Frame:
        if not text.startswith("hex:"):
            return text
        try:
            data = bytes.fromhex(text[4:])
        except ValueError:
            raise ValueError("after hex: not hexadecimal digits, two a byte") from None
        if not self._gzip or not data.startswith(_GZIP):
            return data
        inflate = zlib.decompressobj(wbits=31)
        try:
            plain = inflate.decompress(data, _LARGEST_FRAME)
        except zlib.error as error:
            raise ValueError(f"not gzip: {error}") from None
        if not inflate.eof:
            raise ValueError(f"gzip cut off, or more than {_LARGEST_FRAME} bytes inside")
        return plain

    def _with_reason(self, row: BadRow) -> str:
        why = self._unusable.get(row.symbol or "") if row.reason is Reason.UNKNOWN_SYMBOL else None
        return f"{row.error} (its instrument {why})" if why else row.error
