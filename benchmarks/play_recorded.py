"""Plays real recorded Binance liquidations through the whole pipeline and compares the sums to the micro-dollar.

    python -m benchmarks.play_recorded FOLDER                               # `liqwatch run` on the embedded log
    python -m benchmarks.play_recorded FOLDER --kafka                       # three processes on a broker of its own
    python -m benchmarks.play_recorded FOLDER --bootstrap 127.0.0.1:9092    # … on one that runs, with empty topics

FOLDER holds recordings (binance*.csv.gz, columns T s S o f q p ap X l z) and sums.json. Each recording goes, as wire
frames with the times moved to the present, through a local venue server, the real services as processes of their own,
and a rule at half of the 24-hour sum to a local chat server. Prints one JSON object per recording; exit 1 if any
figure differs.
"""

import argparse
import asyncio
import contextlib
import json
import sys
import tempfile
from collections import Counter
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any

import orjson
from aiohttp import web
from tests.support.config import Setup
from tests.support.program import Program, running

from benchmarks.__main__ import broker
from liqwatch import configuration
from liqwatch.assembly import build_log
from liqwatch.clock import Clock
from liqwatch.eventlog import Log
from liqwatch.simulator import recorded
from liqwatch.simulator.orders import Entry, micro_dollars
from liqwatch.topics import LIQUIDATIONS, PARTITIONS, REJECTED_FRAMES, TOTALS, Topic
from liqwatch.totals import TotalsBook
from liqwatch.wire import Totals, decode_liquidation, decode_totals

SIDES = ("long", "short")
DAY_MS = 86_400_000
LIMIT_SECONDS = 90.0
RULE = "half-of-it"


@dataclass(slots=True)
class Chat:
    """A webhook receiver: what it was told, by notice id."""

    notices: dict[str, dict[str, Any]] = field(default_factory=dict)
    requests: int = 0

    async def on_post(self, request: web.Request) -> web.Response:
        body = orjson.loads(await request.read())
        self.requests += 1
        self.notices[body["notice_id"]] = body
        return web.Response(text="ok")


@contextlib.asynccontextmanager
async def serving(chat: Chat) -> AsyncIterator[str]:
    app = web.Application()
    app.router.add_post("/hook", chat.on_post)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.5)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}/hook"
    finally:
        await runner.cleanup()


@dataclass(slots=True)
class Found:
    """What the log holds."""

    events: Counter[str] = field(default_factory=Counter)  # by side, each id once
    usd: dict[str, Decimal] = field(default_factory=lambda: dict.fromkeys(SIDES, Decimal(0)))  # unrounded
    rejected: Counter[str] = field(default_factory=Counter)  # by reason
    window: dict[str, tuple[int, int]] = field(default_factory=dict)  # by side: count and micro-dollars


async def values(log: Log, topic: Topic) -> list[bytes]:
    """Every record of `topic` that is there now."""
    reader = await log.reader(topic)
    try:
        ends = await reader.end_offsets()
        read: list[bytes] = []
        while any(reader.positions().get(number, 0) < end for number, end in ends.items()):
            read += [record.value for record in await reader.fetch(timeout=0.5) if record.value is not None]
        return read
    finally:
        await reader.close()


async def look(log: Log) -> Found:
    found, seen = Found(), set[str]()
    for value in await values(log, LIQUIDATIONS):
        event = decode_liquidation(value)
        if event.event_id not in seen:
            seen.add(event.event_id)
            found.events[event.side] += 1
            found.usd[event.side] += Decimal(event.notional_usd)
    found.rejected.update(orjson.loads(value)["reason"] for value in await values(log, REJECTED_FRAMES))
    book = TotalsBook(PARTITIONS)
    for value in await values(log, TOTALS):
        message = decode_totals(value)
        if not isinstance(message, Totals) or (message.window, message.scope) == ("24h", "all"):
            book.apply(message)
    total = book.sum("24h", "all")
    found.window = {"long": (total.long_count, total.long), "short": (total.short_count, total.short)}
    return found


def window_of(entries: list[Entry]) -> dict[str, tuple[int, int]]:
    """Count and micro-dollars by side of the last 24 hours, each distinct row once, added up here independently."""
    last_ms = max(entry.event_ms for entry in entries)
    distinct = {json.dumps(dict(entry.order or {}), sort_keys=True): entry for entry in entries}.values()
    inside = [entry for entry in distinct if entry.event_ms > last_ms - DAY_MS and priced(entry)]
    return {
        side: (
            sum(entry.side == side for entry in inside),
            sum(micro_dollars(entry.notional()) for entry in inside if entry.side == side),
        )
        for side in SIDES
    }


def priced(entry: Entry) -> bool:
    return entry.listing.quote.startswith("USD")


def compare(sums: Mapping[str, Any], entries: list[Entry], found: Found, chat: Chat) -> dict[str, Any]:
    """Every figure that must agree: what was expected, what was found."""
    unpriced = {json.dumps(dict(entry.order or {}), sort_keys=True) for entry in entries if not priced(entry)}
    window = window_of(entries)
    pairs: dict[str, tuple[Any, Any]] = {
        "events in usd": (sums["events_in_usd"], sum(found.events.values())),
        "events rejected": (len(unpriced), found.rejected.total()),
        "events": (sums["events"], sum(found.events.values()) + found.rejected.total()),
        "fired": (1, sum(notice["kind"] == "fired" for notice in chat.notices.values())),
        "told": (1, chat.requests),
    }
    for side in SIDES:
        recorded_max = sums[side]["max_24h"]
        pairs[f"{side} usd"] = (sums[side]["usd"], str(found.usd[side].normalize()))
        pairs[f"{side} 24h events"] = (recorded_max["events"], found.window[side][0])
        pairs[f"{side} 24h micro-dollars"] = (window[side][1], found.window[side][1])
        # Each event is rounded to a micro-dollar, so a sum may be off by half of one per event, and no more.
        off = abs(Decimal(found.window[side][1]) - Decimal(recorded_max["usd"]).scaleb(6))
        pairs[f"{side} 24h is the recorded maximum"] = (True, off <= Decimal(recorded_max["events"]) / 2)
    equal = {name: Decimal(a) == Decimal(b) if name.endswith(" usd") else a == b for name, (a, b) in pairs.items()}
    return {
        "equal": all(equal.values()),
        "figures": {name: {"expected": a, "found": b, "equal": equal[name]} for name, (a, b) in pairs.items()},
    }


async def play(path: Path, sums: Mapping[str, Any], bootstrap: str | None) -> dict[str, Any]:
    """One recording through processes of their own; what was compared."""
    recording = recorded.read(path)
    half = sum(Decimal(sums[side]["max_24h"]["usd"]) for side in SIDES) / 2
    rules = f'[[rules]]\nname = "{RULE}"\nside = "both"\nwindow = "24h"\nthresholds = ["{half:f}"]\n'
    chat = Chat()
    with tempfile.TemporaryDirectory(prefix="liqwatch-recorded-") as text:
        folder = Path(text)
        async with recorded.simulator(recording) as simulator, serving(chat) as url:
            origin = simulator.origins["binance"]
            origins = {"binance": (origin.websocket, origin.rest)}
            setup = Setup(folder, origins, bootstrap, group_prefix=f"recorded-{folder.name}", chat_url=url, rules=rules)
            config = setup.write()
            async with contextlib.AsyncExitStack() as stack:
                programs = await start(stack, folder, config, setup.ports, bootstrap)
                log = build_log(configuration.read(config, {}), Clock(), read_only=True)
                await log.open()
                stack.push_async_callback(log.close)
                if await values(log, LIQUIDATIONS):
                    raise SystemExit("the topic liquidations is not empty: give a fresh broker, or --kafka")
                await simulator.until_watched()
                entries = await recorded.play(recording, simulator)
                result = await settle(log, sums, entries, chat)
                for program in reversed(programs):
                    result.setdefault("exit", []).append(await program.end())
    return {"recording": path.name, "log": "kafka" if bootstrap else "sqlite", "frames": len(entries), **result}


async def start(
    stack: contextlib.AsyncExitStack, folder: Path, config: Path, ports: Mapping[str, int], bootstrap: str | None
) -> list[Program]:
    """Starts the services and waits until each is ready."""
    names = ("collect", "aggregate", "alert") if bootstrap else ("run",)
    if bootstrap:
        async with running(["topics", "create", "--config", str(config)], folder) as create:
            if await create.process.wait() != 0:
                raise SystemExit(f"topics create failed:\n{create.stderr}")
    programs = []
    for name in names:
        command = running([name, "--config", str(config)], folder, port=ports[name])
        programs.append(await stack.enter_async_context(command))
    for program in programs:
        await program.ready()
    return programs


async def settle(log: Log, sums: Mapping[str, Any], entries: list[Entry], chat: Chat) -> dict[str, Any]:
    """Looks again until all figures agree, or the limit; then once more, for what should not have come."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + LIMIT_SECONDS
    while True:
        result = compare(sums, entries, await look(log), chat)
        if result["equal"] or loop.time() > deadline:
            break
        await asyncio.sleep(0.5)
    await asyncio.sleep(3)
    return compare(sums, entries, await look(log), chat)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--file", action="append", help="Only this recording; may be given again.")
    where = parser.add_mutually_exclusive_group()
    where.add_argument("--kafka", action="store_true", help="Start a broker, a fresh one for each recording.")
    where.add_argument("--bootstrap", help="A running broker with empty topics; takes one recording.")
    where.add_argument("--embedded", action="store_true", help="On the embedded log (the default).")
    options = parser.parse_args()
    sums = json.loads((options.folder / "sums.json").read_text())
    paths = [options.folder / name for name in options.file or ()] or sorted(options.folder.glob("binance*.csv.gz"))
    equal = True
    for path in paths:
        figures = sums[path.name]
        with broker(options.kafka) as own:
            if options.kafka and own is None:
                raise SystemExit(3)
            # A recording in which rows stand twice has to come out as if each stood once.
            result = asyncio.run(play(path, figures.get("dedup", figures["as_recorded"]), own or options.bootstrap))
        equal &= result["equal"]
        json.dump(result, sys.stdout, indent=1)
        print()
    sys.exit(0 if equal else 1)


if __name__ == "__main__":
    main()
