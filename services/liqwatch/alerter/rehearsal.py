"""What a target would be told, on made-up figures: for who writes rules and templates, and a day to draw. Pure."""

from collections.abc import Iterator

from ..amounts import DOLLAR
from ..rulesettings import RuleSettings
from ..settings import Settings
from .day import DAY_MINUTES, MINUTE_MS, Crossing, Day, rolling
from .samples import example
from .stories import story
from .templates import LONG, Forms
from .text import compose

_HOUR = 60
_WAVE = range(DAY_MINUTES - 150, DAY_MINUTES - 90)  # minutes of the day


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


def trial_day(now_ms: int) -> Day:
    """A day that never was, in which one threshold is passed; its headline says so."""
    minutes = range(-_HOUR, DAY_MINUTES)
    usd = [(20_000 + number * 7_919 % 61_000) * DOLLAR for number in minutes]
    longs = [one * (40 if number in _WAVE else 1) for number, one in zip(minutes, usd, strict=True)]
    total = rolling(longs, _HOUR)
    threshold = 50_000_000 * DOLLAR
    passed = next(number for number, one in enumerate(total) if one >= threshold)
    start_ms = (now_ms // MINUTE_MS - DAY_MINUTES + 1) * MINUTE_MS
    return Day(
        title="This is a test: a picture of made-up figures, nothing of it has happened.",
        side="long",
        window="1h",
        from_ms=start_ms,
        as_of_ms=now_ms,
        longs=longs[_HOUR:],
        shorts=usd[:DAY_MINUTES],
        rolling=total,
        usd=total[-1],
        crossings=[Crossing(start_ms + (passed + 1) * MINUTE_MS, total[passed], threshold, "$50M")],
    )
