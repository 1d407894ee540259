"""The compose files are valid, harden what they run, publish to this machine only, and name settings that exist."""

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from liqwatch import settings, topics
from tests.support.repository import ROOT

DEPLOY = ROOT / "deploy"
COMPOSE = DEPLOY / "compose.yaml"
OURS = {"topics", "collect", "aggregate", "alert", "web"}
PORTS = {"collect": "collect_port", "aggregate": "aggregate_port", "alert": "alert_port", "web": "web_port"}
PUBLISHED = {"web": ["127.0.0.1:8080:8080"]}


def read(path: Path) -> Any:
    return YAML(typ="safe").load(path.read_text())


SERVICES: dict[str, Any] = read(COMPOSE)["services"]


def validate(path: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.compose-spec", str(path)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("path", sorted(DEPLOY.glob("compose*.yaml")), ids=lambda path: path.name)
def test_a_compose_file_is_valid(path: Path) -> None:
    done = validate(path)
    assert 0 == done.returncode, done.stdout


def test_a_compose_file_with_a_misspelt_key_is_seen(tmp_path: Path) -> None:
    spoilt = tmp_path / "compose.yaml"
    spoilt.write_text(COMPOSE.read_text().replace("stop_grace_period", "stop_grace_time"))
    assert 0 != validate(spoilt).returncode


@pytest.mark.parametrize("name", sorted(OURS))
def test_our_containers_may_do_no_more_than_they_must(name: str) -> None:
    service = SERVICES[name]
    assert service["user"] == "10001:10001"
    assert service["read_only"] is True
    assert service["stop_grace_period"] == "15s"
    assert service["tmpfs"] == ["/tmp"]
    assert PUBLISHED.get(name) == service.get("ports")


@pytest.mark.parametrize("name", sorted(SERVICES))
def test_no_container_gains_rights_or_eats_the_machine(name: str) -> None:
    service = SERVICES[name]
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert service["mem_limit"]
    assert service["logging"]["options"]["max-size"]


@pytest.mark.parametrize("name", sorted(SERVICES))
def test_a_container_publishes_on_this_machine_only(name: str) -> None:
    assert all(port.startswith("127.0.0.1:") for port in SERVICES[name].get("ports", ()))


@pytest.mark.parametrize("name", sorted(SERVICES.keys() - OURS))
def test_an_image_of_others_is_pinned_to_a_version(name: str) -> None:
    assert re.fullmatch(r"[a-z]+/[a-z]+:v?\d+\.\d+\.\d+", SERVICES[name]["image"])


@pytest.mark.parametrize("name", sorted(OURS))
def test_the_environment_of_a_container_is_made_of_settings_that_exist(name: str) -> None:
    made = settings.load({}, SERVICES[name]["environment"], ())
    assert made.log.backend == "kafka"
    assert made.http.host == "0.0.0.0"  # noqa: S104 - inside the compose network
    host, port = made.log.kafka.bootstrap_servers.split(":")
    assert host in SERVICES
    assert f"INSIDE://{host}:{port}" in SERVICES["kafka"]["environment"]["KAFKA_ADVERTISED_LISTENERS"]


@pytest.mark.parametrize(("name", "setting"), PORTS.items())
def test_a_service_is_looked_at_and_scraped_on_its_own_port(name: str, setting: str) -> None:
    port = getattr(settings.HttpSettings(), setting)
    assert f"127.0.0.1:{port}/livez" in SERVICES[name]["healthcheck"]["test"][-1]
    assert f"{name}:{port}" in targets("targets.compose.yml")


def test_on_one_machine_every_default_port_is_scraped() -> None:
    http = settings.HttpSettings()
    expected = [
        f"127.0.0.1:{port}"
        for port in (http.run_port, http.collect_port, http.aggregate_port, http.alert_port, http.web_port)
    ]
    assert expected == targets("targets.yml")


def targets(name: str) -> list[str]:
    return [target for group in read(DEPLOY / "prometheus" / name) for target in group["targets"]]


def test_grafana_waits_no_shorter_than_prometheus_scrapes() -> None:
    datasource = read(DEPLOY / "grafana/provisioning/datasources/prometheus.yaml")["datasources"][0]
    scraped = read(DEPLOY / "prometheus/prometheus.yml")["global"]["scrape_interval"]
    assert scraped == datasource["jsonData"]["timeInterval"]


def test_kafka_makes_no_topic_by_itself_and_one_broker_is_enough_for_ours() -> None:
    environment = SERVICES["kafka"]["environment"]
    assert environment["KAFKA_AUTO_CREATE_TOPICS_ENABLE"] == "false"
    assert environment["KAFKA_OFFSETS_TOPIC_REPLICATION_FACTOR"] == 1
    assert topics.TOPICS
    assert SERVICES["topics"]["command"] == ["topics", "create"]


def test_what_is_mounted_from_the_repository_is_there() -> None:
    mounts = [mount for service in SERVICES.values() for mount in service.get("volumes", ())]
    sources = [re.sub(r"\$\{\w+:-(.+?)\}", r"\1", mount).split(":")[0] for mount in mounts]
    assert [] == [source for source in sources if source.startswith(".") and not (DEPLOY / source).exists()]


def test_a_secret_that_a_target_can_name_is_a_file_for_the_alerter_only() -> None:
    chats = read(DEPLOY / "compose.chats.yaml")
    assert ["alert"] == list(chats["services"])
    assert sorted(chats["services"]["alert"]["secrets"]) == sorted(chats["secrets"])
    assert all(list(secret) == ["file"] for secret in chats["secrets"].values())


def test_the_image_takes_what_it_is_made_of_and_not_the_rest() -> None:
    kept = re.findall(r"^!(.+)$", (DEPLOY / "Dockerfile.dockerignore").read_text(), re.MULTILINE)
    copied = re.findall(r"^COPY (?!--from)(.+) \S+$", (DEPLOY / "Dockerfile").read_text(), re.MULTILINE)
    wanted = [source for line in copied for source in line.split()]
    assert [] == [source for source in wanted if not any(source.startswith(name) for name in kept)]
    assert [] == [source for source in wanted if not (ROOT / source).exists()]
