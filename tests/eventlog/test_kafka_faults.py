"""What happens to the log on Kafka when brokers go away or answer with errors: injected by librdkafka's mock broker."""

import asyncio
import os
import socket
import time
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import pytest
from pydantic import SecretStr

from liqwatch.clock import Clock
from liqwatch.eventlog import Entry, LogClosed, LogError, LogUnavailable, Record, TopicUnfit
from liqwatch.eventlog.kafka import KafkaLog
from liqwatch.eventlog.kafka_member import KafkaMember
from liqwatch.settings import KafkaSettings
from liqwatch.topics import LIQUIDATIONS
from tests.support.log_bench import kafka_settings
from tests.support.mock_broker import (
    HEARTBEAT,
    NOT_LEADER,
    OUT_OF_ORDER_SEQUENCE,
    PRODUCE,
    REQUEST_TIMED_OUT,
    UNKNOWN_MEMBER,
    MockBroker,
)

NOW = int(time.time() * 1000)
TOPIC = replace(LIQUIDATIONS, name="test.faults", partitions=1)


def entry(number: int) -> Entry:
    return Entry(b"key", b"%d" % number, NOW)


@pytest.fixture
async def log(mock_broker: MockBroker) -> AsyncIterator[KafkaLog]:
    mock_broker.create(TOPIC.name, TOPIC.partitions)
    log = KafkaLog(kafka_settings(mock_broker.bootstrap), Clock())
    await log.open()
    await log.append(TOPIC, [entry(0)])
    yield log
    await log.close()


@pytest.fixture
async def nothing_left() -> AsyncIterator[None]:
    """Fails if a background task of aiokafka outlives the test."""
    before = asyncio.all_tasks()
    yield
    await asyncio.sleep(0)
    assert [] == [task for task in asyncio.all_tasks() - before if "aiokafka" in repr(task.get_coro())]


async def numbers(log: KafkaLog, count: int) -> list[int]:
    reader = await log.reader(TOPIC)
    found: list[Record] = []
    async with asyncio.timeout(20):
        while len(found) < count:
            found += await reader.fetch(1.0)
    await reader.close()
    return [int(record.value or b"-1") for record in found]


async def test_no_broker_at_start_is_unavailable_with_a_remedy(nothing_left: None) -> None:
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))  # bound, not listening: refused
        address = f"127.0.0.1:{held.getsockname()[1]}"
        log = KafkaLog(kafka_settings(address), Clock())
        async with asyncio.timeout(10):
            with pytest.raises(
                LogUnavailable, match=f"{address} does not answer; check .* log.kafka.bootstrap_servers"
            ):
                await log.open()
        await log.close()


async def test_an_append_waits_through_an_outage(log: KafkaLog, mock_broker: MockBroker) -> None:
    mock_broker.down()
    waiting = asyncio.create_task(log.append(TOPIC, [entry(1), entry(2)]))
    done, _ = await asyncio.wait({waiting}, timeout=1.0)
    assert set() == done
    mock_broker.up()
    async with asyncio.timeout(20):
        assert [(0, 1), (0, 2)] == list(await waiting)
    assert [0, 1, 2] == await numbers(log, 3)


async def test_a_reader_says_that_it_cannot_read_and_goes_on_where_it_was(
    log: KafkaLog, mock_broker: MockBroker
) -> None:
    reader = await log.reader(TOPIC)
    while not await reader.fetch(1.0):
        pass
    mock_broker.down()
    with pytest.raises(LogUnavailable, match="does not answer"):
        async with asyncio.timeout(20):
            while True:
                assert () == tuple(await reader.fetch(0.5))
    mock_broker.up()
    await log.append(TOPIC, [entry(1)])
    found: list[Record] = []
    async with asyncio.timeout(20):
        while not found:
            try:
                found += await reader.fetch(0.5)
            except LogUnavailable:
                await asyncio.sleep(0.05)
    assert [b"1"] == [record.value for record in found]
    assert 0 == reader.lost


@pytest.mark.parametrize("errors", [(NOT_LEADER,) * 3, (REQUEST_TIMED_OUT,) * 2])
async def test_a_refused_request_is_sent_again_without_a_copy(
    log: KafkaLog, mock_broker: MockBroker, errors: tuple[int, ...]
) -> None:
    mock_broker.fail_next(PRODUCE, *errors)
    async with asyncio.timeout(20):
        for number in range(1, 6):
            await log.append(TOPIC, [entry(number)])
    assert list(range(6)) == await numbers(log, 6)


async def test_a_producer_that_died_is_replaced_by_the_next_append(log: KafkaLog, mock_broker: MockBroker) -> None:
    mock_broker.fail_next(PRODUCE, OUT_OF_ORDER_SEQUENCE)
    with pytest.raises(LogUnavailable):
        await log.append(TOPIC, [entry(1)])
    async with asyncio.timeout(20):
        await log.append(TOPIC, [entry(2)])
    assert [0, 2] == await numbers(log, 2)


async def test_closing_in_an_outage_is_bounded_and_tells_who_waits(
    nothing_left: None, log: KafkaLog, mock_broker: MockBroker
) -> None:
    reader = await log.reader(TOPIC)
    member = await log.member(TOPIC, "group")
    async with asyncio.timeout(20):
        while not member.assignment.partitions:
            await member.fetch(0.1)
    mock_broker.down()
    small = asyncio.create_task(log.append(TOPIC, [entry(1)]))
    large = asyncio.create_task(log.append(TOPIC, [entry(n) for n in range(500)]))
    reading = asyncio.create_task(reader.fetch(0.5))
    await asyncio.wait({small, large, reading}, timeout=0.5)
    async with asyncio.timeout(10):  # a hang is what this is about; the promise itself is 5 s
        await log.close(timeout=2.0)
    for append in (small, large):
        async with asyncio.timeout(5):
            with pytest.raises(LogClosed):
                await append
    await asyncio.wait({reading}, timeout=5)
    assert reading.done()
    reading.exception()


async def test_what_retention_took_before_it_was_read_is_counted(log: KafkaLog) -> None:
    """The mock broker keeps 5 MiB a partition."""
    reader = await log.reader(TOPIC)
    async with asyncio.timeout(20):
        while not await reader.fetch(0.5):
            pass
    total = 200
    for _ in range(total):
        await log.append(TOPIC, [Entry(b"key", os.urandom(50_000), NOW)])
    read = 0
    async with asyncio.timeout(30):
        while reader.positions() != await reader.end_offsets():
            read += len(await reader.fetch(0.5))
    assert reader.lost > 0
    assert total == read + reader.lost


async def test_a_member_that_was_thrown_out_comes_back_with_a_later_generation_and_what_nobody_had_meanwhile(
    log: KafkaLog, mock_broker: MockBroker
) -> None:
    member = await log.member(TOPIC, "group")
    found: list[Record] = []
    async with asyncio.timeout(20):
        while not found:
            found += await member.fetch(0.1)
    before = member.assignment
    mock_broker.fail_next(HEARTBEAT, UNKNOWN_MEMBER)
    async with asyncio.timeout(30):
        while member.assignment == before:
            await member.fetch(0.1)
    assert member.assignment.generation > before.generation
    assert (frozenset({0}), frozenset()) == (member.assignment.partitions, member.assignment.fresh)
    await log.append(TOPIC, [entry(1)])
    async with asyncio.timeout(20):
        while len(found) < 2:
            found += await member.fetch(0.1)
    assert [b"0", b"1"] == [record.value for record in found]


async def test_a_member_that_was_thrown_out_begins_anew_what_another_had_meanwhile(
    log: KafkaLog, mock_broker: MockBroker
) -> None:
    member = await log.member(TOPIC, "group")
    found: list[Record] = []
    async with asyncio.timeout(20):
        while not found:
            found += await member.fetch(0.1)
    before = member.assignment
    assert isinstance(member, KafkaMember)
    await member.membership.claim({0: 1}, before.generation + 5)  # as its owner of that time would
    mock_broker.fail_next(HEARTBEAT, UNKNOWN_MEMBER)
    async with asyncio.timeout(30):
        while member.assignment == before or len(found) < 2:
            found += await member.fetch(0.1)
    assert (frozenset({0}), frozenset({0})) == (member.assignment.partitions, member.assignment.fresh)
    assert member.assignment.generation > before.generation + 5
    assert [b"0", b"0"] == [record.value for record in found]
    assert 0 == member.lost


async def test_a_record_that_no_broker_takes_is_refused_before_it_is_sent(log: KafkaLog) -> None:
    with pytest.raises(LogError, match="larger than") as refused:
        await log.append(TOPIC, [Entry(b"key", b"x" * 1_000_000, NOW)])
    assert not isinstance(refused.value, LogUnavailable)
    await log.append(TOPIC, [entry(1)])


async def test_a_topic_with_other_partitions_is_refused(log: KafkaLog) -> None:
    wrong = replace(TOPIC, partitions=4)
    for attempt in (log.append(wrong, [entry(1)]), log.reader(wrong), log.member(wrong, "group")):
        with pytest.raises(TopicUnfit, match="1 partitions instead of 4"):
            await attempt


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ({"security_protocol": "SASL_SSL"}, "needs kafka.sasl_username and kafka.sasl_password"),
        ({"security_protocol": "SSL", "ca_file": "/nowhere/ca.pem"}, "kafka.ca_file /nowhere/ca.pem"),
    ],
)
def test_security_settings_that_cannot_work_are_told(values: dict[str, Any], reason: str) -> None:
    with pytest.raises(LogError, match=reason):
        KafkaLog(KafkaSettings(**values), Clock())


async def test_the_password_is_never_shown(nothing_left: None) -> None:
    settings = KafkaSettings(
        bootstrap_servers="127.0.0.1:1",
        security_protocol="SASL_PLAINTEXT",
        sasl_username="liqwatch",
        sasl_password=SecretStr("hunter2"),
    )
    log = KafkaLog(settings, Clock())
    with pytest.raises(LogUnavailable) as refused:
        await log.open()
    assert "hunter2" not in f"{refused.value!r} {log._connection!r} {log._producer!r}"
    await log.close()
