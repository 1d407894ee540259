"""The picture that follows a message: drawn and sent beside everything else, so that no alert ever waits for it.

It is an extra: what fails is counted and not made up for, and nothing of it outlives the process.
"""

import asyncio
from dataclasses import dataclass
from datetime import timedelta
from typing import Protocol

import structlog

from ..events import Incident, Step
from ..metrics import AlerterMetrics
from ..settings import TargetSettings
from .notices import in_form
from .notifiers.base import Accepted, NotSent, Outcome, Picture, Response, TakesPictures, word
from .pace import Bucket
from .sending import Sender, ask
from .zones import Zone, told_in

QUEUE_SIZE = 4
_DRAWN_WITHIN = 30.0  # seconds
_SENT_WITHIN = 120.0  # seconds after the message, drawing and waiting for the chat included
_TRIES = 3
TITLE = "Liquidations of the last 24 hours"

log_ = structlog.get_logger("alerter")


class PictureSource(Protocol):
    """Where pictures come from."""

    async def of(self, incident: Incident, step: Step, zone: Zone) -> bytes | None:
        """A PNG for the step, its times in that zone; None where there is nothing to draw. May take long, may raise."""
        ...


@dataclass(frozen=True, slots=True)
class _Wanted:
    incident: Incident
    step: Step
    message_id: str
    first_id: str
    at: float  # of the loop's clock


class Illustrating:
    """Pictures of one target, one after the other."""

    def __init__(
        self,
        target: str,
        settings: TargetSettings,
        notifier: TakesPictures,
        source: PictureSource,
        sender: Sender,
        metrics: AlerterMetrics,
        bucket: Bucket,
    ) -> None:
        self._target = target
        self._settings = settings
        self._notifier = notifier
        self._source = source
        self._sender = sender
        self._metrics = metrics
        self._bucket = bucket
        self._queue: asyncio.Queue[_Wanted] = asyncio.Queue(QUEUE_SIZE)
        self._has_failed = False

    def offer(self, incident: Incident, step: Step, message_id: str, first_id: str) -> None:
        """A picture for a message that was just accepted; none, where too many wait already."""
        now = asyncio.get_running_loop().time()
        try:
            self._queue.put_nowait(_Wanted(incident, step, message_id, first_id, now))
        except asyncio.QueueFull:
            self._count("dropped")

    async def run(self) -> None:
        """Draws and sends until cancelled."""
        while True:
            wanted = await self._queue.get()
            try:
                async with asyncio.timeout_at(wanted.at + _SENT_WITHIN):
                    self._count(await self._one(wanted))
            except TimeoutError:
                self._count("late")
            except Exception:
                log_.exception("a picture failed", target=self._target)
                self._count("failed")

    async def _one(self, wanted: _Wanted) -> str:
        png = await self._drawn(wanted)
        if not isinstance(png, bytes):
            return png
        picture = Picture(png, TITLE, wanted.message_id, wanted.first_id)
        for _ in range(_TRIES):
            await asyncio.sleep(self._bucket.idle_wait(asyncio.get_running_loop().time()))
            outcome = await self._send(picture)
            if not isinstance(outcome, NotSent) or not outcome.as_reply:
                break
            await asyncio.sleep((outcome.after or timedelta(seconds=1)).total_seconds())
        if isinstance(outcome, Accepted):
            self._has_failed = False
        else:
            self._say("a picture was not taken", outcome.reason)
        return word(outcome)

    async def _drawn(self, wanted: _Wanted) -> "bytes | str":
        """A PNG, or the word for why there is none."""
        try:
            async with asyncio.timeout(_DRAWN_WITHIN):
                told = in_form(wanted.step, self._settings.form)
                zone = told_in(f"{told.headline}\n{told.text}")
                png = await self._source.of(wanted.incident, wanted.step, zone)
        except TimeoutError:
            return "late"
        except Exception as error:
            self._say("a picture could not be drawn", str(error)[:200])
            return "failed"
        return png or "none"

    def _say(self, what: str, reason: str) -> None:
        """Once, until one is taken: the next ones are likely to fail alike, and are counted."""
        if not self._has_failed:
            log_.warning(what, target=self._target, reason=reason)
        self._has_failed = True

    async def _send(self, picture: Picture) -> Outcome:
        self._bucket.use(asyncio.get_running_loop().time())
        return await upload(self._notifier, picture, self._settings, self._sender)

    def _count(self, outcome: str) -> None:
        self._metrics.pictures.labels(self._target, outcome).inc()


async def upload(notifier: TakesPictures, picture: Picture, settings: TargetSettings, sender: Sender) -> Outcome:
    """One attempt, however many requests it takes."""
    talk = notifier.picture(picture)
    try:
        request = next(talk)
        while True:
            answer = await ask(sender, request, settings)
            if not isinstance(answer, Response):
                return answer
            request = talk.send(answer)
    except StopIteration as end:
        outcome: Outcome = end.value
        return outcome
    finally:
        talk.close()
