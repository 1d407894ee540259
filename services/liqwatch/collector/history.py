"""Reads a venue's own list of past liquidations over HTTP: within its limits, bounded in requests and in time."""

import asyncio
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from types import MappingProxyType

import aiohttp

from ..clock import Clock
from ..supervise import Backoff
from ..venues.base import BadRow, History, HistoryPage, Instruments, Venue
from ..wire import Liquidation
from .addresses import moved
from .failures import classify
from .fetch import ListFailed, fetch_body

MOST_REQUESTS = 5000  # of one reading
LONGEST_SECONDS = 900.0
MOST_BAD = 2000  # rows: a list whose format is another one is not read on, and not kept
_TRIES = 3  # of one page
_PATIENCE = 60.0  # seconds; who asks for a longer pause is asked again another time
_MOST_FAILED = 5  # questions in a row that got no answer …
_MOST_REFUSED = 50  # … or a no in words


class HistoryFailed(Exception):
    """A list could not be read, or not all of it; the text is for people."""

    def __init__(self, detail: str, wait: float = 0.0, *, refused: bool = False, unknown: bool = False) -> None:
        super().__init__(detail)
        self.wait = wait
        self.refused = refused  # in words: the next question may be answered
        self.unknown = refused or unknown  # the venue answers, and not this question


@dataclass(slots=True)
class Reading:
    """What has been read so far; whole once `HistoryReader.read` has returned."""

    events: list[Liquidation] = field(default_factory=list)
    bad_rows: list[tuple[str, BadRow]] = field(default_factory=list)  # with the address
    requests: int = 0


class HistoryReader:
    """One venue's list, its requests one after the other."""

    def __init__(
        self,
        http: aiohttp.ClientSession,
        venue: Venue,
        history: History,
        origin: str | None,
        instruments: Instruments,
        clock: Clock,
    ) -> None:
        self._http, self._venue, self._history, self._origin = http, venue, history, origin
        self._instruments, self._clock = instruments, clock
        self._pause = history.pause.total_seconds()
        self._next_at = 0.0

    @property
    def by_contract(self) -> bool:
        """The list is asked contract by contract."""
        return not self._history.urls({}, 0, 1)

    async def read(
        self, since_ms: int, until_ms: int, reading: Reading, delisted: Instruments = MappingProxyType({})
    ) -> None:
        """Adds to `reading` what the list has from the one time to the other, the newest first.

        Raises `HistoryFailed` where anything of it could not be read; what could be is in `reading` all the same.
        `delisted` are asked for as well; that the venue knows them no more is no failure.
        """
        deadline = time.monotonic() + LONGEST_SECONDS
        failed: list[HistoryFailed] = []
        in_a_row = questions = 0
        urls = list(self._history.urls(self._instruments, since_ms, until_ms))
        regular = set(urls)
        if delisted:
            urls += [url for url in self._history.urls(delisted, since_ms, until_ms) if url not in regular]
        for first in urls:
            questions += 1
            try:
                await self._follow(first, since_ms, until_ms, reading, deadline)
                in_a_row = 0
            except HistoryFailed as error:
                if error.unknown and first not in regular:
                    continue
                failed.append(error)
                in_a_row += 1
                if (
                    in_a_row >= (_MOST_REFUSED if error.refused else _MOST_FAILED)
                    or error.wait > _PATIENCE
                    or time.monotonic() > deadline
                ):
                    break
        if failed:
            words = (
                str(failed[-1]) if questions == 1 else f"{len(failed)} of {questions} questions failed: {failed[-1]}"
            )
            raise HistoryFailed(words, max(error.wait for error in failed))

    async def _follow(self, url: str, since_ms: int, until_ms: int, reading: Reading, deadline: float) -> None:
        """Reads a first page and those behind it, until they are older than what is asked for."""
        seen: set[str] = set()
        following: str | None = url
        while following is not None:
            if following in seen:
                raise HistoryFailed("its pages do not end")
            if reading.requests >= MOST_REQUESTS or time.monotonic() > deadline:
                raise HistoryFailed(f"not read to its end after {reading.requests} requests")
            if len(reading.bad_rows) > MOST_BAD:
                error = reading.bad_rows[-1][1].error
                raise HistoryFailed(f"too many of its rows cannot be read, such as: {error}"[:300])
            seen.add(following)
            page = await self._page(following, reading)
            reading.events += _within(page, since_ms, until_ms, self._history.resolution_ms)
            reading.bad_rows += [(following, row) for row in page.bad_rows]
            oldest = min((event.event_time_ms for event in page.liquidations), default=since_ms)
            following = page.next_url if oldest >= since_ms or not page.liquidations else None

    async def _page(self, url: str, reading: Reading) -> HistoryPage:
        backoff = Backoff(first=1.0, cap=20.0)
        for attempt in range(1, _TRIES + 1):
            await self._keep_to_the_limit()
            reading.requests += 1
            try:
                body = await fetch_body(self._http, moved(url, self._origin))
                now_ms = self._clock.now_ms()
                return await asyncio.to_thread(self._history.read, url, body, self._instruments, now_ms)
            except ValueError as error:  # a refusal in words, or not what the documentation promises: no better soon
                raise HistoryFailed(str(error)[:200], refused=True) from error
            except ListFailed as error:
                final = error.wait > _PATIENCE or (error.reason == "refused" and error.cause != "server_error")
                if final or attempt == _TRIES:
                    unknown = error.reason == "refused" and error.cause in ("", "old_endpoint")
                    raise HistoryFailed(str(error), error.wait, unknown=unknown) from error
                await asyncio.sleep(backoff.next(error.wait))
            except (aiohttp.ClientError, OSError, TimeoutError, EOFError) as error:
                failure = classify(error)
                if attempt == _TRIES:
                    raise HistoryFailed(failure.detail, failure.wait) from error
                await asyncio.sleep(backoff.next(failure.wait))
        raise AssertionError("every try returns, raises or is followed by another")

    async def _keep_to_the_limit(self) -> None:
        await asyncio.sleep(max(0.0, self._next_at - time.monotonic()))
        self._next_at = time.monotonic() + self._pause


def _within(page: HistoryPage, since_ms: int, until_ms: int, resolution_ms: int) -> Iterator[Liquidation]:
    """What fell in the time, or may have: a coarse time names the beginning of its span."""
    for event in page.liquidations:
        if since_ms - resolution_ms < event.event_time_ms <= until_ms:
            yield event
