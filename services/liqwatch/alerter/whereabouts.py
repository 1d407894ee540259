"""Where a message stands at its target, by the record alone: tried, waiting for its turn, or neither. Pure."""

from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import dataclass

from ..amounts import counted
from ..events import Attempt, Incident, Step
from .incidents import Delivery, attempts, step_at, undelivered


@dataclass(frozen=True, slots=True)
class Pending:
    """A message that its target has neither taken nor refused yet."""

    delivery: Delivery
    is_tried: bool


def pending(known: Iterable[Incident], holding: Container[str]) -> dict[str, list[Pending]]:
    """What is still to be delivered of all incidents, by target; `holding`: those that send nothing of unknown fate
    again."""
    found: dict[str, list[Pending]] = {}
    for incident in known:
        for one in undelivered(incident, lambda target, _tried: target in holding, lambda _target, _at_ms: None):
            step = step_at(incident, one.step_ms)
            is_tried = step is not None and bool(attempts(step, one.target, one.about))
            found.setdefault(one.target, []).append(Pending(one, is_tried))
    return found


def waiting(incident: Incident, step: Step, ahead: Mapping[str, Sequence[Pending]]) -> frozenset[str]:
    """Targets that have tried nothing of the step yet, and have a message before it: they take one after the other."""

    def is_behind(target: str) -> bool:
        mine = Delivery(incident.incident_id, step.at_ms, target)
        others = (one for one in ahead.get(target, ()) if one.delivery != mine)
        return any(one.is_tried or one.delivery.step_ms < step.at_ms for one in others)

    return frozenset(target for target in step.targets if not attempts(step, target, None) and is_behind(target))


def words(tried: Sequence[Attempt], *, is_waiting: bool) -> str:
    """`accepted, 1 try`, `not_sent, 2 tries, 1 repeat`, or why there was none."""
    if not tried:
        return "waits behind an earlier message" if is_waiting else "not tried yet"
    repeats = sum(attempt.repeat for attempt in tried)
    said = f"{tried[-1].outcome or 'under way'}, {counted(len(tried), 'try', 'tries')}"
    return f"{said}, {counted(repeats, 'repeat')}" if repeats else said
