"""The first message about an incident at a target: it is kept current, later ones answer it, its last edit sums up.

Pure. A target without message ids has none.
"""

from collections.abc import Sequence
from typing import NamedTuple

from ..events import Attempt, Incident, Step, Summary

SUMMARY_WITHIN_MS = 6 * 3_600_000  # after the end; a message that cannot be edited for so long stays as it is


class FirstMessage(NamedTuple):
    """The step that it told, and its id at the target."""

    step_ms: int
    message_id: str


def first_message(incident: Incident, target: str, place: str) -> FirstMessage | None:
    """The oldest message about the incident that the target has accepted and given an id.

    `place`: the chat that the target leads to now. An id of the chat that it led to before is none here; a record
    that does not name its place is taken to be of this one.
    """
    for step in incident.steps:
        for attempt in reversed(step.attempts):
            if _is_told(attempt) and attempt.target == target and attempt.place in (None, place):
                if attempt.message_id:
                    return FirstMessage(step.at_ms, attempt.message_id)
                break
    return None


def first_told(steps: Sequence[Step]) -> set[int]:
    """Times of the steps that were the first message at some place: they have its id, and stay in the record."""
    found: dict[tuple[str, str | None], int] = {}
    for step in steps:
        for attempt in step.attempts:
            if _is_told(attempt) and attempt.message_id:
                found.setdefault((attempt.target, attempt.place), step.at_ms)
    return set(found.values())


def last_told(incident: Incident, target: str, place: str) -> Step | None:
    """The newest step that the target was told there."""
    for step in reversed(incident.steps):
        if any(_is_told(one) and one.target == target and one.place in (None, place) for one in step.attempts):
            return step
    return None


def places(incident: Incident) -> set[tuple[str, str]]:
    """Targets, and places where they have a message about the incident that has an id."""
    return {
        (one.target, one.place)
        for step in incident.steps
        for one in step.attempts
        if one.place is not None and one.message_id and _is_told(one)
    }


def _is_told(attempt: Attempt) -> bool:
    return attempt.about is None and attempt.outcome == "accepted"


def owes_summary(incident: Incident, target: str, place: str) -> bool:
    """The incident is over, and its first message at the target does not say so yet."""
    if incident.closed_ms is None or any(done.target == target for done in incident.summaries):
        return False
    first = first_message(incident, target, place)
    return first is not None and first.step_ms != incident.closed_ms  # else it says so itself


def with_summary(incident: Incident, done: Summary) -> Incident:
    """The incident with what became of the last edit at one target."""
    others = tuple(one for one in incident.summaries if one.target != done.target)
    return incident.model_copy(update={"summaries": (*others, done)})
