"""Writes the Grafana dashboards: `make dashboards`. The JSON beside it is committed; a test holds it in step.

The lines in the graphs of totals are the thresholds of the rules in `deploy/liqwatch.toml`.
"""

import json
import tomllib
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

from grafana_foundation_sdk.builders import common as options
from grafana_foundation_sdk.builders import dashboard, prometheus, stat, statetimeline, table, timeseries
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models import common
from grafana_foundation_sdk.models import dashboard as model

from liqwatch import settings
from liqwatch.settings import RuleSettings, Settings

from .panels import Panel, Query, Row, series
from .rows import ALERTS, FEEDS, NOT_COUNTED, NOW, PAGE, PIPELINE, PROCESSES, TOTALS, WINDOW_USD

FOLDER = Path(__file__).parent / "dashboards"
SETTINGS = Path(__file__).parents[1] / "liqwatch.toml"
DATASOURCE = common.DataSourceRef(type_val="prometheus", uid="${datasource}")
STEP_COLOURS = ("yellow", "orange", "dark-orange", "red", "dark-red", "purple")
SIDE_COLOURS = {"long": "red", "short": "green"}  # the colours of the candle that such an order makes


def default_settings() -> Settings:
    """The settings that come with the program."""
    return Settings.model_validate(tomllib.loads(SETTINGS.read_text(), parse_float=Decimal))


def generate() -> dict[str, str]:
    """Every dashboard: file name and text."""
    return {"liqwatch.json": _text(overview(default_settings()).build())}


def overview(defaults: Settings) -> dashboard.Dashboard:
    """Totals against the thresholds, feeds, pipeline, alerts."""
    graphs = [_rule_graph(rule) for rule in defaults.rules if rule.scope == "all" and rule.kind == "level"]
    totals = Row("Totals against the thresholds", (*graphs, *TOTALS))
    windows = [settings.window_name(span) for span in defaults.aggregator.windows]
    built = (
        dashboard.Dashboard("liqwatch")
        .uid("liqwatch-overview")
        .description("Forced liquidations: rolling totals by side, feeds, pipeline, alerts.")
        .tags(["liqwatch"])
        .readonly()
        .timezone("utc")
        .tooltip(model.DashboardCursorSync.CROSSHAIR)
        .refresh("15s")
        .time("now-24h", "now")
        .with_variable(dashboard.DatasourceVariable("datasource").label("Prometheus").type("prometheus"))
        .with_variable(_query_variable("job", "Job", "label_values(liqwatch_build_info, job)"))
        .with_variable(
            _query_variable("instance", "Instance", 'label_values(liqwatch_build_info{job=~"$job"}, instance)')
        )
        .with_variable(_query_variable("venue", "Venue", 'label_values(liqwatch_feed_connected{job=~"$job"}, venue)'))
        .with_variable(
            dashboard.CustomVariable("window")
            .label("Window")
            .values(",".join(windows))
            .current(model.VariableOption(selected=True, text=windows[-1], value=windows[-1]))
        )
    )
    for row in (NOW, totals, FEEDS, NOT_COUNTED, PIPELINE, ALERTS, PAGE, PROCESSES):
        built = built.with_row(dashboard.Row(row.title))
        for panel in row.panels:
            built = built.with_panel(_VIEWS[panel.kind](panel))
    return built


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


def _rule_graph(rule: RuleSettings) -> Panel:
    window = settings.window_name(rule.window)
    sides = ("long", "short") if rule.side == "both" else (rule.side,)
    total = series(WINDOW_USD, window=window, side="~" + "|".join(sides), venue="all")
    who = {"long": "Longs", "short": "Shorts", "both": "Longs and shorts"}[rule.side]
    steps = ((float(rule.clear_level), "blue"), *zip(map(float, rule.thresholds), STEP_COLOURS, strict=False))
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


def _target(query: Query) -> prometheus.Dataquery:
    return prometheus.Dataquery().datasource(DATASOURCE).expr(query.expression).legend_format(query.legend).range()


def _dressed(view: Any, panel: Panel) -> Any:
    """What every kind of panel has; the builders share these methods, though no type."""
    view = view.title(panel.title).description(panel.description).unit(panel.unit).datasource(DATASOURCE)
    view = view.span(panel.width).height(panel.height).min(0)
    for letter, query in zip("ABCDEFGH", panel.queries, strict=False):
        view = view.with_target(_target(query).ref_id(letter))
    steps = [model.Threshold(None, "text" if panel.kind == "number" else "transparent")]
    steps += [model.Threshold(value, colour) for value, colour in panel.steps]
    view = view.thresholds(dashboard.ThresholdsConfig().mode(model.ThresholdsMode.ABSOLUTE).steps(steps))
    if panel.most is not None:
        view = view.max(panel.most)
    if panel.words:
        results = {
            str(value): model.ValueMappingResult(text=text, color=colour, index=index)
            for index, (value, text, colour) in enumerate(panel.words)
        }
        view = view.mappings([model.ValueMap(options=results)])
    return view


def _graph(panel: Panel) -> Any:
    view = (
        _dressed(timeseries.Panel(), panel)
        .fill_opacity(10)
        .show_points(common.VisibilityMode.NEVER)
        .legend(
            options.VizLegendOptions()
            .display_mode(common.LegendDisplayMode.LIST)
            .placement(common.LegendPlacement.BOTTOM)
            .show_legend(True)
        )
        .tooltip(options.VizTooltipOptions().mode(common.TooltipDisplayMode.MULTI).sort(common.SortOrder.DESCENDING))
    )
    for side, colour in SIDE_COLOURS.items():
        fixed = {"mode": "fixed", "fixedColor": colour}
        view = view.override_by_name(side, [model.DynamicConfigValue(id_val="color", value=fixed)])
    if panel.steps:
        style = options.GraphThresholdsStyleConfig().mode(common.GraphThresholdsStyleMode.LINE)
        view = view.thresholds_style(style).axis_soft_max(panel.steps[1][0] * 1.1)
    return view


def _stacked(view: Any) -> Any:
    return view.stacking(options.StackingConfig().mode(common.StackingMode.NORMAL))


def _area(panel: Panel) -> Any:
    return _stacked(_graph(panel)).fill_opacity(40)


def _bars(panel: Panel) -> Any:
    return _stacked(_graph(panel)).draw_style(common.GraphDrawStyle.BARS).fill_opacity(80)


def _number(panel: Panel) -> Any:
    latest = options.ReduceDataOptions().calcs(["lastNotNull"])
    return (
        _dressed(stat.Panel(), panel)
        .reduce_options(latest)
        .graph_mode(common.BigValueGraphMode.AREA if panel.unit == "currencyUSD" else common.BigValueGraphMode.NONE)
    )


def _table(panel: Panel) -> Any:
    return (
        _dressed(table.Panel(), panel)
        .targets(
            [_target(query).ref_id("A").instant().format("table") for query in panel.queries]  # type: ignore[arg-type]
        )
        .with_transformation(
            model.DataTransformerConfig(
                id_val="organize",
                options={"excludeByName": {"Time": True}, "renameByName": {"Value": "settings read"}},
            )
        )
    )


def _states(panel: Panel) -> Any:
    return _dressed(statetimeline.Panel(), panel).show_value(common.VisibilityMode.NEVER).row_height(0.8)


_VIEWS: dict[str, Callable[[Panel], Any]] = {
    "graph": _graph,
    "area": _area,
    "bars": _bars,
    "number": _number,
    "table": _table,
    "states": _states,
}


def _text(built: model.Dashboard) -> str:
    return json.dumps(built, cls=JSONEncoder, indent=2, sort_keys=True, ensure_ascii=False) + "\n"


def main() -> None:
    FOLDER.mkdir(exist_ok=True)
    for name, text in generate().items():
        (FOLDER / name).write_text(text, encoding="utf-8")
        print(FOLDER / name)


if __name__ == "__main__":
    main()
