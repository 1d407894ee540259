"""librdkafka's mock broker, from the confluent-kafka wheel: real TCP on 127.0.0.1, with faults on demand.

It keeps 5 MiB a partition in memory, knows no topics' settings and answers no question about times; in exchange it
goes down and comes back, and answers with the errors it is told to.
"""

import ctypes
from pathlib import Path
from types import TracebackType
from typing import Any

import confluent_kafka

PRODUCE, FETCH, LIST_OFFSETS, METADATA, OFFSET_COMMIT, HEARTBEAT = 0, 1, 2, 3, 8, 12
OUT_OF_ORDER_SEQUENCE, NOT_LEADER, REQUEST_TIMED_OUT, UNKNOWN_MEMBER = 45, 6, 7, 25


class MockBroker:
    """`with MockBroker() as broker: broker.bootstrap`. Brokers are numbered from 1."""

    def __init__(self, brokers: int = 1) -> None:
        self._library = _library()
        message = ctypes.create_string_buffer(512)
        conf = self._library.rd_kafka_conf_new()
        self._library.rd_kafka_conf_set(conf, b"log_level", b"0", message, len(message))
        self._client = self._library.rd_kafka_new(0, conf, message, len(message))
        if not self._client:
            raise RuntimeError(message.value.decode())
        self._cluster = self._library.rd_kafka_mock_cluster_new(self._client, brokers)
        self._library.rd_kafka_mock_group_initial_rebalance_delay_ms(self._cluster, 100)
        self.brokers = brokers
        self.bootstrap = self._library.rd_kafka_mock_cluster_bootstraps(self._cluster).decode()

    def create(self, topic: str, partitions: int) -> None:
        self._done(self._library.rd_kafka_mock_topic_create(self._cluster, topic.encode(), partitions, 1))

    def down(self) -> None:
        for broker in range(1, self.brokers + 1):
            self._done(self._library.rd_kafka_mock_broker_set_down(self._cluster, broker))

    def up(self) -> None:
        for broker in range(1, self.brokers + 1):
            self._done(self._library.rd_kafka_mock_broker_set_up(self._cluster, broker))

    def fail_next(self, request: int, *codes: int) -> None:
        """The next requests of this kind are answered with these error codes, one each."""
        array = (ctypes.c_int * len(codes))(*codes)
        self._library.rd_kafka_mock_push_request_errors_array(self._cluster, request, len(codes), array)

    def close(self) -> None:
        if self._cluster:
            self._library.rd_kafka_mock_cluster_destroy(self._cluster)
            self._library.rd_kafka_destroy(self._client)
            self._cluster = None

    def __enter__(self) -> "MockBroker":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _done(self, code: int) -> None:
        if code:
            raise RuntimeError(f"the mock broker refused: error {code}")


def _library() -> Any:
    package = Path(confluent_kafka.__file__).parent
    found = sorted((package.parent / "confluent_kafka.libs").glob("librdkafka*.so*"))
    library = ctypes.CDLL(str(found[0]))
    pointer, text, number, short = ctypes.c_void_p, ctypes.c_char_p, ctypes.c_int32, ctypes.c_int16
    signatures: dict[str, tuple[Any, list[Any]]] = {
        "rd_kafka_conf_new": (pointer, []),
        "rd_kafka_conf_set": (ctypes.c_int, [pointer, text, text, text, ctypes.c_size_t]),
        "rd_kafka_new": (pointer, [ctypes.c_int, pointer, text, ctypes.c_size_t]),
        "rd_kafka_destroy": (None, [pointer]),
        "rd_kafka_mock_cluster_new": (pointer, [pointer, ctypes.c_int]),
        "rd_kafka_mock_cluster_destroy": (None, [pointer]),
        "rd_kafka_mock_cluster_bootstraps": (text, [pointer]),
        "rd_kafka_mock_topic_create": (ctypes.c_int, [pointer, text, ctypes.c_int, ctypes.c_int]),
        "rd_kafka_mock_broker_set_down": (ctypes.c_int, [pointer, number]),
        "rd_kafka_mock_broker_set_up": (ctypes.c_int, [pointer, number]),
        "rd_kafka_mock_group_initial_rebalance_delay_ms": (None, [pointer, number]),
        "rd_kafka_mock_push_request_errors_array": (
            None,
            [pointer, short, ctypes.c_size_t, ctypes.POINTER(ctypes.c_int)],
        ),
    }
    for name, (result, arguments) in signatures.items():
        function = getattr(library, name)
        function.restype, function.argtypes = result, arguments
    return library
