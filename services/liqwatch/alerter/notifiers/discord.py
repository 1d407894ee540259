"""Discord: an incoming webhook, or a bot, whose nonce keeps a second copy out for a few minutes."""

import hashlib
import re
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

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
    Response,
    Upload,
    by_status,
    cut,
    escaped_message,
    form,
    one_line,
    read_json,
    retry_after,
    seconds,
)

ORIGIN = "https://discord.com"
CONTENT_LIMIT = 2000
NONCE_LENGTH = 25
SUPPRESS_EMBEDS = 1 << 2
SUPPRESS_NOTIFICATIONS = 1 << 12
NO_MENTIONS: dict[str, list[str]] = {"parse": []}
FILE_NAME = "last-24-hours.png"
DESCRIPTION_LIMIT = 1024
_CANNOT_REPLY = 160002  # "You cannot reply without permission to read message history"
_RATE = Rate(burst=4, every=timedelta(seconds=1))
# "checked for uniqueness in the past few minutes": https://discord.com/developers/docs/resources/message
_NONCE_HOLDS = timedelta(minutes=2)
_MARKUP = re.compile(r"([\\*_~`|<>\[\]()]|^[#-](?=[#\s-]))", re.MULTILINE)


def escape(text: str) -> str:
    """A backslash before everything that is markup, a mention or a link in Discord."""
    return _MARKUP.sub(r"\\\1", text)


def message(notice: Notice) -> dict[str, Any]:
    """The text as content; nobody is pinged and nothing unfolds, whatever stands in it."""
    return {
        "content": escaped_message(notice, CONTENT_LIMIT, escape, frame="**{}**"),
        "allowed_mentions": NO_MENTIONS,
        "flags": SUPPRESS_EMBEDS,
    }


def attached(picture: Picture, **more: Any) -> tuple[bytes, str]:
    """The body of a message that is only the picture, without a sound, and its content type."""
    description = cut(picture.title, DESCRIPTION_LIMIT)
    payload = {
        "allowed_mentions": NO_MENTIONS,
        "flags": SUPPRESS_NOTIFICATIONS,
        "attachments": [{"id": 0, "filename": FILE_NAME, "description": description}],
    }
    return form(
        (
            Part("payload_json", orjson.dumps(payload | more), "application/json"),
            Part("files[0]", picture.png, "image/png", FILE_NAME),
        )
    )


def judge_answer(response: Response) -> Outcome:
    """The same for webhook and bot."""
    answer = read_json(response)
    if response.status == 429:
        wait = seconds(answer.get("retry_after"))  # seconds, with a fraction
        return NotSent("rate limited (429)", wait if wait is not None else retry_after(response))
    if not 200 <= response.status < 300:
        reason = one_line(answer.get("message", ""))
        if answer.get("code") == _CANNOT_REPLY:
            return NotSent(reason, as_reply=False)
        return by_status(response, reason)
    number = answer.get("id")
    return Accepted(number if isinstance(number, str) else None)


@dataclass(frozen=True, slots=True)
class DiscordWebhook(Notifier):
    """An incoming webhook: nothing keeps a second copy out, and it cannot answer a message."""

    url: SecretStr
    rate: Rate = _RATE
    key_holds: timedelta | None = None

    @override
    def render(self, notice: Notice) -> HttpRequest:
        return HttpRequest(self._url(), orjson.dumps(message(notice)), {"Content-Type": "application/json"})

    def edit(self, notice: Notice, message_id: str) -> HttpRequest:
        """PATCH of the webhook's own message; a thread stays in the query."""
        parts = urlsplit(self.url.get_secret_value())
        query = urlencode([(key, value) for key, value in parse_qsl(parts.query) if key != "wait"])
        url = urlunsplit(parts._replace(path=f"{parts.path.rstrip('/')}/messages/{message_id}", query=query))
        headers = {"Content-Type": "application/json"}
        return HttpRequest(SecretStr(url), orjson.dumps(message(notice)), headers, method="PATCH")

    def edited(self, response: Response) -> Outcome:
        """As to a message."""
        return judge_answer(response)

    def picture(self, picture: Picture) -> Upload:
        """A message of its own, with the file."""
        body, content_type = attached(picture)
        answer = yield HttpRequest(self._url(), body, {"Content-Type": content_type})
        return judge_answer(answer)

    def _url(self) -> SecretStr:
        """With `wait`: it answers with the message, or an error."""
        parts = urlsplit(self.url.get_secret_value())
        query = urlencode([*((k, v) for k, v in parse_qsl(parts.query) if k != "wait"), ("wait", "true")])
        return SecretStr(urlunsplit(parts._replace(query=query)))

    @override
    def judge(self, response: Response) -> Outcome:
        return judge_answer(response)


@dataclass(frozen=True, slots=True)
class DiscordBot(Notifier):
    """Messages of a bot in one channel; what follows the first message about an incident answers it."""

    token: SecretStr
    channel: str
    origin: str = ORIGIN
    rate: Rate = _RATE
    key_holds: timedelta | None = _NONCE_HOLDS

    @override
    def render(self, notice: Notice) -> HttpRequest:
        repeat = f":{notice.repeat_of_ms}" if notice.repeat_of_ms is not None else ""
        nonce = hashlib.sha256(f"{notice.notice_id}{repeat}".encode()).hexdigest()[:NONCE_LENGTH]
        body = message(notice) | {"nonce": nonce, "enforce_nonce": True}
        if notice.reply_to is not None:
            body["message_reference"] = _reference(notice.reply_to)
        return HttpRequest(self._url(), orjson.dumps(body), self._headers())

    def edit(self, notice: Notice, message_id: str) -> HttpRequest:
        """PATCH of a message of the bot."""
        url = SecretStr(f"{self._url().get_secret_value()}/{message_id}")
        return HttpRequest(url, orjson.dumps(message(notice)), self._headers(), method="PATCH")

    def edited(self, response: Response) -> Outcome:
        """As to a message."""
        return judge_answer(response)

    def picture(self, picture: Picture) -> Upload:
        """A message of its own that answers the one it follows."""
        body, content_type = attached(picture, message_reference=_reference(picture.message_id))
        answer = yield HttpRequest(self._url(), body, self._headers(content_type))
        return judge_answer(answer)

    def _url(self) -> SecretStr:
        return SecretStr(f"{self.origin}/api/v10/channels/{self.channel}/messages")

    def _headers(self, content_type: str = "application/json") -> dict[str, str]:
        return {
            "Content-Type": content_type,
            "Authorization": f"Bot {self.token.get_secret_value()}",
            "User-Agent": "DiscordBot (liqwatch, 1)",
        }

    @override
    def judge(self, response: Response) -> Outcome:
        return judge_answer(response)


def _reference(message_id: str) -> dict[str, Any]:
    """An answer to a message; alone, where somebody has removed that."""
    return {"message_id": message_id, "fail_if_not_exists": False}


def build(settings: TargetSettings) -> Notifier:
    if settings.url is not None:
        return DiscordWebhook(settings.url)
    if settings.token is None or settings.channel is None:
        raise ValueError("a discord target needs url, or token and channel")
    return DiscordBot(settings.token, settings.channel, (settings.api_origin or ORIGIN).rstrip("/"))


NOTIFIER = NotifierKind(
    name="discord", docs="https://discord.com/developers/docs/resources/message#create-message", build=build
)
