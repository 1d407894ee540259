"""Thresholds of a level rule: an amount in USD, or so many times a percentile of the total's own past. Pure."""

import itertools
import re
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import ROUND_CEILING, Decimal

from typing_extensions import override

from .spelling import parse_money

PERCENTILES = (50, 75, 90, 95, 99)
PAST_DAYS = 30  # of which the percentiles are
NEEDED_DAYS = 14  # of those that have to be known: two of each hour of the week
_RELATIVE = re.compile(r"^(\d+(?:\.\d+)?)\s*[x×]\s*[pP](\d+(?:\.\d+)?)$")
_NEARLY = re.compile(r"[x×*]\s*[a-zA-Z]|[pP]\d")
_OPEN_INTEREST = re.compile(r"of\s+(the\s+)?open[\s_-]*interest", re.IGNORECASE)
_DIGITS = 3


@dataclass(frozen=True, slots=True)
class Relative:
    """`times` the `percentile` of the scope's own totals of the last 30 days, around the same hour of the week."""

    times: Decimal
    percentile: int

    @override
    def __str__(self) -> str:
        return f"{format(self.times.normalize(), 'f')} x p{self.percentile}"


def parse_threshold(value: object) -> Decimal | Relative:
    """`"1.7B"` or `"3 x p99"`. Raises `ValueError`."""
    if isinstance(value, Relative):
        return value
    text = value.strip() if isinstance(value, str) else ""
    if _OPEN_INTEREST.search(text):
        raise ValueError(
            "open interest is not known yet: it needs a topic of each venue's open interest; until then write an "
            'amount in USD or times a percentile, such as "3 x p99"'
        )
    match = _RELATIVE.match(text)
    if match is None:
        if _NEARLY.search(text):
            raise ValueError('write times its own percentile as "3 x p99": a number, x, and one of ' + _known())
        return parse_money(value)
    if match[2] not in [str(known) for known in PERCENTILES]:
        raise ValueError(f"p{match[2]} is not kept; choose one of {_known()}")
    if Decimal(match[1]) <= 0:
        raise ValueError("times a percentile has to be above zero")
    return Relative(Decimal(match[1]), int(match[2]))


def check_order(steps: Sequence[Decimal | Relative]) -> None:
    """Whatever the past says, each step has to be above the one before. Raises `ValueError`."""
    if len({isinstance(step, Relative) for step in steps}) > 1:
        raise ValueError(
            "amounts in USD and times a percentile in one ladder have no order that lasts; make two rules of them"
        )
    relative = [step for step in steps if isinstance(step, Relative)]
    for one, other in itertools.pairwise(relative):
        if one == other or other.times < one.times or other.percentile < one.percentile:
            raise ValueError(
                f'thresholds rise from step to step: after "{one}" neither the number nor the percentile may fall, '
                "and one of them has to rise"
            )


def least_step(usd: Decimal) -> Decimal:
    """A step of so many USD as it is judged and told: rounded up to three digits, so that both are the same."""
    if usd <= 0:
        return Decimal(0)
    return usd.quantize(Decimal(1).scaleb(usd.adjusted() - _DIGITS + 1), ROUND_CEILING)


def _known() -> str:
    return ", ".join(f"p{known}" for known in PERCENTILES)
