"""What the service knows of a partition of `liquidations` that it holds."""

from collections import deque
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TypeAlias

from ..wire import Heartbeat

Row: TypeAlias = tuple[str, str]  # window, scope
_BEHIND_TICKS = 5  # a reader calls a total stale when it is older than 5 s


class Stage(StrEnum):
    """How far a partition has come. Nothing is published of it before `ANNOUNCING`."""

    REBUILDING = "rebuilding"
    ANNOUNCING = "announcing"  # caught up; its rows go out
    LIVE = "live"  # heartbeats too


@dataclass(slots=True)
class Predecessor:
    """What an earlier owner left in `totals`: the rows are ours to keep up, or to zero and bury."""

    generation: int = 0
    rows: set[Row] = field(default_factory=set)
    beat: Heartbeat | None = None
    unreadable: int = 0  # records of `totals` that are none


@dataclass(slots=True, eq=False)
class Owned:
    """A held partition. A new object each time its reading begins anew."""

    number: int
    end: int  # the end seen at assignment: there it is caught up
    behind: int = 0  # records not read yet, as last seen
    offset: int = -1  # of the last record contained
    reached: bool = False
    generation: int | None = None  # None until `totals` has been read
    beat: Heartbeat | None = None  # the predecessor's last
    stage: Stage = Stage.REBUILDING
    published: set[Row] = field(default_factory=set)  # what readers of `totals` find there, not buried
    zero_since: dict[Row, float] = field(default_factory=dict)  # published as zero, to be buried
    told: bool = False  # its rows are in `initial`, or beyond: from here on its changes are told
    initial: deque[Row] = field(default_factory=deque)
    again: deque[Row] = field(default_factory=deque)  # rows to be written once more
    again_at: float | None = None  # when their next round begins
    minutes: dict[int, int] = field(default_factory=dict)  # with events not in a bar yet -> their last offset
    ends: deque[int] = field(default_factory=lambda: deque(maxlen=_BEHIND_TICKS))

    def inherit(self, predecessor: Predecessor, group_generation: int) -> None:
        """Takes up where the predecessor stopped."""
        self.generation = max(group_generation, predecessor.generation + 1)
        self.published |= predecessor.rows
        self.beat = predecessor.beat

    @property
    def caught_up(self) -> bool:
        """Has read all that was there at assignment, and since then is never 5 s behind."""
        late = len(self.ends) == self.ends.maxlen and self.offset + 1 < self.ends[0] and self.behind > 0
        return self.stage is Stage.LIVE and not late
