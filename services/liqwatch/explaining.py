"""`liqwatch incidents` and `liqwatch explain`: what was said and why, and a recount of it from `liquidations`."""

import contextlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from pydantic import ValidationError

from .alerter import whereabouts
from .alerter.incidents import attempts
from .alerter.text import duration, moment
from .amounts import counted, money
from .assembly import build_log
from .clock import Clock
from .eventlog import EARLIEST, Log, Record, since
from .events import Incident, PartitionEvidence, Step
from .following import read_to_the_end
from .settings import Settings
from .spelling import parse_duration
from .topics import ALERTS, LIQUIDATIONS
from .wire import Liquidation, decode_liquidation, micros, usd_text

FUTURE_MS = 60_000  # what is further ahead of the clock is counted nowhere
Verdict = Literal["agrees", "differs", "not retained"]


@dataclass(slots=True)
class Recount:
    """One row of evidence, counted anew. Micro-dollars."""

    row: PartitionEvidence
    scope: str
    first: int  # seconds of the window
    last: int
    long: int = 0
    short: int = 0
    events: int = 0
    largest: int = 0
    is_retained: bool = True
    _seen: set[str] = field(default_factory=set)

    def take(self, offset: int, event: Liquidation) -> None:
        """An event of the partition, in the order of the log."""
        if offset > self.row.offset or event.event_id in self._seen or not _is_in(self.scope, event):
            return
        if event.event_time_ms - event.received_time_ms > FUTURE_MS:
            return
        self._seen.add(event.event_id)
        if self.first <= event.event_time_ms // 1000 <= self.last:
            usd = micros(event.notional_usd)
            self.events += 1
            self.largest = max(self.largest, usd)
            if event.side == "long":
                self.long += usd
            else:
                self.short += usd

    @property
    def verdict(self) -> Verdict:
        """To the micro-dollar."""
        if (self.long, self.short) == (micros(self.row.long_usd), micros(self.row.short_usd)):
            return "agrees"
        return "differs" if self.is_retained else "not retained"


@dataclass(frozen=True, slots=True)
class Explained:
    """A step with the recount of its evidence. `waiting`: targets that have another message to take before it."""

    step: Step
    recounts: Sequence[Recount]
    waiting: frozenset[str] = frozenset()

    @property
    def verdict(self) -> Verdict | None:
        """Of all parts together; None where the step carries no evidence."""
        verdicts = {one.verdict for one in self.recounts}
        worst: tuple[Verdict, ...] = ("differs", "not retained", "agrees")
        return next((word for word in worst if word in verdicts), None)


async def incidents(settings: Settings) -> list[Incident]:
    """Every incident that the log has, open ones first, then the newest first. Raises `LogError`."""
    log = build_log(settings, Clock(), read_only=True)
    await log.open()
    try:
        known = await _known(log)
    finally:
        await log.close(timeout=3)
    return sorted(known.values(), key=lambda one: (one.closed_ms is not None, -one.opened_ms, one.incident_id))


async def explain(settings: Settings, incident_id: str) -> tuple[Incident, list[Explained]] | None:
    """The incident with its evidence counted anew; None if there is none of that id. Raises `LogError`."""
    log = build_log(settings, Clock(), read_only=True)
    await log.open()
    try:
        known = await _known(log)
        incident = known.get(incident_id)
        if incident is None:
            return None
        seconds = int(parse_duration(incident.window).total_seconds())
        holding = {name for name, target in settings.targets.items() if target.on_unknown == "hold"}
        ahead = whereabouts.pending(known.values(), holding)
        explained = [
            Explained(step, _recounts(incident, step, seconds), whereabouts.waiting(incident, step, ahead))
            for step in incident.steps
        ]
        await _count(log, [one for step in explained for one in step.recounts], seconds)
        return incident, explained
    finally:
        await log.close(timeout=3)


def _recounts(incident: Incident, step: Step, seconds: int) -> list[Recount]:
    return [
        Recount(row, row.scope or incident.scope, row.as_of_ms // 1000 - seconds + 1, row.as_of_ms // 1000)
        for row in step.evidence
    ]


async def _known(log: Log) -> dict[str, Incident]:
    known: dict[str, Incident] = {}

    def take(record: Record) -> None:
        if record.value is None:
            known.pop(record.key.decode(errors="replace"), None)
            return
        with contextlib.suppress(ValidationError):
            incident = Incident.model_validate_json(record.value)
            known[incident.incident_id] = incident

    await read_to_the_end(log, ALERTS, take)
    return known


async def _count(log: Log, recounts: Sequence[Recount], seconds: int) -> None:
    if not recounts:
        return
    by_partition: dict[int, list[Recount]] = {}
    for one in recounts:
        by_partition.setdefault(one.row.partition, []).append(one)
    # An id counts once though it came before the window: events that we timed may come again with a later time.
    start_ms = (min(one.first for one in recounts) - seconds) * 1000 - FUTURE_MS
    await _note_retention(log, by_partition)

    def take(record: Record) -> None:
        if record.value is not None:
            event = decode_liquidation(record.value)
            for one in by_partition[record.partition]:
                one.take(record.offset, event)

    last = {number: max(one.row.offset for one in rows) for number, rows in by_partition.items()}
    start = since(max(0, start_ms))
    await read_to_the_end(log, LIQUIDATIONS, take, start=start, partitions=by_partition, last=last)


async def _note_retention(log: Log, by_partition: dict[int, list[Recount]]) -> None:
    """A partition whose oldest record is younger than the window may have lost a part of it."""
    for number, rows in by_partition.items():
        reader = await log.reader(LIQUIDATIONS, start=EARLIEST, partitions=[number])
        try:
            oldest = next(iter(await reader.fetch(1.0)), None)
        finally:
            await reader.close()
        for one in rows:
            whole = oldest is not None and (oldest.offset == 0 or oldest.timestamp_ms < one.first * 1000)
            one.is_retained = whole or one.row.offset < 0


def _is_in(scope: str, event: Liquidation) -> bool:
    parts = dict(part.split("=", 1) for part in scope.split(",") if "=" in part)
    return all(getattr(event, name) == value for name, value in parts.items())


def listing(found: Iterable[Incident], now_ms: int) -> list[str]:
    """A line for each incident."""
    lines = []
    for one in found:
        lasted = duration((one.closed_ms or now_ms) - one.opened_ms)
        state = f"open for {lasted}" if one.closed_ms is None else f"closed after {lasted}"
        peak = f"at most {money(micros(one.peak_usd))}" if micros(one.peak_usd) else one.rule_kind
        lines.append(f"{one.incident_id}  {moment(one.opened_ms)}  {state}, {peak}, {counted(len(one.steps), 'step')}")
        lines.append(f"    {one.steps[-1].headline if one.steps else ''}")
    return lines


def words(incident: Incident, explained: Sequence[Explained]) -> list[str]:
    """The whole story for people: each step, whom it reached, and what a recount says."""
    over = "open" if incident.closed_ms is None else f"closed {moment(incident.closed_ms)}"
    lines = [
        f"{incident.incident_id}: {incident.rule_kind} rule {incident.rule}, {incident.side}, {incident.window}, "
        f"{incident.severity}; opened {moment(incident.opened_ms)}, {over}"
    ]
    for one in explained:
        step = one.step
        judged = f", judged {step.value}" if step.value is not None else ""
        lines.append(f"{moment(step.at_ms)} {step.kind.replace('_', ' ')}: {step.headline}")
        lines.append(f"    ${step.usd}{judged}, step {step.threshold}")
        if step.held_back is not None:
            lines.append(f"    held back: {step.held_back}")
        for target in step.targets:
            where = whereabouts.words(attempts(step, target, None), is_waiting=target in one.waiting)
            lines.append(f"    {target}: {where}")
        lines += [f"    {line}" for line in _evidence(one)]
    return lines


def _evidence(explained: Explained) -> list[str]:
    if not explained.recounts:
        return ["no evidence: nothing to count anew"]
    lines = []
    for one in explained.recounts:
        row = one.row
        what = f"partition {row.partition}{f' {row.scope}' if row.scope else ''} up to offset {row.offset}"
        line = f"{what}: longs ${row.long_usd}, shorts ${row.short_usd}: {one.verdict}"
        if one.verdict != "agrees":
            line += f" (now longs ${usd_text(one.long)}, shorts ${usd_text(one.short)} in {one.events:,} events)"
        lines.append(line)
    counted = sum(one.events for one in explained.recounts)
    match explained.verdict:
        case "agrees":
            lines.append(f"recounted from {counted:,} liquidations: agrees to the micro-dollar")
        case "not retained":
            lines.append("cannot be recounted in full: liquidations of the window are no longer retained")
        case _:
            lines.append("DIFFERS from a recount of liquidations")
    return lines


def as_object(incident: Incident, explained: Sequence[Explained]) -> dict[str, Any]:
    """The same for machines."""
    return {
        "incident": incident.model_dump(mode="json"),
        "steps": [
            {
                "at_ms": one.step.at_ms,
                "verdict": one.verdict,
                "waiting": sorted(one.waiting),
                "parts": [
                    {
                        "partition": part.row.partition,
                        "scope": part.scope,
                        "offset": part.row.offset,
                        "as_of_ms": part.row.as_of_ms,
                        "long_usd": usd_text(part.long),
                        "short_usd": usd_text(part.short),
                        "events": part.events,
                        "verdict": part.verdict,
                    }
                    for part in one.recounts
                ],
            }
            for one in explained
        ],
    }
