"""What has changed is written, whatever goes on beside it: rows of `all` go out in between, and the clock goes on."""

from collections.abc import Awaitable, Callable, Sequence
from types import SimpleNamespace
from typing import Any

import orjson
import pytest
from prometheus_client import CollectorRegistry

from liqwatch.aggregator import pending
from liqwatch.aggregator.partition import Owned, Stage
from liqwatch.aggregator.publisher import Publisher
from liqwatch.aggregator.window import RollingTotals
from liqwatch.eventlog import Entry, LogUnavailable
from liqwatch.metrics import AggregatorMetrics
from liqwatch.topics import Topic
from liqwatch.wire import encode
from tests.support.liquidations import liquidation

START_MS = 1_790_000_000_000
WINDOWS = [("5m", 300), ("1h", 3600)]


class Bench:
    """A publisher of one live partition on a log that is a list; the clock stands still until it is moved."""

    def __init__(self) -> None:
        self.now_ms = START_MS
        self.window = RollingTotals(WINDOWS)
        self.owned = Owned(0, 0, generation=1, stage=Stage.LIVE, told=True)
        self.rows: dict[str, Any] = {}
        self.order: list[str] = []
        self.during: Callable[[str], Awaitable[None]] | None = None  # called in the middle of an append
        intake: Any = SimpleNamespace(
            owned={0: self.owned}, received_ms=[], advance=lambda: self.window.advance(self.now_ms)
        )
        clock: Any = SimpleNamespace(speed=1.0, now_ms=lambda: self.now_ms)
        metrics = AggregatorMetrics(CollectorRegistry(), [name for name, _ in WINDOWS])
        log: Any = self
        self.publisher = Publisher(log, self.window, [name for name, _ in WINDOWS], intake, clock, metrics, 3600)
        intake.advance()

    async def append(self, topic: Topic, entries: Sequence[Entry]) -> None:
        for entry in entries:
            key = entry.key.decode()
            self.order.append(key)
            self.rows[key] = None if entry.value is None else orjson.loads(entry.value)
            if self.during is not None:
                await self.during(key)

    def event(self, name: str, base: str, usd: int, venue: str = "okx") -> None:
        made = liquidation(name, self.now_ms, str(usd), base=base, venue=venue)
        self.window.add(made, 0, encode(made))

    async def tick(self, seconds: int) -> None:
        self.now_ms += seconds * 1000
        await self.publisher.tick({0: 1})

    def long(self, scope: str) -> float:
        row = self.rows[f"0,5m,{scope}"]
        return 0.0 if row is None else float(row["long_usd"])


async def test_what_expires_while_its_row_is_being_written_is_written_again() -> None:
    on = Bench()
    on.event("one", "ETH", 100)
    on.now_ms += 1000
    on.event("two", "ETH", 200)
    await on.tick(0)
    assert on.long("base=ETH") == 300

    async def a_second_passes(key: str) -> None:
        if key == "0,5m,base=ETH":
            on.during = None
            on.now_ms += 1000
            on.event("three", "BTC", 5)
            await on.publisher.flush_all()

    on.during = a_second_passes
    await on.tick(299)  # the first has left, the second leaves with the next second
    assert on.long("base=ETH") == 200
    await on.tick(1)
    assert on.long("base=ETH") == 0


async def test_rows_that_the_log_did_not_take_are_written_with_the_next_tick() -> None:
    on = Bench()
    on.event("one", "ETH", 100)
    await on.tick(0)

    async def outage(key: str) -> None:
        if key == "0,5m,base=ETH":
            raise LogUnavailable("away")

    on.during = outage
    with pytest.raises(LogUnavailable):
        await on.tick(300)
    on.during = None
    on.rows.clear()
    await on.tick(1)
    assert [on.long("base=ETH"), on.long("venue=okx"), on.long("venue=okx,base=ETH")] == [0, 0, 0]


async def test_of_many_coins_at_venues_some_wait_and_nothing_else_does(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pending, "_MOST_A_TICK", 4)
    on = Bench()
    for number in range(5):
        on.event(str(number), f"C{number}", 100)
    for _ in range(4):
        await on.tick(0)
    on.order.clear()
    await on.tick(300)
    alone = {f"0,5m,base=C{number}" for number in range(5)} | {"0,5m,venue=okx", "0,5m,all"}
    assert alone <= set(on.order[: on.order.index("0,heartbeat")])
    waiting = [f"0,5m,venue=okx,base=C{number}" for number in range(5)]
    assert len([key for key in waiting if key not in on.order]) == 1
    await on.tick(1)
    assert all(on.long(key.removeprefix("0,5m,")) == 0 for key in waiting)


async def test_a_row_of_all_waits_for_no_other_row() -> None:
    on = Bench()
    on.event("one", "ETH", 100)
    seen: list[float] = []

    async def another_comes(key: str) -> None:
        if key == "0,5m,base=ETH":
            on.during = None
            on.event("two", "BTC", 1000)
            await on.publisher.flush_all()  # while the row of a coin is on its way
            seen.append(on.long("all"))

    on.during = another_comes
    await on.publisher.flush()
    assert seen == [1100]
