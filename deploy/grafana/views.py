"""How a panel becomes one of Grafana's: graphs, numbers, tables, strips, heat maps."""

from collections.abc import Callable
from typing import Any

from grafana_foundation_sdk.builders import common as options
from grafana_foundation_sdk.builders import dashboard, heatmap, prometheus, stat, statetimeline, table, timeseries
from grafana_foundation_sdk.models import common
from grafana_foundation_sdk.models import dashboard as model
from grafana_foundation_sdk.models.heatmap import HeatmapColorMode
from grafana_foundation_sdk.models.prometheus import PromQueryFormat

from .panels import Panel, Query

DATASOURCE = common.DataSourceRef(type_val="prometheus", uid="${datasource}")
BASE_COLOURS = {"number": "text", "strip": "red"}  # below the first threshold
SIDE_COLOURS = {"long": "red", "short": "green"}  # the colours of the candle that such an order makes


def _target(query: Query) -> prometheus.Dataquery:
    return prometheus.Dataquery().datasource(DATASOURCE).expr(query.expression).legend_format(query.legend).range()


def _dressed(view: Any, panel: Panel) -> Any:
    """What every kind of panel has; the builders share these methods, though no type."""
    view = view.title(panel.title).description(panel.description).unit(panel.unit).datasource(DATASOURCE)
    view = view.span(panel.width).height(panel.height).min(0)
    for letter, query in zip("ABCDEFGH", panel.queries, strict=False):
        view = view.with_target(_target(query).ref_id(letter))
    steps = [model.Threshold(None, BASE_COLOURS.get(panel.kind, "transparent"))]
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
        .targets([_target(query).ref_id("A").instant().format(PromQueryFormat.TABLE) for query in panel.queries])
        .with_transformation(
            model.DataTransformerConfig(
                id_val="organize",
                options={"excludeByName": {"Time": True}, "renameByName": {"Value": "settings read"}},
            )
        )
    )


def _states(panel: Panel) -> Any:
    return _dressed(statetimeline.Panel(), panel).show_value(common.VisibilityMode.NEVER).row_height(0.8)


def _strip(panel: Panel) -> Any:
    """A line of colour for each series, by its thresholds."""
    return _states(panel).color_scheme(dashboard.FieldColor().mode(model.FieldColorModeId.THRESHOLDS))


def _heatmap(panel: Panel) -> Any:
    """A histogram over time: one query, which gives its buckets."""
    (query,) = panel.queries
    return (
        _dressed(heatmap.Panel(), panel)
        .targets([_target(query).ref_id("A").format(PromQueryFormat.HEATMAP)])
        .calculate(False)
        .y_axis(heatmap.YAxisConfig().unit(panel.unit))
        .color(heatmap.HeatmapColorOptions().mode(HeatmapColorMode.SCHEME).scheme("Oranges").steps(64))
        .cell_gap(1)
    )


VIEWS: dict[str, Callable[[Panel], Any]] = {
    "graph": _graph,
    "area": _area,
    "bars": _bars,
    "number": _number,
    "table": _table,
    "states": _states,
    "strip": _strip,
    "heatmap": _heatmap,
}
