"""The words for the kinds of rules that are more than a level: orders, surges, records, cascades, feeds. Pure."""

from dataclasses import dataclass
from decimal import Decimal

from ..amounts import DOLLAR, money
from ..relative import PAST_DAYS
from ..rulesettings import RuleSettings
from ..wire import micros
from .cascade import LEG_TIMES, Episode
from .percentiles import Yardstick
from .text import (
    Snapshot,
    Story,
    capital,
    coverage_line,
    duration,
    exact,
    floor_words,
    moment,
    name,
    percent,
    place,
    span_words,
    subject,
    title,
    total_words,
)

_WATCHED_WHOLE = 0.9995  # what is shown as 100 %


@dataclass(frozen=True, slots=True)
class Facts:
    """What a kind knows beside the totals. USD in micro-dollars; None: not known."""

    normal: int | None = None  # of the window
    times: float | None = None
    since_ms: int | None = None  # when a total was last as high
    began_ms: int | None = None  # since when that is known
    episode: Episode | None = None
    fall: float | None = None  # of the index now, as a share
    coins: tuple[str, ...] = ()  # beside BTC and ETH that are in the cascade
    unwatched_ms: int = 0
    watched: float | None = None  # of the time that is asked about
    left_out: tuple[str, ...] = ()  # venues that were not heard all the time: what they brought is not judged
    days: int = 0  # the last so many days, …
    whole_days: int | None = None  # … and how many of them were watched in full
    yardstick: Yardstick | None = None  # of relative steps


def story(rule: RuleSettings, snapshot: Snapshot, facts: Facts) -> Story | None:
    """Headline and first lines; None for a plain level, which needs no more than its figure."""
    match rule.kind:
        case "level":
            if rule.is_relative:
                return _relative(rule, snapshot, facts)
            return None if rule.share is None else _share(rule, snapshot)
        case "order":
            return _order(rule, snapshot)
        case "surge":
            return _surge(rule, snapshot, facts)
        case "record":
            return _record(rule, snapshot, facts)
        case "cascade":
            return _cascade(rule, snapshot, facts)
        case "feed":
            return _feed(rule, snapshot, facts)


def _share(rule: RuleSettings, snapshot: Snapshot) -> Story:
    both = snapshot.long + snapshot.short
    share = percent(snapshot.usd / both) if both else "0 %"
    what = f"{total_words(snapshot)}, {share} of the total"
    least = f"{_number(rule.share or Decimal(0))} %"
    step = exact(snapshot.threshold)
    match snapshot.kind:
        case "fired":
            line = f"{what}, past {step} and {least}."
        case "stepped_up":
            line = f"{what}, now past {step}."
        case "reminded":
            line = f"Still open past {step}: {what}."
        case "cleared":
            line = f"Cleared: {_subject(snapshot)} no longer past {exact(rule.steps[0])} and {least}: now {what}."
    return Story(capital(line))


def _relative(rule: RuleSettings, snapshot: Snapshot, facts: Facts) -> Story:
    what, step = total_words(snapshot), exact(snapshot.threshold)
    yardstick = facts.yardstick
    steps = () if yardstick is None else rule.ladder_at(yardstick.usd).steps
    spelt = [
        one for one, (_, usd) in zip(rule.relative, steps, strict=False) if usd == snapshot.threshold
    ]  # none where the settings have changed
    past = f"{spelt[-1]} of its last {PAST_DAYS} days at this hour, {step}" if spelt else step
    match snapshot.kind:
        case "fired":
            line = f"{what}, past {past}."
        case "stepped_up":
            line = f"{what}, now past {past}."
        case "reminded":
            line = f"Still open past {past}: {what}."
        case "cleared":
            line = f"Cleared: {_subject(snapshot)} back under {step}, 90 % of what it fired at, now {what}."
    lines: tuple[str, ...] = ()
    if yardstick is not None:
        wanted = dict.fromkeys(one.percentile for one in rule.relative)
        usual = ", ".join(f"p{number} {money(usd)}" for number, usd in yardstick.usd if number in wanted)
        near = "" if yardstick.near == 0 else f" and up to {duration(yardstick.near * 3_600_000)} beside it"
        lines = (
            f"Usual for {span_words(snapshot.window)} at this hour of the week{near}: {usual}; of {yardstick.hours} "
            f"hours on the {yardstick.days} days that are known of the last {PAST_DAYS}.",
        )
    return Story(capital(line), lines)


def _order(rule: RuleSettings, snapshot: Snapshot) -> Story:
    record, span = snapshot.largest, span_words(snapshot.window)
    step = exact(snapshot.threshold)
    what = "an order"
    if record is not None:
        amount = money(micros(record.notional_usd))
        where = f"{title(snapshot, record.venue)} {name(record.symbol)}"
        what = f"{amount} of {where} {record.side} liquidated in one {record.unit}"
    match snapshot.kind:
        case "fired":
            line = f"{what}, past {step}."
        case "stepped_up":
            line = f"Larger still: {what}, now past {step}."
        case "reminded":
            line = f"Still open: {what}."
        case "cleared":
            least = exact(rule.steps[0])
            line = f"Cleared: no {_single(snapshot)} of {least} or more liquidated{place(snapshot)} for {span}."
    return Story(capital(line))


def _surge(rule: RuleSettings, snapshot: Snapshot, facts: Facts) -> Story:
    what, step = total_words(snapshot), f"{_number(snapshot.threshold)} times"
    times = "" if facts.times is None else f", {_times(facts.times)} times the normal"
    match snapshot.kind:
        case "fired":
            line = f"{what}{times}, past {step}."
        case "stepped_up":
            line = f"{what}{times}, now past {step}."
        case "reminded":
            line = f"Still open past {step}: {what}{times}."
        case "cleared":
            line = f"Cleared: {_subject(snapshot)} back under {step} the normal, now {what}."
    lines: tuple[str, ...] = ()
    if facts.normal is not None:
        watched = facts.watched is None or facts.watched >= _WATCHED_WHOLE
        day = "the last day" if watched else f"the {percent(facts.watched or 0.0)} of the last day that was watched"
        lines = (f"Normal for {span_words(snapshot.window)}: {money(facts.normal)}, the average of {day}.",)
    if facts.left_out:
        names = ", ".join(title(snapshot, venue) for venue in facts.left_out)
        lines += (f"Judged without {names}: not watched for all of the {span_words(snapshot.window)}.",)
    return Story(capital(line), lines)


def _record(rule: RuleSettings, snapshot: Snapshot, facts: Facts) -> Story:
    what, step = total_words(snapshot), _days(snapshot.threshold)
    if facts.since_ms is not None:
        most = f"the most since {_day(facts.since_ms)}"
    elif facts.began_ms is not None:
        most = f"the most since watching began on {_day(facts.began_ms)}"
    else:
        most = f"the most in {step}"
    if facts.whole_days is not None and facts.whole_days < facts.days:
        last = "the last day" if facts.days == 1 else f"the last {facts.days} days"
        most += f" ({facts.whole_days} of {last} with full coverage)"
    match snapshot.kind:
        case "fired" | "stepped_up":
            line = f"{what}, {most}."
        case "reminded":
            line = f"Still {most}: {what}."
        case "cleared":
            line = f"Cleared: {_subject(snapshot)} no longer the most in {_days(rule.steps[0])}, now {what}."
    return Story(capital(line))


def _cascade(rule: RuleSettings, snapshot: Snapshot, facts: Facts) -> Story:
    side, episode = f"{rule.side}s", facts.episode
    five, times, fall = snapshot.usd, facts.times, facts.fall
    if episode is not None and snapshot.kind in ("fired", "stepped_up"):
        five, times, fall = episode.stage_five, episode.stage_times, episode.stage_fall  # as it was seen
    stage, words, span = int(snapshot.threshold), "in 5 minutes", "within 15 minutes"
    normal = "the normal"
    if episode is not None and snapshot.kind == "reminded" and (times is None or times < LEG_TIMES):
        # Between two waves the 5 minutes say nothing of it.
        five, times, fall, words, span = (
            episode.usd,
            None,
            episode.fall,
            f"since {moment(episode.started_ms)}",
            "at most",
        )
    elif episode is not None and snapshot.kind != "cleared" and stage >= 3 and times is not None and times < LEG_TIMES:
        # A leg is paid for since the one before, which may be longer ago than 5 minutes.
        five, times, fall, normal = episode.leg_usd, episode.leg_times, episode.leg_fall, "the normal of 5 minutes"
        words = span = "since the leg before"
    now = f"{floor_words(snapshot)}{money(five)} of {side} liquidated {words}"
    now += "" if times is None else f", {_times(times)} times {normal}"
    if fall is not None:
        now += f"; BTC and ETH {percent(fall)} {'down' if rule.side == 'long' else 'up'} {span}"
    wide = "Market-wide cascade" if len(facts.coins) >= 3 else "Cascade"
    match snapshot.kind:
        case "cleared":
            line = f"{wide} of {side} over."
        case "reminded":
            line = f"{wide} of {side} goes on: {now}."
        case _ if stage >= 3 and episode is not None:
            line = f"{wide} of {side}, leg {episode.legs}: {now}."
        case _ if stage == 2:
            line = f"{wide} of {side}: {now}."
        case _:
            line = f"{wide} of {side} may have begun: {now}."
    return Story(line, _cascade_lines(rule, snapshot, facts), peak=False)


def _cascade_lines(rule: RuleSettings, snapshot: Snapshot, facts: Facts) -> tuple[str, ...]:
    lines = []
    if facts.normal is not None:
        lines.append(f"Normal for 5 minutes: {money(facts.normal)}.")
    if (episode := facts.episode) is not None:
        far = percent(episode.fall)
        legs = f"{episode.legs} {'leg' if episode.legs == 1 else 'legs'}"
        whole = f"{floor_words(snapshot)}{money(episode.usd)} in {episode.orders:,} orders"
        lasted = duration((episode.ended_ms or snapshot.now_ms) - episode.started_ms)
        move = "fell" if rule.side == "long" else "rose"
        lines.append(
            capital(f"{whole} since {moment(episode.started_ms)} ({lasted}); BTC and ETH {move} {far} at most; {legs}.")
        )
        lines.append(f"Worst 5 minutes: {money(episode.peak)}, at {moment(episode.peak_ms)}.")
    if facts.coins:
        coins = ", ".join(name(coin) for coin in facts.coins[:5])
        more = f" and {len(facts.coins) - 5} more" if len(facts.coins) > 5 else ""
        lines.append(f"Beside BTC and ETH: {coins}{more}.")
    return tuple(lines)


def _feed(rule: RuleSettings, snapshot: Snapshot, facts: Facts) -> Story:
    venue = next((part[6:] for part in snapshot.scope.split(",") if part.startswith("venue=")), None)
    who = title(snapshot, venue) if venue else "any venue"
    is_over, span = snapshot.kind == "cleared", span_words(snapshot.window)
    again = {"stepped_up": "still ", "reminded": "still "}.get(snapshot.kind, "")
    if rule.condition == "down":
        away = duration(facts.unwatched_ms)
        lasted = duration(snapshot.now_ms - (snapshot.opened_ms or snapshot.now_ms))
        line = f"Feed back: {who} is watched again, {lasted} after the alert."
        if not is_over:
            line = f"Feed {again}down: {who} has not been watched for {away}."
            if venue is None:
                line = f"All feeds {again}down: no venue has been watched for {away}."
    elif rule.condition == "silent":
        line = f"Feed {again}silent: no liquidation from {who} in {span}, though it is connected."
        if is_over:
            line = f"Feed heard again: {who} brings liquidations."
    else:
        share = percent(facts.watched or 0.0)
        line = f"Feed {again}incomplete: {who} was watched {share} of the last {span}."
        if is_over:
            line = f"Feed complete enough again: {who} was watched {share} of the last {span}."
    return Story(line, (coverage_line(snapshot),) if snapshot.coverage else (), bare=True)


def _subject(snapshot: Snapshot) -> str:
    return f"{subject(snapshot)} liquidated{place(snapshot)} in {span_words(snapshot.window)}"


def _single(snapshot: Snapshot) -> str:
    coin = next((part[5:] + " " for part in snapshot.scope.split(",") if part.startswith("base=")), "")
    return f"{name(coin.strip())} order" if coin else "order"


def _times(value: float) -> str:
    return f"{value:,.0f}" if value >= 10 else f"{value:.1f}"


def _number(value: Decimal) -> str:
    return format(value.normalize(), "f")


def _days(step: Decimal) -> str:
    return "1 day" if step == 1 else f"{_number(step)} days"


def _day(at_ms: int) -> str:
    return moment(at_ms)[:10]


def normal_of(times: float | None, usd: int) -> int | None:
    """Micro-dollars that are normal, from a total and how many times the normal it is."""
    return None if not times else int(usd / times) // DOLLAR * DOLLAR
