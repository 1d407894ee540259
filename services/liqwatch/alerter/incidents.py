"""The record of one crossing: opened, extended and closed by verdicts, with every attempt to tell it."""

from collections.abc import Callable, Container, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import NamedTuple

from ..events import (
    Attempt,
    Completeness,
    Incident,
    LargestRecord,
    PartitionEvidence,
    Step,
    UsualTotals,
    VenueCoverage,
    Words,
    plain,
)
from ..relative import PERCENTILES
from ..settings import RuleSettings, window_name
from ..totals import Sum
from ..wire import LargestRecord as WireLargest
from ..wire import micros, usd_text
from .firstmessage import first_told
from .percentiles import Yardstick
from .rules import Memory, Verdict
from .stories import Facts, story
from .text import Amount, Snapshot, Story, compose

MOST_REMINDERS = 60  # however a target fares: so many newer ones say the same, and a record has to fit into the log
KEPT_REMINDERS = 24  # older ones that were delivered leave the record; the log still has them until compaction
_NO_FACTS = Facts()
MakeForms = Callable[[Snapshot, Story | None], dict[str, Words]]
KEPT_UNKNOWN = 10  # attempts of one delivery, beside the first


@dataclass(frozen=True, slots=True)
class View:
    """What the figures were when a verdict was given: the material of its evidence and its text."""

    now_ms: int
    total: Sum
    evidence: tuple[PartitionEvidence, ...] = ()
    coins: Sequence[Amount] = ()
    venues: Sequence[Amount] = ()
    coverage: tuple[VenueCoverage, ...] = ()
    by_kind: Mapping[Completeness, int] = field(default_factory=dict)
    watched_since_ms: int | None = None
    titles: Mapping[str, str] = field(default_factory=dict)
    facts: Facts = _NO_FACTS


class Delivery(NamedTuple):
    """One step that one target has to get. `about` names the target whose refusal is reported with it."""

    incident_id: str
    step_ms: int
    target: str
    about: str | None = None


def tell(
    rule: RuleSettings,
    scope: str,
    incident: Incident | None,
    verdict: Verdict,
    view: View,
    *,
    generation: int,
    targets: tuple[str, ...],
    held_back: str | None = None,
    known: Container[str] = (),
    forms: MakeForms | None = None,
) -> Incident:
    """The incident with the verdict added as its newest step; a new incident for `fired`.

    `forms` makes the words of the forms beside the long one; they are as durable as the step.
    `known`: ids of incidents that are there. One may have been closed in this very millisecond, by a reload.
    """
    largest = _largest(view.total.largest(rule.side))
    if rule.is_relative:
        yardstick = verdict.yardstick or (None if incident is None else _recalled(incident))
        view = replace(view, facts=replace(view.facts, yardstick=yardstick))
    if incident is None:
        opened_ms = view.now_ms
        while f"{rule.name}:{scope}:{opened_ms}" in known:
            opened_ms += 1
        peak = (verdict.usd, opened_ms)
        step = _step(rule, scope, verdict, view, targets, opened_ms, peak, opened_ms, held_back, forms)
        return Incident(
            incident_id=f"{rule.name}:{scope}:{opened_ms}",
            rule=rule.name,
            rule_kind=rule.kind,
            scope=scope,
            side=rule.side,
            window=window_name(rule.window),
            severity=rule.severity,
            generation=generation,
            opened_ms=opened_ms,
            peak_usd=usd_text(verdict.usd),
            peak_at_ms=opened_ms,
            largest=largest,
            coverage=view.coverage,
            usual=_usual(view.facts.yardstick),
            steps=(step,),
        )
    at_ms = max(view.now_ms, incident.steps[-1].at_ms + 1)  # a step is known by its time
    incident = with_peak(incident, verdict.usd, view.now_ms)
    peak = (micros(incident.peak_usd), incident.peak_at_ms)
    step = _step(rule, scope, verdict, view, targets, at_ms, peak, incident.opened_ms, held_back, forms)
    return incident.model_copy(
        update={
            "generation": generation,
            "closed_ms": at_ms if verdict.kind == "cleared" else None,
            "largest": _larger(incident.largest, largest),
            "coverage": view.coverage,
            "usual": incident.usual or _usual(view.facts.yardstick),
            "steps": (*_without_old_reminders(incident.steps), step),
        }
    )


def close_unannounced(incident: Incident, reason: str, now_ms: int, generation: int) -> Incident:
    """Closes an incident that no rule stands for any more; recorded, told to nobody."""
    last = incident.steps[-1]
    at_ms = max(now_ms, last.at_ms + 1)
    step = Step(
        kind="cleared",
        at_ms=at_ms,
        usd=last.usd,
        threshold=last.threshold,
        headline=f"Closed: {reason}.",
        text=f"Closed without notice: {reason}. The figure is that of the last step.",
    )
    return incident.model_copy(update={"generation": generation, "closed_ms": at_ms, "steps": (*incident.steps, step)})


def with_peak(incident: Incident, usd: int, now_ms: int) -> Incident:
    """The incident, with a higher peak if this is one."""
    if usd <= micros(incident.peak_usd):
        return incident
    return incident.model_copy(update={"peak_usd": usd_text(usd), "peak_at_ms": now_ms})


def memory(incident: Incident) -> Memory:
    """What the rule remembers of its scope, read back from the record."""
    told = [Decimal(step.threshold) for step in incident.steps if step.kind in ("fired", "stepped_up")]
    if incident.closed_ms is not None or not told:
        return Memory()
    return Memory(told=max(told), told_ms=incident.steps[-1].at_ms, yardstick=_recalled(incident))


def _usual(yardstick: Yardstick | None) -> UsualTotals | None:
    if yardstick is None:
        return None
    percentiles = {f"p{number}": usd_text(usd) for number, usd in yardstick.usd}
    return UsualTotals(
        percentiles_usd=percentiles, hours=yardstick.hours, near_hours=yardstick.near, days=yardstick.days
    )


def _recalled(incident: Incident) -> Yardstick | None:
    """None also where a later version has written percentiles that this one does not know."""
    usual = incident.usual
    if usual is None or set(usual.percentiles_usd) != {f"p{number}" for number in PERCENTILES}:
        return None
    found = tuple((number, micros(usual.percentiles_usd[f"p{number}"])) for number in PERCENTILES)
    return Yardstick(found, usual.hours, usual.near_hours, usual.days)


def step_at(incident: Incident, step_ms: int) -> Step | None:
    """The step of that time; None where it has left the record."""
    return next((step for step in incident.steps if step.at_ms == step_ms), None)


def attempts(step: Step, target: str, about: str | None) -> list[Attempt]:
    """What was tried for one delivery, oldest first."""
    return [attempt for attempt in step.attempts if attempt.target == target and attempt.about == about]


Held = Callable[[str, Sequence[Attempt]], bool]
Fallback = Callable[[str, int], str | None]


def undelivered(incident: Incident, held: Held, fallback: Fallback) -> Iterator[Delivery]:
    """Deliveries that are still to be made, in the order of the steps.

    `held`: whether the target wants nothing sent again after these attempts. `fallback`: who is told that a
    target refused at that time, if anybody.
    """
    for step in incident.steps:
        by_target: dict[str, list[Attempt]] = {}
        for attempt in step.attempts:
            if attempt.about is None:
                by_target.setdefault(attempt.target, []).append(attempt)
        for target in step.targets:
            tried = by_target.get(target, [])
            if tried and tried[-1].outcome == "accepted":
                continue  # nearly all, and nearly always
            if _is_open(target, tried, held):
                yield Delivery(incident.incident_id, step.at_ms, target)
            elif tried[-1].outcome == "refused":
                reporter = _reporter(step, target, tried[-1].at_ms, held, fallback)
                if reporter is not None:
                    yield Delivery(incident.incident_id, step.at_ms, reporter, target)


def _reporter(step: Step, refused: str, at_ms: int, held: Held, fallback: Fallback) -> str | None:
    """Who still has to be told of a refusal: one target, once, whoever would be asked today."""
    reporters = {attempt.target for attempt in step.attempts if attempt.about == refused}
    if not all(_is_open(one, attempts(step, one, refused), held) for one in reporters):
        return None
    return next(iter(sorted(reporters)), None) or fallback(refused, at_ms)


def with_attempts(incident: Incident, step_ms: int, new: Sequence[Attempt]) -> Incident:
    """The incident with more attempts at a step, one of a delivery at most; numbers go on, however many are kept.

    Earlier attempts of these deliveries leave the record where they surely sent nothing, and in the middle of a
    long row of unknown outcomes.
    """

    def add(step: Step) -> Step:
        kept: Sequence[Attempt] = step.attempts  # none of a new step: this is on the way of an alert
        for attempt in new if kept else ():
            kept = _before(attempt, kept)
        return step.model_copy(update={"attempts": (*kept, *new)})

    return _with_step(incident, step_ms, add) if new else incident


def _before(attempt: Attempt, all_: Sequence[Attempt]) -> list[Attempt]:
    """What stays on record before an attempt."""
    name = (attempt.target, attempt.about)
    unclear = [old for old in all_ if (old.target, old.about) == name and old.outcome != "not_sent"]
    kept = {old.number for old in (unclear[:1] + unclear[1:][-KEPT_UNKNOWN:])}
    return [old for old in all_ if (old.target, old.about) != name or old.number in kept]


def with_outcome(incident: Incident, step_ms: int, done: Attempt) -> Incident:
    """The incident with the attempt of the same target and number replaced by `done`."""

    def replace(step: Step) -> Step:
        name = (done.target, done.about, done.number)
        kept = [done if (old.target, old.about, old.number) == name else old for old in step.attempts]
        return step.model_copy(update={"attempts": tuple(kept)})

    return _with_step(incident, step_ms, replace)


def with_unknowns(incident: Incident) -> Incident:
    """The incident with every attempt of a former owner that has no outcome made unknown."""

    def close(step: Step) -> Step:
        closed = [
            old.model_copy(update={"outcome": "unknown", "detail": "the alerter ended before the answer"})
            if old.outcome is None
            else old
            for old in step.attempts
        ]
        return step.model_copy(update={"attempts": tuple(closed)})

    if all(attempt.outcome is not None for step in incident.steps for attempt in step.attempts):
        return incident
    return incident.model_copy(update={"steps": tuple(close(step) for step in incident.steps)})


def _with_step(incident: Incident, step_ms: int, change: Callable[[Step], Step]) -> Incident:
    steps = tuple(change(step) if step.at_ms == step_ms else step for step in incident.steps)
    return incident.model_copy(update={"steps": steps})


def _is_open(target: str, tried: Sequence[Attempt], held: Callable[[str, Sequence[Attempt]], bool]) -> bool:
    if tried and tried[-1].outcome in ("accepted", "refused"):
        return False
    return not (any(one.outcome == "unknown" for one in tried) and held(target, tried))


def _step(
    rule: RuleSettings,
    scope: str,
    verdict: Verdict,
    view: View,
    targets: tuple[str, ...],
    at_ms: int,
    peak: tuple[int, int],
    opened_ms: int,
    held_back: str | None,
    forms: MakeForms | None,
) -> Step:
    snapshot = Snapshot(
        kind=verdict.kind,
        scope=scope,
        side=rule.side,
        window=window_name(rule.window),
        now_ms=view.now_ms,
        threshold=verdict.threshold,
        long=view.total.long,
        short=view.total.short,
        count=view.total.long_count + view.total.short_count,
        coins=view.coins,
        venues=view.venues,
        largest=_largest(view.total.largest(rule.side)),
        coverage=view.coverage,
        by_kind=view.by_kind,
        watched_since_ms=view.watched_since_ms,
        opened_ms=opened_ms,
        peak=peak[0],
        peak_at_ms=peak[1],
        titles=view.titles,
    )
    told = story(rule, snapshot, view.facts)
    telling = compose(snapshot, told)
    return Step(
        kind=verdict.kind,
        at_ms=at_ms,
        usd=usd_text(verdict.usd),
        threshold=plain(verdict.threshold),
        value=None if verdict.value is None else usd_text(verdict.value),
        headline=telling.headline,
        text=telling.text,
        forms=forms(snapshot, told) if forms is not None else {},
        evidence=view.evidence,
        targets=targets,
        held_back=held_back,
    )


def _without_old_reminders(steps: tuple[Step, ...]) -> tuple[Step, ...]:
    reminders = [step for step in steps if step.kind == "reminded"]
    old = {step.at_ms for step in reminders[:-KEPT_REMINDERS] if all(_is_over(step, target) for target in step.targets)}
    old |= {step.at_ms for step in reminders[:-MOST_REMINDERS]}
    if old:
        old -= first_told(steps)
    return tuple(step for step in steps if step.at_ms not in old)


def _is_over(step: Step, target: str) -> bool:
    tried = attempts(step, target, None)
    return bool(tried) and tried[-1].outcome in ("accepted", "refused")


def _largest(record: WireLargest | None) -> LargestRecord | None:
    return None if record is None else LargestRecord.model_validate(record, from_attributes=True)


def _larger(one: LargestRecord | None, other: LargestRecord | None) -> LargestRecord | None:
    if one is None or other is None:
        return one or other
    return other if micros(other.notional_usd) > micros(one.notional_usd) else one
