"""What came of the alerts that were due: lost, repeated, repeated without a mark."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import NamedTuple


class Alert(NamedTuple):
    """One thing that one target had to be told once."""

    target: str
    coin: str
    step: str


@dataclass(frozen=True, slots=True)
class Counts:
    """Sums over runs. `marked_first`: arrived once, and said to be a repeat: nobody could know that it was none."""

    runs: int = 0
    hits: int = 0  # runs in which the fault really happened
    due: int = 0
    lost: int = 0
    repeated: int = 0  # copies beyond the first
    unmarked: int = 0  # of them, those that do not say so
    marked_first: int = 0
    kept_out: int = 0  # second copies that the receiver dropped by their key
    struck: tuple[str, ...] = ()  # the points at which it did, where they were ordered
    copies: tuple[str, ...] = ()  # the targets at which each repetition arrived
    missing: tuple[Alert, ...] = ()

    def __add__(self, other: "Counts") -> "Counts":
        return Counts(*(getattr(self, one.name) + getattr(other, one.name) for one in fields(self)))

    def brief(self) -> str:
        """For one line."""
        return f"{self.runs} runs, {self.hits} hit: {self.lost} of {self.due} lost, {self.repeated} repeated, " + (
            f"{self.unmarked} unmarked"
        )


def count(due: Iterable[Alert], told: Mapping[Alert, Sequence[bool]], *, runs: int, hits: int) -> Counts:
    """`told`: for each alert the copies that arrived, True for one that says it repeats another.

    Of the copies without a mark one is the alert itself, wherever it stands among them: a reader is misled by the
    second. What arrived and was not due counts as a repetition without a mark.
    """
    due = list(due)
    copies = [told.get(alert, ()) for alert in due]
    strangers = sum(len(marks) for alert, marks in told.items() if alert not in set(due))
    return Counts(
        runs=runs,
        hits=hits,
        due=len(due),
        lost=sum(not marks for marks in copies),
        repeated=sum(max(0, len(marks) - 1) for marks in copies) + strangers,
        unmarked=sum(max(0, len(marks) - sum(marks) - 1) for marks in copies) + strangers,
        marked_first=sum(list(marks) == [True] for marks in copies),
        copies=tuple(alert.target for alert, marks in told.items() for _ in marks[1:]),
        missing=tuple(alert for alert, marks in zip(due, copies, strict=True) if not marks),
    )
