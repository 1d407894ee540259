"""Each target's own queue and task: an attempt is on record before it is sent, its outcome after.

What surely did not arrive is tried again for ever; a refusal is a dead letter, told through another target; an
unknown outcome is looked up where the chat can be asked, sent again under the same key where the chat keeps
second copies out, and else sent again as a marked repeat, or held, as the target's `on_unknown` says.
"""

import asyncio
from collections.abc import Callable, Sequence
from datetime import timedelta

import aiohttp
import structlog

from ..clock import Clock
from ..events import Attempt, Incident, Step
from ..metrics import AlerterMetrics
from ..settings import TargetSettings
from ..supervise import Backoff
from .incidents import Delivery, attempts, step_at, with_attempt, with_outcome
from .journal import Fenced, Journal, Unwritable
from .notices import notice, trial_notice
from .notifiers import discover
from .notifiers.base import (
    Accepted,
    Edits,
    Notice,
    Notifier,
    NotSent,
    Outcome,
    Refused,
    Response,
    Searches,
    Unknown,
)
from .pace import Bucket
from .sending import Sender

QUEUE_SIZE = 200
_UNWRITABLE_PAUSE = 30.0  # seconds
_SEARCHES = 3  # tries to look a message up before it is sent again

log_ = structlog.get_logger("alerter")


class Courier:
    """Delivers to one target, one message after the other, until it is stopped."""

    def __init__(
        self,
        name: str,
        settings: TargetSettings,
        notifier: Notifier,
        journal: Journal,
        sender: Sender,
        clock: Clock,
        metrics: AlerterMetrics,
        on_done: Callable[[Delivery], None],
    ) -> None:
        self.name = name
        self.settings = settings
        self._notifier = notifier
        self._journal = journal
        self._sender = sender
        self._clock = clock
        self._metrics = metrics
        self._on_done = on_done
        self._queue: asyncio.Queue[Delivery] = asyncio.Queue(QUEUE_SIZE)
        self._taken: set[Delivery] = set()  # queued or in hand
        self._bucket = Bucket(notifier.rate)
        self._stopping = asyncio.Event()
        self._edits: dict[str, tuple[Notice, str]] = {}  # incident -> its newest text, and the message that has it
        self._has_edits = asyncio.Event()

    def offer_edit(self, incident_id: str, made: Notice, message_id: str) -> None:
        """A message may be written anew when there is nothing else to do. Nothing depends on it."""
        if isinstance(self._notifier, Edits):
            self._edits[incident_id] = (made, message_id)
            self._has_edits.set()

    def held(self, tried: Sequence[Attempt]) -> bool:
        """True where `on_unknown` forbids to send again, and nothing else can settle an unknown outcome."""
        hold = self.settings.on_unknown == "hold"
        return hold and not self._can_search and not self._key_holds(tried)

    @property
    def _can_search(self) -> bool:
        return isinstance(self._notifier, Searches)

    def offer(self, delivery: Delivery) -> bool:
        """Queues a delivery; False if the queue is full: the delivery stays open in the record."""
        if delivery in self._taken:
            return True
        try:
            self._queue.put_nowait(delivery)
        except asyncio.QueueFull:
            return False
        self._taken.add(delivery)
        return True

    def stop(self) -> None:
        """Ends `run` once the message in hand has its outcome."""
        self._stopping.set()

    async def run(self) -> None:
        """Delivers until `stop`."""
        while not self._stopping.is_set():
            delivery = await self._next()
            if delivery is None:
                return
            self._drop_edit(delivery.incident_id)  # made of what was known before this
            try:
                await self._deliver(delivery)
            except Fenced:
                pass  # the new owner delivers
            except Unwritable as error:
                log_.error("a delivery stays open", target=self.name, incident=delivery.incident_id, reason=str(error))
                await self._pause(_UNWRITABLE_PAUSE)
            except Exception:
                log_.exception("a delivery failed and stays open", target=self.name)
                await self._pause(1.0)
            self._taken.discard(delivery)
            self._on_done(delivery)

    async def _next(self) -> Delivery | None:
        getting = asyncio.ensure_future(self._queue.get())
        stopping = asyncio.ensure_future(self._stopping.wait())
        editing: asyncio.Task[None] | None = None
        try:
            while not getting.done() and not stopping.done():
                editing = asyncio.create_task(self._edit())
                await asyncio.wait((getting, stopping, editing), return_when=asyncio.FIRST_COMPLETED)
                editing.cancel()  # a message goes before an edit that is under way
                await asyncio.wait((editing,))
                if not editing.cancelled() and (error := editing.exception()) is not None:
                    log_.error("an edit failed", target=self.name, exc_info=error)
            return getting.result() if getting.done() else None
        finally:
            getting.cancel()
            stopping.cancel()
            if editing is not None:
                editing.cancel()

    def _drop_edit(self, incident_id: str) -> None:
        self._edits.pop(incident_id, None)
        if not self._edits:
            self._has_edits.clear()

    async def _edit(self) -> None:
        """Waits for an edit and makes it, if the chat was left alone lately: the rate is for messages."""
        await self._has_edits.wait()
        incident_id = next(iter(self._edits))
        made, message_id = self._edits[incident_id]
        self._drop_edit(incident_id)
        now = asyncio.get_running_loop().time()
        if not isinstance(self._notifier, Edits) or not self._bucket.is_full(now):
            return
        incident = self._journal.incidents.get(incident_id)
        if incident is None or incident.closed_ms is not None:
            return  # over, or another's to tell: "still open" would stay there for ever
        self._bucket.use(now)
        answer = await self._sender.send(
            self._notifier.edit(made, message_id),
            timeout=self.settings.timeout.total_seconds(),
            allow_private=self.settings.allow_private,
        )
        outcome = self._notifier.judge(answer) if isinstance(answer, Response) else answer
        self._metrics.edits.labels(self.name, _OUTCOMES[type(outcome)]).inc()

    async def _deliver(self, delivery: Delivery) -> None:
        backoff = Backoff(first=0.25, cap=60.0)
        searches = 0
        absent: int | None = None  # number of the attempt that surely did not arrive: looked up, not there
        while True:
            await self._pause(self._bucket.wait(asyncio.get_running_loop().time()))
            incident = self._journal.incidents.get(delivery.incident_id)
            step = step_at(incident, delivery.step_ms) if incident is not None else None
            if self._stopping.is_set() or incident is None or step is None:
                return
            tried = attempts(step, self.name, delivery.about)
            last = tried[-1] if tried else None
            if last is not None and last.outcome in ("accepted", "refused"):
                return
            repeat_of: Attempt | None = None
            if last is not None and last.outcome == "unknown":
                if self.held(tried):
                    return
                if last.number == absent:
                    pass
                elif self._can_search and (searches < _SEARCHES or self.settings.on_unknown == "hold"):
                    searches += 1
                    found = await self._search(incident, step, delivery, last)
                    if isinstance(found, Unknown):
                        await self._pause(backoff.next(_seconds(found.after)))
                        continue
                    if isinstance(found, Accepted):
                        self._record(delivery, step, last, found)
                        return
                    absent = last.number
                    continue  # the incident may have moved on during the search: read it again
                elif not self._key_holds(tried):
                    repeat_of = next(one for one in tried if one.outcome == "unknown")
            outcome = await self._try(incident, step, delivery, last, repeat_of)
            if isinstance(outcome, Accepted | Refused):
                return
            await self._pause(backoff.next(_seconds(outcome.after)))

    async def _try(
        self, incident: Incident, step: Step, delivery: Delivery, last: Attempt | None, repeat_of: Attempt | None
    ) -> Outcome:
        now_ms = self._clock.now_ms()
        attempt = Attempt(
            target=self.name,
            number=last.number + 1 if last is not None else 1,
            generation=self._journal.generation,
            at_ms=now_ms,
            repeat=repeat_of is not None,
            about=delivery.about,
        )
        self._bucket.use(asyncio.get_running_loop().time())
        await self._journal.confirm(with_attempt(incident, delivery.step_ms, attempt))
        made = notice(incident, step, delivery.about, now_ms, repeat_of.at_ms if repeat_of else None)
        outcome = await send(self._notifier, made, self.settings, self._sender)
        if repeat_of is not None and not isinstance(outcome, NotSent):
            self._metrics.repeats.labels(self.name).inc()
        self._record(delivery, step, attempt, outcome)
        return outcome

    async def _search(self, incident: Incident, step: Step, delivery: Delivery, last: Attempt) -> Outcome:
        searches = self._notifier
        assert isinstance(searches, Searches)  # noqa: S101 - asked before
        made = notice(incident, step, delivery.about, last.at_ms, None)
        answer = await self._sender.send(
            searches.search(made),
            timeout=self.settings.timeout.total_seconds(),
            allow_private=self.settings.allow_private,
        )
        outcome = searches.found(made, answer) if isinstance(answer, Response) else answer
        if isinstance(outcome, Accepted | Unknown):
            return outcome
        if isinstance(outcome, NotSent) and isinstance(answer, Response):
            return outcome
        return Unknown(outcome.reason, getattr(outcome, "after", None))

    def _key_holds(self, tried: Sequence[Attempt]) -> bool:
        """True while the chat itself still drops a second copy of what may have arrived."""
        holds = self._notifier.key_holds
        if holds is None:
            return False
        first = next(one for one in tried if one.outcome != "not_sent")
        age_ms = (self._clock.now_ms() - first.at_ms) / self._clock.speed
        return age_ms < holds / timedelta(milliseconds=1)

    def _record(self, delivery: Delivery, step: Step, attempt: Attempt, outcome: Outcome) -> None:
        word, detail = _OUTCOMES[type(outcome)], getattr(outcome, "reason", None)
        done = attempt.model_copy(
            update={
                "outcome": word,
                "detail": detail,
                "message_id": outcome.message_id if isinstance(outcome, Accepted) else None,
            }
        )
        self._metrics.notifications.labels(self.name, word).inc()
        where = {"target": self.name, "incident": delivery.incident_id, "attempt": attempt.number}
        if isinstance(outcome, Accepted):
            late = (self._clock.now_ms() - step.at_ms) / 1000 / self._clock.speed
            self._metrics.notification_latency.labels(self.name).observe(max(0.0, late))
            log_.info("told", **where, repeat=attempt.repeat)
        elif isinstance(outcome, Refused):
            log_.error("a target refused a message", **where, reason=outcome.reason)
        elif attempt.number == 1 or isinstance(outcome, Unknown):
            log_.warning("not told yet", **where, outcome=word, reason=outcome.reason)
        incident = self._journal.incidents.get(delivery.incident_id)
        if incident is None:
            raise Fenced
        self._journal.put(with_outcome(incident, delivery.step_ms, done))

    async def _pause(self, seconds: float) -> None:
        """Waits, but not into the end of the service."""
        if seconds > 0:
            try:
                async with asyncio.timeout(seconds):
                    await self._stopping.wait()
            except TimeoutError:
                return


_OUTCOMES = {Accepted: "accepted", NotSent: "not_sent", Refused: "refused", Unknown: "unknown"}


async def send(notifier: Notifier, made: Notice, settings: TargetSettings, sender: Sender) -> Outcome:
    """One attempt."""
    answer = await sender.send(
        notifier.render(made), timeout=settings.timeout.total_seconds(), allow_private=settings.allow_private
    )
    return notifier.judge(answer) if isinstance(answer, Response) else answer


async def notify_test(
    name: str, settings: TargetSettings, http: aiohttp.ClientSession, *, emit: Callable[[str], None]
) -> tuple[bool, str]:
    """Sends one real message to a target: whether it was accepted, and a sentence for people."""
    try:
        notifier = discover()[settings.kind].build(settings)
    except ValueError as error:
        return False, f"{name}: {error}"
    made = trial_notice(name, Clock().now_ms())
    match await send(notifier, made, settings, Sender(http, emit)):
        case Accepted(message_id):
            return True, f"{name}: accepted" + (f" as message {message_id}" if message_id else "")
        case NotSent(reason, after):
            wait = f"; try again in {after.total_seconds():g} s" if after else ""
            return False, f"{name}: not sent: {reason}{wait}"
        case Refused(reason):
            return False, f"{name}: refused: {reason}"
        case Unknown(reason):
            return False, f"{name}: unknown whether it arrived: {reason}"


def _seconds(after: timedelta | None) -> float:
    return after.total_seconds() if after is not None else 0.0
