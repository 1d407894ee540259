"""What the pages say can be done can be done: commands exist, links lead somewhere, the promised pages are there."""

import re
import subprocess
import tomllib
from pathlib import Path

import click
import pytest

from liqwatch.alerter.picture import INSTALL
from liqwatch.cli import main
from liqwatch.venuetable import as_table
from tests.support.repository import ROOT, code_of, files, make_targets, pages

PROMISED = ("", "services", "schemas", "deploy", "tests")
ASKED_FOR = {"setup", "run", "demo", "test", "check", "bench", "kafka", "up", "down", "schemas"}
LINK = re.compile(r"\]\(([^)#\s]+)(?:#[^)]*)?\)")
MAKE = re.compile(r"^make ([a-z][a-z-]*)")
BY_NAME = re.compile(
    r"\bpip3? install\b[^\n]*[\s'\"]liqwatch\b|\bliqwatch\[[a-z,]+\]"
)  # from an index, where it is not
COMMAND = re.compile(r"(?:^|[ /])liqwatch ((?:[a-z][a-z-]*)(?: [a-z]+)?)((?: .*)?)$")


def unknown_commands(code: list[str]) -> list[str]:
    """Commands among pieces of code that neither the Makefile nor the program has."""
    unknown = []
    for piece in code:
        if (made := MAKE.match(piece.strip())) and made[1] not in make_targets():
            unknown.append(f"make {made[1]}")
        if (called := COMMAND.search(piece.split("#")[0].strip())) and not _known(called[1], called[2]):
            unknown.append(f"liqwatch {called[1]}")
    return unknown


def _known(words: str, rest: str) -> bool:
    first, _, second = words.partition(" ")
    command = main.commands.get(first.rstrip(","))
    if command is None:
        return first.isupper()
    if isinstance(command, click.Group) and second:
        command = command.commands.get(second)
        if command is None:
            return False
    known = {name for parameter in command.params for name in (*parameter.opts, *parameter.secondary_opts)}
    options = re.findall(r"(?<=\s)--[a-z-]+", rest.partition("|")[0])
    return all(option in known | {"--help"} for option in options)


@pytest.mark.parametrize("page", pages(), ids=lambda page: str(page.relative_to(ROOT)))
def test_a_page_names_only_commands_that_exist(page: Path) -> None:
    assert [] == unknown_commands(code_of(page))


@pytest.mark.parametrize("page", pages(), ids=lambda page: str(page.relative_to(ROOT)))
def test_a_page_links_only_to_what_is_there(page: Path) -> None:
    targets = [target for target in LINK.findall(page.read_text()) if "://" not in target]
    assert [] == [target for target in targets if not (page.parent / target).exists()]


@pytest.mark.parametrize(
    "piece", ["make coffee", ".venv/bin/liqwatch brew", "liqwatch run --hot", "liqwatch topics drop"]
)
def test_a_command_that_does_not_exist_is_seen(piece: str) -> None:
    assert unknown_commands([piece])


@pytest.mark.parametrize("folder", PROMISED)
def test_the_page_of_a_folder_is_there_and_says_something(folder: str) -> None:
    assert len((ROOT / folder / "README.md").read_text().splitlines()) > 10


def test_the_licence_is_there() -> None:
    assert "Apache License" in (ROOT / "LICENSE").read_text()


def test_every_command_has_a_line_of_help_and_no_target_is_missing() -> None:
    assert ASKED_FOR <= make_targets()
    assert all(command.help for command in main.commands.values())


@pytest.mark.parametrize("target", sorted(make_targets()))
def test_make_can_read_a_target(target: str) -> None:
    done = subprocess.run(["make", "--dry-run", target], cwd=ROOT, capture_output=True, text=True, check=False)
    assert 0 == done.returncode, done.stderr


def test_the_readme_shows_the_venues_as_they_are() -> None:
    assert as_table() in (ROOT / "README.md").read_text(), "paste what `liqwatch venues` prints"


def test_no_file_says_to_install_the_project_by_its_name() -> None:
    """No index has it: who reads that would get nothing, or what a stranger put there."""
    shown = [
        path for path in files() if path.suffix in {".md", ".py", ".toml", ".sh", ".yaml"} and path != Path(__file__)
    ]
    assert [] == [str(path.relative_to(ROOT)) for path in shown if BY_NAME.search(path.read_text())]


@pytest.mark.parametrize(
    "text", ["pip install liqwatch", "pip install -q 'liqwatch[charts]'", "install liqwatch[charts]"]
)
def test_an_installation_by_name_is_seen(text: str) -> None:
    assert BY_NAME.search(text)


def test_the_remedy_for_missing_pictures_names_what_the_extra_does() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    (library,) = project["optional-dependencies"]["charts"]
    assert f"pip install '{library}'" in INSTALL


def test_the_map_names_every_module_and_package_of_the_top() -> None:
    top = ROOT / "services" / "liqwatch"
    there = {path.name for path in top.glob("*.py")} | {f"{path.parent.name}/" for path in top.glob("*/__init__.py")}
    named = (ROOT / "services" / "README.md").read_text()
    assert [] == sorted(name for name in there - {"__init__.py"} if f"`{name}`" not in named)


def test_the_page_about_tests_names_every_folder_of_them() -> None:
    folders = {path.parent.name for path in (ROOT / "tests").glob("*/*") if path.is_file() and path.suffix == ".py"}
    named = (ROOT / "tests" / "README.md").read_text()
    assert [] == sorted(name for name in folders if f"`{name}/`" not in named)
