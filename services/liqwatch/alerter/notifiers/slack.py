"""Slack: an incoming webhook, or a bot that can look whether a message has arrived."""

import re
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from urllib.parse import urlencode

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
    Picture,
    Rate,
    Refused,
    Response,
    Unknown,
    Upload,
    by_status,
    escaped_headline,
    escaped_message,
    escaped_text,
    one_line,
    read_json,
    retry_after,
)

ORIGIN = "https://slack.com"
HEADER_LIMIT = 150
SECTION_LIMIT = 3000
TEXT_LIMIT = 3000
EVENT_TYPE = "liqwatch_alert"
FILE_NAME = "last-24-hours.png"
_WORD = re.compile(r"[a-z_]{1,40}")
_RATE = Rate(burst=4, every=timedelta(seconds=1))  # "1 per second per channel, short bursts"
_LIMITED = ("ratelimited", "rate_limited")
# "may have partly succeeded before the error": https://docs.slack.dev/reference/methods/chat.postMessage
_UNCLEAR = ("internal_error", "fatal_error", "service_unavailable", "request_timeout")
# The thread is gone, locked or not allowed there: the message may go into the channel alone.
_THREAD_GONE = "thread_not_found"
_NO_THREAD = (
    "cannot_reply_to_message",
    "invalid_thread_ts",
    "message_not_found",
    "restricted_action_non_threadable_channel",
    "restricted_action_thread_locked",
    _THREAD_GONE,
)


def escape(text: str) -> str:
    """The three characters that Slack asks to be escaped, and no others."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def message(notice: Notice) -> dict[str, Any]:
    """Blocks of plain text, in which Slack knows no markup, and the fallback for notifications."""
    header = escaped_headline(notice, HEADER_LIMIT, escape)
    text = escaped_text(notice, SECTION_LIMIT, escape)
    return {
        "text": escaped_message(notice, TEXT_LIMIT, escape),
        "mrkdwn": False,
        "blocks": [
            {"type": "header", "text": {"type": "plain_text", "text": header, "emoji": False}},
            {"type": "section", "text": {"type": "plain_text", "text": text, "emoji": False}},
        ],
        "unfurl_links": False,
        "unfurl_media": False,
    }


@dataclass(frozen=True, slots=True)
class SlackWebhook(Notifier):
    """An incoming webhook: no message id, no key, nothing to read back."""

    url: SecretStr
    rate: Rate = _RATE
    key_holds: timedelta | None = None

    @override
    def render(self, notice: Notice) -> HttpRequest:
        return HttpRequest(self.url, orjson.dumps(message(notice)), {"Content-Type": "application/json"})

    @override
    def judge(self, response: Response) -> Outcome:
        # Slack answers with a word such as `no_service`. Anything else may repeat the address, which is a secret.
        word = response.body.decode(errors="replace").strip()
        return by_status(response, word if _WORD.fullmatch(word) else "")


@dataclass(frozen=True, slots=True)
class SlackBot(Notifier):
    """chat.postMessage; the notice's id travels in the metadata and can be looked for in the channel.

    What follows the first message about an incident stands in its thread and in the channel: a thread alone would
    tell only those who follow it. The picture stands in the thread alone.
    """

    token: SecretStr
    channel: str
    origin: str = ORIGIN
    rate: Rate = _RATE
    key_holds: timedelta | None = None

    @override
    def render(self, notice: Notice) -> HttpRequest:
        metadata = {"event_type": EVENT_TYPE, "event_payload": {"notice_id": notice.notice_id}}
        body = message(notice) | {"channel": self.channel, "parse": "none", "link_names": False, "metadata": metadata}
        if notice.reply_to is not None:
            body |= {"thread_ts": notice.reply_to, "reply_broadcast": True}
        return self._call("chat.postMessage", body)

    @override
    def judge(self, response: Response) -> Outcome:
        answer = read_json(response)
        if not 200 <= response.status < 300:
            return by_status(response, one_line(answer.get("error", "")))
        if answer.get("ok") is True:
            ts = answer.get("ts")
            return Accepted(ts if isinstance(ts, str) else None)
        error = answer.get("error")
        if not isinstance(error, str):
            return Unknown("an answer that is not Slack's")
        return _failed(one_line(error), response)

    def edit(self, notice: Notice, message_id: str) -> HttpRequest:
        """chat.update; the metadata stays, so that the message is still found."""
        metadata = {"event_type": EVENT_TYPE, "event_payload": {"notice_id": notice.notice_id}}
        body = message(notice) | {"channel": self.channel, "ts": message_id, "parse": "none", "metadata": metadata}
        return self._call("chat.update", body)

    def edited(self, response: Response) -> Outcome:
        """As to a message."""
        outcome = self.judge(response)
        return Refused(outcome.reason) if isinstance(outcome, NotSent) and not outcome.as_reply else outcome

    def picture(self, picture: Picture) -> Upload:
        """files.getUploadURLExternal, the bytes to where it says, files.completeUploadExternal into the thread.

        Nothing is to be seen before the last: what fails until then was not sent.
        """
        length = str(len(picture.png))
        answer = yield self._form("files.getUploadURLExternal", {"filename": FILE_NAME, "length": length,
                                                                 "alt_txt": picture.title})  # fmt: skip
        outcome = self.judge(answer)
        if not isinstance(outcome, Accepted):
            return outcome
        place = read_json(answer)
        url, file_id = place.get("upload_url"), place.get("file_id")
        if not isinstance(url, str) or not isinstance(file_id, str):
            return Unknown("an answer that is not Slack's")
        answer = yield HttpRequest(SecretStr(url), picture.png, {"Content-Type": "application/octet-stream"})
        outcome = by_status(answer)
        if not isinstance(outcome, Accepted):
            return outcome
        answer = yield self._call(
            "files.completeUploadExternal",
            {
                "files": [{"id": file_id, "title": picture.title}],
                "channel_id": self.channel,
                "thread_ts": picture.first_id,
            },
        )
        outcome = self.judge(answer)
        return Accepted() if isinstance(outcome, Accepted) else outcome

    def search(self, notice: Notice) -> HttpRequest:
        """Asks for the latest messages of the channel, or of the thread, since the notice was decided."""
        query = {
            "channel": self.channel,
            "oldest": f"{(notice.at_ms - 60_000) / 1000:.6f}",
            "limit": "200",
            "include_all_metadata": "true",
        }
        if notice.reply_to is None:
            return self._form("conversations.history", query)
        return self._form("conversations.replies", query | {"ts": notice.reply_to})

    def found(self, notice: Notice, response: Response) -> Outcome:
        """NotSent only where the whole stretch of the channel, or of the thread, was seen without it."""
        answer = read_json(response)
        if response.status != 200 or answer.get("ok") is not True:
            return _not_looked(notice, answer.get("error"), response)
        for row in answer.get("messages", ()):
            payload = (row.get("metadata") or {}).get("event_payload") or {}
            if payload.get("notice_id") == notice.notice_id:
                return Accepted(row.get("ts"))
        if answer.get("has_more"):
            return Refused("more messages than could be looked through")
        return NotSent("not found in the channel")

    def _call(self, method: str, body: dict[str, Any]) -> HttpRequest:
        return self._request(method, orjson.dumps(body), "application/json; charset=utf-8")

    def _form(self, method: str, fields: dict[str, str]) -> HttpRequest:
        return self._request(method, urlencode(fields).encode(), "application/x-www-form-urlencoded")

    def _request(self, method: str, body: bytes, content: str) -> HttpRequest:
        headers = {"Content-Type": content, "Authorization": f"Bearer {self.token.get_secret_value()}"}
        return HttpRequest(SecretStr(f"{self.origin}/api/{method}"), body, headers)


def _not_looked(notice: Notice, error: object, response: Response) -> Outcome:
    """Why a look at the messages showed none."""
    if not isinstance(error, str) or response.status != 200 or error in (*_LIMITED, *_UNCLEAR):
        return Unknown(one_line(error or f"status {response.status}"), retry_after(response))
    if error == _THREAD_GONE and notice.reply_to is not None:
        return NotSent("its thread is gone")  # with the first message, which somebody has deleted
    return Refused(one_line(error))


def _failed(error: str, response: Response) -> Outcome:
    if error in _LIMITED:
        return NotSent(error, retry_after(response))
    if error in _UNCLEAR:
        return Unknown(error)
    if error in _NO_THREAD:
        return NotSent(error, as_reply=False)
    return Refused(error)


def build(settings: TargetSettings) -> Notifier:
    if settings.url is not None:
        return SlackWebhook(settings.url)
    if settings.token is None or settings.channel is None:
        raise ValueError("a slack target needs url, or token and channel")
    return SlackBot(settings.token, settings.channel, (settings.api_origin or ORIGIN).rstrip("/"))


NOTIFIER = NotifierKind(name="slack", docs="https://docs.slack.dev/reference/methods/chat.postMessage", build=build)
