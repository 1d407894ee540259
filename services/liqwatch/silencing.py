"""`liqwatch silence`: writes silences to the log, or asks the live page's API where another process writes the log."""

import contextlib
import getpass
import os
import secrets
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any

import aiohttp
import orjson
from pydantic import ValidationError

from .alerter.silences import KEYS
from .alerter.text import duration, moment
from .assembly import build_log
from .clock import Clock
from .eventlog import Entry, Log, Record
from .eventlog.sqlite_file import LogInUse
from .events import Silence
from .following import read_to_the_end
from .settings import Settings
from .spelling import did_you_mean
from .topics import SILENCES
from .web.shapes import LONGEST_SECONDS, SHORTEST_SECONDS, NewSilence, fault

_WITHIN = 10.0  # seconds
_MAX_ANSWER = 4096  # bytes that are read of a refusal
_SHOWN = 120  # characters of it that are shown


class CannotSilence(Exception):
    """What was asked for cannot be done; a sentence with the remedy."""


def matcher(words: Sequence[str]) -> dict[str, str]:
    """`rule=longs-24h coin=BTC` as a matcher. Raises `CannotSilence`."""
    found: dict[str, str] = {}
    for word in words:
        key, is_pair, value = word.partition("=")
        if key not in KEYS:
            raise CannotSilence(f"{word!r}: write KEY=VALUE with one of {', '.join(KEYS)}{did_you_mean(key, KEYS)}")
        if not is_pair or not value:
            raise CannotSilence(f"{word!r}: a value is missing; write {key}=VALUE")
        if key in found:
            raise CannotSilence(f"{key} is given twice; a silence fits one value of each key, so add one for each")
        found[key] = value
    return found


async def add(settings: Settings, wanted: Mapping[str, str], reason: str, lasts: timedelta, author: str | None) -> str:
    """The id of a silence that begins now. Raises `CannotSilence` or `LogError`."""
    asked = _asked(wanted, reason, lasts, author or _user())
    now_ms = Clock().now_ms()
    silence = Silence(
        silence_id=secrets.token_hex(4),
        matcher=asked.matcher.model_dump(exclude_none=True),
        reason=asked.reason,
        author=asked.author,
        from_ms=now_ms,
        until_ms=now_ms + asked.duration_seconds * 1000,
    )
    if not await _write(settings, silence.silence_id, silence.model_dump_json().encode(), now_ms):
        answer = await _ask(settings, "POST", "silences", asked.model_dump(mode="json", exclude_none=True))
        return str(answer["silence_id"])
    return silence.silence_id


def _asked(wanted: Mapping[str, str], reason: str, lasts: timedelta, author: str) -> NewSilence:
    """By the page's own rules: what is silenced does not hang on which process holds the log."""
    seconds = int(lasts.total_seconds())
    if not SHORTEST_SECONDS <= seconds <= LONGEST_SECONDS:
        raise CannotSilence(f"a silence lasts from a minute to {LONGEST_SECONDS // 86_400} days")
    asked = {"matcher": dict(wanted), "reason": reason, "author": author, "duration_seconds": seconds}
    try:
        return NewSilence.model_validate(asked)
    except ValidationError as error:
        raise CannotSilence(fault(error)) from None


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # containers run as numbers that have no name
        return f"user {os.getuid()}"


async def end(settings: Settings, silence_id: str) -> None:
    """Ends a silence now. Raises `CannotSilence` or `LogError`."""
    if silence_id not in {one.silence_id for one in await read(settings)}:
        raise CannotSilence(f"there is no silence {silence_id}; `liqwatch silence list` shows them")
    if not await _write(settings, silence_id, None, Clock().now_ms()):
        await _ask(settings, "DELETE", f"silences/{silence_id}", None)


async def read(settings: Settings) -> list[Silence]:
    """Those in force or to come, the one that ends first first."""
    log = build_log(settings, Clock(), read_only=True)
    await log.open()
    try:
        known = await _known(log)
    finally:
        await log.close(timeout=3)
    now_ms = Clock().now_ms()
    return sorted((one for one in known.values() if one.until_ms > now_ms), key=lambda one: one.until_ms)


def line(silence: Silence, now_ms: int) -> str:
    """One silence for people."""
    what = " ".join(f"{key}={value}" for key, value in silence.matcher.items())
    begins = f"from {moment(silence.from_ms)} " if silence.from_ms > now_ms else ""
    left = duration(silence.until_ms - now_ms)
    until = f"{begins}until {moment(silence.until_ms)} ({left})"
    return _escaped(f"{silence.silence_id}  {what}  {until}  {silence.author}: {silence.reason}")


async def _known(log: Log) -> dict[bytes, Silence]:
    known: dict[bytes, Silence] = {}

    def take(record: Record) -> None:
        known.pop(record.key, None)
        if record.value is not None:
            with contextlib.suppress(ValidationError):  # nor does the alerter follow it
                known[record.key] = Silence.model_validate_json(record.value)

    await read_to_the_end(log, SILENCES, take)
    return known


async def _write(settings: Settings, key: str, value: bytes | None, now_ms: int) -> bool:
    """False where another process holds the embedded log: that one has to be asked.

    Of any other failure nobody else is asked: who answers on the page's port may be another instance, with a log of
    its own.
    """
    log = build_log(settings, Clock())
    try:
        try:
            await log.open()
        except LogInUse:
            return False
        if settings.log.backend == "sqlite":
            await log.create([SILENCES])
        await log.append(SILENCES, [Entry(key.encode(), value, now_ms)])
    finally:
        await log.close(timeout=3)
    return True


async def _ask(settings: Settings, method: str, path: str, body: Mapping[str, Any] | None) -> Any:
    web = settings.web
    if web.token is None:
        raise CannotSilence(
            "another liqwatch writes the embedded log, and its live page takes silences only with a token: "
            "set web.token or web.token_file there and here"
        )
    page = f"[{web.host}]:{web.port}" if ":" in web.host else f"{web.host}:{web.port}"
    headers = {"Authorization": f"Bearer {web.token.get_secret_value()}"}
    try:
        async with (
            aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(_WITHIN)) as http,
            http.request(
                method, f"http://{page}/api/v1/{path}", json=body, headers=headers, allow_redirects=False
            ) as response,
        ):
            if response.status < 300:
                return await response.json() if response.status != 204 else {}
            said = _printable(_detail(await response.content.read(_MAX_ANSWER)))
            raise CannotSilence(f"the live page at {page} says {response.status}: {said}")
    except (aiohttp.ClientError, TimeoutError) as error:
        raise CannotSilence(
            f"another liqwatch writes the embedded log, and its live page at {page} does not answer "
            f"({type(error).__name__})"
        ) from None


def _escaped(text: str) -> str:
    """Others write the topic too: what would steer a terminal is shown as an escape."""
    return "".join(mark if mark.isprintable() else mark.encode("unicode_escape").decode() for mark in text)


def _detail(body: bytes) -> str:
    """The sentence of a problem; of anything else, which some other server may have said, all of it."""
    with contextlib.suppress(orjson.JSONDecodeError):
        problem = orjson.loads(body)
        if isinstance(problem, dict) and isinstance(problem.get("detail"), str):
            return str(problem["detail"])
    return body.decode(errors="replace")


def _printable(said: str) -> str:
    """A server's own words on one line: short, and nothing that would steer a terminal."""
    plain = "".join(mark if mark.isprintable() else "?" for mark in " ".join(said.split()))
    return plain if len(plain) <= _SHOWN else plain[: _SHOWN - 1] + "…"
