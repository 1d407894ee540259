"""What a template sees of a step: plain values, and filters that write them as the built-in words do. Pure.

USD amounts are groups: `usd` is a number of whole dollars, cut and never rounded up; `words` is `$1.71B`.
Times are milliseconds, for the filters `at` and `clock`. A name is fit to be printed: letters, digits and `. _ : / -`.

    kind          fired | stepped_up | reminded | cleared
    rule, rule_kind, severity, scope, side, window     as in the settings; `span` is the window in words: 24 hours
    subject       longs | BTC longs | longs of major coins | positions
    place         the venue, where the scope is one; else empty
    usd           amount of the rule's side;   long, short, total: of the sides
                  long.share, short.share: percent of the total;  …share_words: 95.2 %
    threshold     .words: $1.7B, or the step in the rule's own unit;  .usd: a number, or none for kinds without USD
    at_least      whether the figures are floors
    orders        number of liquidation orders in the window
    coins, venues the largest of the rule's side, largest first: .name .usd .words
    largest       the largest order or fill, or none: .venue .symbol .side .unit .usd .words .at
    coverage      .word: complete | partial | unknown;  .words: complete | 97 % | unknown;  .share: percent, or none
                  .venues: .name .share .words .completeness;  .sampled: names that withhold orders;  .since: or none
    peak          .usd .words .at;   opened: when the incident was opened, or none
    now           as of when the figures are
    say           the sentences of the long form: headline, story (a list), sides, coins, venues, largest, peak,
                  coverage, as_of; empty where there is nothing to say

    at            {{ now | at }} 2026-01-30 04:43:10 UTC;
                  {{ now | at("Europe/Berlin") }} 2026-01-30 05:43:10 CET (UTC+1): the zone is always stated
    clock         {{ now | clock }} 04:43 UTC               {{ now | clock("Europe/Berlin") }} 05:43 CET (UTC+1)
    duration      {{ (now - opened) | duration }} 6 h 12 min
    money         {{ (long.usd + short.usd) | money }} $1.80B
    percent       {{ long.share | percent }} 95.2 %
"""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

from ..amounts import DOLLAR, money
from ..rulesettings import RuleSettings
from ..wire import micros
from .sandbox import Overdone
from .text import (
    Amount,
    Snapshot,
    Story,
    at_least,
    duration,
    exact,
    mean_share,
    name,
    percent,
    place,
    sentences,
    span_words,
    subject,
    title,
)

_UNITS = {"surge": "times the normal", "record": "days", "cascade": "stage"}


def values(rule: RuleSettings, snapshot: Snapshot, story: Story | None) -> dict[str, Any]:
    """Everything that the table above names."""
    total = snapshot.long + snapshot.short
    largest = snapshot.largest
    return {
        "kind": snapshot.kind,
        "rule": rule.name,
        "rule_kind": rule.kind,
        "severity": rule.severity,
        "scope": ",".join("=".join(map(name, part.split("=", 1))) for part in snapshot.scope.split(",")),
        "side": snapshot.side,
        "window": name(snapshot.window),
        "span": span_words(snapshot.window),
        "subject": subject(snapshot),
        "place": place(snapshot).removeprefix(" on "),
        "usd": _amount(snapshot.usd),
        "long": _side(snapshot.long, total),
        "short": _side(snapshot.short, total),
        "total": _amount(total),
        "threshold": _threshold(rule, snapshot.threshold),
        "at_least": at_least(snapshot),
        "orders": snapshot.count,
        "coins": _list(snapshot.coins, {}),
        "venues": _list(snapshot.venues, {row.name: title(snapshot, row.name) for row in snapshot.venues}),
        "largest": None if largest is None else {
            "venue": title(snapshot, largest.venue), "symbol": name(largest.symbol), "side": largest.side,
            "unit": largest.unit, "at": largest.event_time_ms, **_amount(micros(largest.notional_usd)),
        },
        "coverage": _coverage(snapshot),
        "peak": {**_amount(snapshot.peak), "at": snapshot.peak_at_ms},
        "opened": snapshot.opened_ms,
        "now": snapshot.now_ms,
        "say": {**(said := sentences(snapshot, story))._asdict(), "story": list(said.story)},
    }  # fmt: skip


def at(ms: int, zone: str = "UTC") -> str:
    """`2026-01-30 05:43:10 CET (UTC+1)`; the zone is always stated."""
    return _moment(ms, zone, "%Y-%m-%d %H:%M:%S")


def clock(ms: int, zone: str = "UTC") -> str:
    """`05:43 CET (UTC+1)`."""
    return _moment(ms, zone, "%H:%M")


FILTERS = {
    "at": at,
    "clock": clock,
    "duration": duration,
    "money": lambda usd: money(int(usd * DOLLAR)),
    "percent": lambda share: percent(share / 100),
}


def _moment(ms: int, zone: str, form: str) -> str:
    if not isinstance(ms, int):
        raise Overdone("there is no such time here: ask for it with {% if … %}")
    try:
        when = datetime.fromtimestamp(ms // 1000, UTC if zone == "UTC" else ZoneInfo(zone))
    except (KeyError, ValueError, OSError):
        raise Overdone(f"there is no time zone {zone!r}; write it as in Europe/Berlin") from None
    return f"{when.strftime(form)} {_zone(when)}"


def _zone(when: datetime) -> str:
    """`UTC`, `CET (UTC+1)`, `UTC+5:30`: letters alone may mean several zones."""
    minutes = int((when.utcoffset() or UTC.utcoffset(None)).total_seconds()) // 60
    letters = when.tzname() or ""
    if letters == "UTC":
        return letters
    hours, rest = divmod(abs(minutes), 60)
    offset = f"UTC{'-' if minutes < 0 else '+'}{hours}{f':{rest:02}' if rest else ''}"
    return f"{letters} ({offset})" if letters.isalpha() else offset


def _amount(usd: int) -> dict[str, Any]:
    return {"usd": usd // DOLLAR, "words": money(usd)}


def _side(usd: int, total: int) -> dict[str, Any]:
    share = usd / total if total else 0.0
    return {**_amount(usd), "share": share * 100, "share_words": percent(share)}


def _list(amounts: Sequence[Amount], titles: Mapping[str, str]) -> list[dict[str, Any]]:
    return [{"name": titles.get(one.name) or name(one.name), **_amount(one.usd)} for one in amounts]


def _threshold(rule: RuleSettings, step: Decimal) -> dict[str, Any]:
    if rule.kind in ("level", "order"):
        return {"usd": int(step), "words": exact(step)}
    number = format(step.normalize(), "f")
    if rule.kind == "feed":
        return {"usd": None, "words": f"{number} %" if rule.condition == "incomplete" else duration(int(step) * 1000)}
    unit = _UNITS[rule.kind]
    return {"usd": None, "words": f"{unit} {number}" if unit == "stage" else f"{number} {unit}"}


def _coverage(snapshot: Snapshot) -> dict[str, Any]:
    mean = mean_share(snapshot)
    word = "unknown" if mean is None else "partial" if mean < 0.9995 else "complete"
    return {
        "word": word,
        "words": percent(mean) if mean is not None and word == "partial" else word,
        "share": None if mean is None else mean * 100,
        "venues": [
            {
                "name": title(snapshot, row.venue), "share": row.share * 100, "words": percent(row.share),
                "completeness": row.completeness,
            }
            for row in snapshot.coverage
        ],
        "sampled": [title(snapshot, row.venue) for row in snapshot.coverage if row.completeness != "all"],
        "since": snapshot.watched_since_ms,
    }  # fmt: skip
