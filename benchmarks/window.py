"""The window alone: events a second of one core, in and out, and memory with 2 million events in 24 hours.

12 partitions, 600 coins at 15 venues, all scopes and windows, duplicates looked up among all ids. A row for coins as
they trade (a few have most of it) and one for all coins alike, which is the worst case: every event goes to memory that
the processor has not got at hand. `python -m benchmarks.window`; with `--json` one object.
"""

import argparse
import json
import random
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from itertools import accumulate

import psutil

from liqwatch.aggregator.window import RollingTotals
from liqwatch.cli import collect_rarely
from liqwatch.topics import PARTITIONS, partition_for
from liqwatch.wire import Liquidation, decode_liquidation, encode

WINDOWS = (("5m", 300), ("1h", 3600), ("4h", 14400), ("12h", 43200), ("24h", 86400))
DAY_MS = 86_400_000
START_MS = 1_790_000_000_000
BATCH = 500
SLICES = 10
LEAST_PER_SECOND = 150_000
MOST_MIB = 500


def made(events: int, per_day: int, skewed: bool, start_ms: int = START_MS) -> Iterator[Liquidation]:
    """Liquidations in the order of their times, `per_day` in 24 hours; ids as the venues' decoders make them."""
    dice = random.Random(7)
    coins = [f"C{number}" for number in range(600)]
    weights = list(accumulate(1 / rank if skewed else 1.0 for rank in range(1, 601)))
    for number in range(events):
        at = start_ms + number * DAY_MS // per_day
        coin = dice.choices(coins, cum_weights=weights)[0]
        venue, side = f"venue{dice.randrange(15)}", dice.choice(("long", "short"))
        price, quantity = f"{dice.uniform(0.1, 999):.4f}", f"{dice.expovariate(0.05):.3f}"
        event_id = f"{venue}:{coin}USDT:{at}:{side}:{quantity}@{price}"
        yield Liquidation(
            event_id, venue, f"{coin}USDT", coin, "USDT", side, price, "fill",
            quantity, f"{float(price) * float(quantity):.7f}", at, at + 60, "venue", "stream", "order",
        )  # fmt: skip


def measured(skewed: bool, inside: int, more: int) -> dict[str, float]:
    """Fills a window, then goes on for `more` events, each pushing an old one out."""
    collect_rarely()  # as every service does
    window = RollingTotals(WINDOWS)
    batch: list[tuple[Liquidation, int, bytes]] = []
    slices: list[float] = []
    spent = 0.0
    for number, event in enumerate(made(inside + more, inside, skewed), 1):
        raw = encode(event)
        partition = partition_for(f"{event.venue}:{event.symbol}".encode(), PARTITIONS)
        batch.append((decode_liquidation(raw), partition, raw))
        if len(batch) == BATCH:
            spent += added(window, batch)
            batch = []
        if number > inside and (number - inside) % (more // SLICES) == 0:
            slices.append(more / SLICES / spent)
            spent = 0.0
        elif number == inside:
            spent = 0.0
    usage = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return {
        "events_per_second": statistics.median(slices),
        "rss_mib": psutil.Process().memory_info().rss / 2**20,
        "peak_mib": usage,
    }


def added(window: RollingTotals, batch: list[tuple[Liquidation, int, bytes]]) -> float:
    """CPU seconds that the events take, the clock moving with them."""
    begun = time.process_time()
    second = 0
    for event, partition, raw in batch:
        if event.event_time_ms // 1000 > second:
            second = event.event_time_ms // 1000
            window.advance(event.event_time_ms)
        window.add(event, partition, raw)
    return time.process_time() - begun


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--events", type=int, default=2_000_000, help="In the window.")
    parser.add_argument("--more", type=int, default=200_000, help="In the steady state.")
    parser.add_argument("--child", choices=("skewed", "alike"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        print(json.dumps(measured(options.child == "skewed", options.events, options.more)))
        return
    numbers = ["--events", str(options.events), "--more", str(options.more)]
    rows = {
        kind: json.loads(
            subprocess.run(
                [sys.executable, "-m", "benchmarks.window", "--child", kind, *numbers],
                check=True, capture_output=True, text=True,
            ).stdout
        )
        for kind in ("skewed", "alike")
    }  # fmt: skip
    titles = {"skewed": "coins as they trade (1/rank)", "alike": "all coins alike"}
    lines = [
        f"Events in the window: {options.events:,}; then {options.more:,} in and as many out, median of {SLICES}. "
        f"CPU time. To be reached: {LEAST_PER_SECOND:,} events/s, under {MOST_MIB} MiB.",
        "",
        "| | events/s, in and out | resident, MiB | at most, MiB |",
        "|---|---|---|---|",
    ]
    for kind, row in rows.items():
        lines.append(
            f"| {titles[kind]} | {row['events_per_second']:,.0f} | {row['rss_mib']:.0f} | {row['peak_mib']:.0f} |"
        )
    print(json.dumps({"markdown": "\n".join(lines), **rows}) if options.json else "\n".join(lines))


if __name__ == "__main__":
    main()
