"""`liqwatch replay` of a million recorded lines against a recount by other code: equal to the micro-dollar?

The recount keeps a list with a place for every second, and lets each window's two ends run over it. Money is rounded
by `decimal`, each event once. Compared are every window's totals, counts and peaks by side with their times, the
largest order of each, and how many lines were repeated or too late.

`python -m benchmarks.replay_recount`; with `--json` one object; `--events 30000` is what the suite runs. Exit 1 if
anything differs.
"""

import argparse
import json
import random
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from decimal import ROUND_HALF_EVEN, Decimal
from pathlib import Path
from typing import Any

EVENTS = 1_000_000
DAYS = 3
SEED = 11
START_MS = 1_760_000_000_000
SPANS = {"5m": 300, "1h": 3600, "4h": 14_400, "12h": 43_200, "24h": 86_400}
LONGEST = max(SPANS.values())
_MICRO = Decimal("0.000001")
_REPEATED, _LATE = 0.02, 0.04


def lines(events: int, seed: int = SEED) -> Iterator[str]:
    """Recorded liquidations of three days: lulls and bursts, sums with 0 to 12 digits, some late, some twice.

    A few are later than the longest window, and a few repeat what has left it: those count again.
    """
    dice = random.Random(seed)
    mean_ms = DAYS * 86_400_000 / events
    clock = float(START_MS)
    kept: list[str] = []
    pace = 1.0
    for number in range(events):
        if number % 1000 == 0:
            pace = dice.choice((0.02, 0.3, 1.0, 1.0, 2.6))
        if kept and dice.random() < _REPEATED:
            yield dice.choice(kept)
            continue
        clock += dice.expovariate(1 / (mean_ms * pace * 0.7))
        at = int(clock)
        if dice.random() < _LATE:
            at -= int(dice.choice((400, 3_000, 70_000, 5_000_000, 50_000_000, 90_000_000)) * dice.random() * 2)
        usd = f"{dice.lognormvariate(8, 2.2):.{dice.choice((0, 2, 6, 7, 8, 12))}f}"
        if dice.random() < 0.01:
            usd = dice.choice(("0.0000005", "0.0000015", "0.5000005", "1.0000025", "2.00000050000001", "0"))
        venue, coin = dice.choice(("bybit", "okx", "htx", "gate")), dice.choice(("BTC", "ETH", "SOL", "PEPE", "XRP"))
        line = (
            f'{{"event_id":"{venue}:{number}","venue":"{venue}","symbol":"{coin}-USDT","base":"{coin}","quote":"USDT",'
            f'"side":"{dice.choice(("long", "short"))}","price":"1","price_kind":"fill","quantity":"1",'
            f'"notional_usd":"{usd}","event_time_ms":{at},"received_time_ms":{at + 40},"timed_by":"venue",'
            f'"source":"stream","unit":"order","version":1}}'
        )
        yield line
        if number % 7 == 0:
            kept.append(line)
            if len(kept) > 20_000:
                del kept[:5_000]


class Side:
    """One side: what each second brought, and for each window where its ends are. Micro-dollars."""

    def __init__(self, seconds: int) -> None:
        self.usd, self.count = [0] * seconds, [0] * seconds
        self.total, self.number = dict.fromkeys(SPANS, 0), dict.fromkeys(SPANS, 0)
        self.oldest = dict.fromkeys(SPANS, 0)  # first second inside
        self.peak: dict[str, tuple[int, int | None]] = dict.fromkeys(SPANS, (0, None))

    def advance(self, second: int) -> None:
        for name, span in SPANS.items():
            first = max(0, second - span + 1)
            for gone in range(self.oldest[name], first):
                self.total[name] -= self.usd[gone]
                self.number[name] -= self.count[gone]
            self.oldest[name] = max(first, self.oldest[name])

    def add(self, second: int, usd: int, clock_ms: int) -> None:
        self.usd[second] += usd
        self.count[second] += 1
        for name in SPANS:
            if second >= self.oldest[name]:
                self.total[name] += usd
                self.number[name] += 1
                if self.total[name] > self.peak[name][0]:
                    self.peak[name] = self.total[name], clock_ms


def recount(path: Path) -> dict[str, Any]:
    """What `liqwatch replay --json` should say of a file, but for the alerts and the other fields of the largest."""
    with path.open(encoding="utf-8") as file:
        earliest = min(json.loads(line)["event_time_ms"] for line in file) // 1000
    with path.open(encoding="utf-8") as file:
        latest = max(json.loads(line)["event_time_ms"] for line in file) // 1000
    sides = {name: Side(latest - earliest + 1) for name in ("long", "short")}
    seen: dict[str, int] = {}  # id -> second
    inside: list[tuple[int, int, str]] = []  # second, micro-dollars, id: of the end
    clock = events = duplicates = late = 0
    with path.open(encoding="utf-8") as file:
        for line in file:
            event = json.loads(line)
            events += 1
            if event["event_time_ms"] > clock:
                moved = event["event_time_ms"] // 1000 != clock // 1000
                clock = event["event_time_ms"]
                if moved:
                    for side in sides.values():
                        side.advance(clock // 1000 - earliest)
            second, oldest = event["event_time_ms"] // 1000, clock // 1000 - LONGEST
            if second <= oldest:
                late += 1
            elif seen.get(event["event_id"], oldest) > oldest:
                duplicates += 1
            else:
                seen[event["event_id"]] = second
                usd = int(Decimal(event["notional_usd"]).quantize(_MICRO, ROUND_HALF_EVEN).scaleb(6))
                sides[event["side"]].add(second - earliest, usd, clock)
                inside.append((second, usd, event["event_id"]))
    return {
        "events": events,
        "duplicates": duplicates,
        "late": late,
        "windows": {
            name: {
                side: {
                    "usd": _text(of.total[name]),
                    "count": of.number[name],
                    "peak_usd": _text(of.peak[name][0]),
                    "peak_at_ms": of.peak[name][1],
                }
                for side, of in sides.items()
            }
            for name in SPANS
        },
        "largest": {name: _largest(inside, clock // 1000 - span) for name, span in SPANS.items()},
    }


def _largest(inside: list[tuple[int, int, str]], oldest: int) -> str | None:
    """The id of the largest; of equal ones the smaller."""
    found = [(-usd, event_id) for second, usd, event_id in inside if second > oldest]
    return min(found)[1] if found else None


def _text(micro_dollars: int) -> str:
    return f"{Decimal(micro_dollars).scaleb(-6):.6f}"


def replayed(path: Path) -> dict[str, Any]:
    """What the program says."""
    command = [str(Path(sys.executable).with_name("liqwatch")), "replay", "--json", str(path)]
    result: dict[str, Any] = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    del result["alerts"]
    result["largest"] = {name: one and one["event_id"] for name, one in result["largest"].items()}
    return result


def differences(expected: Any, actual: Any, at: str = "") -> Iterator[str]:
    """Every figure that is not the same."""
    if isinstance(expected, dict) and isinstance(actual, dict) and set(expected) == set(actual):
        for key in expected:
            yield from differences(expected[key], actual[key], f"{at}.{key}")
    elif expected != actual:
        yield f"{at[1:]}: {actual}, and counted again {expected}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--events", type=int, default=EVENTS)
    parser.add_argument("--seed", type=int, default=SEED)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="liqwatch-recount-") as folder:
        path = Path(folder) / "events.jsonl"
        with path.open("w", encoding="utf-8") as file:
            file.writelines(line + "\n" for line in lines(options.events, options.seed))
        size = path.stat().st_size / 2**20
        begun = time.perf_counter()
        actual = replayed(path)
        seconds, cpu = time.perf_counter() - begun, _cpu_of_children()
        wrong = list(differences(recount(path), actual))
    row = {
        "events": actual["events"], "seconds": seconds, "cpu_seconds": cpu, "differences": len(wrong),
        "duplicates": actual["duplicates"], "late": actual["late"],
    }  # fmt: skip
    result = "\n".join(
        [
            f"`liqwatch replay` of {actual['events']:,} lines ({size:,.0f} MiB, {actual['duplicates']:,} repeated, "
            f"{actual['late']:,} too late; seed {options.seed}), the whole command, and a recount by other code.",
            "",
            "| | measured |",
            "|---|---:|",
            f"| seconds | {seconds:.1f} |",
            f"| of them CPU time | {cpu:.1f} |",
            f"| lines a second of CPU time | {actual['events'] / cpu:,.0f} |",
            f"| figures that differ, of {_figures(actual)} | {len(wrong)} |",
        ]
    )
    print("\n".join(wrong), file=sys.stderr, end="\n" if wrong else "")
    print(json.dumps({"markdown": result, **row}) if options.json else result)
    sys.exit(1 if wrong else 0)


def _cpu_of_children() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _figures(result: Any) -> int:
    return sum(map(_figures, result.values())) if isinstance(result, dict) else 1


if __name__ == "__main__":
    main()
