"""The calm, self-refreshing status in a terminal."""

import asyncio
import contextlib
import itertools
from datetime import UTC, datetime

from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from ..amounts import money
from ..totals import STALE_AFTER_MS
from ..wire import micros
from .board import Board, FeedState
from .lines import NO_NETWORK
from .words import ago, share, until

_REFRESH_SECONDS = 1.0
_LIVE = ("acknowledged", "delivering")
_ORDERS = 6


def clock_text(ms: int) -> str:
    """UTC time of day."""
    return datetime.fromtimestamp(ms / 1000, UTC).strftime("%H:%M:%S")


def totals_table(board: Board) -> Table:
    """Totals by window and side."""
    table = Table(box=None, pad_edge=False, expand=False)
    for heading in ("window", "longs", "share", "shorts", "total", "orders", "largest"):
        table.add_column(heading, justify="left" if heading in ("window", "largest") else "right")
    for name, _ in reversed(board.windows):
        total = board.totals.sum(name, "all")
        both = total.long + total.short
        largest = total.largest()
        table.add_row(
            name,
            Text(money(total.long), style="red"),
            share(total.long, both),
            Text(money(total.short), style="green"),
            Text(money(both), style="bold"),
            f"{total.long_count + total.short_count:,}",
            f"{money(micros(largest.notional_usd))} {largest.side} {largest.venue} {largest.symbol}"
            if largest
            else "–",
        )
    return table


def venues_table(board: Board, now_ms: int) -> Table:
    """Venues with state, completeness of the longest window, last event."""
    table = Table(box=None, pad_edge=False)
    for heading in ("venue", "state", "feed", "watched", "last event", "events", ""):
        table.add_column(heading, justify="right" if heading in ("watched", "events") else "left")
    name, seconds = board.windows[-1]
    shares = {
        cover.venue: (cover.share, cover.completeness)
        for cover in board.coverage.shares(now_ms - seconds * 1000, now_ms)
    }
    feeds = sorted(board.feeds(), key=lambda feed: feed.venue)
    for venue, group in itertools.groupby(feeds, key=lambda feed: feed.venue):
        sockets = list(group)
        worst = next((s for s in sockets if s.state not in _LIVE), sockets[0])
        watched, completeness = shares.get(venue, (0.0, ""))
        last = max((s.last_event_ms or 0 for s in sockets), default=0)
        table.add_row(
            venue,
            Text(worst.state, style="green" if worst.state in _LIVE else "yellow"),
            str(completeness),
            f"{watched * 100:.1f} % of {name}",
            ago(last or None, now_ms),
            f"{sum(s.events for s in sockets):,}",
            _trouble(worst, now_ms),
        )
    return table


def _trouble(feed: FeedState, now_ms: int) -> Text:
    if feed.state in _LIVE:
        return Text(feed.detail, style="dim")
    return Text(" ".join(part for part in (feed.detail, until(feed.retry_at_ms, now_ms)) if part), style="dim")


def orders_table(board: Board) -> Table:
    """The latest large orders, newest first."""
    table = Table(box=None, pad_edge=False, show_header=False)
    for worth, one in list(board.large)[-_ORDERS:][::-1]:
        style = "red" if one.side == "long" else "green"
        table.add_row(
            clock_text(one.event_time_ms), Text(f"{money(worth)} {one.side}", style=style), one.venue, one.symbol
        )
    return table


def incidents_table(board: Board) -> Table:
    """Open incidents with what was last said."""
    table = Table(box=None, pad_edge=False, show_header=False)
    for incident in board.open_incidents()[:8]:
        table.add_row(
            clock_text(incident.opened_ms), incident.severity, Text(incident.steps[-1].headline, style="bold")
        )
    return table


def screen(board: Board, title: str) -> Group:
    """The whole picture."""
    now_ms = board.clock.now_ms()
    stale = board.totals.stale(now_ms, STALE_AFTER_MS * board.clock.speed)
    feeds = list(board.feeds())
    parts: list[Table | Text] = [
        Text(
            f"{title}   {clock_text(now_ms)} UTC"
            + (f"   totals are being rebuilt ({len(stale)} partitions)" if stale else "")
        ),
        Text(""),
        totals_table(board),
        Text(""),
        venues_table(board, now_ms),
    ]
    if feeds and all(feed.state not in _LIVE for feed in feeds):
        parts += [Text(""), Text(NO_NETWORK, style="yellow")]
    if board.large:
        parts += [Text("\nlatest large orders", style="dim"), orders_table(board)]
    if board.open_incidents():
        parts += [Text("\nopen incidents", style="dim"), incidents_table(board)]
    return Group(*parts)


async def show_screen(board: Board, stop: asyncio.Event, console: Console, title: str) -> None:
    """Redraws once a second until told to stop; what is printed meanwhile appears above."""
    with Live(screen(board, title), console=console, auto_refresh=False, transient=False) as live:
        while not stop.is_set():
            live.update(screen(board, title), refresh=True)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), _REFRESH_SECONDS)
