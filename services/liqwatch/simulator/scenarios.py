"""Scenarios of the shape of real days: money by side and hour as published, everything else made up by a seed.

The published figures are CoinGlass readings and Amberdata's minutes; where they count a venue that is not
simulated, its share is spread over those that are (`shares`).
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from ..events import LONG
from .olddays import ALTS, Made, april_2021, february_2025, february_2026, may_2021, november_2022, october_2022
from .orders import Order, by_time
from .shapes import HOUR_MS, MINUTE_MS, Maker, Mix, Phase
from .shares import JANUARY_2026, OCTOBER_2025, USUAL, simulated

DEMO = "crash-day"
DEMO_SPEED = 1800.0  # the demo's 36 hours pass in 72 seconds


@dataclass(frozen=True, slots=True)
class Scenario:
    """Orders sorted by time, and how long time runs on so that the totals fall again."""

    name: str
    about: str
    orders: tuple[Order, ...]
    lasts_ms: int


_COINS = ALTS | {"BTC": 30, "ETH": 24, "WLD": 2, "PEPE": 2}
_VENUES = simulated(USUAL)


def named(name: str, seed: int = 1, orders: int | None = None) -> Scenario:
    """The scenario `name`, of about `orders` orders. Raises `ValueError` for an unknown one; `NAMES` has them all."""
    if name not in _SCENARIOS:
        raise ValueError(f"unknown scenario {name!r}; known are {', '.join(NAMES)}")
    make, about = _SCENARIOS[name]
    made, lasts_ms = make(f"{name} {seed}", orders)
    return Scenario(name, about, tuple(by_time(made)), lasts_ms)


def burst(events_per_second: int, seconds: int, seed: int | str = 1) -> Scenario:
    """An even stream, for measurements."""
    maker = Maker(Mix(_VENUES, _COINS, 2e6), f"burst {seed}")
    count = events_per_second * seconds
    phase = Phase(0, seconds * 1000, count * 0.8 * 20_000, count * 0.2 * 20_000, count)
    about = f"{events_per_second} events a second for {seconds} seconds."
    return Scenario("burst", about, tuple(by_time(maker.orders(phase))), seconds * 1000)


def _all(maker: Maker, phases: Iterable[Phase]) -> list[Order]:
    return [order for phase in phases for order in maker.orders(phase)]


def _2025_09_22(seed: str, orders: int | None) -> Made:
    """Total 1.70 billion, 1.615 of it longs; 1.07 (1.05) from 06:30 to 07:30; ETH and BTC heavy."""
    count = orders or 30_000
    mix = Mix(_VENUES, ALTS | {"ETH": 27, "BTC": 15}, 6e6)
    maker = Maker(mix, seed)
    largest = maker.one(7 * HOUR_MS, ("okx", "BTC-USDT-SWAP"), LONG, 12.74e6, 0.97)
    phases = (
        Phase(0, 390 * MINUTE_MS, 180e6, 27e6, count // 5, 1.0, 0.99),
        Phase(390 * MINUTE_MS, 450 * MINUTE_MS, 1050e6 - 12.74e6, 20e6, count * 2 // 5, 0.99, 0.96),
        Phase(450 * MINUTE_MS, 24 * HOUR_MS, 385e6, 38.88e6, count * 2 // 5, 0.96, 0.97),
    )
    return [largest, *_all(maker, phases)], 34 * HOUR_MS


def _2025_10_10(seed: str, orders: int | None) -> Made:
    """19.1 billion, 16.7 of it longs; the minute 21:15 UTC 3.21, 93.5 % of it longs. The clock starts at 13:00 UTC."""
    count = orders or 40_000
    mix = Mix(simulated(OCTOBER_2025), _COINS, 90e6)
    start, minute, end, over = (at * MINUTE_MS for at in (470, 495, 510, 840))  # 20:50, 21:15, 21:30, 03:00
    peak_long = 3.21e9 * 0.935
    phases = (
        Phase(0, start, 1.43e9, 0.35e9, count // 4, 1.0, 0.97),
        Phase(start, minute, 4.70e9, 0.60e9, count // 4, 0.97, 0.86),
        Phase(minute, minute + MINUTE_MS, peak_long, 3.21e9 - peak_long, count // 20, 0.86, 0.82),
        Phase(minute + MINUTE_MS, end, 4.26e9, 0.60e9, count // 5, 0.82, 0.88),
        Phase(end, over, 16.7e9 - (1.43e9 + 4.70e9 + 4.26e9 + peak_long), 0.64135e9, count // 4, 0.88, 0.90),
    )
    return _all(Maker(mix, seed), phases), 38 * HOUR_MS


def _2026_01_30(seed: str, orders: int | None) -> Made:
    """Wavers around 1.7 billion: 1.68, then to and fro while shorts leave the window, to 1.70; largest HTX 80.57."""
    count = orders or 40_000
    mix = Mix(simulated(JANUARY_2026), _COINS | {"BTC": 60, "ETH": 34}, 30e6)
    maker = Maker(mix, seed)
    half = 30 * MINUTE_MS
    early_long, early_short = 12e6, 3.2e6  # in each of the first 14 half hours: what leaves the window later
    phases = [Phase(n * half, (n + 1) * half, early_long, early_short, count // 120) for n in range(14)]
    rest_long, rest_short = 1562e6 - 14 * early_long - 80.57e6, 118e6 - 14 * early_short
    phases += [
        Phase(7 * HOUR_MS, 10 * HOUR_MS, rest_long * 0.7, rest_short * 0.5, count // 3, 1.0, 0.93),
        Phase(10 * HOUR_MS, 24 * HOUR_MS, rest_long * 0.3, rest_short * 0.5, count // 3, 0.93, 0.94),
    ]
    # The total's steps in each half hour after the first day, around 1.7 billion; the shorts fall all the time.
    steps = (9, 8, 7, -8, 9, -7, 6, -9, 8, -6, 5, 1)
    short_step = (107.74 - 118) / len(steps)
    phases += [
        Phase(
            24 * HOUR_MS + n * half,
            24 * HOUR_MS + (n + 1) * half,
            early_long + (step - short_step) * 1e6,
            early_short + short_step * 1e6,
            count // 60,
            0.94,
            0.94,
        )
        for n, step in enumerate(steps)
    ]
    largest = maker.one(8 * HOUR_MS, ("htx", "BTC-USDT"), LONG, 80.57e6, 0.95)
    return [largest, *_all(maker, phases)], 40 * HOUR_MS


def _crash_day(seed: str, orders: int | None) -> Made:
    """A slide to 1.7 billion of longs, then a crash to 12; quick enough to watch, slow enough to read."""
    count = orders or 24_000
    mix = Mix(_VENUES, _COINS, 60e6)
    maker = Maker(mix, seed)
    phases = (
        Phase(0, 60 * MINUTE_MS, 0.10e9, 0.05e9, count // 12, 1.0, 0.99),
        Phase(60 * MINUTE_MS, 200 * MINUTE_MS, 1.05e9, 0.08e9, count // 4, 0.99, 0.97),
        Phase(200 * MINUTE_MS, 320 * MINUTE_MS, 0.85e9, 0.09e9, count // 6, 0.97, 0.96),
        Phase(320 * MINUTE_MS, 440 * MINUTE_MS, 2.60e9, 0.30e9, count // 6, 0.96, 0.92),
        Phase(440 * MINUTE_MS, 560 * MINUTE_MS, 7.00e9, 0.80e9, count // 6, 0.92, 0.84),
        Phase(560 * MINUTE_MS, 660 * MINUTE_MS, 0.40e9, 0.35e9, count // 6, 0.84, 0.88),
    )
    return _all(maker, phases), 36 * HOUR_MS


def _quiet(seed: str, orders: int | None) -> Made:
    """A day without news."""
    count = orders or 3_000
    maker = Maker(Mix(_VENUES, _COINS, 1.5e6), seed)
    phases = [Phase(n * HOUR_MS, (n + 1) * HOUR_MS, 5e6, 4e6, count // 24) for n in range(24)]
    return _all(maker, phases), 24 * HOUR_MS


def _burst(seed: str, orders: int | None) -> Made:
    scenario = burst((orders or 150_000) // 30, 30, seed)
    return scenario.orders, scenario.lasts_ms


_SCENARIOS: Mapping[str, tuple[Callable[[str, int | None], Made], str]] = {
    "crash-day": (_crash_day, "$1.7B of longs, then a crash to $12B, and a day for it to pass."),
    "2021-04-17": (april_2021, "$9.85B in a day, $8.68B of it longs, half of that at Binance."),
    "2021-05-19": (may_2021, "$8.6B in a day, more than $8B of it in 18 hours."),
    "2022-10-25": (october_2022, "Shorts: $1.1B in a day, 85 % of it on one venue."),
    "2022-11-08": (november_2022, "The end of FTX: $0.7B of longs in a day, and in no hour much."),
    "2025-02-03": (february_2025, "$2.24B in a day, most of it in two hours."),
    "2025-09-22": (_2025_09_22, "$1.70B in a day, 95 % longs, $1.07B of it in one hour."),
    "2025-10-10": (_2025_10_10, "The largest day so far: $19.1B, $3.21B of it in one minute."),
    "2026-01-30": (_2026_01_30, "Crosses $1.7B slowly, to and fro."),
    "2026-02-05": (february_2026, "$1.45B on one day, $2.6B on the next."),
    "quiet": (_quiet, "A day without news: about $220M."),
    "burst": (_burst, "5,000 events a second for half a minute."),
}
NAMES = tuple(_SCENARIOS)
