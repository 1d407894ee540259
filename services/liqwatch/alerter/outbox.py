"""All targets together: their couriers, what is still to be delivered, and who hears of a refusal."""

import asyncio
from collections.abc import Callable, Coroutine, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import structlog

from ..clock import Clock
from ..events import Attempt, Incident, Step
from ..metrics import AlerterMetrics
from ..settings import TargetSettings
from .delivery import STAYS, Courier
from .firstmessage import SUMMARY_WITHIN_MS, places
from .illustrating import PictureSource
from .incidents import Delivery, attempts, step_at, undelivered, with_attempts
from .journal import Fenced, Journal
from .notifiers.base import NotifierKind, place
from .sending import Sender

_REPORT_WITHIN_MS = 3_600_000  # a refusal older than this is in the record, and is no news any more

log_ = structlog.get_logger("alerter")


@dataclass(slots=True)
class _Post:
    courier: Courier
    task: "asyncio.Task[None] | None" = None


class Outbox:
    """Offers what the record shows as undelivered to the couriers; a full queue gets it later."""

    def __init__(
        self,
        targets: Mapping[str, TargetSettings],
        kinds: Mapping[str, NotifierKind],
        sender: Sender,
        clock: Clock,
        metrics: AlerterMetrics,
        pictures: PictureSource | None = None,
    ) -> None:
        self._pictures = pictures
        self._kinds = kinds
        self._sender = sender
        self._clock = clock
        self._metrics = metrics
        self._settings: dict[str, TargetSettings] = dict(targets)
        self._posts: dict[str, _Post] = {}
        self._ending: list[asyncio.Task[None]] = []
        self._leaving: list[asyncio.Task[None]] = []
        self._places: set[str] = set()  # that a target of this process has led to: what is there was, or is, seen to
        self._left: set[tuple[str, str, str]] = set()  # incident, target and place of a message that stays as it is
        self._durable: dict[str, int] = {}  # incident -> time of its newest step that the log has
        self._journal: Journal | None = None
        self._shown: set[str] = set(targets)  # have a value in the metrics
        self._overflowed = False  # a queue was full: its next free place is offered to everything that waits

    def start(self, journal: Journal) -> None:
        """Builds the couriers and sets them to work."""
        self._journal = journal
        for name, target in self._settings.items():
            self._employ(name, target, None)

    def use(self, targets: Mapping[str, TargetSettings]) -> None:
        """Other targets. Those that stay as they are go on; others end with the message in hand."""
        for name, post in list(self._posts.items()):
            if targets.get(name) != post.courier.settings:
                post.courier.stop()
                if post.task is not None:
                    self._ending.append(post.task)
                    self._leave(post, targets.get(name), post.task)
                del self._posts[name]
        before, self._settings = self._settings, dict(targets)
        for name, target in targets.items():
            if name not in self._posts and self._journal is not None:
                self._employ(name, target, before.get(name))
        self._places |= {place(post.courier.settings) for post in self._posts.values()}  # of two, one may have left

    def enabled(self, names: Iterable[str]) -> tuple[str, ...]:
        """Those of `names` that are switched on; all of them where none is named."""
        wanted = tuple(names)
        return tuple(
            name for name, target in self._settings.items() if target.enabled and (not wanted or name in wanted)
        )

    def tell(self, incident: Incident) -> None:
        """Puts the newest step of an incident on record, with a first attempt of each target that is free to tell it.
        Raises `Fenced`."""
        if self._journal is None or not self._journal.acting:
            raise Fenced
        step = incident.steps[-1]
        behind = {one.target for one in self.undelivered(incident) if one.step_ms < step.at_ms}
        booked: list[tuple[Courier, Attempt]] = []
        for name in step.targets:
            post = self._posts.get(name)
            if post is not None and name not in behind:  # an earlier step goes first
                attempt = post.courier.book(Delivery(incident.incident_id, step.at_ms, name))
                if attempt is not None:
                    booked.append((post.courier, attempt))
        self._journal.put(with_attempts(incident, step.at_ms, [attempt for _, attempt in booked]))
        if booked:
            receipt = self._journal.receipt(incident.incident_id)
            for courier, _ in booked:
                courier.begin(receipt)

    def written(self, incident: Incident) -> None:
        """The log has this state: its steps may be told."""
        self._durable[incident.incident_id] = incident.steps[-1].at_ms
        self._see_left(incident)
        self.offer(incident.incident_id)

    def offer(self, incident_id: str) -> None:
        """Queues whatever of the incident is still to be delivered."""
        incident = self._journal.incidents.get(incident_id) if self._journal is not None else None
        if incident is None or self._journal is None or not self._journal.acting:
            return
        for delivery in list(self.undelivered(incident)):
            if delivery.step_ms > self._durable.get(incident_id, -1):
                continue
            post = self._posts.get(delivery.target)
            if post is not None:
                self._overflowed |= not post.courier.offer(delivery)
            elif all(task.done() for task in self._ending):
                self._bury(delivery)
        if incident.closed_ms is not None and incident.steps[-1].at_ms <= self._durable.get(incident_id, -1):
            for post in self._posts.values():
                if post.courier.owes_summary(incident):
                    post.courier.offer_summary(incident)

    def offer_all(self) -> None:
        """Queues whatever is still to be delivered of all incidents, as far as there is room."""
        self._overflowed = False
        for incident_id in list(self._journal.incidents) if self._journal is not None else ():
            self.offer(incident_id)

    def undelivered(self, incident: Incident) -> Iterable[Delivery]:
        """What is still to be delivered of an incident."""
        return undelivered(incident, self._held, self._fallback)

    def owes_summary(self, incident: Incident) -> bool:
        """The incident is over, and a first message about it is still to be made its summary."""
        if incident.closed_ms is None:
            return False
        age_ms = (self._clock.now_ms() - incident.closed_ms) / self._clock.speed
        # Twice as long as it is tried: that it was given up is to be on record.
        return age_ms < 2 * SUMMARY_WITHIN_MS and any(
            post.courier.owes_summary(incident) for post in self._posts.values()
        )

    def edits(self, incident: Incident) -> bool:
        """Somebody was told of the incident by a message that can be edited."""
        told = {target for step in incident.steps for target in step.targets}
        return any(post.courier.edits for name, post in self._posts.items() if name in told)

    def refresh(self, incident: Incident, now: Step) -> None:
        """The first message about an open incident may say how things stand by now, where the chat can edit."""
        for post in self._posts.values():
            post.courier.refresh(incident, now)

    def forget(self, incident_id: str | None = None) -> None:
        """Lets go of what was kept about an incident that is over; of all, when they are not ours any more."""
        if incident_id is None:
            self._durable.clear()
            self._left.clear()
        else:
            self._durable.pop(incident_id, None)
            self._left = {one for one in self._left if one[0] != incident_id}

    def count(self, incidents: Iterable[Incident], now_ms: int) -> None:
        """Sets the metrics of what is pending."""
        pending = dict.fromkeys((*self._settings, *self._posts), 0)
        oldest = now_ms
        for incident in incidents:
            for delivery in self.undelivered(incident):
                pending[delivery.target] = pending.get(delivery.target, 0) + 1
                oldest = min(oldest, delivery.step_ms)
        for target, number in pending.items():
            self._metrics.outbox_pending.labels(target).set(number)
        for target in self._shown - set(pending):
            self._metrics.outbox_pending.remove(target)
        self._shown = set(pending)
        self._metrics.outbox_oldest.set(max(0, now_ms - oldest) / 1000 / self._clock.speed)
        self._ending = [task for task in self._ending if not task.done()]
        self._leaving = [task for task in self._leaving if not task.done()]

    async def end(self, seconds: float) -> None:
        """Lets every courier finish the message in hand, for so long at most."""
        tasks = [post.task for post in self._posts.values() if post.task is not None]
        tasks += self._ending + self._leaving
        for post in self._posts.values():
            post.courier.stop()
        if tasks:
            _, late = await asyncio.wait(tasks, timeout=seconds)
            for task in late:
                task.cancel()
            if late:
                await asyncio.wait(late, timeout=0.5)

    def _employ(self, name: str, target: TargetSettings, before: TargetSettings | None) -> None:
        if not target.enabled or self._journal is None:
            return
        try:
            notifier = self._kinds[target.kind].build(target)
        except (KeyError, ValueError) as error:
            log_.error("a target cannot be used", target=name, reason=str(error))
            return
        if target.picture and self._pictures is None:
            log_.warning("no pictures can be drawn here: matplotlib is not installed", target=name)
        courier = Courier(
            name, target, notifier, self._journal, self._sender, self._clock, self._metrics, self._done, self._pictures
        )
        # A successor waits for its predecessor, which may have this target's message in hand.
        waits = tuple(self._ending) if before is not None else ()
        self._places.add(place(target))
        self._posts[name] = _Post(courier, asyncio.create_task(_after(waits, courier.run), name=f"target {name}"))

    def _leave(self, post: _Post, now: TargetSettings | None, ended: "asyncio.Task[None]") -> None:
        """Where the target leads to another chat: in the old one its messages say so, while its address is known."""
        if now is None or place(now) == place(post.courier.settings) or self._journal is None:
            return
        if not self._journal.acting:  # who acts sees to it; should we act later, its old address is gone here too
            self._places.discard(place(post.courier.settings))
            return
        incidents = self._journal.incidents  # as they then are: with what the courier still had in hand
        leaving = _after((ended,), lambda: post.courier.leave(list(incidents.values())))
        self._leaving.append(asyncio.create_task(leaving, name=f"target {post.courier.name}, leaving"))

    def _see_left(self, incident: Incident) -> None:
        """A message of before the start, in a chat that its target leads to no more: nobody can edit it there."""
        for target, where in places(incident) if incident.closed_ms is None else ():
            key = (incident.incident_id, target, where)
            if target in self._posts and where not in self._places and key not in self._left:
                self._left.add(key)
                self._metrics.left_behind.labels(target).inc()
                reason = "its old address is not known any more"
                log_.warning(STAYS, target=target, incident=incident.incident_id, reason=reason)

    def _done(self, delivery: Delivery) -> None:
        if self._overflowed:
            self.offer_all()
        elif not self._is_told(delivery):  # else nothing has come of it that is to be told
            self.offer(delivery.incident_id)

    def _is_told(self, delivery: Delivery) -> bool:
        incident = self._journal.incidents.get(delivery.incident_id) if self._journal is not None else None
        step = step_at(incident, delivery.step_ms) if incident is not None else None
        tried = attempts(step, delivery.target, delivery.about) if step is not None else []
        return bool(tried) and tried[-1].outcome == "accepted"

    def _held(self, target: str, tried: Sequence[Attempt]) -> bool:
        post = self._posts.get(target)
        return post is not None and post.courier.held(tried)

    def _fallback(self, refused: str, at_ms: int) -> str | None:
        """Who is told that a target refused: a console, else any other; nobody, if it was long ago."""
        if self._clock.now_ms() - at_ms > _REPORT_WITHIN_MS * self._clock.speed:
            return None
        others = [name for name in self._posts if name != refused]
        consoles = [name for name in others if self._settings[name].kind == "console"]
        return next(iter(consoles + others), None)

    def _bury(self, delivery: Delivery) -> None:
        """Nobody can deliver this: a dead letter, like a refusal."""
        assert self._journal is not None  # noqa: S101 - started
        incident = self._journal.incidents[delivery.incident_id]
        step = step_at(incident, delivery.step_ms)
        tried = attempts(step, delivery.target, delivery.about) if step is not None else []
        reason = "no such target is in use"
        dead = Attempt(
            target=delivery.target,
            number=tried[-1].number + 1 if tried else 1,
            generation=self._journal.generation,
            at_ms=self._clock.now_ms(),
            outcome="refused",
            detail=reason,
            about=delivery.about,
        )
        log_.error("a message has nowhere to go", target=delivery.target, incident=delivery.incident_id, reason=reason)
        self._metrics.notifications.labels(delivery.target, "refused").inc()
        self._journal.put(with_attempts(incident, delivery.step_ms, [dead]))


async def _after(waits: "Sequence[asyncio.Task[None]]", work: Callable[[], Coroutine[Any, Any, None]]) -> None:
    if waits:
        await asyncio.wait(waits, timeout=60)
    await work()
