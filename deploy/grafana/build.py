"""Writes the Grafana dashboards: `make dashboards`. The JSON beside it is committed; a test holds it in step.

The lines in the graphs of totals are the thresholds of the rules in `deploy/liqwatch.toml`.
"""

import json
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path

from grafana_foundation_sdk.builders import dashboard
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models import dashboard as model

from liqwatch import settings
from liqwatch.settings import RuleSettings, Settings

from .panels import Panel, Query, Row, series
from .rows import ALERTS, COINS, FEEDS, LATENCY, NOT_COUNTED, NOW, PAGE, PIPELINE, PROCESSES, TOTALS, WINDOW_USD
from .views import DATASOURCE, VIEWS

FOLDER = Path(__file__).parent / "dashboards"
SETTINGS = Path(__file__).parents[1] / "liqwatch.toml"
STEP_COLOURS = ("yellow", "orange", "dark-orange", "red", "dark-red", "purple")
TAG = "liqwatch"


@dataclass(frozen=True, slots=True)
class Board:
    """One dashboard: its file's name, and what is on it."""

    name: str
    title: str
    about: str
    rows: Sequence[Row]


def default_settings() -> Settings:
    """The settings that come with the program."""
    return Settings.model_validate(tomllib.loads(SETTINGS.read_text(), parse_float=Decimal))


def generate() -> dict[str, str]:
    """Every dashboard: file name and text."""
    defaults = default_settings()
    windows = [settings.window_name(span) for span in defaults.aggregator.windows]
    return {f"{board.name}.json": _text(_built(board, windows).build()) for board in boards(defaults)}


def boards(defaults: Settings) -> tuple[Board, ...]:
    """Four: for the desk, for who keeps the feeds, for who runs it, for who is told."""
    graphs = [_rule_graph(rule) for rule in defaults.rules if rule.scope == "all" and rule.kind == "level"]
    return (
        Board(
            "market",
            "Market",
            "Forced liquidations: rolling totals by side, window, venue and coin, against the thresholds.",
            (NOW, Row("Against the thresholds", (*graphs,)), Row("Totals", TOTALS), COINS),
        ),
        Board("feeds", "Feeds", "What the venues send: state, coverage, latency, what was missed.", (FEEDS, LATENCY)),
        Board(
            "pipeline",
            "Pipeline",
            "From frame to total: lag, rates, latency, what was not counted, and the processes that do it.",
            (PIPELINE, NOT_COUNTED, PAGE, PROCESSES),
        ),
        Board("alerts", "Alerts", "Incidents, and how their notifications are delivered.", (ALERTS,)),
    )


def _built(board: Board, windows: Sequence[str]) -> dashboard.Dashboard:
    built = (
        dashboard.Dashboard(f"liqwatch: {board.title}")
        .uid(f"liqwatch-{board.name}")
        .description(board.about)
        .tags([TAG])
        .readonly()
        .timezone("utc")
        .tooltip(model.DashboardCursorSync.CROSSHAIR)
        .refresh("15s")
        .time("now-24h", "now")
        .link(
            dashboard.DashboardLink(TAG)
            .type(model.DashboardLinkType.DASHBOARDS)
            .tags([TAG])
            .keep_time(True)
            .include_vars(True)
        )
        .annotation(_incidents())
    )
    for variable in _variables(board, windows):
        built = built.with_variable(variable)
    for row in board.rows:
        built = built.with_row(dashboard.Row(row.title))
        for panel in row.panels:
            built = built.with_panel(VIEWS[panel.kind](panel))
    return built


_Variable = dashboard.DatasourceVariable | dashboard.QueryVariable | dashboard.CustomVariable


def _variables(board: Board, windows: Sequence[str]) -> list[_Variable]:
    """What can be chosen: a variable that no panel asks for is left out."""
    asked = "".join(
        f"{panel.title} {query.expression}" for row in board.rows for panel in row.panels for query in panel.queries
    )
    found: list[_Variable] = [
        dashboard.DatasourceVariable("datasource").label("Prometheus").type("prometheus"),
        _query_variable("job", "Job", "label_values(liqwatch_build_info, job)"),
        _query_variable("instance", "Instance", 'label_values(liqwatch_build_info{job=~"$job"}, instance)'),
    ]
    if "$venue" in asked:
        found.append(_query_variable("venue", "Venue", 'label_values(liqwatch_feed_connected{job=~"$job"}, venue)'))
    if "$window" in asked:
        last = model.VariableOption(selected=True, text=windows[-1], value=windows[-1])
        found.append(dashboard.CustomVariable("window").label("Window").values(",".join(windows)).current(last))
    return found


def _query_variable(name: str, label: str, query: str) -> dashboard.QueryVariable:
    return (
        dashboard.QueryVariable(name)
        .label(label)
        .datasource(DATASOURCE)
        .query(query)
        .refresh(model.VariableRefresh.ON_TIME_RANGE_CHANGED)
        .sort(model.VariableSort.ALPHABETICAL_ASC)
        .multi(True)
        .include_all(True)
        .all_value(".+")
        .current(model.VariableOption(selected=True, text="All", value="$__all"))
    )


def _incidents() -> dashboard.AnnotationQuery:
    """Open incidents as shaded stretches of every graph."""
    return (
        dashboard.AnnotationQuery()
        .name("Incidents")
        .datasource(DATASOURCE)
        .enable(True)
        .icon_color("orange")
        .expr(f"sum by (rule) ({series('liqwatch_incidents_open')}) > 0")
        .step("15s")
        .title_format("{{rule}}")
        .tag_keys("rule")
    )


def _rule_graph(rule: RuleSettings) -> Panel:
    window = settings.window_name(rule.window)
    sides = ("long", "short") if rule.side == "both" else (rule.side,)
    total = series(WINDOW_USD, window=window, side="~" + "|".join(sides), venue="all")
    who = {"long": "Longs", "short": "Shorts", "both": "Longs and shorts"}[rule.side]
    steps = ((float(rule.clear_level), "blue"), *zip(map(float, rule.steps), STEP_COLOURS, strict=False))
    return Panel(
        f"{who} of the last {window}: {rule.name}",
        f"The total that the rule {rule.name} judges. Lines: its thresholds, and in blue the level under which it "
        "clears, as the settings that come with the program have them.",
        "currencyUSD",
        (Query(f"sum({total})", rule.side),),
        width=8,
        height=10,
        steps=steps,
    )


def _text(built: model.Dashboard) -> str:
    return json.dumps(built, cls=JSONEncoder, indent=2, sort_keys=True, ensure_ascii=False) + "\n"


def main() -> None:
    FOLDER.mkdir(exist_ok=True)
    made = generate()
    for gone in {path.name for path in FOLDER.glob("*.json")} - made.keys():
        (FOLDER / gone).unlink()
    for name, text in made.items():
        (FOLDER / name).write_text(text, encoding="utf-8")
        print(FOLDER / name)


if __name__ == "__main__":
    main()
