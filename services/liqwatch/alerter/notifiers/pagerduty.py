"""PagerDuty Events v2: an incident of ours is one alert there, triggered, updated and resolved under one key."""

import hashlib
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import orjson
from pydantic import SecretStr
from typing_extensions import override

from ...settings import TargetSettings
from .base import (
    Accepted,
    HttpRequest,
    Notice,
    Notifier,
    NotifierKind,
    Outcome,
    Rate,
    Response,
    by_status,
    escaped_headline,
    escaped_text,
    one_line,
    read_json,
)

ORIGIN = "https://events.pagerduty.com"
SUMMARY_LIMIT = 1024
DETAILS_LIMIT = 10_000  # of 512 KB that an event may have
KEY_LIMIT = 255
_RATE = Rate(burst=60, every=timedelta(milliseconds=500))  # 120 a minute and key


def key_of(notice: Notice) -> str:
    """The same for everything that is said of one incident."""
    key = notice.notice_id if notice.is_report else str(notice.facts.get("incident_id", notice.notice_id))
    return key if len(key) <= KEY_LIMIT else hashlib.sha256(key.encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class PagerDuty(Notifier):
    """The key makes a second copy harmless: it changes the alert that is there."""

    token: SecretStr
    origin: str = ORIGIN
    rate: Rate = _RATE
    key_holds: timedelta | None = timedelta.max

    @override
    def render(self, notice: Notice) -> HttpRequest:
        facts = {key: notice.facts[key] for key in sorted(notice.facts)}
        body = {
            "routing_key": self.token.get_secret_value(),
            "event_action": "resolve" if notice.kind == "cleared" and not notice.is_report else "trigger",
            "dedup_key": key_of(notice),
            "client": "liqwatch",
            "payload": {
                "summary": escaped_headline(notice, SUMMARY_LIMIT, str),
                "source": "liqwatch",
                "severity": notice.severity if notice.severity in ("info", "warning", "critical") else "error",
                "timestamp": datetime.fromtimestamp(notice.at_ms / 1000, UTC).isoformat(timespec="milliseconds"),
                "component": notice.facts.get("rule"),
                "group": notice.facts.get("scope"),
                "class": notice.kind,
                "custom_details": {"text": escaped_text(notice, DETAILS_LIMIT, str), **facts},
            },
        }
        return HttpRequest(
            SecretStr(f"{self.origin}/v2/enqueue"), orjson.dumps(body), {"Content-Type": "application/json"}
        )

    @override
    def judge(self, response: Response) -> Outcome:
        answer = read_json(response)
        if 200 <= response.status < 300:
            key = answer.get("dedup_key")
            return Accepted(key if isinstance(key, str) else None)
        errors = answer.get("errors")
        said = errors if isinstance(errors, list) else [answer.get("message", "")]
        return by_status(response, one_line("; ".join(map(str, said))))


def build(settings: TargetSettings) -> Notifier:
    if settings.token is None:
        raise ValueError("a pagerduty target needs token (the integration key of an Events API v2 integration)")
    return PagerDuty(settings.token, (settings.api_origin or ORIGIN).rstrip("/"))


NOTIFIER = NotifierKind(
    name="pagerduty", docs="https://developer.pagerduty.com/docs/events-api-v2/trigger-events/", build=build
)
