"""Liquidations for tests: only what matters to the test is named."""

from liqwatch.eventlog import Entry
from liqwatch.wire import Liquidation, encode


def liquidation(
    event_id: str,
    event_time_ms: int,
    notional_usd: str,
    *,
    venue: str = "binance",
    base: str = "BTC",
    side: str = "long",
    timed_by: str = "venue",
    received_time_ms: int | None = None,
    unit: str = "order",
) -> Liquidation:
    """An event of `binance:BTCUSDT`, unless said otherwise, received as it happened."""
    return Liquidation(
        event_id,
        venue,
        f"{base}USDT",
        base,
        "USDT",
        side,
        "50000",
        "fill",
        "1",
        notional_usd,
        event_time_ms,
        event_time_ms if received_time_ms is None else received_time_ms,
        timed_by,
        "stream",
        unit,
    )


def entry(event: Liquidation) -> Entry:
    """The record of an event, keyed and timed as the collector does it."""
    key = f"{event.venue}:{event.symbol}".encode()
    return Entry(key, encode(event), min(event.event_time_ms, event.received_time_ms))
