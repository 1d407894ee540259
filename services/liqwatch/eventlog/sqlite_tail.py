"""The newest records of the embedded log, in memory: who follows it closely need not read them from the file."""

from collections import deque
from collections.abc import Mapping, Sequence

from . import Record
from . import sqlite_store as store

_EACH = 200  # bytes that a record takes beside its key and its value, about


class Tail:
    """What the latest commits brought, by slot and without holes, within `most` bytes. Not for several threads."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._bytes = 0
        self._batches: dict[int, deque[Sequence[Record]]] = {}
        self._next: dict[int, int] = {}  # by slot the offset behind its last record
        self._order: deque[tuple[int, int]] = deque()  # slot and bytes of every batch, oldest first

    def add(self, committed: Mapping[int, Sequence[Record]]) -> None:
        """Takes what one commit brought: records by slot.

        Where they are not right behind those it has, a commit was said to have failed that is in the file all the
        same: it begins anew.
        """
        if any(self._next.get(slot, rows[0].offset) != rows[0].offset for slot, rows in committed.items()):
            self._batches.clear()
            self._order.clear()
            self._bytes = 0
        for slot, rows in committed.items():
            self._next[slot] = rows[-1].offset + 1
            size = sum([_EACH + len(record.key) + len(record.value or b"") for record in rows])
            self._batches.setdefault(slot, deque()).append(rows)
            self._order.append((slot, size))
            self._bytes += size
        while self._bytes > self._most:
            slot, size = self._order.popleft()
            self._batches[slot].popleft()
            self._bytes -= size

    def pages(self, wanted: Mapping[int, int], budget: int) -> dict[int, store.Page]:
        """As `sqlite_store.page`, of those slots whose wanted offset is in memory. Offsets are below the ends."""
        share = max(1, budget // max(1, len(wanted)))
        found = {}
        for slot, offset in wanted.items():
            records = self._since(slot, offset, share)
            if records:
                found[slot] = store.Page(offset, records[-1].offset + 1, records)
        return found

    def _since(self, slot: int, offset: int, enough: int) -> list[Record]:
        batches = self._batches.get(slot)
        if not batches or offset < batches[0][0].offset:
            return []
        first = len(batches) - 1
        while batches[first][0].offset > offset:
            first -= 1
        records = list(batches[first][offset - batches[first][0].offset :])
        for number in range(first + 1, len(batches)):
            if len(records) >= enough:
                break
            records += batches[number]
        return records
