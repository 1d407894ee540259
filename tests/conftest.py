"""Fixtures that several folders share: brokers, and the log on each of its backends."""

from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings

from liqwatch.clock import Clock
from liqwatch.eventlog import Log
from liqwatch.eventlog.kafka import KafkaLog
from liqwatch.eventlog.sqlite import SqliteLog
from tests.support.kafka_broker import running_broker
from tests.support.log_bench import Bench, kafka_settings
from tests.support.mock_broker import MockBroker

# How long an example takes says more of the machine than of the program.
settings.register_profile("any-machine", deadline=None)
settings.load_profile("any-machine")

BACKENDS = (
    pytest.param("sqlite", id="sqlite"),
    pytest.param("kafka", id="kafka", marks=pytest.mark.kafka),
    pytest.param("mock", id="mock"),
)


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "mock_cannot(reason): a known gap of librdkafka's mock broker")


@pytest.fixture(scope="session")
def kafka_bootstrap(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a real Apache Kafka, one for the whole session; topics are the test's own."""
    with running_broker(tmp_path_factory.mktemp("broker")) as broker:
        yield broker.bootstrap


@pytest.fixture
def mock_broker() -> Iterator[MockBroker]:
    with MockBroker() as broker:
        yield broker


@pytest.fixture(params=BACKENDS)
async def bench(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Bench]:
    """The suite of the log runs on every backend."""
    clock, mock = Clock(), None
    connect: Callable[..., Log]
    if request.param == "sqlite":

        def connect(**options: Any) -> Log:
            return SqliteLog(tmp_path / "log.db", clock, **options)
    else:
        mock = request.getfixturevalue("mock_broker") if request.param == "mock" else None
        address = mock.bootstrap if mock else request.getfixturevalue("kafka_bootstrap")

        def connect(**options: Any) -> Log:
            return KafkaLog(kafka_settings(address, **options), clock)

    gap = request.node.get_closest_marker("mock_cannot")
    if mock is not None and gap is not None:
        request.applymarker(pytest.mark.xfail(reason=gap.args[0], strict=True))
    bench = Bench(request.param, connect, mock)
    yield bench
    await bench.close()
