"""What the stream carries: everything at once for who comes new, then the parts that have changed. Pure."""

from collections.abc import Callable, Sequence

from ..settings import RuleSettings
from ..wire import Liquidation
from . import answers
from .answers import Json
from .market import Changes, Market, largest
from .tape import LARGE

_TAPE_FIRST = 200
_TAPE_AT_ONCE = 100
_CLOSED_FIRST = 20


class Updates:
    """Takes what the market noted as changed, and says it. Parts are whole: to apply one twice changes nothing."""

    def __init__(self, market: Market, rules: Callable[[], Sequence[RuleSettings]]) -> None:
        self._market, self._rules = market, rules
        self._coins: set[str] = set()  # windows whose coins changed and have not been told
        self._events: list[tuple[int, Liquidation]] = []  # those that the last update had no room for

    def snapshot(self, now_ms: int) -> Json:
        """Everything that the page shows, but for the bars, which it asks for."""
        market = self._market
        names = [name for name, _ in market.windows]
        tape = market.tape.latest(LARGE, _TAPE_FIRST)
        closed = answers.incidents(market, "closed", _CLOSED_FIRST)
        return {
            **self._clock(now_ms),
            "windows": names,
            "speed": market.speed,
            "totals": [self._totals(name, now_ms) for name in names],
            "coins": [answers.parts(market, name, "base") for name in names],
            "venues": self._venues(now_ms),
            "events": [answers.event(one) for one in tape],
            "incidents": [*answers.incidents(market, "open", 200), *closed],
            "silences": self.silences(now_ms),
        }

    def update(self, now_ms: int, *, slow: bool) -> Json | None:
        """What has changed since the last update; None if nothing has. Coins and venues only where `slow`."""
        market = self._market
        changes, market.changes = market.changes, Changes()
        self._coins |= changes.coins
        update: Json = {}
        names = [name for name, _ in market.windows]
        if told := [name for name in names if slow or name in changes.windows]:
            update["totals"] = [self._totals(name, now_ms) for name in told]
        if waiting := largest([*self._events, *changes.events]):
            self._events = waiting[_TAPE_AT_ONCE:]
            update["events"] = [answers.event(event) for _, event in waiting[:_TAPE_AT_ONCE]]
        if changes.incidents:
            known = [market.incidents[one] for one in sorted(changes.incidents) if one in market.incidents]
            update["incidents"] = [answers.incident(one) for one in known]
            update["gone"] = sorted(changes.incidents - market.incidents.keys())
        if changes.silences:
            update["silences"] = self.silences(now_ms)
        if changes.bars:
            update["bars_ms"] = market.bars.last_ms()
        if slow:
            coins, self._coins = self._coins, set()
            if coins:
                update["coins"] = [answers.parts(market, name, "base") for name in names if name in coins]
            update["venues"] = self._venues(now_ms)
        return {**self._clock(now_ms), **update} if update else None

    def skip(self) -> None:
        """What has changed is told to nobody: who comes new is given everything."""
        self._market.changes = Changes()
        self._coins.clear()
        self._events = []

    def idle(self, now_ms: int) -> Json:
        """Nothing has changed, and we are here."""
        return self._clock(now_ms)

    def silences(self, now_ms: int) -> list[Json]:
        """Those that have not ended, the one that ends first first."""
        ahead = [one for one in self._market.silences.values() if one.until_ms > now_ms]
        return [answers.silence(one) for one in sorted(ahead, key=lambda one: (one.until_ms, one.silence_id))]

    def _clock(self, now_ms: int) -> Json:
        market = self._market
        return {"now_ms": now_ms, "as_of_ms": market.totals.as_of_ms(), "stale": bool(market.stale(now_ms))}

    def _totals(self, window: str, now_ms: int) -> Json:
        return answers.totals(self._market, self._rules(), window, "all", now_ms)

    def _venues(self, now_ms: int) -> list[Json]:
        return [answers.venue(self._market, name, now_ms) for name in self._market.known_venues()]
