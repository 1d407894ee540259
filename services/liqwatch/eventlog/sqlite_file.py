"""The file of the embedded log: where it lies, who may write it, its tables, and its errors in words."""

import fcntl
import os
import sqlite3
from pathlib import Path
from types import TracebackType
from urllib.parse import quote

from . import LogError, LogUnavailable

FORMAT = 1
_BUSY_MS = 1_000
_SCHEMA = """
CREATE TABLE topics (
    id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, partitions INTEGER NOT NULL,
    retention_ms INTEGER, compacted INTEGER NOT NULL
);
-- One row a partition. next_offset outlives the records, so that an offset is never given twice.
CREATE TABLE partitions (
    slot INTEGER PRIMARY KEY, start_offset INTEGER NOT NULL, next_offset INTEGER NOT NULL,
    clean_offset INTEGER NOT NULL, marked_ms INTEGER NOT NULL
);
-- id = slot + offset of the last record in it; body = MessagePack array of records.
CREATE TABLE batches (id INTEGER PRIMARY KEY, newest_ms INTEGER NOT NULL, body BLOB NOT NULL);
-- Every few seconds of record time: no record before this offset is as young as this.
CREATE TABLE marks (
    slot INTEGER NOT NULL, timestamp_ms INTEGER NOT NULL, offset INTEGER NOT NULL,
    PRIMARY KEY (slot, timestamp_ms)
) WITHOUT ROWID;
CREATE TABLE groups (
    name TEXT NOT NULL, topic TEXT NOT NULL, generation INTEGER NOT NULL, PRIMARY KEY (name, topic)
) WITHOUT ROWID;
"""


class LogInUse(LogError):
    """Another log, of this process or another one, writes the file; nothing is wrong with the file."""


def in_words(error: sqlite3.Error | OSError, path: Path) -> LogError:
    """What happened to the file and what to do. `LogUnavailable` where the same call may work later."""
    text = str(error)
    if "is full" in text:
        return LogUnavailable(f"{path}: no room left on the disk; free some, writing goes on by itself")
    if "locked" in text or "busy" in text:
        return LogUnavailable(f"{path}: locked by another program; close what has it open")
    if "readonly" in text or "read-only" in text or isinstance(error, PermissionError):
        return LogError(
            f"{path}: cannot be written; give this user write access to the file and its folder, "
            f"or name another file in log.path"
        )
    if "malformed" in text or "not a database" in text:
        return LogError(
            f"{path}: damaged ({text}); move it aside together with {path.name}-wal and {path.name}-shm "
            f"and start again, or put back a copy"
        )
    if "disk I/O" in text:
        return LogUnavailable(f"{path}: the disk reports an error ({text}); check the disk and its free space")
    if "unable to open" in text or isinstance(error, OSError):
        return LogError(f"{path}: cannot be opened ({text}); check log.path, its folder and its permissions")
    return LogError(f"{path}: {text}")


def check_room(connection: sqlite3.Connection, path: Path, least: int) -> None:
    """Raises `LogUnavailable` where less than `least` bytes are free, on the disk or inside the file."""
    try:
        disk = os.statvfs(path)
    except OSError:
        return  # nobody can say; the commit will
    if not disk.f_blocks or disk.f_bavail * disk.f_frsize >= least:  # some file systems have no bounds to tell
        return
    pages, size = (connection.execute(f"PRAGMA {name}").fetchone()[0] for name in ("freelist_count", "page_size"))
    if pages * size < least:
        raise LogUnavailable(
            f"{path}: no room left on the disk (the last {least >> 20} MiB are for deleting what is old); "
            f"free some, writing goes on by itself"
        )


def connect(path: Path, *, read_only: bool) -> sqlite3.Connection:
    """A connection in autocommit mode that any thread may use, one at a time."""
    mode = "ro" if read_only else "rwc"
    connection = sqlite3.connect(
        f"file:{quote(os.fsencode(path))}?mode={mode}", uri=True, isolation_level=None, check_same_thread=False
    )
    try:
        connection.execute(f"PRAGMA busy_timeout={_BUSY_MS}")
        if not read_only:
            connection.execute("PRAGMA journal_mode=WAL")
            connection.execute("PRAGMA synchronous=FULL")
            connection.execute(f"PRAGMA journal_size_limit={64 * 1024 * 1024}")
        connection.execute("PRAGMA mmap_size=0")  # a cut file raises an error instead of a bus error
    except BaseException:
        connection.close()
        raise
    return connection


def prepare(connection: sqlite3.Connection, path: Path, *, read_only: bool) -> None:
    """Makes the tables where they are not; refuses a file of a later format."""
    version = int(connection.execute("PRAGMA user_version").fetchone()[0])
    if version == 0 and not read_only:
        if connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]:
            raise LogError(f"{path}: a database, but not one of liqwatch; name another file in log.path")
        connection.executescript(f"BEGIN IMMEDIATE;{_SCHEMA}PRAGMA user_version={FORMAT};COMMIT;")
    elif version == 0:
        raise LogUnavailable(f"{path}: empty so far; start the program that writes it")
    elif version != FORMAT:
        raise LogError(
            f"{path}: written in format {version}, this program knows {FORMAT}; use a matching version of liqwatch"
        )


class WriterLock:
    """Held by the one process, and the one log in it, that may write the file.

    The lock is on a file beside it: closing any other handle on the database itself would drop SQLite's own locks.
    The kernel lets go of it when the process ends, however it ends.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        side = path.with_name(path.name + ".lock")
        self._handle = os.open(side, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            fcntl.flock(self._handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.read(self._handle, 32).decode("ascii", "replace").strip() or "unknown"
            os.close(self._handle)
            raise LogInUse(
                f"{path}: another liqwatch writes it (process {holder}); stop that one, "
                f"or name another file in log.path"
            ) from None
        except OSError:  # a file system that has no locks, or none left: nobody holds it
            os.close(self._handle)
            raise
        os.ftruncate(self._handle, 0)
        os.write(self._handle, str(os.getpid()).encode())

    def release(self) -> None:
        if self._handle >= 0:
            os.close(self._handle)
            self._handle = -1

    def __enter__(self) -> "WriterLock":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()
