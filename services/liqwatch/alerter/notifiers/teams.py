"""Microsoft Teams: the webhook of a workflow, given an adaptive card of plain text."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Any

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
    escaped_headline,
    escaped_text,
)

HEADLINE_LIMIT = 500
TEXT_LIMIT = 5000  # a message may have about 28 KB with its frame; a character takes up to 4 bytes
_RATE = Rate(burst=4, every=timedelta(milliseconds=300))  # "more than four requests in a second" are throttled
_COLOURS = {"critical": "attention", "warning": "warning", "info": "accent"}
_ANSWER_TOO_LARGE = b"413"  # the older connectors say 200, and this in the body


def card(notice: Notice) -> dict[str, Any]:
    """Runs of text: Teams knows Markdown in text blocks and facts, not in these. No entities, so no mentions."""
    colour = "good" if notice.kind == "cleared" else _COLOURS.get(notice.severity, "default")
    headline = escaped_headline(notice, HEADLINE_LIMIT, str)
    lines = [{"text": headline, "weight": "bolder", "color": colour}]
    lines += [{"text": line} for line in escaped_text(notice, TEXT_LIMIT, str).split("\n") if line]
    return {
        "type": "message",
        "summary": headline,
        "attachments": [
            {
                "contentType": "application/vnd.microsoft.card.adaptive",
                "content": {
                    "$schema": "http://adaptivecards.io/schemas/adaptive-card.json",
                    "type": "AdaptiveCard",
                    "version": "1.4",
                    "msteams": {"width": "Full"},
                    "body": [{"type": "RichTextBlock", "inlines": [{"type": "TextRun", **line}]} for line in lines],
                },
            }
        ],
    }


@dataclass(frozen=True, slots=True)
class TeamsWebhook(Notifier):
    """No message id, no key, nothing to read back."""

    url: SecretStr
    rate: Rate = _RATE
    key_holds: timedelta | None = None

    @override
    def render(self, notice: Notice) -> HttpRequest:
        return HttpRequest(self.url, orjson.dumps(card(notice)), {"Content-Type": "application/json"})

    @override
    def judge(self, response: Response) -> Outcome:
        if response.status == 200 and _ANSWER_TOO_LARGE in response.body[:200]:
            return by_status(Response(413), "the message is too large")
        return by_status(response)  # 202: the workflow has it. Its words may repeat the address, which is a secret.


def build(settings: TargetSettings) -> Notifier:
    if settings.url is None:
        raise ValueError("a teams target needs url (of a workflow that posts what its webhook receives)")
    return TeamsWebhook(settings.url)


NOTIFIER = NotifierKind(
    name="teams",
    docs="https://learn.microsoft.com/en-us/microsoftteams/platform/webhooks-and-connectors/how-to/add-incoming-webhook",
    build=build,
)
