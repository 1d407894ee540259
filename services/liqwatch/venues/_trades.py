"""Reading the rows of trade feeds that flag liquidations: nearly all of them are ordinary, and all have ids.

An ordinary trade is proof that the route delivers, so a frame of nothing else is CONTROL.
"""

import re
from collections.abc import Callable

from ..events import Reason
from ..wire import Liquidation
from ._numbers import RowError, shown
from ._rows import Row, field, read_rows
from .base import CONTROL, Received

_ID = re.compile(r"[A-Za-z0-9._:-]{1,64}")


def read_trades(rows: object, read: Callable[[Row], Liquidation | None], name: str) -> Received:
    """As `read_rows`; the ids are the venue's own."""
    received = read_rows(rows, read, name, venue_ids=True)
    return CONTROL if received.error is None and not received.liquidations else received


def trade_id(row: Row, name: str) -> str:
    """The venue's own id of a trade, text or an integer, as text. Raises `RowError`."""
    value = field(row, name)
    text = str(value) if isinstance(value, int) and not isinstance(value, bool) else value
    if not isinstance(text, str) or not _ID.fullmatch(text):
        raise RowError(Reason.MALFORMED, f"{name} is not an id: {shown(value)}")
    return text
