"""The one thread that writes the embedded log: group commit, and housekeeping in between."""

import asyncio
import contextlib
import queue
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import structlog

from . import Entry, LogClosed, LogError, Position, Record
from . import sqlite_store as store
from .sqlite_file import check_room, in_words
from .sqlite_tidy import Tidy

_COMMIT_RECORDS = 20_000
_STEP_EVERY = 0.05  # seconds between two steps of housekeeping while appends keep coming
_LOOK_EVERY = 0.25  # seconds between two looks at the room on the disk …
_LOOKS = 16  # … or fewer: so many while what is to be kept free fills up


@dataclass(slots=True)
class Append:
    """Entries for one topic with the partition of each."""

    topic: store.StoredTopic
    entries: Sequence[Entry]
    partitions: Sequence[int]
    done: asyncio.Future[list[Position]]


@dataclass(slots=True)
class Call:
    """Something else to do on the writing connection, as a transaction of its own."""

    work: Callable[[sqlite3.Connection], Any]
    done: asyncio.Future[Any]


Job = Append | Call
Outcome = tuple[asyncio.Future[Any], Any]
Told = Callable[[list[Outcome], dict[int, int], Mapping[int, Sequence[Record]]], None]


@dataclass(slots=True)
class Writer:
    """Takes jobs in order. `told` is called in the event loop with outcomes, and by slot the new ends and records."""

    connection: sqlite3.Connection
    path: Path
    loop: asyncio.AbstractEventLoop
    told: Told
    tidy: Tidy
    tidy_every: float
    keep_free: int  # bytes
    _jobs: queue.SimpleQueue[Job | None] = field(default_factory=queue.SimpleQueue)
    _thread: threading.Thread | None = None
    _known: bool = True  # whether `tidy.extents` is what the file says
    _steps: Iterator[None] | None = None
    _next_tidy: float = 0.0
    _next_step: float = 0.0
    _trouble: str = ""  # of housekeeping
    _next_look: float = 0.0
    _unseen: int = 0  # bytes appended since the last look

    def start(self) -> None:
        self._next_tidy = time.monotonic() + self.tidy_every
        self._thread = threading.Thread(target=self._run, name="liqwatch-log-writer", daemon=True)
        self._thread.start()

    def submit(self, job: Job) -> None:
        self._jobs.put(job)

    def stop(self, timeout: float) -> bool:
        """Finishes what was submitted; False if the disk did not let it in time. Blocks: call it in a thread."""
        self._jobs.put(None)
        if self._thread is not None:
            self._thread.join(timeout)
            return not self._thread.is_alive()
        return True

    def _run(self) -> None:
        try:
            while True:
                jobs, ending = self._take()
                for group in _groups(jobs):
                    self._do(group)
                if ending:
                    return
                self._tidy_a_step()
        finally:
            self._steps = None
            with contextlib.suppress(sqlite3.Error):  # while a reader has the file open, closing alone would not do it
                self.connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            self.connection.close()

    def _take(self) -> tuple[list[Job], bool]:
        """All that waits, up to one commit's worth; waits for the first unless there is housekeeping to do."""
        jobs: list[Job] = []
        size = 0
        wait = 0.0 if self._steps is not None else max(0.0, self._next_tidy - time.monotonic())
        while size < _COMMIT_RECORDS:
            try:
                job = self._jobs.get(timeout=wait) if wait and not jobs else self._jobs.get_nowait()
            except queue.Empty:
                break
            if job is None:
                return jobs, True
            jobs.append(job)
            size += len(job.entries) if isinstance(job, Append) else 1
        return jobs, False

    def _do(self, jobs: list[Job]) -> None:
        outcomes: list[Outcome]
        ends: dict[int, int] = {}
        fresh: dict[int, list[Record]] = {}
        try:
            if not self._known:
                self._look()
            if isinstance(jobs[0], Call):
                outcomes = [(job.done, self._call(job)) for job in jobs if isinstance(job, Call)]
                changed = store.extents(self.connection)
            else:
                appends = [job for job in jobs if isinstance(job, Append)]
                positions = self._place(appends, fresh)
                rows = store.batched(fresh)
                self._see_room(sum([len(body) for _, _, body in rows]))
                changed = store.write(self.connection, rows, self.tidy.extents)
                outcomes = list(zip([job.done for job in appends], positions, strict=True))
        except Exception as error:
            outcomes, fresh = [(job.done, self._failed(error)) for job in jobs], {}
        else:
            self.tidy.extents.update(changed)
            ends = {slot: extent.next for slot, extent in changed.items()}
        self._tell(outcomes, ends, fresh)

    def _call(self, job: Call) -> Any:
        with store.transaction(self.connection):
            return job.work(self.connection)

    def _see_room(self, size: int) -> None:
        """Not at every commit: the question alone lets go of the interpreter."""
        self._unseen += size
        now = time.monotonic()
        if now >= self._next_look or self._unseen > self.keep_free // _LOOKS:
            check_room(self.connection, self.path, self.keep_free)
            self._next_look, self._unseen = now + _LOOK_EVERY, 0

    def _place(self, jobs: Sequence[Append], fresh: dict[int, list[Record]]) -> list[list[Position]]:
        """Gives every entry its offset; the records go to `fresh`, by slot."""
        results: list[list[Position]] = []
        for job in jobs:
            positions: list[Position] = []
            slots = job.topic.slots()
            for entry, partition in zip(job.entries, job.partitions, strict=True):
                slot = slots[partition]
                rows = fresh.get(slot)
                if rows is None:
                    rows = fresh[slot] = []
                offset = self.tidy.extents[slot].next + len(rows)
                rows.append(Record(partition, offset, entry.timestamp_ms, entry.key, entry.value))
                positions.append(Position(partition, offset))
            results.append(positions)
        return results

    def _failed(self, error: Exception) -> Exception:
        """Undoes the transaction and reads again what the file says: a failed commit leaves no other truth."""
        self._known = False
        try:
            if self.connection.in_transaction:
                self.connection.execute("ROLLBACK")
            self._look()
        except sqlite3.Error as second:
            error = second
        return in_words(error, self.path) if isinstance(error, sqlite3.Error) else error

    def _look(self) -> None:
        found = store.extents(self.connection)
        self.tidy.extents.clear()
        self.tidy.extents.update(found)
        self._known = True

    def _tidy_a_step(self) -> None:
        now = time.monotonic()
        if self._steps is None and now >= self._next_tidy:
            self._steps = self.tidy.run()
        if self._steps is None or (now < self._next_step and not self._jobs.empty()):
            return
        self._next_step = now + _STEP_EVERY
        try:
            next(self._steps)
        except StopIteration:
            self._tidied("")
        except Exception as error:
            self._tidied(str(self._failed(error)))

    def _tidied(self, trouble: str) -> None:
        self._steps, self._next_tidy = None, time.monotonic() + self.tidy_every
        if trouble and trouble != self._trouble:
            structlog.get_logger("log").warning("housekeeping failed", reason=trouble)
        elif self._trouble and not trouble:
            structlog.get_logger("log").info("housekeeping works again")
        self._trouble = trouble

    def _tell(self, outcomes: list[Outcome], ends: dict[int, int], fresh: Mapping[int, Sequence[Record]]) -> None:
        try:
            self.loop.call_soon_threadsafe(self.told, outcomes, ends, fresh)
        except RuntimeError:  # the loop was closed before the log: nobody waits any more
            return


def _groups(jobs: Sequence[Job]) -> Iterator[list[Job]]:
    """Neighbouring appends share a transaction; anything else has one of its own."""
    group: list[Job] = []
    for job in jobs:
        if group and not (isinstance(job, Append) and isinstance(group[-1], Append)):
            yield group
            group = []
        group.append(job)
    if group:
        yield group


def resolve(outcomes: list[Outcome]) -> None:
    """Tells those who still wait."""
    for future, result in outcomes:
        if future.done():
            continue
        if isinstance(result, Exception):
            future.set_exception(result)
        else:
            future.set_result(result)


def refuse(future: asyncio.Future[Any], error: LogError | None = None) -> None:
    if not future.done():
        future.set_exception(error or LogClosed("the log was closed"))
