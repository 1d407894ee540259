"""What the log cannot take now, on disk: one bounded append-only file, each record with its length and checksum.

Blocking; call it through a thread. One process at a time: the file is locked while it is open.
Within the process a call waits for the one before it, even where whoever asked for that one has gone.
"""

import fcntl
import os
import re
import shutil
import struct
import threading
import time
import zlib
from collections.abc import Iterator, Sequence
from io import FileIO
from pathlib import Path
from typing import BinaryIO, NamedTuple

from ..eventlog import Entry
from ..topics import COVERAGE, LIQUIDATIONS, REJECTED_FRAMES, Topic

_HEAD = struct.Struct("<II")  # length and CRC-32 of the body
_BODY = struct.Struct("<BqH")  # topic, timestamp, length of the key; key and value follow
_TOPICS = (LIQUIDATIONS, COVERAGE, REJECTED_FRAMES)  # by number; append only
_LARGEST = 1 << 20  # bytes of one record; more is damage
_LENGTH = re.compile(rb"(?s)(?=(?!\0\0\0)..[\0-\x10]\0)")  # what may be the length of a record
_WINDOW = 1 << 20
_RESERVE = 1 << 16  # bytes beyond the limit for what is small and must not be lost (`vital`)


class Spooled(NamedTuple):
    """A record and where it belongs."""

    topic: Topic
    entry: Entry


class Damage(NamedTuple):
    """A stretch of the file that holds no whole record: one that was changed or torn, or several."""

    key: bytes  # of the record that began it, where that can be read
    from_ms: int  # the records before and behind it are of these times
    to_ms: int
    bytes: int


class Spool:
    """Appended at the end, read from the front; removed when all of it was read and is in the log."""

    def __init__(self, path: Path, limit_bytes: int) -> None:
        self.path = path
        self.size = 0
        self.known = False  # what an earlier run left, if anything, was taken up
        self.damage: list[Damage] = []  # found and not told yet: whoever tells it, empties it
        self.aside: Path | None = None  # where the damaged file is kept
        self._limit = limit_bytes
        self._read = 0  # up to here the log has it
        self._ahead = 0  # up to here it was handed out
        self._file: FileIO | None = None
        self._lock = threading.RLock()

    @property
    def pending(self) -> bool:
        """Something is in it that the log does not have."""
        return self._read < self.size

    def open(self) -> None:
        """Takes up what an earlier run left, if anything; `damage` says what is not whole. Raises `OSError`."""
        with self._lock:
            if self._file is not None or self.size or not self.path.exists():
                self.known = True
                return
            length = os.fstat(self._opened().fileno()).st_size
            try:
                whole = all(record is not None for _, _, record in _scan(self.path, 0, length))
                self.size, self._read, self._ahead = length, 0, 0
                if not whole:
                    self._mend()
                if not self.size:
                    self.remove()
                self.known = True
            except OSError:
                self.close()
                self.size = 0
                raise

    def append(self, records: Sequence[Spooled], *, vital: bool = False) -> int:
        """Puts records at the end, on disk when this returns; returns how many the limit allowed.

        Raises `OSError`, and then has none of them.
        """
        with self._lock:
            self.open()  # where it could not be opened before: what is in it comes first
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
            records = self._next(most)
            if records is None:  # damaged while it was ours
                self._mend()
                records = self._next(most) or []
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

    def _next(self, most: int) -> list[Spooled] | None:
        """The next records; None where one of them is not whole."""
        records: list[Spooled] = []
        self._ahead = self._read
        if self._file is not None:
            for _, end, record in _scan(self.path, self._read, self.size):
                if record is None:
                    return None
                records.append(record)
                self._ahead = end
                if len(records) == most:
                    break
        return records

    def _mend(self) -> None:
        """Keeps the damaged file aside and goes on with a new one of what is whole and not yet in the log."""
        stamp = int(time.time() * 1000)
        aside = self.path.with_name(f"{self.path.name}.damaged-{stamp}")
        mended = self.path.with_name(f"{self.path.name}.mended")
        file = _locked(mended, os.O_TRUNC)
        try:
            found = self._copy_whole(file, stamp)
            os.fsync(file.fileno())
            try:
                os.link(self.path, aside)
            except OSError:  # not every file system has links
                shutil.copyfile(self.path, aside)
            mended.replace(self.path)
        except OSError:
            file.close()
            mended.unlink(missing_ok=True)
            raise
        self.close()
        self._file, self.size = file, file.tell()
        self._read = self._ahead = 0
        self.damage, self.aside = [*self.damage, *found], aside

    def _copy_whole(self, file: FileIO, now_ms: int) -> list[Damage]:
        found: list[Damage] = []
        before_ms: int | None = None
        first = 0  # of `found` whose end is not known yet
        with self.path.open("rb") as reader:
            for start, end, record in _scan(self.path, self._read, self.size):
                reader.seek(start)
                if record is None:
                    found.append(Damage(_key(reader.read(min(end - start, 200))), before_ms or 0, now_ms, end - start))
                    continue
                left = memoryview(reader.read(end - start))
                while left:
                    left = left[file.write(left) :]
                at_ms = record.entry.timestamp_ms
                for at in range(first, len(found)):
                    found[at] = found[at]._replace(from_ms=min(found[at].from_ms or at_ms, at_ms), to_ms=at_ms)
                first, before_ms = len(found), at_ms
        return [one._replace(from_ms=one.from_ms or one.to_ms, to_ms=max(one.from_ms, one.to_ms)) for one in found]

    def _opened(self) -> FileIO:
        if self._file is None:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._file = _locked(self.path)
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


def _locked(path: Path, flags: int = 0) -> FileIO:
    file = FileIO(os.open(path, os.O_RDWR | os.O_CREAT, 0o600), "r+")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        file.close()
        raise OSError(error.errno, "another process uses this spool", str(path)) from error
    if flags & os.O_TRUNC:  # only now that it is ours
        file.truncate(0)
    return file


def _scan(path: Path, start: int, end: int) -> Iterator[tuple[int, int, Spooled | None]]:
    """Each whole record, and each stretch between two that holds none (None), with where it begins and ends."""
    with path.open("rb", buffering=1 << 20) as reader:
        reader.seek(start)
        at = start
        while at < end:
            whole = _whole(reader, end - at)
            if whole is None:
                behind = _resume(reader, at + 1, end)
                yield at, behind, None
                at = behind
                reader.seek(at)
                continue
            length, record = whole
            yield at, at + length, record
            at += length


def _whole(reader: BinaryIO, room: int) -> tuple[int, Spooled] | None:
    """The record that begins here, and its length; None where none does."""
    head = reader.read(_HEAD.size)
    if len(head) < _HEAD.size:
        return None
    length, checksum = _HEAD.unpack(head)
    if not _BODY.size <= length <= _LARGEST or _HEAD.size + length > room:
        return None
    body = reader.read(length)
    record = _unpack(body) if len(body) == length and zlib.crc32(body) == checksum else None
    return None if record is None else (_HEAD.size + length, record)


def _resume(reader: BinaryIO, start: int, end: int) -> int:
    """Where the next whole record begins: a length that was changed must not cost what is behind it."""
    at = start
    while at < end:
        reader.seek(at)
        window = reader.read(min(_WINDOW, end - at))
        for match in _LENGTH.finditer(window):
            reader.seek(at + match.start())
            if _whole(reader, end - at - match.start()) is not None:
                return at + match.start()
        if len(window) < _WINDOW:
            break
        at += _WINDOW - 3  # a length may lie across
    return end


def _key(data: bytes) -> bytes:
    """The key of a record that is not whole; empty where that cannot be read."""
    if len(data) < _HEAD.size + _BODY.size:
        return b""
    _, _, length = _BODY.unpack_from(data, _HEAD.size)
    begin = _HEAD.size + _BODY.size
    return data[begin : begin + length] if begin + length <= len(data) else b""


def _unpack(body: bytes) -> Spooled | None:
    number, timestamp_ms, key_length = _BODY.unpack_from(body)
    if number >= len(_TOPICS) or _BODY.size + key_length > len(body):
        return None
    key_end = _BODY.size + key_length
    return Spooled(_TOPICS[number], Entry(body[_BODY.size : key_end], body[key_end:], timestamp_ms))
