"""Takes the liquidations of before the start: what the page needs not at once, and people look for later. Pure."""

import msgspec

from ..eventlog import Record
from ..wire import UNREADABLE, decode_liquidation, micros
from .market import Market
from .tape import FUTURE_MS, LARGE


class _Glance(msgspec.Struct):
    """As much of a Liquidation as decides whether the rest is wanted."""

    venue: str
    notional_usd: str
    event_time_ms: int
    received_time_ms: int


_glance = msgspec.json.Decoder(_Glance).decode


class Past:
    """The large ones go to the tape; of all it is noted when a venue last had one."""

    def __init__(self, market: Market) -> None:
        self._market = market
        self.unreadable = 0

    def take(self, record: Record) -> None:
        """A record of the liquidations topic; what cannot be read was counted by who read it live, or is long gone."""
        if record.value is None:
            return
        try:
            seen = _glance(record.value)
            if seen.event_time_ms - seen.received_time_ms > FUTURE_MS:
                return
            self._market.heard(seen.venue, seen.event_time_ms)
            if micros(seen.notional_usd) >= LARGE:
                self._market.tape.add(decode_liquidation(record.value))
        except UNREADABLE:
            self.unreadable += 1
