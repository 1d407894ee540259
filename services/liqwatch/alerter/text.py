"""What an alert says: a headline and a few lines, plain text, in the manner of a newsroom."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from typing import NamedTuple

from ..amounts import DOLLAR, money
from ..events import Completeness, LargestRecord, SideOrBoth, VenueCoverage
from ..wire import micros
from .rules import Kind

_WINDOW_UNITS = {"s": "second", "m": "minute", "h": "hour", "d": "day"}
_PLURAL = {"long": "longs", "short": "shorts", "both": "positions"}
_CLASS_WORDS = {"class=majors": "major coins", "class=others": "other coins"}
_WATCHED_WHOLE = 0.9995  # what is shown as 100 %


class Amount(NamedTuple):
    """Micro-dollars of one coin or venue."""

    name: str
    usd: int


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Everything that a text is made of. USD in micro-dollars; times in milliseconds of the service's clock."""

    kind: Kind
    scope: str
    side: SideOrBoth
    window: str
    now_ms: int
    threshold: Decimal
    long: int
    short: int
    count: int
    coins: Sequence[Amount] = ()  # of the rule's side, largest first
    venues: Sequence[Amount] = ()
    largest: LargestRecord | None = None
    coverage: Sequence[VenueCoverage] = ()  # of the venues that the scope can hold
    by_kind: Mapping[Completeness, int] = field(default_factory=dict)  # the rule's side, by the kind of feed
    watched_since_ms: int | None = None  # where watching began inside the window
    opened_ms: int | None = None
    peak: int = 0
    peak_at_ms: int = 0
    titles: Mapping[str, str] = field(default_factory=dict)  # venue -> as its own people write it

    @property
    def usd(self) -> int:
        """Micro-dollars of the rule's side."""
        return self.long if self.side == "long" else self.short if self.side == "short" else self.long + self.short


class Telling(NamedTuple):
    """A headline of one sentence, and the lines under it."""

    headline: str
    text: str


class Story(NamedTuple):
    """What a rule says that is more than a level: its headline, and lines before the common ones; `bare`: instead of
    them. `peak`: the highest total is told at the end."""

    headline: str
    lines: tuple[str, ...] = ()
    bare: bool = False
    peak: bool = True


class Sentences(NamedTuple):
    """What there is to say of a step, each a sentence or more; empty where there is nothing to be said."""

    headline: str
    story: tuple[str, ...]
    sides: str
    coins: str
    venues: str
    largest: str
    peak: str
    coverage: str
    as_of: str


def compose(snapshot: Snapshot, story: Story | None = None) -> Telling:
    """The words for one step of an incident. Amounts are cut, never rounded up: "at least $1.71B" stays true."""
    headline, told, *lines = sentences(snapshot, story)
    return Telling(headline, "\n".join((*told, *(line for line in lines if line))))


def sentences(snapshot: Snapshot, story: Story | None = None) -> Sentences:
    """The same in parts, in the order in which the long form has them."""
    as_of = f"As of {moment(snapshot.now_ms)}."
    told = story.lines if story is not None else ()
    if story is not None and story.bare:
        return Sentences(story.headline, told, "", "", "", "", "", "", as_of)
    coins, venues = _list(snapshot.coins, name), _list(snapshot.venues, lambda venue: title(snapshot, venue))
    return Sentences(
        headline=story.headline if story is not None else _headline(snapshot),
        story=told,
        sides=_sides(snapshot),
        coins=coins and f"Top coins: {coins}.",
        venues=venues and f"Top venues: {venues}.",
        largest=_largest(snapshot, snapshot.largest) if snapshot.largest is not None else "",
        peak=_peak(snapshot) if story is None or story.peak else "",
        coverage=coverage_line(snapshot),
        as_of=as_of,
    )


def at_least(snapshot: Snapshot) -> bool:
    """True where the figure is a floor: a feed is sampled or partial, or was not watched for the whole window."""
    return not snapshot.coverage or any(
        venue.completeness != "all" or venue.share < _WATCHED_WHOLE for venue in snapshot.coverage
    )


def exact(usd: Decimal) -> str:
    """A threshold as it was set: `$1.7B`, `$250M`, `$12,500`."""
    for suffix, power in (("T", 12), ("B", 9), ("M", 6)):
        if usd >= 10**power:
            return f"${_plain(usd.scaleb(-power))}{suffix}"
    return f"${_plain(usd)}" if usd != usd.to_integral_value() else f"${int(usd):,}"


def moment(at_ms: int) -> str:
    """`2026-01-30 04:43:10 UTC`."""
    return datetime.fromtimestamp(at_ms // 1000, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def duration(ms: int) -> str:
    """`45 s`, `12 min`, `6 h 12 min`, `2 d 3 h`."""
    seconds = max(ms, 0) // 1000
    if seconds < 60:
        return f"{seconds} s"
    minutes, hours, days = seconds // 60, seconds // 3600, seconds // 86400
    if hours == 0:
        return f"{minutes} min"
    if days == 0:
        return f"{hours} h {minutes % 60} min" if minutes % 60 else f"{hours} h"
    return f"{days} d {hours % 24} h" if hours % 24 else f"{days} d"


def name(text: str) -> str:
    """A symbol, coin or venue fit to be printed: letters, digits and `. _ : / -` only, 64 at most."""
    return _kept(text, "._:/-")


def _kept(text: str, marks: str) -> str:
    kept = "".join(mark if mark.isalnum() or mark in marks else "?" for mark in text)
    return kept if len(kept) <= 64 else kept[:63] + "…"


def span_words(window: str) -> str:
    """`24h` -> `24 hours`, `1h` -> `1 hour`."""
    number, unit = window[:-1], _WINDOW_UNITS.get(window[-1:], "")
    if not unit or not number.isdigit():
        return name(window)
    return f"{number} {unit}" if number == "1" else f"{number} {unit}s"


def total_words(snapshot: Snapshot) -> str:
    """`at least $1.71B of BTC longs liquidated on OKX in 24 hours`."""
    span = span_words(snapshot.window)
    return f"{floor_words(snapshot)}{_amount(snapshot)} of {subject(snapshot)} liquidated{place(snapshot)} in {span}"


def capital(line: str) -> str:
    """A sentence begins with a capital."""
    return line[0].upper() + line[1:]


def _headline(snapshot: Snapshot) -> str:
    amount, span = _amount(snapshot), span_words(snapshot.window)
    what = total_words(snapshot)
    threshold = exact(snapshot.threshold)
    match snapshot.kind:
        case "fired":
            line = f"{what}, past {threshold}."
        case "stepped_up":
            line = f"{what}, now past {threshold}."
        case "reminded":
            line = f"Still open past {threshold}: {what}."
        case "cleared":
            back = f"{subject(snapshot)} liquidated{place(snapshot)} in {span}"
            line = f"Cleared: {back} back under {threshold}, now {floor_words(snapshot)}{amount}."
    return capital(line)


def _amount(snapshot: Snapshot) -> str:
    """The figure, exact where cutting it to three digits would put it below the threshold it has passed."""
    usd, threshold = snapshot.usd, snapshot.threshold * DOLLAR  # of another unit, it is far below
    if snapshot.kind in ("fired", "stepped_up") and usd >= threshold and _shown(usd) < threshold:
        return exact(Decimal(usd // DOLLAR))
    return money(usd)


def _shown(usd: int) -> int:
    digits = len(str(usd // DOLLAR))
    unit = DOLLAR * 10 ** (digits - 3) if digits > 6 else DOLLAR
    return usd // unit * unit


def floor_words(snapshot: Snapshot) -> str:
    """`at least `, or nothing where the figure is complete."""
    return "at least " if at_least(snapshot) else ""


def subject(snapshot: Snapshot) -> str:
    """`longs`, `BTC longs`, `longs of major coins`."""
    if snapshot.scope in _CLASS_WORDS:
        return f"{_PLURAL[snapshot.side]} of {_CLASS_WORDS[snapshot.scope]}"
    parts = (part.partition("=") for part in snapshot.scope.split(","))
    coin = next((value for key, _, value in parts if key in ("base", "class")), None)
    return f"{name(coin)} {_PLURAL[snapshot.side]}" if coin else _PLURAL[snapshot.side]


def place(snapshot: Snapshot) -> str:
    """` on OKX`, or nothing."""
    venue = next((part[6:] for part in snapshot.scope.split(",") if part.startswith("venue=")), None)
    return f" on {title(snapshot, venue)}" if venue else ""


def title(snapshot: Snapshot, venue: str) -> str:
    """A venue as its own people write it."""
    known = snapshot.titles.get(venue)
    return name(venue) if known is None else _kept(known, "._:/- ()")  # our own words: "Kraken Futures"


def _sides(snapshot: Snapshot) -> str:
    total = snapshot.long + snapshot.short
    if total == 0:
        return "No liquidation orders in the window."
    shares = f"Longs {money(snapshot.long)} ({percent(snapshot.long / total)})"
    shares += f", shorts {money(snapshot.short)} ({percent(snapshot.short / total)})"
    orders = "order" if snapshot.count == 1 else "orders"
    return f"{shares}; {snapshot.count:,} liquidation {orders} reported."


def percent(share: float) -> str:
    """One decimal, and never 0 or 100 unless it is."""
    shown = min(max(share * 100, 0.1), 99.9) if 0 < share < 1 else share * 100
    return f"{shown:.1f} %".replace(".0 %", " %")


def _list(amounts: Sequence[Amount], show: Callable[[str], str]) -> str:
    return ", ".join(f"{show(amount.name)} {money(amount.usd)}" for amount in amounts)


def _largest(snapshot: Snapshot, record: LargestRecord) -> str:
    where = f"{title(snapshot, record.venue)} {name(record.symbol)}"
    amount = money(micros(record.notional_usd))
    return f"Largest {record.unit}: {where} {record.side}, {amount} at {moment(record.event_time_ms)}."


def _peak(snapshot: Snapshot) -> str:
    if snapshot.kind != "cleared" or snapshot.opened_ms is None:
        return ""
    peak = f"{floor_words(snapshot)}{money(snapshot.peak)}"
    lasted = duration(snapshot.now_ms - snapshot.opened_ms)
    return f"Peak: {peak} at {moment(snapshot.peak_at_ms)}; lasted {lasted}."


def coverage_line(snapshot: Snapshot) -> str:
    """What was watched, and what is not published."""
    venues, mean = snapshot.coverage, mean_share(snapshot)
    if mean is None:
        return "Coverage: unknown, so the figure is a floor."
    incomplete = [venue for venue in venues if venue.share < _WATCHED_WHOLE]
    names = ", ".join(title(snapshot, venue.venue) for venue in venues)
    if len(incomplete) == len(venues) > 1 and _alike(incomplete):
        line = f"Coverage: watched {percent(mean)} of the window on {names}"
    elif incomplete:
        parts = ", ".join(f"{title(snapshot, venue.venue)} {percent(venue.share)}" for venue in incomplete)
        line = f"Coverage: watched {percent(mean)} of the window: {parts}"
        if len(incomplete) < len(venues):
            line += f"; the rest of {names} in full"
    else:
        line = f"Coverage: watched the whole window on {names}"
    if incomplete and snapshot.watched_since_ms is not None:
        line += f"; watching since {moment(snapshot.watched_since_ms)}"
    line += "."
    sampled = [title(snapshot, venue.venue) for venue in venues if venue.completeness != "all"]
    if sampled:
        line += f" Not every order is published by {', '.join(sampled)}."
        part = sum(usd for kind, usd in snapshot.by_kind.items() if kind != "all")
        if part:
            line += (
                f" From such feeds {money(part)}, from those that publish all {money(snapshot.by_kind.get('all', 0))}."
            )
    return line


def mean_share(snapshot: Snapshot) -> float | None:
    """The mean of the venues' watched shares; None where nothing is known of any."""
    venues = snapshot.coverage
    return sum(venue.share for venue in venues) / len(venues) if venues else None


def _alike(venues: Sequence[VenueCoverage]) -> bool:
    """All within a hundredth: one figure says it, as after a common start."""
    shares = [venue.share for venue in venues]
    return max(shares) - min(shares) < 0.01


def _plain(value: Decimal) -> str:
    return format(value.normalize(), "f")
