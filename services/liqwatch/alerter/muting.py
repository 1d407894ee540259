"""Why nobody is told of something: a silence, a wider incident that says it already, or quiet hours. Pure."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Literal, NamedTuple

from ..events import Incident
from ..routes import RouteSettings, is_part, route
from ..rulesettings import RuleSettings
from .silences import SilenceBook
from .text import moment

Cause = Literal["silence", "inhibition", "quiet hours"]
CAUSES: tuple[Cause, ...] = ("silence", "inhibition", "quiet hours")
_PART_OF = "part of the open incident "


class Muted(NamedTuple):
    """Held back, and why."""

    cause: Cause
    words: str


class Muting:
    """Asked with the open incidents at hand."""

    def __init__(
        self,
        silences: SilenceBook,
        routes: Sequence[RouteSettings],
        open_incidents: Callable[[], Mapping[tuple[str, str], str]],
        known: Callable[[], Mapping[str, Incident]],
    ) -> None:
        self.routes = routes
        self._silences = silences
        self._open = open_incidents
        self._known = known

    def targets(self, rule: RuleSettings, scope: str, now_ms: int) -> tuple[str, ...] | Muted:
        """Who is to be told, as the routes say (none named: all there are); or why nobody is."""
        silence = self._silences.covering(rule, scope, now_ms)
        if silence is not None:
            until = moment(silence.until_ms)
            return Muted("silence", f"silence {silence.silence_id} until {until}: {silence.reason}")
        wider = self._wider(rule, scope)
        if wider is not None:
            return Muted("inhibition", _PART_OF + wider)
        routed = route(rule, scope, now_ms, self.routes)
        return Muted("quiet hours", "quiet hours of every target") if routed.is_quiet else routed.targets

    def _wider(self, rule: RuleSettings, scope: str) -> str | None:
        if not rule.held_back_by:
            return None
        for (name, of), incident_id in self._open().items():
            if name in rule.held_back_by and is_part(scope, of) and self._is_said(incident_id):
                return incident_id
        return None

    def _is_said(self, incident_id: str) -> bool:
        """Somebody was told of it, or of the wider one that it is itself a part of. One that is silenced says nothing
        for its parts; nor do two that hold each other back."""
        seen: set[str] = set()
        while incident_id not in seen and (incident := self._known().get(incident_id)) is not None:
            seen.add(incident_id)
            if any(step.targets for step in incident.steps):
                return True
            incident_id = (incident.steps[-1].held_back or "").removeprefix(_PART_OF)
        return False


def told_targets(incident: Incident, enabled: Iterable[str]) -> tuple[str, ...]:
    """Targets that were told something of the incident: they are told its end, whatever is silenced by then."""
    told = {target for step in incident.steps for target in step.targets}
    return tuple(target for target in enabled if target in told)


def is_muted(incident: Incident) -> bool:
    """Its latest news was held back, and it still lasts."""
    return incident.closed_ms is None and bool(incident.steps) and incident.steps[-1].held_back is not None
