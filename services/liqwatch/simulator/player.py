"""The simulator: venues on 127.0.0.1, a scenario in their words, and books of what was really sent."""

import asyncio
import itertools
from collections.abc import Iterable, Mapping, Sequence
from contextlib import AsyncExitStack
from decimal import Decimal
from types import TracebackType

from ..clock import Clock
from ..events import Side
from . import scenarios
from .books import Books
from .dialects import VENUES, dialect, standard
from .listings import Listing
from .orders import Entry, Order, by_time, entry
from .past import Past
from .scenarios import Scenario
from .trouble import Trouble
from .venue_server import Origins, VenueServer

TICK_SECONDS = 0.002
LONGEST_NAP_SECONDS = 0.05


class Simulator:
    """Venue servers while it is entered; `play` sends the scenario.

    `speed` is how many seconds of the scenario pass in a real second; by default the clock's own speed, so that a
    demo's clock and scenario run together. With a real clock and a higher speed the scenario is squeezed, and every
    event still carries the present time. `disconnect_every`: sockets are cut at random, after so many seconds in the
    mean; the same seed gives the same lifetimes, one after another.
    """

    def __init__(
        self, scenario: str | Scenario | Iterable[Order], seed: int = 1, speed: float | None = None,
        clock: Clock | None = None, *, venues: Sequence[str] = VENUES, listings: Iterable[Listing] | None = None,
        second: float = 1.0, keep_events: bool = False, disconnect_every: float | None = None,
        ports: Mapping[str, tuple[int, int]] | None = None,
    ) -> None:  # fmt: skip
        self.clock = clock or Clock()
        self.speed = speed or self.clock.speed
        self.scenario = _scenario(scenario, seed)
        self.books = Books(keep=keep_events)
        self.origins: dict[str, Origins] = {}
        self.venues: dict[str, VenueServer] = {}
        self._ports = ports or {}
        self._stack = AsyncExitStack()
        self._last_ms: dict[tuple[str, str], int] = {}
        self._numbers = itertools.count(self.clock.now_ms())  # a simulator that is started later numbers higher
        listed = list(standard() if listings is None else listings)
        for name in venues:
            mine = {listing.symbol: listing for listing in listed if listing.venue == name}
            trouble, past = Trouble(disconnect_every_seconds=disconnect_every), Past()
            self.venues[name] = VenueServer(
                dialect(name, mine, trouble, past), mine, trouble, past, self.books, self.clock,
                seed=seed, second=second,
            )  # fmt: skip

    async def __aenter__(self) -> "Simulator":
        async with AsyncExitStack() as stack:
            for name, venue in self.venues.items():
                stack.push_async_callback(venue.stop)
                self.origins[name] = await venue.start(*self._ports.get(name, (0, 0)))
            self._stack = stack.pop_all()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._stack.aclose()

    async def until_watched(self, timeout: float = 30.0) -> None:
        """Returns once every venue has a subscription for all it lists. Raises `TimeoutError`."""
        async with asyncio.timeout(timeout):
            for venue in self.venues.values():
                await venue.until_watched()

    async def until_subscribed(self) -> None:
        """Returns once any venue has a subscription. No limit: who runs the servers alone waits for a client."""
        waits = [asyncio.create_task(venue.until_subscribed()) for venue in self.venues.values()]
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()
            await asyncio.gather(*waits, return_exceptions=True)

    async def play(self) -> None:
        """Sends the scenario from now on, then lets its time run out. Events of venues left out are skipped."""
        stretch = self.clock.speed / self.speed  # clock milliseconds per millisecond of the scenario
        start_ms = self.clock.now_ms()
        waiting: dict[str, list[Entry]] = {name: [] for name in self.venues}
        flushed: dict[str, float] = dict.fromkeys(self.venues, 0.0)
        for number, order in enumerate(by_time(order for order in self.scenario.orders if order.venue in self.venues)):
            due_ms = start_ms + int(order.at_ms * stretch)
            if number % 100 == 0:  # also when it has fallen behind
                await self._flush(waiting, flushed, stretch)
                await asyncio.sleep(0)
            while self.clock.now_ms() < due_ms:
                await self._flush(waiting, flushed, stretch)
                await self._nap(due_ms)
            waiting[order.venue].append(self._entry(order, due_ms))
        while any(waiting.values()):
            await self._flush(waiting, flushed, stretch)
            await asyncio.sleep(TICK_SECONDS)
        end_ms = start_ms + int(self.scenario.lasts_ms * stretch)
        while self.clock.now_ms() < end_ms:
            await self._nap(end_ms)

    async def send(self, venue: str, symbol: str, side: Side, price: str, quantity: str) -> Entry:
        """One order, at once; `quantity` in base coins."""
        order = Order(0, venue, symbol, side, Decimal(price), Decimal(quantity))
        made = self._entry(order, self.clock.now_ms())
        await self.venues[venue].push([made])
        return made

    def list_instrument(self, listing: Listing) -> None:
        """A new listing: in the REST list, and open to subscriptions, from now on."""
        self.venues[listing.venue].listings[listing.symbol] = listing

    def _entry(self, order: Order, due_ms: int) -> Entry:
        listing = self.venues[order.venue].listings[order.symbol]
        # No two events of a symbol share a time: where a venue gives no id, equal ones would be one.
        event_ms = max(due_ms, self._last_ms.get(listing.key, 0) + 1)
        self._last_ms[listing.key] = event_ms
        return entry(listing, order, event_ms, next(self._numbers))

    async def _flush(self, waiting: dict[str, list[Entry]], flushed: dict[str, float], stretch: float) -> None:
        """Pushes what waits, at each venue not more often than it really does."""
        for name, venue in self.venues.items():
            now_ms = self.clock.now_ms()
            if waiting[name] and now_ms >= flushed[name] + venue.dialect.batch_ms * stretch:
                flushed[name] = now_ms
                entries, waiting[name] = waiting[name], []
                await venue.push(entries)

    async def _nap(self, until_ms: int) -> None:
        seconds = (until_ms - self.clock.now_ms()) / 1000 / self.clock.speed
        await asyncio.sleep(min(max(seconds, TICK_SECONDS), LONGEST_NAP_SECONDS))


def _scenario(scenario: str | Scenario | Iterable[Order], seed: int) -> Scenario:
    if isinstance(scenario, str):
        return scenarios.named(scenario, seed)
    if isinstance(scenario, Scenario):
        return scenario
    orders = tuple(scenario)
    return Scenario("given", "Orders of the caller.", orders, max((order.at_ms for order in orders), default=0))
