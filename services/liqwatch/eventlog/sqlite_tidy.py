"""Retention and compaction of the embedded log, in steps of a few milliseconds that fit between two commits.

Small batches, as a quiet market brings them, are merged: a day of them is then replayed in seconds. What later records
of its topic have taken the place of is dropped on the way.
"""

import itertools
import sqlite3
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta

from . import Record, TopicState
from . import sqlite_store as store
from .thinning import Thinning

_STEP_BATCHES = 100
_STEP_RECORDS = 2_000
_FOREVER = 1 << 62
_KEYS = 500_000  # per pass; the rest waits for the next one


@dataclass(slots=True)
class Tidy:
    """`run` yields after every step; each step is a transaction of its own. `extents` is the writer's view."""

    connection: sqlite3.Connection
    extents: dict[int, store.Extent]
    now_ms: Callable[[], int]
    compact_after: int
    keep_tombstones_ms: int
    thinnings: Mapping[str, Thinning]  # by the name of the topic
    _seen: dict[int, int] = field(default_factory=dict)
    _kept: dict[int, int] = field(default_factory=dict)
    _tombstone_due: dict[int, int] = field(default_factory=dict)

    def run(self) -> Iterator[None]:
        for topic in store.topics(self.connection).values():
            for slot in topic.slots():
                if topic.state.retention is not None:
                    yield from self._retain(slot, topic.state)
                dirty = self._seen.get(slot, 0) - self.extents[slot].clean
                if topic.state.compacted:
                    yield from self._compact_when_due(slot, dirty, topic.state.retention)
                elif dirty >= self.compact_after:
                    yield from self._merge(slot, self._seen[slot], topic.state)
                self._seen[slot] = self.extents[slot].next

    def _retain(self, slot: int, state: TopicState) -> Iterator[None]:
        """Deletes from the front what is too old, up to the first batch that is not."""
        assert state.retention is not None  # noqa: S101
        oldest = self.now_ms() - int(state.retention.total_seconds() * 1000)
        while True:
            rows = self.connection.execute(
                "SELECT id, newest_ms FROM batches WHERE id >= ? AND id < ? ORDER BY id LIMIT ?",
                (slot + self.extents[slot].start, slot + self.extents[slot].next, _STEP_BATCHES),
            ).fetchall()
            old = [row[0] for row in itertools.takewhile(lambda row: row[1] < oldest, rows)]
            if not old:
                return
            start = old[-1] - slot + 1
            extent = replace(self.extents[slot], start=start, clean=max(start, self.extents[slot].clean))
            with store.transaction(self.connection):
                store.delete(self.connection, old[0], old[-1])
                self.connection.execute(
                    "DELETE FROM marks WHERE slot = ? AND timestamp_ms < ? AND offset < ?", (slot, oldest, start)
                )
                store.save(self.connection, {slot: extent})
            self.extents[slot] = extent
            yield
            if len(old) < _STEP_BATCHES:
                return

    def _merge(self, slot: int, limit: int, state: TopicState) -> Iterator[None]:
        """Once over everything, so that something that lasts keeps a record of each step."""
        at = self.extents[slot].clean
        thinning = self.thinnings.get(state.name)
        while at < limit:
            numbers, records = self._step(slot, at, limit)
            at = numbers[-1] - slot + 1 if numbers else limit
            keep = records if thinning is None else thinning.last_of_each(records)
            with store.transaction(self.connection):
                self._rewrite(slot, numbers, keep, len(records), state.retention)
                self._save(slot, clean=at)
            yield

    def _compact_when_due(self, slot: int, dirty: int, retention: timedelta | None) -> Iterator[None]:
        """Only what was there at the last round, so that readers close to the end see every record."""
        limit = self._seen.get(slot, 0)
        enough = dirty >= self.compact_after and dirty >= self._kept.get(slot, 0) // 2
        if enough or (limit and self.now_ms() >= self._tombstone_due.get(slot, _FOREVER)):
            yield from self._compact(slot, limit, retention)

    def _compact(self, slot: int, limit: int, retention: timedelta | None) -> Iterator[None]:
        newest: dict[bytes, int] = {}
        at = self.extents[slot].clean
        while at < limit and len(newest) < _KEYS:
            records = self._step(slot, at, limit)[1]
            newest.update((record.key, record.offset) for record in records)
            at = records[-1].offset + 1 if records else limit
            yield
        limit = min(limit, at)
        at, kept = self.extents[slot].start, 0
        tombstones: list[int] = []
        while at < limit:
            numbers, records = self._step(slot, at, limit)
            if not numbers:
                break
            keep = [record for record in records if self._keeps(record, newest)]
            tombstones += [record.timestamp_ms for record in keep if record.value is None]
            kept += len(keep)
            with store.transaction(self.connection):
                self._rewrite(slot, numbers, keep, len(records), retention)
            at = numbers[-1] - slot + 1
            yield
        self._kept[slot] = kept
        self._tombstone_due[slot] = min(tombstones, default=_FOREVER) + self.keep_tombstones_ms
        with store.transaction(self.connection):
            self._save(slot, clean=max(limit, self.extents[slot].clean))

    def _rewrite(
        self, slot: int, numbers: list[int], keep: list[Record], had: int, retention: timedelta | None
    ) -> None:
        """Puts `keep` in the place of these batches, where that is less."""
        runs = _runs(keep, _FOREVER if retention is None else int(retention.total_seconds() * 50))
        if len(keep) < had or len(runs) + len(keep) // store.BATCH_RECORDS < len(numbers) // 2:
            store.delete(self.connection, numbers[0], numbers[-1])
            for run in runs:
                store.insert(self.connection, {slot: run})

    def _save(self, slot: int, *, clean: int) -> None:
        extent = replace(self.extents[slot], clean=clean)
        store.save(self.connection, {slot: extent})
        self.extents[slot] = extent

    def _keeps(self, record: Record, newest: dict[bytes, int]) -> bool:
        if newest.get(record.key, record.offset) > record.offset:
            return False
        return record.value is not None or record.timestamp_ms > self.now_ms() - self.keep_tombstones_ms

    def _step(self, slot: int, first: int, before: int) -> tuple[list[int], list[Record]]:
        numbers: list[int] = []
        records: list[Record] = []
        for number, _, batch in store.batches(self.connection, slot, first, before):
            numbers.append(number)
            records += batch
            if len(records) >= _STEP_RECORDS or len(numbers) >= _STEP_BATCHES:
                break
        return numbers, records


def _runs(records: Sequence[Record], span_ms: int) -> list[list[Record]]:
    """Records that may share a batch: of a twentieth of the retention, since a batch goes as a whole."""
    runs: list[list[Record]] = []
    first = 0
    for record in records:
        if not runs or abs(record.timestamp_ms - first) > span_ms:
            runs.append([])
            first = record.timestamp_ms
        runs[-1].append(record)
    return runs
