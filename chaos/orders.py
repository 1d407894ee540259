"""What an alerter under test is to see and to suffer, in one small file that it watches: it outlives every kill."""

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any


@dataclass(frozen=True, slots=True)
class Death:
    """Dies, or freezes, at the n-th time that `point` is reached for a coin. `identity` tells two of them apart."""

    point: str
    coin: str
    n: int
    signal: int
    identity: int


@dataclass(slots=True)
class Orders:
    """`levels`: long dollars of each coin. `ahead`: seconds of the clock before the true time."""

    levels: dict[str, int] = field(default_factory=dict)
    ahead: float = 0.0
    death: Death | None = None

    def write(self, path: Path) -> None:
        """Whole or not at all."""
        beside = path.with_suffix(".new")
        beside.write_text(json.dumps(asdict(self)), encoding="utf-8")
        beside.replace(path)


def read(path: Path) -> Orders:
    """Raises OSError."""
    found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    death = found["death"]
    return Orders(found["levels"], found["ahead"], None if death is None else Death(**death))
