"""Seeded orders of a given shape: so much money by side in a stretch of time, spread over venues, coins and sizes."""

import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal

from ..events import LONG, SHORT, Side
from .dialects import standard
from .listings import Listing
from .orders import Order

MINUTE_MS = 60_000
HOUR_MS = 60 * MINUTE_MS
SPREAD = 1.7  # of the logarithm of sizes: a few large orders carry most of the money
SMALLEST_USD = 20.0
ROOM = 5.0  # a place with a fifth of the largest share may have orders as large as any


@dataclass(frozen=True, slots=True)
class Mix:
    """Shares of the money by venue and by coin (weights, any scale), and the largest order allowed."""

    venues: Mapping[str, float]
    coins: Mapping[str, float]
    largest_usd: float
    other_products: float = 0.12  # share of inverse, dated and USDC contracts, where a coin has any


@dataclass(frozen=True, slots=True)
class Phase:
    """A stretch of the scenario's time and what is closed by force in it."""

    from_ms: int
    to_ms: int
    long_usd: float
    short_usd: float
    orders: int
    price_from: float = 1.0  # of the reference price
    price_to: float = 1.0


@dataclass(slots=True)
class Maker:
    """Makes the orders of phases; the same seed makes the same orders."""

    mix: Mix
    seed: str
    listings: Sequence[Listing] = field(default_factory=standard)
    _random: random.Random = field(init=False)
    _by_place: dict[str, dict[str, list[Listing]]] = field(init=False)  # venue, coin
    _by_key: dict[tuple[str, str], Listing] = field(init=False)

    def __post_init__(self) -> None:
        self._random = random.Random(self.seed)
        self._by_place = {}
        self._by_key = {listing.key: listing for listing in reversed(self.listings)}  # the first of equal ones
        for listing in self.listings:
            if listing.quote.startswith("USD"):
                coin = listing.base.removeprefix("1000")
                self._by_place.setdefault(listing.venue, {}).setdefault(coin, []).append(listing)

    def orders(self, phase: Phase) -> Iterator[Order]:
        """The orders of `phase`, not sorted; their worth adds up to the phase's money but for rounding."""
        money: dict[Side, float] = {LONG: phase.long_usd, SHORT: phase.short_usd}
        both = sum(money.values())
        for side, usd in money.items():
            count = max(1, round(phase.orders * usd / both)) if usd > 0 else 0
            for size in self._sizes(usd, count):
                yield self._order(phase, side, size)

    def one(self, at_ms: int, symbol: tuple[str, str], side: Side, usd: float, price: float = 1.0) -> Order:
        """One order of a given worth; `price` in parts of the reference price."""
        listing = self._by_key[symbol]
        at = listing.round_price(listing.reference_price * Decimal(str(round(price, 6))))
        return Order(at_ms, listing.venue, listing.symbol, side, at, Decimal(round(usd)) / at)

    def _sizes(self, usd: float, count: int) -> list[float]:
        sizes = [self._random.lognormvariate(0.0, SPREAD) for _ in range(count)]
        for _ in range(8):  # clipping at the largest takes money away; scaling up gives it back
            scale = usd / sum(sizes)
            sizes = [min(size * scale, self.mix.largest_usd) for size in sizes]
        return [max(size, SMALLEST_USD) for size in sizes]

    def _order(self, phase: Phase, side: Side, usd: float) -> Order:
        at = self._random.random()
        listing = self._listing(usd)
        drift = phase.price_from + (phase.price_to - phase.price_from) * at
        price = drift * self._random.gauss(1.0, 0.002) * (0.997 if side == LONG else 1.003)
        at_ms = phase.from_ms + int(at * (phase.to_ms - phase.from_ms))
        return self.one(at_ms, listing.key, side, usd, price)

    def _listing(self, usd: float) -> Listing:
        places = self._by_place[self._pick(self.mix.venues, usd)]
        coin = self._pick({coin: weight for coin, weight in self.mix.coins.items() if coin in places}, usd)
        first, *others = places[coin]
        if others and self._random.random() < self.mix.other_products:
            return self._random.choice(others)
        return first

    def _pick(self, weights: Mapping[str, float], usd: float) -> str:
        """One of those that are large enough for an order of this size."""
        least = max(weights.values()) * usd / self.mix.largest_usd / ROOM
        fits = {name: weight for name, weight in weights.items() if weight >= least}
        return self._random.choices(list(fits), list(fits.values()))[0]
