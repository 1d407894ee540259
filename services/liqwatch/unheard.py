"""Rules and routes that nobody would hear of, because their targets are switched off; for `check-config`. Pure."""

from collections.abc import Iterator

from .settings import Settings


def unheard(settings: Settings) -> Iterator[str]:
    """Sentences; none where every rule and route has a target that is switched on.

    It is no mistake to switch targets off, so that settings with one of these are valid.
    """
    on = {name for name, target in settings.targets.items() if target.enabled}
    if not on:
        yield "no target is switched on: nobody is told anything"
        return
    for rule in settings.rules:
        if rule.targets and on.isdisjoint(rule.targets):
            yield f"{rule.name}: {_off(rule.targets)}: nobody is told of it"
    for number, route in enumerate(settings.routes, start=1):
        if on.isdisjoint(route.targets):
            yield f"route {number}: {_off(route.targets)}: what no other route takes is told to nobody"


def _off(targets: tuple[str, ...]) -> str:
    names = ", ".join(targets)
    return f"its target {names} is switched off" if len(targets) == 1 else f"its targets {names} are all switched off"
