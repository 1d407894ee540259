"""What lies in the embedded log, and the statements that read and write it. Plain functions on a connection.

Records are kept in batches, one row for what one commit brought to one partition, and a commit is one statement: each
lets go of the interpreter lock some times, and a busy loop in the same process then holds up the log every time.
"""

import contextlib
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, NamedTuple, TypeAlias

import msgspec

from ..topics import Topic
from . import Record, TopicState
from .checks import missing

MARK_EVERY_MS = 5_000
BATCH_RECORDS = 500
BATCH_BYTES = 512 * 1024
_OFFSET_BITS = 43
_LAST = (1 << _OFFSET_BITS) - 1
_PARTITION_BITS = 12
_ROWS_AT_ONCE = 1_000

Row: TypeAlias = tuple[int, int, bytes]  # of `batches`

_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(list[Record]).decode


@dataclass(frozen=True, slots=True)
class StoredTopic:
    """A row of `topics`."""

    id: int
    state: TopicState

    def slot(self, partition: int) -> int:
        """The id under which a partition's offset 0 would lie."""
        return (self.id << _PARTITION_BITS | partition) << _OFFSET_BITS

    def slots(self) -> list[int]:
        return [self.slot(partition) for partition in range(self.state.partitions)]


@dataclass(frozen=True, slots=True)
class Extent:
    """A row of `partitions`: [start, next) may be read; below `clean` batches are merged, or keys are unique."""

    start: int = 0
    next: int = 0
    clean: int = 0
    marked_ms: int = -(1 << 62)


def topics(connection: sqlite3.Connection) -> dict[str, StoredTopic]:
    rows = connection.execute("SELECT id, name, partitions, retention_ms, compacted FROM topics").fetchall()
    return {
        name: StoredTopic(
            number,
            TopicState(
                name,
                partitions,
                None if retention is None else timedelta(milliseconds=retention),
                bool(compacted),
            ),
        )
        for number, name, partitions, retention, compacted in rows
    }


def topic_named(connection: sqlite3.Connection, name: str) -> StoredTopic:
    """Raises `TopicMissing`."""
    found = topics(connection).get(name)
    if found is None:
        raise missing(name)
    return found


def add_topic(connection: sqlite3.Connection, topic: Topic) -> StoredTopic:
    retention = None if topic.retention is None else int(topic.retention.total_seconds() * 1000)
    number = connection.execute(
        "INSERT INTO topics (name, partitions, retention_ms, compacted) VALUES (?, ?, ?, ?) RETURNING id",
        (topic.name, topic.partitions, retention, topic.compacted),
    ).fetchone()[0]
    stored = StoredTopic(number, TopicState(topic.name, topic.partitions, topic.retention, topic.compacted))
    save(connection, {slot: Extent() for slot in stored.slots()})
    return stored


def extents(connection: sqlite3.Connection) -> dict[int, Extent]:
    """By slot."""
    rows = connection.execute("SELECT slot, start_offset, next_offset, clean_offset, marked_ms FROM partitions")
    return {row[0]: Extent(*row[1:]) for row in rows}


def save(connection: sqlite3.Connection, changed: Mapping[int, Extent]) -> None:
    rows = [(slot, e.start, e.next, e.clean, e.marked_ms) for slot, e in changed.items()]
    _put(connection, "INSERT OR REPLACE INTO partitions", rows)


class transaction:
    """All that is done inside, or nothing of it."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def __enter__(self) -> None:
        self._connection.execute("BEGIN IMMEDIATE")

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        if kind is None:
            self._connection.execute("COMMIT")
        elif self._connection.in_transaction:
            self._connection.execute("ROLLBACK")


def keep_extents(connection: sqlite3.Connection) -> None:
    """From now on what this connection adds behind the end of a slot moves the end, and makes the mark that is due."""
    slot, offset = f"(NEW.id & ~{_LAST})", f"(NEW.id & {_LAST})"
    connection.execute(
        "CREATE TEMP TRIGGER extents AFTER INSERT ON main.batches BEGIN "  # noqa: S608 - numbers of ours
        "INSERT INTO marks SELECT slot, NEW.newest_ms, next_offset FROM partitions "
        f"WHERE slot = {slot} AND next_offset <= {offset} AND NEW.newest_ms >= marked_ms + {MARK_EVERY_MS}; "
        f"UPDATE partitions SET next_offset = {offset} + 1, marked_ms = CASE "
        f"WHEN NEW.newest_ms >= marked_ms + {MARK_EVERY_MS} THEN NEW.newest_ms ELSE marked_ms END "
        f"WHERE slot = {slot} AND next_offset <= {offset}; END"
    )


def write(connection: sqlite3.Connection, rows: Sequence[Row], known: Mapping[int, Extent]) -> dict[int, Extent]:
    """Adds batches behind the ends of their slots; what these slots are then.

    A transaction of its own, on a connection that keeps extents.
    """
    # A statement alone is a transaction too.
    with transaction(connection) if len(rows) > _ROWS_AT_ONCE else contextlib.nullcontext():
        _put(connection, "INSERT INTO batches", rows)
    changed: dict[int, Extent] = {}
    for number, newest, _ in rows:  # as the trigger does
        slot, offset = number & ~_LAST, number & _LAST
        extent = changed.get(slot) or known[slot]
        marked = newest if newest >= extent.marked_ms + MARK_EVERY_MS else extent.marked_ms
        changed[slot] = Extent(extent.start, offset + 1, extent.clean, marked)
    return changed


def insert(connection: sqlite3.Connection, fresh: Mapping[int, Sequence[Record]]) -> None:
    """Writes records by slot, as batches of bounded size."""
    _put(connection, "INSERT INTO batches", batched(fresh))


def batched(fresh: Mapping[int, Sequence[Record]]) -> list[Row]:
    """Records by slot as rows of `batches`."""
    return [
        (slot + batch[-1].offset, max([record.timestamp_ms for record in batch]), _encode(batch))
        for slot, records in fresh.items()
        for batch in _batches(records)
    ]


def _put(connection: sqlite3.Connection, into: str, rows: Sequence[tuple[Any, ...]]) -> None:
    """Many rows a statement: each one lets go of the interpreter, and waits until a busy loop gives it back."""
    for at in range(0, len(rows), _ROWS_AT_ONCE):
        chunk = rows[at : at + _ROWS_AT_ONCE]
        marks = ",".join([f"({','.join('?' * len(chunk[0]))})"] * len(chunk))
        connection.execute(f"{into} VALUES {marks}", [value for row in chunk for value in row])


def _batches(records: Sequence[Record]) -> Iterator[Sequence[Record]]:
    for at in range(0, len(records), BATCH_RECORDS):
        batch = records[at : at + BATCH_RECORDS]
        if sum(len(record.value or b"") for record in batch) <= BATCH_BYTES:
            yield batch
            continue
        first = size = 0
        for index, record in enumerate(batch):
            size += len(record.value or b"")
            if size > BATCH_BYTES and index > first:
                yield batch[first:index]
                first, size = index, len(record.value or b"")
        yield batch[first:]


def batches(
    connection: sqlite3.Connection, slot: int, first: int, before: int = _LAST
) -> Iterator[tuple[int, int, list[Record]]]:
    """(id, newest timestamp, records) of the batches that end in [first, before), in order."""
    rows = connection.execute(
        "SELECT id, newest_ms, body FROM batches WHERE id >= ? AND id < ? ORDER BY id", (slot + first, slot + before)
    )
    for number, newest, body in rows:
        yield number, newest, _decode(body)


class Page(NamedTuple):
    """What lies in [wanted or `start`, `reached`) of a partition; offsets without a record were deleted."""

    start: int
    reached: int
    records: list[Record]


def page(connection: sqlite3.Connection, wanted: Mapping[int, int], budget: int) -> dict[int, Page]:
    """What comes next per slot, from the offset wanted on: at least one batch, about an equal share of `budget`."""
    share = max(1, budget // max(1, len(wanted)))
    found: dict[int, Page] = {}
    connection.execute("BEGIN")  # one view of extents and batches
    try:
        known = extents(connection)
        for slot, offset in wanted.items():
            extent = known[slot]
            records: list[Record] = []
            reached = max(offset, extent.next)
            for _, _, batch in batches(connection, slot, max(offset, extent.start)):
                records += batch if batch[0].offset >= offset else [r for r in batch if r.offset >= offset]
                if len(records) >= share:
                    reached = records[-1].offset + 1
                    break
            found[slot] = Page(extent.start, reached, records)
    finally:
        connection.execute("COMMIT")
    return found


def first_since(connection: sqlite3.Connection, slot: int, since_ms: int) -> int:
    """The offset of the first record not older than `since_ms`, or the end."""
    mark = connection.execute(
        "SELECT offset FROM marks WHERE slot = ? AND timestamp_ms < ? ORDER BY timestamp_ms DESC LIMIT 1",
        (slot, since_ms),
    ).fetchone()
    extent = extents(connection)[slot]
    row = connection.execute(
        "SELECT body FROM batches WHERE id >= ? AND id <= ? AND newest_ms >= ? ORDER BY id LIMIT 1",
        (slot + max(mark[0] if mark else 0, extent.start), slot + _LAST, since_ms),
    ).fetchone()
    if row is None:
        return extent.next
    return next(record.offset for record in _decode(row[0]) if record.timestamp_ms >= since_ms)


def join_group(connection: sqlite3.Connection, name: str, topic: str) -> int:
    """The next generation of a group; it only grows."""
    return int(
        connection.execute(
            "INSERT INTO groups VALUES (?, ?, 1) ON CONFLICT DO UPDATE SET generation = generation + 1 "
            "RETURNING generation",
            (name, topic),
        ).fetchone()[0]
    )


def delete(connection: sqlite3.Connection, first: int, last: int) -> None:
    """The batches whose ids lie in [first, last]."""
    connection.execute("DELETE FROM batches WHERE id >= ? AND id <= ?", (first, last))
