"""What a panel is, and how its expressions are put together."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

Kind = Literal["graph", "bars", "area", "number", "table", "states", "strip", "heatmap"]


@dataclass(frozen=True, slots=True)
class Query:
    """One expression and the name of its series."""

    expression: str
    legend: str


@dataclass(frozen=True, slots=True)
class Panel:
    """One panel. `steps` are the thresholds drawn as lines (graph) or that colour the value (number)."""

    title: str
    description: str
    unit: str
    queries: tuple[Query, ...]
    kind: Kind = "graph"
    width: int = 8
    height: int = 8
    steps: tuple[tuple[float, str], ...] = ()
    words: tuple[tuple[int, str, str], ...] = ()  # value, text, colour
    most: float | None = None


@dataclass(frozen=True, slots=True)
class Row:
    """A heading and the panels under it."""

    title: str
    panels: tuple[Panel, ...]


def series(name: str, **labels: str) -> str:
    """`name` of the chosen jobs and instances, narrowed by `labels`: a value, `~pattern`, or `!value`."""
    chosen = {"job": "~$job", "instance": "~$instance"} | labels
    return f"{name}{{{','.join(_matcher(label, wanted) for label, wanted in chosen.items())}}}"


def _matcher(label: str, wanted: str) -> str:
    if wanted.startswith("~"):
        return f'{label}=~"{wanted[1:]}"'
    return f'{label}!="{wanted[1:]}"' if wanted.startswith("!") else f'{label}="{wanted}"'


def rate(name: str, **labels: str) -> str:
    """Rise per second."""
    return f"rate({series(name, **labels)}[$__rate_interval])"


def rise(name: str, by: str, **labels: str) -> str:
    """Rise within each step of the graph, summed by labels."""
    return f"sum by ({by}) (increase({series(name, **labels)}[$__rate_interval]))"


def quantiles(name: str, by: str = "", legend: str = "", shares: Sequence[float] = (0.5, 0.99)) -> tuple[Query, ...]:
    """Quantiles of a histogram, one query each."""
    labels = f"le, {by}" if by else "le"
    return tuple(
        Query(
            f"histogram_quantile({share}, sum by ({labels}) ({rate(name + '_bucket')}))",
            f"{legend} p{share * 100:g}".strip(),
        )
        for share in shares
    )
