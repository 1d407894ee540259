"""`liqwatch replay`: recorded liquidations through the window and rules of the services, as fast as possible."""

import gzip
import re
import sys
import zlib
from codecs import BOM_UTF8
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any, Literal, TypeAlias

import msgspec

from .aggregator.window import Added, RollingTotals
from .alerter.rules import Memory, judge
from .events import SIDES, PriceKind, Side, plain
from .settings import AggregatorSettings, RuleSettings, window_name
from .wire import Liquidation, micros, usd_text

_SHOWN = 200  # characters of an error text
# Price, quantity, and a worth below a trillion.
_plain_numbers = re.compile(r"-?[0-9]+(\.[0-9]+)?,-?[0-9]+(\.[0-9]+)?,[0-9]{1,12}(\.[0-9]+)?").fullmatch
_Time: TypeAlias = Annotated[int, msgspec.Meta(ge=0, le=4_000_000_000_000)]


class _Line(Liquidation, gc=False, frozen=True, kw_only=True):
    """A Liquidation as strict as the contract: files come from anywhere."""

    side: Side
    price_kind: PriceKind
    event_time_ms: _Time
    received_time_ms: _Time
    timed_by: Literal["venue", "received"]
    source: Literal["stream", "gap-fill"]
    version: Literal[1] = 1
    unit: Literal["order", "fill"]


class _Short(_Line, gc=False, frozen=True, kw_only=True):
    """What the sums need; all else may be missing, and is then as here."""

    quote: str = ""
    price: str = "0"
    price_kind: PriceKind = "fill"
    quantity: str = "0"
    received_time_ms: _Time = 0
    timed_by: Literal["venue", "received"] = "venue"
    source: Literal["stream", "gap-fill"] = "stream"
    unit: Literal["order", "fill"] = "order"


_decode = msgspec.json.Decoder(_Line).decode
_decode_short = msgspec.json.Decoder(_Short).decode


@dataclass(slots=True)
class _Peak:
    """The highest total of one side and window."""

    name: str
    span: int
    usd: int = 0
    at_ms: int | None = None
    # What the total can be at most: without events it only falls. Within the second `exact` it is the total.
    most: int = 0
    exact: int = -1


def _see_peaks(window: RollingTotals, peaks: Sequence[_Peak], event: Liquidation, amount: int, clock: int) -> None:
    """Looks at the totals after an event of so many micro-dollars."""
    second, now = event.event_time_ms // 1000, clock // 1000
    for peak in peaks:
        if second > now - peak.span:
            peak.most += amount
            if peak.most > peak.usd:
                if peak.exact != now:
                    peak.exact = now
                    peak.most = window.usd(0, "all", event.side, peak.name)
                if peak.most > peak.usd:
                    peak.usd, peak.at_ms = peak.most, clock


class _Rules:
    """The rules on the past: the same memory and the same judgement as the alerter's."""

    def __init__(self, rules: Sequence[RuleSettings], window: RollingTotals) -> None:
        self.rules = rules
        self.window = window
        self.alerts: list[dict[str, Any]] = []
        self.memories: dict[tuple[int, str], Memory] = {}  # by rule and scope, where there is something to know
        self._firsts = [int(rule.thresholds[0] * 1_000_000) for rule in rules]
        self._windows = [window_name(rule.window) for rule in rules]
        self._spans = [int(rule.window.total_seconds()) for rule in rules]
        self._most: dict[tuple[int, str], int] = {}
        self._second = 0
        self._due: dict[tuple[int, str], int] = {}  # when the passing of time alone may make a rule speak
        self._soonest = 0
        self._exact: dict[tuple[int, str], int] = {}  # totals of this second of the clock: in it nothing expires

    def pass_time(self, now_ms: int) -> None:
        """Judges what waits for time to pass (holds, open incidents), once the clock has moved and before an event."""
        second = now_ms // 1000
        if second == self._second and now_ms < self._soonest:
            return
        if second != self._second:
            self._second = second
            self._exact.clear()
        for key in list(self.memories):
            self._judge(key, now_ms)
        self._soonest = min((at for at in self._due.values() if at > now_ms), default=now_ms + 1000)

    def look(self, event: Liquidation, amount: int, now_ms: int) -> None:
        """Judges what `event` of so many micro-dollars has changed."""
        second = event.event_time_ms // 1000
        for number, rule in enumerate(self.rules):
            scope = _scope_of(rule, event)
            if scope is None or rule.side not in ("both", event.side):
                continue
            key = (number, scope)
            if key in self._exact and second > self._second - self._spans[number]:
                self._exact[key] += amount
            # Without events a total only falls: what it was, and what came since, is the most it can be.
            most = self._most.get(key, 0) + amount
            if most >= self._firsts[number] or key in self.memories:
                most = self._judge(key, now_ms)
            self._most[key] = most

    def _total(self, key: tuple[int, str]) -> int:
        usd = self._exact.get(key)
        if usd is None:
            number, scope = key
            rule = self.rules[number]
            sides = SIDES if rule.side == "both" else (rule.side,)
            usd = sum(self.window.usd(0, scope, side, self._windows[number]) for side in sides)
            self._exact[key] = usd
        return usd

    def _judge(self, key: tuple[int, str], now_ms: int) -> int:
        number, scope = key
        rule = self.rules[number]
        usd = self._total(key)
        known = self.memories.get(key, _NOTHING_KNOWN)
        verdict, memory = judge(rule, usd, known, now_ms)
        if memory is not known:
            self._due.pop(key, None)
            self.memories.pop(key, None)
            if memory != _NOTHING_KNOWN:
                self.memories[key] = memory
                self._due[key] = _due_ms(rule, memory, now_ms)
                self._soonest = min(self._soonest, self._due[key])
        if verdict is not None:
            self.alerts.append(
                {
                    "rule": rule.name,
                    "scope": scope,
                    "kind": verdict.kind,
                    "at_ms": now_ms,
                    "usd": usd_text(verdict.usd),
                    "threshold": plain(verdict.threshold),
                }
            )
        return usd


_NOTHING_KNOWN = Memory()
_NEVER = 1 << 62


def _due_ms(rule: RuleSettings, memory: Memory, now_ms: int) -> int:
    """When the first hold or reminder ends."""
    due = [
        since + int(span.total_seconds() * 1000)
        for since, span in (
            (memory.above_since_ms, rule.hold),
            (memory.below_since_ms, rule.clear_hold),
            (memory.told_ms if memory.told is not None else None, rule.repeat),
        )
        if since is not None and span is not None
    ]
    return min((at for at in due if at > now_ms), default=_NEVER)


def run(
    paths: Iterable[Path], rules: Sequence[RuleSettings] = (), windows: Sequence[timedelta] | None = None
) -> dict[str, Any]:
    """Plays the files in the order given. A line that is no Liquidation is told on stderr and left out.

    A line is one if it has event_id, venue, symbol, base, side, notional_usd and event_time_ms, and nothing in it
    is malformed; what else the contract asks for may be missing (see `_Short`).

    The clock is the largest event time so far: neither `received_time_ms` nor the wall clock is read. What expires
    is judged when the clock moves, before the event that moved it is added.
    Raises `OSError` for a file that cannot be read.
    """
    spans = sorted(windows or AggregatorSettings().windows)
    names = [window_name(span) for span in spans]
    window = RollingTotals([(name, int(span.total_seconds())) for name, span in zip(names, spans, strict=True)])
    judged = _Rules(rules, window)
    seconds = [int(span.total_seconds()) for span in spans]
    peaks = {side: [_Peak(*both) for both in zip(names, seconds, strict=True)] for side in ("long", "short")}
    events = duplicates = late = clock = 0
    for event, raw in _events(paths):
        events += 1
        if event.event_time_ms > clock:
            clock = event.event_time_ms
            window.advance(clock)
            if rules:
                judged.pass_time(clock)
        added = window.add(event, 0, raw)
        if added is Added.COUNTED:
            amount = micros(event.notional_usd)
            _see_peaks(window, peaks[event.side], event, amount, clock)
            if rules:
                judged.look(event, amount, clock)
        elif added is Added.LATE:
            late += 1
        else:
            duplicates += 1
    return {
        "events": events,
        "duplicates": duplicates,
        "late": late,
        "windows": {name: _sides(window, name, peaks, at) for at, name in enumerate(names)},
        "largest": {name: _largest(window, name) for name in names},
        "alerts": judged.alerts,
    }


def _sides(
    window: RollingTotals, name: str, peaks: Mapping[str, Sequence[_Peak]], at: int
) -> dict[str, dict[str, Any]]:
    totals = window.totals(0, "all", name)
    return {
        side: {
            "usd": usd_text(part.usd),
            "count": part.events,
            "peak_usd": usd_text(peaks[side][at].usd),
            "peak_at_ms": peaks[side][at].at_ms,
        }
        for side, part in (("long", totals.long), ("short", totals.short))
    }


def _largest(window: RollingTotals, name: str) -> dict[str, Any] | None:
    """The larger of both sides' largest records; a tie goes to the smaller event_id."""
    found = [part.largest for part in window.totals(0, "all", name) if part.largest is not None]
    if not found:
        return None
    found.sort(key=lambda record: (-micros(record.notional_usd), record.event_id))
    return msgspec.structs.asdict(found[0])


def _scope_of(rule: RuleSettings, event: Liquidation) -> str | None:
    """The scope in which the rule looks at the event; None if it does not."""
    if rule.scope == "each base":
        return f"base={event.base}"
    if rule.scope == "each venue":
        return f"venue={event.venue}"
    scopes = ("all", f"venue={event.venue}", f"base={event.base}", f"venue={event.venue},base={event.base}")
    return rule.scope if rule.scope in scopes else None


def _events(paths: Iterable[Path]) -> Iterator[tuple[Liquidation, bytes | None]]:
    for path in paths:
        for number, line in _lines(path):
            try:
                # The window keeps the line of a large record as it is: only if nothing in it is left to defaults.
                event, raw = _decoded(line)
                if not _plain_numbers(f"{event.price},{event.quantity},{event.notional_usd}"):
                    raise ValueError("price, quantity and notional_usd have to be plain decimals")
            except (ValueError, RecursionError) as error:  # msgspec's errors are ValueErrors
                if line.strip():
                    print(f"{path}:{number}: not a Liquidation: {str(error)[:_SHOWN]}", file=sys.stderr)
                continue
            yield event, raw


def _decoded(line: bytes) -> tuple[Liquidation, bytes | None]:
    try:
        return _decode(line), line
    except msgspec.ValidationError:
        return _decode_short(line), None


def _lines(path: Path) -> Iterator[tuple[int, bytes]]:
    with path.open("rb") as plain_file:
        packed = plain_file.peek(2)[:2] == b"\x1f\x8b"
        lines = gzip.open(plain_file) if packed else plain_file
        try:
            yield 1, lines.readline().removeprefix(BOM_UTF8)
            yield from enumerate(lines, 2)
        except (EOFError, gzip.BadGzipFile, zlib.error) as error:
            raise OSError(5, f"not a whole gzip file ({error})", str(path)) from None


def human(result: dict[str, Any]) -> str:
    """The result for people."""
    lines = [f"{result['events']:,} events, {result['duplicates']:,} repeated, {result['late']:,} too late"]
    for name, sides in result["windows"].items():
        for side, part in sides.items():
            at_ms = part["peak_at_ms"]
            peak = "" if at_ms is None else f"; at most ${Decimal(part['peak_usd']):,.2f} at {_when(at_ms)}"
            lines.append(f"{name:>4} {side:<5} ${Decimal(part['usd']):>18,.2f} in {part['count']:,} records{peak}")
    for name, record in result["largest"].items():
        if record is not None:
            what = f"{record['venue']} {record['symbol']} {record['side']}"
            lines.append(f"{name:>4} largest ${Decimal(record['notional_usd']):,.2f} {what} ({record['event_id']})")
    for alert in result["alerts"]:
        what = f"{alert['rule']} [{alert['scope']}] {alert['kind'].replace('_', ' ')}"
        step = f"${Decimal(alert['usd']):,.0f} (step ${Decimal(alert['threshold']):,.0f})"
        lines.append(f"{_when(alert['at_ms'])} {what}: {step}")
    return "\n".join(lines)


def _when(at_ms: int) -> str:
    return f"{datetime.fromtimestamp(at_ms / 1000, UTC):%Y-%m-%d %H:%M:%S} UTC"
