"""The log: append-only topics with partitions, offsets and keys. Two backends keep the same promises.

Order. Within a partition records are read in the order of their offsets. A key always goes to the same
partition (`topics.partition_for`).
Durability. `append` returns when the log has the records (SQLite: committed with synchronous=FULL; Kafka:
acks=all). Only then are they the caller's to forget. If it raises, they may or may not be there: append
again; readers know repeated ids. It does not give up by itself during an outage; cancel it or use `timeout`.
Time. Each record carries a timestamp in milliseconds; retention and time seeks go by it.
Loss. Where retention overtook a reader, the records it missed are counted (`Reader.lost`), never skipped in
silence.
Groups. The partitions of a topic are shared by the members of a group; `Member.assignment` says which are
ours, with a generation that only grows.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import NamedTuple, Protocol

import msgspec

from ..topics import Topic


class LogError(Exception):
    """A log could not do what was asked. The text is for people and names the remedy."""


class LogUnavailable(LogError):
    """The log cannot be reached now; the same call may work later."""


class RecordRefused(LogError):
    """The log will never take a record of the call, such as one too large; without it the others may be taken."""


class TopicMissing(LogError):
    """A topic is not there; `liqwatch topics create` makes it."""


class TopicUnfit(LogError):
    """A topic is there, but with the wrong number of partitions, cleanup, or too short a retention."""


class LogClosed(LogError):
    """The log was closed."""


class Entry(msgspec.Struct, frozen=True, gc=False):
    """A record to append. `value` None is a tombstone; `partition` None means by key.

    A Struct, as `Record`: thousands a second are alive at once, and the garbage collector need not look at them.
    """

    key: bytes
    value: bytes | None
    timestamp_ms: int
    partition: int | None = None


class Position(NamedTuple):
    """Where a record was put."""

    partition: int
    offset: int


class Record(msgspec.Struct, frozen=True, gc=False, array_like=True):
    """A record as a reader gets it."""

    partition: int
    offset: int
    timestamp_ms: int
    key: bytes
    value: bytes | None


@dataclass(frozen=True, slots=True)
class Start:
    """Where a reader begins: `EARLIEST`, `LATEST`, or the first record not older than `since_ms` (epoch)."""

    at: str  # "earliest" | "latest" | "since"
    since_ms: int = 0


EARLIEST = Start("earliest")
LATEST = Start("latest")


def since(epoch_ms: int) -> Start:
    """Begin with the first record whose timestamp is not older than `epoch_ms`."""
    return Start("since", epoch_ms)


@dataclass(frozen=True, slots=True)
class Assignment:
    """The partitions a member holds now.

    `fresh` are those whose reading began anew with this assignment (at the member's start position): not held
    before, or had by another member meanwhile. The others go on where they were. `end_offsets` are the ends seen
    at that moment for the fresh ones: at them the partition is caught up.
    """

    generation: int
    partitions: frozenset[int]
    fresh: frozenset[int] = frozenset()
    end_offsets: Mapping[int, int] = field(default_factory=dict)


NOTHING_ASSIGNED = Assignment(0, frozenset())


@dataclass(frozen=True, slots=True)
class TopicState:
    """What the log says of a topic."""

    name: str
    partitions: int
    retention: timedelta | None
    compacted: bool


class Reader(Protocol):
    """Reads all, or some, partitions of one topic on its own."""

    async def fetch(self, timeout: float) -> Sequence[Record]:
        """What has come, as soon as something has; empty after `timeout` seconds. Fair to all partitions.

        Raises `LogUnavailable` in an outage; call again (with a pause): reading goes on where it was."""
        ...

    def positions(self) -> Mapping[int, int]:
        """Per partition the offset of the next record to be read."""
        ...

    async def end_offsets(self) -> Mapping[int, int]:
        """Per partition the offset that the next appended record will get."""
        ...

    @property
    def lost(self) -> int:
        """Records that retention took away before they were read.

        What compaction took, or a later record took the place of, is no loss; where retention overtook the reader, it
        counts too.
        """
        ...

    async def close(self) -> None: ...


class Member(Reader, Protocol):
    """A reader that shares the partitions of its topic with the other members of its group."""

    @property
    def assignment(self) -> Assignment:
        """Changes only inside `fetch`: compare before using its records. An equal object = nothing changed."""
        ...


class Log(Protocol):
    """A log. Built by `assembly.py`; `open` before use, `close` after."""

    async def open(self) -> None:
        """Connects. Raises `LogUnavailable` or `LogError` with the remedy."""
        ...

    async def append(self, topic: Topic, entries: Sequence[Entry]) -> Sequence[Position]:
        """Returns when the log has them all, in the order given per partition."""
        ...

    async def reader(
        self, topic: Topic, *, start: Start = EARLIEST, partitions: Collection[int] | None = None
    ) -> Reader: ...

    async def member(self, topic: Topic, group: str, *, start: Start | timedelta = EARLIEST) -> Member:
        """Joins `group`. A `timedelta` as start means: that long before the moment of assignment."""
        ...

    async def describe(self, topic: Topic) -> TopicState | None:
        """None where the topic is missing."""
        ...

    async def create(self, topics: Collection[Topic]) -> Sequence[str]:
        """Makes what is missing and returns the names made. Raises `TopicUnfit` for one that is there but wrong."""
        ...

    async def close(self, timeout: float = 5.0) -> None:
        """Ends within `timeout` seconds, whatever the state of the broker."""
        ...
