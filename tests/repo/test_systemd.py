"""The units are what systemd understands, confine what they run, and fit what the program does."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from liqwatch import settings
from liqwatch.assembly import STOP_WITHIN
from liqwatch.cli import main
from tests.support.repository import ROOT
from tests.support.required import tool

FOLDER = ROOT / "deploy" / "systemd"
UNITS = sorted(FOLDER.glob("*.service"))
PROGRAM = "/opt/liqwatch/bin/liqwatch"
MOST_EXPOSED = 15  # tenths, of 100; a unit without any confinement has 96


def analyze(*arguments: str) -> subprocess.CompletedProcess[str]:
    program = tool("systemd-analyze", "on Debian, apt-get install systemd")
    return subprocess.run([program, *arguments], capture_output=True, text=True, check=False, timeout=60)


def installed(path: Path, folder: Path, change: tuple[str, str] = ("", "")) -> Path:
    """The unit as it would be on a machine where the program is; a template as one of its instances."""
    text = path.read_text().replace(PROGRAM, sys.executable)
    assert change[0] in text
    unit = folder / path.name.replace("@.", "@collect.")
    unit.write_text(text.replace(*change))
    for extra in FOLDER.glob(f"{path.stem}*.service.d/*.conf"):
        laid_over = folder / f"{unit.name}.d"
        laid_over.mkdir(exist_ok=True)
        (laid_over / extra.name).write_text(extra.read_text().replace("#LoadCredential", "LoadCredential"))
    return unit


def complaints(unit: Path) -> str:
    """What systemd says. What it does not know it only warns of, with status 0."""
    done = analyze("verify", "--man=no", "--recursive-errors=no", str(unit))
    own = [line for line in done.stderr.splitlines() if unit.name in line or ".conf" in line]
    return "\n".join(own) or ("" if done.returncode == 0 else done.stderr)


def exposure(unit: Path) -> subprocess.CompletedProcess[str]:
    return analyze("security", "--offline=true", "--no-pager", f"--threshold={MOST_EXPOSED}", str(unit))


def value(path: Path, key: str) -> str:
    (found,) = re.findall(rf"^{key}=(.*)$", path.read_text(), re.MULTILINE)
    return str(found)


@pytest.mark.parametrize("path", UNITS, ids=lambda path: path.name)
def test_systemd_understands_a_unit(path: Path, tmp_path: Path) -> None:
    assert "" == complaints(installed(path, tmp_path))


@pytest.mark.parametrize(
    "change", [("WatchdogSec=30", "WatchdogSek=30"), ("Type=notify", "Type=notifies"), (sys.executable, "/gone")]
)
def test_a_unit_with_a_mistake_is_seen(change: tuple[str, str], tmp_path: Path) -> None:
    assert complaints(installed(UNITS[0], tmp_path, change))


@pytest.mark.parametrize("path", UNITS, ids=lambda path: path.name)
def test_a_unit_confines_what_it_runs(path: Path, tmp_path: Path) -> None:
    done = exposure(installed(path, tmp_path))
    assert 0 == done.returncode, done.stdout


def test_a_unit_that_confines_little_is_seen(tmp_path: Path) -> None:
    text = re.sub(
        r"^(Protect|Private|Restrict|SystemCall|Capability).*\n", "", UNITS[0].read_text(), flags=re.MULTILINE
    )
    (tmp_path / "open.service").write_text(text)
    assert 0 != exposure(tmp_path / "open.service").returncode


@pytest.mark.parametrize("path", UNITS, ids=lambda path: path.name)
def test_a_unit_fits_the_program(path: Path) -> None:
    assert "notify" == value(path, "Type")
    assert STOP_WITHIN < float(value(path, "TimeoutStopSec"))
    assert value(path, "ExecReload").startswith("/bin/kill -HUP")
    environment = dict(
        pair.split("=", 1)
        for line in re.findall(r"^Environment=(.*)$", path.read_text(), re.M)
        for pair in line.split()
    )
    made = settings.load({}, {name: value for name, value in environment.items() if name != "LIQWATCH_CONFIG"}, ())
    assert ("kafka" if "@" in path.name else "sqlite") == made.log.backend
    command = value(path, "ExecStart").removeprefix(PROGRAM).strip()
    assert command in main.commands or command == "%i"


def test_the_services_that_the_template_is_for_are_commands() -> None:
    named = re.findall(r"liqwatch@(\w+)", (FOLDER / "liqwatch@.service").read_text())
    assert ["collect", "aggregate", "alert", "web"] == named
    assert set(named) <= set(main.commands)


def test_a_secret_that_compose_knows_the_units_know_too() -> None:
    loaded = re.findall(r"#LoadCredential=(\w+):", (FOLDER / "liqwatch@alert.service.d/credentials.conf").read_text())
    named = re.findall(r"^  (\w+): \{file:", (ROOT / "deploy/compose.chats.yaml").read_text(), re.MULTILINE)
    assert named == loaded
