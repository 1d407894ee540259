"""The console of whoever runs the program."""

from dataclasses import dataclass
from datetime import timedelta

from typing_extensions import override

from ...settings import TargetSettings
from .base import Emission, Notice, Notifier, NotifierKind, Outcome, Rate, Response, by_status, repeat_mark

_RATE = Rate(burst=1000, every=timedelta(milliseconds=1))


@dataclass(frozen=True, slots=True)
class ConsoleNotifier(Notifier):
    """Prints the headline and the lines under it, set in."""

    rate: Rate = _RATE
    key_holds: timedelta | None = None

    @override
    def render(self, notice: Notice) -> Emission:
        lines = [f"[{notice.severity}] {_printable(notice.headline)}"]
        lines += [f"    {_printable(line)}" for line in notice.text.splitlines()]
        if notice.repeat_of_ms is not None:
            lines.append(f"    {repeat_mark(notice)}")
        return Emission("\n".join(lines))

    @override
    def judge(self, response: Response) -> Outcome:
        return by_status(response)


def _printable(text: str) -> str:
    """Nothing that would steer a terminal."""
    return "".join(mark if mark.isprintable() else "?" for mark in text)


def build(_settings: TargetSettings) -> Notifier:
    return ConsoleNotifier()


NOTIFIER = NotifierKind(name="console", docs="", build=build)
