"""What a rule would say to each target, on made-up figures: for who writes rules and templates. Pure."""

from collections.abc import Iterator

from ..rulesettings import RuleSettings
from ..settings import Settings
from .samples import example
from .stories import story
from .templates import LONG, Forms
from .text import compose


def rehearse(settings: Settings, rule: RuleSettings) -> Iterator[str]:
    """Lines: for each target that the rule may tell, its form and the words of the first step."""
    snapshot, facts = example(rule)
    told = story(rule, snapshot, facts)
    long = compose(snapshot, told)
    failed: list[str] = []
    forms = Forms(settings.targets, settings.templates, failed.append)
    targets = _listeners(settings, rule, snapshot.scope)
    made = forms.words(targets, rule, snapshot, told)
    yield f"{rule.name}, with made-up figures:"
    for name in targets:
        target = settings.targets[name]
        words = made.get(target.form, long)
        instead = f", because the form {target.form} failed" if target.form in failed else ""
        yield f"  {name} ({target.kind}, {LONG if instead else target.form}{instead}):"
        yield f"    {words.headline}"
        yield from (f"      {line}".rstrip() for line in words.text.splitlines())


def _listeners(settings: Settings, rule: RuleSettings, scope: str) -> list[str]:
    """Those who would be told at some time of the day."""
    routed = {name for route in settings.routes if route.takes(rule, scope) for name in route.targets}
    wanted = set(rule.targets) or routed or set(settings.targets)
    return [name for name, target in settings.targets.items() if target.enabled and name in wanted]
