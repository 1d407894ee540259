"""A broker of its own for a story that uses the whole set of topics."""

from collections.abc import Iterator

import pytest

from tests.support.kafka_broker import running_broker


@pytest.fixture
def own_kafka(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Bootstrap address of a fresh Apache Kafka."""
    with running_broker(tmp_path_factory.mktemp("kafka")) as broker:
        yield broker.bootstrap
