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
    Rate,
    Response,
    by_status,
    escaped_message,
    one_line,
    read_json,
    retry_after,
    seconds,
)

ORIGIN = "https://discord.com"
CONTENT_LIMIT = 2000
NONCE_LENGTH = 25
SUPPRESS_EMBEDS = 1 << 2
_RATE = Rate(burst=4, every=timedelta(seconds=1))
# "checked for uniqueness in the past few minutes": https://discord.com/developers/docs/resources/message
_NONCE_HOLDS = timedelta(minutes=2)
_MARKUP = re.compile(r"([\\*_~`|<>\[\]()])")


def escape(text: str) -> str:
    """A backslash before everything that is markup, a mention or a link in Discord."""
    return _MARKUP.sub(r"\\\1", text)


def message(notice: Notice) -> dict[str, Any]:
    """The text as content; nobody is pinged and nothing unfolds, whatever stands in it."""
    return {
        "content": escaped_message(notice, CONTENT_LIMIT, escape, frame="**{}**"),
        "allowed_mentions": {"parse": []},
        "flags": SUPPRESS_EMBEDS,
    }


def judge_answer(response: Response) -> Outcome:
    """The same for webhook and bot."""
    answer = read_json(response)
    if response.status == 429:
        wait = seconds(answer.get("retry_after"))  # seconds, with a fraction
        return NotSent("rate limited (429)", wait if wait is not None else retry_after(response))
    if not 200 <= response.status < 300:
        return by_status(response, one_line(answer.get("message", "")))
    number = answer.get("id")
    return Accepted(number if isinstance(number, str) else None)


@dataclass(frozen=True, slots=True)
class DiscordWebhook(Notifier):
    """An incoming webhook: nothing keeps a second copy out."""

    url: SecretStr
    rate: Rate = _RATE
    key_holds: timedelta | None = None

    @override
    def render(self, notice: Notice) -> HttpRequest:
        parts = urlsplit(self.url.get_secret_value())
        query = urlencode([*((k, v) for k, v in parse_qsl(parts.query) if k != "wait"), ("wait", "true")])
        url = urlunsplit(parts._replace(query=query))  # `wait`: answers with the message, or an error
        return HttpRequest(SecretStr(url), orjson.dumps(message(notice)), {"Content-Type": "application/json"})

    def edit(self, notice: Notice, message_id: str) -> HttpRequest:
        """PATCH of the webhook's own message; a thread stays in the query."""
        parts = urlsplit(self.url.get_secret_value())
        query = urlencode([(key, value) for key, value in parse_qsl(parts.query) if key != "wait"])
        url = urlunsplit(parts._replace(path=f"{parts.path.rstrip('/')}/messages/{message_id}", query=query))
        headers = {"Content-Type": "application/json"}
        return HttpRequest(SecretStr(url), orjson.dumps(message(notice)), headers, method="PATCH")

    @override
    def judge(self, response: Response) -> Outcome:
        return judge_answer(response)


@dataclass(frozen=True, slots=True)
class DiscordBot(Notifier):
    """Messages of a bot in one channel."""

    token: SecretStr
    channel: str
    origin: str = ORIGIN
    rate: Rate = _RATE
    key_holds: timedelta | None = _NONCE_HOLDS

    @override
    def render(self, notice: Notice) -> HttpRequest:
        repeat = f":{notice.repeat_of_ms}" if notice.repeat_of_ms is not None else ""
        nonce = hashlib.sha256(f"{notice.notice_id}{repeat}".encode()).hexdigest()[:NONCE_LENGTH]
        return HttpRequest(
            SecretStr(f"{self.origin}/api/v10/channels/{self.channel}/messages"),
            orjson.dumps(message(notice) | {"nonce": nonce, "enforce_nonce": True}),
            self._headers(),
        )

    def edit(self, notice: Notice, message_id: str) -> HttpRequest:
        """PATCH of a message of the bot."""
        url = f"{self.origin}/api/v10/channels/{self.channel}/messages/{message_id}"
        return HttpRequest(SecretStr(url), orjson.dumps(message(notice)), self._headers(), method="PATCH")

    def _headers(self) -> dict[str, str]:
        return {
            "Content-Type": "application/json",
            "Authorization": f"Bot {self.token.get_secret_value()}",
            "User-Agent": "DiscordBot (liqwatch, 1)",
        }

    @override
    def judge(self, response: Response) -> Outcome:
        return judge_answer(response)


def build(settings: TargetSettings) -> Notifier:
    if settings.url is not None:
        return DiscordWebhook(settings.url)
    if settings.token is None or settings.channel is None:
        raise ValueError("a discord target needs url, or token and channel")
    return DiscordBot(settings.token, settings.channel, (settings.api_origin or ORIGIN).rstrip("/"))


NOTIFIER = NotifierKind(
    name="discord", docs="https://discord.com/developers/docs/resources/message#create-message", build=build
)
