"""`liqwatch alert` in a process of its own: the real program, with points at which it can be told to die.

On the embedded log, which one process owns, it also writes the totals that it judges.
"""

import asyncio
import contextlib
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from liqwatch import configuration, logs
from liqwatch.alerter.pace import Bucket
from liqwatch.assembly import Process
from liqwatch.cli import run_loop
from liqwatch.clock import Clock

from . import orders as ordered
from .deaths import Reaper
from .feed import Feed
from .virtual import fast_loop, fast_wall


@dataclass(frozen=True, slots=True)
class Task:
    """What a victim is started with. Its output goes to `output`; `ready` is made when it acts or stands by."""

    config: Path
    orders: Path
    output: Path
    ready: Path
    feeds: bool
    speed: float = 1.0


def main(task: Task) -> None:
    """Runs until it is told to stop, or is killed."""
    descriptor = os.open(task.output, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    for standard in (1, 2):
        os.dup2(descriptor, standard)
    # How fast a chat may be told is not what is tried here, and would make a run of a second one of ten.
    Bucket.wait = lambda _self, _now: 0.0  # type: ignore[assignment, method-assign]
    settings = configuration.read(task.config)
    logs.configure(settings.logging, list(configuration.secrets(settings)))
    if task.speed == 1.0:
        os._exit(run_loop(_run(task, time.time)))
    with asyncio.Runner(loop_factory=fast_loop(task.speed)) as runner:
        os._exit(runner.run(_run(task, fast_wall(task.speed))))


async def _run(task: Task, wall: Callable[[], float]) -> int:
    orders, reaper = _Watched(task.orders), Reaper()
    clock = Clock(wall=lambda: wall() + orders.latest.ahead)
    settings = configuration.read(task.config)
    process = Process("alert", ["alerter"], settings, port=0, clock=clock, create_topics=task.feeds, config=task.config)
    reaper.patch(process.log)
    helpers = [
        asyncio.create_task(orders.follow(reaper, task.speed)),
        asyncio.create_task(_say_ready(process, task.ready)),
    ]
    if task.feeds:
        helpers.append(asyncio.create_task(_feed(process, clock, orders, task.speed)))
    try:
        return await process.run()
    finally:
        for helper in helpers:
            helper.cancel()


async def _feed(process: Process, clock: Clock, orders: "_Watched", speed: float) -> None:
    await process.ready.wait()
    await Feed(process.log, clock, lambda: orders.latest, speed).run()


async def _say_ready(process: Process, ready: Path) -> None:
    await process.ready.wait()
    while process.unready():
        await asyncio.sleep(0.005)
    ready.touch()


class _Watched:
    """The orders as they stand in the file now."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._seen = (0, 0)
        self.latest = ordered.read(path)

    async def follow(self, reaper: Reaper, speed: float) -> None:
        while True:
            with contextlib.suppress(OSError):
                found = self._path.stat()
                if (found.st_ino, found.st_mtime_ns) != self._seen:
                    latest = ordered.read(self._path)
                    reaper.order(latest.death)
                    self._seen, self.latest = (found.st_ino, found.st_mtime_ns), latest
            await asyncio.sleep(0.005 * speed)
