"""The first message about an incident at a target: it is kept current, later ones answer it, its last edit sums up.

Pure. A target without message ids has none.
"""

from collections.abc import Sequence
from typing import NamedTuple

from ..events import Incident, Step, Summary

SUMMARY_WITHIN_MS = 6 * 3_600_000  # after the end; a message that cannot be edited for so long stays as it is


class FirstMessage(NamedTuple):
    """The step that it told, and its id at the target."""

    step_ms: int
    message_id: str


def first_message(incident: Incident, target: str) -> FirstMessage | None:
    """The oldest message about the incident that the target has accepted and given an id."""
    return _first(incident.steps, target)


def first_told(steps: Sequence[Step]) -> set[int]:
    """Times of the steps that were the first message to some target: they have its id, and stay in the record."""
    targets = {target for step in steps for target in step.targets}
    found = (_first(steps, target) for target in targets)
    return {first.step_ms for first in found if first is not None}


def _first(steps: Sequence[Step], target: str) -> FirstMessage | None:
    for step in steps:
        for attempt in reversed(step.attempts):
            if attempt.target == target and attempt.about is None and attempt.outcome == "accepted":
                if attempt.message_id:
                    return FirstMessage(step.at_ms, attempt.message_id)
                break
    return None


def owes_summary(incident: Incident, target: str) -> bool:
    """The incident is over, and its first message at the target does not say so yet."""
    if incident.closed_ms is None or any(done.target == target for done in incident.summaries):
        return False
    first = first_message(incident, target)
    return first is not None and first.step_ms != incident.closed_ms  # else it says so itself


def with_summary(incident: Incident, done: Summary) -> Incident:
    """The incident with what became of the last edit at one target."""
    others = tuple(one for one in incident.summaries if one.target != done.target)
    return incident.model_copy(update={"summaries": (*others, done)})
