"""The steps of decide, write, send, record at which an alerter can die, patched into the running program from outside.

An append of an incident is told by what it brings: a decision has a new step, an attempt has no outcome. One append
may bring both.
"""

import os
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import orjson

from liqwatch.alerter.journal import Journal
from liqwatch.alerter.sending import Sender
from liqwatch.alerter.service import AlerterService
from liqwatch.eventlog import Entry, Log, Position
from liqwatch.topics import ALERTS, Topic

from .orders import Death

POINTS = (
    "before deciding",
    "decided",
    "before the decision is written",
    "after the decision is written",
    "before the attempt is written",
    "after the attempt is written",
    "before the request",
    "after the answer",
    "before the outcome is written",
    "after the outcome is written",
)


class Reaper:
    """Counts how often the ordered point was reached, and ends or freezes this very process there."""

    def __init__(self) -> None:
        self._death: Death | None = None
        self._left = 0

    def order(self, death: Death | None) -> None:
        """The death that is due from now on; the same one again changes nothing."""
        if death != self._death:
            self._death, self._left = death, death.n if death is not None else 0

    def reach(self, point: str, about: bytes) -> None:
        """This point, for whatever `about` names."""
        death = self._death
        if death is None or point != death.point or death.coin.encode() not in about:
            return
        self._left -= 1
        if self._left == 0:
            os.kill(os.getpid(), death.signal)

    def patch(self, log: Log) -> None:
        """Puts the points into the program."""
        self._patch_append(log)
        self._patch(AlerterService, "_tell", "before deciding", None, lambda arguments: arguments[2])
        self._patch(Journal, "put", None, "decided", lambda arguments: arguments[1].incident_id)
        self._patch_send()

    def _patch(self, owner: Any, name: str, before: str | None, after: str | None, about: Callable[[Any], str]) -> None:
        real = getattr(owner, name)

        def patched(*arguments: Any, **more: Any) -> Any:
            if before is not None:
                self.reach(before, about(arguments).encode())
            result = real(*arguments, **more)
            if after is not None:
                self.reach(after, about(arguments).encode())
            return result

        setattr(owner, name, patched)

    def _patch_append(self, log: Any) -> None:
        real: Callable[[Topic, Sequence[Entry]], Awaitable[Sequence[Position]]] = log.append
        newest: dict[bytes, int] = {}  # of each incident the step that was last written

        async def append(topic: Topic, entries: Sequence[Entry]) -> Sequence[Position]:
            states = [(entry.key, entry.value) for entry in entries if topic is ALERTS and entry.value]
            about = [(what, key) for key, value in states for what in _brings(value, newest.get(key))]
            for what, key in about:
                self.reach(f"before the {what} is written", key)
            positions = await real(topic, entries)
            newest.update((key, _newest_step(value)) for key, value in states)
            for what, key in about:
                self.reach(f"after the {what} is written", key)
            return positions

        log.append = append

    def _patch_send(self) -> None:
        real = Sender.send

        async def send(sender: Sender, request: Any, **more: Any) -> Any:
            body = getattr(request, "body", b"")
            self.reach("before the request", body)
            answer = await real(sender, request, **more)
            self.reach("after the answer", body)
            return answer

        Sender.send = send  # type: ignore[assignment, method-assign]


def _brings(value: bytes, known: int | None) -> list[str]:
    """What is new in the record, the newest step of the one before being `known`."""
    found = ["decision"] if known != _newest_step(value) else []
    if any(attempt["outcome"] is None for step in orjson.loads(value)["steps"] for attempt in step["attempts"]):
        return [*found, "attempt"]
    return found or ["outcome"]


def _newest_step(value: bytes) -> int:
    return int(orjson.loads(value)["steps"][-1]["at_ms"])
