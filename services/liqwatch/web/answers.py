"""What the API answers and the stream carries: one place for both, so that the page and the API tell the same. Pure."""

from collections.abc import Mapping, Sequence
from typing import Any

from ..coverage import Span
from ..events import SIDES, Completeness, Incident, Silence
from ..settings import RuleSettings, window_name
from ..totals import Sum
from ..wire import LargestRecord, Liquidation, usd_text
from .market import Market

Json = dict[str, Any]
TOP = 30  # coins and venues of a window that are named; the rest is `other`
_WATCHED_WHOLE = 0.9995  # what is shown as 100 %
_DOLLAR = 1_000_000
MOST_GAPS = 200  # of a venue, in one answer


def totals(market: Market, rules: Sequence[RuleSettings], window: str, scope: str, now_ms: int) -> Json:
    """One window and scope: both sides, how complete they are, and how far it is to the next rung of the rules."""
    total = market.sum(window, scope)
    both = total.long + total.short
    covered = coverage(market, window, scope, now_ms)
    stale = market.stale(now_ms)
    return {
        "window": window,
        "window_seconds": _seconds(market, window),
        "scope": scope,
        "as_of_ms": market.totals.as_of_ms(),
        "stale": bool(stale),
        "stale_partitions": stale,
        "at_least": at_least(covered),
        "long": _side(total.long, total.long_count, total.largest_long, both),
        "short": _side(total.short, total.short_count, total.largest_short, both),
        "total": {"usd": usd_text(both), "count": total.long_count + total.short_count},
        "largest": largest(total.largest()),
        "coverage": covered,
        "kinds": kinds(market, window, scope),
        "estimates": estimates(market, window, now_ms) if scope == "all" else [],
        "rungs": [rung(rule, total) for rule in rules if _fits(rule, window, scope)],
    }


def coverage(market: Market, window: str, scope: str, now_ms: int) -> Json:
    """Which share of the window was watched, per venue of the scope and on average."""
    start = now_ms - _seconds(market, window) * 1000
    only = _part(scope, "venue")
    rows: list[Json] = []
    for name in market.known_venues():
        share = covered_share(market.spans(name, now_ms), start, now_ms)
        # One that is no longer collected counts for as long as the window has something of it.
        if (only is None or name == only) and (name in market.venues or share > 0):
            rows.append({"venue": name, "completeness": _completeness(market, name), "share": round(share, 6)})
    mean = sum(row["share"] for row in rows) / len(rows) if rows else 0.0
    return {"share": round(mean, 6), "venues": rows}


def kinds(market: Market, window: str, scope: str) -> list[Json]:
    """How much of a total comes from feeds that show all, from sampled ones, and so on."""
    completeness = {name: _completeness(market, name) for name in market.known_venues()}
    found = market.totals.by_completeness(window, scope, completeness)
    return [{"completeness": kind, **_amounts(*amounts)} for kind, amounts in sorted(found.items())]


def estimates(market: Market, window: str, now_ms: int) -> list[Json]:
    """Beside what was observed, what it probably was with what sampled feeds withhold; empty where not asked for."""
    found = [(side, market.estimate(window, side, now_ms)) for side in SIDES]
    return [
        {
            "side": side,
            "low_usd": usd_text(one.low),
            "high_usd": usd_text(one.high) if one.high is not None else None,
            "venues": [
                {
                    "venue": venue.venue,
                    "observed_usd": usd_text(venue.observed),
                    "capture": round(venue.capture, 4),
                    "low_usd": usd_text(venue.low),
                    "high_usd": usd_text(venue.high) if venue.high is not None else None,
                    "saturated": venue.high is None,
                }
                for venue in one.venues
            ],
        }
        for side, one in found
        if one is not None
    ]


def at_least(covered: Json) -> bool:
    """True where a figure is a floor: a feed is not complete, or was not watched for the whole window."""
    rows = covered["venues"]
    return not rows or not all(_is_whole(row) for row in rows)


def _is_whole(row: Json) -> bool:
    return row["completeness"] == "all" and float(row["share"]) >= _WATCHED_WHOLE


def covered_share(spans: Sequence[Span], from_ms: int, to_ms: int) -> float:
    """The share of a stretch of time that the spans cover."""
    inside = sum(max(0, min(end, to_ms) - max(start, from_ms)) for start, end in spans)
    return min(1.0, inside / (to_ms - from_ms)) if to_ms > from_ms else 0.0


def rung(rule: RuleSettings, total: Sum) -> Json:
    """How far it is to the next threshold of a rule."""
    usd = total.side(rule.side)
    steps = [int(step * _DOLLAR) for step in rule.steps]
    reached = [step for step in steps if step <= usd]
    ahead = next((step for step in steps if step > usd), None)
    return {
        "rule": rule.name,
        "side": rule.side,
        "severity": rule.severity,
        "thresholds_usd": [usd_text(step) for step in steps],
        "clear_below_usd": usd_text(int(rule.clear_level * _DOLLAR)),
        "reached_usd": usd_text(reached[-1]) if reached else None,
        "next_usd": usd_text(ahead) if ahead is not None else None,
        "distance_usd": usd_text(ahead - usd) if ahead is not None else None,
    }


def parts(market: Market, window: str, dimension: str) -> Json:
    """The largest coins or venues of a window, and what is left of the whole."""
    whole = market.sum(window, "all")
    named = market.parts(window, dimension, TOP)
    long = whole.long - sum(total.long for _, total in named)
    short = whole.short - sum(total.short for _, total in named)
    rows = [{"name": name, **_amounts(total.long, total.short)} for name, total in named if total.side("both")]
    # The parts and the whole are told one after the other: in between, the rest may seem to be less than nothing.
    return {"window": window, "rows": rows, "other": _amounts(max(long, 0), max(short, 0))}


def bars(market: Market, scope: str, window: str, minutes: int, step_s: int, now_ms: int) -> Json:
    """What each step of time brought, which share of it was watched, and the rolling sum of the window at its end."""
    step_ms = step_s * 1000
    to_ms = -(-now_ms // step_ms) * step_ms
    from_ms = to_ms - minutes * 60_000 // step_ms * step_ms
    span_ms = _seconds(market, window) * 1000
    kept_ms = now_ms - (market.bars.keep_ms if scope == "all" else market.bars.detail_ms)
    lead = -(-span_ms // step_ms)
    series = market.bars.series(scope, from_ms - lead * step_ms, to_ms, step_ms)
    only = _part(scope, "venue")
    watched = [market.spans(v, now_ms) for v in market.known_venues() if only in (None, v) and v in market.venues]
    shares = _watched(watched, from_ms, to_ms, step_ms, now_ms)
    long = sum(row.long for row in series[:lead])
    short = sum(row.short for row in series[:lead])
    rows = []
    for number, share in enumerate(shares):
        row, leaving = series[lead + number], series[number]
        long += row.long - leaving.long
        short += row.short - leaving.short
        start = from_ms + number * step_ms
        whole = start + step_ms - span_ms >= kept_ms
        rows.append(
            {
                "start_ms": start,
                "long_usd": usd_text(row.long),
                "long_count": row.long_count,
                "short_usd": usd_text(row.short),
                "short_count": row.short_count,
                "watched": share,
                "rolling_long_usd": usd_text(long) if whole else None,
                "rolling_short_usd": usd_text(short) if whole else None,
            }
        )
    return {"scope": scope, "window": window, "step_seconds": step_s, "as_of_ms": now_ms, "bars": rows}


def _watched(spans: Sequence[Sequence[Span]], from_ms: int, to_ms: int, step_ms: int, now_ms: int) -> list[float]:
    """Per step the mean watched share of the venues; of the last step, the part that has passed."""
    steps = (to_ms - from_ms) // step_ms
    sums = [0] * steps
    for mine in spans:
        for start, end in mine:
            first = max(0, (start - from_ms) // step_ms)
            for number in range(first, min(steps, -(-(end - from_ms) // step_ms))):
                at = from_ms + number * step_ms
                sums[number] += max(0, min(end, at + step_ms) - max(start, at))
    lengths = [
        min(step_ms, max(1, now_ms - from_ms - number * step_ms)) * max(1, len(spans)) for number in range(steps)
    ]
    return [round(min(1.0, covered / length), 4) for covered, length in zip(sums, lengths, strict=True)]


def venue(market: Market, name: str, now_ms: int) -> Json:
    """A venue: is it watched, how complete is what it publishes, how late, and how much of each window it is."""
    known = market.venues.get(name)
    watch = market.watch(name, now_ms)
    spans = market.spans(name, now_ms)
    windows = {}
    for window, seconds in market.windows:
        total = market.sum(window, f"venue={name}")
        share = covered_share(spans, now_ms - seconds * 1000, now_ms)
        windows[window] = {"share": round(share, 6), **_amounts(total.long, total.short)}
    lag_ms = market.lag_ms(name)
    return {
        "venue": name,
        "title": known.title if known else name,
        "state": watch.state,
        "detail": watch.detail,
        "since_ms": watch.since_ms,
        "collectors": watch.collectors,
        "completeness": _completeness(market, name),
        "completeness_note": known.completeness_note if known else "",
        "docs": known.docs if known else None,
        "last_event_ms": market.last_event_ms.get(name),
        "lag_ms": round(lag_ms, 1) if lag_ms is not None else None,
        "windows": windows,
    }


def gaps(market: Market, only: str | None, minutes: int, now_ms: int) -> Json:
    """When nobody watched a venue, and why; of a venue at most the newest `MOST_GAPS`."""
    from_ms = now_ms - minutes * 60_000
    rows: list[Json] = []
    for name in market.known_venues():
        if only in (None, name):
            found = market.gaps(name, from_ms, now_ms)
            known = market.venues.get(name)
            rows.append(
                {
                    "venue": name,
                    "title": known.title if known else name,
                    "share": round(covered_share(market.spans(name, now_ms), from_ms, now_ms), 6),
                    "gaps": [
                        {"from_ms": one.start, "to_ms": one.end, "reason": one.reason, "filled": one.filled}
                        for one in found[-MOST_GAPS:]
                    ],
                    "older": max(0, len(found) - MOST_GAPS),
                }
            )
    return {"as_of_ms": now_ms, "from_ms": from_ms, "venues": rows}


def events(market: Market, least: int, limit: int, scope: str, side: str, now_ms: int) -> Json:
    """The latest liquidations worth at least `least` micro-dollars, newest first, and from when on none is missing."""
    found = market.tape.latest(least, limit, scope=scope, side=side)
    since_ms = market.tape_since_ms(least, now_ms)
    if len(found) == limit:  # there may be more: what is told ends with the oldest of these
        since_ms = max(since_ms, found[-1].event_time_ms)
    return {"as_of_ms": now_ms, "complete_since_ms": since_ms, "events": [event(one) for one in found]}


def event(one: Liquidation) -> Json:
    """A liquidation, as `events.Liquidation` has it."""
    return {name: getattr(one, name) for name in one.__struct_fields__}


_INCIDENT = {
    "incident_id", "rule", "rule_kind", "scope", "side", "window", "severity", "opened_ms", "closed_ms",
    "peak_usd", "peak_at_ms", "largest", "coverage",
}  # fmt: skip
_STEP = {"kind", "at_ms", "usd", "threshold", "value", "headline", "text", "held_back"}


def incident(one: Incident) -> Json:
    """An incident with what was said, and what became of each delivery; not what the chats answered."""
    record = one.model_dump(mode="json", include=_INCIDENT)
    record["steps"] = [
        {
            **step.model_dump(mode="json", include=_STEP),
            "deliveries": [{"target": target, "outcome": _outcome(step.attempts, target)} for target in step.targets],
        }
        for step in one.steps
    ]
    return record


def _outcome(attempts: Sequence[Any], target: str) -> str | None:
    outcomes = [attempt.outcome for attempt in attempts if attempt.target == target]
    return "accepted" if "accepted" in outcomes else outcomes[-1] if outcomes else None


def incidents(market: Market, state: str, limit: int) -> list[Json]:
    """Open ones first, then those that are over, the newest first."""
    chosen = [
        one for one in market.incidents.values() if state == "all" or (state == "open") == (one.closed_ms is None)
    ]
    chosen.sort(key=lambda one: (one.closed_ms is None, one.opened_ms, one.incident_id), reverse=True)
    return [incident(one) for one in chosen[:limit]]


def silence(one: Silence) -> Json:
    """A silence."""
    return one.model_dump(mode="json", exclude={"version"})


def largest(record: LargestRecord | None) -> Json | None:
    """The largest single order or fill."""
    return {name: getattr(record, name) for name in record.__struct_fields__} if record is not None else None


def _side(usd: int, count: int, record: LargestRecord | None, both: int) -> Json:
    share = round(usd / both, 6) if both else None
    return {"usd": usd_text(usd), "count": count, "share": share, "largest": largest(record)}


def _amounts(long: int, short: int) -> Mapping[str, str]:
    return {"long_usd": usd_text(long), "short_usd": usd_text(short)}


def _fits(rule: RuleSettings, window: str, scope: str) -> bool:
    if rule.kind != "level" or not rule.steps or window_name(rule.window) != window:
        return False
    if rule.scope.startswith("each "):
        return scope.startswith(f"{rule.scope.removeprefix('each ')}=") and "," not in scope
    return rule.scope == scope


def _completeness(market: Market, name: str) -> Completeness:
    known = market.venues.get(name)
    return known.completeness if known else market.completeness(name)


def _part(scope: str, dimension: str) -> str | None:
    prefix = f"{dimension}="
    return next((part.removeprefix(prefix) for part in scope.split(",") if part.startswith(prefix)), None)


def _seconds(market: Market, window: str) -> int:
    return dict(market.windows)[window]
