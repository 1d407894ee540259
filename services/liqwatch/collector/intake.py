"""One venue's events and rejected rows on their way to the publisher: counted, and held while a symbol is unknown."""

from collections import deque
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Protocol

import structlog

from ..clock import Clock
from ..events import SIDES, Price, Reason, RejectedFrame
from ..metrics import CollectorMetrics
from ..topics import MAX_FRAME_BYTES
from ..venues.base import BadRow, Frame, FrameKind, Received, Session, Venue
from ..wire import Liquidation, encode
from .guard import Band, Guard
from .meter import Meter
from .sides import Sides

_MOST_HELD = 1000  # frames
_TELL_EVERY_MS = 600_000  # of one symbol
_BAD_PRICE_EVERY_MS = 60_000  # they come every second: so often one is counted and kept
_PRICE_OFF_MS = 60_000  # by our clock, at speed 1
_TIME_EVERY_MS = 5  # of a burst, so many milliseconds give one observation of the latency


class Outlet(Protocol):
    """Where events go."""

    def liquidations(self, items: Sequence[Liquidation]) -> None: ...

    def price(self, message: Price) -> None: ...

    def rejected(self, message: RejectedFrame) -> None: ...


class Symbols(Protocol):
    """Who can be asked to learn a symbol."""

    def may_come(self, symbol: str) -> bool: ...

    def want(self, symbol: str) -> None: ...


@dataclass(frozen=True, slots=True)
class _Held:
    session: Session
    meter: Meter
    frame: Frame
    at_ms: int
    symbols: frozenset[str]  # that were unknown
    published: frozenset[str]  # event ids of its good rows
    told: frozenset[BadRow]  # rows already rejected


class Intake:
    """`take` is called for every frame with data; it publishes at once what can be read."""

    def __init__(
        self,
        venue: Venue,
        collector: str,
        outlet: Outlet,
        symbols: Symbols,
        metrics: CollectorMetrics,
        clock: Clock,
        hold_seconds: float,
        guard: Guard | None = None,
    ) -> None:
        self._venue, self._collector, self._outlet, self._symbols = venue.name, collector, outlet, symbols
        self._hold_ms = int(hold_seconds * 1000 * clock.speed)
        self._clock = clock
        self.guard = guard or Guard(float("inf"), float("inf"), ())
        self.sides = Sides()
        self.quarantined = 0
        self._quarantines: dict[str, int] = {}  # symbol -> when it was last told
        self._held: deque[_Held] = deque()
        self._log = structlog.get_logger("collector").bind(venue=venue.name)
        self._complained = False
        self._events = {side: metrics.events.labels(venue.name, side).inc for side in SIDES}
        self._counted = dict.fromkeys(SIDES, 0)  # since `show_counts`: a metric costs more than all else here
        self._timed_ms = 0
        self._bad_price_ms = -_BAD_PRICE_EVERY_MS
        self._price_off_ms = int(_PRICE_OFF_MS * clock.speed)
        self._latency = metrics.latency.labels(venue.name).observe
        self._rejected = {reason: metrics.rejected.labels(venue.name, reason.value).inc for reason in Reason}
        self._refused = metrics.refused.labels(venue.name).inc

    def take(self, session: Session, meter: Meter, frame: Frame, received: Received, at_ms: int) -> bool:
        """True if nothing of the frame could be used, now or, once its symbol is known, later."""
        if received.liquidations:
            self._publish(meter, received.liquidations, at_ms)
        elif received.kind is FrameKind.REJECTED and not received.bad_rows:
            self.reject(meter.feed, frame, received.error or "not readable", at_ms)
            return True
        if not received.bad_rows:
            return False
        waits = self._reject_rows(meter.feed, frame, received.bad_rows, at_ms)
        if waits:
            for symbol in waits:
                self._symbols.want(symbol)
            if len(self._held) == _MOST_HELD:
                self._decode_again(self._held.popleft())
            self._held.append(_hold(session, meter, frame, received, at_ms, waits))
        return received.kind is FrameKind.REJECTED and not waits

    def price(self, meter: Meter, frame: Frame, received: Received, at_ms: int) -> None:
        """Prices that came with a control frame. Of bad ones, or of another time, one a minute is rejected."""
        bad = list(received.bad_rows)
        for price in received.prices:
            if abs(price.at_ms - at_ms) <= self._price_off_ms:
                self._outlet.price(price)
            else:
                off = (price.at_ms - at_ms) / 1000
                bad.append(BadRow(Reason.BAD_TIME, f"{price.base}: a price {off:+.0f} s from our clock"))
        if bad and abs(at_ms - self._bad_price_ms) >= _BAD_PRICE_EVERY_MS:
            self._bad_price_ms = at_ms
            self.reject(meter.feed, frame, bad[0].error, at_ms, bad[0].reason)

    def show_counts(self) -> None:
        """Brings the metric of events up to date; to be called at least once a second."""
        for side, number in self._counted.items():
            self._events[side](number)
            self._counted[side] = 0

    def settle(self, complete: bool) -> None:
        """The lists were read: decodes the held frames once more. If not all lists were, those that may wait, wait."""
        held, self._held = self._held, deque()
        oldest = self._clock.now_ms() - self._hold_ms
        for one in held:
            if not complete and one.at_ms > oldest:
                self._held.append(one)
            else:
                self._decode_again(one)

    def reject(self, feed: str, frame: Frame, error: str, at_ms: int, reason: Reason = Reason.MALFORMED) -> None:
        """Counts one frame or row and puts it into rejected-frames."""
        self._rejected[reason]()
        text, length = shown(frame)
        self._outlet.rejected(
            RejectedFrame(
                venue=self._venue,
                feed=feed,
                collector=self._collector,
                received_time_ms=at_ms,
                reason=reason.value,
                error=error[:1000],
                frame=text,
                frame_bytes=length,
            )
        )

    def refused(self, error: str | None) -> None:
        """The venue said no to a subscription."""
        self._refused()
        self._log.debug("subscription refused", reason=(error or "")[:200])

    def complain(self, error: Exception) -> str:
        """A decoder raised: a bug, logged once with its traceback; the frame is rejected with this text."""
        if not self._complained:
            self._complained = True
            self._log.error("the decoder failed on a frame; see rejected-frames", exc_info=error)
        return f"the decoder failed: {type(error).__name__}: {error}"

    def _publish(self, meter: Meter, items: Sequence[Liquidation], at_ms: int) -> None:
        meter.events += len(items)
        meter.last_event_ms = at_ms
        counted, guard = self._counted, self.guard
        usual, digits, unusual = guard.usual, guard.digits, bool(guard.doubted)
        for item in items:
            counted[item.side] += 1  # type: ignore[index]  # a session gives long or short
            price, usd = item.price, item.notional_usd
            try:
                until_ms, low, high, point, length = usual[item.symbol]
                if (
                    at_ms >= until_ms
                    or not low < price < high
                    or (price[point] != "." if point else len(price) != length or "." in price)
                    or (len(usd) >= digits and "." not in usd[:digits])
                ):
                    unusual = True
            except LookupError:
                unusual = True
        if unusual:
            items = self._judged(meter, items, at_ms)
            if not items:
                return
        if at_ms - self._timed_ms >= _TIME_EVERY_MS:
            self._timed_ms = at_ms
            self._latency(max(0.0, (at_ms - items[-1].event_time_ms) / 1000))
        self._outlet.liquidations(items)

    def fill(self, items: Sequence[Liquidation]) -> None:
        """Events of the past, from the venue's own list: published, unless they cannot be."""
        good = []
        for item in items:
            held = self.guard.fits(item)
            if held is None:
                good.append(item)
            else:
                self._quarantine("history", item, held, item.received_time_ms)
        if good:
            self._outlet.liquidations(good)

    def _judged(self, meter: Meter, items: Sequence[Liquidation], at_ms: int) -> list[Liquidation]:
        """Those that can be, and before them what was held back and is found to be right."""
        good: list[Liquidation] = []
        for item in items:
            passes = self._plausible(meter, item, at_ms)
            if released := self.guard.release():
                good += released
                self.quarantined -= len(released)
                self._log.info(
                    "the new level of prices stays: what was held back is counted after all",
                    symbol=item.symbol, price=item.price, events=len(released),
                )  # fmt: skip
            if passes:
                good.append(item)
        return good

    def _plausible(self, meter: Meter, item: Liquidation, at_ms: int) -> bool:
        price = float(item.price)
        band: Band | None = self.guard.bands.get(item.symbol)
        if band is not None and at_ms >= band.next_ms:
            self.sides.note(band, item.side, price, at_ms)
        held = self.guard.judge(item, price, at_ms)
        if held is not None:
            self._quarantine(meter.feed, item, held, at_ms)
        return held is None

    def _quarantine(self, feed: str, item: Liquidation, held: tuple[Reason, str], at_ms: int) -> None:
        reason, words = held
        self.quarantined += 1
        if self._quarantines.setdefault(item.symbol, at_ms - _TELL_EVERY_MS) <= at_ms - _TELL_EVERY_MS:
            self._quarantines[item.symbol] = at_ms
            self._log.warning("held back, see rejected-frames", reason=reason.value, why=words)
        self.reject(feed, encode(item).decode(), words, at_ms, reason)

    def _reject_rows(self, feed: str, frame: Frame, rows: Sequence[BadRow], at_ms: int) -> set[str]:
        """Rejects what is hopeless; returns the unknown symbols that may become known."""
        waits: set[str] = set()
        for row in rows:
            if row.reason is Reason.UNKNOWN_SYMBOL and row.symbol and self._symbols.may_come(row.symbol):
                waits.add(row.symbol)
            else:
                self.reject(feed, frame, row.error, at_ms, row.reason)
        return waits

    def _decode_again(self, held: _Held) -> None:
        try:
            received = held.session.receive(held.frame, held.at_ms)
        except Exception as error:
            received = Received(FrameKind.REJECTED, error=self.complain(error))
        fresh = [item for item in received.liquidations if item.event_id not in held.published]
        if fresh:
            self._publish(held.meter, fresh, held.at_ms)
        for row in received.bad_rows:
            if row.symbol in held.symbols and row not in held.told:
                self.reject(held.meter.feed, held.frame, row.error, held.at_ms, row.reason)
        if received.kind is FrameKind.REJECTED and not received.bad_rows:
            self.reject(held.meter.feed, held.frame, received.error or "not readable", held.at_ms)


def _hold(
    session: Session, meter: Meter, frame: Frame, received: Received, at_ms: int, symbols: Collection[str]
) -> _Held:
    published = frozenset(item.event_id for item in received.liquidations)
    told = frozenset(r for r in received.bad_rows if r.reason is not Reason.UNKNOWN_SYMBOL or r.symbol not in symbols)
    return _Held(session, meter, frame, at_ms, frozenset(symbols), published, told)


def shown(frame: Frame) -> tuple[str, int]:
    """The frame as text cut at 16 KiB, binary as `hex:…`, and its length in bytes before the cut."""
    if isinstance(frame, bytes):
        return "hex:" + frame[: (MAX_FRAME_BYTES - 4) // 2].hex(), len(frame)
    data = frame.encode(errors="replace")
    return data[:MAX_FRAME_BYTES].decode(errors="ignore"), len(data)
