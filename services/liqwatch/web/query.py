"""Reads the parameters of a request: every one is known, given once, and in its bounds. Pure."""

import re
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from decimal import Decimal

from ..spelling import did_you_mean
from .problems import Problem

# What no name holds; written out, since engines differ on what a blank is: who goes by the document is not refused.
NO_NAME = r"\s\x00-\x1f\x7f-\x9f\ufeff"
# A venue is a name of ours; a coin is as the venue writes it: printable, without blanks, commas or equal signs.
SCOPE = rf"^(all|venue=[A-Za-z0-9_.-]{{1,64}}|(venue=[A-Za-z0-9_.-]{{1,64}},)?base=[^,={NO_NAME}]{{1,64}})$"
VENUE = r"^[A-Za-z0-9_.-]{1,64}$"
MINUTES = 1_440
STEPS = (60, 300, 900, 3600)
PLAIN_USD = r"^[0-9]{1,15}(\.[0-9]{1,6})?$"


@dataclass(frozen=True, slots=True)
class Query:
    """The parameters as given: each at most once."""

    values: dict[str, str]

    @classmethod
    def of(cls, pairs: Iterable[tuple[str, str]], known: Collection[str]) -> "Query":
        """Raises `Problem` for one that is not known, or given twice."""
        values: dict[str, str] = {}
        for name, value in pairs:
            if name not in known:
                raise Problem(400, f"{name[:64]!r} is no parameter here{did_you_mean(name[:64], known)}")
            if name in values:
                raise Problem(400, f"{name} is given twice")
            values[name] = value
        return cls(values)

    def window(self, known: Collection[str]) -> str:
        """The name of a window; the longest by default."""
        name = self.values.get("window", list(known)[-1])
        if name not in known:
            raise Problem(400, f"window: {name[:64]!r} is not kept; choose one of {', '.join(known)}")
        return name

    def scope(self) -> str:
        """`all` by default."""
        scope = self.values.get("scope", "all")
        if not re.fullmatch(SCOPE, scope):
            raise Problem(400, "scope: write all, venue=NAME, base=COIN or venue=NAME,base=COIN")
        return scope

    def venue(self) -> str | None:
        """None for all."""
        name = self.values.get("venue")
        if name is not None and not re.fullmatch(VENUE, name):
            raise Problem(400, "venue: write the name of one, as /api/v1/venues has it")
        return name

    def choice(self, name: str, known: Collection[str], default: str) -> str:
        """One of a few words."""
        word = self.values.get(name, default)
        if word not in known:
            raise Problem(400, f"{name}: choose one of {', '.join(known)}")
        return word

    def number(self, name: str, default: int, least: int, most: int) -> int:
        """A whole number in its bounds."""
        text = self.values.get(name)
        if text is None:
            return default
        if not re.fullmatch(r"[0-9]{1,9}", text) or not least <= int(text) <= most:
            raise Problem(400, f"{name}: a whole number from {least} to {most}")
        return int(text)

    def micros(self, name: str) -> int:
        """USD as micro-dollars; 0 by default."""
        text = self.values.get(name, "0")
        if not re.fullmatch(PLAIN_USD, text):
            raise Problem(400, f"{name}: an amount in USD such as 250000, with six digits after the point at most")
        return int(Decimal(text) * 1_000_000)
