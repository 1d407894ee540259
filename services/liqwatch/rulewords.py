"""A rule as a sentence, for `liqwatch check-config`. Pure."""

from datetime import timedelta
from decimal import Decimal

from .settings import RuleSettings, window_name

_SIDES = {"long": "longs", "short": "shorts", "both": "longs and shorts together"}


def usd(amount: Decimal) -> str:
    """`$1.7B`, exactly as large as it is."""
    for suffix, power in (("T", 12), ("B", 9), ("M", 6), ("K", 3)):
        scaled = amount.scaleb(-power)
        if scaled >= 1:
            return f"${format(scaled.normalize(), 'f')}{suffix}"
    return f"${format(amount.normalize(), 'f')}"


def span(duration: timedelta) -> str:
    """`60s`, `5m`, `24h`."""
    return window_name(duration) if duration >= timedelta(minutes=1) else f"{duration.total_seconds():g}s"


def sentence(rule: RuleSettings, targets: tuple[str, ...]) -> str:
    """What the rule does, in words."""
    where = {"all": "over all venues", "each base": "for each coin", "each venue": "for each venue"}.get(
        rule.scope, f"for {rule.scope.replace(',', ' and ')}"
    )
    steps = ", ".join(usd(step) for step in rule.thresholds)
    text = f"tells when {_SIDES[rule.side]} liquidated in {window_name(rule.window)} {where} reach {steps}"
    if rule.hold:
        text += f" and stay there for {span(rule.hold)}"
    text += f"; clears below {usd(rule.clear_level)}"
    if rule.clear_hold:
        text += f" after {span(rule.clear_hold)}"
    if rule.repeat:
        text += f"; reminds every {span(rule.repeat)}"
    return f"{text}; {rule.severity}, to {', '.join(rule.targets or targets)}"
