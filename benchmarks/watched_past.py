"""How long the alerter reads what was watched in the last month, before it judges rules relative to the past.

    python -m benchmarks.watched_past [--json] [--days 31] [--collectors 2] [--log FILE]

The coverage topic of 23 venues, as the collector's own tracker writes it: every interval that grows again each five
seconds, and now and then ended by a lost connection. Then the alerter's reader of the past, on a log of that file.
Measured are CPU seconds until hours can be compared with, the longest that the loop was held up meanwhile, and the
memory it takes. `--log` keeps the file, and reads one that is there as it is: a month takes minutes to write.
"""

import argparse
import asyncio
import contextlib
import json
import multiprocessing
import random
import tempfile
import time
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

import structlog

from liqwatch import venues
from liqwatch.alerter.past import PastReader
from liqwatch.cli import run_loop
from liqwatch.clock import Clock
from liqwatch.coins import MAJORS
from liqwatch.collector.coverage import CoverageTracker
from liqwatch.eventlog import Entry
from liqwatch.eventlog.sqlite import SqliteLog
from liqwatch.events import Coverage
from liqwatch.following import Away, Follower
from liqwatch.settings import CollectorSettings, RuleSettings
from liqwatch.topics import COVERAGE, TOPICS, Topic
from liqwatch.venues.base import Venue

DAYS = 31
VENUES = 23
COLLECTORS = 2
DAY_MS = 86_400_000
_EVERY_MS = int(CollectorSettings().coverage_every.total_seconds() * 1000)
_BREAKS = 4  # a day, of each venue at each collector
_BATCH = 20_000
_PATIENCE_SECONDS = 900.0
RULE = RuleSettings.model_validate({"name": "relative", "scope": "all", "window": "1h", "thresholds": ["2 x p95"]})


class Watching:
    """One venue at one collector, on clocks of its own."""

    def __init__(self, venue: Venue, collector: str, from_ms: int, seed: str, sent: list[Coverage]) -> None:
        self._dice = random.Random(seed)
        self.now_ms = from_ms + self._dice.randrange(_EVERY_MS)
        self._tracker = CoverageTracker(
            venue, collector, Clock(wall=self._now), sent.append, lambda seconds: None, self._now
        )
        self._tracker.begin()

    def _now(self) -> float:
        return self.now_ms / 1000

    def tick(self) -> None:
        """Five seconds later: the interval has grown, or ended some seconds ago and begins anew."""
        self.now_ms += _EVERY_MS
        if self._dice.random() < _BREAKS * _EVERY_MS / DAY_MS:
            self._tracker.end("main: closed", self.now_ms - self._dice.randrange(20_000))
            self.now_ms += self._dice.randrange(1, 40_000)
            self._tracker.begin()
        else:
            self._tracker.tick(write=True)


def told(names: Collection[str], collectors: int, from_ms: int, to_ms: int) -> Iterator[Coverage]:
    """What the collectors say of that time, as it comes."""
    sent: list[Coverage] = []
    known = venues.discover()
    watchings = [
        Watching(known[name], f"collector-{number}", from_ms, f"{name}{number}{from_ms}", sent)
        for name in names
        for number in range(1, collectors + 1)
    ]
    for at_ms in range(from_ms, to_ms, _EVERY_MS):
        for watching in watchings:
            while watching.now_ms < at_ms + _EVERY_MS:
                watching.tick()
        sent.sort(key=lambda message: message.to_ms)
        yield from sent
        sent.clear()


async def fill(path: Path, from_ms: int, to_ms: int, collectors: int) -> None:
    """Writes what the collectors said in that time."""
    log = SqliteLog(path, Clock())
    await log.open()
    await log.create(TOPICS.values())
    entries: list[Entry] = []
    for message in told(venues.names()[:VENUES], collectors, from_ms, to_ms):
        entries.append(Entry(message.venue.encode(), message.model_dump_json().encode(), message.to_ms))
        if len(entries) >= _BATCH:
            await log.append(COVERAGE, entries)
            entries.clear()
    await log.append(COVERAGE, entries)
    await log.close()


class Beat:
    """How long the loop was held up, at the longest."""

    longest = 0.0

    async def run(self) -> None:
        while True:
            before = time.perf_counter()
            await asyncio.sleep(0.001)
            self.longest = max(self.longest, time.perf_counter() - before)


async def read(path: Path) -> dict[str, Any]:
    """Lets the alerter's reader read until hours are known."""
    clock = Clock()
    log = SqliteLog(path, clock)
    await log.open()
    try:
        return await _read(log, clock)
    finally:
        await log.close()


async def _read(log: SqliteLog, clock: Clock) -> dict[str, Any]:
    words, records = structlog.get_logger("bench"), 0
    found = asyncio.Event()

    def follow(topic: Topic, start: Any, take: Any, then: Any) -> Follower:
        def counting(taken: int) -> None:
            nonlocal records
            records += taken * (topic is COVERAGE)
            then(taken)

        return Follower(log, topic, start, take, Away(words), words, then=counting)

    def look() -> None:
        if reader.hours("all", 3_600_000, clock.now_ms()):
            found.set()

    begun, cpu, before = time.perf_counter(), time.process_time(), _memory_mib()
    reader = PastReader(follow, clock, [RULE], MAJORS, look)
    beat = Beat()
    tasks = [asyncio.create_task(reader.run()), asyncio.create_task(beat.run())]
    async with asyncio.timeout(_PATIENCE_SECONDS):
        await found.wait()
    seconds, cpu_seconds = time.perf_counter() - begun, time.process_time() - cpu
    for task in tasks:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
    return {
        "records": records,
        "hours": len(reader.hours("all", 3_600_000, clock.now_ms())),
        "seconds": round(seconds, 1),
        "cpu_seconds": round(cpu_seconds, 1),
        "held_up_ms": round(beat.longest * 1000, 1),
        "more_mib": _memory_mib() - before,
    }


def _memory_mib() -> int:
    status = Path("/proc/self/status").read_text(encoding="utf-8")
    return int(status.partition("VmHWM:")[2].split()[0]) // 1024


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--days", type=int, default=DAYS)
    parser.add_argument("--collectors", type=int, default=COLLECTORS)
    parser.add_argument("--log", type=Path)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="liqwatch-watched-") as folder:
        path = options.log or Path(folder) / "log.db"
        if not path.exists():
            now_ms = Clock().now_ms()
            run_loop(fill(path, now_ms - options.days * DAY_MS, now_ms, options.collectors))
        row = _in_a_process_of_its_own(path)
        size = path.stat().st_size / 2**20
    result = "\n".join(
        [
            f"Coverage of {options.days} days, {VENUES} venues and {options.collectors} collectors, {size:,.0f} MiB.",
            "",
            "| until rules relative to the past can be judged | measured |",
            "|---|---:|",
            f"| records read | {row['records']:,} |",
            f"| seconds | {row['seconds']} |",
            f"| of them CPU time | {row['cpu_seconds']} |",
            f"| the loop was held up, at the longest | {row['held_up_ms']} ms |",
            f"| memory | {row['more_mib']} MiB |",
        ]
    )
    print(json.dumps({"markdown": result, **row}) if options.json else result)


def _in_a_process_of_its_own(path: Path) -> dict[str, Any]:
    """Its memory is then that of the reading alone."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(_read_alone, (path,))


def _read_alone(path: Path) -> dict[str, Any]:
    return run_loop(read(path))


if __name__ == "__main__":
    main()
