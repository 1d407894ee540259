"""The manifests are what Kubernetes understands, confine what they run, and fit what the program does."""

import re
import shutil
import subprocess
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from liqwatch import __version__, settings, topics, venues
from liqwatch.assembly import SERVICE_PORTS, STOP_WITHIN
from liqwatch.cli import main
from tests.support.repository import ROOT
from tests.support.required import tool

FOLDER = ROOT / "deploy" / "kubernetes"
OVERLAYS = ("cluster", "embedded")
FILES = sorted(path for path in FOLDER.rglob("*.yaml") if path.name != "kustomization.yaml")
REMEDY = "make setup-deploy"
YAMLS = YAML(typ="safe")
ADDRESS = re.compile(r"(?:wss|https)://[a-z0-9.-]+(?::(\d+))?")


@cache
def rendered(overlay: str) -> str:
    """What `kubectl apply --kustomize` would send."""
    command = [tool("kubectl", REMEDY), "kustomize", str(FOLDER / "overlays" / overlay)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert 0 == done.returncode, done.stderr
    return done.stdout


def objects(overlay: str) -> list[dict[str, Any]]:
    return list(YAMLS.load_all(rendered(overlay)))


def workloads(overlay: str) -> Iterator[tuple[dict[str, Any], dict[str, Any]]]:
    """Each object that runs pods, and its pod."""
    for one in objects(overlay):
        if "template" in one.get("spec", {}):
            yield one, one["spec"]["template"]["spec"]


def complaints(path: Path) -> str:
    """What the schemas of Kubernetes have against a file."""
    command = [tool("kubernetes-validate", REMEDY), "--strict", "--quiet", "--no-warn", str(path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    return "" if done.returncode == 0 else done.stdout + done.stderr


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_what_an_overlay_makes_is_valid(overlay: str, tmp_path: Path) -> None:
    path = tmp_path / "all.yaml"
    path.write_text(rendered(overlay))
    assert "" == complaints(path)


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(FOLDER)))
def test_a_file_is_a_whole_object_that_some_kustomization_names(path: Path) -> None:
    assert {"apiVersion", "kind", "metadata"} <= set(YAMLS.load(path.read_text()))
    assert path.name in YAMLS.load((path.parent / "kustomization.yaml").read_text())["resources"]


@pytest.mark.parametrize(
    "change",
    [("securityContext:", "securitycontext:"), ("replicas: 2", "replicas: two"), ("readinessProbe", "readyProbe")],
)
def test_a_manifest_with_a_mistake_is_seen(change: tuple[str, str], tmp_path: Path) -> None:
    text = (FOLDER / "overlays/cluster/collect.yaml").read_text()
    assert change[0] in text
    (tmp_path / "spoilt.yaml").write_text(text.replace(*change))
    assert complaints(tmp_path / "spoilt.yaml")


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_a_pod_may_do_no_more_than_it_must(overlay: str) -> None:
    for _, pod in workloads(overlay):
        assert pod["automountServiceAccountToken"] is False
        assert pod["securityContext"]["runAsNonRoot"] is True
        assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        for container in pod["containers"]:
            confined = container["securityContext"]
            assert confined["readOnlyRootFilesystem"] is True
            assert confined["allowPrivilegeEscalation"] is False
            assert confined["capabilities"] == {"drop": ["ALL"]}
            assert {"cpu", "memory"} == set(container["resources"]["requests"])
            assert container["resources"]["limits"]["memory"]
        assert STOP_WITHIN < pod["terminationGracePeriodSeconds"]


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_a_service_is_looked_at_on_its_own_port_and_may_be_moved_one_at_a_time(overlay: str) -> None:
    budgets = {one["metadata"]["name"]: one["spec"] for one in objects(overlay) if one["kind"] == "PodDisruptionBudget"}
    http = settings.HttpSettings()
    for one, pod in workloads(overlay):
        if one["kind"] == "Job":
            continue
        (container,) = pod["containers"]
        ports = {port["name"]: port["containerPort"] for port in container["ports"]}
        assert getattr(http, SERVICE_PORTS[container["args"][0]]) == ports["metrics"]
        assert settings.WebSettings().port == ports.get("page", settings.WebSettings().port)
        assert "/livez" == container["livenessProbe"]["httpGet"]["path"] == container["startupProbe"]["httpGet"]["path"]
        assert "/readyz" == container["readinessProbe"]["httpGet"]["path"]
        budget = budgets.pop(one["metadata"]["name"])
        assert 1 == budget["maxUnavailable"]
        assert budget["selector"] == one["spec"]["selector"]
    assert {} == budgets


def test_there_are_two_of_each_on_kafka_and_one_without() -> None:
    count = {one["metadata"]["name"]: one["spec"].get("replicas") for one, _ in workloads("cluster")}
    assert {"collect": 2, "aggregate": 2, "alert": 2, "web": 2, "topics": None} == count
    assert [1] == [one["spec"]["replicas"] for one, _ in workloads("embedded")]


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_what_a_pod_is_told_are_commands_and_settings_that_exist(overlay: str) -> None:
    known = {one["metadata"]["name"]: one["data"] for one in objects(overlay) if one["kind"] == "ConfigMap"}
    for _, pod in workloads(overlay):
        (container,) = pod["containers"]
        assert container["args"][0] in main.commands
        assert f"registry.example/liqwatch:{__version__}" == container["image"]
        made = settings.load({}, {entry["name"]: value_of(entry, known) for entry in container["env"]}, ())
        assert ("kafka" if overlay == "cluster" else "sqlite") == made.log.backend
        assert "0.0.0.0" == made.http.host  # noqa: S104 - inside the pod; the network policies say who comes in
        places = [Path(mount["mountPath"]) for mount in container["volumeMounts"] if not mount.get("readOnly")]
        if container["args"][0] in ("collect", "run"):
            assert Path(made.collector.spool_path).parent in places, "the root file system is read-only"
        if container["args"][0] == "run":
            assert Path(made.log.path).parent in places


def value_of(entry: dict[str, Any], known: dict[str, dict[str, str]]) -> str:
    if "value" in entry:
        return str(entry["value"])
    source = entry["valueFrom"]
    if "fieldRef" in source:
        return "collect-0"
    return known[source["configMapKeyRef"]["name"]][source["configMapKeyRef"]["key"]]


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_network_policies_let_out_to_every_venue_and_select_pods_that_exist(overlay: str) -> None:
    policies = {one["metadata"]["name"]: one["spec"] for one in objects(overlay) if one["kind"] == "NetworkPolicy"}
    assert {} == policies["default"]["podSelector"] and ["Ingress", "Egress"] == policies["default"]["policyTypes"]
    text = "".join(path.read_text() for path in (ROOT / "services/liqwatch/venues").glob("*.py"))
    wanted = {int(port or 443) for port in ADDRESS.findall(text)}
    allowed = {port["port"] for rule in policies["outward"]["egress"] for port in rule["ports"]} - {53}
    assert wanted == allowed
    labels = [one["spec"]["template"]["metadata"]["labels"].items() for one, _ in workloads(overlay)]
    for name, policy in policies.items():
        selected = policy["podSelector"].get("matchLabels", {}).items()
        assert any(selected <= one for one in labels), name


def test_prometheus_asks_for_services_that_exist() -> None:
    made = [one for overlay in OVERLAYS for one in objects(overlay) if one["kind"] == "Service"]
    headless = {
        (f"{one['metadata']['name']}.liqwatch.svc", one["spec"]["ports"][0]["port"])
        for one in made
        if one["spec"].get("clusterIP") == "None"
    }
    scraped = YAMLS.load((ROOT / "deploy/prometheus/prometheus.kubernetes.yml").read_text())["scrape_configs"]
    asked = [sd for job in scraped for sd in job["dns_sd_configs"]]
    assert headless == {(name, sd["port"]) for sd in asked for name in sd["names"]}


def test_topics_are_made_before_and_as_the_program_wants_them() -> None:
    (topics_job,) = [pod for one, pod in workloads("cluster") if one["kind"] == "Job"]
    assert ["topics", "create"] == topics_job["containers"][0]["args"]
    assert topics.TOPICS
    assert venues.names()


@pytest.mark.parametrize(
    "spoil",
    [
        lambda text: text.replace("- pdb.yaml", "- pbd.yaml"),
        lambda text: text.replace("resources:", "resurces:"),
    ],
)
def test_a_kustomization_that_names_what_is_not_there_is_seen(spoil: Callable[[str], str], tmp_path: Path) -> None:
    shutil.copytree(FOLDER, tmp_path / "kubernetes")
    path = tmp_path / "kubernetes/overlays/embedded/kustomization.yaml"
    path.write_text(spoil(path.read_text()))
    command = [tool("kubectl", REMEDY), "kustomize", str(path.parent)]
    assert 0 != subprocess.run(command, capture_output=True, check=False, timeout=60).returncode
