"""What is wrong with settings beyond their single values: names that are not there, windows not kept, waits too short.

Works on the table as written, as far as it can be read, so that one misspelt value hides none of these. Pure.
"""

import contextlib
import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import timedelta
from typing import Any

from pydantic import TypeAdapter, ValidationError

from .addresses import unusable
from .relative import Relative, parse_threshold
from .rulesettings import KEYS, NEEDED, WINDOWS
from .spelling import did_you_mean, parse_duration, window_name

_WINDOWS = tuple(timedelta(minutes=minutes) for minutes in (5, 60, 240, 720, 1440))
FORMS = ("long", "compact")  # of words, that need no template of one's own
_FORM = re.compile(r"^[A-Za-z0-9_-]{1,40}$")
_BOOL = TypeAdapter(bool)
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
    yield from _addresses(table)
    yield from _forms(table)
    yield from _rules(table, known_venues)
    yield from _routes(table)


def _addresses(table: Mapping[str, Any]) -> Iterator[str]:
    """Those of targets that are switched on; what stands in files is checked when it is read."""
    for name, target in _table(table, "targets").items():
        if not isinstance(target, Mapping) or not _switch(target, "enabled", missing=True, unreadable=True):
            continue
        texts = {key: value for key, value in target.items() if isinstance(value, str)}
        may_be_private = _switch(target, "allow_private", missing=False, unreadable=True)
        for key, wrong in unusable(target.get("kind"), texts, allow_private=may_be_private):
            yield f"targets.{name}.{key}: {wrong}"


def _switch(table: Mapping[str, Any], key: str, *, missing: bool, unreadable: bool) -> bool:
    """A switch as the model reads it: from the environment it comes as a word."""
    if key not in table:
        return missing
    try:
        return _BOOL.validate_python(table[key])
    except ValidationError:
        return unreadable  # said by the model


def _forms(table: Mapping[str, Any]) -> Iterator[str]:
    templates = _table(table, "templates")
    for name in templates:
        if name in FORMS or not _FORM.match(name):
            yield f"templates.{name}: a name is 1 to 40 letters, digits, '-' or '_', and not {' or '.join(FORMS)}"
    for name, target in _table(table, "targets").items():
        form = target.get("form") if isinstance(target, Mapping) else None
        if isinstance(form, str) and form not in FORMS and form not in templates:
            close = did_you_mean(form, (*FORMS, *templates))
            yield f"targets.{name}.form: is {' or '.join(FORMS)}, or the name of a template, not {form!r}{close}"


def _rules(table: Mapping[str, Any], known_venues: Sequence[str]) -> Iterator[str]:
    rules = table.get("rules")
    targets = table.get("targets", {"console": {}})
    windows = _kept_windows(table)
    names: set[str] = set()
    listed = rules if isinstance(rules, list | tuple) else ()
    known_rules = [rule["name"] for rule in listed if isinstance(rule, Mapping) and isinstance(rule.get("name"), str)]
    for index, rule in enumerate(listed):
        if not isinstance(rule, Mapping):
            continue
        path = f"rules.{index}"
        name = rule.get("name")
        if isinstance(name, str):
            if name in names:
                yield f"{path}.name: the name {name!r} is used twice"
            names.add(name)
        yield from _kind(rule, path)
        kind = rule.get("kind", "level")
        window = _duration(rule.get("window", WINDOWS.get(kind) if isinstance(kind, str) else None))
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
        wider = rule.get("held_back_by")
        for other in wider if isinstance(wider, list | tuple) else ():
            if other not in known_rules or other == name:
                yield f"{path}.held_back_by: no other rule is called {other!r}{did_you_mean(str(other), known_rules)}"
        yield from _scope(rule.get("scope"), f"{path}.scope", known_venues)
        yield from _too_short(rule, path, "repeat", "1m")


def _routes(table: Mapping[str, Any]) -> Iterator[str]:
    targets = table.get("targets", {"console": {}})
    rules = [rule.get("name") for rule in _rows(table, "rules")]
    for index, one in enumerate(_rows(table, "routes")):
        for key, known, what in (("targets", targets, "target"), ("rules", rules, "rule")):
            wanted = one.get(key)
            for name in wanted if isinstance(wanted, list | tuple) and isinstance(known, Mapping | list) else ():
                if isinstance(name, str) and name not in known:
                    yield f"routes.{index}.{key}: no {what} is called {name!r}{did_you_mean(name, known)}"


def _rows(table: Mapping[str, Any], key: str) -> list[Mapping[str, Any]]:
    rows = table.get(key)
    return [row for row in rows if isinstance(row, Mapping)] if isinstance(rows, list | tuple) else []


def _kind(rule: Mapping[str, Any], path: str) -> Iterator[str]:
    """What a kind of rule needs, and what it has no use for."""
    kind = rule.get("kind", "level")
    if not isinstance(kind, str) or kind not in KEYS:
        return  # said by the model
    a_kind = f"{'an' if kind[0] in 'aeiou' else 'a'} {kind} rule"
    for key in rule:
        if key not in KEYS[kind] and any(key in keys for keys in KEYS.values()):
            yield f"{path}.{key}: {a_kind} has no such key"
    for key in NEEDED[kind]:
        if key not in rule:
            yield f"{path}.{key}: is missing"
    scope, side = rule.get("scope", "all"), rule.get("side", "both")
    each = isinstance(scope, str) and scope.startswith("each")
    if kind == "level" and "share" in rule and side == "both":
        yield f'{path}.side: a share is that of one side; write side = "long" or "short"'
    yield from _relative(rule, kind, path)
    if kind == "cascade" and side == "both":
        yield f'{path}.side: a cascade is of one side; write side = "long" or "short", and a second rule for the other'
    if kind == "cascade" and scope != "all":
        yield f'{path}.scope: a cascade is watched over the whole market; write scope = "all"'
    times = rule.get("times")
    if kind == "cascade" and isinstance(times, list | tuple) and len(times) != 1:
        yield f"{path}.times: a cascade has one number here, such as [60]; its further steps are falls and legs"
    if kind == "record" and each:
        yield f"{path}.scope: a record is kept for one total; name it, such as base=BTC"
    if kind == "feed" and not (isinstance(scope, str) and re.match(r"(all|each venue|venue=[^,]+)$", scope)):
        yield f'{path}.scope: a feed is that of a venue; write "each venue", "venue=NAME", or "all" for all at once'


def _relative(rule: Mapping[str, Any], kind: str, path: str) -> Iterator[str]:
    """What thresholds of the scope's own past need, and what goes with amounts only."""
    thresholds = rule.get("thresholds")
    if not any(_is_relative(step) for step in (thresholds if isinstance(thresholds, list | tuple) else ())):
        if kind == "level" and "floor" in rule:
            yield f"{path}.floor: only thresholds relative to the past need a floor; the first amount is one"
        return
    if kind != "level":
        if kind == "order":
            yield f"{path}.thresholds: of one order name amounts in USD; only a level is told relative to its past"
        return
    if "floor" not in rule:
        yield f'{path}.floor: is missing; say under which total nothing is told, such as "5M": a percentile may be 0'
    if "clear_below" in rule:
        yield f"{path}.clear_below: relative to the past it clears at 90 % of its first step; leave this out"
    if "share" in rule:
        yield f"{path}.share: a share goes with amounts in USD; make a second rule of it"
    window = _duration(rule.get("window", WINDOWS[kind]))
    if window is not None and window % timedelta(minutes=1):
        yield f"{path}.window: the past is known by whole minutes; relative to it only such a window can be judged"


def _is_relative(step: object) -> bool:
    with contextlib.suppress(ValueError):
        return isinstance(parse_threshold(step), Relative)
    return False


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
