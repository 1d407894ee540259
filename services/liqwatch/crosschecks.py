"""What is wrong with settings beyond their single values: names that are not there, windows not kept, waits too short.

Works on the table as written, as far as it can be read, so that one misspelt value hides none of these. Pure.
"""

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from datetime import timedelta
from typing import Any

from .spelling import did_you_mean, parse_duration, window_name

_DAY = timedelta(days=1)
_WINDOWS = tuple(timedelta(minutes=minutes) for minutes in (5, 60, 240, 720, 1440))
_LEAST = (
    ("log.kafka", "session_timeout", "1s"),
    ("collector", "refresh_instruments", "10s"),
    ("collector", "coverage_every", "1s"),
    ("collector", "compare_every", "1m"),
)


def contradictions(table: Mapping[str, Any], known_venues: Sequence[str]) -> Iterator[str]:
    """Sentences, each with the path of a key and the remedy."""
    for name in _table(table, "venues"):
        if name not in known_venues:
            yield f"venues.{name}: unknown venue{did_you_mean(name, known_venues)}"
    for path, key, least in _LEAST:
        section: Mapping[str, Any] = table
        for part in path.split("."):
            section = _table(section, part)
        yield from _too_short(section, path, key, least)
    for name, target in _table(table, "targets").items():
        yield from _too_short(target, f"targets.{name}", "timeout", "1s")
    yield from _rules(table, known_venues)


def _rules(table: Mapping[str, Any], known_venues: Sequence[str]) -> Iterator[str]:
    rules = table.get("rules")
    targets = table.get("targets", {"console": {}})
    windows = _kept_windows(table)
    names: set[str] = set()
    for index, rule in enumerate(rules if isinstance(rules, list | tuple) else ()):
        if not isinstance(rule, Mapping):
            continue
        path = f"rules.{index}"
        name = rule.get("name")
        if isinstance(name, str):
            if name in names:
                yield f"{path}.name: the name {name!r} is used twice"
            names.add(name)
        window = _duration(rule.get("window", _DAY))
        if window is not None and windows is not None and window not in windows:
            known = ", ".join(window_name(span) for span in windows)
            yield (
                f"{path}.window: {window_name(window)} is not kept; choose one of {known}, "
                "or add it to aggregator.windows"
            )
        wanted = rule.get("targets")
        for target in wanted if isinstance(wanted, list | tuple) and isinstance(targets, Mapping) else ():
            if isinstance(target, str) and target not in targets:
                yield f"{path}.targets: no target is called {target!r}{did_you_mean(target, targets)}"
        yield from _scope(rule.get("scope"), f"{path}.scope", known_venues)
        yield from _too_short(rule, path, "repeat", "1m")


def _scope(scope: object, path: str, known_venues: Sequence[str]) -> Iterator[str]:
    for part in scope.split(",") if isinstance(scope, str) else ():
        key, _, value = part.partition("=")
        if key == "venue" and value and value not in known_venues:
            yield f"{path}: unknown venue {value!r}{did_you_mean(value, known_venues)}"
        if key == "base" and value.islower():
            yield f"{path}: write {value.upper()}: coins are in capitals, as the venues write them"


def _kept_windows(table: Mapping[str, Any]) -> list[timedelta] | None:
    """The windows that are kept, sorted; None where they cannot be read."""
    written = _table(table, "aggregator").get("windows", _WINDOWS)
    spans = [_duration(value) for value in written] if isinstance(written, list | tuple) else []
    readable = [span for span in spans if span is not None]
    return sorted(set(readable)) if readable and len(readable) == len(spans) else None


def _too_short(section: object, path: str, key: str, least: str) -> Iterator[str]:
    span = _duration(section.get(key)) if isinstance(section, Mapping) else None
    if span is not None and span < parse_duration(least):
        yield f'{path}.{key}: has to be at least {least}; write "{least}" or more'


def _duration(value: object) -> timedelta | None:
    with contextlib.suppress(ValueError):
        return parse_duration(value)
    return None


def _table(table: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    inner = table.get(key)
    return inner if isinstance(inner, Mapping) else {}
