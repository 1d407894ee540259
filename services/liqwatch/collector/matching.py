"""Which rows of a venue's REST history the stream did not bring. Pure."""

from collections import Counter
from collections.abc import Iterable
from decimal import Decimal

from msgspec.structs import replace

from ..wire import Liquidation

_Key = tuple[str, str, Decimal, Decimal, int]


def missing(
    rows: Iterable[Liquidation], known: Iterable[Liquidation], *, same_ids: bool, resolution_ms: int
) -> list[Liquidation]:
    """What of `rows` is not in `known`: by id, then field by field, each known one taken once.

    Where the ids of the list are not the stream's, what is left gets an id of its own, made of its fields and its
    number among the equal rows: another collector that looks at the same list gives it the same.
    """
    unused = {event.event_id: event for event in known}
    rest: list[Liquidation] = []
    seen: set[str] = set()
    for row in rows:
        if same_ids and row.event_id in seen:  # an answer's pages may overlap
            continue
        seen.add(row.event_id)
        if not same_ids or unused.pop(row.event_id, None) is None:
            rest.append(row)
    alike = Counter(_key(event, resolution_ms) for event in unused.values())
    numbers: Counter[_Key] = Counter()
    left: list[Liquidation] = []
    for row in rest:
        key = _key(row, resolution_ms)
        number = numbers[key]
        numbers[key] += 1
        if alike[key] > 0:
            alike[key] -= 1
        else:
            left.append(row if same_ids else replace(row, event_id=_own_id(row, key[4] * resolution_ms, number)))
    return left


def _key(event: Liquidation, resolution_ms: int) -> _Key:
    return (
        event.symbol,
        event.side,
        Decimal(event.quantity),
        Decimal(event.price),
        event.event_time_ms // resolution_ms,
    )


def _own_id(row: Liquidation, time_ms: int, number: int) -> str:
    name = f"rest:{row.venue}:{row.symbol}:{time_ms}:{row.side}:{row.quantity}@{row.price}"
    return f"{name}#{number}" if number else name
