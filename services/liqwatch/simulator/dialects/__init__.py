"""The protocols of the simulated venues, written from the venues' documentation and from nothing else here.

They do not use the decoders of `liqwatch.venues`: what the simulator says it sent has to be an independent check.

A venue is a module of this folder, named as the venue is, that has `def listings() -> Iterator[Listing]`, the
instruments that it lists at the start, and ends in `DIALECT = <class>`; a new file is a new venue.
"""

import importlib
import pkgutil
from collections.abc import Iterator, Sequence
from typing import Protocol, cast

from ..listings import Listing
from ..orders import Entry
from ..trouble import Trouble
from .base import Dialect, Listings

VENUES = tuple(
    sorted(
        found.name
        for found in pkgutil.iter_modules(__path__)
        if found.name != "base" and not found.name.startswith("_")
    )
)


class Simulated(Protocol):
    """A module of this folder."""

    def listings(self) -> Iterator[Listing]: ...

    def DIALECT(self, listings: Listings, trouble: Trouble, past: Sequence[Entry]) -> Dialect:
        """`past`: what the venue has published or would have, sorted by time; it grows while the venue runs."""
        ...


def dialect(venue: str, listings: Listings, trouble: Trouble, past: Sequence[Entry] = ()) -> Dialect:
    """The protocol of `venue`. Raises `KeyError` for one that is not simulated."""
    return _module(venue).DIALECT(listings, trouble, past)


def standard(venue: str | None = None) -> list[Listing]:
    """Every instrument that the simulated venues list at the start, or those of one venue."""
    return [listing for name in ([venue] if venue else VENUES) for listing in _module(name).listings()]


def _module(venue: str) -> Simulated:
    if venue not in VENUES:
        raise KeyError(venue)
    return cast(Simulated, importlib.import_module(f"{__name__}.{venue}"))
