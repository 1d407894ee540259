"""Each target's own queue and task: an attempt is on record before it is sent (`underway.py`), its outcome after.

What surely did not arrive is tried again for ever; a refusal is a dead letter, told through another target; what may
have arrived is looked up, sent again or held (`unclear.py`).

The first message about an incident is kept current where the chat can edit (`editing.py`); every later one is told
anew and answers it, in its thread where there are threads. The end is told too, and the first message then says how
the incident went. A picture may follow what fired or stepped up (`illustrating.py`). Neither ever holds up a message.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from datetime import timedelta

import structlog

from ..clock import Clock
from ..events import Attempt, Incident, Step
from ..metrics import AlerterMetrics
from ..settings import TargetSettings
from ..supervise import Backoff
from .editing import Editing
from .firstmessage import first_message, owes_summary
from .illustrating import Illustrating, PictureSource
from .incidents import Delivery, attempts, step_at, with_outcome
from .journal import Fenced, Journal, Receipt, Unwritable
from .notices import in_form, notice
from .notifiers.base import (
    Accepted,
    Edits,
    Notice,
    Notifier,
    NotSent,
    Outcome,
    Refused,
    TakesPictures,
    Unknown,
    place,
    word,
)
from .pace import Bucket
from .sending import Sender, send
from .unclear import Looked, Unclear, Way, newest_unclear
from .underway import UnderWay

QUEUE_SIZE = 200
_UNWRITABLE_PAUSE = 30.0  # seconds
_LEFT_WITHIN = 60.0  # seconds
STAYS = "a message about an open incident stays as it is, in a chat that its target leads to no more"

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
        pictures: PictureSource | None = None,
    ) -> None:
        self.name = name
        self.settings = settings
        self._notifier = notifier
        self._journal = journal
        self._sender = sender
        self._clock = clock
        self._metrics = metrics
        self._on_done = on_done
        self._queue: deque[Delivery] = deque()
        self._taken: set[Delivery] = set()  # queued or in hand
        self._is_at_work = False
        self._place = place(settings)
        self._bucket = Bucket(notifier.rate)
        self._under_way = UnderWay(name, self._place, journal, clock, self._bucket)
        self._unclear = Unclear(name, settings, notifier, sender, clock, metrics)
        self._stopping = asyncio.Event()
        self._awake = asyncio.Event()
        self._editing: Editing | None = None
        if isinstance(notifier, Edits):
            self._editing = Editing(name, settings, notifier, journal, sender, clock, metrics, self._bucket)
        self._illustrating: Illustrating | None = None
        if settings.picture and pictures is not None and isinstance(notifier, TakesPictures):
            self._illustrating = Illustrating(name, settings, notifier, pictures, sender, metrics, self._bucket)

    @property
    def edits(self) -> bool:
        """The chat can edit messages."""
        return self._editing is not None

    def refresh(self, incident: Incident, now: Step) -> None:
        """The first message about an open incident may say how things stand by now."""
        if self._editing is not None:
            self._editing.offer(incident, now)

    def owes_summary(self, incident: Incident) -> bool:
        """The incident is over, and its first message, which can be edited, does not say so yet."""
        return self._editing is not None and owes_summary(incident, self.name, self._place)

    def offer_summary(self, incident: Incident) -> None:
        """The first message has to say how the incident went."""
        if self._editing is not None:
            self._editing.offer_summary(incident)

    def held(self, tried: Sequence[Attempt]) -> bool:
        """Nothing more is sent after these attempts, though it is not known whether one arrived; and that is said."""
        return self._unclear.is_held(tried)

    def offer(self, delivery: Delivery) -> bool:
        """Queues a delivery; False if the queue is full: the delivery stays open in the record."""
        if delivery in self._taken:
            return True
        if len(self._queue) >= QUEUE_SIZE:
            return False
        self._queue.append(delivery)
        self._taken.add(delivery)
        self._awake.set()
        return True

    def book(self, delivery: Delivery) -> Attempt | None:
        """The first attempt to make a delivery that is just being decided; None where it has to wait its turn.

        To be put on record with the decision, and then begun.
        """
        if self._taken or not self._is_at_work or self._stopping.is_set():
            return None
        return self._under_way.book(delivery)

    def begin(self, receipt: Receipt) -> None:
        """What was booked is on its way into the record: makes it ready, and sends it once it is there."""
        if (delivery := self._under_way.begin(receipt)) is not None:
            self.offer(delivery)

    def stop(self) -> None:
        """Ends `run` once the message in hand has its outcome."""
        self._stopping.set()
        self._awake.set()

    async def leave(self, incidents: Sequence[Incident]) -> None:
        """The target leads elsewhere, and `run` has ended: first messages of these incidents say so, or how they went.

        One that cannot say so stays as it is, which is said and counted.
        """
        mine = [one for one in incidents if one.closed_ms is None or owes_summary(one, self.name, self._place)]
        for incident in mine:
            if first_message(incident, self.name, self._place) is None:
                continue
            reason: str | None = "its kind of target knows no edits"
            try:
                if self._editing is not None:
                    async with asyncio.timeout(_LEFT_WITHIN):
                        reason = await self._editing.leave(incident)
            except Fenced:
                return  # the new owner's
            except TimeoutError:
                reason = "the chat asks to wait, or the log is away"
            except Unwritable as error:
                reason = str(error)
            if reason is not None:
                self._metrics.left_behind.labels(self.name).inc()
                log_.warning(STAYS, target=self.name, incident=incident.incident_id, reason=reason)

    async def run(self) -> None:
        """Delivers until `stop`."""
        drawing: asyncio.Task[None] | None = None
        if self._illustrating is not None:
            drawing = asyncio.create_task(self._illustrating.run(), name=f"target {self.name}, pictures")
        try:
            await self._run()
        finally:
            if drawing is not None:
                drawing.cancel()

    async def _run(self) -> None:
        self._is_at_work = True
        try:
            while not self._stopping.is_set() and (delivery := await self._next()) is not None:
                if self._editing is not None:
                    self._editing.drop(delivery.incident_id, delivery.step_ms)
                await self._carry(delivery)
                self._taken.discard(delivery)
                self._on_done(delivery)
        finally:
            self._under_way.give_back("stopped before it could be sent")

    async def _carry(self, delivery: Delivery) -> None:
        try:
            await self._deliver(delivery)
        except Fenced:
            self._under_way.forget()  # the new owner delivers
        except Unwritable as error:
            # Where the decision cannot be recorded either, it is offered again once it is.
            is_booked = self._under_way.is_booked
            self._under_way.give_back(str(error), self._journal.note)
            if not is_booked:
                log_.error("a delivery stays open", target=self.name, incident=delivery.incident_id, reason=str(error))
                await self._pause(_UNWRITABLE_PAUSE)
        except Exception as error:
            log_.exception("a delivery failed and stays open", target=self.name)
            self._under_way.give_back(f"failed with {type(error).__name__}")
            await self._pause(1.0)

    async def _next(self) -> Delivery | None:
        if self._queue:
            return self._queue.popleft()
        editing: asyncio.Task[None] | None = None
        if self._editing is not None:
            editing = asyncio.create_task(self._editing.run(), name=f"target {self.name}, edits")
        try:
            while not self._queue and not self._stopping.is_set():
                self._awake.clear()
                await self._awake.wait()
        finally:
            if editing is not None:
                editing.cancel()  # a message goes before an edit that is under way
                await asyncio.wait({editing})
        return self._queue.popleft() if self._queue else None

    async def _deliver(self, delivery: Delivery) -> None:
        backoff = Backoff(first=0.25, cap=60.0)
        looked = Looked()
        as_reply = True
        while True:
            if not self._under_way.is_any:
                await self._pause(self._bucket.wait(asyncio.get_running_loop().time()))
            incident = self._journal.incidents.get(delivery.incident_id)
            step = step_at(incident, delivery.step_ms) if incident is not None else None
            if self._stopping.is_set() or incident is None or step is None:
                return
            tried = attempts(step, self.name, delivery.about)
            if tried and tried[-1].outcome in ("accepted", "refused"):
                return
            way = self._unclear.way(delivery, tried, looked)
            if way is Way.HOLD:
                return
            if way is Way.LOOK_UP:
                # The incident may move on during the search: it is read again.
                if await self._look_up(incident, step, delivery, tried, looked):
                    return
                await self._pause(backoff.next(_seconds(looked.after)) if looked.absent is None else 0.0)
                continue
            outcome = await self._try(incident, step, delivery, tried, way, as_reply)
            if isinstance(outcome, Accepted | Refused):
                return
            if isinstance(outcome, NotSent) and not outcome.as_reply:
                as_reply = False  # alone, at once
                continue
            await self._pause(backoff.next(_seconds(outcome.after)))

    async def _try(
        self,
        incident: Incident,
        step: Step,
        delivery: Delivery,
        tried: Sequence[Attempt],
        way: Way,
        as_reply: bool,
    ) -> Outcome:
        is_repeat = way is Way.REPEAT
        attempt = self._under_way.take(incident, delivery, tried[-1] if tried else None, is_repeat=is_repeat)
        repeat_of_ms = next(one.at_ms for one in tried if one.outcome == "unknown") if is_repeat else None
        made = self._notice(incident, step, delivery, attempt.at_ms, repeat_of_ms, as_reply)
        request = self._notifier.render(made)  # while the record is written
        not_after = await self._under_way.confirmed()
        outcome = await send(self._notifier, request, self.settings, self._sender, not_after)
        if isinstance(outcome, NotSent) and not outcome.as_reply and made.reply_to is None:
            outcome = Refused(outcome.reason)
        elif isinstance(outcome, Refused) and made.reply_to is not None:
            outcome = NotSent(outcome.reason, as_reply=False)  # it may be the message to answer that is wrong
        if is_repeat and not isinstance(outcome, NotSent):
            self._metrics.repeats.labels(self.name).inc()
        self._record(delivery, step, attempt, outcome)
        return outcome

    def _notice(
        self,
        incident: Incident,
        step: Step,
        delivery: Delivery,
        at_ms: int,
        repeat_of_ms: int | None,
        as_reply: bool,
    ) -> Notice:
        """What is told: an answer to the first message about the incident, where this one is not the first."""
        first = first_message(incident, self.name, self._place) if as_reply and delivery.about is None else None
        reply_to = first.message_id if first is not None and first.step_ms < step.at_ms else None
        told = in_form(step, self.settings.form)
        return notice(incident, told, delivery.about, at_ms, repeat_of_ms, reply_to)

    async def _look_up(
        self, incident: Incident, step: Step, delivery: Delivery, tried: Sequence[Attempt], looked: Looked
    ) -> bool:
        """True where nothing is left to do: it has arrived, or it can never be known and is held."""
        unclear = newest_unclear(tried)
        assert unclear is not None  # noqa: S101 - asked before
        made = self._notice(incident, step, delivery, unclear.at_ms, None, True)
        found = await self._unclear.look_up(delivery, unclear, made, looked)
        if isinstance(found, Accepted):
            self._record(delivery, step, tried[-1], found)
        return isinstance(found, Accepted | Refused)

    def _record(self, delivery: Delivery, step: Step, attempt: Attempt, outcome: Outcome) -> None:
        done = attempt.model_copy(
            update={
                "outcome": word(outcome),
                "detail": getattr(outcome, "reason", None),
                "message_id": outcome.message_id if isinstance(outcome, Accepted) else None,
                "place": self._place if isinstance(outcome, Accepted) else attempt.place,
            }
        )
        self._metrics.notifications.labels(self.name, word(outcome)).inc()
        where = {"target": self.name, "incident": delivery.incident_id, "attempt": attempt.number}
        if isinstance(outcome, Accepted):
            late = (self._clock.now_ms() - step.at_ms) / 1000 / self._clock.speed
            self._metrics.notification_latency.labels(self.name).observe(max(0.0, late))
            log_.info("told", **where, repeat=attempt.repeat)
        elif isinstance(outcome, Refused):
            log_.error("a target refused a message", **where, reason=outcome.reason)
        elif attempt.number == 1 or isinstance(outcome, Unknown):
            log_.warning("not told yet", **where, outcome=word(outcome), reason=outcome.reason)
        incident = self._journal.incidents.get(delivery.incident_id)
        if incident is None:
            raise Fenced
        now = with_outcome(incident, delivery.step_ms, done)
        self._journal.put(now)
        if isinstance(outcome, Accepted) and delivery.about is None:
            self._follow_up(now, delivery.step_ms, done)

    def _follow_up(self, incident: Incident, step_ms: int, done: Attempt) -> None:
        """The step was told: the first message may say so too, and a picture may follow."""
        if done.message_id is None or (self._editing is None and self._illustrating is None):
            return
        step, first = step_at(incident, step_ms), first_message(incident, self.name, self._place)
        if step is None or first is None:
            return
        if incident.closed_ms is None and self._editing is not None:
            self._editing.offer(incident, step)
        # What was tried before this process began may have brought its picture.
        is_ours = all(one.generation == self._journal.generation for one in attempts(step, self.name, None))
        if self._illustrating is not None and step.kind in ("fired", "stepped_up") and is_ours and not done.repeat:
            self._illustrating.offer(incident, step, done.message_id, first.message_id)

    async def _pause(self, seconds: float) -> None:
        """Waits, but not into the end of the service."""
        if seconds > 0:
            try:
                async with asyncio.timeout(seconds):
                    await self._stopping.wait()
            except TimeoutError:
                return


def _seconds(after: timedelta | None) -> float:
    return after.total_seconds() if after is not None else 0.0
