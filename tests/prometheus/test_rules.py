"""Every alert is tested to fire and to keep quiet, uses what exists, and has its head in the run-book."""

import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from liqwatch.topics import PARTITIONS
from tests.repo.test_dashboards import known_metrics
from tests.support.prometheus import CONFIGURATION, RULES, promtool, require_prometheus
from tests.support.repository import ROOT

FOLDER = CONFIGURATION.parent
TESTS = sorted(FOLDER.glob("tests*.yml"))
ALWAYS_ON = "LiqwatchWatchdog"
NAME = re.compile(r"[a-z_:]*liqwatch[a-z_]*:?[a-z0-9_:]*(?![a-z0-9_-])")
FAILED = re.compile(r"alertname: (\w+), time")

pytestmark = [pytest.mark.prometheus, pytest.mark.timeout(240)]


@pytest.fixture(autouse=True)
def _prometheus_is_here() -> None:
    require_prometheus()


def read(path: Path) -> Any:
    return YAML(typ="safe").load(path.read_text())


def rules(kind: str) -> dict[str, dict[str, Any]]:
    found = [rule for path in RULES for group in read(path)["groups"] for rule in group["rules"]]
    return {rule[kind]: rule for rule in found if kind in rule}


ALERTS = rules("alert")
RECORDED = rules("record")


def spoilt(folder: Path, spoil: Callable[[str], str]) -> str:
    """What promtool says of the tests when each alert's expression is changed."""
    for path in (*RULES, *TESTS):
        shutil.copy(path, folder)
    document = read(FOLDER / "alerting.rules.yml")
    for group in document["groups"]:
        for rule in group["rules"]:
            rule["expr"] = spoil(rule["expr"])
            rule.pop("for", None)
    with (folder / "alerting.rules.yml").open("w") as file:
        YAML(typ="safe").dump(document, file)
    done = promtool("test", "rules", *(str(folder / path.name) for path in TESTS))
    assert done.returncode == 1
    return done.stdout + done.stderr


def test_the_rules_do_what_their_tests_say() -> None:
    done = promtool("test", "rules", *map(str, TESTS))
    assert 0 == done.returncode, done.stdout + done.stderr


def test_an_alert_that_never_fires_is_seen_whichever_it_is(tmp_path: Path) -> None:
    said = spoilt(tmp_path, lambda _: "vector(1) > 2")
    assert set(ALERTS) == set(FAILED.findall(said))


def test_an_alert_that_always_fires_is_seen_whichever_it_is(tmp_path: Path) -> None:
    said = spoilt(tmp_path, lambda _: "vector(1)")
    quiet = {name for part in said.split("    name: ")[1:] if " is quiet:" in part for name in FAILED.findall(part)}
    assert set(ALERTS) - {ALWAYS_ON} == quiet


def test_every_alert_has_a_test_in_which_it_fires_and_one_in_which_it_does_not() -> None:
    cases = [case for path in TESTS for test in read(path)["tests"] for case in test["alert_rule_test"]]
    assert set(ALERTS) == {case["alertname"] for case in cases if case["exp_alerts"]}
    assert set(ALERTS) - {ALWAYS_ON} == {case["alertname"] for case in cases if not case["exp_alerts"]}


def test_every_alert_has_its_head_in_the_run_book_and_says_where() -> None:
    heads = re.findall(r"^### (Liqwatch\w+)$", (ROOT / "deploy" / "README.md").read_text(), re.MULTILINE)
    assert sorted(ALERTS) == sorted(heads)
    for name, rule in ALERTS.items():
        assert f"deploy/README.md#{name.lower()}" == rule["annotations"]["runbook"]
        assert rule["annotations"]["summary"] and rule["annotations"]["description"]
        assert rule["labels"]["severity"] in {"warning", "critical"} or name == ALWAYS_ON


def unknown(expression: str) -> set[str]:
    """Names in an expression that neither a service exposes nor a rule records."""
    return {
        name
        for name in NAME.findall(re.sub(r'"[^"]*"', "", expression))
        if name not in RECORDED and name not in known_metrics()
    }


@pytest.mark.parametrize("name", sorted(ALERTS | RECORDED))
def test_a_rule_asks_only_for_metrics_that_exist(name: str) -> None:
    assert set() == unknown((ALERTS | RECORDED)[name]["expr"])


@pytest.mark.parametrize(
    "expression",
    ["liqwatch_gone_total > 0", "venue:liqwatch_feed_connected:min", "sum(rate(liqwatch_evnts_total[5m]))"],
)
def test_a_metric_that_does_not_exist_is_seen(expression: str) -> None:
    assert unknown(expression)


def test_the_number_of_partitions_in_the_rule_is_that_of_the_topic() -> None:
    rule = ALERTS["LiqwatchPartitionsUnowned"]
    assert f"liqwatch:partitions_owned:sum < {PARTITIONS}" == rule["expr"]
    assert f" of {PARTITIONS} " in rule["annotations"]["description"]
