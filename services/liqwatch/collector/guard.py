"""Holds back what cannot be: a price far off the venue's own, an order too large, a contract of a new size. Pure.

A real crash is let through: a price is judged by the median of the symbol's latest seconds, which follows a fall
within seconds, and a level that stays is taken after a few seconds in any case: what was held back near it meanwhile
is released then. What is absurd at that level too stays held back.
"""

from collections import deque
from collections.abc import Collection
from dataclasses import dataclass, field
from statistics import median
from typing import NamedTuple

from ..events import Reason
from ..wire import Liquidation

_RECENT_MS = 600_000  # older prices say nothing
_LATEST = 5  # seconds with an event, whose median is the price of the symbol
_LEAST = 3  # fewer say nothing
_KEPT = 120  # of the seconds with an event
_SECOND_MS = 1000
_AGREE = 5  # different seconds at a new level …
_NEAR = 2.0  # … so near to each other: it is one
_MOST_SYMBOLS = 20_000
_MOST_HELD = 5_000  # events of all symbols that may be released; more stay held back


class Usual(NamedTuple):
    """What passes at a glance: texts are compared, for making a number of a price costs more than all else.

    Of two prices with as many digits before the point, the greater is the greater text.
    """

    until_ms: int  # then the price is looked at, and taken in
    low: str
    high: str
    point: int  # its place; 0 where the venue writes these prices without one
    length: int  # of prices without a point


@dataclass(slots=True)
class Band:
    """One symbol's recent prices, one a second, and what they allow."""

    low: float = 0.0
    high: float = float("inf")
    next_ms: int = 0  # until then nothing is taken in
    prices: deque[tuple[int, float]] = field(default_factory=lambda: deque(maxlen=_KEPT))
    # What was held back: of a second and level one price; and the events, to be released if the level stays.
    outside: deque[tuple[int, float]] = field(default_factory=lambda: deque(maxlen=_KEPT))
    held: deque[tuple[int, float, Liquidation]] = field(default_factory=deque)


@dataclass(slots=True)
class Guard:
    """One venue's. `usual` is read by the hot path, which asks `judge` only of what is not, or is due."""

    largest_usd: float
    factor: float
    doubted: Collection[str]  # symbols whose contract has just changed its size
    bands: dict[str, Band] = field(default_factory=dict)
    usual: dict[str, Usual] = field(default_factory=dict)
    digits: int = 0  # before the point: whoever has fewer is not larger than the largest
    _held: int = 0  # events, over all bands
    _released: list[Liquidation] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.digits = len(f"{self.largest_usd:.0f}")

    def judge(self, event: Liquidation, price: float, at_ms: int) -> tuple[Reason, str] | None:
        """Why the event is held back; None lets it through, and takes its price in."""
        symbol = event.symbol
        if symbol in self.doubted:
            return Reason.CONTRACT_CHANGED, f"{symbol}: its contract has just changed its size in the venue's list"
        if float(event.notional_usd) > self.largest_usd:
            return Reason.IMPLAUSIBLE_SIZE, f"{symbol}: an order worth {event.notional_usd} USD"
        band = self.bands.get(symbol)
        if band is None:
            if len(self.bands) >= _MOST_SYMBOLS:
                self.bands.clear()
                self.usual.clear()
                self._held = 0
            band = self.bands[symbol] = Band()
        self._forget(band, at_ms)
        if not band.low < price < band.high:
            middle = self._middle(band)
            if not self._new_level(band, price, at_ms):
                if self._held < _MOST_HELD:
                    self._held += 1
                    band.held.append((at_ms, price, event))
                return (
                    Reason.IMPLAUSIBLE_PRICE,
                    f"{symbol}: {event.price}, where the venue's latest are near {middle:.10g}",
                )
            band.prices.clear()
            band.prices.extend(seen for seen in band.outside if _is_near(seen[1], price))
            band.outside.clear()
            self._let_go(band, price)
            self._allow(band)
        if at_ms >= band.next_ms:
            band.next_ms = at_ms + _SECOND_MS
            band.prices.append((at_ms, price))
            unknown = not band.low
            self._allow(band)
            if unknown and band.low and band.held:  # the former level was forgotten before this one was sure
                self._let_go(band, self._middle(band))
            self._pass(event, band)
        return None

    def release(self) -> list[Liquidation]:
        """What was held back and is found to be right, in order; to be asked for after `judge`. Each is given once."""
        released = self._released
        if released:
            self._released = []
        return released

    def fits(self, event: Liquidation) -> tuple[Reason, str] | None:
        """The same for an event of the past, whose price the present ones do not judge."""
        if event.symbol in self.doubted or float(event.notional_usd) > self.largest_usd:
            return self.judge(event, 0.0, 0)
        return None

    def _let_go(self, band: Band, level: float) -> None:
        self._released += [held for _, price, held in band.held if _is_near(price, level)]
        self._held -= len(band.held)
        band.held.clear()

    def _forget(self, band: Band, at_ms: int) -> None:
        """Drops what is too old to judge by."""
        oldest = at_ms - _RECENT_MS
        while band.outside and band.outside[0][0] < oldest:
            band.outside.popleft()
        while band.held and band.held[0][0] < oldest:
            band.held.popleft()
            self._held -= 1
        if band.prices and band.prices[0][0] < oldest:
            while band.prices and band.prices[0][0] < oldest:
                band.prices.popleft()
            self._allow(band)

    def _allow(self, band: Band) -> None:
        if len(band.prices) < _LEAST:
            band.low, band.high = 0.0, float("inf")
            return
        middle = self._middle(band)
        band.low, band.high = middle / self.factor, middle * self.factor

    def _pass(self, event: Liquidation, band: Band) -> None:
        """Says what passes at a glance until the next price is taken in."""
        before, point, _ = event.price.partition(".")
        digits = len(before)
        least, most = 10.0 ** (digits - 1) if digits > 1 else 0.0, 10.0**digits  # of prices with so many digits
        if band.high <= least or band.low >= most:  # the price that was taken in moved the middle away from itself
            self.usual.pop(event.symbol, None)
            return
        low = f"{max(band.low, least):.12f}"
        high = f"{band.high:.12f}" if band.high < most else ":"  # which comes after every digit
        self.usual[event.symbol] = Usual(band.next_ms, low, high, digits if point else 0, digits)

    def _middle(self, band: Band) -> float:
        return median([band.prices[-place][1] for place in range(1, min(_LATEST, len(band.prices)) + 1)])

    def _new_level(self, band: Band, price: float, at_ms: int) -> bool:
        """True once enough different seconds agree on another level."""
        near = {ms // _SECOND_MS for ms, other in band.outside if _is_near(other, price)}
        second = at_ms // _SECOND_MS
        if second not in near:  # a burst must not push the earlier seconds out
            near.add(second)
            band.outside.append((at_ms, price))
        return len(near) >= _AGREE


def _is_near(other: float, price: float) -> bool:
    return price / _NEAR < other < price * _NEAR
