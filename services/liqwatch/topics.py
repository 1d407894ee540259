"""The table of topics: key, message, partitions, retention, writers and readers. Kafka, contracts and docs read it."""

import zlib
from dataclasses import dataclass
from datetime import timedelta
from types import MappingProxyType

from . import events

PARTITIONS = 12  # of `liquidations`; fixed for version 1, so that a key never moves
MAX_FRAME_BYTES = 16 * 1024


@dataclass(frozen=True, slots=True)
class Topic:
    """One topic. `retention` None = kept for ever (compacted only).

    `supersedes`: fields of its messages. A record takes the place of earlier ones that are equal in all of them: it
    says all that they did. The embedded log drops those, so that readers must not take a missing offset for a loss.
    """

    name: str
    key: str
    messages: tuple[type[events.Message], ...]
    partitions: int
    retention: timedelta | None
    compacted: bool
    writers: tuple[str, ...]
    readers: tuple[str, ...]
    about: str
    supersedes: tuple[str, ...] = ()


def partition_for(key: bytes, partitions: int) -> int:
    """The partition of `key`: CRC-32 modulo the number of partitions, the same for every backend and language."""
    return zlib.crc32(key) % partitions


LIQUIDATIONS = Topic(
    name="liqwatch.liquidations.v1",
    key="venue:symbol",
    messages=(events.Liquidation,),
    partitions=PARTITIONS,
    retention=timedelta(days=7),
    compacted=False,
    writers=("collector",),
    readers=("aggregator", "alerter", "web", "collector"),
    about="Every liquidation as the venue told it. Record time = the earlier of event and received time.",
)
COVERAGE = Topic(
    name="liqwatch.coverage.v1",
    key="venue",
    messages=(events.Coverage,),
    partitions=1,
    retention=timedelta(days=30),
    compacted=False,
    writers=("collector",),
    readers=("collector", "alerter", "web"),
    about="Which venue was connected, acknowledged and alive, from when to when; what was lost, what was filled.",
    supersedes=("venue", "interval_id", "open"),  # an open interval is written anew every few seconds
)
TOTALS = Topic(
    name="liqwatch.totals.v1",
    key="partition,window,scope",
    messages=(events.Totals, events.Heartbeat),
    partitions=PARTITIONS,
    retention=None,
    compacted=True,
    writers=("aggregator",),
    readers=("alerter", "web"),
    about="Rolling USD and count by side per partition of liquidations; heartbeats. Zero, then a tombstone.",
)
BARS = Topic(
    name="liqwatch.bars.v1",
    key="partition,minute",
    messages=(events.Bar,),
    partitions=PARTITIONS,
    retention=timedelta(days=400),
    compacted=False,
    writers=("aggregator",),
    readers=("alerter", "web"),
    about="What each minute brought, by side, venue and base.",
)
PRICES = Topic(
    name="liqwatch.prices.v1",
    key="base",
    messages=(events.Price,),
    partitions=1,
    retention=timedelta(days=7),
    compacted=True,
    writers=("collector",),
    readers=("alerter",),
    about="USD mark prices of BTC and ETH, once a second and coin at most; only the newest is worth anything.",
)
ALERTS = Topic(
    name="liqwatch.alerts.v1",
    key="incident",
    messages=(events.Incident,),
    partitions=1,
    retention=timedelta(days=400),
    compacted=True,
    writers=("alerter",),
    readers=("alerter", "web"),
    about="The whole incident: rule, steps, peak, evidence, every attempt and outcome per target. A tombstone "
    "keyed `owner:…` is the claim of the alerter that acts.",
)
SILENCES = Topic(
    name="liqwatch.silences.v1",
    key="silence",
    messages=(events.Silence,),
    partitions=1,
    retention=None,
    compacted=True,
    writers=("web", "cli"),
    readers=("alerter", "web"),
    about="What is held back, why, by whom, until when.",
)
REJECTED_FRAMES = Topic(
    name="liqwatch.rejected-frames.v1",
    key="venue",
    messages=(events.RejectedFrame,),
    partitions=1,
    retention=timedelta(days=7),
    compacted=False,
    writers=("collector",),
    readers=("web", "collector"),
    about="Frames and rows that were not counted, with the reason.",
)

TOPICS: MappingProxyType[str, Topic] = MappingProxyType(
    {topic.name: topic for topic in (LIQUIDATIONS, COVERAGE, TOTALS, BARS, PRICES, ALERTS, SILENCES, REJECTED_FRAMES)}
)
