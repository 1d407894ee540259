"""The collector's link to the log: a record that the log never takes holds up nothing."""

from collections.abc import Sequence

from prometheus_client import CollectorRegistry
from typing_extensions import override

from liqwatch.collector.link import LogLink
from liqwatch.eventlog import Entry, Position, RecordRefused
from liqwatch.metrics import ServiceMetrics
from liqwatch.topics import LIQUIDATIONS, TOPICS, Topic
from tests.support.memory_log import MemoryLog


class Choosy(MemoryLog):
    """Refuses what says so of itself."""

    @override
    async def append(self, topic: Topic, entries: Sequence[Entry]) -> Sequence[Position]:
        if any(entry.value == b"refuse me" for entry in entries):
            raise RecordRefused("too large")
        return await super().append(topic, entries)


async def test_the_culprits_are_found_and_all_others_are_written_in_order() -> None:
    log = Choosy()
    await log.create(TOPICS.values())
    refused: list[tuple[bytes, str]] = []
    link = LogLink(
        log, ServiceMetrics(CollectorRegistry(), "test"), lambda _topic, entry, why: refused.append((entry.key, why))
    )
    bad = (3, 4, 9)
    entries = [Entry(b"k%d" % n, b"refuse me" if n in bad else b"%d" % n, 1000 + n, 0) for n in range(10)]
    await link.append(LIQUIDATIONS, entries)
    assert [(b"k3", "too large"), (b"k4", "too large"), (b"k9", "too large")] == refused
    written = [record.value for record in log.records[LIQUIDATIONS.name][0]]
    assert [b"%d" % n for n in range(10) if n not in bad] == written
    assert "" == link.trouble
