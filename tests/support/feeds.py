"""A feed's state as the status reads it."""

from dataclasses import dataclass


@dataclass
class StubFeed:
    venue: str
    feed: str
    state: str
    detail: str
    retry_at_ms: int | None = None
    last_event_ms: int | None = None
    events: int = 0
