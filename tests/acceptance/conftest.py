"""A broker of its own for a story that uses the whole set of topics."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.program import free_port

BROKER = Path(__file__).resolve().parents[2] / "deploy" / "kafka" / "broker.py"
_CANNOT = 3  # exit status of the broker script where Java, Maven or the jars are missing


@pytest.fixture
def own_kafka(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Bootstrap address of a fresh Apache Kafka, ended by its own id."""
    folder = tmp_path_factory.mktemp("kafka")
    port = free_port()
    options = ["--data", str(folder)]
    ports = ["--port", str(port), "--controller-port", str(free_port())]
    started = subprocess.run(
        [sys.executable, str(BROKER), "start", *options, *ports],
        check=False,
        text=True,
        capture_output=True,
        timeout=700,
    )
    if started.returncode == _CANNOT and os.environ.get("CI") != "true":
        pytest.skip(f"no real Kafka here: {started.stderr.strip()}")
    assert started.returncode == 0, started.stderr
    try:
        yield f"127.0.0.1:{port}"
    finally:
        subprocess.run([sys.executable, str(BROKER), "stop", *options], check=True, timeout=60, capture_output=True)
