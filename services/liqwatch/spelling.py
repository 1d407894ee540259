"""Durations, amounts and names as people write them in settings. Pure."""

import difflib
import re
from collections.abc import Iterable
from datetime import timedelta
from decimal import Decimal

_DURATION = re.compile(r"^(\d+(?:\.\d+)?)\s*(ms|s|m|h|d)$")
_MONEY = re.compile(r"^\$?\s*(\d[\d_]*(?:\.\d+)?)\s*([KMBTkmbt]?)$")
_PERCENT = re.compile(r"^(\d+(?:\.\d+)?)\s*%$")
_SECONDS = {"ms": Decimal("0.001"), "s": Decimal(1), "m": Decimal(60), "h": Decimal(3600), "d": Decimal(86400)}
_SCALE = {"": 0, "K": 3, "M": 6, "B": 9, "T": 12}


def parse_duration(value: object) -> timedelta:
    """`30s`, `5m`, `24h`, `7d`, `250ms`. Raises `ValueError`."""
    if isinstance(value, timedelta):
        return value
    match = _DURATION.match(value.strip()) if isinstance(value, str) else None
    if match is None:
        raise ValueError('write a duration as a number and a unit, such as "30s", "5m", "24h" or "7d"')
    try:
        return timedelta(seconds=float(Decimal(match[1]) * _SECONDS[match[2]]))
    except OverflowError:
        raise ValueError("a duration of more than a million years; write a shorter one") from None


def parse_money(value: object) -> Decimal:
    """`"1.7B"`, `"250M"`, `"$500K"` or a plain number: USD. Raises `ValueError`."""
    if isinstance(value, bool):
        value = None
    if isinstance(value, int | Decimal):
        amount = Decimal(value)
    elif isinstance(value, float):
        amount = Decimal(repr(value))
    else:
        match = _MONEY.match(value.strip()) if isinstance(value, str) else None
        if match is None:
            raise ValueError('write an amount in USD such as "1.7B", "250M", "500K" or 1700000000')
        amount = Decimal(match[1].replace("_", "")).scaleb(_SCALE[match[2].upper()])
    if not amount.is_finite() or amount <= 0:
        raise ValueError("an amount in USD has to be above zero")
    return amount


def parse_percent(value: object) -> Decimal:
    """`"85%"`, `"1.5 %"`: percent, above 0 and up to 100. Raises `ValueError`."""
    match = _PERCENT.match(value.strip()) if isinstance(value, str) else None
    amount = Decimal(match[1]) if match is not None else value if isinstance(value, Decimal) else None
    if amount is None or not 0 < amount <= 100:
        raise ValueError('write a share in percent, above 0 and up to 100, such as "85%"')
    return amount


def window_name(span: timedelta) -> str:
    """`5m`, `1h`, `24h`: how a window is called in messages and labels."""
    seconds = int(span.total_seconds())
    return f"{seconds // 3600}h" if seconds % 3600 == 0 else f"{seconds // 60}m" if seconds % 60 == 0 else f"{seconds}s"


def did_you_mean(word: str, known: Iterable[object]) -> str:
    """`; did you mean 'binance'?` where something known is close, else nothing."""
    close = difflib.get_close_matches(word, [str(name) for name in known], n=1, cutoff=0.6)
    return f"; did you mean {close[0]!r}?" if close else ""
