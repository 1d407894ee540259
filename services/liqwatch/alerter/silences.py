"""What is silenced, and until when. Pure."""

from ..events import Silence
from ..rulesettings import RuleSettings

KEYS = ("rule", "scope", "side", "severity", "window", "kind", "venue", "coin")  # that a matcher may name


class SilenceBook:
    """The silences topic, read in its order."""

    def __init__(self) -> None:
        self._known: dict[str, Silence] = {}

    def take(self, key: bytes, value: bytes | None) -> None:
        """A record; a tombstone ends the silence. Raises `pydantic.ValidationError`."""
        if value is None:
            self._known.pop(key.decode(errors="replace"), None)
        else:
            silence = Silence.model_validate_json(value)
            self._known[key.decode(errors="replace")] = silence

    def covering(self, rule: RuleSettings, scope: str, now_ms: int) -> Silence | None:
        """The silence in force that ends last among those that fit."""
        if not self._known:
            return None
        fitting = [one for one in self._known.values() if one.from_ms <= now_ms < one.until_ms]
        fitting = [one for one in fitting if fits(one, rule, scope)]
        return max(fitting, key=lambda one: one.until_ms, default=None)

    def active(self, now_ms: int) -> int:
        """How many are in force."""
        return sum(1 for one in self._known.values() if one.from_ms <= now_ms < one.until_ms)

    def forget(self, now_ms: int) -> None:
        """Lets go of those that are over."""
        self._known = {key: one for key, one in self._known.items() if one.until_ms > now_ms}


def fits(silence: Silence, rule: RuleSettings, scope: str) -> bool:
    """All that the matcher names has to be equal. One that names nothing, or what nobody knows, fits nothing."""
    parts = dict(part.split("=", 1) for part in scope.split(",") if "=" in part)
    facts = {
        "rule": rule.name, "scope": scope, "side": rule.side, "severity": rule.severity, "window": rule.ladder.window,
        "kind": rule.kind, "venue": parts.get("venue"), "coin": parts.get("base"),
    }  # fmt: skip
    return bool(silence.matcher) and all(facts.get(key) == value for key, value in silence.matcher.items())
