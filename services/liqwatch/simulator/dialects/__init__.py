"""The protocols of the simulated venues, written from the venues' documentation and from nothing else here.

They do not use the decoders of `liqwatch.venues`: what the simulator says it sent has to be an independent check.
"""

from collections.abc import Callable, Mapping

from ..trouble import Trouble
from .base import Dialect, Listings
from .binance import BinanceDialect
from .bitget import BitgetDialect
from .bybit import BybitDialect
from .gate import GateDialect
from .htx import HtxDialect
from .okx import OkxDialect

VENUES = ("binance", "bitget", "bybit", "gate", "htx", "okx")


def dialect(venue: str, listings: Listings, trouble: Trouble) -> Dialect:
    """The protocol of `venue`. Raises `KeyError` for one that is not simulated."""
    makers: Mapping[str, Callable[[Listings, Trouble], Dialect]] = {
        "binance": BinanceDialect,
        "bitget": BitgetDialect,
        "bybit": BybitDialect,
        "gate": GateDialect,
        "htx": HtxDialect,
        "okx": OkxDialect,
    }
    return makers[venue](listings, trouble)
