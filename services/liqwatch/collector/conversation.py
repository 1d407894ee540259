"""What one socket has said so far and what that means: acknowledged, delivering, refused, silent. No I/O, no clock."""

from collections.abc import Callable, Sequence

from ..venues.base import CONTROL, Frame, FrameKind, Received, Session, Venue
from .failures import Failure
from .gunzip import gunzip
from .intake import Intake
from .meter import Meter
from .watch import Limits, Rejections, Watch


class Conversation:
    """`hear` every frame, `look` now and then. `over` is set when the socket has to end; `changed` tells each turn.

    `acknowledged` stays true once it was: a new listing asked for later does not take back what is delivered.
    """

    def __init__(
        self,
        venue: Venue,
        session: Session,
        intake: Intake,
        meter: Meter,
        limits: Limits,
        changed: Callable[[], None],
        *,
        gzipped: bool = False,
        wildcard: bool = True,
    ) -> None:
        self.state = "connecting"
        self.detail = ""
        self.acknowledged = False
        self.partial = ""  # the refusal of one of several wildcards: the rest is delivered, the venue is not watched
        self.useful = False  # worth the connect: it delivered for a while, or lived on for longer
        self.over: Failure | None = None
        self.session = session
        self.meter = meter
        self._venue, self._intake, self._limits, self._changed = venue, intake, limits, changed
        self._gzipped, self._wildcard = gzipped, wildcard
        self._rejections = Rejections()
        self._delivered = False
        self._doubted_ms: int | None = None
        self._acknowledged_at = 0.0
        self._last_ms = self._last_control_ms = self._last_good_ms = self._asked_ms = 0
        self._watch = Watch.begin(0.0, 0.0, None, 0.0)

    def begin(self, now: float, at_ms: int) -> Sequence[Frame]:
        """The socket is connected; returns what to send first."""
        control = self._venue.control_limit
        self._watch = Watch.begin(
            now,
            self._venue.silence_limit.total_seconds(),
            control.total_seconds() if control is not None else None,
            self._limits.acknowledge,
        )
        self._last_ms = self._asked_ms = at_ms
        self._turn("connected")
        return self.session.opening_frames()

    def asking(self, now: float, at_ms: int) -> None:
        """Requests were just sent, or wait to be: only from the last of them on is an answer overdue."""
        if self._watch.asked is not None:
            self._watch.asked, self._asked_ms = now, at_ms

    def hear(self, raw: Frame, now: float, at_ms: int) -> Sequence[Frame]:
        """Takes one frame; returns what to answer at once."""
        watch = self._watch
        watch.last_frame = now
        self._last_ms = self.meter.last_frame_ms = at_ms
        frame = raw
        try:
            if self._gzipped and isinstance(raw, bytes):
                frame = gunzip(raw)
            received = self.session.receive(frame, at_ms)
        except ValueError as error:  # not gzip
            received = Received(FrameKind.REJECTED, error=str(error))
        except Exception as error:  # a session has no business raising, but must not cost the socket
            received = Received(FrameKind.REJECTED, error=self._intake.complain(error))
        kind = received.kind
        if kind is FrameKind.CONTROL:
            watch.last_control, self._last_control_ms = now, at_ms
            if not self._delivered or received is not CONTROL:
                self._ticked(frame, received, at_ms)
        elif kind is FrameKind.DATA:
            self._intake.take(self.session, self.meter, frame, received, at_ms)
            self._rejections.note(False)
            self._last_good_ms = at_ms
            if not self._delivered:
                self._delivers()
        elif kind is FrameKind.REJECTED:
            if self._intake.take(self.session, self.meter, frame, received, at_ms):
                self._reject()
        elif kind is FrameKind.REFUSED:
            self._refused(received)
        if watch.control is not None and not self.session.control_expected:
            watch.control = None  # refused: its silence says nothing any more
        if watch.asked is not None and self.session.acknowledged:
            self._hear_yes(now, at_ms)
        return received.replies

    def look(self, now: float, at_ms: int) -> None:
        """Is anything overdue?"""
        watch = self._watch
        if watch.asked is None and not self.session.acknowledged:
            watch.asked, self._asked_ms = now, at_ms
        if not self.session.control_expected:
            watch.control = None
        late = watch.late(now)
        if late == "silent":
            self._fail(late, f"no frame for {watch.silence:.0f} s")
        elif late == "control_silent":
            self._fail(late, f"its control channel was silent for {watch.control or 0:.0f} s")
        elif late == "refused":
            self._fail(late, self.detail or f"subscription not acknowledged within {watch.acknowledge:.0f} s")
        elif not self.useful and self.acknowledged:
            needed = self._limits.proven if self._delivered else self._limits.useful
            if now - self._acknowledged_at > needed:
                self.useful = True
                self._changed()

    def alive_until(self, reason: str, now_ms: int) -> int | None:
        """Until when the socket can be said to have delivered; None if it never was acknowledged."""
        if not self.acknowledged:
            return None
        proof = {
            "silent": self._last_ms,
            "control_silent": self._last_control_ms,
            "refused": self._asked_ms,
            "rejected_frames": self._last_good_ms,
        }
        until_ms = proof.get(reason, now_ms)
        return until_ms if self._doubted_ms is None else min(until_ms, self._doubted_ms)

    def doubt(self, since_ms: int | None) -> None:
        """What it has shown since then proves nothing."""
        self._doubted_ms = since_ms

    def unreadable(self, detail: str, at_ms: int) -> None:
        """The library could not even give us the frame."""
        self._intake.reject(self.meter.feed, b"", detail, at_ms)

    def _hear_yes(self, now: float, at_ms: int) -> None:
        self._watch.asked = None
        if not self.acknowledged:
            self.acknowledged = True
            self.detail = self.partial
            self._acknowledged_at = self._watch.last_control = now
            self._last_control_ms = self._last_good_ms = at_ms
            self._turn("delivering" if self._delivered else "acknowledged")

    def _ticked(self, frame: Frame, received: Received, at_ms: int) -> None:
        missing = received.error
        if received.prices or received.bad_rows:  # what is wrong with a price is nothing that the route lacks
            self._intake.price(self.meter, frame, received, at_ms)
            missing = None
        if not self._delivered or missing is not None:
            self._delivers(missing)

    def _delivers(self, missing: str | None = None) -> None:
        self._delivered = True
        if missing is not None:  # this came, and something before it did not: why the session takes its yes back
            self.detail = missing
        self._turn("delivering" if self.acknowledged else self.state)

    def _refused(self, received: Received) -> None:
        self._intake.refused(received.error)
        if received.replies:  # the session asks again for what is left
            return
        self.detail = f"refused: {(received.error or 'without a reason')[:200]}"
        if self._wildcard:  # a refused symbol is one that is not listed; a refused wildcard is a part of the venue
            self.partial = self.detail
        self._turn(self.state if self.acknowledged else "refused")

    def _reject(self) -> None:
        self._rejections.note(True)
        if self._rejections.too_many and self.over is None:
            self._fail("rejected_frames", "most of its frames cannot be read", self._limits.rejected_wait)

    def _fail(self, reason: str, detail: str, wait: float = 0.0) -> None:
        self.over = self.over or Failure(reason, detail, wait)
        self._changed()

    def _turn(self, state: str) -> None:
        self.state = state
        self._changed()
