"""Silences into the log: for who has the token, and only where one is set."""

import asyncio
import hmac
import uuid

from aiohttp import web
from pydantic import SecretStr

from ..clock import Clock
from ..eventlog import Entry, Log, LogError, LogUnavailable
from ..events import Silence
from ..topics import SILENCES
from .market import Market
from .problems import Problem
from .shapes import new_silence

_APPEND_SECONDS = 5.0


def authorize(request: web.Request, token: SecretStr | None) -> None:
    """Raises `Problem` unless the request carries the token."""
    if token is None:
        raise Problem(403, "no token is set, so nobody may write here; set web.token or web.token_file")
    scheme, _, given = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not hmac.compare_digest(
        given.strip().encode("utf-8", "surrogateescape"), token.get_secret_value().encode()
    ):
        raise Problem(401, "send the token as Authorization: Bearer …", {"WWW-Authenticate": 'Bearer realm="liqwatch"'})


async def add(request: web.Request, log: Log, market: Market, clock: Clock) -> Silence:
    """The silence that the body asks for, once it is in the log."""
    if request.content_type != "application/json":
        raise Problem(415, "send the silence as application/json")
    wanted = new_silence(await request.read())
    now_ms = clock.now_ms()
    silence = Silence(
        silence_id=uuid.uuid4().hex,
        matcher=wanted.matcher.model_dump(exclude_none=True),
        reason=wanted.reason,
        author=wanted.author,
        from_ms=now_ms,
        until_ms=now_ms + wanted.duration_seconds * 1000,
    )
    await _append(log, silence.silence_id, silence.model_dump_json().encode(), now_ms)
    market.silences[silence.silence_id] = silence  # known at once, not only when it has been read back
    return silence


async def remove(silence_id: str, log: Log, market: Market, clock: Clock) -> None:
    """Ends a silence."""
    if silence_id not in market.silences:
        raise Problem(404, "there is no such silence; GET /api/v1/silences lists them")
    await _append(log, silence_id, None, clock.now_ms())
    market.silences.pop(silence_id, None)


async def _append(log: Log, key: str, value: bytes | None, now_ms: int) -> None:
    try:
        async with asyncio.timeout(_APPEND_SECONDS):
            await log.append(SILENCES, [Entry(key.encode(), value, now_ms)])
    except (TimeoutError, LogUnavailable):
        raise Problem(503, "the log does not take it now; try again", {"Retry-After": "5"}) from None
    except LogError as error:
        raise Problem(503, str(error)) from None
