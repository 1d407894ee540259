"""The totals that rules are judged by, kept up event by event; the window is asked for what else is told. Pure."""

from collections.abc import Callable, Collection, Iterable, Iterator

from ..aggregator.window import RollingTotals
from ..alerter.figures import added
from ..coins import coin_class
from ..events import LONG, SHORT, SIDES
from ..peaks import Rolling
from ..rulesettings import RuleSettings
from ..totals import Sum
from ..wire import largest_record

OF_TOTALS = ("level", "surge", "record")  # the kinds of rules that every event asks for a total


class Total:
    """What one rule asks of one scope: its window, of its side or of both."""

    __slots__ = ("_place", "_sides")

    def __init__(self, sides: tuple[Rolling, ...], place: int) -> None:
        self._sides, self._place = sides, place

    def usd(self, second: int) -> int:
        """Micro-dollars at that second of the clock."""
        usd = 0
        for rolling in self._sides:
            if rolling.now != second:
                rolling.move(second)
            usd += rolling.totals[self._place]
        return usd


class Figures:
    """`window` is the services' own with all that has come, at the clock."""

    def __init__(
        self, rules: Iterable[RuleSettings], window: Callable[[int], RollingTotals], majors: Collection[str]
    ) -> None:
        self.second = self._clock_ms = 0
        self._window = window
        self._majors = majors
        seconds = {rule.ladder.window: rule.ladder.span_ms // 1000 for rule in rules if rule.kind in OF_TOTALS}
        self._spans = tuple(seconds.values())
        self._places = {name: place for place, name in enumerate(seconds)}
        self._rolling: dict[str, tuple[Rolling, Rolling]] = {}  # by scope: long, short

    def pass_time(self, now_ms: int) -> None:
        """The clock has moved."""
        self._clock_ms, self.second = now_ms, now_ms // 1000

    def rolling(self, scope: str) -> tuple[Rolling, Rolling]:
        """Its long and short side in all windows. Made at the first event of the scope: it misses none."""
        known = self._rolling.get(scope)
        if known is None:
            known = self._rolling[scope] = Rolling(self._spans), Rolling(self._spans)
        return known

    def total(self, rule: RuleSettings, scope: str) -> Total:
        """What a rule of `OF_TOTALS` looks at."""
        both = self.rolling(scope)
        sides = both if rule.side == "both" else (both[SIDES.index(rule.side)],)
        return Total(sides, self._places[rule.ladder.window])

    def money(self, window: str, scope: str) -> Sum:
        """The micro-dollars of a total, and nothing else of it."""
        if scope.startswith("class=") and scope not in self._rolling:
            return added(self.money(window, part) for part in self._coins(window, scope))
        place, known = self._places.get(window), self._rolling.get(scope)
        if place is None or known is None:
            totals = self._window(self._clock_ms)
            return Sum(totals.usd(0, scope, LONG, window), totals.usd(0, scope, SHORT, window))
        long, short = known
        long.move(self.second)
        short.move(self.second)
        return Sum(long.totals[place], short.totals[place])

    def whole(self, window: str, scope: str) -> Sum:
        """A total with its number of records and the largest ones."""
        if scope.startswith("class="):
            return added(self.whole(window, part) for part in self._coins(window, scope))
        long, short = self._window(self._clock_ms).totals(0, scope, window)
        return Sum(
            long.usd, short.usd, long.events, short.events, largest_record(long.largest), largest_record(short.largest)
        )

    def scopes(self, window: str, prefix: str) -> list[str]:
        """All scopes of one dimension, such as `base=`."""
        found = self._window(self._clock_ms).scopes(0)
        return [scope for scope in found if scope.startswith(prefix) and "," not in scope]

    def _coins(self, window: str, scope: str) -> Iterator[str]:
        """Those of a class."""
        return (one for one in self.scopes(window, "base=") if coin_class(one[5:], self._majors) == scope[6:])
