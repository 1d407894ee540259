"""What the log cannot take now, on disk: one bounded append-only file, each record with its length and checksum.

Blocking; call it through a thread. One process at a time: the file is locked while it is open.
Within the process a call waits for the one before it, even where whoever asked for that one has gone.
"""

import fcntl
import os
import struct
import threading
import zlib
from collections.abc import Iterator, Sequence
from io import FileIO
from pathlib import Path
from typing import NamedTuple

from ..eventlog import Entry
from ..topics import COVERAGE, LIQUIDATIONS, REJECTED_FRAMES, Topic

_HEAD = struct.Struct("<II")  # length and CRC-32 of the body
_BODY = struct.Struct("<BqH")  # topic, timestamp, length of the key; key and value follow
_TOPICS = (LIQUIDATIONS, COVERAGE, REJECTED_FRAMES)  # by number; append only
_LARGEST = 1 << 20  # bytes of one record; more is damage
_RESERVE = 1 << 16  # bytes beyond the limit for what is small and must not be lost (`vital`)


class Spooled(NamedTuple):
    """A record and where it belongs."""

    topic: Topic
    entry: Entry


class Damage(NamedTuple):
    """What could not be read of a spool that was found."""

    records: int  # whole records with a wrong checksum, skipped
    torn_bytes: int  # after the last whole record, cut off


class Spool:
    """Appended at the end, read from the front; removed when all of it was read and is in the log."""

    def __init__(self, path: Path, limit_bytes: int) -> None:
        self.path = path
        self.size = 0
        self._limit = limit_bytes
        self._read = 0  # up to here the log has it
        self._ahead = 0  # up to here it was handed out
        self._file: FileIO | None = None
        self._lock = threading.RLock()

    @property
    def pending(self) -> bool:
        """Something is in it that the log does not have."""
        return self._read < self.size

    def open(self) -> Damage:
        """Takes up what an earlier run left, if anything. Raises `OSError`."""
        with self._lock:
            if self._file is not None or not self.path.exists():
                return Damage(0, 0)
            file = self._opened()
            length = os.fstat(file.fileno()).st_size
            end = damaged = 0
            for end, record in _scan(self.path, 0, length):  # noqa: B007 - the last `end` is what is asked for
                damaged += record is None
            if end < length:
                file.truncate(end)
            self.size, self._read, self._ahead = end, 0, 0
            if end == 0:
                self.remove()
            return Damage(damaged, length - end)

    def append(self, records: Sequence[Spooled], *, vital: bool = False) -> int:
        """Puts records at the end, on disk when this returns; returns how many the limit allowed.

        Raises `OSError`, and then has none of them.
        """
        with self._lock:
            limit = self._limit + (_RESERVE if vital and self._limit else 0)
            packed: list[bytes] = []
            size = self.size
            for record in records:
                data = _pack(record)
                if size + len(data) > limit:
                    break
                packed.append(data)
                size += len(data)
            if not packed:
                return 0
            file = self._opened()
            try:
                file.seek(self.size)
                left = memoryview(b"".join(packed))
                while left:
                    left = left[file.write(left) :]
                os.fsync(file.fileno())
            except OSError:
                self._cut_back()
                raise
            self.size = size
            return len(packed)

    def take(self, most: int) -> list[Spooled]:
        """The oldest records that the log does not have. `done` tells that it has them now."""
        with self._lock:
            records: list[Spooled] = []
            self._ahead = self._read
            if self._file is not None:
                for end, record in _scan(self.path, self._read, self.size):
                    self._ahead = end
                    if record is not None:
                        records.append(record)
                    if len(records) == most:
                        break
            if not records:  # damage up to the end
                self._ahead = self.size
            return records

    def done(self) -> None:
        """The log has what `take` gave; an empty spool is removed."""
        with self._lock:
            self._read = self._ahead
            if not self.pending:
                self.remove()

    def remove(self) -> None:
        """Nothing of it is needed any more."""
        with self._lock:
            self.path.unlink(missing_ok=True)
            self.close()
            self.size = self._read = self._ahead = 0

    def close(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None

    def _opened(self) -> FileIO:
        if self._file is None:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            file = FileIO(os.open(self.path, os.O_RDWR | os.O_CREAT, 0o600), "r+")
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError as error:
                file.close()
                raise OSError(error.errno, "another process uses this spool", str(self.path)) from error
            self._file = file
        return self._file

    def _cut_back(self) -> None:
        """After a failed write: the file as it was before, so that what follows can be read."""
        try:
            if self._file is not None:
                self._file.truncate(self.size)
        except OSError:
            self.close()  # the torn tail is found, and cut off, when it is opened again


def _pack(record: Spooled) -> bytes:
    topic, entry = record
    head = _BODY.pack(_TOPICS.index(topic), entry.timestamp_ms, len(entry.key))
    body = b"".join((head, entry.key, entry.value or b""))
    return _HEAD.pack(len(body), zlib.crc32(body)) + body


def _scan(path: Path, start: int, end: int) -> Iterator[tuple[int, Spooled | None]]:
    """Each whole record with the offset behind it; None for one whose checksum is wrong. Stops at a torn one."""
    with path.open("rb", buffering=1 << 20) as reader:
        reader.seek(start)
        at = start
        while at + _HEAD.size <= end:
            length, checksum = _HEAD.unpack(reader.read(_HEAD.size))
            if not _BODY.size <= length <= _LARGEST or at + _HEAD.size + length > end:
                return
            body = reader.read(length)
            at += _HEAD.size + length
            yield at, _unpack(body) if zlib.crc32(body) == checksum else None


def _unpack(body: bytes) -> Spooled | None:
    number, timestamp_ms, key_length = _BODY.unpack_from(body)
    if number >= len(_TOPICS) or _BODY.size + key_length > len(body):
        return None
    key_end = _BODY.size + key_length
    return Spooled(_TOPICS[number], Entry(body[_BODY.size : key_end], body[key_end:], timestamp_ms))
