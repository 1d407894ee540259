"""What may not be in the repository, and what may not be missing from it."""

import json
import os
import re
import subprocess
from pathlib import Path

import pytest

from liqwatch import venues
from tests.support.repository import ROOT, files

RECORDINGS = ROOT / "tests" / "data" / "venues"
# Where packages come from is up to the machine that installs them. (Put together here, so as not to be found here.)
HOSTS = tuple(
    ".".join(parts)
    for parts in (
        ("pypi", "org"),
        ("pythonhosted", "org"),
        ("npmjs", "org"),
        ("npmjs", "com"),
        ("maven", "org"),
        ("repo", "maven", "apache", "org"),
        ("crates", "io"),
        ("proxy", "golang", "org"),
        ("deb", "debian", "org"),
        ("docker", "io"),
    )
)
SECRETS = re.compile(
    r"-----BEGIN [A-Z ]*PRIVATE KEY|xox[bp]-\d{10,}-\d{10,}-\w{20,}|hooks\.slack\.com/services/T\w{8,}/B\w{8,}/\w{20,}"
    r"|\b\d{8,10}:[\w-]{35}\b|discord\.com/api/webhooks/\d{17,}/[\w-]{60,}"
)
LARGEST = 2_000_000  # bytes


def told(text: str, words: tuple[str, ...]) -> list[str]:
    lower = text.lower()
    return [word for word in words if word.lower() in lower]


def texts() -> list[tuple[Path, str]]:
    found = []
    for path in files():
        content = path.read_bytes()
        if b"\0" not in content:
            found.append((path, content.decode("utf-8")))
    return found


def test_no_file_names_a_package_registry() -> None:
    assert {} == {str(path.relative_to(ROOT)): hosts for path, text in texts() if (hosts := told(text, HOSTS))}


def test_no_file_holds_what_looks_like_a_real_secret() -> None:
    assert [] == [str(path.relative_to(ROOT)) for path, text in texts() if SECRETS.search(text)]


@pytest.mark.parametrize(
    "secret",
    [
        "-----BEGIN " + "RSA PRIVATE KEY-----",
        "xoxb-" + "1" * 12 + "-" + "2" * 12 + "-" + "a" * 24,
        "https://hooks.slack.com/services/T" + "0" * 9 + "/B" + "0" * 9 + "/" + "a" * 24,
        "1234567890:" + "A" * 35,
        "https://discord.com/api/webhooks/" + "1" * 18 + "/" + "a" * 68,
    ],
)
def test_what_looks_like_a_secret_is_seen(secret: str) -> None:
    assert SECRETS.search(f'token = "{secret}"')


def test_a_registry_that_is_named_is_seen() -> None:
    assert told(f"--index-url https://{HOSTS[0]}/simple", HOSTS)


def test_no_file_is_large() -> None:
    assert [] == [str(path.relative_to(ROOT)) for path in files() if path.stat().st_size > LARGEST]


def test_every_venue_has_its_recording_and_every_recording_its_venue() -> None:
    assert sorted(venues.discover()) == sorted(path.stem for path in RECORDINGS.glob("*.jsonl"))


@pytest.mark.parametrize("path", sorted(ROOT.glob("tests/data/**/*.jsonl")), ids=lambda path: path.stem)
def test_a_recording_is_an_object_a_line(path: Path) -> None:
    assert all(isinstance(json.loads(line), dict) for line in path.read_text().splitlines() if line)


@pytest.mark.parametrize(
    "name",
    [".ci/run", "requirements/install.sh", "requirements/install-deploy.sh", "requirements/lock.sh", "deploy/image.sh"],
)
def test_a_script_can_be_run_and_is_valid_shell(name: str) -> None:
    path = ROOT / name
    assert os.access(path, os.X_OK)
    assert path.read_text().startswith("#!/usr/bin/env bash\n")
    subprocess.run(["bash", "-n", path], check=True)
