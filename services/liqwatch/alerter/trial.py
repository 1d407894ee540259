"""One real message to a target, and a picture of made-up figures where it wants pictures: `liqwatch notify-test`."""

import asyncio
from collections.abc import Callable

import aiohttp

from ..clock import Clock
from ..settings import TargetSettings
from . import picture
from .illustrating import upload
from .notices import trial_notice
from .notifiers import discover
from .notifiers.base import Accepted, Notifier, NotSent, Outcome, Picture, Refused, TakesPictures, Unknown
from .rehearsal import trial_day
from .sending import Sender, send

TITLE = "Test picture with made-up figures"


async def notify_test(
    name: str, settings: TargetSettings, http: aiohttp.ClientSession, *, emit: Callable[[str], None]
) -> tuple[bool, str]:
    """Whether the target accepted all that was sent to it, and what became of it in lines for people."""
    try:
        notifier = discover()[settings.kind].build(settings)
    except ValueError as error:
        return False, f"{name}: {error}"
    sender, now_ms = Sender(http, emit), Clock().now_ms()
    outcome = await send(notifier, notifier.render(trial_notice(name, now_ms)), settings, sender)
    is_accepted, words = isinstance(outcome, Accepted), f"{name}: {_words(outcome)}"
    if isinstance(outcome, Accepted) and settings.picture:
        is_accepted, more = await _picture(notifier, settings, sender, outcome.message_id, now_ms)
        words += f"\n{name}: {more}"
    return is_accepted, words


async def _picture(
    notifier: Notifier, settings: TargetSettings, sender: Sender, message_id: str | None, now_ms: int
) -> tuple[bool, str]:
    """True too where none can be drawn here: that is nothing of the target's."""
    if not isinstance(notifier, TakesPictures) or message_id is None:
        return False, "no picture: there is no message that it could follow"
    if not picture.is_available():
        return True, f"no picture: {picture.INSTALL}"
    try:
        png = await asyncio.to_thread(picture.draw, trial_day(now_ms))
    except Exception as error:
        return True, f"no picture: it could not be drawn: {error}"
    outcome = await upload(notifier, Picture(png, TITLE, message_id, message_id), settings, sender)
    return isinstance(outcome, Accepted), f"picture {_words(outcome)}"


def _words(outcome: Outcome) -> str:
    match outcome:
        case Accepted(message_id):
            return "accepted" + (f" as message {message_id}" if message_id else "")
        case NotSent(reason, after):
            wait = f"; try again in {after.total_seconds():g} s" if after else ""
            return f"not sent: {reason}{wait}"
        case Refused(reason):
            return f"refused: {reason}"
        case Unknown(reason):
            return f"unknown whether it arrived: {reason}"
