"""The instruments that the simulated venues list, with contract sizes as the real venues have them."""

from collections.abc import Iterator
from dataclasses import dataclass
from decimal import ROUND_HALF_EVEN, Decimal


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


# coin: price, tick, then sizes: Binance and Bybit step in coins, OKX coins per contract, Gate, HTX
_COINS = {
    "BTC": ("113000", "0.1", "0.001", "0.01", "0.0001", "0.001"),
    "ETH": ("4000", "0.01", "0.001", "0.1", "0.01", "0.01"),
    "SOL": ("215", "0.01", "0.01", "1", "1", "1"),
    "XRP": ("2.7800", "0.0001", "0.1", "100", "10", "10"),
    "DOGE": ("0.24100", "0.00001", "1", "1000", "10", "100"),
    "BNB": ("1150", "0.1", "0.01", "0.01", "0.001", "0.01"),
    "ADA": ("0.8100", "0.0001", "1", "100", "10", "10"),
    "LINK": ("21.400", "0.001", "0.01", "1", "1", "0.1"),
    "AVAX": ("28.100", "0.001", "0.1", "1", "1", "1"),
    "SUI": ("3.4200", "0.0001", "0.1", "1", "1", "1"),
    "LTC": ("117.00", "0.01", "0.001", "1", "0.1", "0.1"),
    "ENA": ("0.5400", "0.0001", "1", "10", "1", "10"),
    "WLD": ("1.1900", "0.0001", "1", "1", "1", "1"),
    "PEPE": ("0.0000092000", "0.0000000001", "1", "10000000", "10000000", "1000000"),
}
COINS = tuple(_COINS)
_ONE = Decimal(1)


def standard() -> list[Listing]:
    """Every instrument that the simulated venues list at the start."""
    return [listing for coin in COINS for listing in _linear(coin)] + list(_others())


def _linear(coin: str) -> Iterator[Listing]:
    price, tick, step, okx, gate, htx = (Decimal(text) for text in _COINS[coin])
    # Binance and Bybit list a thousand PEPE as one coin of its own name.
    name, factor = ("1000PEPE", 1000) if coin == "PEPE" else (coin, 1)
    for venue, product in (("binance", "usdm"), ("bybit", "linear")):
        yield Listing(venue, product, f"{name}USDT", name, "USDT", price * factor, tick * factor, _ONE, step)
    yield Listing("bitget", "usdt-futures", f"{coin}USDT", coin, "USDT", price, tick, _ONE, step)
    yield Listing("okx", "SWAP", f"{coin}-USDT-SWAP", coin, "USDT", price, tick, okx, Decimal("0.01"))
    yield Listing("gate", "usdt", f"{coin}_USDT", coin, "USDT", price, tick, gate, Decimal("0.1"))
    yield Listing("htx", "linear", f"{coin}-USDT", coin, "USDT", price, tick, htx)


def _others() -> Iterator[Listing]:
    bitcoin, ether = Decimal("113000"), Decimal("4000")
    hundred, ten = Decimal(100), Decimal(10)
    tenth, cent, thousandth = Decimal("0.1"), Decimal("0.01"), Decimal("0.001")
    btc_usd, eth_usd = ("BTC", "USD", bitcoin, tenth), ("ETH", "USD", ether, cent)
    yield Listing("binance", "usdm", "BTCUSDC", "BTC", "USDC", bitcoin, tenth, _ONE, thousandth)
    yield Listing("binance", "usdm", "BTCUSDT_271231", "BTC", "USDT", bitcoin, tenth, _ONE, thousandth, dated=True)
    yield Listing("binance", "usdm", "ETHBTC", "ETH", "BTC", Decimal("0.03550"), Decimal("0.00001"), _ONE, cent)
    yield Listing("binance", "coinm", "BTCUSD_PERP", *btc_usd, hundred, inverse=True)
    yield Listing("binance", "coinm", "ETHUSD_PERP", *eth_usd, ten, inverse=True)
    yield Listing("binance", "coinm", "BTCUSD_271231", *btc_usd, hundred, inverse=True, dated=True)
    yield Listing("bybit", "linear", "BTCPERP", "BTC", "USDC", bitcoin, tenth, _ONE, thousandth)
    yield Listing("bybit", "linear", "BTCUSDT-31DEC27", "BTC", "USDT", bitcoin, tenth, _ONE, thousandth, dated=True)
    yield Listing("bybit", "inverse", "BTCUSD", *btc_usd, inverse=True)
    yield Listing("bybit", "inverse", "ETHUSD", *eth_usd, inverse=True)
    yield Listing("bybit", "inverse", "BTCUSDZ27", *btc_usd, inverse=True, dated=True)
    yield Listing("okx", "SWAP", "BTC-USD-SWAP", *btc_usd, hundred, tenth, inverse=True)
    yield Listing("okx", "SWAP", "ETH-USD-SWAP", *eth_usd, ten, tenth, inverse=True)
    yield Listing("okx", "FUTURES", "BTC-USD-271231", *btc_usd, hundred, tenth, inverse=True, dated=True)
    yield Listing("okx", "FUTURES", "BTC-USDT-271231", "BTC", "USDT", bitcoin, tenth, cent, cent, dated=True)
    yield Listing("bitget", "coin-futures", "BTCUSD_CM", *btc_usd, inverse=True)
    yield Listing("bitget", "coin-futures", "ETHUSD_CM", *eth_usd, inverse=True)
    yield Listing("bitget", "usdc-futures", "BTCPERP", "BTC", "USDC", bitcoin, tenth, _ONE, thousandth)
    yield Listing("gate", "btc", "BTC_USD", *btc_usd, inverse=True)
    yield Listing("gate", "usd1", "BTC_USD1", "BTC", "USD1", bitcoin, tenth, Decimal("0.0001"), tenth)
    yield Listing("htx", "coin", "BTC-USD", *btc_usd, hundred, inverse=True)
    yield Listing("htx", "coin", "ETH-USD", *eth_usd, ten, inverse=True)
    yield Listing("htx", "linear", "BTC-USDT-271231", "BTC", "USDT", bitcoin, tenth, thousandth, dated=True)
