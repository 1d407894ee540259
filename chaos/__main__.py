"""Plays every fault against liqwatch and Alertmanager, prints the table and writes RESULTS.md: `make chaos`.

python -m chaos [--only NAME,…] [--runs N] [--seed S] [--json | --short]
"""

import argparse
import asyncio
import json
import logging
import sys
import tempfile
from dataclasses import asdict
from pathlib import Path

from .faults import FAULTS
from .page import RESULTS, page, short
from .rounds import Played, play_all


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m chaos", description=__doc__)
    parser.add_argument("--only", help="Faults, separated by commas.")
    parser.add_argument("--runs", type=int, help="So many runs of each, instead of its own number.")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", action="store_true", help="Counts as JSON instead of the table.")
    parser.add_argument("--short", action="store_true", help=f"Only prints the README's table, from {RESULTS.name}.")
    parser.add_argument("--out", type=Path, help=f"Where the table goes; of all faults by default {RESULTS.name}.")
    options = parser.parse_args()
    if options.short:
        print("\n".join(short(RESULTS.read_text(encoding="utf-8"))))
        return
    known = {fault.name: fault for fault in FAULTS}
    wanted = options.only.split(",") if options.only else list(known)
    unknown = set(wanted) - set(known)
    if unknown:
        parser.error(f"unknown fault {', '.join(sorted(unknown))}; there are {', '.join(known)}")
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)  # every try in an outage that is meant
    with tempfile.TemporaryDirectory() as folder:
        played: list[Played] = asyncio.run(
            play_all([known[name] for name in wanted], options.seed, options.runs, Path(folder))
        )
    text = page(played, options.seed, " ".join(["python -m chaos", *sys.argv[1:]]))
    out = options.out or (None if options.only or options.runs else RESULTS)
    if out is not None:
        out.write_text(text, encoding="utf-8")
    print(json.dumps([asdict(one) for one in played], default=str) if options.json else text)
    sys.exit(any(one.liqwatch is None or one.liqwatch.lost or one.liqwatch.unmarked for one in played))


if __name__ == "__main__":
    main()
