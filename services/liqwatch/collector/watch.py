"""What a socket has to show, and by when: pure, on monotonic seconds that it is given."""

from collections import deque
from dataclasses import dataclass

_REJECTED_OF = 100  # the last so many data frames are judged
_REJECTED_LEAST = 20  # fewer say nothing yet


@dataclass(frozen=True, slots=True)
class Limits:
    """Waits in seconds, the same for every venue. Tests shorten them."""

    open: float = 10.0  # TCP, TLS and the handshake
    ping: float = 10.0  # protocol pings, and the wait for each pong
    acknowledge: float = 15.0  # the venue's yes to a subscription
    useful: float = 60.0  # an acknowledged socket that lived so long was worth the connect
    proven: float = 5.0  # … one that delivered, after so long: a venue may well send one frame and close
    close: float = 1.0  # a polite goodbye
    overlap: float = 1.0  # the old socket is read on for so long after the new one was acknowledged
    look: float = 0.5  # how often the watch is asked
    send: float = 5.0  # a socket that takes nothing for so long is dead
    settled: float = 5.0  # a venue watched again for so long is said to be back
    refresh_gap: float = 30.0  # between two readings of the instruments for unknown symbols
    hold: float = 300.0  # a frame with an unknown symbol waits at most so long for the list
    partial: float = 300.0  # after a part of a subscription was refused, before a new socket asks again
    gaps: float = 5.0  # between two looks at the gaps that could be filled
    edge: float = 5.0  # what fell so near to a gap may have been on its way when the socket ended
    appended: float = 3.0  # what was received so long ago is in the log, while that is well
    history_retry: float = 5.0  # the first wait after a venue's own list could not be read
    herd: float = 5.0  # between two looks at what each venue brings beside the others
    shares: float = 10.0  # between two looks at the shares of the windows that were watched
    rejected_wait: float = 30.0  # before connecting again to a venue whose frames we cannot read
    renewal_share: tuple[float, float] = (0.90, 0.98)  # of a venue's lifetime of sockets, ours are renewed in between


LIMITS = Limits()


@dataclass(slots=True)
class Watch:
    """Deadlines of one socket. `late` names what it failed to show in time, as the metric's reason."""

    silence: float
    control: float | None
    acknowledge: float
    last_frame: float  # from the connect on
    last_control: float
    asked: float | None  # since when an answer to a subscription is awaited

    @classmethod
    def begin(cls, now: float, silence: float, control: float | None, acknowledge: float) -> "Watch":
        """The watch of a socket that was connected and asked for its subscriptions at `now`."""
        return cls(silence, control, acknowledge, now, now, now)

    def late(self, now: float) -> str | None:
        if now - self.last_frame > self.silence:
            return "silent"
        if self.asked is not None:
            return "refused" if now - self.asked > self.acknowledge else None
        if self.control is not None and now - self.last_control > self.control:
            return "control_silent"
        return None


class Rejections:
    """Which share of a socket's latest data frames could not be read."""

    def __init__(self) -> None:
        self._latest: deque[bool] = deque(maxlen=_REJECTED_OF)
        self._rejected = 0

    def note(self, rejected: bool) -> None:
        latest = self._latest
        if len(latest) == _REJECTED_OF:
            self._rejected -= latest[0]
        latest.append(rejected)
        self._rejected += rejected

    @property
    def too_many(self) -> bool:
        return len(self._latest) >= _REJECTED_LEAST and 2 * self._rejected > len(self._latest)
