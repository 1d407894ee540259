"""`python -m tests.fuzz [--seconds 30] [VENUE …]`: fuzzes venues one after the other, and says what was found.

What it finds stays in `.cache/fuzz/VENUE/found/`: inputs that broke something, to be tried again one by one with
`python -m tests.fuzz.venue VENUE FILE`. Where atheris cannot be had (it has wheels for some Pythons only), the suite's
hypothesis tests run instead, with many more examples.
"""

import argparse
import importlib.util
import os
import shutil
import subprocess
import sys
from pathlib import Path

from liqwatch import venues

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / ".cache" / "fuzz"  # what was found, and the inputs that reached most: the next run begins with them
ATHERIS = "atheris>=3,<4"
LONGEST_INPUT = 8192  # bytes
SLOWEST_INPUT = 10  # seconds: more is a loop
LARGEST_PROCESS = 2048  # MiB: more is a growth


def atheris_is_here() -> bool:
    """Installs atheris into this environment where it is missing. It is no part of the locks: only this needs it."""
    if importlib.util.find_spec("atheris") is None:
        print(f"installing {ATHERIS} into {sys.prefix}", file=sys.stderr)
        uv = shutil.which("uv", path=str(Path(sys.executable).parent))
        pip = [uv, "pip", "install", "--python", sys.executable] if uv else [sys.executable, "-m", "pip", "install"]
        done = subprocess.run([*pip, "--quiet", "--only-binary", ":all:", ATHERIS], check=False)
        if done.returncode != 0:
            print("atheris cannot be installed: no wheel for this Python, or no network", file=sys.stderr)
            return False
        importlib.invalidate_caches()
    return importlib.util.find_spec("atheris") is not None


def fuzz(name: str, seconds: int) -> bool:
    """Fuzzes one venue for so long; False if something was found."""
    folder = FOLDER / name
    found, corpus = folder / "found", folder / "corpus"
    for made in (found, corpus):
        made.mkdir(parents=True, exist_ok=True)
    options = [
        f"-max_total_time={seconds}",
        f"-max_len={LONGEST_INPUT}",
        f"-timeout={SLOWEST_INPUT}",
        f"-rss_limit_mb={LARGEST_PROCESS}",
        f"-artifact_prefix={found}/",
        "-len_control=0",
        "-verbosity=0",
        "-print_final_stats=1",
    ]
    command = [sys.executable, "-m", "tests.fuzz.venue", name, *options, str(corpus)]
    log = folder / "log"
    with log.open("wb") as output:
        done = subprocess.run(command, check=False, cwd=ROOT, stdout=output, stderr=subprocess.STDOUT)
    said = log.read_text(errors="replace")
    if done.returncode == 0:
        print(f"{name}: nothing in {_inputs(said)} inputs", flush=True)
        return True
    print(f"{name}: found something; the input is in {found}, the end of {log}:\n{said[-3000:]}", flush=True)
    return False


def _inputs(said: str) -> str:
    counted = [line.split()[-1] for line in said.splitlines() if "number_of_executed_units" in line]
    return counted[-1] if counted else "an unknown number of"


def hypothesis_instead(names: list[str], seconds: int) -> int:
    """The suite's fuzzing with about as many examples as fit into the time."""
    print("running the hypothesis tests with many examples instead", file=sys.stderr)
    environment = {**os.environ, "LIQWATCH_FUZZ_EXAMPLES": str(max(100, 20 * seconds))}
    command = [sys.executable, "-m", "pytest", "-q", "tests/venues/test_fuzz.py", "--timeout=0"]
    return subprocess.run(
        [*command, "-k", " or ".join(f"[{name}]" for name in names)], check=False, cwd=ROOT, env=environment
    ).returncode


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("venues", nargs="*", metavar="VENUE", help="Which ones; all where none is named.")
    parser.add_argument("--seconds", type=int, default=30, help="For each venue.")
    parser.add_argument("--hypothesis", action="store_true", help="Without atheris.")
    options = parser.parse_args()
    names = options.venues or list(venues.names())
    if unknown := set(names) - set(venues.names()):
        parser.error(f"no venue is called {', '.join(sorted(unknown))}; there are {', '.join(venues.names())}")
    if options.hypothesis or not atheris_is_here():
        sys.exit(hypothesis_instead(names, options.seconds))
    sys.exit(0 if all([fuzz(name, options.seconds) for name in names]) else 1)


if __name__ == "__main__":
    main()
