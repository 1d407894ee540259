"""The attempt that is on its way into the record: nothing is sent before its own record was read back.

A target that is free when a step is decided has its first attempt in the very record of the decision (`book`, then
`begin` once the record is on its way). Every other attempt gets a record of its own.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

from ..clock import Clock
from ..events import Attempt, Incident
from .incidents import Delivery, step_at, with_attempts, with_outcome
from .journal import Fenced, Journal, Receipt
from .pace import Bucket

# From the writing of an attempt to its sending. A process that was frozen longer than that may have a successor, which
# Kafka gives the topic after a session of 6 seconds at the earliest, and which may have told this meanwhile.
BEGUN_WITHIN = 5.0  # seconds


@dataclass(slots=True)
class _Begun:
    """`at`: since when, by the loop's clock."""

    delivery: Delivery
    attempt: Attempt
    at: float
    is_booked: bool = False  # in the record of the decision
    receipt: Receipt | None = None


class UnderWay:
    """Of one target, which makes one attempt at a time. `place`: where the target leads to."""

    def __init__(self, target: str, place: str, journal: Journal, clock: Clock, bucket: Bucket) -> None:
        self._target = target
        self._place = place
        self._journal = journal
        self._clock = clock
        self._bucket = bucket
        self._begun: _Begun | None = None

    @property
    def is_any(self) -> bool:
        """An attempt was begun, and not sent yet."""
        return self._begun is not None

    @property
    def is_booked(self) -> bool:
        """An attempt was begun in the record of a decision, and not sent yet."""
        return self._begun is not None and self._begun.is_booked

    def book(self, delivery: Delivery) -> Attempt | None:
        """The first attempt to make a delivery that is just being decided; None where the chat's rate has no room."""
        if self._bucket.wait(asyncio.get_running_loop().time()) > 0:
            return None
        begun = self._begin(delivery, 1, is_repeat=False)
        begun.is_booked = True
        return begun.attempt

    def begin(self, receipt: Receipt) -> Delivery | None:
        """What was booked is on its way into the record: the delivery to be made."""
        if self._begun is None:
            return None
        self._begun.receipt = receipt
        return self._begun.delivery

    def take(self, incident: Incident, delivery: Delivery, last: Attempt | None, *, is_repeat: bool) -> Attempt:
        """The attempt that was booked, if it is the `last` on record; else the next one, which goes into the record.

        Raises `Fenced`.
        """
        begun = self._begun
        if begun is None or begun.receipt is None or begun.attempt != last:
            begun = self._begin(delivery, last.number + 1 if last is not None else 1, is_repeat=is_repeat)
            self._journal.put(with_attempts(incident, delivery.step_ms, [begun.attempt]))
            begun.receipt = self._journal.receipt(delivery.incident_id)
        return begun.attempt

    async def confirmed(self) -> float:
        """Waits until what was taken is on record and surely ours to send; by when, on the loop's clock, it has to be.

        Raises `Fenced` and `Unwritable`.
        """
        begun = self._begun
        assert begun is not None and begun.receipt is not None  # noqa: S101 - taken
        await self._journal.confirmed(begun.receipt)
        loop = asyncio.get_running_loop()
        if loop.time() > begun.at + BEGUN_WITHIN:  # the log was away, or we were: is it still ours to tell?
            begun.at = loop.time()
            if (known := self._journal.incidents.get(begun.delivery.incident_id)) is None:
                raise Fenced
            await self._journal.confirm(known)
        self._begun = None
        return begun.at + BEGUN_WITHIN

    def forget(self) -> None:
        """What was begun is another's by now."""
        self._begun = None

    def give_back(self, reason: str, keep: Callable[[Incident], None] | None = None) -> None:
        """What was begun and not sent yet was surely not sent, and the record is to say so.

        `keep`: how the record gets to know; it is put at once unless that is said.
        """
        begun, self._begun = self._begun, None
        if begun is None or not self._journal.acting:
            return
        incident = self._journal.incidents.get(begun.delivery.incident_id)
        step = step_at(incident, begun.delivery.step_ms) if incident is not None else None
        if incident is None or step is None or begun.attempt not in step.attempts:
            return  # it is another's by now
        done = begun.attempt.model_copy(update={"outcome": "not_sent", "detail": reason})
        (keep or self._journal.put)(with_outcome(incident, step.at_ms, done))

    def _begin(self, delivery: Delivery, number: int, *, is_repeat: bool) -> _Begun:
        attempt = Attempt(
            target=self._target,
            number=number,
            generation=self._journal.generation,
            at_ms=self._clock.now_ms(),
            repeat=is_repeat,
            about=delivery.about,
            place=self._place,
        )
        self._begun = _Begun(delivery, attempt, asyncio.get_running_loop().time())
        self._bucket.use(self._begun.at)
        return self._begun
