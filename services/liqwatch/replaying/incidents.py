"""What is said of the incidents of a replay: to whom it would have gone, and what is held back. Pure."""

from collections import Counter
from dataclasses import dataclass, replace
from typing import Any

from ..alerter.measures import Measures
from ..alerter.rules import Verdict
from ..alerter.stories import story
from ..alerter.text import Snapshot, compose, moment
from ..events import LargestRecord, plain
from ..routes import is_part
from ..wire import usd_text
from .figures import Figures
from .pairs import Pair


@dataclass(slots=True)
class _Incident:
    """An open one. Micro-dollars."""

    opened_ms: int
    peak: int
    peak_ms: int
    is_told: bool = False  # somebody knows of it


class Incidents:
    """Every verdict in `alerts`, and as a line for people in `timeline`."""

    def __init__(self, figures: Figures, measures: Measures) -> None:
        self.alerts: list[dict[str, Any]] = []
        self.timeline: list[str] = []
        self._figures = figures
        self._measures = measures
        self._open: dict[Pair, _Incident] = {}
        self._messages: Counter[str] = Counter()  # by rule

    def reach(self, pair: Pair, usd: int, now_ms: int) -> None:
        """So many micro-dollars now: perhaps the most that the pair's open incident has seen."""
        incident = self._open[pair]
        if usd > incident.peak:
            incident.peak, incident.peak_ms = usd, now_ms

    def tell(self, pair: Pair, verdict: Verdict, usd: int, now_ms: int) -> None:
        """A step of the pair's incident, or its beginning or end, at so many micro-dollars."""
        rule, scope = pair.rule, pair.scope
        self.alerts.append(
            {
                "rule": rule.name,
                "scope": scope,
                "kind": verdict.kind,
                "at_ms": now_ms,
                "usd": usd_text(usd),
                "threshold": plain(verdict.threshold),
            }
        )
        if verdict.kind == "fired":
            self._open[pair] = _Incident(now_ms, peak=usd, peak_ms=now_ms)
        incident = self._open[pair]
        headline = self._headline(pair, verdict, incident, usd, now_ms)
        line = f"{moment(now_ms)} {rule.name} [{scope}] {verdict.kind.replace('_', ' ')}: {headline}"
        if verdict.kind == "cleared":
            del self._open[pair]
            is_told = incident.is_told  # whoever knows of it is told its end
        else:
            is_told = not self._is_held_back(pair)
            incident.is_told |= is_told
        if is_told:
            self._messages[rule.name] += 1
        self.timeline.append(line if is_told else f"{line} (told to nobody)")
        if verdict.kind == "cleared":
            self._release(now_ms)

    def summary(self) -> list[str]:
        """How many messages each target would have got."""
        if not self.alerts:
            return []
        number = self._messages.total()
        rules = ", ".join(f"{name} {count}" for name, count in sorted(self._messages.items()))
        what = "1 message" if number == 1 else f"{number} messages"
        return [f"{what} to each target: {rules}; {len(self._open)} still open"]

    def _headline(self, pair: Pair, verdict: Verdict, incident: _Incident, usd: int, now_ms: int) -> str:
        rule, scope = pair.rule, pair.scope
        total = self._figures.whole(rule.ladder.window, scope)
        largest = total.largest(rule.side)
        snapshot = Snapshot(
            verdict.kind, scope, rule.side, rule.ladder.window, now_ms, verdict.threshold, total.long, total.short,
            total.long_count + total.short_count,
            largest=None if largest is None else LargestRecord.model_validate(largest, from_attributes=True),
            opened_ms=incident.opened_ms, peak=incident.peak, peak_at_ms=incident.peak_ms,
        )  # fmt: skip
        facts = replace(self._measures.facts(rule, scope, usd, now_ms), yardstick=verdict.yardstick)
        return compose(snapshot, story(rule, snapshot, facts)).headline

    def _is_held_back(self, pair: Pair) -> bool:
        by, scope = pair.rule.held_back_by, pair.scope
        return bool(by) and any(other.rule.name in by and is_part(scope, other.scope) for other in self._open)

    def _release(self, now_ms: int) -> None:
        """What was held back and still lasts is told as a reminder."""
        for pair, incident in self._open.items():
            if not incident.is_told and not self._is_held_back(pair):
                incident.is_told = True
                self._messages[pair.rule.name] += 1
                self.timeline.append(
                    f"{moment(now_ms)} {pair.rule.name} [{pair.scope}] reminded: no longer held back, still open"
                )
