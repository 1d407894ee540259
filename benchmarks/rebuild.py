"""How long a restarted aggregator takes until it publishes again: 1 million events of the last day, from each log.

    python -m benchmarks.rebuild [--json] [--events N] [--bootstrap HOST:PORT]

Without `--bootstrap` only from SQLite. Time is from the start of the service until it says that it is ready: everything
read, added up, and its totals published. Wall-clock seconds, and CPU seconds of the process.
"""

import argparse
import asyncio
import json
import resource
import tempfile
import time
from pathlib import Path
from typing import Any

from prometheus_client import CollectorRegistry

from benchmarks.filling import fill
from liqwatch.aggregator.service import AggregatorService
from liqwatch.cli import run_loop
from liqwatch.clock import Clock
from liqwatch.eventlog import Log
from liqwatch.eventlog.kafka import KafkaLog
from liqwatch.eventlog.sqlite import SqliteLog
from liqwatch.metrics import AggregatorMetrics, ServiceMetrics
from liqwatch.settings import AggregatorSettings, KafkaSettings, window_name
from liqwatch.topics import TOPICS

LIMIT_SECONDS = 15.0  # what it must reach for a million
PATIENCE_SECONDS = 300.0


def service(log: Log, group: str) -> tuple[AggregatorService, AggregatorMetrics]:
    """An aggregator as `assembly.py` builds it."""
    settings, registry = AggregatorSettings(), CollectorRegistry()
    metrics = AggregatorMetrics(registry, [window_name(span) for span in settings.windows])
    made = AggregatorService(log, settings, Clock(), metrics, ServiceMetrics(registry, "bench"), group_prefix=group)
    return made, metrics


async def rebuilt(log: Log, number: int, group: str) -> dict[str, float]:
    """Seconds until a fresh aggregator on a filled log is ready."""
    aggregator, metrics = service(log, group)
    stop = asyncio.Event()
    start, cpu = time.perf_counter(), time.process_time()
    task = asyncio.create_task(aggregator.run(stop))
    async with asyncio.timeout(PATIENCE_SECONDS):
        while aggregator.unready() or metrics.counted._value.get() < number:
            await asyncio.sleep(0.02)
    seconds, cpu_seconds = time.perf_counter() - start, time.process_time() - cpu
    stop.set()
    await task
    return {"seconds": round(seconds, 2), "cpu_seconds": round(cpu_seconds, 2)}


async def measure(number: int, bootstrap: str | None) -> dict[str, Any]:
    """Both logs, or the one that is there."""
    results: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as folder:
        sqlite = SqliteLog(Path(folder) / "log.db", Clock())
        await sqlite.open()
        await sqlite.create(TOPICS.values())
        await fill(sqlite, number)
        results["SQLite"] = await rebuilt(sqlite, number, "rebuild")
        await sqlite.close()
    if bootstrap is not None:
        kafka = KafkaLog(KafkaSettings(bootstrap_servers=bootstrap), Clock())
        await kafka.open()
        await kafka.create(TOPICS.values())
        await fill(kafka, number)
        results["Kafka"] = await rebuilt(kafka, number, f"rebuild-{time.time_ns()}")
        await kafka.close()
    return results


def report(number: int, results: dict[str, Any]) -> dict[str, Any]:
    """The rows as Markdown beside the numbers."""
    rss = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    lines = [f"| rebuild of {number:,} events | seconds | CPU seconds | must be under |", "|---|---:|---:|---:|"]
    lines += [
        f"| from {name} | {found['seconds']} | {found['cpu_seconds']} | {LIMIT_SECONDS:g} |"
        for name, found in results.items()
    ]
    lines.append(f"\nOne run each; peak memory of the process {rss} MiB (filling included).")
    return {"results": results, "markdown": "\n".join(lines)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=int, default=1_000_000)
    parser.add_argument("--bootstrap")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    result = report(options.events, run_loop(measure(options.events, options.bootstrap)))
    print(json.dumps(result) if options.json else result["markdown"])


if __name__ == "__main__":
    main()
