"""Exact numbers from a venue's text, and what a contract is worth in USD. Never a float."""

import re
from decimal import (
    Clamped,
    Context,
    Decimal,
    DivisionByZero,
    Inexact,
    InvalidOperation,
    Overflow,
    Rounded,
    Subnormal,
    Underflow,
)
from typing import Annotated, Any

from msgspec import Meta, MsgspecError, Raw

from ..events import Reason, plain
from .base import Instrument

LONGEST = 40  # characters of a number
Digits = Annotated[str, Meta(max_length=LONGEST)]  # a number as text, for the quick way: it stands in ids
LARGEST_USD = Decimal("1e11")  # one order worth more is a mistake of the venue, or of ours
SMALLEST = Decimal("0.000001")  # str() of a Decimal from here on has no exponent

_REFUSING = [InvalidOperation, Inexact, Rounded, Clamped, Overflow, Underflow, Subnormal]

# The quick way to read a number: at most 13 digits, no exponent above zero, no blanks, no underscores. Two of them
# times the size of a `quick` instrument are exact with a plain `*`: every thread's context has 28 digits, and nothing
# here lowers that. Whatever it refuses is read again by `number`, which explains.
QUICK_DIGITS = 13
quick = Context(QUICK_DIGITS, Emax=QUICK_DIGITS - 1, Emin=-QUICK_DIGITS, clamp=1, traps=_REFUSING).create_decimal


def written(number: Raw) -> str:
    """What a JSON number is written as, for the quick way: text has its quotes with it, and is no number then.

    Raises `ValueError` for a long one.
    """
    text = bytes(number).decode()
    if len(text) > LONGEST:
        raise ValueError(f"a number of {len(text)} characters")
    return text


# Products of any numbers are exact or an error, never silently rounded.
multiply = Context(6 * LONGEST, traps=[InvalidOperation, Inexact, Overflow]).multiply
# Quotients to 34 significant digits.
divide = Context(prec=34, traps=[InvalidOperation, DivisionByZero, Overflow]).divide

# What the quick way of a session gives up on.
SURPRISES = (MsgspecError, KeyError, AttributeError, TypeError, ArithmeticError, ValueError, RecursionError)

_NUMBER = re.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d{1,3})?")


class RowError(Exception):
    """A row cannot be counted; the text says why."""

    def __init__(self, reason: Reason, text: str, symbol: str | None = None) -> None:
        super().__init__(text)
        self.reason = reason
        self.symbol = symbol


def shown(value: object) -> str:
    """`value` for an error text: one line, printable, not long."""
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def words(value: object) -> str:
    """What a venue says, as text that can be printed and sent on."""
    return str(value)[:300].encode(errors="backslashreplace").decode() or "(no text)"


def number(value: object, name: str, reason: Reason) -> Decimal:
    """A finite number from text or JSON number, zero and negative included. Raises `RowError`."""
    if isinstance(value, str):
        if len(value) > LONGEST or not _NUMBER.fullmatch(value):
            raise RowError(reason, f"{name} is not a number: {shown(value)}")
        parsed = Decimal(value)
    elif isinstance(value, int | Decimal) and not isinstance(value, bool):
        parsed = Decimal(value)
    else:
        raise RowError(Reason.MALFORMED, f"{name} is neither text nor a number: {shown(value)}")
    absurd = not parsed.is_finite() or not -LONGEST < parsed.adjusted() < LONGEST
    if absurd or (len(str(value)) > LONGEST // 2 and len(plain(parsed)) > 2 * LONGEST):
        raise RowError(reason, f"{name} is absurd: {shown(value)}")
    return parsed


def positive(value: object, name: str, reason: Reason) -> Decimal:
    """A number above zero. Raises `RowError`."""
    parsed = number(value, name, reason)
    if parsed <= 0:
        raise RowError(reason, f"{name} is not above zero: {shown(value)}")
    return parsed


def exact(value: Any, name: str) -> Decimal:
    """A number of a venue's instrument, as text or JSON number. Raises `ValueError`."""
    try:
        return number(Decimal(repr(value)) if isinstance(value, float) else value, name, Reason.MALFORMED)
    except RowError as error:
        raise ValueError(str(error)) from None


def contract_size(value: Any, name: str) -> Decimal:
    """The size of a contract. Raises `ValueError`."""
    size = Decimal(plain(exact(value, name)))
    if size <= 0 or len(size.as_tuple().digits) > LONGEST // 2:
        raise ValueError(f"{name} is not the size of a contract: {shown(value)}")
    return size


def worth(instrument: Instrument, contracts: Decimal, price: Decimal) -> tuple[Decimal, Decimal]:
    """(base coins, USD) of so many contracts at `price`."""
    size = multiply(contracts, instrument.contract_size)
    return (divide(size, price), size) if instrument.inverse else (size, multiply(size, price))
