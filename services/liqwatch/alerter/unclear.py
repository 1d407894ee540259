"""Messages of which nobody knows whether they arrived, at one target.

They are looked up where the chat can be asked, sent again under the same key where the chat keeps second copies out,
and else sent again as marked repeats, or held, as the target's `on_unknown` says.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from enum import Enum

import structlog

from ..clock import Clock
from ..events import Attempt
from ..metrics import AlerterMetrics
from ..settings import TargetSettings
from .incidents import Delivery
from .notifiers.base import Accepted, Notice, Notifier, NotSent, Outcome, Refused, Response, Searches, Unknown
from .sending import MAX_HISTORY, Sender, ask

_CLOCKS_DIFFER_MS = 30_000  # those of two machines, and more than that is a step
_SEARCHES = 3  # tries to look a message up before it is sent again

log_ = structlog.get_logger("alerter")


class Way(Enum):
    """What is next for a delivery."""

    SEND = "nothing is unclear, it was looked up and is not there, or the chat drops a second copy"
    REPEAT = "it is sent again, and says so"
    LOOK_UP = "the chat is asked"
    HOLD = "it is not sent again"


@dataclass(slots=True)
class Looked:
    """How the look-ups of one delivery went."""

    times: int = 0
    denied: int = 0  # times that the chat said no, and would again
    absent: int | None = None  # number of the attempt that surely did not arrive: looked up, not there
    after: timedelta | None = None  # that the chat asked us to wait


class Unclear:
    """What to do about attempts of unknown outcome."""

    def __init__(
        self,
        target: str,
        settings: TargetSettings,
        notifier: Notifier,
        sender: Sender,
        clock: Clock,
        metrics: AlerterMetrics,
    ) -> None:
        self._target = target
        self._settings = settings
        self._notifier = notifier
        self._sender = sender
        self._clock = clock
        self._metrics = metrics
        self._holds = settings.on_unknown == "hold"
        self._can_search = isinstance(notifier, Searches)
        self._left: set[tuple[int, int, int, str | None]] = set()  # attempts that cannot be looked up: `_sign`

    def way(self, delivery: Delivery, tried: Sequence[Attempt], looked: Looked) -> Way:
        """What is next, after these attempts and look-ups. Where it is to hold for the first time, that is said."""
        unclear = newest_unclear(tried)
        if unclear is None or unclear.number == looked.absent:
            return Way.SEND
        if self.is_held(tried):
            return Way.HOLD
        if self._can_search and (looked.times < _SEARCHES or self._holds):
            return Way.LOOK_UP
        if self._key_holds(tried):
            return Way.SEND
        if self._holds:
            self._leave(delivery, unclear, unclear.detail or "no answer")
            return Way.HOLD
        return Way.REPEAT

    def is_held(self, tried: Sequence[Attempt]) -> bool:
        """True where `on_unknown` forbids to send again, nothing else can settle an unknown outcome, and that is said.

        After a restart it is said once more: the process before may have ended before it could.
        """
        if not self._holds or self._key_holds(tried):
            return False
        unclear = newest_unclear(tried)
        return unclear is not None and _sign(unclear) in self._left

    async def look_up(self, delivery: Delivery, unclear: Attempt, made: Notice, looked: Looked) -> Outcome:
        """Asks the chat for the message, as it was made. Accepted: it has arrived. Refused: that can never be known,
        and it is held. After all else the way is to be looked for again."""
        found = await self._search(made)
        looked.times += 1
        looked.absent, looked.after = None, getattr(found, "after", None)
        match found:
            case NotSent():
                looked.absent = unclear.number
            case Refused(reason):
                looked.denied += 1
                if not self._holds or looked.denied < _SEARCHES:
                    return Unknown(reason)
                self._leave(delivery, unclear, reason)
            case Accepted() | Unknown():
                pass
        return found

    async def _search(self, made: Notice) -> Outcome:
        """Among the answers to the first message, and in the chat itself: it may have been sent to either.

        A thread may have taken no answer then, and the version before this one may have known no threads. It is
        absent only where it is in neither.
        """
        outcome = await self._look(made)
        if made.reply_to is None or isinstance(outcome, Accepted):
            return outcome
        alone = await self._look(replace(made, reply_to=None))
        return alone if isinstance(alone, Accepted) or isinstance(outcome, NotSent) else outcome

    async def _look(self, made: Notice) -> Outcome:
        searches = self._notifier
        assert isinstance(searches, Searches)  # noqa: S101 - asked before
        answer = await ask(self._sender, searches.search(made), self._settings, max_answer=MAX_HISTORY)
        outcome = searches.found(made, answer) if isinstance(answer, Response) else answer
        if isinstance(outcome, NotSent) and not isinstance(answer, Response):
            return Unknown(outcome.reason, outcome.after)  # the question did not arrive, which says nothing else
        return outcome

    def _leave(self, delivery: Delivery, last: Attempt, reason: str) -> None:
        """It cannot be looked up, and may not be sent again: it stays unknown, and the next ones go on."""
        self._left.add(_sign(last))
        self._metrics.notifications.labels(self._target, "held").inc()
        where = {"target": self._target, "incident": delivery.incident_id, "attempt": last.number}
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


def newest_unclear(tried: Sequence[Attempt]) -> Attempt | None:
    """The newest attempt that may have arrived: a repeat that surely did not makes nothing clearer."""
    return next((one for one in reversed(tried) if one.outcome == "unknown"), None)


def _sign(attempt: Attempt) -> tuple[int, int, int, str | None]:
    """What tells one attempt of a target from its others."""
    return attempt.generation, attempt.number, attempt.at_ms, attempt.about
