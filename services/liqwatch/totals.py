"""Adding partitions up: the readers' side of the totals topic. Pure."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import msgspec

from .eventlog import Record
from .events import Completeness, PartitionEvidence
from .wire import Heartbeat, LargestRecord, Totals, micros, usd_text

STALE_AFTER_MS = 5_000


class Sum(NamedTuple):
    """Totals of one window and scope over all partitions. USD in micro-dollars."""

    long: int = 0
    short: int = 0
    long_count: int = 0
    short_count: int = 0
    largest_long: LargestRecord | None = None
    largest_short: LargestRecord | None = None

    def side(self, side: str) -> int:
        """Micro-dollars of `long`, `short` or `both`."""
        return self.long if side == "long" else self.short if side == "short" else self.long + self.short

    def largest(self, side: str = "both") -> LargestRecord | None:
        """The largest single record of the side."""
        if side == "long":
            return self.largest_long
        if side == "short":
            return self.largest_short
        return larger(self.largest_long, self.largest_short)


_NOTHING = Sum()


def larger(one: LargestRecord | None, other: LargestRecord | None) -> LargestRecord | None:
    """The larger of two records; a tie goes to the smaller event_id, so that partitions merge in any order."""
    if one is None or other is None:
        return one or other
    a, b = micros(one.notional_usd), micros(other.notional_usd)
    if a != b:
        return one if a > b else other
    return one if one.event_id <= other.event_id else other


def newest(records: Sequence[Record]) -> list[Record]:
    """Of a batch of the topic what no later record of the same key and owner replaces, in order: for readers that
    look at the totals now and then. A tombstone replaces nothing here, and is kept."""
    seen: set[tuple[bytes, bytes]] = set()
    kept = []
    for record in reversed(records):
        value = record.value
        if value is not None:
            at = value.find(_GENERATION)
            mark = record.key, value[at : value.find(b",", at)] if at >= 0 else value
            if mark in seen:
                continue
            seen.add(mark)
        kept.append(record)
    kept.reverse()
    return kept


_GENERATION = b'"generation":'


@dataclass(slots=True)
class _Partition:
    generation: int = -1  # of the last owner that has caught up
    heartbeat: Heartbeat | None = None


class _Row(msgspec.Struct, gc=False):
    """A message, with its money as numbers once it was asked for."""

    message: Totals
    _money: tuple[int, int] | None = None
    _largest: tuple[int, int] | None = None

    def money(self) -> tuple[int, int]:
        """Micro-dollars, long and short."""
        if self._money is None:
            self._money = micros(self.message.long_usd), micros(self.message.short_usd)
        return self._money

    def largest(self) -> tuple[int, int]:
        """Micro-dollars of the largest long and short; -1 where there is none."""
        if self._largest is None:
            message = self.message
            long = -1 if message.largest_long is None else micros(message.largest_long.notional_usd)
            self._largest = long, -1 if message.largest_short is None else micros(message.largest_short.notional_usd)
        return self._largest


class _Parts(dict[int, _Row]):
    """What each partition adds to one total; the sum is carried on, so that a change costs no look at the others."""

    __slots__ = ("_fresh", "_usd")

    def __init__(self) -> None:
        self._fresh: set[int] = set()  # partitions not in the sum yet
        self._usd = (0, 0)

    def put(self, partition: int, row: _Row) -> None:
        self._take_off(partition)
        self[partition] = row
        self._fresh.add(partition)

    def drop(self, partition: int) -> None:
        self._take_off(partition)
        del self[partition]

    def usd(self) -> tuple[int, int]:
        if self._fresh:
            long, short = self._usd
            for partition in self._fresh:
                more_long, more_short = self[partition].money()
                long += more_long
                short += more_short
            self._usd = long, short
            self._fresh.clear()
        return self._usd

    def _take_off(self, partition: int) -> None:
        if partition in self._fresh:
            self._fresh.discard(partition)
        elif (row := self.get(partition)) is not None:
            long, short = row.money()
            self._usd = self._usd[0] - long, self._usd[1] - short


_NO_PARTS = _Parts()


class TotalsBook:
    """The latest totals of every partition; answers with sums, and says how fresh they are.

    Per partition the highest (generation, as_of) counts. When an owner of a higher generation has caught up,
    what its predecessors left behind is forgotten.
    """

    def __init__(self, partitions: int) -> None:
        self._partitions = [_Partition() for _ in range(partitions)]
        self._rows: dict[tuple[str, str], _Parts] = {}  # (window, scope) -> partition -> row
        self._single: dict[str, dict[str, None]] = {}  # window -> scopes of one dimension, in the order they came

    def apply(self, message: Totals | Heartbeat) -> bool:
        """Takes a message of the topic; False if it was older than what is known. Raises `IndexError` for a
        partition that cannot be."""
        if message.partition < 0:
            raise IndexError(f"partition {message.partition}")
        partition = self._partitions[message.partition]
        if isinstance(message, Heartbeat):
            return self._beat(partition, message)
        key = (message.window, message.scope)
        parts = self._rows.get(key)
        found = None if parts is None else parts.get(message.partition)
        known = found.message if found is not None else None
        if known is not None and (known.generation, known.as_of_ms) > (message.generation, message.as_of_ms):
            return False
        if partition.generation > message.generation:
            return False
        if message.long_count or message.short_count or message.scope == "all":
            if parts is None:
                parts = self._rows[key] = _Parts()
            parts.put(message.partition, _Row(message))
            if "," not in message.scope:
                self._single.setdefault(message.window, {})[message.scope] = None
        elif known is not None:
            self._forget(key, message.partition)  # a zero adds nothing: scopes come and go, the book stays small
        return True

    def bury(self, key: bytes) -> tuple[str, str] | None:
        """Takes a tombstone of the topic, `partition,window,scope`: the row is zero, and whoever was away may have
        missed the zero. Returns the window and scope that changed, if any did; raises `ValueError` for an odd key."""
        number, window, scope = key.decode().split(",", 2)
        if int(number) not in self._rows.get((window, scope), {}):
            return None
        self._forget((window, scope), int(number))
        return window, scope

    def _beat(self, partition: _Partition, beat: Heartbeat) -> bool:
        known = partition.heartbeat
        if known is not None and (known.generation, known.as_of_ms) > (beat.generation, beat.as_of_ms):
            return False
        if beat.caught_up and beat.generation > partition.generation:
            partition.generation = beat.generation
            for key, rows in list(self._rows.items()):
                if beat.partition in rows and rows[beat.partition].message.generation < beat.generation:
                    self._forget(key, beat.partition)
        partition.heartbeat = beat
        return True

    def _forget(self, key: tuple[str, str], partition: int) -> None:
        rows = self._rows[key]
        rows.drop(partition)
        if not rows:
            del self._rows[key]
            self._single.get(key[0], {}).pop(key[1], None)

    def sum(self, window: str, scope: str) -> Sum:
        """All partitions added up."""
        rows = self._rows.get((window, scope))
        if rows is None:
            return _NOTHING
        if len(rows) == 1:  # as for most coins
            (row,) = rows.values()
            message = row.message
            return Sum(
                *rows.usd(), message.long_count, message.short_count, message.largest_long, message.largest_short
            )
        long, short = rows.usd()
        long_count = short_count = 0
        largest_long: LargestRecord | None = None
        largest_short: LargestRecord | None = None
        most_long = most_short = -1
        for row in rows.values():
            message = row.message
            long_count += message.long_count
            short_count += message.short_count
            usd_long, usd_short = row.largest()
            if usd_long > most_long:
                most_long, largest_long = usd_long, message.largest_long
            elif usd_long == most_long:
                largest_long = larger(largest_long, message.largest_long)
            if usd_short > most_short:
                most_short, largest_short = usd_short, message.largest_short
            elif usd_short == most_short:
                largest_short = larger(largest_short, message.largest_short)
        return Sum(long, short, long_count, short_count, largest_long, largest_short)

    def usd(self, window: str, scope: str) -> tuple[int, int]:
        """Long and short of all partitions, in micro-dollars: as `sum`, where nothing else is asked for."""
        parts = self._rows.get((window, scope))
        return (0, 0) if parts is None else parts.usd()

    def most(self, window: str, scope: str) -> tuple[int, int]:
        """The largest single long and short, in micro-dollars: of `sum`, where nothing else is asked for."""
        most_long = most_short = 0
        for row in self._rows.get((window, scope), _NO_PARTS).values():
            long, short = row.largest()
            most_long = max(most_long, long)
            most_short = max(most_short, short)
        return most_long, most_short

    def pairs(self) -> Iterator[tuple[str, str]]:
        """Every window and scope that has a total."""
        return iter(self._rows)

    def by_completeness(
        self, window: str, scope: str, completeness: Mapping[str, Completeness]
    ) -> dict[Completeness, tuple[int, int]]:
        """How much of a sum comes from which kind of feed: micro-dollars long and short. `completeness` is that of
        each venue; one that it does not name counts as unproven. Venue rows of a coin come with the next second."""
        found: dict[Completeness, tuple[int, int]] = {}
        only = next((part for part in scope.split(",") if part.startswith("venue=")), None)
        for venue in [only] if only else self.scopes(window, "venue="):
            of_venue = scope if only or scope == "all" else f"{venue},{scope}"
            total = self.sum(window, venue if scope == "all" else of_venue)
            if total.long or total.short:
                kind = completeness.get(venue.removeprefix("venue="), "unproven")
                long, short = found.get(kind, (0, 0))
                found[kind] = long + total.long, short + total.short
        return found

    def evidence(self, window: str, scope: str) -> tuple[PartitionEvidence, ...]:
        """What each partition contributed, with the last offset of `liquidations` it contains."""
        rows = self._rows.get((window, scope), _NO_PARTS)
        return tuple(
            PartitionEvidence(
                partition=number,
                generation=row.message.generation,
                as_of_ms=row.message.as_of_ms,
                offset=row.message.offset,
                long_usd=usd_text(row.money()[0]),
                short_usd=usd_text(row.money()[1]),
            )
            for number, row in sorted(rows.items())
        )

    def scopes(self, window: str, prefix: str) -> Iterator[str]:
        """Known scopes of a window whose text begins with `prefix` (`venue=`, `base=`), one dimension only."""
        return (scope for scope in self._single.get(window, ()) if scope.startswith(prefix))

    def stale(self, now_ms: int, limit_ms: float = STALE_AFTER_MS) -> list[int]:
        """Partitions without a caught-up heartbeat in the last 5 s: their sums neither fire nor clear.

        A clock that runs faster than the wall's needs `limit_ms` multiplied by its speed.
        """
        return [
            number
            for number, partition in enumerate(self._partitions)
            if partition.heartbeat is None
            or not partition.heartbeat.caught_up
            or now_ms - partition.heartbeat.as_of_ms > limit_ms
        ]

    def as_of_ms(self) -> int:
        """The oldest clock among the partitions: the sum is at least this fresh; 0 before the first heartbeats."""
        beats = [partition.heartbeat for partition in self._partitions]
        return min((beat.as_of_ms if beat else 0) for beat in beats)
