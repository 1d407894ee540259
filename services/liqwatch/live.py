"""The commands that run for a while: everything in one process, the demo, one test message, the topics."""

import asyncio
import contextlib
import tempfile
from collections.abc import AsyncIterator, Callable, Coroutine
from datetime import timedelta
from pathlib import Path

import aiohttp
from rich.console import Console

from . import topics
from .alerter.text import duration
from .alerter.trial import notify_test
from .amounts import counted
from .assembly import Process, build_log
from .clock import Clock
from .collector.service import CollectorService
from .settings import Settings, TargetSettings, VenueSettings, window_name
from .simulator import Simulator, on_by_default
from .status.board import Board, FeedState
from .status.lines import show_lines
from .status.screen import show_screen
from .venues import names as venue_names

_LINES_EVERY = 10.0
_EVERYTHING = ("web", "alerter", "aggregator", "collector")  # the page is the last to go


async def run_live(settings: Settings, config: Path | None, *, terminal: bool) -> int:
    """Everything in one process, with a status on stdout; the exit status."""
    console = Console()
    process = Process(
        "run",
        _EVERYTHING if settings.web.enabled else _EVERYTHING[1:],
        settings,
        port=settings.http.run_port,
        create_topics=True,
        config=config,
        emit=_printer(console, terminal),
    )
    return await _with_status(process, console, "liqwatch", terminal=terminal, every=_LINES_EVERY)


async def run_demo(settings: Settings, scenario: str, speed: float, seed: int, *, terminal: bool) -> int:
    """`run` against simulated venues on a clock that runs `speed` times faster; ends when the day is over."""
    console = Console()
    clock = Clock(speed=speed)
    try:
        simulator = Simulator(scenario, seed=seed, speed=speed, clock=clock, venues=on_by_default())
    except ValueError as error:
        Console(stderr=True).print(f"liqwatch: {error}")
        return 2
    with tempfile.TemporaryDirectory(prefix="liqwatch-demo-") as folder:
        async with simulator:
            process = Process(
                "demo",
                _EVERYTHING,
                _for_demo(settings, simulator, Path(folder)),
                port=0,
                clock=clock,
                create_topics=True,
                emit=_printer(console, terminal),
                any_page_port=True,  # a demo beside `run`
            )
            console.print(
                f"Playing a day of the shape of {scenario}, {speed:g} times faster, on simulated venues "
                "on this machine. Ctrl-C ends it.",
                highlight=False,
                soft_wrap=True,
            )
            async with _task(_play_then_stop(simulator, process)):
                return await _with_status(
                    process, console, f"liqwatch demo {scenario} x{speed:g}", terminal=terminal, every=3.0
                )


def _for_demo(settings: Settings, simulator: Simulator, folder: Path) -> Settings:
    # No real venue is asked for anything: its time would not be the demo's.
    venues = {name: VenueSettings(enabled=False) for name in venue_names()} | {
        name: VenueSettings(enabled=True, websocket_origin=origin.websocket, rest_origin=origin.rest)
        for name, origin in simulator.origins.items()
    }
    log = settings.log.model_copy(update={"backend": "sqlite", "path": str(folder / "demo.db")})
    collector = settings.collector.model_copy(update={"spool_path": str(folder / "spool")})
    # A demo tells nobody but the person who runs it.
    targets = {"console": TargetSettings(kind="console")}
    rules = tuple(
        rule.model_copy(update={"targets": ()}) for rule in settings.rules if not rule.scope.startswith("each")
    )
    return settings.model_copy(
        update={"venues": venues, "log": log, "collector": collector, "targets": targets, "rules": rules}
    )


async def _play_then_stop(simulator: Simulator, process: Process) -> None:
    await process.ready.wait()
    while process.unready() and not process.stop.is_set():  # noqa: ASYNC110 - readiness is asked, not told
        await asyncio.sleep(0.1)
    await simulator.play()
    await asyncio.sleep(3)
    process.stop.set()


@contextlib.asynccontextmanager
async def _task(work: Coroutine[None, None, None]) -> AsyncIterator[None]:
    task = asyncio.create_task(work)
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait([task], timeout=2)


def _printer(console: Console, terminal: bool) -> Callable[[str], None]:
    def emit(text: str) -> None:
        if terminal:
            console.print(text, markup=False, highlight=False)
        else:
            print(text, flush=True)

    return emit


async def _with_status(process: Process, console: Console, title: str, *, terminal: bool, every: float) -> int:
    windows = [(window_name(span), int(span.total_seconds())) for span in process.settings.aggregator.windows]

    def feeds() -> list[FeedState]:
        collector = process.part("collector")
        return list(collector.states()) if isinstance(collector, CollectorService) else []

    board = Board(process.log, process.clock, windows, feeds)

    async def status() -> None:
        await process.ready.wait()
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(board.follow(process.stop))
            if process.has("web"):
                tasks.create_task(_say_page(process, _printer(console, terminal)))
            tasks.create_task(
                show_screen(board, process.stop, console, title)
                if terminal
                else show_lines(board, process.stop, every, lambda line: print(line, flush=True))
            )

    task = asyncio.create_task(status(), name="status")
    try:
        return await process.run()
    finally:
        task.cancel()
        await asyncio.wait([task], timeout=2)


async def _say_page(process: Process, say: Callable[[str], None]) -> None:
    while not process.page():  # noqa: ASYNC110 - it listens a moment after it was started
        await asyncio.sleep(0.05)
    say(f"Live page: {process.page()}")


async def send_test(settings: Settings, target: str) -> tuple[bool, str]:
    """One real message to `target`, and a picture if it wants them; whether all was accepted, and lines for people."""
    async with aiohttp.ClientSession() as http:
        return await notify_test(target, settings.targets[target], http, emit=print)


async def create_topics(settings: Settings) -> list[str]:
    """Makes missing topics; a line for each."""
    log = build_log(settings, Clock())
    await log.open()
    try:
        made = set(await log.create(topics.TOPICS.values()))
        return [f"{name}: {'created' if name in made else 'is there'}" for name in topics.TOPICS]
    finally:
        await log.close(timeout=3)


async def list_topics(settings: Settings) -> list[str]:
    """A line per topic: as it should be, and as it is."""
    log = build_log(settings, Clock(), read_only=True)
    await log.open()
    try:
        lines = []
        for topic in topics.TOPICS.values():
            state = await log.describe(topic)
            is_there = (
                "missing"
                if state is None
                else f"{counted(state.partitions, 'partition')}, "
                f"retention {how_long(state.retention)}"
                f"{', compacted' if state.compacted else ''}"
            )
            lines.append(f"{topic.name}  key {topic.key}  {is_there}  — {topic.about}")
        return lines
    finally:
        await log.close(timeout=3)


def how_long(kept: timedelta | None) -> str:
    """`7 days`, `1 d 12 h`, `for ever`."""
    if not kept:
        return "for ever"
    if kept % timedelta(days=1):
        return duration(int(kept.total_seconds() * 1000))
    return counted(kept.days, "day")
