"""The messages that travel between the services, with the meaning of each field.

These pydantic models are the contract: `contracts.py` writes them to `schemas/`. Readers ignore
unknown fields. Money, prices and quantities are decimal strings, never an exponent; times are
integer milliseconds since the epoch (`_ms`). Hot paths use the msgspec twins of `wire.py`.
"""

from decimal import Decimal
from enum import StrEnum
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

DecimalText = Annotated[str, StringConstraints(pattern=r"^-?[0-9]+(\.[0-9]+)?$")]
Milliseconds = Annotated[int, Field(ge=0)]
Side = Literal["long", "short"]
SideOrBoth = Literal["long", "short", "both"]
PriceKind = Literal["fill", "mark", "bankruptcy", "order"]
Completeness = Literal["all", "sampled", "partial", "unproven"]

LONG: Side = "long"
SHORT: Side = "short"
SIDES: tuple[Side, Side] = (LONG, SHORT)


class Message(BaseModel):
    """A message of a topic. Readers ignore what they do not know."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    version: Literal[1] = 1


class Liquidation(Message):
    """One position, or part of one, that a venue closed by force (`unit` says which)."""

    event_id: str = Field(
        description="Deterministic: the venue's own id, else made of the event's fields and its number among "
        "the equal rows of its frame, so that two collectors or a reconnect give the same id."
    )
    venue: str
    symbol: str = Field(description="As the venue writes it.")
    base: str = Field(description="The coin, as the venue names it; XBT is written BTC.")
    quote: str
    side: Side = Field(
        description="The side of the POSITION that was closed, everywhere: the order that closes a long is a SELL."
    )
    price: DecimalText = Field(description="In the quote currency; `price_kind` says which price it is.")
    price_kind: PriceKind
    quantity: DecimalText = Field(description="What was closed, in base coins.")
    notional_usd: DecimalText = Field(description="Worth in USD, unrounded; quotients to at least 24 digits.")
    event_time_ms: Milliseconds = Field(description="The venue's clock, unless `timed_by` is `received`.")
    received_time_ms: Milliseconds = Field(description="Our clock when the frame arrived.")
    timed_by: Literal["venue", "received"]
    source: Literal["stream", "gap-fill"]
    unit: Literal["order", "fill"] = Field(description="What one record of this venue is.")


class Coverage(Message):
    """How long one collector really watched a venue: an interval, rewritten while it grows, a loss, or a gap filled.

    Intervals of the same `interval_id` replace one another: the newest wins (readers that saw a later `to_ms`, before
    the clock went back, keep it), and the message that ends the interval has the last word (an interval that ended in
    silence is set back to the last sign of life).
    """

    venue: str
    collector: str
    interval_id: str
    kind: Literal["watched", "lost", "filled"] = Field(
        description="`watched`: every feed of the venue was connected, acknowledged and alive from `from_ms` to "
        "`to_ms`. `lost`: `events_lost` events received in that time could not be kept; the time counts as a gap. "
        "`filled`: what fell in that time was read from the venue's own list; `events_filled` were missing till then."
    )
    from_ms: Milliseconds
    to_ms: Milliseconds
    open: bool = Field(description="True while the interval still grows.")
    completeness: Completeness
    feeds: tuple[str, ...] = ()
    ended_by: str | None = Field(default=None, description="Feed and reason, where the interval ended.")
    events_lost: Annotated[int, Field(ge=0)] = 0
    events_filled: Annotated[int, Field(ge=0)] = Field(
        default=0, description="Events of a filled gap, published with source `gap-fill`."
    )


class LargestRecord(BaseModel):
    """The largest single order or fill of a window."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    event_id: str
    venue: str
    symbol: str
    base: str
    side: Side
    price: DecimalText
    notional_usd: DecimalText
    event_time_ms: Milliseconds
    unit: Literal["order", "fill"]


class Totals(Message):
    """Rolling totals of one partition of `liquidations`, for one window and scope. Readers add partitions up."""

    kind: Literal["totals"] = "totals"
    partition: Annotated[int, Field(ge=0)]
    window: str = Field(description="5m, 1h, 4h, 12h, 24h.")
    scope: str = Field(description="`all`, `venue=…`, `base=…` or `venue=…,base=…`.")
    generation: int = Field(description="Of the owner of the partition; the highest counts.")
    as_of_ms: Milliseconds = Field(description="At this clock the window ended.")
    offset: int = Field(description="Last offset of `liquidations` contained; -1 for none.")
    long_usd: DecimalText
    long_count: Annotated[int, Field(ge=0)]
    short_usd: DecimalText
    short_count: Annotated[int, Field(ge=0)]
    largest_long: LargestRecord | None = None
    largest_short: LargestRecord | None = None


class Heartbeat(Message):
    """Once a second and partition from its owner: how far its totals have come."""

    kind: Literal["heartbeat"] = "heartbeat"
    partition: Annotated[int, Field(ge=0)]
    generation: int
    as_of_ms: Milliseconds
    offset: int = Field(description="Last offset of `liquidations` contained; -1 for none.")
    end_offset: int = Field(description="End of the partition when last seen.")
    caught_up: bool


class BarRow(BaseModel):
    """What one minute brought for one venue and base."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    venue: str
    base: str
    long_usd: DecimalText
    long_count: int
    short_usd: DecimalText
    short_count: int


class Bar(Message):
    """One minute of one partition, by venue, base and side. Written anew when a late event changes it."""

    partition: Annotated[int, Field(ge=0)]
    minute_ms: Milliseconds = Field(description="Start of the minute, event time.")
    generation: int
    rows: tuple[BarRow, ...]


class Price(Message):
    """USD price of a coin: the mark price of one of its contracts, where a stablecoin counts as a dollar."""

    base: str = Field(description="The coin, as in `Liquidation`.")
    usd: DecimalText = Field(description="Above zero.")
    at_ms: Milliseconds = Field(description="The venue's clock.")
    venue: str = Field(description="Whose mark price it is.")


class PartitionEvidence(BaseModel):
    """What one partition contributed to a figure: enough to recompute it from `liquidations`."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    partition: int
    scope: str | None = Field(default=None, description="Where it is a part of the incident's scope: a class of coins.")
    generation: int
    as_of_ms: Milliseconds
    offset: int
    long_usd: DecimalText
    short_usd: DecimalText


class VenueCoverage(BaseModel):
    """Which share of a window a venue was really watched."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    venue: str
    completeness: Completeness
    share: float = Field(ge=0, le=1, description="Watched share of the window.")


class Attempt(BaseModel):
    """One delivery of one step to one target. Without an outcome it is unknown to whoever reads it later."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    target: str
    number: int = Field(ge=1)
    generation: int
    at_ms: Milliseconds
    outcome: Literal["accepted", "not_sent", "refused", "unknown"] | None = None
    detail: str | None = None
    message_id: str | None = None
    repeat: bool = Field(default=False, description="Sent although an earlier attempt may have arrived.")
    about: str | None = Field(
        default=None, description="Another target, which refused the step: this attempt reports that, and the step."
    )
    place: str | None = Field(
        default=None,
        description="The chat that it was sent to: the kind, and a short hash of what else leads there. The id of a "
        "message says nothing in another chat. Absent from older records.",
    )


class Words(BaseModel):
    """What a step says, in one form."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    headline: str
    text: str


class Step(BaseModel):
    """Something the incident told the world, and where each target stands with it."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    kind: Literal["fired", "stepped_up", "reminded", "cleared"]
    at_ms: Milliseconds
    usd: DecimalText
    threshold: DecimalText = Field(
        description="The step, in the unit of the incident's `rule_kind`: USD for `level` and `order`; times its "
        "normal for `surge`, days for `record`, the stage of a `cascade`, seconds or percent for `feed`."
    )
    value: DecimalText | None = Field(default=None, description="What was judged, in that unit, where it is not `usd`.")
    headline: str
    text: str
    forms: dict[str, Words] = Field(
        default_factory=dict,
        description="The same in other forms, by their names, for the targets that are told in them.",
    )
    evidence: tuple[PartitionEvidence, ...] = ()
    targets: tuple[str, ...] = ()
    held_back: str | None = Field(
        default=None, description="Why nobody was told: a silence, a wider incident, or quiet hours."
    )
    attempts: tuple[Attempt, ...] = ()


class UsualTotals(BaseModel):
    """What was usual for the scope's total around that hour of the week, from its own last 30 days."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    percentiles_usd: dict[str, DecimalText] = Field(
        description="`p99` and so on, of the totals at the ends of minutes."
    )
    hours: Annotated[int, Field(ge=1)] = Field(description="So many hours were looked at, …")
    near_hours: Annotated[int, Field(ge=0)] = Field(description="… up to so many beside the hour of the week.")
    days: Annotated[int, Field(ge=0)] = Field(description="Of the last 30, those that were watched well enough.")


class Summary(BaseModel):
    """The last edit of the first message about an incident at one target: it says how the incident went."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    target: str
    at_ms: Milliseconds
    outcome: Literal["accepted", "refused", "given_up"] = Field(
        description="`given_up`: tried for hours without a clear answer."
    )
    detail: str | None = None


class Incident(Message):
    """One crossing of one rule in one scope, from fired to cleared, with all that was said and to whom."""

    incident_id: str
    rule: str
    rule_kind: Literal["level", "order", "surge", "record", "cascade", "feed"] = Field(
        default="level", description="Which figure the rule watches."
    )
    scope: str
    side: SideOrBoth
    window: str
    severity: str
    generation: int
    opened_ms: Milliseconds
    closed_ms: Milliseconds | None = None
    peak_usd: DecimalText
    peak_at_ms: Milliseconds
    largest: LargestRecord | None = None
    coverage: tuple[VenueCoverage, ...] = ()
    usual: UsualTotals | None = Field(
        default=None,
        description="Of a rule whose steps are times a percentile: as it opened; they do not move with it.",
    )
    steps: tuple[Step, ...]
    summaries: tuple[Summary, ...] = Field(
        default=(), description="Where the first message was written anew for the last time, or cannot be."
    )


class Silence(Message):
    """Holds back notifications that match, until it ends."""

    silence_id: str
    matcher: dict[str, str]
    reason: str
    author: str
    from_ms: Milliseconds
    until_ms: Milliseconds


class Reason(StrEnum):
    """Why a frame or row was not counted: a small closed set, the label of the metric."""

    MALFORMED = "malformed"  # not the venue's format
    UNKNOWN_SYMBOL = "unknown_symbol"
    UNKNOWN_SIDE = "unknown_side"
    BAD_QUANTITY = "bad_quantity"  # zero, negative, not a number, absurd
    BAD_PRICE = "bad_price"
    BAD_TIME = "bad_time"
    NO_RATE = "no_rate"  # quoted in a currency without a known USD rate
    UNSUPPORTED = "unsupported"  # a kind of contract we do not convert, such as quanto
    # Read without a fault, and held back because it cannot be: see `QUARANTINED`.
    IMPLAUSIBLE_PRICE = "implausible_price"  # far off the venue's own recent prices of the symbol
    IMPLAUSIBLE_SIZE = "implausible_size"  # an order larger than collector.largest_order
    CONTRACT_CHANGED = "contract_changed"  # its contract suddenly has another size


QUARANTINED = frozenset({Reason.IMPLAUSIBLE_PRICE, Reason.IMPLAUSIBLE_SIZE, Reason.CONTRACT_CHANGED})


class RejectedFrame(Message):
    """A frame, or a row of one, that was not counted, and why."""

    venue: str
    feed: str
    collector: str
    received_time_ms: Milliseconds
    reason: str = Field(description="One of a small closed set, as in the metric.")
    error: str
    frame: str = Field(
        description="Cut at 16 KiB; binary as `hex:…`. Where `reason` is implausible_price, implausible_size or "
        "contract_changed: the Liquidation that was held back, as JSON."
    )
    frame_bytes: int = Field(ge=0, description="Length before the cut.")


def plain(value: Decimal) -> str:
    """`value` as a decimal string without an exponent, unrounded."""
    return format(value, "f")
