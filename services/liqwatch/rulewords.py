"""A rule as a sentence, for `liqwatch check-config`. Pure."""

from datetime import timedelta
from decimal import Decimal

from .relative import NEEDED_DAYS, PAST_DAYS
from .routes import RouteSettings
from .settings import RuleSettings, window_name

_SIDES = {"long": "longs", "short": "shorts", "both": "longs and shorts together"}
_TIMES = Decimal(60)  # of a cascade, where nothing else is set


def usd(amount: Decimal) -> str:
    """`$1.7B`, exactly as large as it is."""
    for suffix, power in (("T", 12), ("B", 9), ("M", 6), ("K", 3)):
        scaled = amount.scaleb(-power)
        if scaled >= 1:
            return f"${_plain(scaled)}{suffix}"
    return f"${_plain(amount)}"


def span(duration: timedelta) -> str:
    """`60s`, `5m`, `24h`."""
    return window_name(duration) if duration >= timedelta(minutes=1) else f"{duration.total_seconds():g}s"


def sentence(rule: RuleSettings, targets: tuple[str, ...]) -> str:
    """What the rule does, in words."""
    text = f"tells when {_when(rule)}"
    if rule.hold:
        text += f" and stay there for {span(rule.hold)}"
    text += f"; clears {_clears(rule)}"
    if rule.clear_hold:
        text += f" after {span(rule.clear_hold)}"
    if rule.repeat:
        text += f"; reminds every {span(rule.repeat)}"
    if rule.held_back_by:
        text += f"; held back while {' or '.join(rule.held_back_by)} is open"
    return f"{text}; {rule.severity}, to {', '.join(rule.targets or targets)}"


def route_sentence(route: RouteSettings) -> str:
    """Who gets what, and when."""
    what = []
    if route.severity:
        what.append("/".join(route.severity))
    if route.kinds:
        what.append("/".join(route.kinds) + " rules")
    if route.rules:
        what.append(" and ".join(route.rules))
    if route.scope is not None:
        what.append(f"{route.scope} and its parts")
    hours = f" {route.hours}" if route.hours else ""
    days = f" on {', '.join(route.days)}" if route.days else ""
    when = f", only{hours}{days} ({route.time_zone})" if hours or days else ""
    return f"{', '.join(what) or 'everything'} goes to {', '.join(route.targets)}{when}"


def _when(rule: RuleSettings) -> str:
    where, total = _where(rule), f"{_SIDES[rule.side]} liquidated in {window_name(rule.window)}"
    steps = _list(rule)
    match rule.kind:
        case "level":
            share = "" if rule.share is None else f" while they are {_plain(rule.share)} % or more of the total"
            if rule.is_relative:
                floor = usd(rule.floor or Decimal(0))
                return (
                    f"{total} {where} reach {steps} of the same in the last {PAST_DAYS} days around this hour of the "
                    f"week, and {floor}; it needs {NEEDED_DAYS} days of history"
                )
            return f"{total} {where} reach {steps}{share}"
        case "order":
            side = "" if rule.side == "both" else f" of {_SIDES[rule.side]}"
            return (
                f"one order{side} {where} reaches {steps}; tells no second one as large for {window_name(rule.window)}"
            )
        case "surge":
            return f"{total} {where} reach {steps} times what is normal there, and {usd(rule.floor or Decimal(0))}"
        case "record":
            return f"{total} {where} are the most in {steps} days, and {usd(rule.floor or Decimal(0))} or more"
        case "cascade":
            times = _plain(rule.times[0] if rule.times else _TIMES)
            first, second = (_plain(fall) for fall in rule.falls)
            way = "under their high" if rule.side == "long" else "over their low"
            legs = ", ".join(str(number) for number in rule.legs)
            return (
                f"{_SIDES[rule.side]} liquidated in 5m reach {times} times a normal 5m (taken for "
                f"{usd(rule.normal * 5)} at least) while BTC and ETH are {first} % {way} of 15m, "
                f"again at {second} %, and at {legs} legs"
            )
        case "feed":
            return _feed(rule)


def _feed(rule: RuleSettings) -> str:
    venue = {"each venue": "a venue", "all": "every venue"}.get(rule.scope, rule.scope.removeprefix("venue="))
    match rule.condition:
        case "down":
            return f"{venue} has not been watched for {', '.join(span(after) for after in rule.after)}"
        case "silent":
            return f"{venue} was watched and brought no liquidation for {window_name(rule.window)}"
        case _:
            return f"{venue} was not watched for {_list(rule)} % of {window_name(rule.window)}"


def _clears(rule: RuleSettings) -> str:
    match rule.kind:
        case "level" if rule.is_relative:
            return "below 90 % of the first of these as of the crossing"
        case "level" | "order":
            return f"below {usd(rule.clear_level)}"
        case "surge":
            return f"below {_plain(rule.clear_level)} times"
        case "record":
            return "when they are not any more"
        case "cascade":
            return "when it has been over for 30m,"
        case "feed":
            return "when it is back,"


def _where(rule: RuleSettings) -> str:
    if rule.each_in:
        return f"for each coin of the class {rule.each_in}"
    if rule.scope.startswith("class="):
        return f"for all coins of the class {rule.scope[6:]} together"
    return {"all": "over all venues", "each base": "for each coin", "each venue": "for each venue"}.get(
        rule.scope, f"for {rule.scope.replace(',', ' and ')}"
    )


def _list(rule: RuleSettings) -> str:
    if rule.is_relative:
        return ", ".join(str(step) for step in rule.relative)
    show = usd if rule.kind in ("level", "order") else _plain
    return ", ".join(show(step) for step in rule.steps)


def _plain(value: Decimal) -> str:
    return format(value.normalize(), "f")
