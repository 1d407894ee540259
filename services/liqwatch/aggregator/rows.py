"""Rows of the totals topic: from a window to a record."""

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from ..eventlog import Entry
from ..wire import Heartbeat, Totals, encode, largest_record, usd_text
from .partition import Owned, Row
from .window import RollingTotals, SideTotals, WindowTotals

_ZERO = SideTotals(0, 0, None)
_NOTHING = WindowTotals(_ZERO, _ZERO)


def key(partition: int, row: Row) -> bytes:
    """The key of a row: partition,window,scope."""
    return f"{partition},{row[0]},{row[1]}".encode()


class Built(NamedTuple):
    """A row as it stood when it was built."""

    entry: Entry
    empty: bool


def build(window: RollingTotals, owned: Owned, rows: Iterable[Row]) -> dict[Row, Built]:
    """The rows as they stand now. One that is zero, and that readers do not have or have as zero, is left out."""
    found = {}
    by_scope: dict[str, list[str]] = {}
    for name, scope in rows:
        by_scope.setdefault(scope, []).append(name)
    for scope, names in by_scope.items():
        for row, totals in _standing(window, owned.number, scope, names):
            empty = not (totals.long.events or totals.short.events)
            if not empty or (row in owned.published and row not in owned.zero_since):
                value = encode(_message(window, owned, row, totals))
                found[row] = Built(Entry(key(owned.number, row), value, window.now_ms, owned.number), empty)
    return found


def _standing(
    window: RollingTotals, partition: int, scope: str, names: Sequence[str]
) -> Iterator[tuple[Row, WindowTotals]]:
    known = [name for name in names if name in window.spans]
    for name, totals in zip(known, window.several(partition, scope, known), strict=True):
        yield (name, scope), totals
    for name in names:
        if name not in window.spans:  # a predecessor's, of a window that the settings do not name any more
            yield (name, scope), _NOTHING


def heartbeat(owned: Owned, as_of_ms: int, offset: int, end_offset: int) -> Entry:
    """How far the totals of a partition have come."""
    beat = Heartbeat(owned.number, owned.generation or 0, as_of_ms, offset, end_offset, owned.caught_up)
    return Entry(f"{owned.number},heartbeat".encode(), encode(beat), as_of_ms, owned.number)


def _message(window: RollingTotals, owned: Owned, row: Row, totals: WindowTotals) -> Totals:
    return Totals(
        owned.number,
        row[0],
        row[1],
        owned.generation or 0,
        window.now_ms,
        owned.offset,
        usd_text(totals.long.usd),
        totals.long.events,
        usd_text(totals.short.usd),
        totals.short.events,
        largest_record(totals.long.largest),
        largest_record(totals.short.largest),
    )
