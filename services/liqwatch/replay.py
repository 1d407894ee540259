"""`liqwatch replay`: recorded liquidations through the window and rules of the services, as fast as possible."""

import gzip
import re
import sys
import zlib
from codecs import BOM_UTF8
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from operator import itemgetter
from pathlib import Path
from typing import Annotated, Any, Literal, TypeAlias

import msgspec

from .aggregator.window import Added, RollingTotals
from .coins import MAJORS
from .events import SIDES, PriceKind, Side
from .peaks import Peaks
from .replaying.judging import RulesOnThePast
from .settings import AggregatorSettings, RuleSettings, window_name
from .wire import UNREADABLE, Liquidation, decode_liquidation, encode, micros, usd_text

_SHOWN = 200  # characters of an error text
_AT_ONCE = 100_000  # events that the window is given together: as lines, some 40 MB
_PART = 3_600  # seconds of which ids are forgotten together
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


class _Verdicts:
    """What the window would say of each event at once: `RollingTotals.add`, as far as it depends on the clock."""

    def __init__(self, longest: int) -> None:
        self._longest = longest  # seconds
        self._known: dict[str, int] = {}  # event ids, each with the first second in which it may come again
        self._until: dict[int, list[str]] = {}  # those of so many seconds
        self._part = 0

    def of(self, event: Liquidation, now: int) -> Added:
        """With the clock at the second `now`, which never goes back and is never before the event."""
        second = event.event_time_ms // 1000
        if second <= now - self._longest:
            return Added.LATE
        event_id = event.event_id
        if self._known.get(event_id, 0) > now:
            return Added.DUPLICATE
        lasts = 2 * self._longest if event.timed_by == "received" else self._longest
        until = self._known[event_id] = second + lasts
        kept = self._until.get(until // _PART)
        if kept is None:
            kept = self._until[until // _PART] = []
        kept.append(event_id)
        if now // _PART > self._part:
            self._part = now // _PART
            self._forget(now)
        return Added.COUNTED

    def _forget(self, now: int) -> None:
        for part in [part for part in self._until if part < self._part]:
            for event_id in self._until.pop(part):
                if self._known.get(event_id, now) < now:  # else it came again, or is forgotten already
                    del self._known[event_id]


class _Window:
    """The services' window, given what was counted by the thousand and in the order of time.

    An event that comes late costs it much, and of thousands that are sorted few still are. Its answers are the same.
    """

    def __init__(self, windows: Sequence[tuple[str, int]]) -> None:
        self._totals = RollingTotals(windows)
        self._waiting: list[tuple[int, bytes]] = []

    def add(self, event: Liquidation, raw: bytes | None, clock_ms: int) -> None:
        """An event that was counted."""
        self._waiting.append((event.event_time_ms, encode(event) if raw is None else raw))
        if len(self._waiting) >= _AT_ONCE:
            self.at(clock_ms)

    def at(self, clock_ms: int) -> RollingTotals:
        """The window with everything that has come."""
        self._totals.advance(clock_ms)
        self._waiting.sort(key=itemgetter(0))
        for _, raw in self._waiting:
            added = self._totals.add(decode_liquidation(raw), 0, raw)
            # LATE: it has left meanwhile.
            assert added in (Added.COUNTED, Added.LATE), raw  # noqa: S101 - else `_Verdicts` is wrong
        self._waiting.clear()
        return self._totals


def run(
    paths: Iterable[Path],
    rules: Sequence[RuleSettings] = (),
    windows: Sequence[timedelta] | None = None,
    *,
    majors: Collection[str] = MAJORS,
    timeline: list[str] | None = None,
) -> dict[str, Any]:
    """Plays the files in the order given. A line that is no Liquidation is told on stderr and left out.

    A line is one if it has event_id, venue, symbol, base, side, notional_usd and event_time_ms, and nothing in it
    is malformed; what else the contract asks for may be missing (see `_Short`).

    The clock is the largest event time so far: neither `received_time_ms` nor the wall clock is read. What expires
    is judged when the clock moves, before the event that moved it is added. `timeline` gets a line for each alert.
    Raises `OSError` for a file that cannot be read.
    """
    spans = sorted(windows or AggregatorSettings().windows)
    names = [window_name(span) for span in spans]
    seconds = [int(span.total_seconds()) for span in spans]
    window, verdicts = _Window(list(zip(names, seconds, strict=True))), _Verdicts(seconds[-1])
    judged = RulesOnThePast(rules, window.at, majors)
    _tell_unjudged(rules)
    peaks: dict[str, Peaks] = {side: Peaks(seconds) for side in SIDES}
    events = duplicates = late = clock = 0
    for event, raw in _events(paths):
        events += 1
        if event.event_time_ms > clock:
            clock = event.event_time_ms
            if rules:
                judged.pass_time(clock)
        added = verdicts.of(event, clock // 1000)
        if added is Added.COUNTED:
            amount = micros(event.notional_usd)
            window.add(event, raw, clock)
            peaks[event.side].count(event.event_time_ms // 1000, amount, clock)
            if rules:
                judged.look(event, amount, clock)
        elif added is Added.LATE:
            late += 1
        else:
            duplicates += 1
    if timeline is not None:
        timeline += [*judged.incidents.timeline, *judged.incidents.summary()]
    totals = window.at(clock)
    return {
        "events": events,
        "duplicates": duplicates,
        "late": late,
        "windows": {name: _sides(totals, name, peaks, at) for at, name in enumerate(names)},
        "largest": {name: _largest(totals, name) for name in names},
        "alerts": judged.incidents.alerts,
    }


def _tell_unjudged(rules: Iterable[RuleSettings]) -> None:
    for rule in rules:
        if rule.kind == "feed":
            print(f"rule {rule.name}: not judged, liquidations do not say what was watched", file=sys.stderr)


def _sides(window: RollingTotals, name: str, peaks: Mapping[str, Peaks], at: int) -> dict[str, dict[str, Any]]:
    totals = window.totals(0, "all", name)
    return {
        side: {
            "usd": usd_text(part.usd),
            "count": part.events,
            "peak_usd": usd_text(peaks[side].usd[at]),
            "peak_at_ms": peaks[side].at_ms[at],
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


def _events(paths: Iterable[Path]) -> Iterator[tuple[Liquidation, bytes | None]]:
    for path in paths:
        for number, line in _lines(path):
            try:
                # The window keeps the line of a large record as it is: only if nothing in it is left to defaults.
                event, raw = _decoded(line)
                if not _plain_numbers(f"{event.price},{event.quantity},{event.notional_usd}"):
                    raise ValueError("price, quantity and notional_usd have to be plain decimals")
            except UNREADABLE as error:
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


def human(result: dict[str, Any], timeline: Sequence[str] = ()) -> str:
    """The result for people: totals, then what would have been said when, and how many messages that is."""
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
    lines += timeline
    return "\n".join(lines)


def _when(at_ms: int) -> str:
    return f"{datetime.fromtimestamp(at_ms / 1000, UTC):%Y-%m-%d %H:%M:%S} UTC"
