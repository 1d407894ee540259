"""Liquidations one by one and prices, for the cascades: the last minutes in coarse steps, then as they come. Pure."""

import math
from collections.abc import Iterable
from typing import Literal

import msgspec

from ..rulesettings import RuleSettings
from ..wire import micros
from .cascade import LATE_MS, TIMES, Cascade, Knobs
from .history import MINUTE_MS, History

BACK_MS = 45 * MINUTE_MS  # an episode ends after half an hour, a high after a quarter
_STEP_MS = 5_000
_IDS = 200_000  # remembered twice so many: repetitions come soon
_FRESH_MS = 60_000  # a price of the prices topic goes before those of fills of its coin for so long
_INDEX = ("BTC", "ETH")


class _Event(msgspec.Struct, gc=False):
    event_id: str
    base: str
    side: Literal["long", "short"]
    price: str
    price_kind: str
    notional_usd: str
    event_time_ms: int


class _Price(msgspec.Struct, gc=False):
    base: str
    usd: str
    at_ms: int


_Prices = dict[tuple[int, str], tuple[int, float]]  # step, coin -> time, logarithm

_decode = msgspec.json.Decoder(_Event).decode
_decode_price = msgspec.json.Decoder(_Price).decode


class Tape:
    """The detectors of all cascade rules. Until `begin` it only collects."""

    def __init__(self, rules: Iterable[RuleSettings], speed: float = 1.0) -> None:
        self.cascades: dict[str, Cascade] = {
            rule.name: Cascade(rule.side, knobs(rule, speed)) for rule in rules if rule.kind == "cascade"
        }
        self.begun = False
        self._ahead_ms = int(LATE_MS * speed)
        self._by_side = {
            side: [one for one in self.cascades.values() if one.side == side] for side in ("long", "short")
        }
        self._steps: dict[int, list[int]] = {}  # step -> long, orders, short, orders
        self._fills: _Prices = {}
        self._marks: _Prices = {}  # of the prices topic
        self._logs: dict[str, float] = {}
        self._told_ms = dict.fromkeys(_INDEX, -_FRESH_MS)  # the newest of the prices topic, by coin
        self._now_ms = 0
        self._ids: set[bytes] = set()
        self._old_ids: set[bytes] = set()

    def take(self, value: bytes, now_ms: int) -> None:
        """A record of liquidations. Raises `msgspec.DecodeError` or `ValueError`."""
        event = _decode(value)
        if event.event_time_ms > now_ms + self._ahead_ms:
            return  # from the future: no window counts it either
        event_id = event.event_id.encode()
        if event_id in self._ids or event_id in self._old_ids:
            return
        self._ids.add(event_id)
        if len(self._ids) >= _IDS:
            self._old_ids, self._ids = self._ids, set()
        if event.base in _INDEX and event.price_kind == "fill":
            self.fill(event.base, event.price, event.event_time_ms)
        self.count(event.side, micros(event.notional_usd), event.event_time_ms)

    def fill(self, base: str, price: str, at_ms: int) -> None:
        """BTC or ETH was traded at that price."""
        if base in _INDEX and (not self.begun or at_ms - self._told_ms[base] > _FRESH_MS):
            self._price(base, price, at_ms, self._fills)

    def count(self, side: str, usd: int, at_ms: int) -> None:
        """A liquidation of so many micro-dollars."""
        if self.begun:
            for cascade in self._by_side[side]:
                cascade.liquidation(at_ms, usd)
        else:
            step = self._steps.setdefault(at_ms // _STEP_MS, [0, 0, 0, 0])
            place = 0 if side == "long" else 2
            step[place] += usd
            step[place + 1] += 1

    def take_price(self, value: bytes, now_ms: int) -> None:
        """A record of prices. Raises `msgspec.DecodeError` or `ValueError`."""
        price = _decode_price(value)
        if price.base in _INDEX and price.at_ms <= now_ms + self._ahead_ms:
            self._told_ms[price.base] = max(self._told_ms[price.base], price.at_ms)
            self._price(price.base, price.usd, price.at_ms, self._marks)

    def begin(self, history: History) -> None:
        """Plays what was collected, after the minutes before it, which say what is normal."""
        self.begun = True
        first = min(self._steps, default=None)
        for cascade in self.cascades.values():
            before = (1 << 40) if first is None else first * _STEP_MS // MINUTE_MS
            for minute, usd in history.minutes(cascade.side, before):
                cascade.learn(minute, usd)
        prices = self._collected()
        for step in sorted({*self._steps, *(at for at, _ in prices)}):
            for coin in _INDEX:
                if (step, coin) in prices:
                    at_ms, logarithm = prices[step, coin]
                    self._set(coin, logarithm, at_ms)
            sums = self._steps.get(step, (0, 0, 0, 0))
            for place, side in ((0, "long"), (2, "short")):
                for cascade in self._by_side[side]:
                    cascade.liquidation(step * _STEP_MS + _STEP_MS - 1, sums[place], sums[place + 1])
        self._steps.clear()
        self._fills.clear()
        self._marks.clear()

    def tick(self, now_ms: int) -> None:
        """Time has passed."""
        self._now_ms = max(self._now_ms, now_ms)
        if self.begun:
            for cascade in self.cascades.values():
                cascade.tick(now_ms)

    def _price(self, coin: str, usd: str, at_ms: int, collected: _Prices) -> None:
        value = float(usd)
        if value <= 0:
            return
        if not self.begun:
            key = (at_ms // _STEP_MS, coin)
            if key not in collected or collected[key][0] <= at_ms:
                collected[key] = (at_ms, math.log(value))
        elif self._now_ms - at_ms <= self._ahead_ms:  # an older one, after an outage of the log, is not the price now
            self._set(coin, math.log(value), at_ms)

    def _collected(self) -> _Prices:
        """Of each coin what the prices topic says, and fills where it says nothing: it keeps only the last minutes."""
        fresh = range(_FRESH_MS // _STEP_MS + 1)
        told = {(step + later, coin) for step, coin in self._marks for later in fresh}
        return {key: price for key, price in self._fills.items() if key not in told} | self._marks

    def _set(self, coin: str, logarithm: float, at_ms: int) -> None:
        self._logs[coin] = logarithm
        if len(self._logs) == len(_INDEX):
            index = sum(self._logs.values()) / len(_INDEX)
            for cascade in self.cascades.values():
                cascade.price(at_ms, index)


def knobs(rule: RuleSettings, speed: float = 1.0) -> Knobs:
    """The rule's settings as the detector takes them; `speed` is that of the clock."""
    first, second = (float(fall) / 100 for fall in rule.falls)
    times = float(rule.times[0]) if rule.times else TIMES
    return Knobs(times, (first, second), rule.legs, float(rule.normal), int(LATE_MS * speed))
