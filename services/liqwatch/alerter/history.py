"""What the bars say of the past: what is normal, and when a total was last as high. Pure."""

from collections import deque
from collections.abc import Collection, Iterable, Iterator

from ..rulesettings import RuleSettings
from ..wire import decode_bar, micros
from .minutes import NORMAL_MINUTES, Minutes, Row, Sums, Wanted
from .normals import Normals
from .percentiles import HOUR_MINUTES, PAST_HOURS, Percentiles, Yardstick
from .records import Record

MINUTE_MS = 60_000
_SETTLED_MS = 30_000  # after its end a minute's bars are there
_SKEW = 10  # minutes that partitions may be apart while the past is read


class History:
    """Built for a set of rules; give it the bars of as many minutes as it `needs`."""

    def __init__(self, rules: Iterable[RuleSettings], majors: Collection[str], speed: float = 1.0) -> None:
        rules = list(rules)
        wanted = self._wanted = Wanted(rules, majors)
        self.needs = wanted.minutes
        self._settled_ms = int(_SETTLED_MS * speed)
        self.ready = False
        self.normals = Normals()
        self.market: deque[tuple[int, int, int]] = deque(maxlen=NORMAL_MINUTES)  # minute, long, short
        self._minutes = Minutes(wanted)
        self._latest: dict[int, int] = {}
        self._percentiles = Percentiles() if any(rule.is_relative for rule in rules) else None
        self._reach = max([rule.ladder.span_ms // MINUTE_MS for rule in rules if rule.is_relative], default=0)
        self._last = 0  # minute
        self._records = {
            (rule.scope, rule.side, rule.ladder.window): Record(rule.ladder.span_ms // MINUTE_MS)
            for rule in rules
            if rule.kind == "record"
        }

    def record(self, rule: RuleSettings) -> Record | None:
        """The past of the rule's total."""
        return self._records.get((rule.scope, rule.side, rule.ladder.window))

    def take(self, value: bytes, now_ms: int) -> None:
        """A record of the bars topic. Raises `msgspec.DecodeError` or `ValueError`."""
        bar = decode_bar(value)
        minute = bar.minute_ms // MINUTE_MS
        self._latest[bar.partition] = max(minute, self._latest.get(bar.partition, 0))
        rows = (Row(row.venue, row.base, micros(row.long_usd), micros(row.short_usd)) for row in bar.rows)
        lately = now_ms // MINUTE_MS - minute <= NORMAL_MINUTES
        if lately or self._records or self._percentiles is not None:
            self._minutes.add(minute, bar.partition, rows, lately)

    def add(self, minute: int, rows: Iterable[Row]) -> None:
        """A whole minute of one partition that has all."""
        self._minutes.add(minute, 0, rows, lately=True)

    def settle(self, now_ms: int, behind: Collection[int] = ()) -> None:
        """Counts the minutes that are over. `behind`: partitions whose past is still being read."""
        until = (now_ms - self._settled_ms) // MINUTE_MS
        if behind:
            until = min([until, *(self._latest.get(number, 0) - _SKEW for number in behind)])
        for minute, sums in self._minutes.until(until):
            self.pass_minute(minute, sums)
        self.ready = self.ready or not behind

    def pass_minute(self, minute: int, sums: Sums) -> None:
        """A whole minute, once and in order."""
        self.normals.minute(minute, {key: usd / 1_000_000 for key, usd in sums.items()})
        self.market.append((minute, sums.get(("all", "long"), 0), sums.get(("all", "short"), 0)))
        for (scope, side, _), record in self._records.items():
            sides = ("long", "short") if side == "both" else (side,)
            record.minute(minute, sum(sums.get((scope, one), 0) for one in sides))
        if self._percentiles is not None:
            wanted = self._wanted
            self._percentiles.minute(minute, {key: usd for key, usd in sums.items() if wanted.is_relative(key[0])})
            if minute // 1440 != self._last // 1440:
                self._percentiles.forget(minute - PAST_HOURS * HOUR_MINUTES - self._reach - HOUR_MINUTES)
            self._last = minute

    def known_hours(self, rule: RuleSettings, now_ms: int, watched: Collection[int] | None) -> list[int]:
        """The hours of the last 30 days in which the rule's totals are known. `watched`: those that were; None: all."""
        if self._percentiles is None or not self.ready:
            return []
        return self._percentiles.hours(rule.ladder.span_ms // MINUTE_MS, now_ms // MINUTE_MS, watched)

    def yardstick(
        self, rule: RuleSettings, scope: str, now_ms: int, watched: Collection[int] | None
    ) -> Yardstick | None:
        """What is usual for the rule's total at this hour of the week; None while too little is known."""
        if self._percentiles is None or not self.ready:
            return None
        span = rule.ladder.span_ms // MINUTE_MS
        return self._percentiles.yardstick((scope, rule.side), span, now_ms // MINUTE_MS, watched)

    def minutes(self, side: str, before: int) -> Iterator[tuple[int, float]]:
        """USD of the market's minutes of one side before a minute, oldest first."""
        for minute, long, short in self.market:
            if minute < before:
                yield minute, (long if side == "long" else short) / 1_000_000
