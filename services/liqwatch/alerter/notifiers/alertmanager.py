"""Alertmanager as one more sink: an incident is one alert there, known by its labels. It keeps them in memory."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import orjson
from pydantic import SecretStr
from typing_extensions import override

from ...settings import TargetSettings
from .base import (
    HttpRequest,
    Notice,
    Notifier,
    NotifierKind,
    Outcome,
    Rate,
    Response,
    by_status,
    cut,
    escaped_headline,
    escaped_text,
    one_line,
)

PATH = "/api/v2/alerts"
LABEL_LIMIT = 200
HEADLINE_LIMIT = 1000
TEXT_LIMIT = 4000
# Alertmanager drops an alert that nobody posts again; with an end of its own it lasts until then, or until we end it.
OPEN_FOR = timedelta(days=7)
_RATE = Rate(burst=20, every=timedelta(milliseconds=50))
_LABELS = ("incident_id", "scope", "side", "window")  # the same for every step, or it would be another alert


@dataclass(frozen=True, slots=True)
class Alertmanager(Notifier):
    """The labels are the key: a second copy is the same alert."""

    url: SecretStr
    token: SecretStr | None = None
    rate: Rate = _RATE
    key_holds: timedelta | None = timedelta.max

    @override
    def render(self, notice: Notice) -> HttpRequest:
        is_over = notice.kind == "cleared" and not notice.is_report
        opened = notice.facts.get("opened_ms")
        begun_ms = opened if isinstance(opened, int) and not notice.is_report else notice.at_ms
        end_ms = notice.at_ms if is_over else notice.sent_ms + int(OPEN_FOR.total_seconds() * 1000)
        rule = notice.facts.get("rule", notice.kind)
        labels = {
            "alertname": "liqwatch delivery refused" if notice.is_report else str(rule),
            "severity": notice.severity,
            "source": "liqwatch",
            **{name: str(notice.facts[name]) for name in _LABELS if name in notice.facts},
        }
        if notice.is_report:
            labels["notice_id"] = notice.notice_id
        alert = {
            "labels": {name: cut(value, LABEL_LIMIT) for name, value in labels.items()},
            "annotations": {
                "summary": escaped_headline(notice, HEADLINE_LIMIT, str),
                "description": escaped_text(notice, TEXT_LIMIT, str),
                "step": notice.kind,
                **{name: str(notice.facts[name]) for name in ("usd", "threshold") if name in notice.facts},
            },
            "startsAt": _time(begun_ms),
            "endsAt": _time(max(end_ms, begun_ms)),
        }
        headers = {"Content-Type": "application/json"}
        if self.token is not None:
            headers["Authorization"] = f"Bearer {self.token.get_secret_value()}"
        url = self.url.get_secret_value().rstrip("/").removesuffix(PATH)
        return HttpRequest(SecretStr(url + PATH), orjson.dumps([alert]), headers)

    @override
    def judge(self, response: Response) -> Outcome:
        said = one_line(response.body.decode(errors="replace").strip().strip('"')) if response.status == 400 else ""
        return by_status(response, said)


def _time(at_ms: int) -> str:
    return datetime.fromtimestamp(at_ms / 1000, UTC).isoformat(timespec="milliseconds")


def build(settings: TargetSettings) -> Notifier:
    if settings.url is None:
        raise ValueError("an alertmanager target needs url, such as http://alertmanager:9093 (with allow_private)")
    return Alertmanager(settings.url, settings.token)


NOTIFIER = NotifierKind(name="alertmanager", docs="https://prometheus.io/docs/alerting/latest/alerts_api/", build=build)
