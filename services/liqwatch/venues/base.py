"""What a venue is: a table of facts and a session that turns frames into liquidations. No I/O, no clock, no log."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from decimal import Decimal
from enum import StrEnum
from typing import Any, Literal, NamedTuple, Protocol

import msgspec

from ..events import Completeness, Price, PriceKind, Reason
from ..wire import Liquidation

Frame = str | bytes


class FrameKind(StrEnum):
    """What a frame was."""

    DATA = "data"  # liquidations, or rows that should have been
    CONTROL = "control"  # the channel that always ticks: proof that the route delivers
    HEARTBEAT = "heartbeat"  # ping or pong: proof of the socket only
    ACK = "ack"
    IGNORED = "ignored"  # understood and not ours
    REJECTED = "rejected"  # not readable; `error` says why
    REFUSED = "refused"  # the venue said no; `error` is its text


@dataclass(frozen=True, slots=True)
class BadRow:
    """A row of a frame that was not counted."""

    reason: Reason
    error: str
    symbol: str | None = None


class Received(msgspec.Struct, frozen=True, gc=False):
    """What a session made of one frame. A Struct because one is made per frame: a third of the time of a tuple."""

    kind: FrameKind
    liquidations: Sequence[Liquidation] = ()
    bad_rows: Sequence[BadRow] = ()
    error: str | None = None  # text for people: the refusal, or what could not be read
    replies: Sequence[Frame] = ()  # to be sent at once: a pong, the rest of a refused subscription
    prices: Sequence[Price] = ()  # of coins, where the control channel brings them


ACK = Received(FrameKind.ACK)
HEARTBEAT = Received(FrameKind.HEARTBEAT)
CONTROL = Received(FrameKind.CONTROL)
IGNORED = Received(FrameKind.IGNORED)


class Unpriceable(Exception):
    """A contract of this instrument cannot be turned into USD; the text says why."""

    def __init__(self, reason: Reason, text: str) -> None:
        super().__init__(text)
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Instrument:
    """What the arithmetic needs to know of a symbol.

    linear: base = contracts * contract_size, notional = base * price (in `quote`).
    inverse: notional = contracts * contract_size (USD), base = notional / price.
    quanto (`rate_of`): as linear, its contract_size being in the coin that `rate_of` gives the price of.
    """

    symbol: str
    base: str
    quote: str
    inverse: bool = False
    contract_size: Decimal = Decimal(1)
    feed: str | None = None  # which of the venue's feeds carries it, where there are several
    trading: bool = True
    unpriced: str | None = None  # why its events must be rejected, else None
    unpriced_reason: Reason = Reason.NO_RATE  # or UNSUPPORTED
    rate_of: str | None = None  # the symbol whose price turns the worth of a quanto contract into USD
    mark: Decimal | None = (
        None  # mark price when the list was read, where it is needed: quanto, or events without a price
    )
    # Priced by itself, and with a size of so few digits that products of the sessions' quick numbers with it are exact.
    quick: bool = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        digits = "".join(map(str, self.contract_size.as_tuple().digits))  # normalize() would round a long one
        short = len(digits.strip("0")) <= 2
        object.__setattr__(self, "quick", short and self.unpriced is None and self.rate_of is None)


Instruments = Mapping[str, Instrument]  # a session reads it at every frame: whoever refreshes it, does so in place


@dataclass(frozen=True, slots=True)
class Feed:
    """One websocket endpoint of a venue."""

    name: str  # "linear", "usdt", … ; unique within the venue
    url: str
    headers: Mapping[str, str] = field(default_factory=dict)
    compression: str | None = None  # "gzip": every binary message is gunzipped before the session sees it
    symbols_per_socket: int | None = None  # None: one socket with a wildcard subscription


@dataclass(frozen=True, slots=True)
class InstrumentList:
    """One public REST list of instruments."""

    name: str
    url: str
    post: str | None = None  # JSON to be sent by POST, where the venue answers to nothing else; None: GET


class InstrumentPage(NamedTuple):
    """What one answer of an instrument list held: the venue's own objects by the name frames use."""

    objects: Mapping[str, Mapping[str, Any]]
    next_url: str | None = None


class Session(Protocol):
    """One socket's conversation. Pure: given frames and the time, it says what it saw and what to send."""

    def opening_frames(self) -> Sequence[Frame]:
        """What subscribes to everything this socket should carry."""
        ...

    def ping_frame(self) -> Frame | None:
        """The client's heartbeat, sent every `Venue.ping_every`; None where the venue needs none."""
        ...

    def subscribe_more(self, symbols: Sequence[str]) -> Sequence[Frame]:
        """Frames that add newly listed symbols; empty where the subscription is a wildcard."""
        ...

    @property
    def acknowledged(self) -> bool:
        """True once the venue has said yes to everything that is still asked for, and to something at all."""
        ...

    @property
    def control_expected(self) -> bool:
        """False where this socket asked for no control channel, or the venue refused it: its silence says nothing."""
        ...

    def receive(self, frame: Frame, received_ms: int) -> Received:
        """Never raises for a frame's content: what cannot be read comes back as REJECTED or as bad rows."""
        ...


class HistoryPage(NamedTuple):
    """What one answer of a venue's history held."""

    liquidations: Sequence[Liquidation]  # `source` is "gap-fill"
    bad_rows: Sequence[BadRow] = ()
    next_url: str | None = None  # the rest of the same answer, older


@dataclass(frozen=True, slots=True)
class History:
    """A public REST list of what was liquidated, or of trades that say so: to fill a gap, and to compare."""

    urls: Callable[[Instruments, int, int], Sequence[str]]  # first pages of what fell from the one to the other ms
    read: Callable[[str, bytes, Instruments, int], HistoryPage]  # address, body, received ms; raises ValueError
    same_ids: bool  # its rows have every field of the stream's ids; else they are matched field by field
    reaches: timedelta  # so far back it answers
    pause: timedelta  # between two requests, by the venue's limits
    settles: timedelta = timedelta(seconds=60)  # an event may be missing from the list for so long
    resolution_ms: int = 1  # of its times, or of the stream's where those are coarser: for matching by fields


@dataclass(frozen=True, slots=True)
class Venue:
    """A venue: facts for people and machines, and how to talk to it."""

    name: str
    title: str
    docs: str  # the page that describes the feed
    checked: str  # ISO date when the page was last read
    completeness: Completeness
    completeness_note: str  # one sentence
    side_rule: str  # one sentence: which field says which position
    price_kind: PriceKind
    unit: str  # "order" | "fill"
    feeds: Sequence[Feed]
    instrument_lists: Sequence[InstrumentList]
    read_instruments: Callable[[InstrumentList, bytes], InstrumentPage]  # raises ValueError, saying what is wrong
    instrument: Callable[[str, Mapping[str, Any]], Instrument]  # raises KeyError/ValueError for an unusable object
    session: Callable[[Feed, Instruments, Sequence[str]], Session]  # symbols: what this socket carries ([] = wildcard)
    ping_every: timedelta | None
    silence_limit: timedelta  # no frame at all for so long: the socket is dead
    control_limit: timedelta | None = None  # no CONTROL frame for so long: the route is dead; None: no such channel
    lifetime: timedelta | None = None  # the venue ends sockets after this; ours are renewed ahead of it
    connects: int = 20  # connection attempts allowed per `connects_per`
    connects_per: timedelta = timedelta(minutes=5)
    requests: int | None = None  # frames that may be sent per `requests_per`, over all sockets; None: no such limit
    requests_per: timedelta = timedelta(minutes=1)
    enabled_by_default: bool = True
    doubts: str = ""
    thinned: Literal["largest", "first"] | None = None  # which order of a symbol and second a sampled feed shows
    history: History | None = None  # None: what was missed stays missing, and the gap visible


def build_instruments(
    venue: Venue, objects: Mapping[str, Any], usd_currencies: Collection[str]
) -> tuple[dict[str, Instrument], list[str]]:
    """Instruments from the venue's REST objects, by the name that frames use; what is unusable, as sentences.

    A quote that is not one of `usd_currencies` makes an instrument `unpriced`.
    """
    built: dict[str, Instrument] = {}
    errors: list[str] = []
    for name, raw in objects.items():
        known, error = build_instrument(venue, name, raw, usd_currencies)
        if known is not None:
            built[name] = known
        elif error is not None:
            errors.append(f"{name}: {error}")
    return built, errors


def build_instrument(
    venue: Venue, name: str, raw: object, usd_currencies: Collection[str]
) -> tuple[Instrument | None, str | None]:
    """One instrument, or why its object cannot be used."""
    if not isinstance(raw, Mapping):
        return None, "is not an object"
    if not name or len(name) > 96 or not name.isprintable():
        return None, "is not a name"
    try:
        known = venue.instrument(name, raw)
    except KeyError as error:
        return None, f"has no {error.args[0]!r}"
    except (ValueError, TypeError, ArithmeticError, AttributeError) as error:
        return None, str(error) or type(error).__name__
    if known.unpriced is None and known.quote not in usd_currencies:
        known = replace(known, unpriced=f"quoted in {known.quote}, for which no USD rate is known")
    return known, None
