"""Runs every benchmark and writes the table that the README quotes: `make bench`.

Each part runs as a process of its own, one after the other, so that none shares a core with another. Kafka parts need
a broker: each has a fresh one on free ports. `--only decode,window` runs a part of it.
"""

import argparse
import contextlib
import datetime
import json
import os
import platform
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tests.support.program import free_port

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "benchmarks" / "RESULTS.md"
PARTS: dict[str, tuple[str, list[str], bool]] = {  # name: (module, arguments, needs Kafka)
    "decode": ("benchmarks.decode", ["--json"], False),
    "window": ("benchmarks.window", ["--json"], False),
    "rules": ("benchmarks.rules", ["--json"], False),
    "replay": ("benchmarks.replay_recount", ["--json"], False),
    "rebuild": ("benchmarks.rebuild", ["--json"], True),
    "aggregate": ("benchmarks.aggregate_kafka", ["--json"], True),
    "viewers": ("benchmarks.viewers", ["--json"], False),
    "size": ("benchmarks.size", ["--json"], False),
    "latency-embedded": ("benchmarks.latency", ["embedded"], False),
    "latency-targets": ("benchmarks.latency", ["embedded", "--targets", "50", "--dead", "10"], False),
    # … and in a market that is quiet, as nearly always: all venues together bring 40 events a second
    "latency-targets-quiet": (
        "benchmarks.latency",
        ["embedded", "--targets", "50", "--dead", "10", "--rate", "50"],
        False,
    ),
    "latency-kafka": ("benchmarks.latency", ["kafka"], True),
}
LIMIT_SECONDS = 1500


def processor() -> str:
    """The machine's processor, as it calls itself."""
    with contextlib.suppress(OSError), open("/proc/cpuinfo", encoding="utf-8") as file:
        for line in file:
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.machine()


@contextlib.contextmanager
def broker(wanted: bool) -> Iterator[str | None]:
    """A real Kafka broker of our own, or None where it cannot be had."""
    if not wanted:
        yield None
        return
    script = str(ROOT / "deploy" / "kafka" / "broker.py")
    with tempfile.TemporaryDirectory() as folder:
        port, controller = free_port(), free_port()
        options = ["--data", folder, "--port", str(port), "--controller-port", str(controller)]
        started = subprocess.run(
            [sys.executable, script, "start", *options], check=False, text=True, capture_output=True
        )
        if started.returncode != 0:
            print(f"no Kafka, its parts are left out: {started.stderr.strip()}", file=sys.stderr)
            yield None
            return
        try:
            yield f"127.0.0.1:{port}"
        finally:
            subprocess.run([sys.executable, script, "stop", *options], check=False)


def run_part(name: str, bootstrap: str | None) -> Any:
    """One part's own JSON; None where it could not run."""
    module, arguments, kafka = PARTS[name]
    if kafka and bootstrap is None and name != "rebuild":
        return None
    command = [sys.executable, "-m", module, *arguments]
    if kafka and bootstrap is not None:
        command += ["--bootstrap", bootstrap]
    print(f"{name} …", file=sys.stderr, flush=True)
    done = subprocess.run(command, cwd=ROOT, check=False, text=True, capture_output=True, timeout=LIMIT_SECONDS)
    if done.returncode != 0:
        print(f"{name} failed: {done.stderr[-2000:]}", file=sys.stderr)
        return None
    return json.loads(done.stdout.strip().splitlines()[-1])


def page(results: dict[str, Any]) -> str:
    """The results as Markdown: each part says its own rows."""
    lines = [
        "# Benchmark results",
        "",
        f"`make bench`, {datetime.datetime.now(datetime.UTC):%Y-%m-%d}, {processor()}, {os.cpu_count()} cores, "
        f"Python {platform.python_version()}. Medians; the runs of each figure stand beside it.",
        "",
    ]
    for name, result in results.items():
        lines.append(f"## {name}")
        lines.append("")
        if result is None:
            lines.append("Not run here (no Kafka, or it failed; see the output of `make bench`).")
        elif isinstance(result, dict) and isinstance(result.get("markdown"), str):
            lines.append(result["markdown"].strip())
        else:
            lines += ["| figure | value |", "|---|---|"]
            lines += [f"| {key} | {value} |" for key, value in result.items()]
        lines.append("")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", help="Parts, separated by commas.")
    parser.add_argument("--out", type=Path, default=RESULTS)
    options = parser.parse_args()
    wanted = options.only.split(",") if options.only else list(PARTS)
    unknown = set(wanted) - set(PARTS)
    if unknown:
        parser.error(f"unknown part {', '.join(sorted(unknown))}; there are {', '.join(PARTS)}")
    results: dict[str, Any] = {}
    for name in wanted:
        with broker(PARTS[name][2]) as bootstrap:  # a fresh one for each part: they fill the same topics
            results[name] = run_part(name, bootstrap)
    text = page(results)
    options.out.write_text(text, encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()
