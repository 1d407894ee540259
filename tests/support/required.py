"""A tool that a test needs: where it is missing the test is skipped with what to install, in CI it fails."""

import os
import shutil
import sys
from pathlib import Path

import pytest


def tool(name: str, remedy: str) -> str:
    """The path of the program `name`, of this environment or of the machine."""
    beside = Path(sys.executable).with_name(name)
    found = str(beside) if beside.exists() else shutil.which(name)
    if found is None:
        missing(f"{name} not found: {remedy}")
    assert found is not None
    return found


def missing(reason: str) -> None:
    """Ends the test."""
    if os.environ.get("CI") == "true":
        pytest.fail(reason)
    pytest.skip(reason)
