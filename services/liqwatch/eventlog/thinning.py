"""Records that take the place of earlier ones (`Topic.supersedes`): of each such row the last says all."""

from collections.abc import Sequence

import msgspec

from ..wire import UNREADABLE
from . import Record


class Thinning:
    """Of one topic. `fields`: of its messages; records that are equal in all of them are states of one thing."""

    def __init__(self, fields: Sequence[str]) -> None:
        marks = msgspec.defstruct("Marks", [(name, str | int | bool) for name in fields])
        self._marks = msgspec.json.Decoder(marks).decode

    def last_of_each(self, records: Sequence[Record]) -> list[Record]:
        """Those that no later one takes the place of, in order. What cannot be read is kept, for who reads to count."""
        seen: set[object] = set()
        kept: list[Record] = []
        for record in reversed(records):
            mark = self._mark(record)
            if mark not in seen:
                seen.add(mark)
                kept.append(record)
        kept.reverse()
        return kept

    def _mark(self, record: Record) -> object:
        if record.value is not None:
            try:
                return msgspec.structs.astuple(self._marks(record.value))
            except UNREADABLE:
                pass
        return record.offset
