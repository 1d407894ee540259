"""The rules alone: CPU time that one tick takes, with 2,000 pairs of a rule and a scope of which all have changed.

All kinds of rules; 320 coins as they trade (a few have most of it), 22 venues, 12 partitions, 30 days of history. A
tick is what the alerter does after a batch of totals: which pairs are due, the sum of each, its figure, the judgement.
Reading the batch stands beside it; telling what fired is measured elsewhere (`latency`). Two rows: most coins far below
what is asked for, as they are on nearly every day; and all above every floor with an incident open, which is the worst.
`python -m benchmarks.rules`; with `--json` one object.
"""

import argparse
import json
import random
import statistics
import time
from collections.abc import Collection, Iterator
from datetime import timedelta
from typing import Any

from liqwatch import venues
from liqwatch.alerter.cascade import Cascade
from liqwatch.alerter.figures import Figures
from liqwatch.alerter.history import MINUTE_MS, History
from liqwatch.alerter.judging import Judging
from liqwatch.alerter.measures import Measures
from liqwatch.alerter.minutes import Row
from liqwatch.alerter.tape import Tape
from liqwatch.cli import collect_rarely
from liqwatch.coins import MAJORS
from liqwatch.events import Coverage
from liqwatch.settings import RuleSettings
from liqwatch.topics import PARTITIONS
from liqwatch.wire import Heartbeat, LargestRecord, Totals, encode

MOST_MS = 10
PAIRS = 2_000
PARTS = 4  # partitions that a total has a part in
TICKS = 40
WINDOWS = {"5m": 5, "1h": 60, "4h": 240, "24h": 1440}
NOW_MS = 1_790_000_000_000
DAY_MS = 86_400_000
COINS = ["BTC", "ETH", *MAJORS, *(f"C{number}" for number in range(306))]
VENUES = {name: name for name in venues.names()[:22]}


def rules() -> list[RuleSettings]:
    """Six for each coin, four for each venue, and the market's own."""
    made: list[dict[str, Any]] = [
        {"name": "level", "scope": "each base", "window": "1h", "thresholds": ["100M", "300M", "1B"]},
        {"name": "relative", "scope": "each base", "window": "1h", "thresholds": ["2 x p95", "3 x p99"], "floor": "5M"},
        {"name": "share", "scope": "each base", "side": "long", "thresholds": ["200M"], "share": "85%"},
        {"name": "order", "kind": "order", "scope": "each base", "thresholds": ["10M", "25M"]},
        {"name": "surge", "kind": "surge", "scope": "each base", "times": [100, 300], "floor": "2M"},
        {"name": "others", "scope": "each base in others", "window": "4h", "thresholds": ["50M"], "repeat": "1h"},
        {"name": "venue", "scope": "each venue", "thresholds": ["1B", "3B"]},
        {"name": "down", "kind": "feed", "scope": "each venue", "condition": "down"},
        {"name": "silent", "kind": "feed", "scope": "each venue", "condition": "silent", "window": "1h"},
        {"name": "incomplete", "kind": "feed", "scope": "each venue", "condition": "incomplete", "window": "24h"},
        {"name": "record", "kind": "record", "side": "long", "floor": "500M"},
        {"name": "btc-record", "kind": "record", "scope": "base=BTC", "floor": "100M"},
        {"name": "cascade", "kind": "cascade", "side": "long"},
        {"name": "cascade-up", "kind": "cascade", "side": "short"},
        {"name": "majors", "scope": "class=majors", "thresholds": ["300M"]},
        {"name": "market", "scope": "all", "side": "long", "thresholds": ["1B", "1.7B", "3B", "5B", "10B"]},
    ]
    return [RuleSettings.model_validate(one) for one in made]


class Known:
    """The past as the alerter has it: bars of 30 days, every one of them watched."""

    def __init__(self, asked: list[RuleSettings]) -> None:
        self.history: History | None = History(asked, MAJORS)
        self._tape = Tape(asked)
        self._tape.begun = True
        dice = random.Random(3)
        now = NOW_MS // MINUTE_MS
        for hour in range(30 * 24, 0, -1):
            self.history.add(now - hour * 60, [Row("bybit", coin, dice.randrange(10**10), 10**9) for coin in COINS])
            self.history.settle(NOW_MS - hour * 60 * MINUTE_MS + 2 * MINUTE_MS)
        self.history.settle(NOW_MS)

    def cascade(self, rule: str) -> Cascade | None:
        return self._tape.cascades.get(rule)

    def hours(self, scope: str, span_ms: int, now_ms: int) -> Collection[int]:
        return range(now_ms // (60 * MINUTE_MS))

    def whole_days(self, scope: str, days: int, now_ms: int) -> int:
        return days


def batch(dice: random.Random, tick: int, times: float) -> Iterator[bytes]:
    """Every total of every coin and venue, changed: in one of the four partitions that have a part of it."""
    at_ms = NOW_MS + tick * 1000
    for window, minutes in WINDOWS.items():
        for number, scope in enumerate(["all", *(f"base={c}" for c in COINS), *(f"venue={v}" for v in VENUES)]):
            usd = times * minutes / 1440 * 3e8 / (1 + number % (1 + len(COINS))) / PARTS
            for turn in range(PARTS) if tick == 0 else [tick % PARTS]:
                partition = (number + turn * PARTITIONS // PARTS) % PARTITIONS
                long, short = (f"{usd * dice.uniform(0.3, 0.7):.6f}" for _ in range(2))
                largest = LargestRecord(
                    f"e{dice.random()}", "okx", "X", "X", "long", "1", f"{usd * 0.1:.6f}", at_ms, "order"
                )
                yield encode(Totals(partition, window, scope, 1, at_ms, 7, long, 900, short, 400, largest_long=largest))
    for partition in range(PARTITIONS):
        yield encode(Heartbeat(partition, 1, at_ms, 7, 8, True))


def measured(times: float) -> dict[str, float]:
    """Milliseconds of CPU time of each tick, and how many pairs were judged in it."""
    asked, dice = rules(), random.Random(5)
    collect_rarely()  # as every service does
    known = Known(asked)
    assert known.history is not None
    known.history.ready = True
    figures = Figures(timedelta(days=1), 1.0, VENUES)
    for venue in VENUES:
        figures.take_coverage(
            Coverage(
                venue=venue, collector="c", interval_id=venue, kind="watched", from_ms=NOW_MS - 2 * DAY_MS,
                to_ms=NOW_MS + DAY_MS, open=True, completeness="all",
            ).model_dump_json().encode()
        )  # fmt: skip
    judging = Judging(asked)
    measures = Measures(figures.sum, figures.scopes, figures, known, figures)
    spent, reading, pairs, open_pairs = [], [], [], 0
    for tick in range(TICKS):
        now_ms = NOW_MS + tick * 1000
        values = list(batch(dice, tick, times))
        begun = time.process_time()
        for value in values:
            figures.take_totals(value)
        reading.append((time.process_time() - begun) * 1000)
        begun = time.process_time()
        number = 0
        if not figures.stale(now_ms):
            judging.touch_all(figures.touched())
            judging.touch_remembered()
            judging.touch_timed(figures.known_venues())
            for rule, scope in judging.due():
                number += 1
                found = measures.take(rule, scope, judging.is_open(rule, scope), now_ms)
                if found is not None:
                    judging.ask(rule, scope, found.value, now_ms, found.yardstick)
        spent.append((time.process_time() - begun) * 1000)
        pairs.append(number)
        open_pairs = sum(judging.is_open(rule, scope) for rule, scope in ((r, s) for r in asked for s in _scopes(r)))
    steady = spent[TICKS // 4 :]  # the first ones look at the past, once an hour
    return {
        "pairs": statistics.median(pairs),
        "open": open_pairs,
        "ms": statistics.median(steady),
        "reading_ms": statistics.median(reading[1:]),
        "worst_ms": max(steady),
        "first_ms": spent[0],
    }


def _scopes(rule: RuleSettings) -> list[str]:
    if rule.each == "base=":
        return [f"base={coin}" for coin in COINS]
    return [f"venue={venue}" for venue in VENUES] if rule.each else [rule.scope]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    rows = {"a day like others": measured(1), "every coin above every floor": measured(100_000)}
    lines = [
        f"CPU time of a tick, median of {TICKS * 3 // 4}, all totals changed. To be reached: {PAIRS:,} pairs of a rule "
        f"and a scope in under {MOST_MS} ms.",
        "",
        "| | pairs judged | of them open | ms a tick | at most | 2,000 pairs | reading its totals, ms |",
        "|---|---:|---:|---:|---:|---:|---:|",
    ]
    for title, row in rows.items():
        lines.append(
            f"| {title} | {row['pairs']:,.0f} | {row['open']:,.0f} | {row['ms']:.1f} | {row['worst_ms']:.1f} "
            f"| {row['ms'] * PAIRS / row['pairs']:.1f} | {row['reading_ms']:.1f} |"
        )
    print(json.dumps({"markdown": "\n".join(lines), **rows}) if options.json else "\n".join(lines))


if __name__ == "__main__":
    main()
