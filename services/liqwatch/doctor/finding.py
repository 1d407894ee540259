"""What the doctor found, as a table for people and as objects for machines."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

Works = Literal["yes", "no", "not tried"]
# What to do about a cause; those that are not here are told by the words of the failure.
REMEDIES = {
    "dns": "is there a network, and a name server?",
    "tls": "is the clock right, and no proxy in between?",
    "proxy": "see HTTPS_PROXY in the environment",
    "geo_block": "not from this place, or too many requests: try through another network",
    "old_endpoint": "the address is not served any more: this version is too old for the venue",
    "no_websocket": "something else answers there",
    "silent": "accepted, and then nothing: the address may be an old one that only pretends",
    "not_acknowledged": "the venue took the subscription and did not confirm it",
}


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was tried. `cause` is a word of a small closed set, empty where it works."""

    what: str  # "log", "chat", or the venue's name
    part: str
    works: Works
    words: str
    cause: str = ""


def works(what: str, part: str, words: str) -> Finding:
    return Finding(what, part, "yes", words)


def fails(what: str, part: str, words: str, cause: str) -> Finding:
    remedy = REMEDIES.get(cause)
    return Finding(what, part, "no", f"{words}; {remedy}" if remedy else words, cause or "error")


def not_tried(what: str, part: str, words: str) -> Finding:
    return Finding(what, part, "not tried", words)


def all_well(findings: Sequence[Finding]) -> bool:
    return not any(finding.works == "no" for finding in findings)


def as_objects(findings: Sequence[Finding]) -> list[dict[str, Any]]:
    return [asdict(finding) for finding in findings]


def as_table(findings: Sequence[Finding]) -> str:
    """A line each, and a last one that sums up."""
    rows = [
        ("", "", "works", ""),
        *((f.what, f.part, f.works.replace("no", "NO", f.works == "no"), f.words) for f in findings),
    ]
    widths = [max(len(row[column]) for row in rows) for column in range(3)]
    lines = [
        "  ".join([*(cell.ljust(width) for cell, width in zip(row, widths, strict=False)), row[3]]) for row in rows
    ]
    bad = sum(finding.works == "no" for finding in findings)
    lines.append(f"{bad} of {len(findings)} do not work" if bad else f"all of {len(findings)} work, or were not tried")
    return "\n".join(line.rstrip() for line in lines)
