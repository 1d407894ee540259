"""The figures that rules are judged by: sums over the partitions, what changed, how fresh and how complete they are."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import timedelta

from ..coins import MAJORS, coin_class
from ..coverage import CoverageBook, Span, subtract
from ..events import Completeness, PartitionEvidence, VenueCoverage
from ..settings import RuleSettings, window_name
from ..topics import TOTALS
from ..totals import STALE_AFTER_MS, Sum, TotalsBook, larger
from ..wire import Heartbeat, LargestRecord, decode_coverage, decode_totals
from .incidents import View
from .text import Amount

TOP = 5
MOST_EVIDENCE = 300  # rows of a class of coins: a step with more goes without
_BLIND_MS = 60_000  # a venue nobody watched for so long is not watched now
_MAY_MISS = 0.1
Pair = tuple[str, str]  # window, scope


class Figures:
    """The latest totals and coverage. `speed` is that of the clock; `venues` the enabled ones: name -> title."""

    def __init__(
        self, keep: timedelta, speed: float, venues: Mapping[str, str], majors: Collection[str] = MAJORS
    ) -> None:
        self.venues = venues
        self.majors = majors
        self.began_ms = 0  # when somebody began to look: what was before says nothing of feeds
        self._speed = speed
        self._totals = TotalsBook(TOTALS.partitions)
        self._coverage = CoverageBook(keep_ms=int(2 * keep.total_seconds() * 1000))
        self._sums: dict[Pair, Sum] = {}
        self._generations: dict[int, int] = {}
        self._touched: set[Pair] = set()

    def take_totals(self, value: bytes) -> None:
        """A record of the totals topic. Raises `msgspec.DecodeError`."""
        message = decode_totals(value)
        if not isinstance(message, Heartbeat):
            if self._totals.apply(message):
                self._forget((message.window, message.scope))
                if "," not in message.scope:
                    self._totals.usd(message.window, message.scope)  # asked for soon; now its figures are at hand
            return
        if message.caught_up and message.generation > self._generations.get(message.partition, -1):
            # What the former owner of the partition had said is gone: every sum may have changed.
            self._generations[message.partition] = message.generation
            self._touched.update(self._totals.pairs())
            self._sums.clear()
        self._totals.apply(message)

    def take_tombstone(self, key: bytes) -> None:
        """A tombstone of the totals topic. Raises `ValueError`."""
        pair = self._totals.bury(key)
        if pair is not None:
            self._forget(pair)

    def _forget(self, pair: Pair) -> None:
        self._sums.pop(pair, None)
        self._touched.add(pair)

    def take_coverage(self, value: bytes) -> None:
        """A record of the coverage topic. Raises `msgspec.DecodeError`."""
        self._coverage.apply(decode_coverage(value))

    def touched(self) -> set[Pair]:
        """What may have changed since the last call."""
        touched, self._touched = self._touched, set()
        return touched

    def sum(self, window: str, scope: str) -> Sum:
        """All partitions added up; of a class of coins, all its coins."""
        known = self._sums.get((window, scope))
        if known is None:
            if scope.startswith("class="):
                return added(self.sum(window, part) for part in self._parts(window, scope))
            known = self._sums[window, scope] = self._totals.sum(window, scope)
        return known

    def usd(self, window: str, scope: str) -> tuple[int, int]:
        """Long and short of a sum, in micro-dollars: most rules ask for nothing else, and it costs less."""
        if scope.startswith("class="):
            parts = [self._totals.usd(window, part) for part in self._parts(window, scope)]
            return sum(long for long, _ in parts), sum(short for _, short in parts)
        return self._totals.usd(window, scope)

    def most(self, window: str, scope: str) -> tuple[int, int]:
        """The largest single long and short of a sum, in micro-dollars."""
        if scope.startswith("class="):
            parts = [self._totals.most(window, part) for part in self._parts(window, scope)]
            return max((long for long, _ in parts), default=0), max((short for _, short in parts), default=0)
        return self._totals.most(window, scope)

    def scopes(self, window: str, prefix: str) -> list[str]:
        """Known scopes of one dimension: `venue=` or `base=`."""
        return list(self._totals.scopes(window, prefix))

    def unwatched_ms(self, scope: str, now_ms: int) -> int:
        """How long nobody has watched; of several venues the shortest time. At the start it begins with the start."""
        ends = [spans[-1][1] for venue in self._venues_of(scope) if (spans := self._coverage.watched(venue))]
        return int(max(0, now_ms - max([self.began_ms, *ends])) / self._speed)

    def watched(self, scope: str, span_ms: int, now_ms: int) -> float | None:
        """Watched share of that time, or of what has passed since watching began; None if it never did."""
        shares = []
        for venue in self._venues_of(scope):
            spans = self._coverage.watched(venue)
            if spans and (start := max(now_ms - span_ms, spans[0][0])) < now_ms:
                shares.append(self._coverage.share(venue, start, now_ms))
        return min(shares, default=None)

    def watched_mean(self, scope: str, span_ms: int, now_ms: int) -> float | None:
        """The same on the average of the venues."""
        shares = [
            self._coverage.share(venue, start, now_ms)
            for venue in self._venues_of(scope)
            if (spans := self._coverage.watched(venue)) and (start := max(now_ms - span_ms, spans[0][0])) < now_ms
        ]
        return sum(shares) / len(shares) if shares else None

    def interrupted(self, scope: str, span_ms: int, now_ms: int) -> list[str]:
        """Venues of the scope whose stream was not heard for a tenth of that time or more, though it was before: what
        they bring now may be of long ago. What the last minute brought is not on record yet."""
        recent = now_ms - int(_BLIND_MS * self._speed)
        if span_ms < _BLIND_MS * self._speed:
            return []  # the record is too coarse for a clock as quick as this
        found = []
        for venue in self._venues_of(scope):
            live = self._coverage.live(venue)
            inside = sum(max(0, min(end, recent) - max(start, recent - span_ms)) for start, end in live)
            if live and inside < span_ms * (1 - _MAY_MISS):
                found.append(venue)
        return found

    def unwatched(self, scope: str, from_ms: int, to_ms: int) -> list[Span]:
        """When nobody watched any venue of the scope, oldest first."""
        watched = [span for venue in self._venues_of(scope) for span in self._coverage.watched(venue)]
        return subtract([(from_ms, to_ms)], watched)

    def known_venues(self) -> list[str]:
        """Those that should be watched; where nobody said which, those that coverage speaks of."""
        return list(self.venues) or [row.venue for row in self._coverage.shares(0, 1)]

    def stale(self, now_ms: int) -> list[int]:
        """Partitions whose totals are too old to be judged by."""
        return self._totals.stale(now_ms, STALE_AFTER_MS * self._speed)

    def forget(self, now_ms: int) -> None:
        """Lets go of coverage that no window asks for any more."""
        self._coverage.forget(now_ms)

    def blind(self, rule: RuleSettings, scope: str, opened_ms: int, now_ms: int) -> list[str]:
        """Venues of the scope without which nobody can say that the total has fallen since the incident opened.

        Somebody watched them within the window or since it opened, or should have, and nobody watches them now, or
        more than a tenth of the window or of the incident, whichever is shorter, was missed. What the last minute
        brought is not on record yet. A total that falls because its feed is gone has not fallen.
        """
        recent = now_ms - int(_BLIND_MS * self._speed)
        span = int(rule.window.total_seconds() * 1000)
        now = {row.venue: row.share for row in self._shares(scope, recent, now_ms)}
        dead = [venue for venue, share in now.items() if share == 0]
        if dead and len(dead) == len(now):
            return dead
        # What was watched only before the window has left it, and the total has fallen by that.
        counted = {row.venue for row in self._shares(scope, min(opened_ms, now_ms) - span, now_ms) if row.share > 0}
        start = max(now_ms - span, opened_ms)
        seen = self._shares(scope, start, recent) if recent > start else ()
        missed = [row.venue for row in seen if row.share < 1 - _MAY_MISS]
        return [venue for venue in now if venue in counted and (venue in dead or venue in missed)]

    def view(self, rule: RuleSettings, scope: str, now_ms: int) -> View:
        """Everything that a step tells and that can be checked later."""
        window = window_name(rule.window)
        start = now_ms - int(rule.window.total_seconds() * 1000)
        coverage = self._shares(scope, start, now_ms)
        begun = [spans[0][0] for row in coverage if (spans := self._coverage.watched(row.venue))]
        since = min(begun, default=None)
        return View(
            now_ms=now_ms,
            total=self.sum(window, scope),
            evidence=self._evidence(window, scope),
            coins=() if "base=" in scope else self._top(rule, window, scope, "base="),
            venues=() if "venue=" in scope or "class=" in scope else self._top(rule, window, scope, "venue="),
            coverage=coverage,
            by_kind=self._by_kind(rule, window, scope, coverage),
            watched_since_ms=since if since is not None and since > start + 1000 else None,
            titles=self.venues,
        )

    def _by_kind(
        self, rule: RuleSettings, window: str, scope: str, coverage: Sequence[VenueCoverage]
    ) -> dict[Completeness, int]:
        completeness = {row.venue: row.completeness for row in coverage}
        found: dict[Completeness, int] = {}
        for part in self._parts(window, scope) if scope.startswith("class=") else [scope]:
            for kind, (long, short) in self._totals.by_completeness(window, part, completeness).items():
                usd = long if rule.side == "long" else short if rule.side == "short" else long + short
                found[kind] = found.get(kind, 0) + usd
        return found

    def _parts(self, window: str, scope: str) -> list[str]:
        """The coins of a class that have a total."""
        wanted, majors = scope.removeprefix("class="), frozenset(self.majors)
        found = self._totals.scopes(window, "base=")
        return [part for part in found if coin_class(part[5:], majors) == wanted]

    def _evidence(self, window: str, scope: str) -> tuple[PartitionEvidence, ...]:
        if not scope.startswith("class="):
            return self._totals.evidence(window, scope)
        rows = tuple(
            row.model_copy(update={"scope": part})
            for part in self._parts(window, scope)
            for row in self._totals.evidence(window, part)
        )
        return rows if len(rows) <= MOST_EVIDENCE else ()

    def _venues_of(self, scope: str) -> list[str]:
        only = _venue_in(scope)
        return [only] if only is not None else self.known_venues()

    def _top(self, rule: RuleSettings, window: str, scope: str, prefix: str) -> Sequence[Amount]:
        amounts = []
        is_class = scope.startswith("class=")
        for part in self._parts(window, scope) if is_class else self._totals.scopes(window, prefix):
            usd = self.sum(window, part if is_class else _joined(scope, part)).side(rule.side)
            if usd > 0:
                amounts.append(Amount(part.removeprefix(prefix), usd))
        return sorted(amounts, key=lambda amount: (-amount.usd, amount.name))[:TOP]

    def _shares(self, scope: str, from_ms: int, to_ms: int) -> tuple[VenueCoverage, ...]:
        only = _venue_in(scope)
        shares = {row.venue: row for row in self._coverage.shares(from_ms, to_ms)}
        for venue in self.venues:
            if venue not in shares:
                shares[venue] = VenueCoverage(venue=venue, completeness="unproven", share=0.0)
        return tuple(
            row
            for venue, row in sorted(shares.items())
            if (only is None or venue == only) and (not self.venues or venue in self.venues or row.share > 0)
        )


def added(sums: Iterable[Sum]) -> Sum:
    """Several totals as one."""
    long = short = long_count = short_count = 0
    largest_long: LargestRecord | None = None
    largest_short: LargestRecord | None = None
    for one in sums:
        long += one.long
        short += one.short
        long_count += one.long_count
        short_count += one.short_count
        largest_long = larger(largest_long, one.largest_long)
        largest_short = larger(largest_short, one.largest_short)
    return Sum(long, short, long_count, short_count, largest_long, largest_short)


def _venue_in(scope: str) -> str | None:
    return next((part[6:] for part in scope.split(",") if part.startswith("venue=")), None)


def _joined(scope: str, part: str) -> str:
    """`all` and `base=BTC` -> `base=BTC`; `base=BTC` and `venue=okx` -> `venue=okx,base=BTC`."""
    if scope == "all":
        return part
    return f"{part},{scope}" if part.startswith("venue=") else f"{scope},{part}"
