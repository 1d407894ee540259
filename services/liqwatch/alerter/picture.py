"""Draws the last 24 hours as a PNG. matplotlib, of the extra `charts`, is imported when the first one is drawn.

Its object interface is used throughout: pyplot keeps figures, and is not for threads other than the main one.
"""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from importlib.util import find_spec
from io import BytesIO
from textwrap import wrap
from typing import TYPE_CHECKING, Any

from ..amounts import DOLLAR, money
from .day import MINUTE_MS, Day
from .text import exact, span_words

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

WIDTH, HEIGHT = 1200, 600  # pixels
LONG, SHORT, LINE, STEP = "#c8424e", "#2a8f85", "#27364b", "#d97706"
_INK, _QUIET, _GRID, _GAP = "#1c2430", "#667085", "#e7eaee", "#eceff3"
_DPI = 100
_LEAST = 100.0  # USD: an axis without anything on it goes so far
_TITLE_WIDTH = 98  # characters of a line
_SUBJECT = {"long": "longs", "short": "shorts", "both": "longs and shorts"}
LIBRARY = "matplotlib>=3.11"  # as the extra has it: who runs this may have no copy of the repository
INSTALL = f"pictures need matplotlib, which is not installed: pip install '{LIBRARY}'"


class PictureUnavailable(Exception):
    """No picture can be drawn here; the text names the remedy."""


def is_available() -> bool:
    """Whether the library is there; it is not imported for that."""
    return find_spec("matplotlib") is not None


def warm() -> None:
    """Imports the library, which takes a second or more, and draws something small, which finds its fonts.

    Raises `PictureUnavailable`."""
    draw(Day("", "both", "24h", 0, MINUTE_MS, [0], [0], [0], 0))


def draw(day: Day) -> bytes:
    """A PNG of `WIDTH` x `HEIGHT` pixels. Takes about 0.2 s. Raises `PictureUnavailable`."""
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg  # noqa: PLC0415
        from matplotlib.figure import Figure  # noqa: PLC0415
    except ImportError:
        raise PictureUnavailable(INSTALL) from None
    figure = Figure(figsize=(WIDTH / _DPI, HEIGHT / _DPI), dpi=_DPI, facecolor="white")
    FigureCanvasAgg(figure)
    lines = _title(figure, day)
    top = 0.83 - 0.055 * (lines - 1)
    total = figure.add_axes((0.078, 0.455, 0.897, top - 0.455))
    minutes = figure.add_axes((0.078, 0.105, 0.897, 0.30), sharex=total)
    _total(total, day)
    _minutes(minutes, day)
    for axes in (total, minutes):
        _frame(axes, day)
    figure.align_ylabels()
    total.tick_params(labelbottom=False)
    _times(minutes, day)
    png = BytesIO()
    figure.savefig(png, format="png", dpi=_DPI, metadata={"Software": "liqwatch"})
    return png.getvalue()


def _title(figure: "Figure", day: Day) -> int:
    """Headline, and what is shown, in so many lines of the headline."""
    lines = wrap(_drawable(day.title), _TITLE_WIDTH, max_lines=2, placeholder=" …") or [""]
    figure.text(0.022, 0.965, _plain("\n".join(lines)), size=15, weight="bold", color=_INK, va="top", linespacing=1.25)
    shown = f"{_SUBJECT[day.side].capitalize()}, rolling total of {span_words(day.window)}"
    figure.text(0.022, 0.9 - 0.055 * (len(lines) - 1), _plain(shown), size=11, color=_QUIET, va="top")
    as_of = f"as of {day.zone.at(day.as_of_ms)}"
    figure.text(0.975, 0.9 - 0.055 * (len(lines) - 1), _plain(as_of), size=11, color=_QUIET, va="top", ha="right")
    return len(lines)


def _total(axes: "Axes", day: Day) -> None:
    x = [*(number + 1.0 for number in range(len(day.rolling) - 1)), _x(day, day.as_of_ms)]
    rolling = [*day.rolling[:-1], day.usd]
    y = [float("nan") if usd is None else usd / DOLLAR for usd in rolling]
    axes.fill_between(x, 0, y, color=LINE, alpha=0.08, linewidth=0)
    axes.plot(x, y, color=LINE, linewidth=2, solid_joinstyle="round")
    steps = [one for one in day.crossings if one.threshold]
    for one in steps:
        usd = one.threshold / DOLLAR
        newest = one is steps[-1]
        axes.axhline(usd, color=STEP, linewidth=1.4 if newest else 1, dashes=(6, 3), alpha=1 if newest else 0.55)
        axes.annotate(
            _plain(one.words), (0.004, usd), xycoords=("axes fraction", "data"), xytext=(0, 3),
            textcoords="offset points", size=10, weight="bold" if newest else "normal", color=STEP,
        )  # fmt: skip
    for one in day.crossings:
        axes.plot([_x(day, one.at_ms)], [one.usd / DOLLAR], "o", color=STEP, markersize=7, mec="white", clip_on=False)
    if day.crossings:
        _say_crossing(axes, day)
    top = max([*(usd for usd in rolling if usd is not None), *(one.threshold for one in day.crossings)], default=0)
    axes.set_ylim(0, max(top / DOLLAR, _LEAST) * 1.14)
    axes.set_ylabel("Total, USD", color=_QUIET, size=10)


def _say_crossing(axes: "Axes", day: Day) -> None:
    one = day.crossings[-1]
    what = f"past {one.words}" if one.words else "alert"
    on_the_right = _x(day, one.at_ms) > len(day.longs) / 2
    axes.annotate(
        _plain(f"{what} at {day.zone.clock(one.at_ms)}"), (_x(day, one.at_ms), one.usd / DOLLAR),
        xytext=(-5 if on_the_right else 5, 7), textcoords="offset points", va="bottom",
        ha="right" if on_the_right else "left", size=10, color=_INK,
    )  # fmt: skip


def _minutes(axes: "Axes", day: Day) -> None:
    middle = [number + 0.5 for number in range(len(day.longs))]
    shorts, longs = ([usd / DOLLAR for usd in side] for side in (day.shorts, day.longs))
    for values, sign, color in ((shorts, 1, SHORT), (longs, -1, LONG)):
        # Lines of a pixel's width: a minute is less wide than that, and must not vanish between two.
        drawn = [(x, usd * sign) for x, usd in zip(middle, values, strict=True) if usd]
        if drawn:
            axes.vlines([x for x, _ in drawn], 0, [usd for _, usd in drawn], color=color, linewidth=1.0)
    axes.axhline(0, color=_QUIET, linewidth=0.8)
    top, bottom = max(shorts, default=0.0), max(longs, default=0.0)
    whole = max(top + bottom, _LEAST)
    top, bottom = max(top, whole * 0.16), max(bottom, whole * 0.16)  # room for the words
    axes.set_ylim(-bottom * 1.15, top * 1.15)
    axes.set_ylabel("By whole minute, USD", color=_QUIET, size=10)
    for words, height, color, up in (("shorts", 0.95, SHORT, "top"), ("longs", 0.05, LONG, "bottom")):
        axes.text(0.006, height, words, transform=axes.transAxes, color=color, size=11, weight="bold", va=up)
    _say_peak(axes, day, longs, shorts)


def _say_peak(axes: "Axes", day: Day, longs: Sequence[float], shorts: Sequence[float]) -> None:
    """The minute that brought most, in words."""
    if not any(longs) and not any(shorts):
        return
    is_long = max(longs) >= max(shorts)
    side = longs if is_long else shorts
    number = max(range(len(side)), key=side.__getitem__)
    usd, minute = side[number], day.from_ms + number * MINUTE_MS
    on_the_right = number > len(side) / 2
    axes.annotate(
        _plain(f"{money(int(usd * DOLLAR))} at {day.zone.clock(minute)}"), (number + 0.5, -usd if is_long else usd),
        xytext=(-6 if on_the_right else 6, 0), textcoords="offset points", size=9.5, color=_QUIET,
        ha="right" if on_the_right else "left", va="bottom" if is_long else "top",
    )  # fmt: skip


def _frame(axes: "Axes", day: Day) -> None:
    axes.set_xlim(0, len(day.longs))
    axes.set_axisbelow(True)
    axes.grid(axis="y", color=_GRID, linewidth=0.8)
    axes.tick_params(colors=_QUIET, labelsize=10, length=0)
    for name, spine in axes.spines.items():
        spine.set_visible(name == "bottom")
        spine.set_color(_GRID)
    axes.yaxis.set_major_locator(_ticks(5 if axes.get_ylim()[0] == 0 else 4))
    axes.yaxis.set_major_formatter(lambda usd, _: _plain(_money(abs(usd))))
    for one in day.crossings[-1:]:
        axes.axvline(_x(day, one.at_ms), color=STEP, linewidth=0.9, alpha=0.5, zorder=1)
    for start, end in day.gaps:
        left, right = max(_x(day, start), 0.0), min(_x(day, end), float(len(day.longs)))
        if right > left:
            axes.axvspan(left, right, facecolor=_GAP, edgecolor="#d3d9e0", hatch="////", linewidth=0, zorder=0.5)
            if right - left >= 18 and axes.get_ylim()[0] == 0:  # minutes: room for the words, upright or lying
                wide = right - left > 75
                axes.text(
                    (left + right) / 2, 0.5, "not\nwatched" if wide else "not watched", rotation=0 if wide else 90,
                    transform=axes.get_xaxis_transform(), ha="center", va="center", size=9.5, color=_QUIET,
                )  # fmt: skip


def _ticks(number: int) -> Any:
    from matplotlib.ticker import MaxNLocator  # noqa: PLC0415

    return MaxNLocator(number, steps=[1, 2, 2.5, 5, 10])


def _times(axes: "Axes", day: Day) -> None:
    """A tick for every third hour of the zone, with the date at midnight."""
    hours = list(_hours(day))
    axes.set_xticks([x for x, _ in hours], [label for _, label in hours])
    axes.tick_params(axis="x", length=4, color=_GRID)
    axes.set_xlabel(f"Time, {day.zone.words}", color=_QUIET, size=10)


def _hours(day: Day) -> Iterator[tuple[float, str]]:
    moment = datetime.fromtimestamp(day.from_ms / 1000, UTC).replace(minute=0, second=0)
    while (x := _x(day, int(moment.timestamp() * 1000))) <= len(day.longs):
        local = day.zone.local(int(moment.timestamp() * 1000))
        if x >= 0 and local.hour % 3 == 0 and local.minute == 0:
            yield x, f"{local:%H:%M}" if local.hour else f"{local.day} {local:%b}"
        moment += timedelta(minutes=15)  # there are zones of 30 and of 45 minutes


def _x(day: Day, ms: int) -> float:
    """Minutes since the picture's beginning."""
    return (ms - day.from_ms) / MINUTE_MS


def _money(usd: float) -> str:
    """As on an axis: `$1.5B`, `$0`; three digits at most."""
    for power in (12, 9, 6):
        if usd >= 10**power:
            return exact(Decimal(f"{usd / 10**power:.3g}").scaleb(power))
    return exact(Decimal(round(usd)))


def _drawable(text: str) -> str:
    """With a question mark for what the font does not have: a coin may have any name."""
    from matplotlib.font_manager import FontProperties, findfont, get_font  # noqa: PLC0415

    font = get_font(findfont(FontProperties(weight="bold")))
    return "".join(mark if font.get_char_index(ord(mark)) else "?" for mark in text)


def _plain(text: str) -> str:
    """Two dollar signs would make a formula of what is between them."""
    return text.replace("$", r"\$")
