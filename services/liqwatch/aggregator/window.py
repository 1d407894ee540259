"""Rolling totals by side, scope and window: exact to the micro-dollar, 1-second resolution on event time. Pure.

At second S of the clock a window of `span` seconds holds the events of seconds S-span+1 … S. The caller moves
the clock; nothing here reads one.
"""

from collections.abc import Collection, Iterator, Sequence
from enum import StrEnum
from functools import lru_cache
from sys import intern
from typing import NamedTuple, TypeAlias

from ..events import SIDES
from ..wire import Liquidation, decode_liquidation, encode, micros
from .known import BLOCK, KnownIds, passed
from .largest import Step
from .track import Sum, Track

FUTURE_MS = 60_000
MOST = 10**18  # micro-dollars in one event: a trillion in one order is a mistake of whoever sent it
# Events that a track notes before it takes them in: more are quicker, and keep more records in memory.
_LEAF_NOTES = 16
_VENUE_NOTES = 64
_ALL_NOTES = 256
_SWEEP_SECONDS = 7_200  # in so long every track is looked at, and what has expired is freed

ScopeKey: TypeAlias = tuple[int, str]  # partition, scope


class Added(StrEnum):
    """What became of an event."""

    COUNTED = "counted"
    DUPLICATE = "duplicate"
    LATE = "late"  # older than the longest window
    FUTURE = "future"  # more than a minute ahead of the clock


class SideTotals(NamedTuple):
    """One side of a scope in one window. USD in micro-dollars."""

    usd: int
    events: int
    largest: Liquidation | None


class WindowTotals(NamedTuple):
    """One window of one scope and partition."""

    long: SideTotals
    short: SideTotals


class Changed(NamedTuple):
    """What has changed since it was last asked for."""

    events: set[ScopeKey]  # by events: in every window that holds them
    expired: set[tuple[int, str, str]]  # partition, scope, window: by the clock alone


class Leaf(Track):
    """One venue, base and side of a partition."""

    __slots__ = ("base", "of_all", "of_venue", "partition", "scopes", "side", "venue")

    def __init__(self, partition: int, venue: str, base: str, side: str, of_venue: Track, of_all: Track) -> None:
        super().__init__()
        self.partition, self.venue, self.base, self.side = partition, venue, base, side
        self.of_venue, self.of_all = of_venue, of_all  # its events go there as well
        # The scopes its events belong to. Made once: in a burst they are asked for many times a second.
        names = ("all", f"venue={venue}", f"base={base}", f"venue={venue},base={base}")
        self.scopes: tuple[ScopeKey, ...] = tuple((partition, name) for name in names)


# The tracks whose sum a scope is, of its long and of its short side: `all` and a venue have one of their own, a coin
# has its leaves. They are few where they are asked often.
_Scope: TypeAlias = tuple[list[Track], list[Track]]


class RollingTotals:
    """Totals of several partitions over several windows, all ending at one clock."""

    def __init__(self, windows: Sequence[tuple[str, int]], keep_seconds: int = 0) -> None:
        """`windows`: name and seconds. `keep_seconds`: how far back `between` answers, if more than the windows."""
        self._windows = sorted(windows, key=lambda window: window[1])
        self.spans = dict(windows)  # seconds by name
        self._longest = self._windows[-1][1]
        self._keep = max(self._longest, keep_seconds)
        self._now_ms = 0
        self._second = 0
        self._oldest = -self._longest  # the newest second that has left the longest window
        self._buckets: dict[int, list[Leaf]] = {}  # per second the leaf of each event
        self._held: dict[int, list[tuple[Leaf, Step]]] = {}  # ahead of the clock
        self._ids = KnownIds()
        self._leaves: dict[tuple[int, str, str, str], Leaf] = {}
        self._scopes: dict[int, dict[str, _Scope]] = {}
        self._touched: set[Leaf] = set()
        self._asked = 0  # the second of the clock when `changed` was last called
        self._gone: set[Leaf] = set()  # whose events have left the longest window since then
        self._unswept: list[Track] = []  # of this round
        self._to_sweep = 0.0

    @property
    def now_ms(self) -> int:
        """The clock: the latest `advance`."""
        return self._now_ms

    def advance(self, now_ms: int) -> None:
        """Moves the clock on; steps back are ignored."""
        if now_ms <= self._now_ms:
            return
        self._now_ms = now_ms
        before, second = self._second, now_ms // 1000
        if second == before:
            return
        self._second = second
        self._oldest = second - self._longest
        if self._held:
            for due in sorted(due for due in self._held if due <= second):
                for held in self._held.pop(due):
                    self._enter(*held)
        self._ids.forget(second - self._longest)
        self._ids.forget_others(before, second)
        for old in passed(self._buckets, before - self._keep, second - self._keep):
            self._gone.update(self._buckets.pop(old))
        self._sweep(second - before)

    def add(self, liquidation: Liquidation, partition: int = 0, raw: bytes | None = None) -> Added:
        """Adds an event, or says why not. Raises `ValueError`, changing nothing, for a side or an amount that
        cannot be."""
        time_ms = liquidation.event_time_ms
        second = time_ms // 1000
        if second <= self._oldest:
            return _LATE
        event_id, side = liquidation.event_id, liquidation.side
        ids = self._ids
        if time_ms - self._now_ms > FUTURE_MS:
            return _DUPLICATE if ids.has_other(event_id, partition) else _FUTURE
        known: set[int] | None = None
        if liquidation.timed_by == "venue" and f":{time_ms}:{side}:" in event_id:
            block = time_ms >> BLOCK
            known = ids.blocks.get(block)
            if known is None:
                known = ids.open(block)
            mark = hash(event_id) ^ ids.keys[partition]
            if mark in known or (ids.strays and ids.is_stray(event_id)):
                return _DUPLICATE
        elif ids.has_other(event_id, partition):
            return _DUPLICATE
        amount = micros(liquidation.notional_usd)
        if not 0 <= amount <= MOST:
            raise ValueError(f"notional_usd {liquidation.notional_usd!r} cannot be")
        leaf = self._leaves.get((partition, liquidation.venue, liquidation.base, side))
        if leaf is None:
            leaf = self._new_leaf(partition, liquidation)
        if known is not None:
            known.add(mark)
        else:
            lasts = 2 * self._longest if liquidation.timed_by == "received" else self._longest
            ids.add_other(event_id, partition, second + lasts)
        step = (second, -amount, event_id, encode(liquidation) if raw is None else raw)
        if second > self._second:
            self._held.setdefault(second, []).append((leaf, step))
        else:
            self._enter(leaf, step)
        return _COUNTED

    def remember(self, liquidation: Liquidation, partition: int = 0) -> None:
        """Knows the id of an event that has left the window, if it was timed by us: for a rebuild."""
        event_id, last = liquidation.event_id, liquidation.event_time_ms // 1000 + 2 * self._longest
        if liquidation.timed_by == "received" and last > self._second and not self._ids.has_other(event_id, partition):
            self._ids.add_other(event_id, partition, last)

    def drop(self, *partitions: int) -> None:
        """Forgets everything of the partitions."""
        gone = {leaf for leaf in self._leaves.values() if leaf.partition in partitions}
        for second, bucket in list(self._buckets.items()):
            if not gone.isdisjoint(bucket):
                self._buckets[second] = [leaf for leaf in bucket if leaf not in gone]
        for due, held in self._held.items():
            self._held[due] = [row for row in held if row[0] not in gone]
        self._ids.drop(partitions)
        self._touched -= gone
        self._gone -= gone
        self._unswept = []
        for leaf in gone:
            del self._leaves[leaf.partition, leaf.venue, leaf.base, leaf.side]
        for partition in partitions:
            self._scopes.pop(partition, None)

    def totals(self, partition: int, scope: str, window: str) -> WindowTotals:
        """The window as it stands at the clock."""
        return self.several(partition, scope, (window,))[0]

    def several(self, partition: int, scope: str, windows: Sequence[str]) -> list[WindowTotals]:
        """Several windows of a scope: much quicker than one by one."""
        found = self._scopes.get(partition, {}).get(scope)
        if found is None:
            return [_NOTHING] * len(windows)
        after = [self._second - self.spans[window] for window in windows]
        return [WindowTotals(*sides) for sides in zip(*[_sides(tracks, after) for tracks in found], strict=True)]

    def is_empty(self, partition: int, scope: str, window: str) -> bool:
        """True if no event is inside."""
        longs, shorts = self._scopes.get(partition, {}).get(scope, ((), ()))
        after = self._second - self.spans[window]
        return not any(track.after(after)[1] for track in (*longs, *shorts))

    def usd(self, partition: int, scope: str, side: str, window: str) -> int:
        """Micro-dollars of one side of a window: quicker than `totals`."""
        found = self._scopes.get(partition, {}).get(scope)
        if found is None:
            return 0
        after = self._second - self.spans[window]
        return sum([track.after(after)[0] for track in found[side == "short"]])

    def scopes(self, partition: int) -> Sequence[str]:
        """Every scope of the partition that was ever counted, empty ones too."""
        return list(self._scopes.get(partition, ()))

    def between(self, first: int, last: int, partitions: Collection[int]) -> Iterator[tuple[Leaf, int, int]]:
        """What the seconds from `first` to `last` brought: micro-dollars and number of events, by leaf."""
        buckets = (self._buckets.get(second, ()) for second in range(first, last + 1))
        for leaf in {leaf for bucket in buckets for leaf in bucket}:
            if leaf.partition in partitions:
                yield leaf, *leaf.between(first, last)

    def venues(self) -> set[str]:
        """Every venue that was ever counted in the partitions held."""
        return {scope[6:] for scopes in self._scopes.values() for scope in scopes if _is_venue(scope)}

    def changed(self) -> Changed:
        """What has changed since the last call."""
        events = {scope for leaf in self._touched for scope in leaf.scopes}
        expired: set[tuple[int, str, str]] = set()
        for name, span in self._windows:
            # What left the log of seconds since then has left every window, if it had not before.
            popped = self._second - self._keep > self._asked - span
            leaves = set(self._gone) if popped else set()
            for second in passed(self._buckets, self._asked - span, self._second - span):
                leaves.update(self._buckets[second])
            expired.update((*scope, name) for leaf in leaves for scope in leaf.scopes)
        self.ignore_changes()
        return Changed(events, expired)

    def ignore_changes(self) -> None:
        """What has changed until now need not be told."""
        self._asked = self._second
        self._touched.clear()
        self._gone.clear()

    def _enter(self, leaf: Leaf, step: Step) -> None:
        second = step[0]
        if second in self._buckets:
            self._buckets[second].append(leaf)
        else:
            self._buckets[second] = [leaf]
        self._touched.add(leaf)
        noted = leaf.noted
        noted.append(step)
        if len(noted) >= _LEAF_NOTES:
            leaf.take_in()
        track = leaf.of_venue
        noted = track.noted
        noted.append(step)
        if len(noted) >= _VENUE_NOTES:
            track.take_in()
        track = leaf.of_all
        noted = track.noted
        noted.append(step)
        if len(noted) >= _ALL_NOTES:
            track.take_in()

    def _sweep(self, seconds: int) -> None:
        """Frees what has expired, a few tracks each second: often enough, and so that it never takes long."""
        self._to_sweep += len(self._leaves) * min(seconds / _SWEEP_SECONDS, 1.0)
        while self._to_sweep >= 1 and self._leaves:
            self._to_sweep -= 1
            if not self._unswept:
                leaves = self._leaves.values()
                self._unswept = [*leaves, *{leaf.of_venue for leaf in leaves}, *{leaf.of_all for leaf in leaves}]
            self._unswept.pop().forget_until(self._second - self._keep)

    def _new_leaf(self, partition: int, liquidation: Liquidation) -> Leaf:
        # Interned: thousands of leaves share few names, which then stay in the processor's cache.
        venue, base, side = intern(liquidation.venue), intern(liquidation.base), intern(liquidation.side)
        if side not in SIDES:
            raise ValueError(f"side {side!r} is neither long nor short")
        number = SIDES.index(side)
        scopes = self._scopes.setdefault(partition, {})
        of_venue, of_all = (_own_tracks(scopes, name)[number][0] for name in (f"venue={venue}", "all"))
        leaf = Leaf(partition, venue, base, side, of_venue, of_all)
        for name in (f"base={base}", f"venue={venue},base={base}"):
            scopes.setdefault(name, ([], []))[number].append(leaf)
        self._leaves[partition, venue, base, side] = leaf
        return leaf


def _own_tracks(scopes: dict[str, _Scope], name: str) -> _Scope:
    if name not in scopes:
        scopes[name] = ([Track()], [Track()])
    return scopes[name]


def _sides(tracks: list[Track], after: list[int]) -> list[SideTotals]:
    sums = [Sum() for _ in after]
    for track in tracks:
        track.add_to(sums, after)
    return [SideTotals(one.usd, one.events, _record(one.largest[3]) if one.largest else None) for one in sums]


@lru_cache(maxsize=2048)
def _record(raw: bytes) -> Liquidation:
    return decode_liquidation(raw)  # the same few records are the largest of most scopes and windows


def _is_venue(scope: str) -> bool:
    return scope.startswith("venue=") and "," not in scope


_COUNTED, _DUPLICATE, _LATE, _FUTURE = Added
_NOTHING = WindowTotals(SideTotals(0, 0, None), SideTotals(0, 0, None))
