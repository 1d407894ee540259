"""Reading the venues' REST lists of instruments."""

import json
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from ._numbers import shown
from .base import InstrumentPage


def document(body: bytes) -> Any:
    """The JSON of a REST answer, its numbers exact. Raises `ValueError`."""
    try:
        return json.loads(body, parse_float=Decimal, parse_constant=_no_constant)
    except (RecursionError, ArithmeticError) as error:
        raise ValueError(f"not JSON that can be used: {type(error).__name__}") from None


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is not a JSON number")


def page(rows: object, name: str, next_url: str | None = None) -> InstrumentPage:
    """A page of the objects in `rows` by their field `name`. Raises `ValueError`."""
    if not isinstance(rows, list):
        raise ValueError(f"no list of instruments: {shown(rows)}")
    return InstrumentPage(
        {row[name]: row for row in rows if isinstance(row, dict) and isinstance(row.get(name), str)}, next_url
    )


def inside(answer: object, *path: str) -> Any:
    """What stands at `path` in the answer. Raises `ValueError` that shows what came instead."""
    place = answer
    for key in path:
        if not isinstance(place, Mapping) or key not in place:
            raise ValueError(f"no {'.'.join(path)} in the answer: {shown(answer)}")
        place = place[key]
    return place


def coin(name: object) -> str:
    """A coin's name as we write it: Bitcoin is BTC everywhere. Raises `ValueError`."""
    if not isinstance(name, str) or not name or not name.isprintable():
        raise ValueError(f"not the name of a coin: {shown(name)}")
    return "BTC" if name == "XBT" else name
