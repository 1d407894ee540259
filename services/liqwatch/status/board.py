"""Follows the topics and keeps what the status shows: totals, coverage, large orders, open incidents."""

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import msgspec
import structlog

from ..clock import Clock
from ..coverage import CoverageBook
from ..eventlog import EARLIEST, LATEST, Log, LogClosed, LogError, Record
from ..events import Coverage, Incident
from ..following import Away, Follower
from ..topics import ALERTS, COVERAGE, LIQUIDATIONS, TOTALS, Topic
from ..totals import TotalsBook, newest
from ..wire import Liquidation, decode_liquidation, decode_totals, micros

_REST_SECONDS = 0.25  # a screen is looked at once a second: no need to follow every record
_LARGE_MICROS = 100_000 * 1_000_000  # orders from $100,000 are worth a line
_RECENT = 200


class _Worth(msgspec.Struct, gc=False):
    """The one field that tells whether the rest is worth decoding."""

    notional_usd: str


_decode_worth = msgspec.json.Decoder(_Worth).decode
log_ = structlog.get_logger("status")


class FeedState(Protocol):
    """What the collector says of one socket."""

    venue: str
    feed: str
    state: str
    detail: str
    retry_at_ms: int | None
    last_event_ms: int | None
    events: int


@dataclass(slots=True)
class Board:
    """The latest of everything, kept fresh by `follow`."""

    log: Log
    clock: Clock
    windows: Sequence[tuple[str, int]]  # name, seconds
    feeds: Callable[[], Sequence[FeedState]]
    totals: TotalsBook = field(default_factory=lambda: TotalsBook(TOTALS.partitions))
    coverage: CoverageBook = field(init=False)
    large: deque[tuple[int, Liquidation]] = field(default_factory=lambda: deque(maxlen=_RECENT))
    incidents: dict[str, Incident] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.coverage = CoverageBook(keep_ms=2 * max(seconds for _, seconds in self.windows) * 1000)

    async def follow(self, stop: asyncio.Event) -> None:
        """Reads the topics until told to stop."""
        away = Away(log_)
        async with asyncio.TaskGroup() as tasks:
            reading = [
                tasks.create_task(self._read(TOTALS, self._on_totals, away, thin=newest)),
                tasks.create_task(self._read(COVERAGE, self._on_coverage, away)),
                tasks.create_task(self._read(ALERTS, self._on_incident, away)),
                tasks.create_task(self._read(LIQUIDATIONS, self._on_liquidation, away, latest=True)),
            ]
            await stop.wait()
            for task in reading:
                task.cancel()

    def open_incidents(self) -> list[Incident]:
        """Those that have not cleared, oldest first."""
        return sorted(
            (i for i in self.incidents.values() if i.closed_ms is None), key=lambda incident: incident.opened_ms
        )

    async def _read(
        self,
        topic: Topic,
        take: Callable[[Record], None],
        away: Away,
        *,
        latest: bool = False,
        thin: Callable[[Sequence[Record]], Sequence[Record]] = lambda records: records,
    ) -> None:
        follower = Follower(
            self.log, topic, lambda: LATEST if latest else EARLIEST, take, away, log_, thin=thin, rest=_REST_SECONDS
        )
        try:
            await follower.run()
        except LogClosed:
            return
        except LogError as error:
            log_.warning("status cannot read a topic", topic=topic.name, reason=str(error))

    def _on_totals(self, record: Record) -> None:
        # Rows of coins and venues are nearly all of the topic and not shown: not worth decoding.
        if not record.key.endswith((b",all", b",heartbeat")):
            return
        if record.value is not None:
            self.totals.apply(decode_totals(record.value))
        elif record.key.endswith(b",all"):
            self.totals.bury(record.key)

    def _on_coverage(self, record: Record) -> None:
        if record.value is not None:
            self.coverage.apply(Coverage.model_validate_json(record.value))

    def _on_incident(self, record: Record) -> None:
        if record.value is None:
            self.incidents.pop(record.key.decode(), None)
        else:
            incident = Incident.model_validate_json(record.value)
            self.incidents[incident.incident_id] = incident

    def _on_liquidation(self, record: Record) -> None:
        if record.value is None:
            return
        worth = micros(_decode_worth(record.value).notional_usd)
        if worth >= _LARGE_MICROS:
            self.large.append((worth, decode_liquidation(record.value)))
