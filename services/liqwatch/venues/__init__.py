"""Every venue is a module of this folder that ends in `VENUE = Venue(...)`; a new file is a new venue."""

import importlib
import pkgutil

from .base import Venue


def names() -> tuple[str, ...]:
    """The names of all venues, sorted."""
    return tuple(discover())


def discover() -> dict[str, Venue]:
    """All venues by name, sorted by name."""
    found = [
        importlib.import_module(f"{__name__}.{module.name}").VENUE
        for module in pkgutil.iter_modules(__path__)
        if module.name != "base" and not module.name.startswith("_")
    ]
    return {venue.name: venue for venue in sorted(found, key=lambda venue: venue.name)}
