"""`liqwatch simulate`: the venue servers alone, with the settings that point a collector at them."""

import asyncio
from collections.abc import Callable, Iterator, Mapping

import structlog

from .. import venues
from ..clock import Clock
from . import scenarios
from .dialects import VENUES
from .player import Simulator
from .venue_server import Origins

GRACE_SECONDS = 3.0  # between the first subscription and the first event, for the other venues to follow


def on_by_default() -> tuple[str, ...]:
    """The simulated venues that a collector watches without being told to."""
    known = venues.discover()
    return tuple(name for name in VENUES if name in known and known[name].enabled_by_default)


def toml(origins: Mapping[str, Origins]) -> str:
    """A part of liqwatch.toml that sends every venue's addresses to the simulator."""
    return "\n".join(line for venue, place in sorted(origins.items()) for line in _section(venue, place))


def _section(venue: str, place: Origins) -> Iterator[str]:
    yield f"[venues.{venue}]"
    yield f'websocket_origin = "{place.websocket}"'
    yield f'rest_origin = "{place.rest}"'
    yield ""


async def serve(
    scenario: str,
    seed: int = 1,
    speed: float = 1.0,
    ports: Mapping[str, tuple[int, int]] | None = None,
    *,
    disconnect_every: float | None = None,
    say: Callable[[str], None] = print,
    stop: asyncio.Event | None = None,
) -> None:
    """Serves until `stop` is set. The settings go to `say`, progress to the log.

    The clients live in present time, so a higher `speed` squeezes the scenario; events carry the time they are sent.
    The scenario begins soon after the first subscription. `ports`: websocket and REST port by venue.
    `disconnect_every`: sockets are cut at random, after so many seconds in the mean.
    Raises `ValueError` for an unknown scenario.
    """
    stop = stop or asyncio.Event()
    played = scenarios.named(scenario, seed)
    async with Simulator(
        played, seed, speed, Clock(), venues=on_by_default(), ports=ports, disconnect_every=disconnect_every
    ) as simulator:
        say(toml(simulator.origins))
        playing = asyncio.create_task(_play(simulator))
        stopping = asyncio.create_task(stop.wait())
        try:
            await asyncio.wait({playing, stopping}, return_when=asyncio.FIRST_COMPLETED)
            if playing.done():
                playing.result()
                await stopping
        finally:
            playing.cancel()
            stopping.cancel()
            await asyncio.gather(playing, stopping, return_exceptions=True)


async def _play(simulator: Simulator) -> None:
    log = structlog.get_logger("simulator")
    log.info("waiting for the first subscription", scenario=simulator.scenario.name, speed=simulator.speed)
    await simulator.until_subscribed()
    await asyncio.sleep(GRACE_SECONDS)
    log.info("playing", orders=len(simulator.scenario.orders))
    await simulator.play()
    for account in simulator.books.accounts():
        log.info(
            "sent",
            venue=account.venue,
            side=account.side,
            events=account.sent.count,
            usd=account.sent.micro_usd / 1_000_000,
            known_with_history_usd=account.known[1] / 1_000_000,
            lost_usd=account.lost[1] / 1_000_000,
        )
    books = simulator.books
    log.info(
        "played, serving on",
        events=books.count(),
        long_usd=books.usd("long") / 1_000_000,
        short_usd=books.usd("short") / 1_000_000,
        missed=books.missed.of().count,
    )
