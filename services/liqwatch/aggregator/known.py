"""Which event ids were counted already: exact, and small enough for two million of them. Pure.

Most ids name the second of their event, `venue:symbol:ms:side:…`, as the venues' decoders make them. Such an id can
only come again with the same second, so it is kept with those of its second: few at a time, at hand in the processor's
cache, and forgotten all at once. Any other id may come again with any time, and is looked up among all of them.

What is kept of an id is a keyed hash. Of one that names its second 64 bits: that two of 5,000 in one second have the
same is less likely than 1 in 10^12. Of the others, which may be two million at once, 128 bits: less than 1 in 10^25.
"""

import re
from array import array
from collections import defaultdict
from collections.abc import Mapping, Sequence
from functools import partial
from secrets import randbits
from typing import Any

# Seconds whose ids are kept as sets; older ones are packed to an eighth of that. A rebuild reads many partitions, of
# which some are an hour ahead of others.
_OPEN = 8_192
_SHARDS = 15  # less one, of the other ids: one big set would be moved as a whole, at twice the memory, when it grows
_LOW = (1 << 64) - 1
_NAMED = re.compile(r":(\d{10,16}):(?:long|short):")


class KnownIds:
    """Ids by the second that they name, and the others."""

    def __init__(self) -> None:
        self.by_second: dict[int, set[int]] = {}  # keyed hashes: the newest seconds in which something came
        self._packed: dict[int, array[int]] = {}  # … and the rest
        # What the hashes of a partition's ids are keyed with: a new key, and what it had is forgotten.
        self.keys: dict[int, int] = defaultdict(partial(randbits, 63))
        self._others: list[set[int]] = [set() for _ in range(_SHARDS + 1)]
        self.strays: set[int] = set()  # those of the others that name a second: it is not their event's, or ours
        self._until: dict[int, list[int]] = {}  # last second that others are known in: partition, mark, partition, …

    def open(self, second: int) -> set[int]:
        """The ids of a second that is not in `by_second`, to be looked up and added to."""
        if len(self.by_second) >= _OPEN:
            for old in sorted(self.by_second)[: _OPEN // 8]:
                self._packed[old] = array("q", self.by_second.pop(old))
        known = self.by_second[second] = set(self._packed.pop(second, ()))
        return known

    def has_other(self, event_id: str, partition: int) -> bool:
        """True for an id that is known, whichever second it names."""
        if _mark(event_id) in self._others[hash(event_id) & _SHARDS]:
            return True
        named = _NAMED.search(event_id)
        if named is None:
            return False
        second = int(named[1]) // 1000
        mark = hash(event_id) ^ self.keys[partition]
        return mark in self.by_second.get(second, ()) or mark in self._packed.get(second, ())

    def add_other(self, event_id: str, partition: int, last: int) -> None:
        """Knows an id until the second `last` is over, whichever it names."""
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
        """True for a known id that came with another second than it names."""
        return _mark(event_id) in self.strays

    def forget(self, before: int, second: int) -> None:
        """Forgets the ids that name a second after `before` up to `second`, and those known until then."""
        kept: tuple[dict[int, Any], ...] = (self.by_second, self._packed)
        for ids in kept:
            for old in passed(ids, before, second):
                del ids[old]

    def forget_others(self, before: int, second: int) -> None:
        """Forgets the other ids that are known until a second after `before` up to `second`."""
        for old in passed(self._until, before, second):
            self._discard(self._until.pop(old)[1::2])

    def drop(self, partitions: Sequence[int]) -> None:
        """Forgets the ids of the partitions. What is left of them in memory fits nothing, and goes with its second."""
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
    """The seconds after `after` up to `until` that are kept, in order; cheap for a second and for a year."""
    if until - after == 1:
        return (until,) if until in kept else ()
    if until - after <= len(kept):
        return [second for second in range(after + 1, until + 1) if second in kept]
    return sorted(second for second in kept if after < second <= until)


def _mark(event_id: str) -> int:
    """128 bits in 48 bytes, where the id itself takes 80."""
    return hash(event_id) << 64 | hash(event_id + "#") & _LOW
