"""Classes of coins: what is large in one is nothing in another. Pure."""

from collections.abc import Collection

from .section import Section

CLASSES = ("BTC", "ETH", "majors", "others")
MAJORS = ("SOL", "XRP", "BNB", "DOGE", "ADA", "HYPE", "TRX", "LINK", "AVAX", "SUI", "LTC", "BCH")


class CoinSettings(Section):
    """Which coins are the majors beside BTC and ETH; all further ones are the others."""

    majors: tuple[str, ...] = MAJORS


def coin_class(base: str, majors: Collection[str]) -> str:
    """`BTC`, `ETH`, `majors` or `others`."""
    if base in ("BTC", "ETH"):
        return base
    return "majors" if base in majors else "others"
