"""An incident that the log refuses for its size, cut down to what has to be known after a restart. Pure."""

from collections.abc import Iterator, Sequence

from ..events import Attempt, Incident, Step
from .firstmessage import first_told

_SHORT = 600  # characters of a text that is not the newest


def shrunk(incident: Incident) -> Iterator[Incident]:
    """Ever shorter records of the incident, each still saying what was told to whom and what is not told yet.

    First the old attempts and the reminders that are over go; then the evidence and the words of all but the first
    and the newest step; last every step that is neither these, nor undelivered, nor the highest told. What has the id
    of a target's first message stays: it is still to be written anew.
    """
    few = incident.model_copy(update={"steps": tuple(_few_attempts(step) for step in _without_reminders(incident))})
    yield few
    ends = (few.steps[0], few.steps[-1])
    bare = few.model_copy(update={"steps": tuple(step if step in ends else _bare(step) for step in few.steps)})
    yield bare
    told = [step for step in bare.steps if step.kind in ("fired", "stepped_up")]
    kept = {bare.steps[0].at_ms, bare.steps[-1].at_ms, *(step.at_ms for step in told[-1:])}
    kept |= {step.at_ms for step in bare.steps if not _is_over(step)} | first_told(bare.steps)
    yield bare.model_copy(update={"steps": tuple(_bare(step) for step in bare.steps if step.at_ms in kept)})


def _without_reminders(incident: Incident) -> Iterator[Step]:
    first = first_told(incident.steps)
    for step in incident.steps:
        if step.kind != "reminded" or step is incident.steps[-1] or not _is_over(step) or step.at_ms in first:
            yield step


def _is_over(step: Step) -> bool:
    return all(_outcome(step.attempts, target) in ("accepted", "refused") for target in step.targets)


def _outcome(attempts: Sequence[Attempt], target: str) -> str | None:
    mine = [one.outcome for one in attempts if one.target == target and one.about is None]
    return mine[-1] if mine else None


def _few_attempts(step: Step) -> Step:
    """The newest attempt of each delivery, and the first whose outcome is unknown: a repeat names its time."""
    kept: dict[tuple[str, str | None, bool], Attempt] = {}
    for one in step.attempts:
        if one.outcome == "unknown":
            kept.setdefault((one.target, one.about, False), one)
        kept[one.target, one.about, True] = one
    numbers = {id(one) for one in kept.values()}
    return step.model_copy(update={"attempts": tuple(one for one in step.attempts if id(one) in numbers)})


def _bare(step: Step) -> Step:
    text = step.text if len(step.text) <= _SHORT else step.text[: _SHORT - 1] + "…"
    return step.model_copy(update={"evidence": (), "text": text, "forms": {}})
