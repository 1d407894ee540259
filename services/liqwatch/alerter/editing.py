"""The messages of one target that are written anew: kept current while an incident lasts, a summary at its end.

An edit tells nobody anything, so a message never waits for one: edits are made while there is nothing to send, at
half the rate of the chat at most, and are given up in the middle when a message comes. The current text is not owed:
a newer one takes its place. The summary is: it is tried again, after a restart too, until the chat has taken or
refused it, or `SUMMARY_WITHIN_MS` have passed since the incident was over. Where the target leads to another chat, the
last edit in the old one says so. A second copy of an edit changes nothing.
"""

import asyncio
from datetime import timedelta

import structlog

from ..clock import Clock
from ..events import Incident, Step, Summary
from ..metrics import AlerterMetrics
from ..settings import TargetSettings
from ..supervise import Backoff
from .firstmessage import SUMMARY_WITHIN_MS, first_message, last_told, owes_summary, with_summary
from .journal import Fenced, Journal, Unwritable
from .notices import farewell, in_form, summary, written_anew
from .notifiers.base import Accepted, Edits, Notice, NotSent, Outcome, Refused, Response, place, word
from .pace import Bucket
from .sending import Sender, ask
from .underway import BEGUN_WITHIN

_LONGEST_BACKOFF = 300.0  # seconds
_AFTER_A_BUG = 60.0
_FAREWELL_TRIES = 3

log_ = structlog.get_logger("alerter")


class Editing:
    """What one target's messages should say, and the work of saying it."""

    def __init__(
        self,
        target: str,
        settings: TargetSettings,
        notifier: Edits,
        journal: Journal,
        sender: Sender,
        clock: Clock,
        metrics: AlerterMetrics,
        bucket: Bucket,
    ) -> None:
        self._target = target
        self._settings = settings
        self._notifier = notifier
        self._journal = journal
        self._sender = sender
        self._clock = clock
        self._metrics = metrics
        self._bucket = bucket
        self._place = place(settings)
        self._texts: dict[str, tuple[Notice, str]] = {}  # incident -> its newest text, and the message that has it
        self._summaries: dict[str, None] = {}  # incidents that are over, the longest waiting first
        self._is_text_next = False  # a summary has just failed
        self._not_before = 0.0  # of the loop's clock: as long as the chat asked us to wait
        self._backoff = Backoff(first=1.0, cap=_LONGEST_BACKOFF)
        self._wanted = asyncio.Event()

    def offer(self, incident: Incident, step: Step) -> None:
        """The first message may say `step` instead of what it says, or is to say. Nothing depends on it."""
        first = first_message(incident, self._target, self._place)
        if first is not None and first.step_ms != step.at_ms:
            told = in_form(step, self._settings.form)
            text = written_anew(incident, told, first, self._clock.now_ms())
            self._keep_newer(incident.incident_id, text, first.message_id)
            self._wanted.set()

    def offer_summary(self, incident: Incident) -> None:
        """The first message has to say how the incident went."""
        self._texts.pop(incident.incident_id, None)
        if incident.incident_id not in self._summaries:
            self._summaries[incident.incident_id] = None
            self._wanted.set()

    def drop(self, incident_id: str, step_ms: int) -> None:
        """A text made of what was known before a step."""
        if incident_id in self._texts and self._texts[incident_id][0].at_ms < step_ms:
            del self._texts[incident_id]

    def _keep_newer(self, incident_id: str, text: Notice, message_id: str) -> None:
        """A step may be told long after it was decided, and a newer total have its words here by then."""
        waiting = self._texts.get(incident_id)
        if waiting is None or waiting[0].at_ms <= text.at_ms:
            self._texts[incident_id] = (text, message_id)

    async def run(self) -> None:
        """Edits until cancelled, which may be at any moment."""
        while True:
            await self._wanted.wait()
            now = asyncio.get_running_loop().time()
            wait = max(self._not_before - now, self._bucket.idle_wait(now))
            if wait > 0:
                await asyncio.sleep(wait)
                continue
            try:
                await self._one()
            except Exception:
                log_.exception("an edit failed", target=self._target)
                self._not_before = asyncio.get_running_loop().time() + _AFTER_A_BUG

    async def _one(self) -> None:
        if self._summaries and not (self._texts and self._is_text_next):
            await self._sum_up(next(iter(self._summaries)))
        elif self._texts:
            self._is_text_next = False
            await self._refresh(next(iter(self._texts)))
        else:
            self._wanted.clear()

    async def _refresh(self, incident_id: str) -> None:
        made, message_id = self._texts.pop(incident_id)
        incident = self._journal.incidents.get(incident_id)
        if incident is None or self._is_over(incident_id):
            return
        try:
            # An alerter that was frozen may have a successor, which has written the summary meanwhile; one that is
            # frozen once the record is in the log, too: what was read back is as old as its writing.
            begun = asyncio.get_running_loop().time()
            await self._journal.confirm(incident)
            if self._is_over(incident_id):
                return
            outcome = await self._edit(made, message_id, begun)
        except (Fenced, Unwritable):
            return
        except asyncio.CancelledError:  # by a message
            self._keep_newer(incident_id, made, message_id)
            raise
        if isinstance(outcome, NotSent):
            self._keep_newer(incident_id, made, message_id)
        self._metrics.edits.labels(self._target, word(outcome)).inc()

    def _is_over(self, incident_id: str) -> bool:
        """Closed, or another's to tell: "still open" would stay there for ever."""
        incident = self._journal.incidents.get(incident_id)
        return incident is None or incident.closed_ms is not None

    async def _sum_up(self, incident_id: str) -> None:
        incident = self._journal.incidents.get(incident_id)
        first = first_message(incident, self._target, self._place) if incident is not None else None
        if incident is None or first is None or not owes_summary(incident, self._target, self._place):
            self._summaries.pop(incident_id)
            return
        now_ms = self._clock.now_ms()
        age_ms = (now_ms - (incident.closed_ms or now_ms)) / self._clock.speed
        if age_ms > SUMMARY_WITHIN_MS:
            self._metrics.summaries.labels(self._target, "given_up").inc()
            self._settle(incident_id, Summary(target=self._target, at_ms=now_ms, outcome="given_up"))
            return
        made = summary(incident, first, now_ms, self._settings.form)
        outcome = await self._edit(made, first.message_id, asyncio.get_running_loop().time())
        self._metrics.summaries.labels(self._target, word(outcome)).inc()
        now_ms = self._clock.now_ms()
        if isinstance(outcome, Accepted):
            self._settle(incident_id, Summary(target=self._target, at_ms=now_ms, outcome="accepted"))
        elif isinstance(outcome, Refused):
            done = Summary(target=self._target, at_ms=now_ms, outcome="refused", detail=outcome.reason)
            self._settle(incident_id, done)
        else:  # at the end of the row: another's may go through, and so may a text
            self._summaries.pop(incident_id)
            self._summaries[incident_id] = None
            self._is_text_next = True

    def _settle(self, incident_id: str, done: Summary) -> None:
        self._summaries.pop(incident_id, None)
        incident = self._journal.incidents.get(incident_id)  # it may have moved on meanwhile
        if incident is None:
            return
        try:
            self._journal.put(with_summary(incident, done))
        except Fenced:
            return  # the new owner makes the edit once more, which changes nothing
        if done.outcome != "accepted":
            where = {"target": self._target, "incident": incident_id}
            log_.warning("a message could not be made a summary", **where, outcome=done.outcome, reason=done.detail)

    async def leave(self, incident: Incident) -> str | None:
        """The last edit of its first message, in a chat that the target leads to no more; why there is none, if so.

        For an incident that is over, it is the summary. Called once `run` has ended. Raises `Fenced` and `Unwritable`.
        """
        reason = None
        for _ in range(_FAREWELL_TRIES):
            now = asyncio.get_running_loop().time()
            await asyncio.sleep(max(self._not_before - now, self._bucket.idle_wait(now)))
            begun = asyncio.get_running_loop().time()
            if (known := self._journal.incidents.get(incident.incident_id)) is not None:
                await self._journal.confirm(known)  # as before a text: is it still ours to tell?
                incident = self._journal.incidents.get(incident.incident_id, known)
            first = first_message(incident, self._target, self._place)
            told = last_told(incident, self._target, self._place)
            if first is None or told is None:
                return None
            form, now_ms = self._settings.form, self._clock.now_ms()
            made = summary(incident, first, now_ms, form)
            if incident.closed_ms is None:
                made = farewell(incident, in_form(told, form), first, now_ms)
            outcome = await self._edit(made, first.message_id, begun)
            self._metrics.edits.labels(self._target, word(outcome)).inc()
            if isinstance(outcome, Accepted):
                return None
            reason = outcome.reason
            if isinstance(outcome, Refused):
                break
        return reason

    async def _edit(self, made: Notice, message_id: str, begun: float) -> Outcome:
        """`begun`: when it was last known to be ours to tell, by the loop's clock."""
        self._bucket.use(asyncio.get_running_loop().time())
        request = self._notifier.edit(made, message_id)
        answer = await ask(self._sender, request, self._settings, not_after=begun + BEGUN_WITHIN)
        outcome = self._notifier.edited(answer) if isinstance(answer, Response) else answer
        if isinstance(outcome, Accepted | Refused):
            self._backoff.reset()
        else:
            after = outcome.after or timedelta()
            self._not_before = asyncio.get_running_loop().time() + self._backoff.next(after.total_seconds())
        return outcome
