"""A signed webhook: JSON, an idempotency key, and an HMAC over time and body that the receiver can check."""

import hashlib
import hmac
from dataclasses import dataclass
from datetime import timedelta

import orjson
from pydantic import SecretStr
from typing_extensions import override

from ...settings import TargetSettings
from .base import HttpRequest, Notice, Notifier, NotifierKind, Outcome, Rate, Response, by_status

KEY_HEADER = "Idempotency-Key"
TIME_HEADER = "X-Liqwatch-Timestamp"
SIGNATURE_HEADER = "X-Liqwatch-Signature"
_RATE = Rate(burst=100, every=timedelta(milliseconds=10))


def signature(secret: str, timestamp: str, body: bytes) -> str:
    """`v1=` and the hex HMAC-SHA256, keyed with the secret, of `TIMESTAMP.BODY`."""
    return "v1=" + hmac.new(secret.encode(), timestamp.encode() + b"." + body, hashlib.sha256).hexdigest()


@dataclass(frozen=True, slots=True)
class WebhookNotifier(Notifier):
    """The same key and the same body for every attempt, so that a receiver can drop the second."""

    url: SecretStr
    secret: SecretStr
    rate: Rate = _RATE
    key_holds: timedelta | None = timedelta.max

    @override
    def render(self, notice: Notice) -> HttpRequest:
        body = orjson.dumps(
            {
                "version": 1,
                "notice_id": notice.notice_id,
                "kind": notice.kind,
                "severity": notice.severity,
                "at_ms": notice.at_ms,
                "headline": notice.headline,
                "text": notice.text,
                **notice.facts,
            }
        )
        timestamp = str(notice.sent_ms // 1000)
        return HttpRequest(
            self.url,
            body,
            {
                "Content-Type": "application/json",
                KEY_HEADER: notice.notice_id,
                TIME_HEADER: timestamp,
                SIGNATURE_HEADER: signature(self.secret.get_secret_value(), timestamp, body),
            },
        )

    @override
    def judge(self, response: Response) -> Outcome:
        return by_status(response)  # the receiver's words stay out: they could hold anything


def build(settings: TargetSettings) -> Notifier:
    if settings.url is None or settings.secret is None:
        raise ValueError("a webhook target needs url and secret")
    return WebhookNotifier(settings.url, settings.secret)


NOTIFIER = NotifierKind(name="webhook", docs="", build=build)
