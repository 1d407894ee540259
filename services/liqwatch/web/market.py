"""What the topics say, kept as the page and the API need it. Told the time, and pure."""

from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from heapq import nlargest
from operator import itemgetter
from statistics import median

from ..coverage import CoverageBook, Gap, Span, merge
from ..estimate import Estimate, Estimator
from ..eventlog import Record
from ..events import Completeness, Coverage, Incident, Silence
from ..topics import TOTALS
from ..totals import STALE_AFTER_MS, Sum, TotalsBook
from ..venues.base import Venue
from ..wire import Heartbeat, Liquidation, decode_bar, decode_liquidation, decode_totals, micros
from .bars import BarBook
from .tape import FUTURE_MS, LARGE, Tape

HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS
TEACHERS = ("bybit", "gate")  # complete and busy: the estimate learns from them
CLOSED_KEPT = 200  # incidents that are over
MOST_NOTED = 500  # liquidations that wait to be told
_LAGS = 50  # last events of a venue whose lateness is averaged
_WATCH_FRESH_MS = 30_000  # real time: an open interval is written every few seconds


@dataclass(slots=True)
class Changes:
    """What has changed since it was last asked."""

    windows: set[str] = field(default_factory=set)  # the total of all
    coins: set[str] = field(default_factory=set)  # windows
    events: list[tuple[int, Liquidation]] = field(default_factory=list)  # the large ones, with what they are worth
    incidents: set[str] = field(default_factory=set)
    bars: bool = False
    silences: bool = False

    def note(self, worth: int, event: Liquidation) -> None:
        """One more on the tape, of so many micro-dollars. Small ones are not told; of too many, the largest are."""
        if worth >= LARGE:
            self.events.append((worth, event))
            if len(self.events) >= 2 * MOST_NOTED:
                self.events = largest(self.events)


def largest(noted: Sequence[tuple[int, Liquidation]]) -> list[tuple[int, Liquidation]]:
    """As many as may wait, the largest first."""
    return nlargest(MOST_NOTED, noted, key=itemgetter(0))


@dataclass(slots=True)
class Watch:
    """What is known of a venue's feed now."""

    state: str  # watched | not_watched | never_seen
    since_ms: int | None = None
    detail: str = ""
    collectors: int = 0


class Market:
    """The latest of everything. `speed` is the clock's; `venues` are those that are collected."""

    def __init__(
        self,
        windows: Sequence[tuple[str, int]],
        venues: Mapping[str, Venue],
        speed: float = 1.0,
        *,
        estimate: bool = False,
    ) -> None:
        self.windows = tuple(windows)
        self.venues = venues
        self.speed = speed
        self.longest_ms = max(seconds for _, seconds in windows) * 1000
        self.totals = TotalsBook(TOTALS.partitions)
        self.coverage_ms = max(self.longest_ms, DAY_MS) + HOUR_MS  # so far back it is told who watched
        self.coverage = CoverageBook(keep_ms=self.coverage_ms)
        self.bars = BarBook(2 * self.longest_ms + HOUR_MS, self.longest_ms + HOUR_MS)
        self.tape = Tape()
        self.live_since_ms = 0  # liquidations were read from here on …
        self.large_since_ms = 0  # … and the larger ones, for the tape, from here on
        thinned = {name: venue.thinned for name, venue in venues.items() if venue.thinned}
        self._estimator = Estimator(dict(windows), thinned, TEACHERS) if estimate else None
        self.incidents: dict[str, Incident] = {}
        self.silences: dict[str, Silence] = {}
        self.changes = Changes()
        self.last_event_ms: dict[str, int] = {}
        self._lags: dict[str, deque[int]] = {}
        self._watches: dict[str, dict[str, Coverage]] = {}  # venue -> collector -> newest interval
        self._sums: dict[tuple[str, str], Sum] = {}
        self._generations: dict[int, int] = {}
        self._spans: dict[str, list[Span]] = {}

    def take_totals(self, record: Record) -> None:
        """A record of the totals topic."""
        if record.value is None:
            pair = self.totals.bury(record.key) if record.key.count(b",") >= 2 else None
            if pair is not None:
                self._changed(*pair)
            return
        message = decode_totals(record.value)
        taken = self.totals.apply(message)
        if not isinstance(message, Heartbeat):
            if taken:
                self._changed(message.window, message.scope)
        elif message.caught_up and message.generation > self._generations.get(message.partition, -1):
            # What the partition's former owner had said is gone: every sum may have changed.
            self._generations[message.partition] = message.generation
            self._sums.clear()
            names = {name for name, _ in self.windows}
            self.changes.windows |= names
            self.changes.coins |= names

    def _changed(self, window: str, scope: str) -> None:
        self._sums.pop((window, scope), None)
        if scope == "all":
            self.changes.windows.add(window)
        elif scope.startswith("base="):
            self.changes.coins.add(window)

    def take_bar(self, record: Record) -> None:
        """A record of the bars topic."""
        if record.value is not None and self.bars.apply(decode_bar(record.value)):
            self.changes.bars = True

    def take_liquidation(self, record: Record) -> None:
        """A record of the liquidations topic. What is too far ahead of its arrival is shown nowhere."""
        if record.value is None:
            return
        event = decode_liquidation(record.value)
        if event.event_time_ms - event.received_time_ms > FUTURE_MS:
            return
        if self._estimator is not None:
            usd = micros(event.notional_usd)
            self._estimator.add(event.event_id, event.venue, event.symbol, event.side, event.event_time_ms, usd)
        worth = self.tape.add(event)
        if worth is None:
            return
        self.changes.note(worth, event)
        self.heard(event.venue, event.event_time_ms)
        if event.timed_by == "venue" and event.source == "stream":
            lags = self._lags.setdefault(event.venue, deque(maxlen=_LAGS))
            lags.append(event.received_time_ms - event.event_time_ms)

    def heard(self, venue: str, event_time_ms: int) -> None:
        """The venue had a liquidation."""
        self.last_event_ms[venue] = max(event_time_ms, self.last_event_ms.get(venue, 0))

    def tape_since_ms(self, least: int, now_ms: int) -> int:
        """From when on the tape has every one worth at least `least` micro-dollars that the log has."""
        read_ms = self.large_since_ms if least >= LARGE else self.live_since_ms
        return max(read_ms, self.tape.complete_since_ms(least), now_ms - self.longest_ms)

    def take_coverage(self, record: Record) -> None:
        """A record of the coverage topic."""
        if record.value is None:
            return
        message = Coverage.model_validate_json(record.value)
        self.coverage.apply(message)
        self._spans.pop(message.venue, None)
        if message.kind == "watched":
            mine = self._watches.setdefault(message.venue, {})
            known = mine.get(message.collector)
            if known is None or message.from_ms >= known.from_ms:
                mine[message.collector] = message

    def take_incident(self, record: Record) -> None:
        """A record of the alerts topic; the claims of the alerter that acts are tombstones of keys of their own."""
        if record.value is None:
            if self.incidents.pop(record.key.decode(), None) is not None:
                self.changes.incidents.add(record.key.decode())
            return
        incident = Incident.model_validate_json(record.value)
        self.incidents[incident.incident_id] = incident
        self.changes.incidents.add(incident.incident_id)
        closed = [one for one in self.incidents.values() if one.closed_ms is not None]
        if len(closed) > CLOSED_KEPT:
            oldest = min(closed, key=lambda one: (one.closed_ms or 0, one.incident_id))
            del self.incidents[oldest.incident_id]

    def take_silence(self, record: Record) -> None:
        """A record of the silences topic."""
        self.changes.silences = True
        if record.value is None:
            self.silences.pop(record.key.decode(), None)
        else:
            silence = Silence.model_validate_json(record.value)
            self.silences[silence.silence_id] = silence

    def sum(self, window: str, scope: str) -> Sum:
        """All partitions added up."""
        known = self._sums.get((window, scope))
        if known is None:
            known = self._sums[window, scope] = self.totals.sum(window, scope)
        return known

    def estimate(self, window: str, side: str, now_ms: int) -> Estimate | None:
        """What thinned feeds probably withheld, of all venues and coins; None where it is not asked for."""
        if self._estimator is None:
            return None
        self._estimator.advance(now_ms)
        return self._estimator.estimate(window, side, self.sum(window, "all").side(side))

    def parts(self, window: str, dimension: str, most: int) -> list[tuple[str, Sum]]:
        """The largest coins (`base`) or venues of a window."""
        prefix = f"{dimension}="
        sums = ((scope.removeprefix(prefix), self.sum(window, scope)) for scope in self.totals.scopes(window, prefix))
        return sorted(sums, key=lambda part: (-part[1].side("both"), part[0]))[:most]

    def stale(self, now_ms: int) -> list[int]:
        """Partitions whose totals are too old to be believed."""
        return self.totals.stale(now_ms, STALE_AFTER_MS * self.speed)

    def lag_ms(self, venue: str) -> float | None:
        """How late its events come, by its own clock: the median of the last ones, in real time."""
        lags = self._lags.get(venue)
        return median(lags) / self.speed if lags else None

    def watch(self, venue: str, now_ms: int) -> Watch:
        """Is somebody watching the venue now, and since when, or why not."""
        mine = self._watches.get(venue, {}).values()
        if not mine:
            return Watch("never_seen")
        live = [one for one in mine if self._is_fresh(one, now_ms)]
        if live:
            return Watch("watched", min(one.from_ms for one in live), "", len(live))
        last = max(mine, key=lambda one: one.to_ms)
        detail = last.ended_by or ("nothing is heard from its collector" if last.open else "the feed ended")
        return Watch("not_watched", last.to_ms, detail)

    def spans(self, venue: str, now_ms: int) -> list[Span]:
        """When the venue was watched. An interval that is still open reaches to now, though written a moment ago."""
        spans = self._spans.get(venue)
        if spans is None:
            spans = self._spans[venue] = self.coverage.watched(venue)
        live = [one for one in self._watches.get(venue, {}).values() if self._is_fresh(one, now_ms)]
        return merge([*spans, *((one.to_ms, now_ms) for one in live)]) if live else spans

    def gaps(self, venue: str, from_ms: int, now_ms: int) -> list[Gap]:
        """When nobody watched the venue, oldest first."""
        told_ms = self.coverage.told_until(venue, now_ms, int(_WATCH_FRESH_MS * self.speed))
        return self.coverage.gaps(venue, from_ms, told_ms) if told_ms > from_ms else []

    def known_venues(self) -> list[str]:
        """Those that are collected here or by anybody, by name."""
        return sorted({*self.venues, *self._watches})

    def completeness(self, venue: str) -> Completeness:
        """What its collectors say of it."""
        mine = self._watches.get(venue, {}).values()
        return max(mine, key=lambda one: one.to_ms).completeness if mine else "unproven"

    def forget(self, now_ms: int) -> None:
        """Lets go of what is too old to be asked for."""
        self.coverage.forget(now_ms)
        self._spans.clear()
        self.bars.forget(now_ms)
        self.tape.forget(now_ms - self.longest_ms)
        for silence in [one for one in self.silences.values() if one.until_ms < now_ms - self.longest_ms]:
            del self.silences[silence.silence_id]

    def _is_fresh(self, one: Coverage, now_ms: int) -> bool:
        return one.open and now_ms - one.to_ms < _WATCH_FRESH_MS * self.speed
