"""Which event ids were counted already: exact, and small enough for two million of them. Pure.

Most ids name the time of their event, `venue:symbol:ms:side:…`, as the venues' decoders make them. Such an id can only
come again with the same time, so it is kept with those of its time, a block of 16 seconds: few at once, at hand in the
processor's cache, and forgotten together. Any other id may come again with any time, and is looked up among all.

What is kept of an id is a keyed hash. Of one that names its time 64 bits: that two of 80,000 in one block have the same
is less likely than 1 in 10^9. Of the others, which may be two million at once, 128 bits: less than 1 in 10^25.
"""

import re
from array import array
from collections import defaultdict
from collections.abc import Mapping, Sequence
from functools import partial
from secrets import randbits
from typing import Any

BLOCK = 14  # bits of the milliseconds that are one block
# Blocks that are sets; older ones are packed. A rebuild is an hour further in some partitions than in others.
_OPEN = 512
_SHARDS = 15  # less one, of the other ids: one big set would be moved as a whole, at twice the memory, when it grows
_LOW = (1 << 64) - 1
_NAMED = re.compile(r":(\d{10,16}):(?:long|short):")


class KnownIds:
    """Ids by the time that they name, and the others."""

    def __init__(self) -> None:
        self.blocks: dict[int, set[int]] = {}  # keyed hashes of the ids that name a time in the newest blocks
        self._packed: dict[int, array[int]] = {}  # … and the rest
        # What the hashes of a partition's ids are keyed with: a new key, and what it had is forgotten.
        self.keys: dict[int, int] = defaultdict(partial(randbits, 63))
        self._others: list[set[int]] = [set() for _ in range(_SHARDS + 1)]
        self.strays: set[int] = set()  # those of the others that name a time: it is not their event's
        self._oldest_ms = 0  # what names an earlier time is not known by it any more
        self._until: dict[int, list[int]] = {}  # last second that others are known in: partition, mark, partition, …

    def open(self, block: int) -> set[int]:
        """The ids of a block that is not in `blocks`, to be looked up and added to."""
        if len(self.blocks) >= _OPEN:
            for old in sorted(self.blocks)[: _OPEN // 8]:
                self._packed[old] = array("q", self.blocks.pop(old))
        known = self.blocks[block] = set(self._packed.pop(block, ()))
        return known

    def has_other(self, event_id: str, partition: int) -> bool:
        """True for an id that is known, whichever time it names."""
        if _mark(event_id) in self._others[hash(event_id) & _SHARDS]:
            return True
        named = _NAMED.search(event_id)
        if named is None or (named_ms := int(named[1])) < self._oldest_ms:
            return False
        block, mark = named_ms >> BLOCK, hash(event_id) ^ self.keys[partition]
        return mark in self.blocks.get(block, ()) or mark in self._packed.get(block, ())

    def add_other(self, event_id: str, partition: int, last: int) -> None:
        """Knows an id until the second `last` is over, whichever time it names."""
        mark = _mark(event_id)
        self._others[hash(event_id) & _SHARDS].add(mark)
        if _NAMED.search(event_id):
            self.strays.add(mark)
        kept = self._until.get(last)
        if kept is None:
            kept = self._until[last] = []
        kept.append(partition)
        kept.append(mark)

    def is_stray(self, event_id: str) -> bool:
        """True for a known id that came with another time than it names."""
        return _mark(event_id) in self.strays

    def forget(self, second: int) -> None:
        """Forgets the ids that name a time up to the end of `second`, which never goes back."""
        before, self._oldest_ms = self._oldest_ms, max(0, (second + 1) * 1000)
        kept: tuple[dict[int, Any], ...] = (self.blocks, self._packed)
        for blocks in kept:
            for old in passed(blocks, (before >> BLOCK) - 1, (self._oldest_ms >> BLOCK) - 1):
                del blocks[old]

    def forget_others(self, before: int, second: int) -> None:
        """Forgets the other ids that are known until a second after `before` up to `second`."""
        for old in passed(self._until, before, second):
            self._discard(self._until.pop(old)[1::2])

    def drop(self, partitions: Sequence[int]) -> None:
        """Forgets the ids of the partitions. What is left of them in memory fits nothing, and goes with its block."""
        for partition in partitions:
            self.keys.pop(partition, None)
        for last, kept in self._until.items():
            pairs = list(zip(kept[::2], kept[1::2], strict=True))
            self._discard([mark for partition, mark in pairs if partition in partitions])
            self._until[last] = [part for pair in pairs if pair[0] not in partitions for part in pair]

    def _discard(self, marks: Sequence[int]) -> None:
        for mark in marks:
            self._others[mark >> 64 & _SHARDS].discard(mark)
            self.strays.discard(mark)


def passed(kept: Mapping[int, object], after: int, until: int) -> Sequence[int]:
    """The seconds or blocks after `after` up to `until` that are kept, in order; cheap for one and for a year."""
    if until - after == 1:
        return (until,) if until in kept else ()
    if until - after <= len(kept):
        return [second for second in range(after + 1, until + 1) if second in kept]
    return sorted(second for second in kept if after < second <= until)


def _mark(event_id: str) -> int:
    """128 bits in 48 bytes, where the id itself takes 80."""
    return hash(event_id) << 64 | hash(event_id + "#") & _LOW
