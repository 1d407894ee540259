"""Trade feeds that flag liquidations: nearly all their rows are ordinary, and all have the venue's own ids."""

from collections.abc import Callable

from ._rows import Reading, Row, read_rows
from .base import CONTROL, Received


def read_trades(rows: object, read: Callable[[Row], Reading], name: str) -> Received:
    """As `read_rows`; ordinary trades and nothing else are proof that the route delivers."""
    received = read_rows(rows, read, name, venue_ids=True)
    return CONTROL if received.error is None and not received.liquidations else received
