"""The msgspec twins of the messages on the hot path: the same fields as in `events.py`, several times faster.

`tests/contract/test_wire.py` holds both to the same answers.
"""

from typing import Literal

import msgspec

from .events import Completeness

# What bytes that are no message raise: broken UTF-8 is a ValueError, nesting without end a RecursionError.
UNREADABLE = (msgspec.MsgspecError, ValueError, RecursionError)


class Liquidation(msgspec.Struct, gc=False, frozen=True):
    """See `events.Liquidation`. Positional order is part of the hot path; keep it."""

    event_id: str
    venue: str
    symbol: str
    base: str
    quote: str
    side: str
    price: str
    price_kind: str
    quantity: str
    notional_usd: str
    event_time_ms: int
    received_time_ms: int
    timed_by: str
    source: str
    unit: str
    version: int = 1


class LargestRecord(msgspec.Struct, gc=False, frozen=True):
    """See `events.LargestRecord`."""

    event_id: str
    venue: str
    symbol: str
    base: str
    side: str
    price: str
    notional_usd: str
    event_time_ms: int
    unit: str


class Totals(msgspec.Struct, gc=False, frozen=True, tag_field="kind", tag="totals"):
    """See `events.Totals`."""

    partition: int
    window: str
    scope: str
    generation: int
    as_of_ms: int
    offset: int
    long_usd: str
    long_count: int
    short_usd: str
    short_count: int
    largest_long: LargestRecord | None = None
    largest_short: LargestRecord | None = None
    version: int = 1


class Heartbeat(msgspec.Struct, gc=False, frozen=True, tag_field="kind", tag="heartbeat"):
    """See `events.Heartbeat`."""

    partition: int
    generation: int
    as_of_ms: int
    offset: int
    end_offset: int
    caught_up: bool
    version: int = 1


class BarRow(msgspec.Struct, gc=False, frozen=True):
    """See `events.BarRow`."""

    venue: str
    base: str
    long_usd: str
    long_count: int
    short_usd: str
    short_count: int


class Bar(msgspec.Struct, gc=False, frozen=True):
    """See `events.Bar`."""

    partition: int
    minute_ms: int
    generation: int
    rows: tuple[BarRow, ...]
    version: int = 1


class Coverage(msgspec.Struct, gc=False):
    """See `events.Coverage`; of a month there are tens of millions."""

    venue: str
    collector: str
    interval_id: str
    kind: Literal["watched", "lost", "filled"]
    from_ms: int
    to_ms: int
    open: bool
    completeness: Completeness
    feeds: tuple[str, ...] = ()
    ended_by: str | None = None
    events_lost: int = 0
    events_filled: int = 0
    version: Literal[1] = 1


encode = msgspec.json.Encoder().encode
decode_liquidation = msgspec.json.Decoder(Liquidation).decode
decode_coverage = msgspec.json.Decoder(Coverage).decode
decode_totals = msgspec.json.Decoder(Totals | Heartbeat).decode
decode_bar = msgspec.json.Decoder(Bar).decode


def largest_record(event: Liquidation | None) -> LargestRecord | None:
    """What totals say of the largest event of a window."""
    if event is None:
        return None
    return LargestRecord(
        event.event_id, event.venue, event.symbol, event.base, event.side, event.price, event.notional_usd,
        event.event_time_ms, event.unit,
    )  # fmt: skip


def micros(usd: str) -> int:
    """`usd`, a decimal string, as integer micro-dollars, rounded half-even.

    The one place where money is rounded. Raises `ValueError` for anything but a plain decimal.
    """
    if usd[-7:-6] == "." and usd.isascii() and (digits := usd[:-7] + usd[-6:]).isdigit():
        return int(digits)  # as we write it ourselves
    whole, _, fraction = usd.partition(".")
    more = len(fraction) - 6
    if more <= 0:
        digits = whole + fraction
        if digits.isdigit() and usd.isascii():
            return int(digits) * _POWERS[-more]
    else:
        digits, rest = whole + fraction[:6], fraction[6:]
        if digits.isdigit() and rest.isdigit() and usd.isascii():
            head = int(digits)
            if rest < "5":  # as text: the first digit decides
                return head
            return head + 1 if rest.rstrip("0") != "5" else head + head % 2
    if usd.startswith("-") and usd[1:2].isdigit():
        return -micros(usd[1:])
    raise ValueError(f"{usd!r} is not a plain decimal number")


_POWERS: tuple[int, ...] = tuple(10**power for power in range(7))


def usd_text(micro_dollars: int) -> str:
    """Integer micro-dollars as a decimal string with six digits after the point."""
    if micro_dollars < 1_000_000:
        sign = "-" if micro_dollars < 0 else ""
        whole, fraction = divmod(abs(micro_dollars), 1_000_000)
        return f"{sign}{whole}.{fraction:06d}"
    digits = str(micro_dollars)
    return f"{digits[:-6]}.{digits[-6:]}"
