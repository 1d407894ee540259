"""The quick way to make one event of a row that is as expected; whatever is not is left to the careful way.

The busiest venues have this written out in their sessions, where a call for each row would count.
"""

from collections.abc import Sequence
from decimal import Decimal
from typing import Annotated

from msgspec import Meta

from ..wire import Liquidation
from ._numbers import LARGEST_USD, SMALLEST, divide
from ._rows import Stamp, all_differ
from .base import FrameKind, Instrument, Received

OwnNumber = Annotated[int, Meta(ge=0, le=2**63 - 1)]
OwnId = Annotated[str, Meta(pattern=r"^[A-Za-z0-9._:-]{1,64}\Z")]  # as `_rows.own_id` takes it

_DATA = FrameKind.DATA


class Unexpected(ArithmeticError):
    """Nothing to be told: the careful way will."""


def quick_event(
    stamp: Stamp,
    instrument: Instrument,
    side: str,
    size: Decimal,
    price: Decimal,
    time_ms: int,
    received_ms: int,
    event_id: str,
) -> Liquidation:
    """As `_rows.liquidation`, of numbers that `_numbers.quick` took. Raises `Unexpected`."""
    amount = size * instrument.contract_size
    if not instrument.quick or price <= SMALLEST or amount <= SMALLEST:
        raise Unexpected
    if instrument.inverse:
        usd, quantity = amount, str(divide(amount, price))
        if "E" in quantity:
            raise Unexpected
    else:
        usd, quantity = amount * price, str(amount)
    if not SMALLEST < usd <= LARGEST_USD:
        raise Unexpected
    return Liquidation(
        event_id,
        stamp.venue,
        instrument.symbol,
        instrument.base,
        instrument.quote,
        side,
        str(price),
        stamp.price_kind,
        quantity,
        str(usd),
        time_ms,
        received_ms,
        stamp.timed_by,
        "stream",
        stamp.unit,
    )


def quick_answer(events: list[Liquidation], rows: Sequence[object], ordinary: int = 0) -> Received:
    """Where every row gave an event, and no two the same one. Raises `Unexpected`."""
    if not events or len(events) + ordinary != len(rows) or not (len(events) == 1 or all_differ(events)):
        raise Unexpected
    return Received(_DATA, events)
