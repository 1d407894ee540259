"""Each target's own queue and task: an attempt is on record before it is sent, its outcome after.

A target that is free when a step is decided has its first attempt in the very record of the decision (`book`), and
makes its message ready while that is written.

What surely did not arrive is tried again for ever; a refusal is a dead letter, told through another target; an
unknown outcome is looked up where the chat can be asked, sent again under the same key where the chat keeps
second copies out, and else sent again as a marked repeat, or held, as the target's `on_unknown` says.

The first message about an incident is kept current where the chat can edit (`editing.py`); every later one is told
anew and answers it, in its thread where there are threads. The end is told too, and the first message then says how
the incident went. A picture may follow what fired or stepped up (`illustrating.py`). Neither ever holds up a message.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
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
from .incidents import Delivery, attempts, step_at, with_attempt, with_outcome
from .journal import Fenced, Journal, Receipt, Unwritable
from .notices import in_form, notice
from .notifiers.base import (
    Accepted,
    Edits,
    Emission,
    HttpRequest,
    Notice,
    Notifier,
    NotSent,
    Outcome,
    Refused,
    Response,
    Searches,
    TakesPictures,
    Unknown,
    place,
    word,
)
from .pace import Bucket
from .sending import MAX_HISTORY, Sender

QUEUE_SIZE = 200
_UNWRITABLE_PAUSE = 30.0  # seconds
# From the writing of an attempt to its sending. A process that was frozen longer than that may have a successor, which
# Kafka gives the topic after a session of 6 seconds at the earliest, and which may have told this meanwhile.
_BEGUN_WITHIN = 5.0  # seconds
_CLOCKS_DIFFER_MS = 30_000  # those of two machines, and more than that is a step
_LEFT_WITHIN = 60.0  # seconds
STAYS = "a message about an open incident stays as it is, in a chat that its target leads to no more"
_SEARCHES = 3  # tries to look a message up before it is sent again

log_ = structlog.get_logger("alerter")


@dataclass(slots=True)
class _Begun:
    """An attempt that is on its way into the record; `at`: since when, by the loop's clock."""

    delivery: Delivery
    attempt: Attempt
    at: float
    is_booked: bool = False  # in the record of the decision
    receipt: Receipt | None = None


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
        self._begun: _Begun | None = None  # booked or put on record, and not sent yet
        self._is_at_work = False
        self._place = place(settings)
        self._left: set[tuple[int, int, int, str | None]] = set()  # attempts that cannot be looked up: `_sign`
        self._bucket = Bucket(notifier.rate)
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
        """True where `on_unknown` forbids to send again, nothing else can settle an unknown outcome, and that is said.

        After a restart it is said once more: the process before may have ended before it could.
        """
        if not self._holds or self._key_holds(tried):
            return False
        unclear = _unclear(tried)
        return unclear is not None and _sign(unclear) in self._left

    @property
    def _holds(self) -> bool:
        return self.settings.on_unknown == "hold"

    @property
    def _can_search(self) -> bool:
        return isinstance(self._notifier, Searches)

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
        now = asyncio.get_running_loop().time()
        if self._taken or not self._is_at_work or self._stopping.is_set() or self._bucket.wait(now) > 0:
            return None
        self._bucket.use(now)
        self._begun = _Begun(delivery, self._attempt(delivery, 1, is_repeat=False), now, is_booked=True)
        return self._begun.attempt

    def begin(self, receipt: Receipt) -> None:
        """What was booked is on its way into the record: makes it ready, and sends it once it is there."""
        if self._begun is not None:
            self._begun.receipt = receipt
            self.offer(self._begun.delivery)

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
            self._give_back("stopped before it could be sent")

    async def _carry(self, delivery: Delivery) -> None:
        try:
            await self._deliver(delivery)
        except Fenced:
            self._begun = None  # the new owner delivers
        except Unwritable as error:
            # Where the decision cannot be recorded either, it is offered again once it is.
            is_booked = self._begun is not None and self._begun.is_booked
            self._give_back(str(error), self._journal.note)
            if not is_booked:
                log_.error("a delivery stays open", target=self.name, incident=delivery.incident_id, reason=str(error))
                await self._pause(_UNWRITABLE_PAUSE)
        except Exception as error:
            log_.exception("a delivery failed and stays open", target=self.name)
            self._give_back(f"failed with {type(error).__name__}")
            await self._pause(1.0)

    def _give_back(self, reason: str, keep: Callable[[Incident], None] | None = None) -> None:
        """What was begun and not sent yet was surely not sent, and the record is to say so."""
        begun, self._begun = self._begun, None
        if begun is None or not self._journal.acting:
            return
        incident = self._journal.incidents.get(begun.delivery.incident_id)
        step = step_at(incident, begun.delivery.step_ms) if incident is not None else None
        if incident is None or step is None or begun.attempt not in step.attempts:
            return  # it is another's by now
        done = begun.attempt.model_copy(update={"outcome": "not_sent", "detail": reason})
        (keep or self._journal.put)(with_outcome(incident, step.at_ms, done))

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
        looked = _Looked()
        as_reply = True
        while True:
            if self._begun is None:
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
            unclear = _unclear(tried)
            if unclear is not None and unclear.number != looked.absent:
                if self.held(tried):
                    return
                if self._holds and not self._can_search and not self._key_holds(tried):
                    self._leave(delivery, unclear, unclear.detail or "no answer")
                    return
                if self._can_search and (looked.times < _SEARCHES or self._holds):
                    # The incident may move on during the search: it is read again.
                    if await self._look_up(incident, step, delivery, tried, looked):
                        return
                    await self._pause(backoff.next(_seconds(looked.after)) if looked.absent is None else 0.0)
                    continue
                if not self._key_holds(tried):
                    repeat_of = next(one for one in tried if one.outcome == "unknown")
            outcome = await self._try(incident, step, delivery, last, repeat_of, as_reply)
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
        last: Attempt | None,
        repeat_of: Attempt | None,
        as_reply: bool,
    ) -> Outcome:
        loop = asyncio.get_running_loop()
        begun = self._begun
        if begun is None or begun.receipt is None or begun.attempt != last:
            number = last.number + 1 if last is not None else 1
            attempt = self._attempt(delivery, number, is_repeat=repeat_of is not None)
            begun = self._begun = _Begun(delivery, attempt, loop.time())
            self._bucket.use(begun.at)
            self._journal.put(with_attempt(incident, delivery.step_ms, attempt))
            begun.receipt = self._journal.receipt(delivery.incident_id)
        attempt, receipt = begun.attempt, begun.receipt
        repeat_of_ms = repeat_of.at_ms if repeat_of is not None else None
        made = self._notice(incident, step, delivery, attempt.at_ms, repeat_of_ms, as_reply)
        request = self._notifier.render(made)  # while the record is written
        await self._journal.confirmed(receipt)
        if loop.time() > begun.at + _BEGUN_WITHIN:  # the log was away, or we were: is it still ours to tell?
            begun.at = loop.time()
            if (known := self._journal.incidents.get(delivery.incident_id)) is None:
                raise Fenced
            await self._journal.confirm(known)
        self._begun = None
        outcome = await send(self._notifier, request, self.settings, self._sender, begun.at + _BEGUN_WITHIN)
        if isinstance(outcome, NotSent) and not outcome.as_reply and made.reply_to is None:
            outcome = Refused(outcome.reason)
        elif isinstance(outcome, Refused) and made.reply_to is not None:
            outcome = NotSent(outcome.reason, as_reply=False)  # it may be the message to answer that is wrong
        if repeat_of is not None and not isinstance(outcome, NotSent):
            self._metrics.repeats.labels(self.name).inc()
        self._record(delivery, step, attempt, outcome)
        return outcome

    def _attempt(self, delivery: Delivery, number: int, *, is_repeat: bool) -> Attempt:
        return Attempt(
            target=self.name,
            number=number,
            generation=self._journal.generation,
            at_ms=self._clock.now_ms(),
            repeat=is_repeat,
            about=delivery.about,
            place=self._place,
        )

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
        self, incident: Incident, step: Step, delivery: Delivery, tried: Sequence[Attempt], looked: "_Looked"
    ) -> bool:
        """True where nothing is left to do: it has arrived, or it can never be known and is held."""
        unclear = _unclear(tried)
        assert unclear is not None  # noqa: S101 - asked before
        found = await self._search(incident, step, delivery, unclear)
        looked.times += 1
        looked.absent, looked.after = None, getattr(found, "after", None)
        match found:
            case Accepted():
                self._record(delivery, step, tried[-1], found)
                return True
            case NotSent():
                looked.absent = unclear.number
            case Refused(reason):
                looked.denied += 1
                if self._holds and looked.denied >= _SEARCHES:
                    self._leave(delivery, unclear, reason)
                    return True
            case Unknown():
                pass
        return False

    async def _search(self, incident: Incident, step: Step, delivery: Delivery, last: Attempt) -> Outcome:
        """Among the answers to the first message, and in the chat itself: it may have been sent to either.

        A thread may have taken no answer then, and the version before this one may have known no threads. It is
        absent only where it is in neither.
        """
        made = self._notice(incident, step, delivery, last.at_ms, None, True)
        outcome = await self._look(made)
        if made.reply_to is None or isinstance(outcome, Accepted):
            return outcome
        alone = await self._look(replace(made, reply_to=None))
        return alone if isinstance(alone, Accepted) or isinstance(outcome, NotSent) else outcome

    async def _look(self, made: Notice) -> Outcome:
        searches = self._notifier
        assert isinstance(searches, Searches)  # noqa: S101 - asked before
        answer = await self._sender.send(
            searches.search(made),
            timeout=self.settings.timeout.total_seconds(),
            allow_private=self.settings.allow_private,
            max_answer=MAX_HISTORY,
        )
        outcome = searches.found(made, answer) if isinstance(answer, Response) else answer
        if isinstance(outcome, NotSent) and not isinstance(answer, Response):
            return Unknown(outcome.reason, outcome.after)  # the question did not arrive, which says nothing else
        return outcome

    def _leave(self, delivery: Delivery, last: Attempt, reason: str) -> None:
        """It cannot be looked up, and may not be sent again: it stays unknown, and the next ones go on."""
        self._left.add(_sign(last))
        self._metrics.notifications.labels(self.name, "held").inc()
        where = {"target": self.name, "incident": delivery.incident_id, "attempt": last.number}
        log_.error("a message of unknown fate is held: it cannot be looked up", **where, reason=reason)

    def _key_holds(self, tried: Sequence[Attempt]) -> bool:
        """True while the chat itself still drops a second copy of what may have arrived."""
        holds = self._notifier.key_holds
        if holds is None:
            return False
        first = next(one for one in tried if one.outcome != "not_sent")
        age_ms = (self._clock.now_ms() - first.at_ms) / self._clock.speed
        # An attempt of the future: the clock has gone back, and nobody knows how long ago it was.
        is_known = age_ms > -_CLOCKS_DIFFER_MS or holds == timedelta.max
        return is_known and age_ms < holds / timedelta(milliseconds=1)

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


async def send(
    notifier: Notifier,
    request: HttpRequest | Emission,
    settings: TargetSettings,
    sender: Sender,
    not_after: float | None = None,
) -> Outcome:
    """One attempt; not begun after that time of the loop."""
    answer = await sender.send(
        request,
        timeout=settings.timeout.total_seconds(),
        allow_private=settings.allow_private,
        not_after=not_after,
    )
    return notifier.judge(answer) if isinstance(answer, Response) else answer


@dataclass(slots=True)
class _Looked:
    """How the look-ups of one delivery went."""

    times: int = 0
    denied: int = 0  # times that the chat said no, and would again
    absent: int | None = None  # number of the attempt that surely did not arrive: looked up, not there
    after: timedelta | None = None  # that the chat asked us to wait


def _unclear(tried: Sequence[Attempt]) -> Attempt | None:
    """The newest attempt that may have arrived: a repeat that surely did not makes nothing clearer."""
    return next((one for one in reversed(tried) if one.outcome == "unknown"), None)


def _sign(attempt: Attempt) -> tuple[int, int, int, str | None]:
    """What tells one attempt of a target from its others."""
    return attempt.generation, attempt.number, attempt.at_ms, attempt.about


def _seconds(after: timedelta | None) -> float:
    return after.total_seconds() if after is not None else 0.0
