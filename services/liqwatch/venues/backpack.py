"""Backpack perpetuals: one stream of all liquidations, that nothing acknowledges.

The first tick of the control stream, asked for after it on the same socket, stands for the yes.
"""

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from ..events import Reason
from ..wire import Liquidation
from ._lists import coin, document, page
from ._numbers import LARGEST_USD, SMALLEST, SURPRISES, Digits, RowError, quick, shown, words
from ._rows import (
    EARLIEST_MS,
    LATEST_MS,
    Row,
    Stamp,
    chosen,
    explained,
    field,
    known,
    liquidation,
    moment,
    price_of,
    quantity_of,
    read_rows,
    rejected,
    whole,
)
from .base import (
    ACK,
    CONTROL,
    IGNORED,
    Feed,
    Frame,
    FrameKind,
    Instrument,
    InstrumentList,
    InstrumentPage,
    Instruments,
    Received,
    Venue,
)

STREAM = "liquidation"
BY_SYMBOL = "liquidation."  # how newer documentation names it
CONTROL_STREAM = "markPrice.BTC_USDC_PERP"
STREAMS_PER_REQUEST = 50
INVALID_STREAM = 4006
# S is read as the side of the order: an Ask closes a long. The documentation does not say.
SIDES = {"Ask": "long", "Bid": "short"}
PERPETUALS, OTHERS = "perpetuals", "others"  # the feed; and markets whose liquidations are of borrowed coins
STAMP = Stamp("backpack", "fill", "fill")

_DATA = FrameKind.DATA


class _Row(msgspec.Struct, gc=False):
    e: Literal["liquidation"]
    q: Digits
    p: Digits
    S: Literal["Ask", "Bid"]
    s: str
    T: Annotated[int, Meta(gt=EARLIEST_MS * 1000, lt=LATEST_MS * 1000)]


class _Frame(msgspec.Struct, gc=False):
    stream: str
    data: _Row


_decode = msgspec.json.Decoder(_Frame).decode


class BackpackSession:
    """All markets on one socket; symbol by symbol where the venue does not know the wildcard any more."""

    def __init__(self, feed: Feed, instruments: Instruments, symbols: Sequence[str]) -> None:
        self._instruments = instruments
        self._asked = False
        self._granted = False
        self._subscribed: set[str] | None = None  # symbols, once the wildcard was refused

    def opening_frames(self) -> Sequence[Frame]:
        self._asked = True
        return [_subscribe(STREAM), _subscribe(CONTROL_STREAM)]

    def ping_frame(self) -> Frame | None:
        return None  # the server sends ping control frames

    def subscribe_more(self, symbols: Sequence[str]) -> Sequence[Frame]:
        return []

    @property
    def acknowledged(self) -> bool:
        return self._granted

    @property
    def control_expected(self) -> bool:
        return True  # without it nothing says that the subscription stands

    def receive(self, frame: Frame, received_ms: int) -> Received:
        try:
            message = _decode(frame)
            stream, row = message.stream, message.data
            symbol, q, p, micros = row.s, row.q, row.p, row.T
            instrument = self._instruments[symbol]
            quantity, price = quick(q), quick(p)
            usd = quantity * price
            priced = quantity > SMALLEST and price > SMALLEST and SMALLEST < usd <= LARGEST_USD
            ours = stream == STREAM or stream.startswith(BY_SYMBOL)
            if priced and ours and instrument.quick and instrument.feed == PERPETUALS:
                side = "long" if row.S == "Ask" else "short"
                event = Liquidation(
                    f"backpack:{symbol}:{micros}:{side}:{q}@{p}",
                    "backpack",
                    symbol,
                    instrument.base,
                    instrument.quote,
                    side,
                    str(price),
                    "fill",
                    str(quantity),
                    str(usd),
                    micros // 1000,
                    received_ms,
                    "venue",
                    "stream",
                    "fill",
                )
                return Received(_DATA, (event,))
        except SURPRISES:
            pass
        return explained(frame, lambda message: self._answer(message, received_ms))

    def _answer(self, message: Any, received_ms: int) -> Received:
        if not isinstance(message, dict):
            return rejected(f"not an object: {shown(message)}")
        stream = message.get("stream")
        if isinstance(stream, str):
            if stream == STREAM or stream.startswith(BY_SYMBOL):
                return read_rows([message.get("data")], lambda row: self._read(row, received_ms), "data")
            return self._tick() if stream == CONTROL_STREAM else IGNORED
        error = message.get("error")
        if error is not None:
            return self._refused(error)
        return IGNORED if "result" in message else rejected(f"neither a stream nor an error: {shown(message)}")

    def _tick(self) -> Received:
        if self._asked and not self._granted:
            self._granted = True
            return ACK
        if self._subscribed is None:
            return CONTROL
        return Received(FrameKind.CONTROL, replies=self._by_symbol(self._subscribed))  # what was listed since

    def _refused(self, error: object) -> Received:
        code, said = (error.get("code"), error.get("message")) if isinstance(error, dict) else (None, error)
        text = words(f"{said} (code {code})")
        self._granted = False
        if self._asked and code == INVALID_STREAM and self._subscribed is None:
            self._subscribed = set()
            return Received(FrameKind.REFUSED, error=text, replies=self._by_symbol(self._subscribed))
        self._asked = False
        return Received(FrameKind.REFUSED, error=text)

    def _by_symbol(self, subscribed: set[str]) -> Sequence[Frame]:
        """Asks for every perpetual that trades and is not subscribed yet."""
        new = [
            symbol
            for symbol, one in self._instruments.items()
            if one.feed == PERPETUALS and one.trading and symbol not in subscribed
        ]
        subscribed.update(new)
        streams = [BY_SYMBOL + symbol for symbol in sorted(new)]
        return [
            _subscribe(*streams[at : at + STREAMS_PER_REQUEST]) for at in range(0, len(streams), STREAMS_PER_REQUEST)
        ]

    def _read(self, row: Row, received_ms: int) -> Liquidation | None:
        instrument = known(self._instruments, row, "s")
        if instrument.feed == OTHERS:
            return None
        symbol = instrument.symbol
        side = chosen(row, "S", SIDES, symbol)
        micros = whole(field(row, "T"))
        if not isinstance(micros, int) or isinstance(micros, bool):
            raise RowError(Reason.BAD_TIME, f"T is not a time in microseconds: {shown(micros)}", symbol)
        time_ms = moment(micros // 1000, "T, in microseconds,")
        quantity, price, said = quantity_of(row, "q"), price_of(row, "p"), f"{row['q']}@{row['p']}"
        event_id = f"backpack:{symbol}:{micros}:{side}:{said}"
        return liquidation(STAMP, instrument, side, said, quantity, price, time_ms, received_ms, event_id)


def _subscribe(*streams: str) -> str:
    return msgspec.json.encode({"method": "SUBSCRIBE", "params": streams}).decode()


def read_instruments(listed: InstrumentList, body: bytes) -> InstrumentPage:
    """All markets: the stream carries those that are not perpetual too, and they are known by this list."""
    return page(document(body), "symbol")


def instrument(name: str, raw: Mapping[str, Any]) -> Instrument:
    """Perpetuals are linear, and sizes base coins (a kSHIB is a coin of its own name)."""
    base, quote = coin(raw["baseSymbol"]), coin(raw["quoteSymbol"])
    if raw.get("marketType", "PERP" if name.endswith("_PERP") else "SPOT") != "PERP":
        return Instrument(name, base, quote, feed=OTHERS, trading=False)
    trading = raw.get("orderBookState", "Open") != "Closed" and raw.get("visible", True) is not False
    return Instrument(name, base, quote, feed=PERPETUALS, trading=trading)


VENUE = Venue(
    name="backpack",
    title="Backpack",
    docs="https://docs.backpack.exchange/#tag/Streams/Public/Liquidation",
    checked="2026-09-23",
    completeness="all",
    completeness_note="All liquidations, by the documentation; liquidations of borrowed coins on spot are left out.",
    side_rule="`S` is read as the side of the liquidation order: Ask closed a long, Bid a short. Not documented.",
    price_kind="fill",
    unit="fill",
    feeds=(Feed(PERPETUALS, "wss://ws.backpack.exchange"),),
    instrument_lists=(InstrumentList("markets", "https://api.backpack.exchange/api/v1/markets"),),
    read_instruments=read_instruments,
    instrument=instrument,
    session=BackpackSession,
    ping_every=None,
    silence_limit=timedelta(seconds=60),
    control_limit=timedelta(seconds=60),
    doubts="The meaning of S is a reading, with little behind it: no captured frame was seen, and the documentation "
    "does not say whose side it is. A newer reading has a stream per symbol; it is tried when the wildcard is refused.",
)
