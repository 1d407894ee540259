"""The repository as a reader of it sees it: its files, its pages, its commands."""

import re
import subprocess
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[2]
_FENCE = re.compile(r"^```[a-z]*\n(.*?)^```", re.MULTILINE | re.DOTALL)
_INLINE = re.compile(r"`([^`\n]+)`")


@cache
def files() -> tuple[Path, ...]:
    """Every file that is, or would be, committed."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"],
        cwd=ROOT,
        capture_output=True,
        check=False,
    )
    names = listed.stdout.decode().split("\0")[:-1]
    if listed.returncode != 0:  # an unpacked archive, without git
        names = [str(path.relative_to(ROOT)) for path in ROOT.rglob("*") if not _private(path)]
    return tuple(path for path in (ROOT / name for name in names) if path.is_file())


def _private(path: Path) -> bool:
    return any(part.startswith(".") and part != ".ci" for part in path.relative_to(ROOT).parts)


def pages() -> tuple[Path, ...]:
    """The pages written for people."""
    return tuple(path for path in files() if path.suffix == ".md")


def code_of(page: Path) -> list[str]:
    """What a page shows as code: the lines of its blocks and its inline pieces."""
    text = page.read_text()
    blocks = [line for block in _FENCE.findall(text) for line in block.splitlines()]
    return blocks + _INLINE.findall(_FENCE.sub("", text))


def make_targets() -> set[str]:
    """Targets of the Makefile that are for people: those with a line of help."""
    return set(re.findall(r"^([a-z-]+):.*## ", (ROOT / "Makefile").read_text(), re.MULTILINE))
