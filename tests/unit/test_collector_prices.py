"""Prices on their way to the log: what a frame says of them, how often one is written, and what an outage leaves."""

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import structlog
from prometheus_client import CollectorRegistry
from structlog.testing import capture_logs

from liqwatch import venues
from liqwatch.alerter.past import PastReader
from liqwatch.clock import Clock
from liqwatch.coins import MAJORS
from liqwatch.collector.conversation import Conversation
from liqwatch.collector.intake import Intake
from liqwatch.collector.meter import Meter
from liqwatch.collector.prices import Prices
from liqwatch.collector.service import CollectorService
from liqwatch.collector.watch import LIMITS
from liqwatch.eventlog import EARLIEST, Entry, Log, LogUnavailable, Position
from liqwatch.eventlog.sqlite import SqliteLog
from liqwatch.events import Price, RejectedFrame
from liqwatch.following import Away, Follower
from liqwatch.metrics import CollectorMetrics, ServiceMetrics
from liqwatch.settings import CollectorSettings, RuleSettings, Settings, VenueSettings
from liqwatch.simulator import Simulator
from liqwatch.topics import LIQUIDATIONS, PRICES, TOPICS, Topic
from liqwatch.venues.base import Instrument
from liqwatch.wire import Liquidation
from tests.support.collecting import messages
from tests.support.memory_log import MemoryLog
from tests.support.waiting import until

START_MS = 1_795_000_000_000
BINANCE = venues.discover()["binance"]
CASCADE = RuleSettings.model_validate({"name": "longs", "kind": "cascade", "side": "long"})


# What a frame says.


@dataclass
class Outlet:
    """Takes what an intake gives."""

    prices: list[Price] = field(default_factory=list)
    events: list[str] = field(default_factory=list)
    frames: list[RejectedFrame] = field(default_factory=list)

    def liquidations(self, items: Sequence[Liquidation]) -> None:
        self.events += [item.event_id for item in items]

    def price(self, message: Price) -> None:
        self.prices.append(message)

    def rejected(self, message: RejectedFrame) -> None:
        self.frames.append(message)

    def may_come(self, symbol: str) -> bool:
        return False

    def want(self, symbol: str) -> None: ...


class Talk:
    """A conversation with Binance at a clock of its own."""

    def __init__(self, speed: float = 1.0) -> None:
        self.ms = START_MS
        self.outlet = Outlet()
        self.registry = CollectorRegistry()
        metrics, clock = CollectorMetrics(self.registry, ["binance"]), Clock(speed)
        self.intake = Intake(BINANCE, "c", self.outlet, self.outlet, metrics, clock, 300.0)
        known = {name: Instrument(name, name.removesuffix("USDT"), "USDT") for name in ("BTCUSDT", "ETHUSDT")}
        session = BINANCE.session(BINANCE.feeds[0], known, ())
        self.conversation = Conversation(BINANCE, session, self.intake, Meter("market"), LIMITS, lambda: None)
        self.conversation.begin(self.ms / 1000, self.ms)
        self.hear({"result": None, "id": 1})

    def hear(self, *frames: dict[str, Any], every_ms: int = 1000) -> None:
        for frame in frames:
            self.ms += every_ms
            self.conversation.hear(json.dumps(frame), self.ms / 1000, self.ms)

    def mark(self, price: str, symbol: str = "BTCUSDT", off_ms: int = 0) -> dict[str, Any]:
        """As Binance would send it at the next `hear`."""
        return {"e": "markPriceUpdate", "E": self.ms + 1000 + off_ms, "s": symbol, "p": price}


def test_mark_prices_are_handed_on_and_prove_that_the_route_delivers() -> None:
    talk = Talk()
    assert "acknowledged" == talk.conversation.state
    talk.hear(talk.mark("70000.10000000"))
    assert ("delivering", "") == (talk.conversation.state, talk.conversation.detail)
    talk.hear(talk.mark("3500.00000000", "ETHUSDT"))
    assert [("BTC", "70000.10000000", START_MS + 2000), ("ETH", "3500.00000000", START_MS + 3000)] == [
        (price.base, price.usd, price.at_ms) for price in talk.outlet.prices
    ]
    assert [] == talk.outlet.frames


def test_a_bad_price_proves_the_route_all_the_same_and_one_a_minute_is_rejected() -> None:
    """However long they are bad: the socket stays, and no topic is filled with them."""
    talk = Talk()
    for _ in range(150):
        talk.hear(talk.mark("0.00000000"))
        talk.conversation.look(talk.ms / 1000, talk.ms)
    assert (None, "delivering", "") == (
        talk.conversation.over, talk.conversation.state, talk.conversation.detail,
    )  # fmt: skip
    assert [] == talk.outlet.prices
    rejected = [("bad_price", "BTCUSDT: p is not above zero: '0.00000000'")] * 3
    assert rejected == [(frame.reason, frame.error) for frame in talk.outlet.frames]
    labels = {"venue": "binance", "reason": "bad_price"}
    assert 3 == talk.registry.get_sample_value("liqwatch_events_rejected_total", labels)


@pytest.mark.parametrize(("off_ms", "words"), [(61_000, "+61 s"), (-61_000, "-61 s")])
def test_a_price_of_another_time_is_not_the_price_now(off_ms: int, words: str) -> None:
    talk = Talk()
    talk.hear(talk.mark("70000", off_ms=off_ms))
    assert [] == talk.outlet.prices
    assert [("bad_time", f"BTC: a price {words} from our clock")] == [(f.reason, f.error) for f in talk.outlet.frames]
    talk.hear(talk.mark("70000", off_ms=off_ms // 2))
    assert 1 == len(talk.outlet.prices)


def test_a_clock_that_runs_faster_has_prices_that_took_longer_by_it() -> None:
    talk = Talk(speed=1800.0)
    talk.hear(talk.mark("70000", off_ms=-1800 * 100))  # a tenth of a real second
    assert 1 == len(talk.outlet.prices)


def test_without_a_mark_price_the_route_is_dead_though_liquidations_were_granted() -> None:
    talk = Talk()
    talk.hear(talk.mark("70000"), {"result": None, "id": 3})
    talk.conversation.look(talk.ms / 1000 + 58, talk.ms)
    assert talk.conversation.over is None
    talk.hear({"result": None, "id": 2}, every_ms=30_000)  # any frame, but no price
    talk.conversation.look(talk.ms / 1000 + 31, talk.ms)
    assert talk.conversation.over is not None
    assert "control_silent" == talk.conversation.over.reason


# How often one is written, and what an outage leaves.


@dataclass
class Hand:
    """Moved by hand, in seconds."""

    at: float = START_MS / 1000

    def __call__(self) -> float:
        return self.at


@dataclass
class Noting(MemoryLog):
    """Counts the calls; `failing`: each raises, as at a broker that says no."""

    calls: int = 0
    failing: Exception | None = None

    async def append(self, topic: Topic, entries: Sequence[Entry]) -> Sequence[Position]:
        self.calls += 1
        if self.failing is not None:
            raise self.failing
        return await super().append(topic, entries)


def price(usd: str, base: str = "BTC", at_ms: int = START_MS) -> Price:
    return Price(base=base, usd=usd, at_ms=at_ms, venue="binance")


def written(log: MemoryLog) -> list[tuple[str, str]]:
    return [(one["base"], one["usd"]) for one in messages(log, PRICES)]


@asynccontextmanager
async def writing(log: Log, hand: Hand, patience: float = 5.0) -> AsyncIterator[Prices]:
    prices = Prices(log, Clock(wall=hand), patience)
    running = asyncio.create_task(prices.run())
    try:
        yield prices
    finally:
        running.cancel()
        with suppress(asyncio.CancelledError):
            await running


async def test_of_each_coin_one_price_a_second_is_written_under_its_key_and_time() -> None:
    log, hand = MemoryLog(), Hand()
    async with writing(log, hand) as prices:
        prices.put(price("1", at_ms=START_MS - 20))
        prices.put(price("10", "ETH"))
        await until(lambda: len(written(log)) == 2)
        for tenth in range(1, 10):
            hand.at = START_MS / 1000 + tenth / 10
            prices.put(price(f"1.{tenth}"))
        prices.put(price("100", "SOL"))
        await until(lambda: len(written(log)) == 3)  # with it would have come what else waits
        hand.at = START_MS / 1000 + 1
        prices.put(price("2"))
        await until(lambda: len(written(log)) == 4)
    assert [("BTC", "1"), ("ETH", "10"), ("SOL", "100"), ("BTC", "2")] == written(log)
    assert [b"BTC", b"ETH", b"SOL", b"BTC"] == [record.key for record in log.all(PRICES)]
    assert [START_MS - 20, START_MS, START_MS, START_MS] == [record.timestamp_ms for record in log.all(PRICES)]
    assert {"version": 1, "base": "BTC", "usd": "2", "at_ms": START_MS, "venue": "binance"} == messages(log, PRICES)[3]


async def test_coins_that_tick_together_are_one_append() -> None:
    log, hand = Noting(), Hand()
    async with writing(log, hand) as prices:
        prices.put(price("1"))
        for _ in range(5):
            await asyncio.sleep(0)
        prices.put(price("2"))  # in the same second, and the first still waits
        prices.put(price("10", "ETH"))
        await until(lambda: len(written(log)) == 2)
    assert ([("BTC", "2"), ("ETH", "10")], 1) == (written(log), log.calls)


async def test_after_an_outage_only_the_newest_of_each_coin_is_written() -> None:
    log, hand = Noting(), Hand()
    log.down = True
    with capture_logs() as lines:
        async with writing(log, hand, patience=0.05) as prices:
            for second in range(300):
                hand.at = START_MS / 1000 + second
                prices.put(price(f"{second + 1}"))
                prices.put(price(f"{second + 1}", "ETH"))
                if second == 0:
                    await until(lambda: log.calls == 1)
            before = log.calls
            await until(lambda: log.calls > before)  # the first was given up, the last are tried
            log.down = False
            hand.at += 1
            prices.put(price("301"))
            await until(lambda: ("BTC", "301") in written(log))
    assert set(written(log)) <= {("BTC", "300"), ("ETH", "300"), ("BTC", "301")}
    told = [line["event"] for line in lines]
    assert ["prices topic is down", "prices topic is back"] == told


@pytest.mark.parametrize(
    "error", [LogUnavailable("no broker answers"), ZeroDivisionError("a bug")], ids=["of the log", "of ours"]
)
async def test_a_price_that_the_log_does_not_take_is_let_go_and_the_next_one_comes(error: Exception) -> None:
    log, hand = Noting(failing=error), Hand()
    with capture_logs() as lines:
        async with writing(log, hand) as prices:
            for second in range(3):
                hand.at = START_MS / 1000 + second
                prices.put(price(f"{second + 1}"))
                await until(lambda second=second: log.calls == second + 1)
            log.failing = None
            hand.at += 1
            prices.put(price("4"))
            await until(lambda: written(log))
    assert [("BTC", "4")] == written(log)
    assert 1 == len([line for line in lines if line["event"] == "prices topic is down"])


# All of it together.


@asynccontextmanager
async def collecting(simulator: Simulator, log: Log, folder: Path) -> AsyncIterator[None]:
    place = simulator.origins["binance"]
    settings = Settings(
        venues={"binance": VenueSettings(websocket_origin=place.websocket, rest_origin=place.rest)},
        collector=CollectorSettings(spool_path=str(folder / "spool")),
    )
    registry = CollectorRegistry()
    metrics = CollectorMetrics(registry, ["binance"]), ServiceMetrics(registry, "collect")
    service = CollectorService(log, {"binance": BINANCE}, settings, simulator.clock, *metrics)
    stop = asyncio.Event()
    running = asyncio.create_task(service.run(stop))
    try:
        await simulator.until_watched()
        yield
    finally:
        stop.set()
        await asyncio.wait_for(running, 10)


async def test_the_alerter_follows_what_the_collector_wrote_of_a_venue(tmp_path: Path) -> None:
    """Simulated Binance, the embedded log, and the reader of a cascade rule: a fall of the orders' prices by 4 %."""
    log = SqliteLog(tmp_path / "log.db", Clock())
    await log.open()
    await log.create(list(TOPICS.values()))
    words = structlog.get_logger("test")

    def follow(topic: Any, start: Any, take: Any, then: Any) -> Follower:
        if topic is LIQUIDATIONS:  # with nothing to read there: what is known of prices is of their topic
            return Follower(MemoryLog(), topic, start, take, Away(words), words, then=then)
        return Follower(log, topic, start, take, Away(words), words, then=then)

    async with Simulator([], venues=["binance"], second=0.02) as simulator:
        past = PastReader(follow, simulator.clock, [CASCADE], MAJORS, lambda: None)
        async with collecting(simulator, log, tmp_path):
            reading = asyncio.create_task(past.run())
            try:
                await until(lambda: past.cascade("longs") and past.cascade("longs").fall() == 0)  # type: ignore[union-attr]
                for coin, usd in (("BTC", Decimal(113_000)), ("ETH", Decimal(4_000))):
                    for _ in range(8):
                        await simulator.send("binance", f"{coin}USDT", "long", str(usd * 96 / 100), "1")
                await until(lambda: (past.cascade("longs").fall() or 0) > 0.039)  # type: ignore[union-attr]
            finally:
                reading.cancel()
                await asyncio.wait([reading])
        reader = await log.reader(PRICES, start=EARLIEST)
        records = await reader.fetch(1.0)
        await reader.close()
    await log.close()
    prices = [Price.model_validate_json(record.value or b"") for record in records]
    first, last = ({one.base: one.usd for one in some} for some in (reversed(prices), prices))
    assert {"BTC": "113000.00000000", "ETH": "4000.00000000"} == first
    assert {"BTC": "108480.00000000", "ETH": "3840.00000000"} == last
