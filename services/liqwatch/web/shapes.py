"""The shapes of what the API takes and gives: the schemas of the OpenAPI document, and the check of what is sent."""

from typing import Annotated, Literal, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints, ValidationError, model_validator
from pydantic.json_schema import SkipJsonSchema

from ..events import (
    Completeness,
    DecimalText,
    LargestRecord,
    Liquidation,
    Milliseconds,
    Side,
    SideOrBoth,
    VenueCoverage,
)
from ..rulesettings import RuleKind, Severity
from .problems import Problem
from .query import NO_NAME

Count = Annotated[int, Field(ge=0)]
Share = Annotated[float, Field(ge=0, le=1)]
_MARKS = r"[^\x00-\x1f\x7f-\x9f\u2028\u2029]"
Line = Annotated[str, StringConstraints(min_length=1, max_length=500, pattern=rf"^{_MARKS}*$")]
Word = Annotated[str, StringConstraints(min_length=1, max_length=100, pattern=r"^[A-Za-z0-9_.:/,=-]+$")]
# Coins are as the venue writes them, some in letters of other scripts; a scope may name one.
Coin = Annotated[str, StringConstraints(min_length=1, max_length=100, pattern=rf"^[^,={NO_NAME}]+$")]
Scope = Annotated[str, StringConstraints(min_length=1, max_length=100, pattern=rf"^[^{NO_NAME}]+$")]
_Absent = SkipJsonSchema[None]
SHORTEST_SECONDS = 60  # of a silence
LONGEST_SECONDS = 90 * 86_400
_FAULTS = {  # what pydantic says of these speaks of regular expressions and codecs
    "string_pattern_mismatch": "a character in it is not allowed, such as a line break, a control character, or in a "
    "name a blank",
    "string_unicode": "not valid UTF-8",
}


def _whole(value: object) -> object:
    """In JSON, 60.0 is a whole number too; a text is none."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


class Shape(BaseModel):
    """Exactly these fields."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class ProblemDetails(Shape):
    """An error, by RFC 9457."""

    type: str
    title: str
    status: int
    detail: str = Field(description="A sentence that names the remedy.")


class SideTotals(Shape):
    """One side of a window."""

    usd: DecimalText
    count: Count
    share: Share | None = Field(description="Of both sides; null where there is nothing.")
    largest: LargestRecord | None


class Both(Shape):
    """Both sides of a window together."""

    usd: DecimalText
    count: Count


class Covered(Shape):
    """Which share of the window was watched: the mean of the venues, and each of them."""

    share: Share
    venues: list[VenueCoverage]


class Rung(Shape):
    """How far it is to the next threshold of a rule."""

    rule: str
    side: SideOrBoth
    severity: str
    thresholds_usd: list[DecimalText]
    clear_below_usd: DecimalText
    reached_usd: DecimalText | None = Field(description="The highest threshold at or under the total.")
    next_usd: DecimalText | None = Field(description="null when the total is past the last one.")
    distance_usd: DecimalText | None


class Kind(Shape):
    """What comes from feeds of one kind."""

    completeness: Completeness
    long_usd: DecimalText
    short_usd: DecimalText


class VenueEstimate(Shape):
    """A sampled feed: what it showed, and what that probably stands for."""

    venue: str
    observed_usd: DecimalText
    capture: Share = Field(description="The share of its USD that it probably shows.")
    low_usd: DecimalText
    high_usd: DecimalText | None
    saturated: bool = Field(description="Too busy, or too little seen elsewhere, for an upper end.")


class EstimateAnswer(Shape):
    """An estimate, not an observation: the range that holds the real total with 90 %."""

    side: Side
    low_usd: DecimalText
    high_usd: DecimalText | None = Field(description="null where no upper end can be told: at least `low_usd`.")
    venues: list[VenueEstimate]


class TotalsAnswer(Shape):
    """The rolling totals of one window and scope."""

    window: str
    window_seconds: Count
    scope: str
    as_of_ms: Milliseconds = Field(description="The totals are at least this fresh; 0 before the first heartbeats.")
    stale: bool = Field(description="True while a partition is silent: the sum may be too small or too large.")
    stale_partitions: list[Count]
    at_least: bool = Field(description="True where the figures are a floor, because a feed is sampled or had a gap.")
    long: SideTotals
    short: SideTotals
    total: Both
    largest: LargestRecord | None
    coverage: Covered
    kinds: list[Kind] = Field(description="How much of the total comes from which kind of feed.")
    estimates: list[EstimateAnswer] = Field(description="Empty unless `web.estimate` is set, and for other scopes.")
    rungs: list[Rung]


class BarAnswer(Shape):
    """One step of time."""

    start_ms: Milliseconds
    long_usd: DecimalText
    long_count: Count
    short_usd: DecimalText
    short_count: Count
    watched: Share = Field(description="Mean watched share of the venues; at 0 there was nobody to see anything.")
    rolling_long_usd: DecimalText | None = Field(
        description="Sum of the window up to the end of the step; null where the bars do not reach back so far."
    )
    rolling_short_usd: DecimalText | None


class BarsAnswer(Shape):
    """What each step of time brought."""

    scope: str
    window: str
    step_seconds: int
    as_of_ms: Milliseconds
    bars: list[BarAnswer]


class EventsAnswer(Shape):
    """The latest liquidations, newest first."""

    as_of_ms: Milliseconds
    complete_since_ms: Milliseconds = Field(
        description="From then on none that was asked for is missing; ask for more, or for larger ones, to see further "
        "back: at most the longest window."
    )
    events: list[Liquidation]


class Delivery(Shape):
    """What became of telling a target."""

    target: str
    outcome: Literal["accepted", "not_sent", "refused", "unknown"] | None = Field(description="null while under way.")


class StepAnswer(Shape):
    """Something that was told."""

    kind: Literal["fired", "stepped_up", "reminded", "cleared"]
    at_ms: Milliseconds
    usd: DecimalText
    threshold: DecimalText = Field(description="The step, in the unit of the rule's kind; USD for a level.")
    value: DecimalText | None = Field(description="What was judged, in that unit, where it is not `usd`.")
    headline: str
    text: str
    held_back: str | None = Field(description="Why nobody was told: a silence, a wider incident, or quiet hours.")
    deliveries: list[Delivery]


class IncidentAnswer(BaseModel):
    """One crossing of one rule in one scope, from fired to cleared."""

    model_config = ConfigDict(frozen=True)

    incident_id: str
    rule: str
    rule_kind: Literal["level", "order", "surge", "record", "cascade", "feed"]
    scope: str
    side: SideOrBoth
    window: str
    severity: str
    opened_ms: Milliseconds
    closed_ms: Milliseconds | None
    peak_usd: DecimalText
    peak_at_ms: Milliseconds
    largest: LargestRecord | None
    coverage: list[VenueCoverage]
    steps: list[StepAnswer]


class IncidentsAnswer(Shape):
    """Open incidents first, then those that are over; the newest first."""

    as_of_ms: Milliseconds
    incidents: list[IncidentAnswer]


class VenueWindow(Shape):
    """A venue's part of a window."""

    share: Share = Field(description="Watched share of the window.")
    long_usd: DecimalText
    short_usd: DecimalText


class VenueAnswer(Shape):
    """A venue: is it watched, how complete, how late, and how much of each window it is."""

    venue: str
    title: str
    state: Literal["watched", "not_watched", "never_seen"]
    detail: str
    since_ms: Milliseconds | None
    collectors: Count
    completeness: Completeness
    completeness_note: str
    docs: str | None
    last_event_ms: Milliseconds | None
    lag_ms: float | None = Field(description="Venue's time to arrival here, the median of the last events.")
    windows: dict[str, VenueWindow]


class VenuesAnswer(Shape):
    """Every venue, by name."""

    as_of_ms: Milliseconds
    venues: list[VenueAnswer]


class GapAnswer(Shape):
    """A time in which nobody watched a venue."""

    from_ms: Milliseconds
    to_ms: Milliseconds = Field(description="The time of the answer, where it lasts.")
    reason: str = Field(description="What ended before it, or why what came was lost.")
    filled: bool = Field(description="True where what fell in it was read from the venue's own list afterwards.")


class VenueGaps(Shape):
    """When a venue was not watched."""

    venue: str
    title: str
    share: Share = Field(description="Watched share of the time asked for; what was filled counts as watched.")
    gaps: list[GapAnswer] = Field(description="Oldest first; of very many only the newest.")
    older: Count = Field(description="So many more, before those that are listed.")


class GapsAnswer(Shape):
    """Every gap of every venue, by its name."""

    as_of_ms: Milliseconds
    from_ms: Milliseconds
    venues: list[VenueGaps]


class SilenceAnswer(Shape):
    """Notifications that match are held back until it ends."""

    silence_id: str
    matcher: dict[str, str]
    reason: str
    author: str
    from_ms: Milliseconds
    until_ms: Milliseconds


class SilencesAnswer(Shape):
    """Silences in force or to come, the one that ends first first."""

    as_of_ms: Milliseconds
    silences: list[SilenceAnswer]


class Matcher(Shape):
    """What is silenced: all that is named has to be equal."""

    model_config = ConfigDict(json_schema_extra={"minProperties": 1})

    rule: Word | _Absent = None
    scope: Scope | _Absent = None
    side: SideOrBoth | _Absent = None
    severity: Severity | _Absent = None
    window: Word | _Absent = None
    kind: RuleKind | _Absent = None
    venue: Word | _Absent = None
    coin: Coin | _Absent = None

    @model_validator(mode="after")
    def _something(self) -> Self:
        if not self.model_fields_set or None in self.model_dump(exclude_unset=True).values():
            raise ValueError(f"name at least one of {', '.join(type(self).model_fields)}, and none as null")
        return self


class NewSilence(Shape):
    """A silence that begins now. The one check of it, whether it comes by HTTP or from the command line."""

    matcher: Matcher
    reason: Line
    author: Line
    duration_seconds: Annotated[
        int, Field(ge=SHORTEST_SECONDS, le=LONGEST_SECONDS, strict=True), BeforeValidator(_whole)
    ]


def new_silence(body: bytes) -> NewSilence:
    """What a POST asks for. Raises `Problem`, saying which field is wrong."""
    try:
        return NewSilence.model_validate_json(body)
    except ValidationError as error:
        raise Problem(400, fault(error)) from None


def fault(error: ValidationError) -> str:
    """The first field that is wrong, and what is wrong with it."""
    first = error.errors(include_url=False, include_input=False)[0]
    where = ".".join(str(part) for part in first["loc"][:2]) or "body"  # what comes behind are words of pydantic's
    return f"{where[:100]}: {_FAULTS.get(first['type'], first['msg']).removeprefix('Value error, ')}"


SHAPES: tuple[type[BaseModel], ...] = (
    ProblemDetails, TotalsAnswer, BarsAnswer, EventsAnswer, IncidentsAnswer, VenuesAnswer, GapsAnswer,
    SilencesAnswer,    SilenceAnswer, NewSilence,
)  # fmt: skip
