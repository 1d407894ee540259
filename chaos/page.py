"""The counts as a page: the table of all faults, and what stands behind its figures."""

import datetime
import os
import platform
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from .counts import Counts
from .reference import version
from .rounds import Played

RESULTS = Path(__file__).with_name("RESULTS.md")
_NOTES = """
*liqwatch*: real processes of `liqwatch alert`, one on the embedded log or two on a real Kafka; SIGKILL and SIGSTOP by
the system. Each incident opens, steps up and clears, and is told to a signed webhook, a Slack bot and Telegram: 9
alerts. *Alertmanager*: Debian's, with a webhook receiver; each incident is two alerts and their ends: 4 notifications.
Its client posts everything again every 0.5 s, as Prometheus does every minute, or each change once. Its group_wait is
0 s and its group_interval 1 s, where minutes are usual: that is in its favour.

*runs*: incidents; in brackets those that the fault really struck. *lost*: never arrived. *repeated*: copies beyond the
first. *unmarked*: of those, copies that do not say that they may be one; Alertmanager has no mark. *first copy said to
be a repeat*: it arrived once, and nobody could know that the try before had not. *kept out*: second copies that the
signed webhook dropped by their key; a receiver that ignores the key sees them, without a mark: the body is the same.
"""


def page(played: Sequence[Played], seed: int, command: str) -> str:
    """Markdown."""
    now = datetime.datetime.now(datetime.UTC)
    lines = [
        "# What arrived, whatever happened",
        "",
        f"`make chaos`, {now:%Y-%m-%d} (`{command}`), seed {seed}, {os.cpu_count()} cores, "
        f"Python {platform.python_version()}, Alertmanager {version()}.",
        *_NOTES.splitlines(),
        "",
        *table(played),
        "",
        "| fault | liqwatch's repetitions, by target | first copy said to be a repeat | kept out by the webhook's key "
        "| Alertmanager's documentation |",
        "|---|---|---:|---:|---|",
    ]
    for one in played:
        ours = one.liqwatch or Counts()
        cells = (_named(ours.copies), str(ours.marked_first), str(ours.kept_out), one.documented)
        lines.append(f"| {one.name} | {' | '.join(cells)} |")
    for one in played:
        if one.liqwatch is not None and one.liqwatch.struck:
            lines += ["", f"{one.name} struck {_named(one.liqwatch.struck)}."]
        if one.liqwatch is not None and one.liqwatch.missing:
            lines += ["", f"{one.name} lost {', '.join(map(str, map(tuple, one.liqwatch.missing)))}."]
    return "\n".join([*lines, ""])


def _named(found: Sequence[str]) -> str:
    """How often each, in words."""
    return ", ".join(f"{name} {number}" for name, number in sorted(Counter(found).items())) or "none"


def table(played: Sequence[Played]) -> list[str]:
    """A row for each fault."""
    lines = [
        "| fault | liqwatch: runs | due | lost | repeated | unmarked "
        "| Alertmanager, posted again: runs | due | lost | repeated = unmarked "
        "| posted once: runs | due | lost | repeated = unmarked |",
        "|---|" + "---:|" * 13,
    ]
    for one in played:
        ours = ["not run here"] + ["–"] * 4 if one.liqwatch is None else _ours(one.liqwatch)
        cells = [*ours, *_theirs(one.posted_again), *_theirs(one.posted_once)]
        lines.append(f"| {one.title} | {' | '.join(cells)} |")
    return lines


def _ours(counts: Counts) -> list[str]:
    return [_runs(counts), f"{counts.due}", f"{counts.lost}", f"{counts.repeated}", f"{counts.unmarked}"]


def _theirs(counts: Counts | None) -> list[str]:
    if counts is None:
        return ["n/a", "–", "–", "–"]
    return [_runs(counts), f"{counts.due}", f"{counts.lost}", f"{counts.repeated}"]


def _runs(counts: Counts) -> str:
    return f"{counts.runs} ({counts.hits})"


def short(results: str) -> list[str]:
    """The README's table, from the text of RESULTS.md."""
    lines = [
        "| fault | runs of liqwatch | lost | repeated, marked | repeated, unmarked "
        "| Alertmanager, posted again: lost | repeated | posted once: lost | repeated |",
        "|---|" + "---:|" * 8,
    ]
    for row in results.splitlines():
        cells = [cell.strip() for cell in row.strip("|").split("|")]
        if len(cells) != 14 or not cells[1][:1].isdigit():
            continue
        title, runs, due, lost, repeated, unmarked = cells[:6]
        marked = int(repeated) - int(unmarked)
        ours = [runs.split()[0], f"{lost} of {due}", str(marked), unmarked]
        theirs = [
            cell
            for at in (6, 10)
            for cell in (
                ("n/a", "n/a") if cells[at] == "n/a" else (f"{cells[at + 2]} of {cells[at + 1]}", cells[at + 3])
            )
        ]
        lines.append(f"| {title} | {' | '.join([*ours, *theirs])} |")
    return lines
