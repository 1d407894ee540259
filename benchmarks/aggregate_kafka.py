"""Events a second of the aggregator on a real Kafka, against a bare loop on the same topic in the same run.

    python -m benchmarks.aggregate_kafka --bootstrap HOST:PORT [--json] [--events N] [--runs N]

The bare loop is aiokafka's `getmany` and `orjson.loads`, nothing else. Ours is the whole service: fetch, decode,
duplicates, all windows and scopes, and, once it has caught up, publishing. Both are counted in CPU seconds of one
process until every event was taken, and run in turn.
"""

import argparse
import asyncio
import json
import statistics
import time
from typing import Any

import orjson
from aiokafka import AIOKafkaConsumer, TopicPartition

from benchmarks.filling import fill
from benchmarks.rebuild import PATIENCE_SECONDS, service
from liqwatch.cli import run_loop
from liqwatch.clock import Clock
from liqwatch.eventlog.kafka import KafkaLog
from liqwatch.settings import KafkaSettings
from liqwatch.topics import LIQUIDATIONS, TOPICS

LEAST_RATIO, LEAST_RATE = 0.3, 80_000


async def bare(bootstrap: str, number: int) -> float:
    """CPU seconds of the bare loop."""
    consumer = AIOKafkaConsumer(bootstrap_servers=bootstrap, enable_auto_commit=False, auto_offset_reset="earliest")
    await consumer.start()
    try:
        consumer.assign([TopicPartition(LIQUIDATIONS.name, number) for number in range(LIQUIDATIONS.partitions)])
        start, seen = time.process_time(), 0
        while seen < number:
            for records in (await consumer.getmany(timeout_ms=200)).values():
                for record in records:
                    orjson.loads(record.value)
                seen += len(records)
        return time.process_time() - start
    finally:
        await consumer.stop()


async def ours(bootstrap: str, number: int) -> float:
    """CPU seconds of the service, from its start until it has counted every event."""
    log = KafkaLog(KafkaSettings(bootstrap_servers=bootstrap), Clock())
    await log.open()
    aggregator, metrics = service(log, f"bench-{time.time_ns()}")
    stop = asyncio.Event()
    start = time.process_time()
    task = asyncio.create_task(aggregator.run(stop))
    async with asyncio.timeout(PATIENCE_SECONDS):
        while metrics.counted._value.get() < number:
            await asyncio.sleep(0.01)
    spent = time.process_time() - start
    stop.set()
    await task
    await log.close()
    return spent


async def measure(bootstrap: str, number: int, runs: int) -> dict[str, Any]:
    """Fills the topic once, then runs both in turn."""
    log = KafkaLog(KafkaSettings(bootstrap_servers=bootstrap), Clock())
    await log.open()
    await log.create(TOPICS.values())
    reader = await log.reader(LIQUIDATIONS)
    before = sum((await reader.end_offsets()).values()) - sum(reader.positions().values())
    await reader.close()
    if before:
        raise SystemExit("the topic of liquidations is not empty: use a fresh broker")
    await fill(log, number)
    await log.close()
    spent: dict[str, list[float]] = {"bare loop": [], "aggregator": []}
    for _ in range(runs):
        spent["bare loop"].append(await bare(bootstrap, number))
        spent["aggregator"].append(await ours(bootstrap, number))
    rates = {name: round(number / statistics.median(seconds)) for name, seconds in spent.items()}
    ratio = round(rates["aggregator"] / rates["bare loop"], 2)
    markdown = "\n".join(
        [
            f"| {number:,} events on Kafka, {runs} runs in turn, median | events per CPU second |",
            "|---|---:|",
            f"| bare aiokafka getmany + orjson.loads | {rates['bare loop']:,} |",
            f"| aggregator, all windows and scopes (must be above {LEAST_RATE:,}) | {rates['aggregator']:,} |",
            f"| ratio (must be at least {LEAST_RATIO}) | {ratio} |",
        ]
    )
    return {"rates": rates, "ratio": ratio, "markdown": markdown}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--bootstrap", required=True)
    parser.add_argument("--events", type=int, default=300_000)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    result = run_loop(measure(options.bootstrap, options.events, options.runs))
    print(json.dumps(result) if options.json else result["markdown"])


if __name__ == "__main__":
    main()
