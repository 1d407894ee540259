"""How the money of a day is spread over the venues, as CoinGlass has published it for the large ones."""

from .dialects import VENUES

Shares = dict[str, float]  # weights by venue, any scale

# Hyperliquid had a third to a half of these days, which no public feed tells: only a vault's part of it is played.
# Made up after the two days below; a venue that no page tells apart has OTHER.
USUAL: Shares = {
    "bybit": 20, "binance": 13, "okx": 8.5, "bitget": 5, "htx": 3.5, "gate": 3.5, "aster": 2.5, "hyperliquid": 2,
    "lighter": 2, "bitmex": 1.2, "kraken_futures": 0.8, "deribit": 0.8, "dydx": 0.6, "bitfinex": 0.6,
}  # fmt: skip
# Of $19.1B: Bybit 4.6, Binance 2.4, OKX 1.21, HTX 0.36, Gate 0.26.
OCTOBER_2025: Shares = USUAL | {"bybit": 24.1, "binance": 12.6, "okx": 6.3, "bitget": 3, "htx": 1.9, "gate": 1.4}
# Of $1.71B: Bybit 345M, Binance 188M; the largest order was HTX's.
JANUARY_2026: Shares = USUAL | {"bybit": 20.2, "binance": 11, "htx": 7}
OTHER = 0.6


def simulated(shares: Shares) -> dict[str, float]:
    """The shares of the venues that are simulated; the part of those that are not is spread over them."""
    return {venue: shares.get(venue, OTHER) for venue in VENUES}
