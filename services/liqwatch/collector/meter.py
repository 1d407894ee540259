"""What one feed of a venue has brought so far; written by its sockets, read by the status and the metrics."""

from dataclasses import dataclass


@dataclass(slots=True)
class Meter:
    """Counts and times of one feed, over all its sockets and reconnects."""

    feed: str
    last_frame_ms: int | None = None
    last_event_ms: int | None = None
    events: int = 0


@dataclass(slots=True)
class FeedState:
    """One feed as people see it: what it does, what is wrong in words, when it is tried again."""

    venue: str
    feed: str
    state: str
    detail: str
    retry_at_ms: int | None
    last_frame_ms: int | None
    last_event_ms: int | None
    events: int
    missed: int = 0  # of the venue, since the start: its own list had them, its streams did not bring them
    filled: int = 0  # of the venue, since the start: in gaps
    quarantined: int = 0  # of the venue, since the start: read without a fault, and held back because it cannot be
