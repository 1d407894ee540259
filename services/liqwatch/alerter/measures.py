"""The figure that each kind of rule is judged by, in millionths of the unit of the rule's steps. Pure."""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Protocol

import msgspec

from ..relative import PAST_DAYS
from ..rulesettings import MICRO, RuleSettings
from ..totals import Sum
from ..wire import micros
from .cascade import Cascade
from .history import MINUTE_MS, History
from .percentiles import Yardstick
from .stories import Facts, normal_of

_DAY_MS = 86_400_000
_MOST_TIMES = 1_000_000
_EASIER = 9, 10  # an open incident stays open down to this share of what opened it
_KEPT_ANSWERS = 256
_LITTLE = 1  # judged as nothing, while there is a total
_WATCHED = 0.99
_LEAST_WATCHED = 0.04  # an hour of a day
WIDE_USD = 500_000 * MICRO  # of one coin in 5 minutes: it is in the cascade


class Measured(msgspec.Struct, frozen=True, gc=False):
    """`value` is judged; `usd` (micro-dollars) is told. `yardstick`: what relative steps are times of, now."""

    value: int
    usd: int
    yardstick: Yardstick | None = None


class Feeds(Protocol):
    """What coverage says of the venues of a scope."""

    def unwatched_ms(self, scope: str, now_ms: int) -> int:
        """How long nobody has watched; of several venues the shortest time."""
        ...

    def watched(self, scope: str, span_ms: int, now_ms: int) -> float | None:
        """Watched share of that time, or of what has passed since watching began; None if it never did. Of several
        venues the least."""
        ...

    def watched_mean(self, scope: str, span_ms: int, now_ms: int) -> float | None:
        """The same on the average of the venues."""
        ...

    def interrupted(self, scope: str, span_ms: int, now_ms: int) -> Sequence[str]:
        """Venues of the scope that were not heard live for all that time: what they bring may be of before."""
        ...


class Quick(Protocol):
    """Micro-dollars of the long and the short side of a total."""

    def usd(self, window: str, scope: str) -> tuple[int, int]: ...

    def most(self, window: str, scope: str) -> tuple[int, int]:
        """Of the largest single record of each."""
        ...


class Past(Protocol):
    """What is known of the past: None while it is still being read."""

    @property
    def history(self) -> History | None: ...

    def cascade(self, rule: str) -> Cascade | None: ...

    def hours(self, scope: str, span_ms: int, now_ms: int) -> Collection[int]:
        """Hours (numbers since the epoch) that were watched well enough to compare a total over `span_ms` with."""
        ...

    def whole_days(self, scope: str, days: int, now_ms: int) -> int | None:
        """How many of the last so many days are known to be watched in full; None where that is not known."""
        ...


class Measures:
    """Asks the totals, the past and the feeds. None: it cannot be said now, and nothing is judged.

    `quick`: who knows the parts of a total that most rules ask for, where that costs less than all of it.
    """

    def __init__(
        self,
        total: Callable[[str, str], Sum],
        scopes: Callable[[str, str], Iterable[str]],
        feeds: Feeds,
        past: Past,
        quick: Quick | None = None,
    ) -> None:
        self._total = total
        self._usd = quick.usd if quick is not None else lambda window, scope: total(window, scope)[:2]
        self._most = quick.most if quick is not None else self._largest
        self._scopes = scopes
        self._feeds = feeds
        self._past = past
        self._gaps: dict[tuple[str, int, int], Sequence[str]] = {}
        self._means: dict[tuple[str, int], float | None] = {}
        self._kinds: Mapping[str, Callable[[RuleSettings, str, bool, int], Measured | None]] = {
            "level": self._level,
            "order": self._order,
            "surge": self._surge,
            "record": self._record,
            "cascade": self._cascade,
            "feed": self._feed,
        }

    def take(self, rule: RuleSettings, scope: str, is_open: bool, now_ms: int) -> Measured | None:
        """The figure now. With an incident open, conditions beside the ladder are a tenth easier."""
        return self._kinds[rule.kind](rule, scope, is_open, now_ms)

    def facts(self, rule: RuleSettings, scope: str, usd: int, now_ms: int) -> Facts:
        """What the words of a step need to know beside the totals."""
        match rule.kind:
            case "surge":
                left_out = self._interrupted(rule, scope, now_ms)
                counted = usd - self._brought_by(left_out, rule, scope, usd)
                times = self.times_normal(rule, scope, counted, now_ms)
                watched = self._watched_mean(scope, now_ms)
                return Facts(times=times, normal=normal_of(times, counted), watched=watched, left_out=tuple(left_out))
            case "record":
                return self._record_facts(rule, scope, usd, now_ms)
            case "cascade":
                return self._cascade_facts(rule)
            case "feed":
                watched = self._feeds.watched(scope, rule.ladder.span_ms, now_ms)
                return Facts(unwatched_ms=self._feeds.unwatched_ms(scope, now_ms), watched=watched)
            case _:
                return Facts()

    def _record_facts(self, rule: RuleSettings, scope: str, usd: int, now_ms: int) -> Facts:
        last, began = self.last_as_high(rule, usd, now_ms) or (None, None)
        since = began if last is None else last
        days = rule.days[0] if since is None else -(-(now_ms - since * MINUTE_MS) // _DAY_MS)
        days = min(max(days, 1), PAST_DAYS)
        return Facts(
            since_ms=None if last is None else last * MINUTE_MS,
            began_ms=None if began is None else began * MINUTE_MS,
            days=days,
            whole_days=self._past.whole_days(scope, days, now_ms),
        )

    def _cascade_facts(self, rule: RuleSettings) -> Facts:
        cascade = self._past.cascade(rule.name)
        if cascade is None:
            return Facts()
        window = rule.ladder.window
        sums = ((scope[5:], self._total(window, scope).side(rule.side)) for scope in self._scopes(window, "base="))
        coins = sorted((-usd, coin) for coin, usd in sums if usd >= WIDE_USD and coin not in ("BTC", "ETH"))
        return Facts(
            times=cascade.times_normal,
            normal=int(cascade.normal * 300) * MICRO,
            episode=cascade.episode or cascade.last,
            fall=cascade.fall(),
            coins=tuple(coin for _, coin in coins),
        )

    def _level(self, rule: RuleSettings, scope: str, is_open: bool, now_ms: int) -> Measured | None:
        long, short = self._usd(rule.ladder.window, scope)
        side = rule.side
        usd = long if side == "long" else short if side == "short" else long + short
        if rule.is_relative:
            return self._relative(rule, scope, usd, is_open, now_ms)
        if rule.share is None or usd < rule.ladder.clear:
            return Measured(usd, usd)
        easier, whole = _EASIER if is_open else (1, 1)
        enough = usd * 100 * whole >= rule.share * (long + short) * easier
        return Measured(usd if enough else min(usd, _LITTLE), usd)

    def _side(self, rule: RuleSettings, scope: str) -> int:
        """Micro-dollars of the rule's side."""
        long, short = self._usd(rule.ladder.window, scope)
        side = rule.side
        return long if side == "long" else short if side == "short" else long + short

    def _relative(self, rule: RuleSettings, scope: str, usd: int, is_open: bool, now_ms: int) -> Measured | None:
        if usd < rule.ladder.first and not is_open:
            return Measured(usd, usd)  # nearly always: the past need not be asked
        yardstick = self.yardstick(rule, scope, now_ms)
        return Measured(usd, usd, yardstick) if yardstick is not None or is_open else None

    def yardstick(self, rule: RuleSettings, scope: str, now_ms: int) -> Yardstick | None:
        """What is usual for the total at this hour of the week; None while too little of the past is known."""
        history = self._past.history
        if history is None:
            return None
        return history.yardstick(rule, scope, now_ms, self._past.hours(scope, rule.ladder.span_ms, now_ms))

    def known_days(self, rule: RuleSettings, now_ms: int) -> int:
        """Of the last 30, how many a rule with relative steps can compare with."""
        history = self._past.history
        if history is None:
            return 0
        scope = "all" if rule.each else rule.scope
        return len(history.known_hours(rule, now_ms, self._past.hours(scope, rule.ladder.span_ms, now_ms))) // 24

    def _order(self, rule: RuleSettings, scope: str, is_open: bool, now_ms: int) -> Measured:
        ladder = rule.ladder
        if not is_open and (usd := sum(self._usd(ladder.window, scope))) < ladder.first:
            return Measured(min(usd, _LITTLE), usd)  # nor is any order as large
        long, short = self._most(ladder.window, scope)
        side = rule.side
        usd = long if side == "long" else short if side == "short" else max(long, short)
        return Measured(usd, usd)

    def _largest(self, window: str, scope: str) -> tuple[int, int]:
        total = self._total(window, scope)
        long, short = (
            0 if record is None else micros(record.notional_usd) for record in (total.largest_long, total.largest_short)
        )
        return long, short

    def _surge(self, rule: RuleSettings, scope: str, is_open: bool, now_ms: int) -> Measured | None:
        usd = counted = self._side(rule, scope)
        is_enough = _reaches(usd, rule, is_open)
        if not is_enough:
            return Measured(min(usd, _LITTLE), usd)
        if interrupted := self._interrupted(rule, scope, now_ms):
            # The end of a gap brings much at once, and is no surge. While one is open it belongs to it, but is no step.
            counted -= self._brought_by(interrupted, rule, scope, usd)
            is_enough = _reaches(counted, rule, is_open)
            if not is_enough and not is_open:
                return Measured(min(usd, _LITTLE), usd)
        times = self.times_normal(rule, scope, counted, now_ms)
        if times is None:
            return None
        value = int(times * MICRO) if is_enough else 0
        if is_open and counted < usd and value < rule.ladder.clear:
            whole = self.times_normal(rule, scope, usd, now_ms) or times
            value = max(value, min(int(whole * MICRO), rule.ladder.clear))  # it clears when all of it has fallen
        return Measured(value, usd)

    def _interrupted(self, rule: RuleSettings, scope: str, now_ms: int) -> Sequence[str]:
        """Of all coins the same: asked once a tick."""
        key = (scope if "venue=" in scope else "", rule.ladder.span_ms, now_ms)
        known = self._gaps.get(key)
        if known is None:
            if len(self._gaps) >= _KEPT_ANSWERS:
                self._gaps.clear()
            known = self._gaps[key] = self._feeds.interrupted(scope, rule.ladder.span_ms, now_ms)
        return known

    def _watched_mean(self, scope: str, now_ms: int) -> float | None:
        key = (scope if "venue=" in scope else "", now_ms)
        if key not in self._means:
            if len(self._means) >= _KEPT_ANSWERS:
                self._means.clear()
            self._means[key] = self._feeds.watched_mean(scope, _DAY_MS, now_ms)
        return self._means[key]

    def _brought_by(self, venues: Iterable[str], rule: RuleSettings, scope: str, usd: int) -> int:
        """What of a total is from these venues; of a class of coins, at most."""
        parts = (
            scope if scope.startswith("venue=") else f"venue={venue}" + (f",{scope}" if "base=" in scope else "")
            for venue in venues
        )
        return min(usd, sum(self._total(rule.ladder.window, part).side(rule.side) for part in parts))

    def times_normal(self, rule: RuleSettings, scope: str, usd: int, now_ms: int) -> float | None:
        """A total against what its window normally brings; None while that is not known. What was not watched of the
        last day brought nothing, and makes the normal no smaller."""
        history = self._past.history
        normal = history.normals.per_second(scope, rule.side) if history is not None and history.ready else None
        if normal is None:
            return None
        watched = self._watched_mean(scope, now_ms)
        if watched is not None:
            normal /= max(watched, _LEAST_WATCHED)
        return min(usd / MICRO / max(normal * rule.ladder.span_ms / 1000, 1e-6), _MOST_TIMES)

    def _record(self, rule: RuleSettings, scope: str, is_open: bool, now_ms: int) -> Measured | None:
        usd = self._side(rule, scope)
        if not _reaches(usd, rule, is_open):
            return Measured(0, usd)
        known = self.last_as_high(rule, usd * _EASIER[1] // _EASIER[0] if is_open else usd, now_ms)
        if known is None:
            return None
        last, began = known
        since = began if last is None else last
        return Measured(max(0, now_ms - since * MINUTE_MS) * MICRO // _DAY_MS, usd)

    def last_as_high(self, rule: RuleSettings, usd: int, now_ms: int) -> tuple[int | None, int] | None:
        """As `Record.last_as_high`; None while the past is being read."""
        history = self._past.history
        record = history.record(rule) if history is not None and history.ready else None
        return None if record is None else record.last_as_high(usd, now_ms // MINUTE_MS)

    def _cascade(self, rule: RuleSettings, scope: str, is_open: bool, now_ms: int) -> Measured | None:
        cascade = self._past.cascade(rule.name)
        if cascade is None:
            return None
        episode = cascade.episode or cascade.last
        return Measured(cascade.stage * MICRO, episode.usd if episode is not None else 0)

    def _feed(self, rule: RuleSettings, scope: str, is_open: bool, now_ms: int) -> Measured | None:
        if rule.condition == "down":
            return Measured(self._feeds.unwatched_ms(scope, now_ms) * 1000, 0)
        span = rule.ladder.span_ms
        share = self._feeds.watched(scope, span, now_ms)
        if share is None:
            return None
        if rule.condition == "incomplete":
            return Measured(int((1 - share) * 100 * MICRO), 0)
        if share < _WATCHED:
            return None  # not silent: unheard
        total = self._total(rule.ladder.window, scope)
        return Measured(0 if total.long_count or total.short_count else rule.ladder.first, 0)


def _reaches(usd: int, rule: RuleSettings, is_open: bool) -> bool:
    easier, whole = _EASIER if is_open else (1, 1)
    return usd * whole >= rule.ladder.floor * easier
