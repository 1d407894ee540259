"""What a simulated venue is: its REST answers, and one conversation per socket. No sockets here."""

from bisect import bisect_left, bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import orjson

from ..listings import Listing
from ..orders import Entry

Frame = str | bytes
Listings = Mapping[str, Listing]  # by symbol; grows while the venue runs


class HangUp(Exception):
    """The venue ends the socket; the text is the close reason. `last_words` are sent before."""

    def __init__(self, reason: str, last_words: Sequence[Frame] = ()) -> None:
        super().__init__(reason)
        self.last_words = last_words


@dataclass(frozen=True, slots=True)
class RestAnswer:
    """What a REST address says."""

    body: object
    status: int = 200


class Conversation(Protocol):
    """One socket as the venue sees it: told frames and the time, it says what to send back."""

    @property
    def whole_contracts(self) -> bool:
        """True where sizes go out with their fraction cut off."""
        ...

    def receive(self, frame: Frame, now_ms: int) -> Sequence[Frame]:
        """Replies to a frame of the client. Raises `HangUp`."""
        ...

    def carries(self, listing: Listing) -> bool:
        """True where this socket is subscribed to `listing` and its route delivers."""
        ...

    def push(self, entries: Sequence[Entry], now_ms: int) -> Sequence[Frame]:
        """The frames that tell of `entries`, all of them carried."""
        ...

    def second(self, now_ms: int) -> Sequence[Frame]:
        """Called once a second: what the venue sends by itself for the heartbeat. Raises `HangUp`."""
        ...

    def ticks(self, now_ms: int) -> Sequence[Frame]:
        """Called once a second as well: data that always flows on this socket."""
        ...


class Dialect(Protocol):
    """One venue's protocol."""

    @property
    def venue(self) -> str: ...

    @property
    def batch_ms(self) -> int:
        """Events are gathered for so long before a push."""
        ...

    @property
    def control_ping_seconds(self) -> float | None:
        """How often the server sends websocket ping frames."""
        ...

    @property
    def lists_past(self) -> bool:
        """True where a REST address tells of what was missed on the sockets, all of it and with the same numbers."""
        ...

    def rest(self, path: str, query: Mapping[str, str]) -> RestAnswer | None:
        """The answer of a REST address; None where there is none."""
        ...

    def connect(self, path: str, headers: Mapping[str, str]) -> Conversation | None:
        """A new socket on `path` (query included); None where nothing listens there."""
        ...


def of_product(listings: Listings, product: str) -> list[Listing]:
    return [listing for listing in listings.values() if listing.product == product]


def fell(past: Sequence[Entry], since_ms: int, until_ms: int) -> Sequence[Entry]:
    """The part of `past` from the one time to the other, both included, the newest last."""
    return past[bisect_left(past, since_ms, key=_time) : bisect_right(past, until_ms, key=_time)]


def _time(entry: Entry) -> int:
    return entry.event_ms


def text(message: object) -> str:
    """`message` as JSON text."""
    return orjson.dumps(message).decode()


def parse(frame: Frame) -> dict[str, Any] | None:
    """The JSON object in `frame`; None for anything else."""
    try:
        message = orjson.loads(frame)
    except orjson.JSONDecodeError:
        return None
    return message if isinstance(message, dict) else None
