"""One venue as the collector would meet it: its lists, its sockets, a subscription, and a sign that it delivers."""

import asyncio
import time
from collections.abc import Awaitable, Mapping, Sequence
from dataclasses import replace

import aiohttp
from prometheus_client import CollectorRegistry

from ..clock import Clock
from ..collector.addresses import moved
from ..collector.conversation import Conversation
from ..collector.failures import classify
from ..collector.fetch import ListFailed, fetch_body, fetch_list
from ..collector.intake import Intake
from ..collector.meter import Meter
from ..collector.socket import Ended, Socket
from ..collector.watch import LIMITS
from ..events import Price, RejectedFrame
from ..metrics import CollectorMetrics
from ..settings import Settings, VenueSettings
from ..venues.base import Feed, History, Instrument, InstrumentList, Venue, build_instruments
from ..wire import Liquidation
from .finding import Finding, fails, not_tried, works

_MINUTES = 10  # of the venue's own list of what was liquidated


class _Nowhere:
    """Takes what comes and keeps nothing."""

    def liquidations(self, items: Sequence[Liquidation]) -> None: ...

    def price(self, message: Price) -> None: ...

    def rejected(self, message: RejectedFrame) -> None: ...

    def may_come(self, symbol: str) -> bool:
        return False

    def want(self, symbol: str) -> None: ...


async def try_venue(
    venue: Venue, settings: Settings, http: aiohttp.ClientSession, clock: Clock, wait: float
) -> Sequence[Finding]:
    """The lists first: the sockets need them."""
    own = settings.venues.get(venue.name, VenueSettings())
    known: dict[str, Instrument] = {}
    findings = [
        await _try_list(venue, listed, own.rest_origin, http, settings.collector.usd_currencies, known)
        for listed in venue.instrument_lists
    ]
    tried = [
        _survived(venue, f"feed {feed.name}", _try_feed(venue, feed, own.websocket_origin, known, clock, wait))
        for feed in venue.feeds
    ]
    if venue.history is not None:
        trying = _try_history(venue, venue.history, own.rest_origin, http, clock, known)
        tried.append(_survived(venue, "history", trying))
    return [*findings, *await asyncio.gather(*tried)]


async def _survived(venue: Venue, part: str, trying: Awaitable[Finding]) -> Finding:
    """A bug of ours in one venue costs none of the other answers."""
    try:
        return await trying
    except Exception as error:
        return fails(venue.name, part, f"failed with {type(error).__name__}: {error}"[:200], "error")


async def _try_list(
    venue: Venue,
    listed: InstrumentList,
    origin: str | None,
    http: aiohttp.ClientSession,
    usd: Sequence[str],
    known: dict[str, Instrument],
) -> Finding:
    part = f"list {listed.name}"
    try:
        objects = await fetch_list(http, venue, listed, origin)
        built, errors = await asyncio.to_thread(build_instruments, venue, objects, usd)
    except ListFailed as error:
        return fails(venue.name, part, str(error), error.cause or "unreadable")
    if not built:
        return fails(venue.name, part, f"none of its {len(errors)} contracts can be used: {errors[:1]}", "unreadable")
    known.update(built)
    return works(venue.name, part, f"{len(built)} contracts" + (f", {len(errors)} not usable" if errors else ""))


async def _try_history(
    venue: Venue,
    history: History,
    origin: str | None,
    http: aiohttp.ClientSession,
    clock: Clock,
    known: Mapping[str, Instrument],
) -> Finding:
    now_ms = clock.now_ms()
    urls = history.urls(known, now_ms - _MINUTES * 60_000, now_ms)
    if not urls:
        return not_tried(venue.name, "history", "needs the list of contracts")
    try:
        body = await fetch_body(http, moved(urls[0], origin))
        page = await asyncio.to_thread(history.read, urls[0], body, known, now_ms)
    except ListFailed as error:
        return fails(venue.name, "history", str(error), error.cause or "unreadable")
    except ValueError as error:
        return fails(venue.name, "history", str(error)[:200], "unreadable")
    except (aiohttp.ClientError, OSError, TimeoutError, EOFError) as error:
        failure = classify(error)
        return fails(venue.name, "history", failure.detail, failure.cause or "unreachable")
    return works(venue.name, "history", f"answers: {len(page.liquidations)} in the first page")


async def _try_feed(
    venue: Venue, feed: Feed, origin: str | None, known: Mapping[str, Instrument], clock: Clock, wait: float
) -> Finding:
    part = f"feed {feed.name}"
    symbols: Sequence[str] = ()
    if feed.symbols_per_socket is not None:
        listed = sorted(name for name, one in known.items() if one.trading and one.feed in (None, feed.name))
        symbols = listed[: feed.symbols_per_socket]
        if not symbols:
            return not_tried(venue.name, part, "needs the list of contracts")
    news = asyncio.Event()
    outlet = _Nowhere()
    metrics = CollectorMetrics(CollectorRegistry(), [venue.name])
    intake = Intake(venue, "doctor", outlet, outlet, metrics, clock, hold_seconds=0.0)
    limits = replace(LIMITS, acknowledge=min(LIMITS.acknowledge, wait))
    conversation = Conversation(
        venue, venue.session(feed, known, symbols), intake, Meter(feed.name), limits, news.set,
        gzipped=feed.compression == "gzip", wildcard=feed.symbols_per_socket is None,
    )  # fmt: skip
    socket = Socket(venue, feed, moved(feed.url, origin, websocket=True), conversation, clock, limits)
    running = asyncio.create_task(socket.run(), name=f"try {venue.name} {feed.name}")
    running.add_done_callback(lambda _: news.set())
    began = time.monotonic()
    try:
        return await _watch(venue, part, conversation, running, news, began, wait)
    finally:
        socket.end("planned", "tried")
        await asyncio.wait({running}, timeout=2 * LIMITS.close)
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


async def _watch(
    venue: Venue,
    part: str,
    conversation: Conversation,
    running: "asyncio.Task[Ended]",
    news: asyncio.Event,
    began: float,
    wait: float,
) -> Finding:
    """Until it delivers, ends, or the time is over."""
    acknowledged: float | None = None
    until = began + LIMITS.open + LIMITS.acknowledge + wait
    while True:
        now = time.monotonic()
        if running.done():
            return _ended(venue, part, running.result(), conversation)
        if conversation.partial:
            return fails(venue.name, part, conversation.partial, "not_acknowledged")
        if conversation.acknowledged and acknowledged is None:
            acknowledged = now
            until = now + wait
        if conversation.state == "delivering":
            return works(venue.name, part, f"delivers, after {now - began:.1f} s")
        ticks = venue.control_limit is not None and conversation.session.control_expected
        if acknowledged is not None and not ticks:
            return works(
                venue.name,
                part,
                f"acknowledged after {acknowledged - began:.1f} s; it has no channel that always ticks",
            )
        if now >= until:
            words = f"{conversation.state}, then nothing for {wait:.0f} s from its channel that always ticks"
            return fails(venue.name, part, words, "silent" if acknowledged is not None else "not_acknowledged")
        news.clear()
        try:
            async with asyncio.timeout(min(0.5, until - now)):
                await news.wait()
        except TimeoutError:
            pass


def _ended(venue: Venue, part: str, ended: Ended, conversation: Conversation) -> Finding:
    failure = ended.failure
    cause = failure.cause
    if not cause:
        silent = failure.reason in ("silent", "control_silent")
        cause = "silent" if silent and conversation.acknowledged else failure.reason
        if failure.reason in ("refused", "silent") and not conversation.acknowledged:
            cause = "not_acknowledged"
    return fails(venue.name, part, failure.detail, cause)
