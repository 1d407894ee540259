"""What an instrument of a simulated venue is, and the coins that most venues list, at one price everywhere."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from decimal import ROUND_HALF_EVEN, Decimal
from typing import NamedTuple


@dataclass(frozen=True, slots=True)
class Listing:
    """One instrument of one venue.

    `contract` is what one contract is: base coins, or USD where `inverse`; 1 where the venue counts in coins.
    `step` is the smallest part of a contract (or coin) that can be traded.
    """

    venue: str
    product: str  # the venue's own word for the part of it that lists the instrument
    symbol: str
    base: str
    quote: str
    reference_price: Decimal
    tick: Decimal
    contract: Decimal = Decimal(1)
    step: Decimal = Decimal(1)
    inverse: bool = False
    dated: bool = False
    trading: bool = True
    number: int = 0  # the venue's own, where its frames name the instrument so

    def round_price(self, price: Decimal) -> Decimal:
        ticks = (price / self.tick).quantize(Decimal(1), ROUND_HALF_EVEN)
        return max(ticks, Decimal(1)) * self.tick

    def contracts(self, price: Decimal, quantity: Decimal) -> Decimal:
        """`quantity` base coins as contracts in whole steps, at least one step."""
        wanted = quantity * price if self.inverse else quantity
        steps = (wanted / self.contract / self.step).quantize(Decimal(1), ROUND_HALF_EVEN)
        return max(steps, Decimal(1)) * self.step

    @property
    def key(self) -> tuple[str, str]:
        return self.venue, self.symbol


class Coin(NamedTuple):
    """A coin's price in dollars, its tick, and the smallest size, where a venue counts in coins."""

    price: Decimal
    tick: Decimal
    step: Decimal


_COINS = {
    "BTC": ("113000", "0.1", "0.001"),
    "ETH": ("4000", "0.01", "0.001"),
    "SOL": ("215", "0.01", "0.01"),
    "XRP": ("2.7800", "0.0001", "0.1"),
    "DOGE": ("0.24100", "0.00001", "1"),
    "BNB": ("1150", "0.1", "0.01"),
    "ADA": ("0.8100", "0.0001", "1"),
    "LINK": ("21.400", "0.001", "0.01"),
    "AVAX": ("28.100", "0.001", "0.1"),
    "SUI": ("3.4200", "0.0001", "0.1"),
    "LTC": ("117.00", "0.01", "0.001"),
    "ENA": ("0.5400", "0.0001", "1"),
    "WLD": ("1.1900", "0.0001", "1"),
    "PEPE": ("0.0000092000", "0.0000000001", "1"),
}
COINS: Mapping[str, Coin] = {name: Coin(*map(Decimal, texts)) for name, texts in _COINS.items()}
ONE = Decimal(1)


def linear(
    venue: str, product: str, symbol: str, quote: str, *, contracts: Mapping[str, str] | None = None,
    step: str | None = None, thousand: str | None = None, coins: tuple[str, ...] = tuple(COINS),
) -> Iterator[Listing]:  # fmt: skip
    """Perpetuals of `coins`; `symbol` is a pattern such as "{}-USDT-SWAP".

    `contracts`: coins per contract by coin, where the venue counts in contracts, in parts of `step`; without it the
    venue counts in coins. `thousand`: what the venue calls a thousand PEPE, where it lists them as one coin.
    """
    for place, coin in enumerate(coins, 1):
        price, tick, smallest = COINS[coin]
        name = coin
        if coin == "PEPE" and thousand is not None:
            name, price, tick = thousand, price * 1000, tick * 1000
        contract = ONE if contracts is None else Decimal(contracts[coin])
        part = Decimal(step) if step is not None else smallest if contracts is None else ONE
        yield Listing(venue, product, symbol.format(name), name, quote, price, tick, contract, part, number=place)


def special(
    venue: str, product: str, symbol: str, base: str, quote: str, contract: str = "1", step: str = "1",
    *, inverse: bool = False, dated: bool = False, number: int = 0,
) -> Listing:  # fmt: skip
    """One instrument of a known coin that is not like the others: inverse, dated, in another dollar."""
    price, tick, _ = COINS[base]
    return Listing(
        venue, product, symbol, base, quote, price, tick, Decimal(contract), Decimal(step), inverse, dated,
        number=number,
    )  # fmt: skip
