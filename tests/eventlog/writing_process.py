"""Run as a process of its own: appends numbers to a file for ever and says which are acknowledged, until killed."""

import asyncio
import sys
import time

from liqwatch.clock import Clock
from liqwatch.eventlog import Entry
from liqwatch.eventlog.sqlite import SqliteLog
from liqwatch.topics import LIQUIDATIONS


async def main(path: str) -> None:
    log = SqliteLog(path, Clock())
    await log.open()
    await log.create([LIQUIDATIONS])
    numbers = iter(range(1_000_000))

    async def write(task: int) -> None:
        for number in numbers:
            key = b"task:%d" % task
            positions = await log.append(
                LIQUIDATIONS, [Entry(key, b"%d" % number, int(time.time() * 1000))] * (1 + number % 3)
            )
            for partition, offset in positions:
                sys.stdout.write(f"{partition} {offset} {number}\n")
            sys.stdout.flush()

    await asyncio.gather(*[write(task) for task in range(8)])


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
