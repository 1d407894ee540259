"""Telegram: sendMessage of the Bot API, with HTML. It has no key and no read-back: an unknown outcome stays one."""

from dataclasses import dataclass
from datetime import timedelta

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
    NotSent,
    Outcome,
    Rate,
    Refused,
    Response,
    Unknown,
    by_status,
    escaped_message,
    one_line,
    read_json,
    retry_after,
    seconds,
)

ORIGIN = "https://api.telegram.org"
TEXT_LIMIT = 4096
# "about 1 message per second in a chat, 20 messages per minute in a group": https://core.telegram.org/bots/faq
_CHAT = Rate(burst=5, every=timedelta(seconds=1))
_GROUP = Rate(burst=5, every=timedelta(seconds=3))


def escape(text: str) -> str:
    """The characters that HTML of the Bot API asks to be escaped."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


@dataclass(frozen=True, slots=True)
class TelegramNotifier(Notifier):
    """One chat, group or channel."""

    token: SecretStr
    chat_id: str
    origin: str = ORIGIN
    key_holds: timedelta | None = None

    @property
    @override
    def rate(self) -> Rate:
        return _GROUP if self.chat_id.startswith(("-", "@")) else _CHAT

    @override
    def render(self, notice: Notice) -> HttpRequest:
        body = {
            "chat_id": self.chat_id,
            "text": escaped_message(notice, TEXT_LIMIT, escape, frame="<b>{}</b>"),
            "parse_mode": "HTML",
            "link_preview_options": {"is_disabled": True},
        }
        return HttpRequest(
            SecretStr(f"{self.origin}/bot{self.token.get_secret_value()}/sendMessage"),
            orjson.dumps(body),
            {"Content-Type": "application/json"},
        )

    def edit(self, notice: Notice, message_id: str) -> HttpRequest:
        """editMessageText."""
        body = {
            "chat_id": self.chat_id,
            "message_id": int(message_id) if message_id.isdigit() else message_id,
            "text": escaped_message(notice, TEXT_LIMIT, escape, frame="<b>{}</b>"),
            "parse_mode": "HTML",
            "link_preview_options": {"is_disabled": True},
        }
        return HttpRequest(
            SecretStr(f"{self.origin}/bot{self.token.get_secret_value()}/editMessageText"),
            orjson.dumps(body),
            {"Content-Type": "application/json"},
        )

    @override
    def judge(self, response: Response) -> Outcome:
        answer = read_json(response)
        description = one_line(answer.get("description", ""))
        parameters = answer.get("parameters")
        parameters = parameters if isinstance(parameters, dict) else {}
        if response.status == 429 or answer.get("error_code") == 429:
            wait = seconds(parameters.get("retry_after"))
            return NotSent("rate limited (429)", wait if wait is not None else retry_after(response))
        if not 200 <= response.status < 300:
            if "migrate_to_chat_id" in parameters:
                description += f"; the chat is now {one_line(parameters['migrate_to_chat_id'])}"
            return by_status(response, description)
        if answer.get("ok") is False:
            return Refused(description or "refused without a reason")
        if answer.get("ok") is not True:
            return Unknown("an answer that is not Telegram's")
        result = answer.get("result")
        number = result.get("message_id") if isinstance(result, dict) else None
        return Accepted(None if number is None else str(number))


def build(settings: TargetSettings) -> Notifier:
    if settings.token is None or settings.channel is None:
        raise ValueError("a telegram target needs token and channel (the chat id)")
    return TelegramNotifier(settings.token, settings.channel, (settings.api_origin or ORIGIN).rstrip("/"))


NOTIFIER = NotifierKind(name="telegram", docs="https://core.telegram.org/bots/api#sendmessage", build=build)
