"""The aggregator on a log in memory: what it publishes, when, and what it never does."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import timedelta

import orjson
import pytest
from prometheus_client import CollectorRegistry

from liqwatch.aggregator import publisher
from liqwatch.aggregator.service import AggregatorService, ClockWentBack
from liqwatch.clock import Clock
from liqwatch.eventlog import Entry, LogError, Record, TopicMissing
from liqwatch.events import Bar
from liqwatch.metrics import AggregatorMetrics, ServiceMetrics
from liqwatch.settings import AggregatorSettings, window_name
from liqwatch.topics import BARS, LIQUIDATIONS, TOTALS, partition_for
from liqwatch.totals import TotalsBook
from liqwatch.wire import Heartbeat, Liquidation, Totals, decode_totals, encode, micros
from tests.support import memory_log
from tests.support.liquidations import entry, liquidation
from tests.support.memory_log import MemoryLog

SETTINGS = AggregatorSettings(windows=(timedelta(seconds=10), timedelta(minutes=5)))
PATIENCE = 10.0
GROUP = "test.aggregator"


@dataclass
class Time:
    """A wall clock in the test's hand; it starts in the middle of a minute."""

    seconds: float = 1_790_000_010.0

    def __call__(self) -> float:
        return self.seconds

    @property
    def ms(self) -> int:
        return int(self.seconds * 1000)


@dataclass
class Stage:
    """A log, a clock, and what can be done with them."""

    time: Time = field(default_factory=Time)
    log: MemoryLog = field(init=False)
    registry: CollectorRegistry = field(default_factory=CollectorRegistry)

    def __post_init__(self) -> None:
        self.log = MemoryLog(now_ms=lambda: self.time.ms)

    def service(self, settings: AggregatorSettings = SETTINGS) -> AggregatorService:
        self.registry = CollectorRegistry()
        metrics = AggregatorMetrics(self.registry, [window_name(span) for span in settings.windows])
        clock = Clock(wall=self.time)
        service_metrics = ServiceMetrics(self.registry, "aggregate")
        return AggregatorService(self.log, settings, clock, metrics, service_metrics, group_prefix="test")

    async def say(self, *events: Liquidation) -> None:
        await self.log.append(LIQUIDATIONS, [entry(event) for event in events])

    def book(self) -> TotalsBook:
        """What a reader of totals knows."""
        book = TotalsBook(TOTALS.partitions)
        for record in self.log.all(TOTALS):
            if record.value is not None:
                book.apply(decode_totals(record.value))
        return book

    def usd(self, window: str = "5m", scope: str = "all") -> tuple[int, int]:
        total = self.book().sum(window, scope)
        return total.long, total.short

    def metric(self, name: str, **labels: str) -> float:
        return self.registry.get_sample_value(name, labels) or 0.0

    def live(self) -> bool:
        return self.book().stale(self.time.ms) == []


@asynccontextmanager
async def running(service: AggregatorService) -> AsyncIterator[AggregatorService]:
    stop = asyncio.Event()
    task = asyncio.create_task(service.run(stop))
    try:
        yield service
    finally:
        stop.set()
        async with asyncio.timeout(PATIENCE):
            await task


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(PATIENCE):
        while not condition():
            await asyncio.sleep(0.01)


@pytest.fixture
def stage() -> Stage:
    return Stage()


@pytest.fixture
def quick_burial(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(publisher, "BURY_SECONDS", 0.0)


async def test_events_become_totals_in_every_scope_and_window(stage: Stage) -> None:
    async with running(stage.service()):
        await until(stage.live)
        await stage.say(
            liquidation("a", stage.time.ms, "10.5", venue="okx", base="BTC"),
            liquidation("b", stage.time.ms - 20_000, "4", venue="gate", base="BTC", side="short"),
        )
        await until(lambda: stage.usd() == (10_500_000, 4_000_000))
        assert (10_500_000, 0) == stage.usd("10s")
        await until(lambda: stage.usd(scope="base=BTC") == (10_500_000, 4_000_000))
        await until(lambda: stage.usd(scope="venue=gate") == (0, 4_000_000))
        await until(lambda: stage.usd(scope="venue=okx,base=BTC") == (10_500_000, 0))
        largest = stage.book().sum("5m", "all").largest()
        assert largest is not None and ("a", "10.5") == (largest.event_id, largest.notional_usd)
        await until(lambda: stage.metric("liqwatch_window_notional_usd", window="5m", side="short", venue="gate") == 4)
    assert 2 == stage.metric("liqwatch_aggregator_events_total")
    assert 0 < stage.metric("liqwatch_pipeline_latency_seconds_count")


async def test_nothing_is_published_of_a_partition_before_it_has_caught_up(stage: Stage) -> None:
    events = [liquidation(f"e{n}", stage.time.ms - n, "1") for n in range(1_300)]
    await stage.say(*events)
    async with running(stage.service()):
        await until(stage.live)
    number = partition_for(b"binance:BTCUSDT", LIQUIDATIONS.partitions)
    rows = [decode_totals(r.value) for r in stage.log.records[TOTALS.name][number] if r.value is not None]
    first_beat = next(n for n, row in enumerate(rows) if isinstance(row, Heartbeat))
    announced = [row for row in rows[:first_beat] if isinstance(row, Totals)]
    scopes = ("all", "venue=binance", "base=BTC", "venue=binance,base=BTC")
    assert {(name, scope) for name in ("10s", "5m") for scope in scopes} == {(r.window, r.scope) for r in announced}
    assert {1300} == {row.long_count for row in announced}
    assert 1299 == announced[0].offset


async def test_a_crossing_does_not_wait_for_the_tick(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    ticks = 0

    async def tick(_publisher: publisher.Publisher, _ends: dict[int, int]) -> None:
        nonlocal ticks
        ticks += 1  # and nothing is written

    async with running(stage.service()):
        await until(stage.live)
        monkeypatch.setattr(publisher.Publisher, "tick", tick)
        await until(lambda: ticks > 0)
        beats = sum(1 for record in stage.log.all(TOTALS) if record.key.endswith(b"heartbeat"))
        await stage.say(liquidation("a", stage.time.ms, "1"))
        await until(lambda: stage.usd() == (1_000_000, 0))
        assert beats == sum(1 for record in stage.log.all(TOTALS) if record.key.endswith(b"heartbeat"))


@pytest.mark.usefixtures("quick_burial")
async def test_a_total_that_expires_becomes_zero_and_then_a_tombstone(stage: Stage) -> None:
    async with running(stage.service()):
        await until(stage.live)
        await stage.say(liquidation("a", stage.time.ms, "10.5"))
        await until(lambda: stage.usd("10s") == (10_500_000, 0))
        stage.time.seconds += 10
        await until(lambda: stage.usd("10s") == (0, 0))
        await until(lambda: last(stage, b",10s,all") is None)
        assert (10_500_000, 0) == stage.usd("5m")


def last(stage: Stage, suffix: bytes) -> bytes | None:
    found = [record.value for record in stage.log.all(TOTALS) if record.key.endswith(suffix)]
    return found[-1] if found else b"never written"


async def test_late_future_duplicate_and_unreadable_records_are_counted_and_not_added(stage: Stage) -> None:
    async with running(stage.service()):
        await until(stage.live)
        now = stage.time.ms
        await stage.say(
            liquidation("a", now, "1"),
            liquidation("a", now - 5_000, "2"),
            liquidation("late", now - 300_000, "4"),
            liquidation("future", now + 60_001, "8", received_time_ms=now),
            liquidation("bad side", now, "16", side="buy"),
            liquidation("bad money", now, "1e9"),
        )
        await stage.log.append(LIQUIDATIONS, [Entry(b"k", value, now) for value in (b"{", b"[]", None, b"\xff")])
        await until(lambda: stage.metric("liqwatch_records_unreadable_total") == 6)
        await until(lambda: stage.usd() == (1_000_000, 0))
    for name in ("duplicate", "late", "future"):
        assert 1 == stage.metric(f"liqwatch_events_{name}_total"), name


async def test_after_a_restart_the_totals_are_what_they_were_and_nothing_smaller_was_seen(stage: Stage) -> None:
    bases = ("BTC", "ETH", "SOL", "XRP", "DOGE")
    events = [liquidation(f"e{n}", stage.time.ms - 50 * n, "1.1", base=bases[n % 5]) for n in range(500)]
    async with running(stage.service()):
        await until(stage.live)
        await stage.say(*events, *events[:50])
        await until(lambda: stage.usd() == (550_000_000, 0))
    before = len(stage.log.all(TOTALS))
    stage.time.seconds += 30
    async with running(stage.service()):
        await until(stage.live)
    assert 550_000_000 == stage.usd()[0]
    assert before < len(stage.log.all(TOTALS))
    assert 0 == stage.metric("liqwatch_events_late_total")
    seen = TotalsBook(TOTALS.partitions)
    sums = []
    for record in written_in_order(stage):
        message = decode_totals(record.value) if record.value else None
        if message is not None and seen.apply(message) and isinstance(message, Totals) and message.scope == "all":
            sums.append(seen.sum("5m", "all").long)
    assert sorted(sums) == sums


def written_in_order(stage: Stage) -> list[Record]:
    return sorted(stage.log.all(TOTALS), key=lambda record: (record.timestamp_ms, record.partition, record.offset))


@pytest.mark.usefixtures("quick_burial")
async def test_a_successor_has_a_higher_generation_and_buries_what_has_expired(stage: Stage) -> None:
    async with running(stage.service()):
        await until(stage.live)
        await stage.say(liquidation("a", stage.time.ms, "1", base="OLD"))
        await until(lambda: stage.usd("10s", "base=OLD") == (1_000_000, 0))
    first = {decode_totals(r.value).generation for r in stage.log.all(TOTALS) if r.value}
    count = len(stage.log.all(TOTALS))
    stage.time.seconds += 400
    stage.log._groups.clear()  # the broker has forgotten the group: generations begin at 1 again
    async with running(stage.service()):
        await until(stage.live)
        await until(lambda: last(stage, b",5m,base=OLD") is None)
        await until(lambda: last(stage, b",10s,base=OLD") is None)
    second = {decode_totals(r.value).generation for r in stage.log.all(TOTALS)[:] if r.value} - first
    assert count < len(stage.log.all(TOTALS))
    assert second and min(second) > max(first)
    assert (0, 0) == stage.usd("5m", "base=OLD")


async def test_an_id_timed_by_us_is_still_known_after_a_restart_when_its_event_has_expired(stage: Stage) -> None:
    event = liquidation("bitmex-1", stage.time.ms, "1", venue="bitmex", timed_by="received")
    await stage.say(event)
    stage.time.seconds += 310
    async with running(stage.service()):
        await until(stage.live)
        again = liquidation("bitmex-1", stage.time.ms, "1", venue="bitmex", timed_by="received")
        await stage.say(again)
        await until(lambda: stage.metric("liqwatch_events_duplicate_total") == 1)
    assert (0, 0) == stage.usd()


async def test_two_members_share_the_partitions_and_their_totals_add_up(stage: Stage) -> None:
    bases = [f"C{n}" for n in range(60)]
    async with running(stage.service()) as one:
        first = stage.registry
        await until(stage.live)
        await until(lambda: lags(first) == LIQUIDATIONS.partitions)
        await stage.say(*[liquidation(f"a{n}", stage.time.ms, "1", base=base) for n, base in enumerate(bases)])
        await until(lambda: stage.usd() == (60_000_000, 0))
        async with running(stage.service()) as two:
            await until(lambda: one.unready() == two.unready() == [] and stage.live())
            await stage.say(*[liquidation(f"b{n}", stage.time.ms, "1", base=base) for n, base in enumerate(bases)])
            await until(lambda: stage.usd() == (120_000_000, 0))
            assert 6 == stage.metric("liqwatch_partitions_owned")
            await until(lambda: lags(first) == 6)  # what it has let go of is not shown any more
        await stage.say(*[liquidation(f"c{n}", stage.time.ms, "1", base=base) for n, base in enumerate(bases)])
        await until(lambda: stage.usd() == (180_000_000, 0))


def lags(registry: CollectorRegistry) -> int:
    samples = (sample for family in registry.collect() for sample in family.samples)
    return sum(1 for sample in samples if sample.name == "liqwatch_kafka_consumer_lag_records")


async def test_a_member_that_was_cut_off_while_another_wrote_begins_anew(stage: Stage) -> None:
    async with running(stage.service()):
        await until(stage.live)
        await stage.say(liquidation("a", stage.time.ms, "1"))
        await until(lambda: stage.usd() == (1_000_000, 0))
        group = stage.log._groups[LIQUIDATIONS.name, GROUP]
        [cut_off] = group.members
        group.members.remove(cut_off)  # without a new generation: it does not notice
        before = group.generation
        rival = await stage.log.member(LIQUIDATIONS, GROUP)
        cut_off.assignment = replace(cut_off.assignment, generation=group.generation)
        await rival.fetch(0.01)
        assert before < rival.assignment.generation
        beats = [beat(number, rival.assignment.generation + 1, stage.time.ms) for number in rival.assignment.partitions]
        await stage.log.append(TOTALS, beats)
        assert not stage.live()  # the rival has said nothing of having caught up
        group.members.insert(0, cut_off)
        await rival.close()
        await until(stage.live)
        await stage.say(liquidation("b", stage.time.ms, "2"))
        await until(lambda: stage.usd() == (3_000_000, 0))


def beat(number: int, generation: int, now_ms: int) -> Entry:
    value = encode(Heartbeat(number, generation, now_ms, -1, 0, False))
    return Entry(f"{number},heartbeat".encode(), value, now_ms, number)


async def test_a_row_that_a_late_one_of_an_old_owner_hides_is_written_again(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(publisher, "AGAIN_FIRST_SECONDS", 1.5)
    async with running(stage.service()):
        await until(stage.live)
        await stage.say(liquidation("a", stage.time.ms, "1"))
        await until(lambda: stage.usd("10s", "base=BTC") == (1_000_000, 0))
        number = partition_for(b"binance:BTCUSDT", LIQUIDATIONS.partitions)
        ours = last(stage, b",10s,base=BTC")
        await stage.log.append(TOTALS, [Entry(f"{number},10s,base=BTC".encode(), None, stage.time.ms, number)])
        assert None is last(stage, b",10s,base=BTC")
        await until(lambda: last(stage, b",10s,base=BTC") == ours)
        written = len(rows_of(stage, b",10s,base=BTC"))
        await asyncio.sleep(1.2)
        assert written == len(rows_of(stage, b",10s,base=BTC")), "once, not with every tick"


def rows_of(stage: Stage, suffix: bytes) -> list[Record]:
    return [record for record in stage.log.all(TOTALS) if record.key.endswith(suffix)]


async def test_what_is_no_row_of_totals_is_counted_and_does_not_stop_a_start(stage: Stage) -> None:
    strange = [(b"junk", None), (b"\xff", b"{"), (b"3,5m", None), (b"3,heartbeat", None), (b"3,5m,all", b"[]")]
    await stage.log.append(TOTALS, [Entry(key, value, stage.time.ms, 3) for key, value in strange])
    service = stage.service()
    assert [] != service.unready()
    async with running(service):
        await until(lambda: service.unready() == [])
    assert 4 == stage.metric("liqwatch_records_unreadable_total")


async def test_a_history_that_may_not_be_read_ends_it_with_the_remedy(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def refused(*_: object, **__: object) -> None:
        raise LogError("this user may not read; grant it the right")

    monkeypatch.setattr(stage.log, "reader", refused)
    with pytest.raises(LogError, match="grant it the right"):
        async with asyncio.timeout(PATIENCE):
            await stage.service().run(asyncio.Event())


@pytest.mark.usefixtures("quick_burial")
async def test_a_window_that_was_taken_out_of_the_settings_is_buried(stage: Stage) -> None:
    async with running(stage.service()):
        await until(stage.live)
        await stage.say(liquidation("a", stage.time.ms, "1"))
        await until(lambda: stage.usd("10s") == (1_000_000, 0))
    async with running(stage.service(AggregatorSettings(windows=SETTINGS.windows[1:]))):
        await until(stage.live)
        await until(lambda: last(stage, b",10s,all") is None)
    assert (1_000_000, 0) == stage.usd("5m")


async def test_a_clock_that_jumped_ahead_and_came_back_has_the_totals_rebuilt(stage: Stage) -> None:
    running_on = asyncio.create_task(stage.service().run(asyncio.Event()))
    await until(stage.live)
    await stage.say(liquidation("a", stage.time.ms, "1"))
    await until(lambda: stage.usd() == (1_000_000, 0))
    stage.time.seconds += 3_600
    await until(lambda: stage.usd() == (0, 0))
    stage.time.seconds -= 3_600
    with pytest.raises(ClockWentBack, match="the clock went back by 3600 s"):
        async with asyncio.timeout(PATIENCE):
            await running_on
    async with running(stage.service()):
        await until(lambda: stage.usd() == (1_000_000, 0))
        stage.time.seconds -= 59
        beats = len(rows_of(stage, b"heartbeat"))
        await until(lambda: len(rows_of(stage, b"heartbeat")) > beats)


async def test_a_lost_partition_is_not_written_any_more(stage: Stage) -> None:
    async with running(stage.service()):
        await until(stage.live)
        rival = await stage.log.member(LIQUIDATIONS, GROUP)
        await rival.fetch(0.01)
        await asyncio.sleep(0.5)
        ours = {number: len(stage.log.records[TOTALS.name][number]) for number in rival.assignment.partitions}
        await stage.say(*[liquidation(f"x{n}", stage.time.ms, "1", base=f"C{n}") for n in range(60)])
        await asyncio.sleep(1.2)
        assert ours == {number: len(stage.log.records[TOTALS.name][number]) for number in ours}
        await rival.close()


async def test_an_outage_of_the_log_loses_nothing_and_is_told(stage: Stage) -> None:
    async with running(stage.service()) as service:
        await until(stage.live)
        await stage.say(liquidation("a", stage.time.ms, "1"))
        await until(lambda: stage.usd() == (1_000_000, 0))
        stage.log.down = True
        await until(lambda: any("cannot be used" in reason for reason in service.unready()))
        assert 0 == stage.metric("liqwatch_log_up")
        stage.log.down = False
        await stage.say(liquidation("b", stage.time.ms, "1"))
        await until(lambda: stage.usd() == (2_000_000, 0))
        await until(lambda: service.unready() == [])
        assert 1 == stage.metric("liqwatch_log_up")


async def test_it_stops_though_the_log_is_down(stage: Stage) -> None:
    async with running(stage.service()):
        await until(stage.live)
        stage.log.down = True
        await stage.log.wait_for_change(0.1)


async def test_a_missing_topic_ends_it_with_the_remedy() -> None:
    stage = Stage()
    del stage.log.records[LIQUIDATIONS.name]
    with pytest.raises(TopicMissing, match="liqwatch topics create"):
        await stage.service().run(asyncio.Event())


async def test_readiness_names_the_partition_and_how_far_it_is_behind(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(memory_log, "FETCH_LIMIT", 1)
    service = stage.service()
    assert ["no partition assigned yet"] == service.unready()
    await stage.say(*[liquidation(f"e{n}", stage.time.ms, "1") for n in range(300)])
    seen: list[str] = []
    async with running(service):
        async with asyncio.timeout(PATIENCE):
            while service.unready():
                seen += service.unready()
                await asyncio.sleep(0)
    number = partition_for(b"binance:BTCUSDT", LIQUIDATIONS.partitions)
    assert f"partition {number} is catching up: 150 records behind" in seen


def minutes(stage: Stage) -> list[tuple[int, list[tuple[str, str, str, int, str, int]]]]:
    found = []
    for record in stage.log.all(BARS):
        bar = Bar.model_validate_json(record.value or b"")
        assert f"{bar.partition},{bar.minute_ms}".encode() == record.key
        rows = [(r.venue, r.base, r.long_usd, r.long_count, r.short_usd, r.short_count) for r in bar.rows]
        found.append((bar.minute_ms, rows))
    return sorted(found)


async def test_a_minute_becomes_a_bar_when_it_has_passed_and_again_when_a_late_event_changes_it(stage: Stage) -> None:
    minute = stage.time.ms // 60_000 * 60_000
    async with running(stage.service()):
        await until(stage.live)
        await stage.say(liquidation("a", minute, "1"), liquidation("b", minute + 30_000, "2", side="short"))
        await until(lambda: stage.usd()[0] == 1_000_000)
        stage.time.seconds = minute / 1000 + 60
        await asyncio.sleep(0.05)
        assert [] == minutes(stage)
        stage.time.seconds += 1
        rows = [("binance", "BTC", "1.000000", 1, "2.000000", 1)]
        await until(lambda: minutes(stage) == [(minute, rows)])
        await stage.say(liquidation("c", minute + 59_999, "4"))
        changed = [("binance", "BTC", "5.000000", 2, "2.000000", 1)]
        await until(lambda: minutes(stage) == [(minute, rows), (minute, changed)])


async def test_a_restart_writes_the_bars_that_are_missing_and_no_others(stage: Stage) -> None:
    minute = stage.time.ms // 60_000 * 60_000
    async with running(stage.service()):
        await until(stage.live)
        await stage.say(liquidation("a", minute, "1"))
        stage.time.seconds = minute / 1000 + 61
        await until(lambda: len(minutes(stage)) == 1)
        beats = len(stage.log.all(TOTALS))
        await until(lambda: len(stage.log.all(TOTALS)) >= beats + LIQUIDATIONS.partitions)
    await stage.say(liquidation("b", minute + 70_000, "2"))  # while nobody was there
    stage.time.seconds = minute / 1000 + 190
    async with running(stage.service()):
        await until(lambda: len(minutes(stage)) == 2)
        stage.time.seconds = minute / 1000 + 340  # the first minute is not whole in memory any more
        await stage.say(liquidation("c", minute + 59_000, "4"))
        await until(lambda: stage.usd() == (6_000_000, 0))
        await asyncio.sleep(1.2)
    expected = [("binance", "BTC", "2.000000", 1, "0.000000", 0)]
    assert [minute, minute + 60_000] == [at for at, _ in minutes(stage)]
    assert expected == minutes(stage)[1][1]


@pytest.mark.parametrize("then_comes", [False, True], ids=["at the tick", "with an event"])
async def test_a_leap_of_the_clock_over_all_that_is_kept_loses_no_minute(stage: Stage, then_comes: bool) -> None:
    minute = stage.time.ms // 60_000 * 60_000
    async with running(stage.service()):
        await until(stage.live)
        await stage.say(liquidation("a", minute, "1"))
        await until(lambda: stage.usd() == (1_000_000, 0))
        stage.time.seconds += 3_600  # the machine slept
        if then_comes:
            await stage.say(liquidation("b", stage.time.ms, "2"))
        await until(lambda: len(minutes(stage)) == 1)
        await until(lambda: stage.usd() == (2_000_000 * then_comes, 0))
        stage.time.seconds += 61
        await until(lambda: len(minutes(stage)) == 1 + then_comes)
    assert (minute, [("binance", "BTC", "1.000000", 1, "0.000000", 0)]) == minutes(stage)[0]


async def test_minutes_of_a_clock_that_was_ahead_are_written_anew_once_it_is_right(stage: Stage) -> None:
    minute = stage.time.ms // 60_000 * 60_000
    ahead = asyncio.create_task(stage.service().run(asyncio.Event()))
    await until(stage.live)
    await stage.say(liquidation("a", minute, "1"))
    await until(lambda: stage.usd() == (1_000_000, 0))
    stage.time.seconds += 3_600
    await until(lambda: len(minutes(stage)) == 1)
    await stage.say(liquidation("b", minute + 20_000, "2"))  # of the same minute, and late by that clock
    await until(lambda: stage.metric("liqwatch_events_late_total") == 1)
    beats = len(rows_of(stage, b"heartbeat"))
    await until(lambda: len(rows_of(stage, b"heartbeat")) >= beats + LIQUIDATIONS.partitions)
    stage.time.seconds -= 3_600
    with pytest.raises(ClockWentBack):
        async with asyncio.timeout(PATIENCE):
            await ahead
    async with running(stage.service()):
        stage.time.seconds = minute / 1000 + 61
        await until(lambda: minutes(stage)[-1] == (minute, [("binance", "BTC", "3.000000", 2, "0.000000", 0)]))


async def test_heartbeats_say_how_far_the_totals_have_come(stage: Stage) -> None:
    async with running(stage.service()):
        await until(stage.live)
        await stage.say(liquidation("a", stage.time.ms, "1"))
        number = partition_for(b"binance:BTCUSDT", LIQUIDATIONS.partitions)

        def told() -> bool:
            beat = decode_totals(last(stage, f"{number},heartbeat".encode()) or b"")
            return isinstance(beat, Heartbeat) and (0, 1, True) == (beat.offset, beat.end_offset, beat.caught_up)

        await until(told)


async def test_records_keep_the_contract(stage: Stage) -> None:
    async with running(stage.service()):
        await until(stage.live)
        await stage.say(liquidation("a", stage.time.ms, "1.5"))
        await until(lambda: stage.usd() == (1_500_000, 0))
    for record in stage.log.all(TOTALS):
        table = orjson.loads(record.value or b"{}")
        known = {"totals": TOTALS.messages[0], "heartbeat": TOTALS.messages[1]}[table["kind"]]
        known.model_validate(table)
        assert record.partition == table["partition"]
    assert micros("1.5") == stage.usd()[0]
