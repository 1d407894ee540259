"""What the simulator plays: orders in neutral words, and what became of one on a venue's wire."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import ROUND_HALF_EVEN, Context, Decimal
from typing import Any, NamedTuple

from ..events import Side
from .listings import Listing

EXACT = Context(prec=60)  # wide enough that no product of wire fields is ever rounded


class Order(NamedTuple):
    """A position that a venue closes by force. `quantity` is in base coins; the wire rounds it to contracts."""

    at_ms: int  # after the start of the scenario
    venue: str
    symbol: str
    side: Side  # of the position
    price: Decimal
    quantity: Decimal


@dataclass(frozen=True, slots=True)
class Entry:
    """An order as it stands on the wire: rounded to the tick and to whole steps of contracts."""

    listing: Listing
    side: Side
    price: Decimal
    contracts: Decimal
    event_ms: int
    number: int = 0  # of no other entry of the simulator: a venue that numbers its trades makes its ids of it
    order: Mapping[str, Any] | None = None  # the venue's own object, where it was recorded and not made

    def notional(self, contracts: Decimal | None = None) -> Decimal:
        """Worth in the quote currency, exact."""
        worth = EXACT.multiply(self.contracts if contracts is None else contracts, self.listing.contract)
        return worth if self.listing.inverse else EXACT.multiply(worth, self.price)

    def base(self) -> Decimal:
        """Base coins; a quotient for inverse contracts."""
        worth = EXACT.multiply(self.contracts, self.listing.contract)
        return EXACT.divide(worth, self.price) if self.listing.inverse else worth


def entry(listing: Listing, order: Order, event_ms: int, number: int = 0) -> Entry:
    """`order` on the wire of the venue that lists it."""
    price = listing.round_price(order.price)
    return Entry(listing, order.side, price, listing.contracts(price, order.quantity), event_ms, number)


def micro_dollars(usd: Decimal) -> int:
    """Integer micro-dollars, rounded half-even."""
    return int(EXACT.scaleb(usd, 6).quantize(Decimal(1), ROUND_HALF_EVEN, EXACT))


def plain(number: Decimal) -> str:
    """`number` without an exponent."""
    return format(number, "f")


def by_time(orders: Iterable[Order]) -> list[Order]:
    return sorted(orders, key=lambda order: order.at_ms)
