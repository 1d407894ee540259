"""What a running alerter knows of the past and of its feeds, as far as the events of files say it. Pure."""

from collections.abc import Collection, Iterable

from ..alerter.cascade import Cascade
from ..alerter.history import MINUTE_MS, History
from ..alerter.minutes import Row, asks_the_past
from ..alerter.tape import Tape
from ..rulesettings import RuleSettings
from ..wire import Liquidation


class Past:
    """What the bars and the single liquidations say in a running alerter, from the events of the files."""

    def __init__(self, rules: Iterable[RuleSettings], majors: Collection[str]) -> None:
        rules = list(rules)
        self._is_needed = any(asks_the_past(rule) for rule in rules)
        self.history = History(rules, majors)
        self.history.ready = True
        self._tape = Tape(rules)
        self._tape.begun = True
        self._minutes: dict[int, dict[tuple[str, str], list[int]]] = {}  # by venue and base: long, short
        self._settled = 0  # minute

    def cascade(self, rule: str) -> Cascade | None:
        """The detector of a rule."""
        return self._tape.cascades.get(rule)

    def hours(self, scope: str, span_ms: int, now_ms: int) -> range:
        """A file says nothing of what was watched: every hour since it begins is compared with."""
        return range(now_ms // (60 * MINUTE_MS))

    def whole_days(self, scope: str, days: int, now_ms: int) -> None:
        """Not known, and not told."""

    def stages(self) -> list[int]:
        """Where the cascades stand."""
        return [cascade.stage for cascade in self._tape.cascades.values()]

    def pass_time(self, now_ms: int) -> None:
        """The clock has moved to another second."""
        if not self._is_needed:
            return
        self._tape.tick(now_ms)
        if (minute := now_ms // MINUTE_MS) != self._settled:
            self._settled = minute
            for number in sorted(self._minutes):
                if number < minute - 1:
                    rows = self._minutes.pop(number).items()
                    self.history.add(number, (Row(*where, *usd) for where, usd in rows))
            self.history.settle(now_ms)

    def take(self, event: Liquidation, amount: int) -> None:
        """An event that was counted, of so many micro-dollars."""
        if self._is_needed:
            minute = self._minutes.setdefault(event.event_time_ms // MINUTE_MS, {})
            usd = minute.setdefault((event.venue, event.base), [0, 0])
            usd[event.side == "short"] += amount
            if event.price_kind == "fill":
                self._tape.fill(event.base, event.price, event.event_time_ms)
            self._tape.count(event.side, amount, event.event_time_ms)


class NoFeeds:
    """A file of liquidations does not say what was watched."""

    def unwatched_ms(self, scope: str, now_ms: int) -> int:
        return 0

    def watched(self, scope: str, span_ms: int, now_ms: int) -> float | None:
        return None

    def watched_mean(self, scope: str, span_ms: int, now_ms: int) -> float | None:
        return None

    def interrupted(self, scope: str, span_ms: int, now_ms: int) -> tuple[str, ...]:
        return ()
