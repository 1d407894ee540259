"""Wire text to `Liquidation`, per venue: ours against bare `orjson.loads`, cryptofeed and ccxt, same frames, same run.

And ordinary trades, of which the trade feeds mostly consist: what one costs that is not a liquidation.

`python -m benchmarks.decode` prints a table; with `--json` one object. Each contender is a process of its own; the
newest cryptofeed and ccxt live in `.cache/bench-venv`, made at the first run. Contenders take short turns, so that a
neighbour on the machine disturbs all alike; figures are medians.
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Collection, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from liqwatch.venues import names

from . import decode_kinds, recorded_frames

ROOT = Path(__file__).parents[1]
WORKER = Path(__file__).with_name("decode_worker.py")
PEERS = ROOT / ".cache" / "bench-venv"
RUNS = 7
SLICES = 7  # of a run: contenders take turns after each, and the median of its slices is the run's figure
SECONDS = 0.02  # of CPU, a slice
LEAST_MILLION_TRADES = 1.0  # ordinary ones, a second and core
LEAST = {"floor": 0.4, "cryptofeed": 2.5, "ccxt": 10.0}


class Contender:
    """A worker process: what it reads, and how long that took whenever it is asked."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self._process = process
        hello = self._answer()
        self.reads: list[str] = hello["reads"]
        self.versions: dict[str, str] = hello["versions"]

    def seconds_of(self, kind: str) -> float:
        """CPU seconds a frame of this kind took, this time."""
        assert self._process.stdin is not None
        self._process.stdin.write(f"{kind}\n")
        self._process.stdin.flush()
        return float(self._answer())

    def _answer(self) -> Any:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"a worker ended: {self._process.args!r}")
        return json.loads(line)


@contextmanager
def started(python: str, name: str, seconds: float, table: Path) -> Iterator[Contender]:
    command = [python, str(WORKER), name, str(seconds), str(table)]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as process:
        try:
            yield Contender(process)
        finally:
            process.kill()


def peers_python() -> str | None:
    """The Python of an environment with the newest cryptofeed and ccxt; None where it cannot be made."""
    python = PEERS / "bin" / "python"
    ready = PEERS / "ready"
    if not ready.exists():
        print(f"installing cryptofeed and ccxt into {PEERS}", file=sys.stderr)
        try:
            subprocess.run([sys.executable, "-m", "venv", str(PEERS)], check=True)
            subprocess.run([str(python), "-m", "pip", "install", "-q", "cryptofeed", "ccxt"], check=True)
        except (OSError, subprocess.CalledProcessError) as error:
            print(f"without the peers: {error}", file=sys.stderr)
            return None
        ready.touch()
    return str(python)


def run(runs: int = RUNS, seconds: float = SECONDS, only: Collection[str] = ()) -> dict[str, Any]:
    """Microseconds of CPU per frame of each contender and kind, medians; ratios; what falls short of its target."""
    pythons = {"floor": sys.executable, "ours": sys.executable}
    peers = peers_python()
    if peers is not None:
        pythons |= {"cryptofeed": peers, "ccxt": peers}
    wanted = set(only or names())
    written = _of(wanted, decode_kinds.written())
    recorded = recorded_frames.recorded(wanted - decode_kinds.WRITTEN)
    ordinary = _of(wanted, decode_kinds.ordinary())
    every = written | recorded | ordinary
    with ExitStack() as stack:
        table = Path(stack.enter_context(tempfile.TemporaryDirectory())) / "frames.json"
        table.write_text(json.dumps(every), encoding="utf-8")
        contenders = {
            name: stack.enter_context(started(python, name, seconds, table)) for name, python in pythons.items()
        }
        versions = {package: v for c in contenders.values() for package, v in c.versions.items()}
        kinds = {}
        for kind in every:
            able = {name: contender for name, contender in contenders.items() if kind in contender.reads}
            kinds[kind] = _row([_run(kind, able) for _ in range(runs)])
    frames = {name: kinds[name] for name in written | recorded}
    trades = {kind["venue"]: _trades(kinds[name], kind["trades"]) for name, kind in ordinary.items()}
    result: dict[str, Any] = {
        "runs": runs,
        "versions": versions,
        "frames": frames,
        "ordinary_trades": trades,
        "short_of_target": _short(frames, trades),
    }
    return result | {"markdown": markdown(result)}


def _of(venues: set[str], kinds: dict[str, decode_kinds.Kind]) -> dict[str, decode_kinds.Kind]:
    return {name: kind for name, kind in kinds.items() if kind["venue"] in venues}


def _run(kind: str, contenders: dict[str, Contender]) -> dict[str, float]:
    slices = [{name: contender.seconds_of(kind) for name, contender in contenders.items()} for _ in range(SLICES)]
    return {name: statistics.median(one[name] for one in slices) for name in contenders}


def _row(rounds: list[dict[str, float]]) -> dict[str, float]:
    medians = {name: 1e6 * statistics.median(one[name] for one in rounds) for name in rounds[0]}
    row = {f"{name}_us": round(value, 3) for name, value in medians.items()}
    # The ratio is taken within each run, and then the median: neighbours come and go.
    for name in medians.keys() - {"ours"}:
        ratio = statistics.median(one[name] / one["ours"] for one in rounds)
        row["of_floor" if name == "floor" else f"times_{name}"] = round(ratio, 3)
    return row


def _trades(row: dict[str, float], trades: int) -> dict[str, float]:
    """Of frames with so many trades each: what one costs."""
    each = row["ours_us"] / trades
    return {
        "trades_a_frame": trades,
        "ours_us": round(each, 3),
        "million_a_second": round(1 / each, 2),
        "floor_us": round(row["floor_us"] / trades, 3),
        "of_floor": row["of_floor"],
    }


def _short(kinds: dict[str, dict[str, float]], trades: dict[str, dict[str, float]]) -> list[str]:
    short = []
    for kind, row in kinds.items():
        for name, least in LEAST.items():
            key = "of_floor" if name == "floor" else f"times_{name}"
            if key in row and row[key] < least:
                short.append(f"{kind}: {row[key]} x {name}, wanted {least}")
    for venue, row in trades.items():
        if row["million_a_second"] < LEAST_MILLION_TRADES:
            short.append(f"{venue}: {row['million_a_second']} million trades/s, wanted {LEAST_MILLION_TRADES}")
    return short


def markdown(result: dict[str, Any]) -> str:
    """The table, with a line on what falls short."""
    versions = ", ".join(f"{package} {version}" for package, version in sorted(result["versions"].items()))
    lines = [
        f"Wire text to Liquidation, CPU microseconds per frame, medians of {result['runs']} interleaved runs over 500 "
        f"different frames each; {versions}. The floor is a bare `orjson.loads`, and of the binary Paradex a "
        "`struct.unpack` of the trade. Empty: that library gives nothing for the frame.",
        "",
        "| frame | ours | floor | share of it | cryptofeed | times | ccxt | times |",
        "|---|---:|---:|---:|---:|---:|---:|---:|",
    ]
    for kind, row in result["frames"].items():
        cells = [
            _cell(row, key)
            for key in ("ours_us", "floor_us", "of_floor", "cryptofeed_us", "times_cryptofeed", "ccxt_us", "times_ccxt")
        ]
        lines.append(f"| {kind} | {' | '.join(cells)} |")
    lines += [
        "",
        "Ordinary trades, of which nothing is counted: CPU microseconds per trade, and how many a core reads a second.",
        "",
        "| trade feed | trades a frame | ours | million a second | the floor | times the floor |",
        "|---|---:|---:|---:|---:|---:|",
    ]
    lines += [
        f"| {venue} | {row['trades_a_frame']} | {row['ours_us']:.2f} | {row['million_a_second']:.2f} "
        f"| {row['floor_us']:.2f} | {row['of_floor']:.1f} |"
        for venue, row in result["ordinary_trades"].items()
    ]
    short = result["short_of_target"]
    lines += ["", f"Short of its target: {'; '.join(short) if short else 'nothing'}."]
    return "\n".join(lines)


def _cell(row: dict[str, float], key: str) -> str:
    return f"{row[key]:.2f}" if key in row else ""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true", help="One object instead of the table.")
    parser.add_argument("--runs", type=int, default=RUNS)
    parser.add_argument("--seconds", type=float, default=SECONDS, help="CPU seconds a slice.")
    parser.add_argument("--only", help="Venues, separated by commas.")
    options = parser.parse_args()
    result = run(options.runs, options.seconds, options.only.split(",") if options.only else ())
    print(json.dumps(result) if options.json else result["markdown"])


if __name__ == "__main__":
    main()
