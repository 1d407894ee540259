"""The real Apache Kafka of the test session: one node on free ports, its data in a folder of its own."""

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

SCRIPT = Path(__file__).parents[2] / "deploy" / "kafka" / "broker.py"
NOT_ON_THIS_MACHINE = 3
# So that a test sees within seconds what takes minutes elsewhere.
QUICK = (
    "log.retention.check.interval.ms=1000",
    "log.cleaner.backoff.ms=500",
    "log.initial.task.delay.ms=500",
    "group.max.session.timeout.ms=60000",
)


class NoKafka(Exception):
    """Java, Maven or the jars are missing; the text says which."""


@contextmanager
def running_broker(folder: Path) -> Iterator[str]:
    """Its bootstrap address. Raises `NoKafka`."""
    data = folder / "kafka"
    port, controller_port = _free_ports(2)
    command = [sys.executable, str(SCRIPT), "start", "--data", str(data), "--port", str(port)]
    command += ["--controller-port", str(controller_port)]
    for line in QUICK:
        command += ["--set", line]
    started = subprocess.run(command, capture_output=True, text=True, timeout=900, check=False)
    if started.returncode == NOT_ON_THIS_MACHINE:
        raise NoKafka(started.stderr.strip())
    if started.returncode != 0:
        raise RuntimeError(f"the broker did not start: {started.stderr}")
    try:
        yield started.stdout.strip().removeprefix("bootstrap=")
    finally:
        subprocess.run(
            [sys.executable, str(SCRIPT), "stop", "--data", str(data)], capture_output=True, timeout=60, check=True
        )


def required() -> bool:
    """In CI a missing broker is a failure, not a skip."""
    return os.environ.get("CI", "").lower() in ("1", "true", "yes")


def _free_ports(count: int) -> list[int]:
    held = [socket.socket() for _ in range(count)]
    try:
        for one in held:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in held]
    finally:
        for one in held:
            one.close()
