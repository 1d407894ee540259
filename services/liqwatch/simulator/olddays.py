"""More days that are remembered: what was published of each is kept, the hours that nobody published are made up.

Published are CoinGlass readings (Bybt, as it was called until 2022): totals, sides where they were told, the shares of
coins and of large venues, the largest order. Writers who cite the same source differ, so these are shapes, not truth.
"""

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from ..events import LONG
from .dialects import VENUES
from .orders import Order
from .shapes import HOUR_MS, Maker, Mix, Phase
from .shares import USUAL, Shares, simulated

ALTS = {"SOL": 9, "XRP": 7, "DOGE": 6, "BNB": 3, "ADA": 3, "LINK": 3, "AVAX": 2, "SUI": 3, "LTC": 2, "ENA": 2}
_OLD_ALTS = {"XRP": 10, "DOGE": 6, "LTC": 5, "BNB": 5, "ADA": 5, "LINK": 4, "SOL": 2}
Made = tuple[Iterable[Order], int]


class Part(NamedTuple):
    """What some hours of a day brought, in millions of USD; prices in parts of the reference price."""

    from_hour: float
    to_hour: float
    long: float
    short: float
    price_from: float = 1.0
    price_to: float = 1.0
    orders: float = 1.0  # weight


def _played(maker: Maker, parts: Iterable[Part], orders: int) -> list[Order]:
    parts = tuple(parts)
    whole = sum(part.orders for part in parts)
    return [
        order
        for part in parts
        for order in maker.orders(
            Phase(
                int(part.from_hour * HOUR_MS), int(part.to_hour * HOUR_MS), part.long * 1e6, part.short * 1e6,
                round(orders * part.orders / whole), part.price_from, part.price_to,
            )
        )
    ]  # fmt: skip


def _maker(seed: str, shares: Shares, coins: Mapping[str, float], largest_usd: float) -> Maker:
    return Maker(Mix(simulated(shares), coins, largest_usd), seed)


# Weights, so that the shares come out as told: large orders go to large venues only.
_FEW: Shares = dict.fromkeys(VENUES, 0.8)  # of those that were not told, or were not there yet
# Of 8.68 billion of longs: Binance 4.6, Huobi 1.59, Bybit 1.0; BTC 5.6 of it, ETH 1.1, XRP 0.46.
APRIL_2021: Shares = _FEW | {"binance": 46, "htx": 18, "bybit": 12, "okx": 9}
# Binance had hardly an eighth, because it had just begun to tell one order a second; three others were before it.
MAY_2021: Shares = _FEW | {"binance": 11, "htx": 32, "bybit": 25, "okx": 17}
# FTX had 936 of 1,100 million, Binance 58. FTX is gone: its part is Bitget's here.
OCTOBER_2022: Shares = _FEW | {"bitget": 60, "binance": 5, "bybit": 5, "okx": 4}
# Bybit told 333 of 2,240 million, and said later that it had been 2,100.
FEBRUARY_2025: Shares = USUAL | {"bybit": 14, "binance": 28, "okx": 12}


def april_2021(seed: str, orders: int | None) -> Made:
    """9.85 billion, 8.68 of it longs; the largest order 68.73 at Binance. From midnight UTC; the crash is at three."""
    maker = _maker(seed, APRIL_2021, _OLD_ALTS | {"BTC": 85, "ETH": 18}, 20e6)
    largest = maker.one(int(3.5 * HOUR_MS), ("binance", "BTCUSDT"), LONG, 68.73e6, 0.9)
    parts = (
        Part(0, 3, 300, 120, 1.0, 0.98),
        Part(3, 4, 5600 - 68.73, 500, 0.98, 0.86, 2.5),
        Part(4, 24, 2780, 550, 0.86, 0.90, 5),
    )
    return [largest, *_played(maker, parts, orders or 30_000)], 50 * HOUR_MS


def may_2021(seed: str, orders: int | None) -> Made:
    """8.6 billion, of which the sides were not told; more than 8 of it by 18:00 UTC. From midnight UTC."""
    maker = _maker(seed, MAY_2021, _OLD_ALTS | {"BTC": 55, "ETH": 30}, 20e6)
    parts = (
        Part(0, 12, 900, 200, 1.0, 0.93),
        Part(12, 15, 5200, 300, 0.93, 0.72, 2.5),
        Part(15, 18, 1000, 500, 0.72, 0.86),
        Part(18, 24, 300, 200, 0.86, 0.85, 0.5),
    )
    return _played(maker, parts, orders or 30_000), 50 * HOUR_MS


def october_2022(seed: str, orders: int | None) -> Made:
    """Shorts, nearly all on one venue: 0.75 billion of both sides in the first reading, 1.1 of shorts in the second."""
    maker = _maker(seed, OCTOBER_2022, ALTS | {"BTC": 40, "ETH": 45}, 6e6)
    parts = (
        Part(0, 14, 40, 50, 1.0, 1.01),
        Part(14, 15.5, 60, 600, 1.01, 1.06, 2),
        Part(15.5, 24, 60, 450, 1.06, 1.10),
    )
    return _played(maker, parts, orders or 15_000), 40 * HOUR_MS


def november_2022(seed: str, orders: int | None) -> Made:
    """The end of FTX: a little more than 0.7 billion of longs in 24 hours, and in no hour much. From 08:00 UTC."""
    maker = _maker(seed, USUAL, ALTS | {"BTC": 38, "ETH": 35, "SOL": 6}, 3e6)
    parts = (
        Part(0, 10, 150, 40, 1.0, 0.98),
        Part(10, 14, 360, 60, 0.98, 0.90, 1.5),
        Part(14, 24, 200, 60, 0.90, 0.86),
    )
    return _played(maker, parts, orders or 12_000), 40 * HOUR_MS


def february_2025(seed: str, orders: int | None) -> Made:
    """2.24 billion, of which the sides were not told; the largest order 25.6 of ETH at Binance. From midnight UTC."""
    maker = _maker(seed, FEBRUARY_2025, ALTS | {"BTC": 24, "ETH": 32}, 15e6)
    largest = maker.one(int(2.2 * HOUR_MS), ("binance", "ETHUSDT"), LONG, 25.6e6, 0.9)
    parts = (
        Part(0, 1, 150, 20, 1.0, 0.98),
        Part(1, 3, 1300 - 25.6, 80, 0.98, 0.85, 2),
        Part(3, 24, 450, 240, 0.85, 0.92),
    )
    return [largest, *_played(maker, parts, orders or 20_000)], 50 * HOUR_MS


def february_2026(seed: str, orders: int | None) -> Made:
    """Two days: 1.45 billion (1.24 of longs; the last 4 hours 646, the last one 85), then 2.6 (2.14 of longs)."""
    maker = _maker(seed, USUAL, ALTS | {"BTC": 62, "ETH": 26}, 9e6)
    first = maker.one(int(21.5 * HOUR_MS), ("aster", "BTCUSDT"), LONG, 11.36e6, 0.95)
    second = maker.one(int(46.5 * HOUR_MS), ("binance", "BTCUSDT"), LONG, 12e6, 0.86)
    parts = (
        Part(0, 20, 688, 116, 1.0, 0.98),
        Part(20, 23, 480 - 11.36, 81, 0.98, 0.95),
        Part(23, 24, 72, 13, 0.95, 0.95, 0.3),
        Part(24, 42, 492, 108, 0.95, 0.92, 0.8),
        Part(42, 46, 1248, 258.66, 0.92, 0.85, 1.2),
        Part(46, 48, 400 - 12, 100, 0.85, 0.84, 0.4),
    )
    return [first, second, *_played(maker, parts, orders or 40_000)], 74 * HOUR_MS
