"""The modules keep their distance, and import no package that the project does not name."""

import ast
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement

ROOT = Path(__file__).parents[2]
SERVICES = ROOT / "services"
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
IMPORT_NAMES = {"prometheus-client": "prometheus_client", "typing-extensions": "typing_extensions"}
NEVER_IMPORTED = {"cramjam"}  # aiokafka's zstd


def imported_by(source: str) -> set[str]:
    """Top-level names of the absolute imports in `source`."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            names.add(node.module.split(".")[0])
    return names


def third_party() -> set[str]:
    files = [path for path in SERVICES.rglob("*.py")]
    found = set().union(*(imported_by(path.read_text()) for path in files))
    return found - set(sys.stdlib_module_names) - {"liqwatch"}


def declared() -> set[str]:
    required, extras = PROJECT["project"]["dependencies"], PROJECT["project"]["optional-dependencies"]
    names = {Requirement(line).name for line in (*required, *extras["charts"])}
    return {IMPORT_NAMES.get(name, name) for name in names}


def test_what_is_imported_is_declared_and_what_is_declared_is_imported() -> None:
    assert declared() - NEVER_IMPORTED == third_party()


def lint(root: Path) -> subprocess.CompletedProcess[str]:
    """The import contracts, checked on the package that stands in `root`."""
    program = "import sys; sys.path.insert(0, sys.argv[1]); from importlinter.cli import lint_imports; "
    program += "sys.exit(lint_imports(config_filename=sys.argv[2], no_cache=True))"
    command = [sys.executable, "-c", program, str(root), str(ROOT / "pyproject.toml")]
    return subprocess.run(command, cwd=root, capture_output=True, text=True, check=False)


def test_the_import_contracts_hold() -> None:
    done = lint(SERVICES)
    assert 0 == done.returncode, done.stdout + done.stderr


def test_a_service_that_imports_another_breaks_the_contracts(tmp_path: Path) -> None:
    for path in SERVICES.rglob("*.py"):
        copy = tmp_path / path.relative_to(SERVICES)
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.write_text(path.read_text())
    with (tmp_path / "liqwatch" / "aggregator" / "__init__.py").open("a") as file:
        file.write("\nfrom .. import alerter\n")
    with (tmp_path / "liqwatch" / "contracts.py").open("a") as file:
        file.write("\nimport time\n")

    done = lint(tmp_path)

    assert 1 == done.returncode, done.stdout + done.stderr
    broken = re.findall(r"^(.+) BROKEN", done.stdout, re.MULTILINE)
    assert [contract["name"] for contract in PROJECT["tool"]["importlinter"]["contracts"]] == broken


@pytest.mark.parametrize("path", sorted(SERVICES.rglob("*.py")), ids=lambda path: path.stem)
def test_a_module_says_in_its_first_line_what_it_is_for(path: Path) -> None:
    source = path.read_text()
    if source.strip():
        first = (ast.get_docstring(ast.parse(source)) or "").split("\n")[0]
        assert first.endswith((".", ":", ";", "?")) and len(first) > 20, first
