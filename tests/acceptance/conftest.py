"""A broker of its own for a story that uses the whole set of topics, or takes the broker away."""

from collections.abc import Iterator

import pytest

from tests.support.kafka_broker import RealBroker, running_broker


@pytest.fixture
def own_broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealBroker]:
    """A fresh Apache Kafka that may be stopped and started again."""
    with running_broker(tmp_path_factory.mktemp("kafka")) as broker:
        yield broker


@pytest.fixture
def own_kafka(own_broker: RealBroker) -> str:
    """Its bootstrap address."""
    return own_broker.bootstrap
