"""What a target is told of an incident: a step, that another target refused one, or at the end its summary. Pure."""

from dataclasses import replace
from decimal import Decimal

from ..amounts import money
from ..events import Incident, Step
from ..wire import micros
from .firstmessage import FirstMessage
from .incidents import attempts
from .notifiers.base import Notice
from .text import Snapshot, duration, exact, floor_words, moment, name

_SHOWN_STEPS = 12


def notice(
    incident: Incident,
    step: Step,
    about: str | None,
    now_ms: int,
    repeat_of_ms: int | None,
    reply_to: str | None = None,
) -> Notice:
    """The same id for every attempt; `about` makes it the report that another target refused the step."""
    headline, text, suffix = step.headline, step.text, ""
    if about is not None:
        refused = [one for one in attempts(step, about, None) if one.outcome == "refused"]
        reason = (refused[-1].detail if refused else None) or "no reason given"
        headline, suffix = f"{about} refused a message: {reason}.", f":about:{about}"
        text = f"This was not delivered to {about}:\n{step.headline}\n{step.text}"
    return Notice(
        notice_id=f"{incident.incident_id}:{step.at_ms}{suffix}",
        kind=step.kind,
        severity=incident.severity,
        headline=headline,
        text=text,
        at_ms=step.at_ms,
        sent_ms=now_ms,
        facts={
            "incident_id": incident.incident_id,
            "rule": incident.rule,
            "rule_kind": incident.rule_kind,
            "scope": incident.scope,
            "side": incident.side,
            "window": incident.window,
            "usd": step.usd,
            "threshold": step.threshold,
            "opened_ms": incident.opened_ms,
        },
        is_report=about is not None,
        repeat_of_ms=repeat_of_ms,
        reply_to=reply_to,
    )


def in_form(step: Step, form: str) -> Step:
    """The step with the words of that form; those of the long one where it was not made in it."""
    words = step.forms.get(form)
    return step if words is None else step.model_copy(update={"headline": words.headline, "text": words.text})


def written_anew(incident: Incident, step: Step, first: FirstMessage, now_ms: int) -> Notice:
    """`step` as the new text of the first message, which keeps its own id."""
    return replace(notice(incident, step, None, now_ms, None), notice_id=f"{incident.incident_id}:{first.step_ms}")


def summary(incident: Incident, first: FirstMessage, now_ms: int, form: str = "long") -> Notice:
    """The last text of the first message: what the end said, and the course of the incident before it."""
    end = in_form(incident.steps[-1], form)
    text = "\n".join((*_course(incident, end), end.text))
    return replace(written_anew(incident, end, first, now_ms), text=text)


def farewell(incident: Incident, told: Step, first: FirstMessage, now_ms: int) -> Notice:
    """The last text of the first message in a chat that the target leads to no more: `told` is the newest it knows."""
    text = f"Followed in another chat since {moment(now_ms)}. The last that was told here, at {moment(told.at_ms)}:"
    made = written_anew(incident, told, first, now_ms)
    return replace(made, headline=f"Continued in another chat: {made.headline}", text=f"{text}\n{told.text}")


def _course(incident: Incident, end: Step) -> list[str]:
    closed_ms = incident.closed_ms or end.at_ms
    lasted = duration(closed_ms - incident.opened_ms)
    lines = [f"Opened {moment(incident.opened_ms)}, over {moment(closed_ms)}: {lasted}."]
    up = [step for step in incident.steps if step.kind in ("fired", "stepped_up")]
    told = ", ".join(_step(incident, step) for step in up[:_SHOWN_STEPS])
    more = f" and {len(up) - _SHOWN_STEPS} more" if len(up) > _SHOWN_STEPS else ""
    lines.append(f"{'Step' if len(up) == 1 else 'Steps'}: {told}{more}.")
    if incident.rule_kind not in ("cascade", "feed"):  # their stories have figures of their own
        peak = f"{money(micros(incident.peak_usd))} at {moment(incident.peak_at_ms)}"
        if peak not in end.text:
            lines.append(f"Peak: {_floor(incident)}{peak}.")
    record = incident.largest
    if record is not None and incident.rule_kind != "feed":
        largest = f"{money(micros(record.notional_usd))} at {moment(record.event_time_ms)}"
        if largest not in end.text:
            where = f"{name(record.venue)} {name(record.symbol)} {record.side}, {largest}."
            # As it was told then, with the venue as its own people write it.
            said = (line for step in incident.steps for line in step.text.split("\n") if largest in line)
            start = f"Largest {record.unit}"
            told_then = (line.removeprefix(f"{start}: ") for line in said if line.startswith(f"{start}: "))
            lines.append(f"{start} of the incident: {next(told_then, where)}")
    return lines


def _floor(incident: Incident) -> str:
    """`at least `, as it was watched at the end."""
    closed_ms, coverage = incident.closed_ms or 0, incident.coverage
    side, window = incident.side, incident.window
    return floor_words(
        Snapshot("cleared", incident.scope, side, window, closed_ms, Decimal(0), 0, 0, 0, coverage=coverage)
    )


def _step(incident: Incident, step: Step) -> str:
    at, threshold = moment(step.at_ms), Decimal(step.threshold)
    number = format(threshold.normalize(), "f")
    match incident.rule_kind:
        case "level" | "order":
            return f"{exact(threshold)} at {at}"
        case "surge":
            return f"{number} times at {at}"
        case "record":
            return f"{number} {'day' if number == '1' else 'days'} at {at}"
        case "cascade":
            return f"stage {number} at {at}"
        case "feed":
            return at


def trial_notice(target: str, now_ms: int) -> Notice:
    """One harmless message."""
    return Notice(
        notice_id=f"test:{target}:{now_ms}",
        kind="test",
        severity="info",
        headline="Test message of liqwatch.",
        text=f"Alerts for the target {target} arrive here.",
        at_ms=now_ms,
        sent_ms=now_ms,
    )
