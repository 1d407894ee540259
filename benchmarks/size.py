"""What to give it: bytes a liquidation takes on disk, and memory and processor of `liqwatch run` at a steady rate.

`python -m benchmarks.size`; with `--json` one object. The venues are the simulator's, in another process's time.
"""

import argparse
import asyncio
import json
import tempfile
import time
from datetime import timedelta
from pathlib import Path

import psutil
from tests.support.config import Setup
from tests.support.program import running

from benchmarks.filling import fill
from liqwatch.clock import Clock
from liqwatch.eventlog.sqlite import SqliteLog
from liqwatch.simulator import Simulator
from liqwatch.simulator.scenarios import burst
from liqwatch.topics import LIQUIDATIONS

RECORDS = 100_000
RATE = 40  # events a second
SECONDS = 12
SETTLE = 4


async def bytes_on_disk(folder: Path) -> float:
    """Of one record in the embedded log, its part of indexes included."""
    path = folder / "size.db"
    log = SqliteLog(str(path), clock=Clock())
    await log.open()
    await log.create([LIQUIDATIONS])
    await fill(log, RECORDS)
    await log.close(timeout=30)
    return sum(one.stat().st_size for one in folder.glob("size.db*")) / RECORDS


async def at_a_rate(folder: Path) -> dict[str, float]:
    """Memory and share of a core of the whole program while events come."""
    async with Simulator(burst(RATE, SECONDS + SETTLE + 60)) as simulator:
        origins = {name: (origin.websocket, origin.rest) for name, origin in simulator.origins.items()}
        setup = Setup(folder, origins)
        async with running(["run", "--config", str(setup.write())], folder, port=setup.ports["run"]) as program:
            await program.ready()
            play = asyncio.create_task(simulator.play())
            process = psutil.Process(program.process.pid)
            await asyncio.sleep(SETTLE)
            used, began = sum(process.cpu_times()[:2]), time.monotonic()
            await asyncio.sleep(SECONDS)
            share = (sum(process.cpu_times()[:2]) - used) / (time.monotonic() - began)
            resident = process.memory_info().rss / 2**20
            play.cancel()
            await asyncio.wait([play])
            return {"venues": len(origins), "cores": share, "resident_mib": resident}


async def measured() -> dict[str, float]:
    with tempfile.TemporaryDirectory(prefix="liqwatch-size-") as folder:
        return {"bytes": await bytes_on_disk(Path(folder)), **await at_a_rate(Path(folder))}


def markdown(found: dict[str, float]) -> str:
    per_day = RATE * timedelta(days=1).total_seconds()
    return "\n".join(
        [
            "| what | measured |",
            "|---|---:|",
            f"| a liquidation in the embedded log, bytes ({RECORDS:,} written) | {found['bytes']:,.0f} |",
            f"| `liqwatch run`, {found['venues']:.0f} venues, {RATE} events/s ({per_day:,.0f} a day), shortly after "
            f"its start: resident, MiB | {found['resident_mib']:,.0f} |",
            f"| the same: share of a core over {SECONDS} s | {found['cores']:.2f} |",
        ]
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    found = asyncio.run(measured())
    print(json.dumps({**found, "markdown": markdown(found)}) if options.json else markdown(found))


if __name__ == "__main__":
    main()
