"""The script behind `make kafka`: what it says where something is missing or in the way."""

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.kafka_broker import NOT_ON_THIS_MACHINE, SCRIPT, NoKafka, RealBroker


def run(*arguments: str, **environment: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, str(SCRIPT), *arguments],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env={**os.environ, **environment},
    )


def test_without_java_it_says_which_package_brings_it(tmp_path: Path) -> None:
    result = run("start", "--data", str(tmp_path), "--port", "1", PATH=str(tmp_path))
    assert NOT_ON_THIS_MACHINE == result.returncode
    assert "Java is missing; Apache Kafka 4 needs version 17 or later" in result.stderr
    assert "" == result.stdout


def test_a_folder_without_jars_is_named(tmp_path: Path) -> None:
    (tmp_path / "java").touch(mode=0o755)
    environment = {"LIQWATCH_KAFKA_JARS": str(tmp_path), "PATH": str(tmp_path)}
    result = run("start", "--data", str(tmp_path / "data"), "--port", "1", **environment)
    assert NOT_ON_THIS_MACHINE == result.returncode
    assert f"LIQWATCH_KAFKA_JARS names {tmp_path}, which has no Kafka jars" in result.stderr


def test_the_suite_knows_a_missing_broker_from_a_broken_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(NoKafka, match="Java is missing"):
        RealBroker(tmp_path).start()


def test_status_and_stop_without_a_broker_say_so(tmp_path: Path) -> None:
    for what, status in (("status", 1), ("stop", 0)):
        result = run(what, "--data", str(tmp_path))
        assert (status, "not running") == (result.returncode, result.stderr.strip())


def test_a_pid_that_is_another_program_now_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "broker.pid").write_text(str(os.getpid()))
    assert 1 == run("status", "--data", str(tmp_path)).returncode
    assert "not running" in run("stop", "--data", str(tmp_path)).stderr


@pytest.mark.kafka
def test_a_port_that_is_taken_is_named(kafka_bootstrap: str, tmp_path: Path) -> None:
    port = kafka_bootstrap.rpartition(":")[2]
    result = run("start", "--data", str(tmp_path), "--port", port)
    assert 1 == result.returncode
    assert f"something answers on 127.0.0.1:{port} already; choose another --port" in result.stderr


@pytest.mark.kafka
def test_a_broker_that_cannot_start_shows_the_end_of_its_log(kafka_bootstrap: str, tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        result = run("start", "--data", str(tmp_path), "--port", port, "--controller-port", "1")
    assert 1 == result.returncode
    assert "the broker did not start; the end of" in result.stderr
    assert "not running" in run("status", "--data", str(tmp_path)).stderr
