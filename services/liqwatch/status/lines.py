"""Plain lines of status, for where there is no terminal."""

import asyncio
import contextlib
from collections.abc import Callable

from ..amounts import money
from .board import Board, FeedState
from .words import share, until

_FIRST_SECONDS = 3.0
_LIVE = ("acknowledged", "delivering")
NO_NETWORK = (
    "No venue can be reached from here. liqwatch keeps trying; `make demo` (or `liqwatch demo`) shows it at work "
    "without a network."
)


def totals_line(board: Board) -> str:
    """One line: each window by side, feeds, open incidents."""
    parts = []
    for name, _ in reversed(board.windows):
        total = board.totals.sum(name, "all")
        both = total.long + total.short
        parts.append(f"{name} longs {money(total.long)} ({share(total.long, both)}) shorts {money(total.short)}")
    venues = {feed.venue for feed in board.feeds()}
    down = {feed.venue for feed in board.feeds() if feed.state not in _LIVE}
    parts.append(f"venues {len(venues - down)}/{len(venues)}")
    incidents = board.open_incidents()
    parts.append(
        "open: " + ", ".join(f"{i.rule} {i.scope}" for i in incidents[:3]) if incidents else "no open incident"
    )
    return " | ".join(parts)


def trouble_lines(feeds: list[FeedState], now_ms: int) -> list[str]:
    """One line per socket that does not deliver: what is wrong and when it retries."""
    return [
        f"{feed.venue} {feed.feed}: {feed.state}{': ' + feed.detail if feed.detail else ''}"
        + f"; {until(feed.retry_at_ms, now_ms) or 'trying now'}"
        for feed in feeds
        if feed.state not in _LIVE
    ]


async def show_lines(board: Board, stop: asyncio.Event, every: float, write: Callable[[str], None]) -> None:
    """Writes a line of totals every so many real seconds; trouble when it changes."""
    shown: set[tuple[str, str, str]] = set()
    wait = min(_FIRST_SECONDS, every)
    while not stop.is_set():
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(stop.wait(), wait)
            return
        wait = every
        feeds = list(board.feeds())
        trouble = {(feed.venue, feed.feed, feed.detail) for feed in feeds if feed.state not in _LIVE and feed.detail}
        if trouble != shown:
            shown = trouble
            for line in trouble_lines(feeds, board.clock.now_ms()):
                write(line)
            if feeds and all(feed.state not in _LIVE and feed.detail for feed in feeds):
                write(NO_NETWORK)
        write(totals_line(board))
