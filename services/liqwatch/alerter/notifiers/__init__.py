"""The chats that can be told, found by folder: every module here with a `NOTIFIER`."""

import importlib
import pkgutil

from .base import NotifierKind


def discover() -> dict[str, NotifierKind]:
    """Every kind of notifier by name, sorted."""
    kinds = []
    for module in pkgutil.iter_modules(__path__):
        kind = getattr(importlib.import_module(f"{__name__}.{module.name}"), "NOTIFIER", None)
        if isinstance(kind, NotifierKind):
            kinds.append(kind)
    return {kind.name: kind for kind in sorted(kinds, key=lambda kind: kind.name)}
