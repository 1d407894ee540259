"""The locks are those of pyproject.toml: everything pinned and hashed, and no word of where packages come from."""

import re
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
REQUIRED = PROJECT["project"]["dependencies"]
EXTRAS = PROJECT["project"]["optional-dependencies"]
GROUPS = PROJECT["dependency-groups"]
LOCKS = {
    "run": REQUIRED,
    "dev": [*REQUIRED, *EXTRAS["charts"], *GROUPS["dev"]],
    "deploy": GROUPS["deploy"],
    "installer": GROUPS["installer"],
}
PIN = re.compile(r"^(?P<name>[A-Za-z0-9._-]+)==(?P<version>[^\s;]+)(?: ; [^\\]+)? \\$")
HASH = re.compile(r"^    --hash=sha256:[0-9a-f]{64}(?: \\)?$")
COMMENT = re.compile(r"^\s*#(?!.*://)")


def read(name: str) -> str:
    return (ROOT / "requirements" / f"{name}.lock").read_text()


def mistakes(text: str) -> Iterator[str]:
    """Lines of a lock that are not a pin, a hash, or a remark; pins without a hash."""
    unhashed = None
    for number, line in enumerate(text.splitlines(), 1):
        if pin := PIN.match(line):
            if unhashed:
                yield f"{unhashed} has no hash"
            unhashed = pin["name"]
        elif HASH.match(line):
            unhashed = None
        elif not COMMENT.match(line):
            yield f"line {number}: {line!r}"
    if unhashed:
        yield f"{unhashed} has no hash"


def pins(text: str) -> dict[str, str]:
    found = (PIN.match(line) for line in text.splitlines())
    return {canonicalize_name(pin["name"]): pin["version"] for pin in found if pin}


def missing(text: str, wanted: list[str]) -> list[str]:
    pinned = pins(text)
    requirements = [Requirement(line) for line in wanted]
    return [
        str(requirement)
        for requirement in requirements
        if not requirement.specifier.contains(pinned.get(canonicalize_name(requirement.name), "0"), prereleases=True)
    ]


@pytest.mark.parametrize("name", LOCKS)
def test_a_lock_pins_what_the_project_asks_for(name: str) -> None:
    assert [] == missing(read(name), LOCKS[name]), "run `make lock` and commit requirements/"


@pytest.mark.parametrize("name", LOCKS)
def test_a_lock_has_a_hash_for_every_pin_and_no_address(name: str) -> None:
    assert [] == list(mistakes(read(name)))


@pytest.mark.parametrize(
    "line",
    [
        "--index-url https://packages.example/simple",
        "--find-links /opt/wheels",
        "-e .",
        "liqwatch @ file:///source",
        "click==8.5.1",
        "    # from https://packages.example/simple",
    ],
)
def test_a_lock_with_an_address_or_an_unhashed_pin_is_seen(line: str) -> None:
    assert list(mistakes(f"{line}\n{read('installer')}"))


def test_a_dependency_that_was_added_without_the_lock_is_seen() -> None:
    assert ["flask>=3"] == missing(read("run"), [*REQUIRED, "flask>=3"])
    assert ["click>=99"] == missing(read("run"), ["click>=99"])


def test_tests_run_on_the_versions_that_the_program_runs_on() -> None:
    run, dev, deploy = pins(read("run")), pins(read("dev")), pins(read("deploy"))
    assert run == {name: dev.get(name) for name in run}
    assert {} == {name: version for name, version in deploy.items() if dev.get(name, version) != version}
