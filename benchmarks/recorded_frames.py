"""Frames of the decode benchmark for the venues that have none written for it: made from their recordings.

The first recorded frame with a liquidation is taken, and every number in it that may change without changing what the
frame is, changes: that is tried out with the venue's own session.
"""

import json
import random
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any

from liqwatch import venues
from liqwatch.venues.base import Venue

from .decode_frames import DIFFERENT
from .decode_kinds import NOW_MS, Kind, kind, session_of, wire

RECORDINGS = Path(__file__).parents[1] / "tests" / "data" / "venues"


def recorded(wanted: Collection[str]) -> dict[str, Kind]:
    """By venue, of those that have a recording; the first of each's forms."""
    found = {}
    for name, venue in venues.discover().items():
        path = RECORDINGS / f"{name}.jsonl"
        if name in wanted and path.is_file():
            found[name] = _kind(venue, [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()])
    return found


def _kind(venue: Venue, lines: list[dict[str, Any]]) -> Kind:
    at = next(number for number, line in enumerate(lines) if line.get("expect") and line["kind"] == "data")
    before = [line for line in lines[1:at] if line["kind"] != "rejected"]
    objects: dict[str, Any] = {}
    for line in (*before, lines[at]):
        objects |= line["instruments"]
    made = kind(venue.name, [], objects)
    made["symbols"] = lines[0]["opening"][venue.feeds[0].name]["symbols"]
    made["before"] = [line["frame"] for line in before]
    made["symbol"] = lines[at]["expect"][0]["symbol"]
    rows = len(lines[at]["expect"])

    def good(text: str) -> bool:
        return len(session_of(made)(wire(text), NOW_MS).liquidations) == rows

    assert good(lines[at]["frame"]), venue.name
    made["texts"] = _different(lines[at]["frame"], good, random.Random(venue.name))
    return made


def _different(text: str, good: Callable[[str], bool], rng: random.Random) -> list[str]:
    if text.startswith("hex:"):
        return _different_bytes(bytes.fromhex(text[4:]), good, rng)
    free = [place for place in _numbers(json.loads(text)) if all(good(_changed(text, [place], rng)) for _ in range(4))]
    made = []
    while len(made) < DIFFERENT:
        one = _changed(text, free, rng)
        if good(one):
            made.append(one)
    assert len(set(made)) > DIFFERENT / 2, text
    return made


def _different_bytes(data: bytes, good: Callable[[str], bool], rng: random.Random) -> list[str]:
    def changed(places: list[int]) -> str:
        made = bytearray(data)
        for place in places:
            made[place] ^= rng.randrange(8)
        return f"hex:{made.hex()}"

    free = [place for place in range(len(data)) if all(good(changed([place])) for _ in range(4))]
    return [one for one in (changed(free) for _ in range(2 * DIFFERENT)) if good(one)][:DIFFERENT]


def _numbers(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    if isinstance(value, dict | list):
        pairs = value.items() if isinstance(value, dict) else enumerate(value)
        return [place for key, inner in pairs for place in _numbers(inner, (*path, key))]
    number = isinstance(value, int | float) and not isinstance(value, bool)
    return [path] if number or (isinstance(value, str) and value.replace(".", "", 1).isdecimal()) else []


def _changed(text: str, places: list[tuple[Any, ...]], rng: random.Random) -> str:
    message = json.loads(text)
    for *path, key in places:
        holder = message
        for step in path:
            holder = holder[step]
        value = holder[key]
        if isinstance(value, int):
            holder[key] = value + rng.randrange(1, 1000)
        elif isinstance(value, float):
            holder[key] = round(value * rng.uniform(0.9, 1.1), 2)
        else:
            whole, dot, fraction = value.partition(".")
            holder[key] = f"{int(whole) + rng.randrange(1, 90)}{dot}{fraction}"
    return json.dumps(message, separators=(",", ":"))
