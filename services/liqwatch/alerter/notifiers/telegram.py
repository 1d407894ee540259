"""Telegram: sendMessage of the Bot API, with HTML. It has no key and no read-back: an unknown outcome stays one."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Any

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
    Part,
    Picture,
    Rate,
    Refused,
    Response,
    Unknown,
    Upload,
    by_status,
    cut,
    escaped_message,
    form,
    one_line,
    read_json,
    retry_after,
    seconds,
    unlinked,
)

ORIGIN = "https://api.telegram.org"
TEXT_LIMIT = 4096
# "about 1 message per second in a chat, 20 messages per minute in a group": https://core.telegram.org/bots/faq
_CHAT = Rate(burst=5, every=timedelta(seconds=1))
_GROUP = Rate(burst=5, every=timedelta(seconds=3))
_SAYS_SO_ALREADY = "message is not modified"
FILE_NAME = "last-24-hours.png"
CAPTION_LIMIT = 1024


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
        answers = {} if notice.reply_to is None else {"reply_parameters": _reply(notice.reply_to)}
        return self._call("sendMessage", self._message(notice) | answers)

    def edit(self, notice: Notice, message_id: str) -> HttpRequest:
        """editMessageText."""
        return self._call("editMessageText", self._message(notice) | {"message_id": _number(message_id)})

    def edited(self, response: Response) -> Outcome:
        """As to a message; that it says so already is all we want."""
        outcome = self.judge(response)
        if isinstance(outcome, Refused) and _SAYS_SO_ALREADY in outcome.reason:
            return Accepted()
        return outcome

    def picture(self, picture: Picture) -> Upload:
        """sendPhoto as an answer to the message, without a sound: the message has made one."""
        title = cut(unlinked(picture.title), CAPTION_LIMIT)  # no parse_mode: words are words
        body, content_type = form(
            (
                Part("chat_id", self.chat_id.encode()),
                Part("caption", title.encode()),
                Part("disable_notification", b"true"),
                Part("reply_parameters", orjson.dumps(_reply(picture.message_id))),
                Part("photo", picture.png, "image/png", FILE_NAME),
            )
        )
        answer = yield HttpRequest(self._url("sendPhoto"), body, {"Content-Type": content_type})
        return self.judge(answer)

    def _message(self, notice: Notice) -> dict[str, Any]:
        return {
            "chat_id": self.chat_id,
            "text": escaped_message(notice, TEXT_LIMIT, escape, frame="<b>{}</b>"),
            "parse_mode": "HTML",
            "link_preview_options": {"is_disabled": True},
        }

    def _call(self, method: str, body: dict[str, Any]) -> HttpRequest:
        return HttpRequest(self._url(method), orjson.dumps(body), {"Content-Type": "application/json"})

    def _url(self, method: str) -> SecretStr:
        return SecretStr(f"{self.origin}/bot{self.token.get_secret_value()}/{method}")

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


def _reply(message_id: str) -> dict[str, Any]:
    """An answer to a message; alone, where somebody has removed that."""
    return {"message_id": _number(message_id), "allow_sending_without_reply": True}


def _number(message_id: str) -> int | str:
    return int(message_id) if message_id.isdigit() else message_id


def build(settings: TargetSettings) -> Notifier:
    if settings.token is None or settings.channel is None:
        raise ValueError("a telegram target needs token and channel (the chat id)")
    return TelegramNotifier(settings.token, settings.channel, (settings.api_origin or ORIGIN).rstrip("/"))


NOTIFIER = NotifierKind(name="telegram", docs="https://core.telegram.org/bots/api#sendmessage", build=build)
