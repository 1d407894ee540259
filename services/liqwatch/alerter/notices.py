"""What a target is told: a step of an incident as a notice, or a report that another target refused it. Pure."""

from ..events import Incident, Step
from .incidents import attempts
from .notifiers.base import Notice


def notice(incident: Incident, step: Step, about: str | None, now_ms: int, repeat_of_ms: int | None) -> Notice:
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
    )


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
