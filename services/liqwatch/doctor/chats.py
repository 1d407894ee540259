"""Can the chats be reached, and do they know us? Only by calls that send nothing; where there is none: not tried."""

import asyncio
from collections.abc import Sequence

import aiohttp
import orjson
from pydantic import SecretStr

from ..alerter.notifiers import discover
from ..alerter.notifiers.base import HttpRequest, NotSent, Refused, Response
from ..alerter.sending import Sender
from ..settings import Settings, TargetSettings
from .finding import Finding, fails, not_tried, works

_DISCORD, _SLACK, _TELEGRAM = "https://discord.com", "https://slack.com", "https://api.telegram.org"
_JSON = {"Content-Type": "application/json; charset=utf-8"}


async def try_chats(settings: Settings, http: aiohttp.ClientSession) -> Sequence[Finding]:
    """One finding a target, by name."""
    sender = Sender(http, lambda text: None)
    return await asyncio.gather(*(_try(name, target, sender) for name, target in sorted(settings.targets.items())))


async def _try(name: str, target: TargetSettings, sender: Sender) -> Finding:
    part = f"{name} ({target.kind})"
    if not target.enabled:
        return not_tried("chat", part, "switched off in the settings")
    try:
        discover()[target.kind].build(target)
    except (KeyError, ValueError) as error:
        return fails("chat", part, str(error), "settings")
    if target.kind == "console":
        return works("chat", part, "prints to stdout")
    request = _question(target)
    if request is None:
        return not_tried(
            "chat", part, f"it has no call that sends nothing; `liqwatch notify-test {name}` sends a message"
        )
    answer = await sender.send(request, timeout=target.timeout.total_seconds(), allow_private=target.allow_private)
    if not isinstance(answer, Response):
        cause = (
            "refused" if isinstance(answer, NotSent) else "settings" if isinstance(answer, Refused) else "unreachable"
        )
        return fails("chat", part, answer.reason, cause)
    return _judged(part, answer)


def _question(target: TargetSettings) -> HttpRequest | None:
    """What asks the chat who we are, or whether the place is there."""
    token = target.token.get_secret_value() if target.token is not None else None
    if target.kind == "slack" and token:
        url = f"{_origin(target, _SLACK)}/api/auth.test"
        return HttpRequest(SecretStr(url), b"{}", {**_JSON, "Authorization": f"Bearer {token}"})
    if target.kind == "telegram" and token:
        body = orjson.dumps({"chat_id": target.channel})
        return HttpRequest(SecretStr(f"{_origin(target, _TELEGRAM)}/bot{token}/getChat"), body, _JSON)
    if target.kind == "discord" and token:
        url = f"{_origin(target, _DISCORD)}/api/v10/channels/{target.channel}"
        return HttpRequest(SecretStr(url), b"", {"Authorization": f"Bot {token}"}, "GET")
    if target.kind == "discord" and target.url is not None:
        return HttpRequest(target.url, b"", {}, "GET")  # tells of the webhook itself
    return None


def _origin(target: TargetSettings, documented: str) -> str:
    return (target.api_origin or documented).rstrip("/")


def _judged(part: str, answer: Response) -> Finding:
    try:
        body = orjson.loads(answer.body)
    except orjson.JSONDecodeError:
        body = None
    said = body if isinstance(body, dict) else {}
    if 200 <= answer.status < 300 and said.get("ok", bool(said)) is True:
        return works("chat", part, "it knows us")
    # Slack and Telegram say why in `error` and `description`, Discord in `message`. None of them repeats a token.
    why = next((str(said[key])[:100] for key in ("error", "description", "message") if said.get(key)), "")
    words = f"answered HTTP {answer.status}" + (f": {why}" if why else "")
    return fails("chat", part, words, _cause(answer.status))


def _cause(status: int) -> str:
    if status < 300 or status in (400, 401, 403, 404):
        return "settings"
    return "throttled" if status == 429 else "server_error"
