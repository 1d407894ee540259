"""What 200 viewers of the live page cost, and how soon a new one sees the figures: a full day of data, all venues.

    python -m benchmarks.viewers [--json] [--viewers N]

CPU of the page's process, in percent of a core, while every total changes four times a second: without viewers, and
with them in a process of their own, where each follows the stream and asks for bars, gaps and orders as the page does.
With a Chromium, seconds from the address to the figures and to the chart.
"""

import argparse
import asyncio
import contextlib
import json
import shutil
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from prometheus_client import CollectorRegistry
from tests.support.repository import ROOT

from liqwatch import assembly, configuration, topics
from liqwatch.cli import run_loop
from liqwatch.clock import Clock
from liqwatch.eventlog import Entry
from liqwatch.eventlog.sqlite import SqliteLog
from liqwatch.events import Bar, BarRow, Coverage
from liqwatch.metrics import ServiceMetrics, WebMetrics
from liqwatch.settings import Settings, WebSettings, window_name
from liqwatch.web.service import WebService
from liqwatch.wire import Heartbeat, Totals, encode

SECONDS = 15.0  # of each measurement
CHANGES = 0.25  # seconds between two changes of every total
LIMIT_PERCENT = 20.0
COINS = [f"COIN{number}" for number in range(40)]
MINUTE = 60_000


async def fill(log: SqliteLog, settings: Settings, now_ms: int) -> None:
    """A day in which something happened at every venue in every minute."""
    names = list(assembly.enabled_venues(settings))
    minutes = [now_ms // MINUTE * MINUTE - ago * MINUTE for ago in range(1, 1441)]
    for number in range(0, len(minutes), 120):
        entries = []
        for minute in minutes[number : number + 120]:
            rows = tuple(
                BarRow(venue=venue, base=coin, long_usd="12345.67", long_count=2, short_usd="987.5", short_count=1)
                for venue in names
                for coin in COINS[:3]
            )
            bar = Bar(partition=0, minute_ms=minute, generation=1, rows=rows)
            entries.append(Entry(f"0,{minute}".encode(), bar.model_dump_json().encode(), minute, 0))
        await log.append(topics.BARS, entries)
    for name in names:
        watched = Coverage(
            venue=name, collector="c", interval_id=name, kind="watched", from_ms=now_ms - 1440 * MINUTE, to_ms=now_ms,
            open=True, completeness="sampled",
        )  # fmt: skip
        await log.append(topics.COVERAGE, [Entry(name.encode(), watched.model_dump_json().encode(), now_ms)])
    scopes = [f"base={coin}" for coin in COINS] + [f"venue={name}" for name in names]
    for scope in scopes:
        await change(log, settings, [scope], 1)


async def change(log: SqliteLog, settings: Settings, scopes: list[str], number: int) -> None:
    """Every window of the scopes is another amount, and every partition is alive."""
    now_ms = Clock().now_ms()
    rows = [
        Totals(0, window_name(span), scope, 1, now_ms, number, f"{1_000_000_000 + number}", number, "5000000", 7)
        for scope in scopes
        for span in settings.aggregator.windows
    ]
    entries = [Entry(f"0,{row.window},{row.scope}".encode(), encode(row), now_ms, 0) for row in rows]
    beats = [Heartbeat(partition, 1, now_ms, number, number + 1, True) for partition in range(topics.PARTITIONS)]
    entries += [Entry(f"{b.partition},heartbeat".encode(), encode(b), now_ms, b.partition) for b in beats]
    await log.append(topics.TOTALS, entries)


@contextlib.asynccontextmanager
async def page() -> AsyncIterator[tuple[WebService, SqliteLog, Settings]]:
    """The service as `assembly.py` builds it, on a log with a full day."""
    settings = configuration.read(ROOT / "deploy" / "liqwatch.toml", {})
    windows = [(window_name(span), int(span.total_seconds())) for span in settings.aggregator.windows]
    with tempfile.TemporaryDirectory() as folder:
        clock, registry = Clock(), CollectorRegistry()
        log = SqliteLog(Path(folder) / "log.db", clock)
        await log.open()
        await log.create(topics.TOPICS.values())
        await fill(log, settings, clock.now_ms())
        service = WebService(
            log, WebSettings(port=0), windows, assembly.enabled_venues(settings), lambda: settings.rules, clock,
            WebMetrics(registry), ServiceMetrics(registry, "bench"),
        )  # fmt: skip
        stop = asyncio.Event()
        running = asyncio.create_task(service.run(stop))
        async with asyncio.timeout(60):
            while service.unready():
                await asyncio.sleep(0.05)
        try:
            yield service, log, settings
        finally:
            stop.set()
            await running
            await log.close(2)


async def busy(service: WebService, log: SqliteLog, settings: Settings, viewers: int) -> float:
    """Percent of a core, with so many viewers connected. What the test itself writes is in it, both times."""
    child = None
    if viewers:
        child = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "benchmarks.viewers", "--watch", service.address, "--viewers", str(viewers), cwd=ROOT
        )
        async with asyncio.timeout(60):
            while service._hub.viewers < viewers:
                await asyncio.sleep(0.1)
    start, cpu, number = time.perf_counter(), time.process_time(), 0
    while time.perf_counter() - start < SECONDS:
        number += 1
        await change(log, settings, ["all", f"base={COINS[number % len(COINS)]}"], number)
        await asyncio.sleep(CHANGES)
    percent = 100 * (time.process_time() - cpu) / (time.perf_counter() - start)
    if child is not None:
        child.kill()
        await child.wait()
    return round(percent, 1)


async def watch(address: str, viewers: int) -> None:
    """So many pages: connections that read whatever comes, and ask for the rest as often as `page.js` does."""
    host, _, port = address.rpartition(":")

    async def ask(path: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        reader, writer = await asyncio.open_connection(host, int(port))
        writer.write(f"GET /api/v1/{path} HTTP/1.1\r\nHost: {address}\r\nAccept-Encoding: gzip\r\n\r\n".encode())
        return reader, writer

    async def follow() -> None:
        reader, _ = await ask("stream")
        while await reader.read(1 << 20):
            pass

    async def again(path: str, seconds: float, number: int) -> None:
        await asyncio.sleep(seconds * number / viewers)  # each at a moment of its own
        reader, writer = await ask(path)
        while True:
            head = await reader.readuntil(b"\r\n\r\n")
            await reader.readexactly(int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0]))
            await asyncio.sleep(seconds)
            writer.write(f"GET /api/v1/{path} HTTP/1.1\r\nHost: {address}\r\nAccept-Encoding: gzip\r\n\r\n".encode())

    asked = (("bars?window=24h&step=300", 4.0), ("gaps", 15.0), ("events?min_usd=100000&limit=200", 60.0))
    await asyncio.gather(
        *(follow() for _ in range(viewers)),
        *(again(path, seconds, number) for path, seconds in asked for number in range(viewers)),
    )


async def first_sight(address: str) -> dict[str, float] | None:
    """Seconds from the address to the first paint, the figures and the chart; None without a Chromium."""
    path = shutil.which("chromium") or shutil.which("google-chrome-stable")
    if path is None:
        return None
    from playwright.async_api import async_playwright

    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        tab = await browser.new_page()
        start = time.perf_counter()
        await tab.goto(f"http://{address}/", wait_until="commit")
        await tab.locator("#long-usd", has_text="$").wait_for()
        figures = time.perf_counter() - start
        await tab.wait_for_selector("#chart canvas")
        chart = time.perf_counter() - start
        paint = await tab.evaluate("performance.getEntriesByName('first-contentful-paint')[0]?.startTime ?? 0")
        await browser.close()
    return {"paint": round(paint / 1000, 2), "figures": round(figures, 2), "chart": round(chart, 2)}


async def measure(viewers: int) -> dict[str, Any]:
    async with page() as (service, log, settings):
        alone = await busy(service, log, settings, 0)
        with_them = await busy(service, log, settings, viewers)
        sight = await first_sight(service.address)
    lines = [
        "| | measured | wanted |",
        "|---|---:|---:|",
        f"| CPU of the page, nobody looks, % of a core | {alone} | |",
        f"| the same with {viewers} viewers | {with_them} | |",
        f"| what {viewers} viewers cost | {with_them - alone:.1f} | under {LIMIT_PERCENT:.0f} |",
    ]
    if sight is not None:
        lines.append(f"| address to first paint, s | {sight['paint']} | 1 |")
        lines.append(f"| … to the figures, to the chart, s | {sight['figures']}, {sight['chart']} | |")
    return {"alone": alone, "viewers": with_them, "sight": sight, "markdown": "\n".join(lines)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--viewers", type=int, default=200)
    parser.add_argument("--watch", help=argparse.SUPPRESS)  # the viewers' own process
    options = parser.parse_args()
    if options.watch:
        run_loop(watch(options.watch, options.viewers))
        return
    result = run_loop(measure(options.viewers))
    print(json.dumps(result) if options.json else result["markdown"])


if __name__ == "__main__":
    main()
