"""Aster perpetuals: Binance's protocol; per symbol and second the latest order, which may not be at its end yet."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any, Literal

import msgspec
from typing_extensions import override

from ..events import Reason
from ..wire import Liquidation
from ._lists import coin
from ._numbers import LARGEST_USD, SMALLEST, SURPRISES, Digits, RowError, number, quick, shown
from ._rows import Moment, Row, Stamp, chosen, field, known, liquidation, moment, price_of, quantity_of
from .base import Feed, Frame, FrameKind, Instrument, InstrumentList, Received, Venue
from .binance import SIDES, BinanceSession, read_instruments

# X, the state of the order. A later message repeats what an order not yet at an end has filled.
ENDED = ("FILLED", "EXPIRED", "CANCELED")
OPEN = ("NEW", "PARTIALLY_FILLED")
STAMP = Stamp("aster", "fill", "order")

_DATA = FrameKind.DATA


class _Order(msgspec.Struct, gc=False):
    s: str
    S: Literal["SELL", "BUY"]
    ap: Digits
    z: Digits
    T: Moment
    X: Literal["FILLED", "EXPIRED", "CANCELED"]


class _Event(msgspec.Struct, gc=False):
    e: Literal["forceOrder"]
    o: _Order


class _Frame(msgspec.Struct, gc=False):
    """Bare, or wrapped as on /stream."""

    e: Literal["forceOrder"] | None = None
    o: _Order | None = None
    data: _Event | None = None


_decode = msgspec.json.Decoder(_Frame).decode


class AsterSession(BinanceSession):
    """All symbols on one socket. Subscribes and is answered as Binance's; its orders are read by its own rules."""

    priced = ()

    @override
    def receive(self, frame: Frame, received_ms: int) -> Received:
        try:
            message = _decode(frame)
            order = message.o if message.e is not None else message.data.o  # type: ignore[union-attr]
            symbol, z, ap = order.s, order.z, order.ap  # type: ignore[union-attr]
            instrument = self._instruments[symbol]
            quantity, price = quick(z), quick(ap)
            usd = quantity * price
            if quantity > SMALLEST and price > SMALLEST and SMALLEST < usd <= LARGEST_USD and instrument.quick:
                side = "long" if order.S == "SELL" else "short"  # type: ignore[union-attr]
                time_ms = order.T  # type: ignore[union-attr]
                event_id = f"aster:{symbol}:{time_ms}:{side}:{z}@{ap}"
                event = Liquidation(
                    event_id,
                    "aster",
                    symbol,
                    instrument.base,
                    instrument.quote,
                    side,
                    str(price),
                    "fill",
                    str(quantity),
                    str(usd),
                    time_ms,
                    received_ms,
                    "venue",
                    "stream",
                    "order",
                )
                return Received(_DATA, (event,))
        except SURPRISES:
            pass
        return self._read_carefully(frame, received_ms)

    @override
    def _read(self, order: Row, received_ms: int) -> Liquidation | None:
        instrument = known(self._instruments, order, "s")
        symbol, state = instrument.symbol, field(order, "X")
        if state in OPEN:
            return None
        if state not in ENDED:
            raise RowError(Reason.MALFORMED, f"{symbol}: X is {shown(state)}, not the state of an order", symbol)
        side = chosen(order, "S", SIDES, symbol)
        time_ms = moment(field(order, "T"), "T")
        if number(field(order, "z"), "z", Reason.BAD_QUANTITY) == 0:  # nothing was executed, nothing counts
            return None
        # z is what was filled in all; l, the last fill, may be more than z in what was published.
        filled, price, said = quantity_of(order, "z"), price_of(order, "ap"), f"{order['z']}@{order['ap']}"
        return liquidation(STAMP, instrument, side, said, filled, price, time_ms, received_ms)


def instrument(name: str, raw: Mapping[str, Any]) -> Instrument:
    """All contracts are linear, and sizes base coins."""
    trading = raw.get("status", "TRADING") == "TRADING"
    return Instrument(name, coin(raw["baseAsset"]), coin(raw["quoteAsset"]), trading=trading)


VENUE = Venue(
    name="aster",
    title="Aster",
    docs="https://github.com/asterdex/api-docs/blob/master/V3(Recommended)/EN/aster-finance-futures-api-v3.md",
    checked="2026-06-30",
    completeness="sampled",
    thinned="first",
    completeness_note="At most one order per symbol and second: the latest.",
    side_rule="`S` is the side of the liquidation order: SELL closed a long, BUY a short.",
    price_kind="fill",
    unit="order",
    feeds=(Feed("market", "wss://fstream.asterdex.com/ws"),),
    instrument_lists=(InstrumentList("futures", "https://fapi.asterdex.com/fapi/v3/exchangeInfo"),),
    read_instruments=read_instruments,
    instrument=instrument,
    session=AsterSession,
    ping_every=None,
    silence_limit=timedelta(seconds=60),
    control_limit=timedelta(seconds=60),
    lifetime=timedelta(hours=24),
    doubts="One probe (2026-05-27) was acknowledged and saw no order, and the REST list of orders was closed; others "
    "run on this stream. Hours of silence while other venues liquidate mean that it is dead.",
)
