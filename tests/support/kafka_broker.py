"""The real Apache Kafka of the test session: one node on free ports, its data in a folder of its own."""

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

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


class RealBroker:
    """One node; it may be stopped, frozen and started again on the same data and ports."""

    def __init__(self, folder: Path, extra: Sequence[str] = ()) -> None:
        self.data = folder / "kafka"
        self.port, self.controller_port, self.other_port = _free_ports(3)
        self.extra = (*QUICK, *extra)
        self.bootstrap = f"127.0.0.1:{self.port}"

    def start(self) -> None:
        """Raises `NoKafka`."""
        command = ["start", "--port", str(self.port), "--controller-port", str(self.controller_port)]
        for line in self.extra:
            command += ["--set", line.format(broker=self)]
        started = self._run(*command)
        if started.returncode == NOT_ON_THIS_MACHINE:
            raise NoKafka(started.stderr.strip())
        if started.returncode != 0:
            raise RuntimeError(f"the broker did not start: {started.stderr}")

    def stop(self) -> None:
        self._run("stop").check_returncode()

    def freeze(self) -> None:
        os.kill(self._pid(), signal.SIGSTOP)

    def thaw(self) -> None:
        os.kill(self._pid(), signal.SIGCONT)

    def _pid(self) -> int:
        return int((self.data / "broker.pid").read_text())

    def _run(self, *arguments: str) -> "subprocess.CompletedProcess[str]":
        command = [sys.executable, str(SCRIPT), *arguments, "--data", str(self.data)]
        return subprocess.run(command, capture_output=True, text=True, timeout=900, check=False)


@contextmanager
def running_broker(folder: Path, extra: Sequence[str] = ()) -> Iterator[RealBroker]:
    """Skips where this machine cannot run one; in CI that is a failure."""
    broker = RealBroker(folder, extra)
    try:
        broker.start()
    except NoKafka as reason:
        if required():
            pytest.fail(f"no Kafka, which CI must have: {reason}")
        pytest.skip(f"no Kafka on this machine: {reason}")
    try:
        yield broker
    finally:
        broker.stop()


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
