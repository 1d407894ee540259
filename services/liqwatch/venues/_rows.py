"""The careful way to read a frame: row by row, with a sentence for everything that is wrong.

Each session first tries its quick way, which gives up at the first surprise; then it comes here. Both give the same
events, ids included.
"""

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Annotated, Any

from msgspec import Meta, MsgspecError
from msgspec.json import Decoder
from msgspec.structs import replace

from ..events import Reason, plain
from ..wire import Liquidation
from ._numbers import LARGEST_USD, RowError, positive, shown, worth
from .base import BadRow, Frame, FrameKind, Instrument, Instruments, Received

EARLIEST_MS = 1_262_304_000_000  # 2010-01-01: before, there was nothing to liquidate
LATEST_MS = 4_102_444_800_000  # 2100-01-01
Moment = Annotated[int, Meta(gt=EARLIEST_MS, lt=LATEST_MS)]
LARGEST_FRAME = 16 * 1024 * 1024  # characters
_SYMBOL = re.compile(r"[\w.:/,-]{1,96}")  # dYdX has NAME,RAYDIUM,ADDRESS-USD; Binance has names in Chinese
_OWN_ID = re.compile(r"[A-Za-z0-9._:-]{1,64}")
_DIGITS = re.compile(r"([0-9]{1,16})(?:\.0{1,9})?")

_parsed = Decoder(float_hook=Decimal).decode

Row = Mapping[str, Any]
Reading = Liquidation | Sequence[Liquidation] | None  # what one row tells


@dataclass(frozen=True, slots=True)
class Stamp:
    """What every event of a venue says about itself."""

    venue: str
    price_kind: str
    unit: str
    timed_by: str = "venue"


def explained(frame: Frame, answer: Callable[[Any], Received]) -> Received:
    """Parses `frame` and lets the session answer; a frame that is not JSON, or too large, is rejected."""
    if len(frame) > LARGEST_FRAME:
        return rejected(f"a frame of {len(frame)} characters, more than {LARGEST_FRAME}")
    try:
        message = _parsed(frame)
    except (MsgspecError, ValueError, RecursionError, ArithmeticError):
        # The slower parser takes what a venue may send and the quick one does not, and says where a frame breaks off.
        try:
            message = json.loads(frame, parse_float=Decimal, parse_int=_integer, parse_constant=_no_constant)
        except (ValueError, RecursionError, ArithmeticError) as error:
            return rejected(f"not JSON: {str(error)[:200]}: {shown(frame[:40])}")
    try:
        return answer(message)
    except Exception as error:  # a surprise in a frame must not cost the socket
        return rejected(f"not understood ({type(error).__name__}: {str(error)[:200]}): {shown(frame[:40])}")


def rejected(error: str) -> Received:
    """The frame as a whole could not be read."""
    return Received(FrameKind.REJECTED, error=error)


def read_rows(
    rows: object,
    read: Callable[[Row], Reading],
    name: str,
    *,
    venue_ids: bool = False,
    places: Sequence[int] = (),
) -> Received:
    """Reads every row; `read` gives None for a row that counts nothing and raises `RowError` for a bad one.

    `venue_ids`: the ids are the venue's own, so that a repeated one is the same liquidation once more.
    `places`: which row of the frame each was, where one of the frame's was taken apart.
    """
    if not isinstance(rows, list):
        return rejected(f"{name} is not a list: {shown(rows)}")
    liquidations: list[Liquidation] = []
    bad: list[BadRow] = []
    repeats: dict[str, int] = {}
    for place, row in zip(places or range(1, len(rows) + 1), rows, strict=True):
        try:
            if not isinstance(row, dict):
                raise RowError(Reason.MALFORMED, f"is not an object: {shown(row)}")
            told = read(row)
        except RowError as error:
            bad.append(BadRow(error.reason, f"row {place}: {error}", error.symbol))
            continue
        for liquidation in () if told is None else (told,) if isinstance(told, Liquidation) else told:
            before = repeats.get(liquidation.event_id, 0)
            repeats[liquidation.event_id] = before + 1
            if not before:
                liquidations.append(liquidation)
            elif not venue_ids:  # a row equal to an earlier one is another liquidation
                liquidations.append(replace(liquidation, event_id=f"{liquidation.event_id}#{before}"))
    kind = FrameKind.REJECTED if bad and not liquidations else FrameKind.DATA
    return Received(kind, liquidations, tuple(bad), "; ".join(row.error for row in bad) or None)


def all_differ(events: list[Liquidation]) -> bool:
    """No two rows of the frame were equal."""
    if len(events) == 2:
        return events[0].event_id != events[1].event_id
    return len({event.event_id for event in events}) == len(events)


def known(instruments: Instruments, row: Row, name: str) -> Instrument:
    """The instrument that the row names. Raises `RowError`."""
    symbol = field(row, name)
    if not isinstance(symbol, str):
        raise RowError(Reason.MALFORMED, f"{name} is not text: {shown(symbol)}")
    instrument = instruments.get(symbol)
    if instrument is None:
        if not _SYMBOL.fullmatch(symbol):
            raise RowError(Reason.MALFORMED, f"{name} is not a symbol: {shown(symbol)}")
        raise RowError(Reason.UNKNOWN_SYMBOL, f"unknown symbol {symbol}", symbol)
    if instrument.unpriced is not None:
        raise RowError(instrument.unpriced_reason, f"{symbol} is {instrument.unpriced}", symbol)
    return instrument


def field(row: Row, name: str) -> Any:
    """A field that has to be there. Raises `RowError`."""
    try:
        return row[name]
    except KeyError:
        raise RowError(Reason.MALFORMED, f"has no {name}") from None


def own_id(row: Row, name: str) -> str:
    """The venue's own id of an event, from text or an integer. Raises `RowError`."""
    value = field(row, name)
    text = str(value) if isinstance(value, int) and not isinstance(value, bool) else value
    if not isinstance(text, str) or not _OWN_ID.fullmatch(text):
        raise RowError(Reason.MALFORMED, f"{name} is not an id: {shown(value)}")
    return text


def chosen(row: Row, name: str, meanings: Mapping[str, str], symbol: str) -> str:
    """The side of the position that a field's value stands for. Raises `RowError`."""
    value = field(row, name)
    side = meanings.get(value) if isinstance(value, str) else None
    if side is None:
        raise RowError(
            Reason.UNKNOWN_SIDE, f"{symbol}: {name} is {shown(value)}, not one of {', '.join(meanings)}", symbol
        )
    return side


def whole(value: object) -> object:
    """The integer that a venue wrote as text, or as 1795000000000.0; anything else as it came."""
    if isinstance(value, str) and (digits := _DIGITS.fullmatch(value)):
        return int(digits[1])
    if isinstance(value, Decimal) and -16 < value.adjusted() < 16 and value == int(value):
        return int(value)
    return value


def moment(value: object, name: str) -> int:
    """Milliseconds since the epoch, from an integer or its digits. Raises `RowError`."""
    value = whole(value)
    if not isinstance(value, int) or isinstance(value, bool):
        raise RowError(Reason.BAD_TIME, f"{name} is not a time in milliseconds: {shown(value)}")
    if not EARLIEST_MS < value < LATEST_MS:
        raise RowError(Reason.BAD_TIME, f"{name} is an absurd time: {value}")
    return value


def liquidation(
    stamp: Stamp,
    instrument: Instrument,
    side: str,
    said: str,
    contracts: Decimal,
    price: Decimal,
    time_ms: int,
    received_ms: int,
    event_id: str | None = None,
) -> Liquidation:
    """One event of so many contracts at `price`. Raises `RowError` for an absurd one."""
    value = worth(instrument, contracts, price)
    return event(stamp, instrument, side, said, value, price, time_ms, received_ms, event_id)


def event(
    stamp: Stamp,
    instrument: Instrument,
    side: str,
    said: str,
    worth: tuple[Decimal, Decimal],  # base coins, USD
    price: Decimal,
    time_ms: int,
    received_ms: int,
    event_id: str | None = None,
) -> Liquidation:
    """One event. Raises `RowError` for an absurd one.

    `said` is quantity and price as the venue wrote them, for the id; the venue's own `event_id` goes before it.
    """
    quantity, usd = worth
    symbol = instrument.symbol
    if usd > LARGEST_USD:
        raise RowError(Reason.BAD_QUANTITY, f"{symbol}: an order worth {shown(plain(usd))} USD", symbol)
    return Liquidation(
        event_id or f"{stamp.venue}:{symbol}:{time_ms}:{side}:{said}",
        stamp.venue,
        symbol,
        instrument.base,
        instrument.quote,
        side,
        plain(price),
        stamp.price_kind,
        plain(quantity),
        plain(usd),
        time_ms,
        received_ms,
        stamp.timed_by,
        "stream",
        stamp.unit,
    )


def quantity_of(row: Row, name: str) -> Decimal:
    """A quantity above zero. Raises `RowError`."""
    return positive(field(row, name), name, Reason.BAD_QUANTITY)


def price_of(row: Row, name: str) -> Decimal:
    """A price above zero. Raises `RowError`."""
    return positive(field(row, name), name, Reason.BAD_PRICE)


def _integer(digits: str) -> int | Decimal:
    return int(digits) if len(digits) <= 40 else Decimal(digits)


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is not a JSON number")
