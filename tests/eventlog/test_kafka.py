"""What only a real Apache Kafka proves: groups, retention, compaction, logins, outages of a whole process."""

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from confluent_kafka import TopicPartition as ConfluentTopicPartition
from confluent_kafka.admin import AdminClient
from pydantic import SecretStr

from liqwatch.clock import Clock
from liqwatch.eventlog import NOTHING_ASSIGNED, Entry, LogError, LogUnavailable, Record
from liqwatch.eventlog.kafka import KafkaLog
from liqwatch.topics import Topic
from tests.support.kafka_broker import RealBroker, running_broker
from tests.support.log_bench import Bench, kafka_settings

pytestmark = pytest.mark.kafka
NOW = int(time.time() * 1000)
DAY_MS = 86_400_000
Opened = Callable[..., Awaitable[KafkaLog]]


def entry(number: int, partition: int | None = None, at_ms: int = NOW, key: bytes = b"key") -> Entry:
    return Entry(key, b"%d" % number, at_ms, partition)


def now_ms() -> int:
    return int(time.time() * 1000)


@pytest.fixture
async def opened(kafka_bootstrap: str) -> AsyncIterator[Opened]:
    async with AsyncExitStack() as stack:

        async def open_log(address: str = kafka_bootstrap, **values: Any) -> KafkaLog:
            log = KafkaLog(kafka_settings(address, **values), Clock())
            stack.push_async_callback(log.close)
            await log.open()
            return log

        yield open_log


@pytest.fixture
def real(kafka_bootstrap: str, opened: Opened) -> Bench:
    """Names of its own for topics and groups."""
    return Bench("kafka", opened)


async def made(log: KafkaLog, topic: Topic) -> Topic:
    await log.create([topic])
    return topic


async def alter(address: str, topic: Topic, **configs: str) -> None:
    make: Any = AIOKafkaAdminClient
    admin = make(bootstrap_servers=address)
    await admin.start()
    resource: Any = ConfigResource
    wanted = {name.replace("_", "."): value for name, value in configs.items()}
    await admin.alter_configs([resource(ConfigResourceType.TOPIC, topic.name, wanted)])
    await admin.close()


async def test_two_members_share_and_miss_nothing_when_one_joins_and_leaves(opened: Opened, real: Bench) -> None:
    log = await opened()
    topic = await made(log, real.unmade(partitions=6))
    group = real.group()
    seen: set[tuple[int, int]] = set()
    repeats_of_kept = 0
    total = 0

    async def write(count: int) -> None:
        nonlocal total
        for _ in range(count):
            await log.append(topic, [entry(total, partition=total % 6)])
            total += 1

    first = await log.member(topic, group)
    async with asyncio.timeout(30):
        while len(first.assignment.partitions) < 6:
            await first.fetch(0.1)
    await write(30)
    other = await opened()
    second = await other.member(topic, group)
    everybody = frozenset(range(6))
    async with asyncio.timeout(60):
        while len(seen) < total or {3} != {len(member.assignment.partitions) for member in (first, second)}:
            for member in (first, second):
                records = await member.fetch(0.1)
                kept = member.assignment.partitions - member.assignment.fresh
                repeats_of_kept += sum(1 for r in records if r.partition in kept and (r.partition, r.offset) in seen)
                seen |= {(record.partition, record.offset) for record in records}
    assert everybody == first.assignment.partitions | second.assignment.partitions
    assert frozenset() == first.assignment.partitions & second.assignment.partitions
    assert frozenset() == first.assignment.fresh, "what stays is not begun anew"
    assert second.assignment.fresh == second.assignment.partitions
    assert second.assignment.generation > 0
    await write(30)
    held, generation = second.assignment.partitions, second.assignment.generation
    await first.close()
    async with asyncio.timeout(60):
        while len(seen) < total or second.assignment.partitions != everybody:
            records = await second.fetch(0.1)
            seen |= {(record.partition, record.offset) for record in records}
    assert everybody - held == second.assignment.fresh
    assert second.assignment.generation > generation
    assert 0 == repeats_of_kept
    assert 0 == first.lost + second.lost


HOLDER = """
import asyncio, dataclasses, sys
from liqwatch.clock import Clock
from liqwatch.eventlog.kafka import KafkaLog
from liqwatch.topics import LIQUIDATIONS
from tests.support.log_bench import kafka_settings

async def main(address, name, group):
    log = KafkaLog(kafka_settings(address), Clock())
    await log.open()
    member = await log.member(dataclasses.replace(LIQUIDATIONS, name=name, partitions=1), group)
    while not member.assignment.partitions:
        await member.fetch(0.1)
    told = None
    while True:
        if member.assignment != told:
            told = member.assignment
            print(told.generation, *told.fresh, flush=True)
        await member.fetch(1.0)

asyncio.run(main(*sys.argv[1:]))
"""


async def test_a_member_that_stands_by_takes_over_from_one_that_was_killed(
    opened: Opened, real: Bench, kafka_bootstrap: str
) -> None:
    log = await opened()
    topic = await made(log, real.unmade(partitions=1))
    group = real.group()
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", HOLDER, kafka_bootstrap, topic.name, group, stdout=subprocess.PIPE
    )
    try:
        assert process.stdout is not None
        async with asyncio.timeout(30):
            generation = int((await process.stdout.readline()).split()[0])
        member = await log.member(topic, group)
        async with asyncio.timeout(30):
            while member.assignment == NOTHING_ASSIGNED:
                await member.fetch(0.1)
        assert frozenset() == member.assignment.partitions, "who has it keeps it"
        await log.append(topic, [entry(1)])
        process.kill()
        found: list[Record] = []
        async with asyncio.timeout(30):
            while not found:
                found += await member.fetch(0.1)
        assert member.assignment.generation > generation
        assert frozenset({0}) == member.assignment.fresh
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


async def test_a_member_that_froze_begins_anew_what_another_had_meanwhile(
    opened: Opened, real: Bench, kafka_bootstrap: str
) -> None:
    log = await opened()
    topic = await made(log, real.unmade(partitions=1))
    group = real.group()
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", HOLDER, kafka_bootstrap, topic.name, group, stdout=subprocess.PIPE
    )
    try:
        assert process.stdout is not None
        async with asyncio.timeout(30):
            first, *fresh = [int(word) for word in (await process.stdout.readline()).split()]
        assert [0] == fresh
        process.send_signal(signal.SIGSTOP)
        rival = await log.member(topic, group)
        async with asyncio.timeout(30):
            while not rival.assignment.partitions:
                await rival.fetch(0.1)
        between = rival.assignment.generation
        await rival.close()
        process.send_signal(signal.SIGCONT)
        async with asyncio.timeout(30):
            last, *fresh = [int(word) for word in (await process.stdout.readline()).split()]
        assert first < between < last
        assert [0] == fresh
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


async def test_generations_grow_though_kafka_forgot_the_group(
    opened: Opened, real: Bench, kafka_bootstrap: str
) -> None:
    log = await opened()
    topic = await made(log, real.unmade())
    group = real.group()
    generations = []
    for _ in range(2):
        member = await log.member(topic, group)
        async with asyncio.timeout(30):
            while not member.assignment.partitions:
                await member.fetch(0.1)
        generations.append(member.assignment.generation)
        await member.close()
        admin = AdminClient({"bootstrap.servers": kafka_bootstrap})
        await asyncio.to_thread(admin.delete_consumer_groups([group])[group].result, 20)
    assert generations[0] < generations[1]


async def test_a_reader_overtaken_by_retention_counts_exactly_what_it_lost(
    opened: Opened, real: Bench, kafka_bootstrap: str
) -> None:
    """It has fetched a part ahead; that part is read, what was deleted behind it is counted."""
    log = await opened()
    topic = await made(log, real.unmade(partitions=2))
    reader = await log.reader(topic)
    noise = [Entry(b"key", os.urandom(1_000), NOW, n % 2) for n in range(4_000)]
    await log.append(topic, noise)
    before = [ConfluentTopicPartition(topic.name, 0, 1_900), ConfluentTopicPartition(topic.name, 1, 1_990)]
    admin = AdminClient({"bootstrap.servers": kafka_bootstrap})
    await asyncio.to_thread(lambda: [f.result(20) for f in admin.delete_records(before).values()])
    read = 0
    async with asyncio.timeout(30):
        while reader.positions() != {0: 2_000, 1: 2_000}:
            read += len(await reader.fetch(1.0))
    assert reader.lost > 0
    assert len(noise) == read + reader.lost


async def test_retention_goes_by_the_time_of_the_records(opened: Opened, real: Bench) -> None:
    log = await opened()
    topic = await made(log, real.unmade(retention=timedelta(days=7)))
    await log.append(topic, [entry(n, at_ms=NOW - 8 * DAY_MS) for n in range(5)])
    async with asyncio.timeout(60):
        while (await log.reader(topic)).positions() != {0: 5}:
            await asyncio.sleep(0.2)


async def test_what_compaction_took_is_not_a_loss(opened: Opened, real: Bench, kafka_bootstrap: str) -> None:
    log = await opened()
    topic = await made(log, real.unmade(retention=None, compacted=True))
    reader = await log.reader(topic)
    quick = {"segment_ms": "100", "min_cleanable_dirty_ratio": "0.01", "delete_retention_ms": "100"}
    await alter(kafka_bootstrap, topic, cleanup_policy="compact", **quick)
    last = 0
    async with asyncio.timeout(60):
        while True:
            await log.append(topic, [entry(last + n, at_ms=now_ms(), key=b"key:%d" % n) for n in range(3)])
            last += 3
            await asyncio.sleep(0.2)
            there = await log.reader(topic)
            found: list[Record] = []
            while there.positions() != await there.end_offsets():
                found += await there.fetch(0.5)
            await there.close()
            if last > 30 and len(found) < last // 2:
                break
    assert {b"key:%d" % n: last - 3 + n for n in range(3)} == {r.key: int(r.value or b"") for r in found}
    while reader.positions() != await reader.end_offsets():
        await reader.fetch(0.5)
    assert 0 == reader.lost


async def test_a_record_from_the_future_is_refused_for_good_and_the_next_is_taken(opened: Opened, real: Bench) -> None:
    log = await opened()
    topic = await made(log, real.unmade())
    with pytest.raises(LogError, match=r"refuses a record .*would do so again") as refused:
        await log.append(topic, [entry(1, at_ms=now_ms() + 2 * 3_600_000)])
    assert not isinstance(refused.value, LogUnavailable)
    async with asyncio.timeout(20):
        assert [(0, 0)] == list(await log.append(topic, [entry(2)]))


async def test_the_topics_are_made_as_the_table_says(opened: Opened, real: Bench) -> None:
    log = await opened()
    topic = await made(log, real.unmade(retention=timedelta(days=400), compacted=True))
    make: Any = AIOKafkaAdminClient
    admin = make(bootstrap_servers=log._connection.servers)
    await admin.start()
    resource: Any = ConfigResource
    (answer,) = await admin.describe_configs([resource(ConfigResourceType.TOPIC, topic.name)])
    await admin.close()
    configs = {entry[0]: entry[1] for entry in answer.resources[0][4]}
    expected = {
        "cleanup.policy": "compact,delete",
        "retention.ms": str(400 * DAY_MS),
        "message.timestamp.type": "CreateTime",
        "segment.ms": "600000",
    }
    assert expected == {name: configs[name] for name in expected}


async def test_more_replicas_than_brokers_are_refused_with_the_setting_named(opened: Opened, real: Bench) -> None:
    log = await opened(replication_factor=3)
    with pytest.raises(LogError, match=r"cannot have 3 replicas .*lower kafka.replication_factor"):
        await log.create([real.unmade()])


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder with a key and a certificate of its own for 127.0.0.1."""
    folder = tmp_path_factory.mktemp("certificate")
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost"]
    command += ["-addext", "subjectAltName=IP:127.0.0.1,DNS:localhost"]
    command += ["-keyout", str(folder / "key.pem"), "-out", str(folder / "ca.pem")]
    subprocess.run(command, check=True, capture_output=True, timeout=60)
    together = (folder / "key.pem").read_text() + (folder / "ca.pem").read_text()
    (folder / "keystore.pem").write_text(together)
    yield folder


@pytest.fixture(scope="module")
def own_broker(tmp_path_factory: pytest.TempPathFactory, certificate: Path) -> Iterator[RealBroker]:
    """A broker that tests may stop and freeze; with a second listener that wants TLS and a password."""
    both = "PLAINTEXT://127.0.0.1:{broker.port},SASL_SSL://127.0.0.1:{broker.other_port}"
    login = 'org.apache.kafka.common.security.plain.PlainLoginModule required user_liqwatch="opensesame";'
    extra = [
        f"listeners={both},CONTROLLER://127.0.0.1:{{broker.controller_port}}",
        f"advertised.listeners={both}",
        "listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT,SASL_SSL:SASL_SSL",
        "sasl.enabled.mechanisms=PLAIN",
        f"listener.name.sasl_ssl.plain.sasl.jaas.config={login}",
        "listener.name.sasl_ssl.ssl.keystore.type=PEM",
        f"listener.name.sasl_ssl.ssl.keystore.location={certificate}/keystore.pem",
    ]
    with running_broker(tmp_path_factory.mktemp("own"), extra) as broker:
        yield broker


async def test_a_login_over_tls_works_and_a_wrong_password_does_not(
    opened: Opened, real: Bench, own_broker: RealBroker, certificate: Path
) -> None:
    secure: dict[str, Any] = {
        "security_protocol": "SASL_SSL",
        "sasl_mechanism": "PLAIN",
        "sasl_username": "liqwatch",
        "ca_file": str(certificate / "ca.pem"),
    }
    address = f"127.0.0.1:{own_broker.other_port}"
    log = await opened(address, sasl_password=SecretStr("opensesame"), **secure)
    topic = await made(log, real.unmade())
    await log.append(topic, [entry(1)])
    assert [b"1"] == [record.value for record in await (await log.reader(topic)).fetch(10.0)]
    with pytest.raises(LogUnavailable, match="and the login"):
        await opened(address, sasl_password=SecretStr("wrong"), **secure)
    with pytest.raises(LogUnavailable):
        await opened(address, sasl_password=SecretStr("opensesame"), **{**secure, "ca_file": None})


async def test_a_restart_of_the_broker_loses_and_repeats_nothing(
    opened: Opened, real: Bench, own_broker: RealBroker
) -> None:
    log = await opened(own_broker.bootstrap)
    topic = await made(log, real.unmade(partitions=2))
    reader = await log.reader(topic)
    member = await log.member(topic, real.group())
    for number in range(10):
        await log.append(topic, [entry(number, partition=number % 2)])
    found: list[Record] = []
    shared: list[Record] = []

    async def read() -> None:
        for one, into in ((reader, found), (member, shared)):
            try:
                into.extend(await one.fetch(0.2))
            except LogUnavailable:
                await asyncio.sleep(0.1)

    async with asyncio.timeout(60):
        while len(found) < 10 or len(shared) < 10:
            await read()
    await asyncio.to_thread(own_broker.stop)
    waiting = asyncio.create_task(log.append(topic, [entry(n, partition=n % 2) for n in range(10, 60)]))
    await asyncio.wait({waiting}, timeout=1.0)
    assert not waiting.done()
    await asyncio.to_thread(own_broker.start)
    async with asyncio.timeout(60):
        await waiting
        while len(found) < 60 or len(shared) < 60:
            await read()
    assert list(range(60)) == sorted(int(record.value or b"") for record in found)
    assert list(range(60)) == sorted(int(record.value or b"") for record in shared)
    assert 0 == reader.lost + member.lost


async def test_closing_is_bounded_though_the_broker_is_frozen(
    opened: Opened, real: Bench, own_broker: RealBroker
) -> None:
    log = await opened(own_broker.bootstrap)
    topic = await made(log, real.unmade())
    reader = await log.reader(topic)
    await log.append(topic, [entry(1)])
    before = asyncio.all_tasks()
    own_broker.freeze()
    try:
        waiting = asyncio.create_task(log.append(topic, [entry(2)]))
        with pytest.raises(LogUnavailable):
            async with asyncio.timeout(30):
                while True:
                    await reader.fetch(0.5)
        async with asyncio.timeout(10):
            await log.close(timeout=3.0)
        async with asyncio.timeout(5):
            with pytest.raises(LogError):
                await waiting
        assert [] == [task for task in asyncio.all_tasks() - before if "aiokafka" in repr(task.get_coro())]
    finally:
        own_broker.thaw()
