#!/usr/bin/env python3
"""A single-node Apache Kafka (KRaft) on 127.0.0.1, without Docker: for `make kafka`, the tests and the benchmarks.

    broker.py start [--port 9092] [--controller-port 9093] [--data DIR] [--set KEY=VALUE ...]
    broker.py stop | status [--data DIR]

Needs Java 17 or later; Maven fetches the jars of pom.xml once (LIQWATCH_KAFKA_JARS names a folder that has them).
`start` prints `bootstrap=HOST:PORT` when the broker answers. Exit 3: something that it needs is not on this machine.
"""

import argparse
import contextlib
import hashlib
import os
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import time
import uuid
from base64 import urlsafe_b64encode
from pathlib import Path

HERE = Path(__file__).resolve().parent
CACHE = HERE.parents[1] / ".cache" / "kafka"
HOST = "127.0.0.1"
FETCH_SECONDS = 600
READY_SECONDS = 90
STOP_SECONDS = 30
# The start scripts of Kafka give it 1 GiB; one node with a few topics needs a quarter of that.
JAVA_FLAGS = (
    "-Xms64m -Xmx256m -XX:+UseSerialGC -XX:MaxMetaspaceSize=160m -XX:ReservedCodeCacheSize=64m "
    "-XX:MaxDirectMemorySize=96m -XX:TieredStopAtLevel=1 -Xss512k -XX:+ExitOnOutOfMemoryError "
    "-Djava.awt.headless=true"
)
LOGGING = """\
status = error
rootLogger.level = warn
rootLogger.appenderRef.console.ref = console
appender.console.type = Console
appender.console.name = console
appender.console.layout.type = PatternLayout
appender.console.layout.pattern = %d %p %c: %m%n
"""
PROPERTIES = """\
process.roles=broker,controller
node.id=1
controller.quorum.bootstrap.servers={host}:{controller_port}
listeners=PLAINTEXT://{host}:{port},CONTROLLER://{host}:{controller_port}
advertised.listeners=PLAINTEXT://{host}:{port}
controller.listener.names=CONTROLLER
inter.broker.listener.name=PLAINTEXT
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT
log.dirs={data}/log
auto.create.topics.enable=false
num.network.threads=2
num.io.threads=2
background.threads=2
offsets.topic.replication.factor=1
offsets.topic.num.partitions=4
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
transaction.state.log.num.partitions=1
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
share.coordinator.state.topic.num.partitions=1
group.initial.rebalance.delay.ms=0
group.min.session.timeout.ms=1000
log.cleaner.dedupe.buffer.size=4194304
"""


class Missing(Exception):
    """Something that the broker needs is not on this machine."""


def jars() -> Path:
    """The folder with the jars, fetched where it is not there yet."""
    if given := os.environ.get("LIQWATCH_KAFKA_JARS"):
        if not any(Path(given).glob("kafka-server-*.jar")):
            raise Missing(f"LIQWATCH_KAFKA_JARS names {given}, which has no Kafka jars")
        return Path(given)
    pom = HERE / "pom.xml"
    folder = CACHE / f"jars-{hashlib.sha256(pom.read_bytes()).hexdigest()[:12]}"
    if folder.exists():
        return folder
    if shutil.which("mvn") is None:
        raise Missing("Maven is missing (package maven); it fetches Kafka's jars from Maven Central")
    CACHE.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=CACHE, prefix="fetching-") as temporary:
        target = Path(temporary) / "jars"
        command = ["mvn", "-q", "-B", "-f", str(pom), "dependency:copy-dependencies"]
        command += [f"-DoutputDirectory={target}", "-DincludeScope=runtime"]
        try:
            run = subprocess.run(command, capture_output=True, text=True, timeout=FETCH_SECONDS, check=False)
        except subprocess.TimeoutExpired:
            raise Missing(f"Maven Central did not deliver Kafka's jars within {FETCH_SECONDS} s") from None
        if run.returncode != 0:
            reason = next((line for line in run.stdout.splitlines() if "ERROR" in line), "no reason given")
            raise Missing(f"Kafka's jars could not be fetched from Maven Central: {reason[:300]}")
        with contextlib.suppress(OSError):  # another start was quicker
            target.rename(folder)
    return folder


def java() -> str:
    found = shutil.which("java")
    if found is None:
        raise Missing("Java is missing; Apache Kafka 4 needs version 17 or later (package openjdk-17-jre-headless)")
    return found


def command(data: Path, main: str, *arguments: str) -> list[str]:
    flags = [*JAVA_FLAGS.split(), *os.environ.get("LIQWATCH_KAFKA_JAVA_FLAGS", "").split()]
    flags += [f"-Dlog4j2.configurationFile={data}/log4j2.properties", f"-Dkafka.logs.dir={data}"]
    return [java(), *flags, "-cp", f"{jars()}/*", main, *arguments]


def write_files(data: Path, port: int, controller_port: int, extra: list[str]) -> Path:
    data.mkdir(parents=True, exist_ok=True)
    (data / "log4j2.properties").write_text(LOGGING)
    properties = PROPERTIES.format(host=HOST, port=port, controller_port=controller_port, data=data)
    file = data / "server.properties"
    file.write_text(properties + "".join(f"{line}\n" for line in extra))
    return file


def answers(port: int) -> bool:
    """Whether a broker answers an ApiVersions request; an open port alone says nothing."""
    request = struct.pack(">hhih", 18, 0, 1, -1)
    try:
        with socket.create_connection((HOST, port), 1) as connection:
            connection.settimeout(2)
            connection.sendall(struct.pack(">i", len(request)) + request)
            return len(connection.recv(8)) == 8
    except OSError:
        return False


def pid_of(data: Path) -> int | None:
    """The process of this data folder, if it still is a broker."""
    try:
        pid = int((data / "broker.pid").read_text())
        if Path("/proc/self/cmdline").exists():
            line = Path(f"/proc/{pid}/cmdline").read_text()
        else:
            look = ["ps", "-ww", "-o", "args=", "-p", str(pid)]
            line = subprocess.run(look, capture_output=True, text=True, check=False).stdout
    except (OSError, ValueError):
        return None
    return pid if "kafka.Kafka" in line and str(data) in line else None


def start(data: Path, port: int, controller_port: int, extra: list[str]) -> None:
    if pid_of(data) is not None:
        raise SystemExit(f"already running on {data}; `stop` it first")
    if answers(port):
        raise SystemExit(f"something answers on {HOST}:{port} already; choose another --port")
    properties = write_files(data, port, controller_port, extra)
    cluster = urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")
    # As one word: an id may begin with a dash.
    format_it = ["format", "--ignore-formatted", "--standalone", f"--cluster-id={cluster}", "--config"]
    if not (data / "log" / "meta.properties").exists():
        run = subprocess.run(
            command(data, "kafka.tools.StorageTool", *format_it, str(properties)),
            capture_output=True,
            text=True,
            check=False,
        )
        if run.returncode != 0:
            raise SystemExit(f"the data folder could not be formatted: {(run.stderr or run.stdout)[-500:]}")
    with (data / "broker.log").open("ab") as log:
        process = subprocess.Popen(
            command(data, "kafka.Kafka", str(properties)),
            stdout=log,
            stderr=log,
            stdin=subprocess.DEVNULL,
            start_new_session=True,
        )
    (data / "broker.pid").write_text(str(process.pid))
    deadline = time.monotonic() + READY_SECONDS
    while not answers(port):
        if process.poll() is not None or time.monotonic() > deadline:
            stop(data)
            tail = (data / "broker.log").read_text(errors="replace")[-1500:]
            raise SystemExit(f"the broker did not start; the end of {data}/broker.log:\n{tail}")
        time.sleep(0.1)
    process.returncode = 0  # it stays behind on purpose
    print(f"bootstrap={HOST}:{port}", flush=True)


def stop(data: Path) -> None:
    pid = pid_of(data)
    if pid is None:
        print("not running", file=sys.stderr)
        return
    os.kill(pid, signal.SIGTERM)
    deadline = time.monotonic() + STOP_SECONDS
    while pid_of(data) is not None:
        if time.monotonic() > deadline:
            os.kill(pid, signal.SIGKILL)
            break
        with contextlib.suppress(ChildProcessError):
            os.waitpid(pid, os.WNOHANG)
        time.sleep(0.1)
    (data / "broker.pid").unlink(missing_ok=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["start", "stop", "status", "jars"])
    parser.add_argument("--port", type=int, default=9092)
    parser.add_argument("--controller-port", type=int, default=9093)
    parser.add_argument("--data", type=Path, default=CACHE / "data", help="default: %(default)s")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="a broker property")
    options = parser.parse_args()
    data = options.data.resolve()
    try:
        if options.what == "start":
            start(data, options.port, options.controller_port, options.set)
        elif options.what == "stop":
            stop(data)
        elif options.what == "jars":
            print(jars())
        elif (pid := pid_of(data)) is None:
            raise SystemExit("not running")
        else:
            print(f"running, process {pid}")
    except Missing as missing:
        print(missing, file=sys.stderr)
        raise SystemExit(3) from None


if __name__ == "__main__":
    main()
