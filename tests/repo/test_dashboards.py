"""The Grafana dashboards are what the program builds, show only metrics that exist, and explain every panel."""

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models.dashboard import Dashboard
from prometheus_client import CollectorRegistry, ProcessCollector

from deploy.grafana import build
from liqwatch.metrics import AggregatorMetrics, AlerterMetrics, CollectorMetrics, ServiceMetrics, WebMetrics
from tests.support.repository import ROOT

FOLDER = ROOT / "deploy" / "grafana" / "dashboards"
FILES = sorted(FOLDER.glob("*.json"))
METRIC = re.compile(r"\b(?:(?:liqwatch|process)_[a-z_]+|up(?=\{))")
GROUPS = re.compile(r"\bby \(([^)]*)\)")
AGGREGATED = re.compile(r"(?:sum|max|min|avg|time)\(|liqwatch_build_info")
# A series for each value of these: closed sets, or the largest and `other`. Never a symbol, an address or a message.
GROUPED_BY = {
    "base",
    "cause",
    "destination",
    "instance",
    "job",
    "kind",
    "le",
    "outcome",
    "reason",
    "rule",
    "side",
    "status",
}
GROUPED_BY |= {"venue", "window"}
ON_TIME_RANGE_CHANGED = 2
NOT_SHOWN = {"process_virtual_memory_bytes", "process_start_time_seconds", "process_open_fds", "process_max_fds"}


def known_metrics() -> set[str]:
    """Names of the series that the services expose."""
    registry = CollectorRegistry()
    ServiceMetrics(registry, "run")
    CollectorMetrics(registry, ["binance"])
    AggregatorMetrics(registry, ["24h"]).lag.labels("0")
    AlerterMetrics(registry, ["console"], ["longs-24h"])
    WebMetrics(registry)
    ProcessCollector(registry=registry)
    return {"up"} | {sample.name for family in registry.collect() for sample in family.samples}


def panels(document: dict[str, Any]) -> list[dict[str, Any]]:
    return [panel for panel in document["panels"] if panel["type"] != "row"]


def expressions(document: dict[str, Any]) -> list[str]:
    return [target["expr"] for panel in panels(document) for target in panel["targets"]]


def variables(document: dict[str, Any]) -> set[str]:
    return {variable["name"] for variable in document["templating"]["list"]}


def mistakes(document: dict[str, Any]) -> Iterator[str]:
    """What a reader of the dashboard would trip over: the rules of Grafana's dashboard-linter that matter, and ours."""
    known = known_metrics()
    yield from _of_the_whole(document)
    for panel in panels(document):
        title = panel.get("title") or "a panel without a title"
        for part in ("title", "description"):
            if not panel.get(part):
                yield f"{title}: no {part}"
        if not panel["fieldConfig"]["defaults"].get("unit"):
            yield f"{title}: no unit"
        for holder in (panel, *panel["targets"]):
            if holder.get("datasource", {}).get("uid") != "${datasource}":
                yield f"{title}: its datasource cannot be chosen"
        for expression in (target["expr"] for target in panel["targets"]):
            yield from (f"{title}: no metric is called {name}" for name in set(METRIC.findall(expression)) - known)
            if expression.count('job=~"$job",instance=~"$instance"') != len(METRIC.findall(expression)):
                yield f"{title}: not narrowed to the chosen jobs and instances"
            if re.search(r"(?<!rate\()(?<!increase\()\bliqwatch_[a-z_]+_total\b", expression):
                yield f"{title}: a counter that is not turned into a rate"
            if re.search(r"\[(?!\$__rate_interval)", expression):
                yield f"{title}: a range that does not follow the zoom"
            labels = {label for group in GROUPS.findall(expression) for label in re.split(r",\s*", group)}
            if labels - GROUPED_BY or (" by " not in expression and not AGGREGATED.match(expression)):
                yield f"{title}: nobody knows how many series"
            if set(re.findall(r"\$([a-z]+)", expression)) - variables(document):
                yield f"{title}: a variable that cannot be chosen"
    titles = [panel["title"] for panel in panels(document)]
    yield from (f"{title}: twice" for title in titles if titles.count(title) > 1)


def _of_the_whole(document: dict[str, Any]) -> Iterator[str]:
    """What can be chosen, and that nobody changes by hand what is built."""
    if document["editable"]:
        yield "it can be changed by hand"
    found = {variable["name"]: variable for variable in document["templating"]["list"]}
    source = found.get("datasource", {})
    if (source.get("type"), source.get("query")) != ("datasource", "prometheus"):
        yield "no datasource can be chosen"
    for name in ("job", "instance"):
        variable = found.get(name, {})
        if (variable.get("multi"), variable.get("includeAll"), variable.get("allValue")) != (True, True, ".+"):
            yield f"{name}: not all of them, or several, can be chosen"
    for name, variable in found.items():
        if not variable.get("label"):
            yield f"{name}: no label"
        if variable["type"] != "query":
            continue
        if variable["datasource"]["uid"] != "${datasource}":
            yield f"{name}: its datasource cannot be chosen"
        if variable["refresh"] != ON_TIME_RANGE_CHANGED:
            yield f"{name}: does not follow the chosen time"
        if not re.fullmatch(r"label_values\([a-z_]+(\{[^}]*\})?, [a-z_]+\)", variable["query"]):
            yield f"{name}: no labels are asked for"


def test_the_committed_dashboards_are_those_that_are_built() -> None:
    committed = {path.name: path.read_text() for path in FILES}
    assert build.generate() == committed, "run `make dashboards` and commit deploy/grafana/dashboards/"


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_a_dashboard_can_be_read(path: Any) -> None:
    assert [] == list(mistakes(json.loads(path.read_text())))


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_a_dashboard_has_no_field_that_grafana_does_not_know(path: Any) -> None:
    document = json.loads(path.read_text())
    again = json.loads(json.dumps(Dashboard.from_json(document), cls=JSONEncoder))  # drops what it does not know
    assert document == again


@pytest.mark.parametrize(
    ("spoil", "found"),
    [
        (lambda panel: panel.update(description=""), "no description"),
        (lambda panel: panel["fieldConfig"]["defaults"].pop("unit"), "no unit"),
        (lambda panel: panel.update(datasource={"type": "prometheus", "uid": "mine"}), "cannot be chosen"),
        (lambda panel: panel["targets"][0].update(expr="sum(liqwatch_gone_total)"), "no metric is called"),
        (lambda panel: panel["targets"][0].update(expr="sum(liqwatch_log_up)"), "not narrowed"),
        (lambda panel: panel["targets"][0].update(expr="rate(up[5m])"), "does not follow"),
        (lambda panel: panel["targets"][0].update(expr="sum by (symbol) (up)"), "how many series"),
        (lambda panel: panel["targets"][0].update(expr="up{}"), "how many series"),
        (lambda panel: panel["targets"][0].update(expr='sum(up{venue="$coin"})'), "cannot be chosen"),
        (lambda panel: panel["targets"][0].update(expr="sum(liqwatch_events_total)"), "not turned into a rate"),
    ],
)
def test_a_spoilt_panel_is_not_let_through(spoil: Any, found: str) -> None:
    document = json.loads(FILES[0].read_text())
    spoil(panels(document)[0])
    assert any(found in mistake for mistake in mistakes(document))


@pytest.mark.parametrize(
    ("spoil", "found"),
    [
        (lambda document: document.update(editable=True), "changed by hand"),
        (lambda document: document["templating"]["list"].pop(0), "no datasource"),
        (lambda document: document["templating"]["list"].pop(1), "job: not all"),
        (lambda document: document["templating"]["list"][1].update(allValue=None), "job: not all"),
        (lambda document: document["templating"]["list"][2].update(refresh=1), "does not follow the chosen time"),
        (lambda document: document["templating"]["list"][2].pop("label"), "no label"),
        (lambda document: document["templating"]["list"][2].update(query="up"), "no labels are asked for"),
        (lambda document: document["templating"]["list"][2].update(datasource={"uid": "x"}), "cannot be chosen"),
    ],
)
def test_a_spoilt_dashboard_is_not_let_through(spoil: Any, found: str) -> None:
    document = json.loads(FILES[0].read_text())
    spoil(document)
    assert any(found in mistake for mistake in mistakes(document))


def test_every_metric_that_a_service_exposes_is_on_a_dashboard() -> None:
    shown = {
        name for path in FILES for text in expressions(json.loads(path.read_text())) for name in METRIC.findall(text)
    }
    families = {re.sub(r"_(bucket|sum|count)$", "", name) for name in known_metrics() if not name.endswith("_created")}
    assert families - NOT_SHOWN == {re.sub(r"_bucket$", "", name) for name in shown}


def test_the_thresholds_of_the_default_rules_are_lines_in_their_graphs() -> None:
    document = json.loads((FOLDER / "market.json").read_text())
    steps = {
        p["title"]: [s["value"] for s in p["fieldConfig"]["defaults"]["thresholds"]["steps"]] for p in panels(document)
    }
    for rule in (one for one in build.default_settings().rules if one.scope == "all" and one.kind == "level"):
        drawn = next(values for title, values in steps.items() if title.endswith(f": {rule.name}"))
        assert [None, float(rule.clear_level), *map(float, rule.thresholds)] == drawn


def test_the_four_dashboards_lead_to_each_other_and_mark_incidents() -> None:
    assert ["alerts.json", "feeds.json", "market.json", "pipeline.json"] == [path.name for path in FILES]
    for document in (json.loads(path.read_text()) for path in FILES):
        assert [["liqwatch"]] == [link["tags"] for link in document["links"]]
        assert ["liqwatch"] == document["tags"]
        assert ["Incidents"] == [annotation["name"] for annotation in document["annotations"]["list"]]
        (annotation,) = document["annotations"]["list"]
        assert annotation["datasource"]["uid"] == "${datasource}"
        assert set(METRIC.findall(annotation["expr"])) <= known_metrics()


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_panels_do_not_overlap(path: Any) -> None:
    taken: set[tuple[int, int]] = set()
    for panel in json.loads(path.read_text())["panels"]:
        place = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert place["x"] + place["w"] <= 24
        assert not cells & taken, panel["title"]
        taken |= cells
