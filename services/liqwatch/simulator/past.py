"""What one simulated venue has published or would have, for the history that it answers with."""

from bisect import insort_right
from collections.abc import Sequence
from typing import overload

from typing_extensions import override

from .orders import Entry

KEPT = 100_000


class Past(Sequence[Entry]):
    """Entries sorted by their time, the newest last, also those that nobody was connected to hear. Bounded."""

    def __init__(self, kept: int = KEPT) -> None:
        self._kept = kept
        self._entries: list[Entry] = []

    def add(self, entries: Sequence[Entry]) -> None:
        for entry in entries:
            insort_right(self._entries, entry, key=_time)
        if len(self._entries) > self._kept * 11 // 10:  # not at every entry
            del self._entries[: -self._kept]

    @overload
    def __getitem__(self, place: int) -> Entry: ...
    @overload
    def __getitem__(self, place: slice) -> Sequence[Entry]: ...
    @override
    def __getitem__(self, place: int | slice) -> Entry | Sequence[Entry]:
        return self._entries[place]

    @override
    def __len__(self) -> int:
        return len(self._entries)


def _time(entry: Entry) -> int:
    return entry.event_ms
