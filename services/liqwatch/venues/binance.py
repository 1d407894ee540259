"""Binance futures: the largest liquidation per symbol and second, USD-M and COIN-M merged into one stream.

Since 2026-06-30 `!forceOrder@arr` carries both products on both hosts, so one socket is enough and two would count
everything twice. Only the /market path delivers: the old addresses still connect and acknowledge, and stay silent,
which is why a mark price rides along.
"""

from collections.abc import Mapping, Sequence
from datetime import timedelta
from decimal import Decimal
from typing import Any, ClassVar, Literal

import msgspec

from ..events import Price, Reason, plain
from ..wire import Liquidation
from ._asked import Asked
from ._lists import coin, document, inside, page
from ._numbers import (
    LARGEST_USD,
    SMALLEST,
    SURPRISES,
    Digits,
    RowError,
    contract_size,
    divide,
    number,
    positive,
    quick,
    shown,
    words,
)
from ._rows import (
    Moment,
    Row,
    Stamp,
    chosen,
    explained,
    field,
    known,
    liquidation,
    moment,
    price_of,
    read_rows,
    rejected,
    whole,
)
from .base import (
    ACK,
    CONTROL,
    IGNORED,
    BadRow,
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

LIQUIDATIONS = "!forceOrder@arr"
MARK = "btcusdt@markPrice"  # ticks every three seconds
PRICED = ("BTCUSDT", "ETHUSDT")  # their mark prices are published; each ticks once a second
# S is the side of the liquidation order: a SELL closes a long.
SIDES = {"SELL": "long", "BUY": "short"}
FILLED = Stamp("binance", "fill", "order")
UNFILLED_PRICE = Stamp("binance", "bankruptcy", "order")
USD_M, COIN_M = 1, 2  # `st`

_DATA = FrameKind.DATA


class _Order(msgspec.Struct, gc=False):
    s: str
    S: Literal["SELL", "BUY"]
    ap: Digits
    z: Digits
    T: Moment
    st: Literal[1, 2] | None = None


class _Event(msgspec.Struct, gc=False):
    e: Literal["forceOrder"]
    o: _Order


class _Frame(msgspec.Struct, gc=False):
    """Bare, or wrapped as on /market/stream."""

    e: Literal["forceOrder"] | None = None
    o: _Order | None = None
    data: _Event | None = None


_decode = msgspec.json.Decoder(_Frame).decode


class BinanceSession:
    """The merged stream on one socket, and beside it the prices of the large coins."""

    priced: ClassVar[Sequence[str]] = PRICED  # symbols

    def __init__(self, feed: Feed, instruments: Instruments, symbols: Sequence[str]) -> None:
        self._instruments = instruments
        self._asked = Asked()
        self._control = True

    def opening_frames(self) -> Sequence[Frame]:
        self._asked.ask("1")
        # Requests of their own: a refused one must not cost what another asks for.
        asked = [_request(1, LIQUIDATIONS), _request(2, MARK)]
        if self.priced:
            asked.append(_request(3, *(f"{symbol.lower()}@markPrice@1s" for symbol in self.priced)))
        return asked

    def ping_frame(self) -> Frame | None:
        return None  # the server sends ping control frames

    def subscribe_more(self, symbols: Sequence[str]) -> Sequence[Frame]:
        return []

    @property
    def acknowledged(self) -> bool:
        return self._asked.all_granted

    @property
    def control_expected(self) -> bool:
        return self._control

    def receive(self, frame: Frame, received_ms: int) -> Received:
        try:
            message = _decode(frame)
            order = message.o if message.e is not None else message.data.o  # type: ignore[union-attr]
            symbol, st = order.s, order.st  # type: ignore[union-attr]
            instrument = self._instruments[symbol]
            z, ap = order.z, order.ap  # type: ignore[union-attr]
            contracts, price = quick(z), quick(ap)
            inverse = instrument.inverse
            usd = contracts * (instrument.contract_size if inverse else price)
            if (
                contracts > SMALLEST
                and price > SMALLEST
                and SMALLEST < usd <= LARGEST_USD
                and instrument.quick
                and (st is None or (st == COIN_M) is inverse)
            ):
                quantity, price_text, time_ms = str(contracts), str(price), order.T  # type: ignore[union-attr]
                side = "long" if order.S == "SELL" else "short"  # type: ignore[union-attr]
                event_id = f"binance:{symbol}:{time_ms}:{side}:{z}@{ap}"
                if inverse:
                    quantity = str(divide(usd, price))
                    if "E" in quantity:
                        return self._read_carefully(frame, received_ms)
                event = Liquidation(
                    event_id,
                    "binance",
                    symbol,
                    instrument.base,
                    instrument.quote,
                    side,
                    price_text,
                    "fill",
                    quantity,
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

    def _read_carefully(self, frame: Frame, received_ms: int) -> Received:
        return explained(frame, lambda message: self._answer(message, received_ms))

    def _answer(self, message: Any, received_ms: int) -> Received:
        if isinstance(message, dict) and "e" not in message and "data" in message:
            message = message["data"]
        if isinstance(message, list):  # other streams of all symbols come so
            return read_rows(message, lambda event: self._listed(event, received_ms), "data")
        if not isinstance(message, dict):
            return rejected(f"not an object: {shown(message)}")
        kind = message.get("e")
        if kind == "forceOrder":
            return read_rows([message.get("o")], lambda order: self._read(order, received_ms), "o")
        if kind == "markPriceUpdate":
            return self._marked(message)
        if kind is not None:
            return IGNORED
        error = message if "code" in message else message.get("error")
        if error is not None:
            return self._refused(error, message.get("id"))
        if "result" not in message:
            return rejected(f"neither an event nor an answer: {shown(message)}")
        if message.get("id") == 1:
            self._asked.grant("1")
        return ACK

    def _refused(self, error: object, request: object) -> Received:
        text = words(f"{error.get('msg')} (code {error.get('code')})" if isinstance(error, dict) else error)
        if request == 2:
            self._control = False
            return Received(FrameKind.IGNORED, error=f"no control channel: {text}")
        if request == 3:
            return Received(FrameKind.IGNORED, error=f"no prices: {text}")
        if request == 1:
            self._asked.refuse("1")
        return Received(FrameKind.REFUSED, error=text)

    def _marked(self, message: Row) -> Received:
        """A mark price proves the route whatever it says; `p` is the price, `E` its time."""
        symbol = message.get("s")
        instrument = self._instruments.get(str(symbol)) if symbol in self.priced else None
        if instrument is None or instrument.unpriced is not None:
            return CONTROL
        try:
            usd, at_ms = plain(price_of(message, "p")), moment(field(message, "E"), "E")
        except RowError as error:
            bad = BadRow(error.reason, f"{symbol}: {error}", instrument.symbol)
            return Received(FrameKind.CONTROL, bad_rows=(bad,), error=bad.error)
        price = Price(base=instrument.base, usd=usd, at_ms=at_ms, venue="binance")
        return Received(FrameKind.CONTROL, prices=(price,))

    def _listed(self, event: Row, received_ms: int) -> Liquidation | None:
        """One of a list of events."""
        kind, order = field(event, "e"), event.get("o")
        if kind != "forceOrder":
            return None
        if not isinstance(order, dict):
            raise RowError(Reason.MALFORMED, f"o is not an object: {shown(order)}")
        return self._read(order, received_ms)

    def _read(self, order: Row, received_ms: int) -> Liquidation | None:
        instrument = known(self._instruments, order, "s")
        symbol, product = instrument.symbol, whole(order.get("st"))
        if product is not None and product != (COIN_M if instrument.inverse else USD_M):
            raise RowError(Reason.MALFORMED, f"{symbol}: st is {shown(product)}, another product's", symbol)
        side = chosen(order, "S", SIDES, symbol)
        time_ms = moment(field(order, "T"), "T")
        filled = number(field(order, "z"), "z", Reason.BAD_QUANTITY)
        if filled == 0:  # nothing was executed, nothing counts
            return None
        positive(order["z"], "z", Reason.BAD_QUANTITY)
        priced, stamp = "ap", FILLED
        if number(field(order, "ap"), "ap", Reason.BAD_PRICE) == 0:
            priced, stamp = "p", UNFILLED_PRICE
        price, said = price_of(order, priced), f"{order['z']}@{order[priced]}"
        return liquidation(stamp, instrument, side, said, filled, price, time_ms, received_ms)


def _request(number: int, *streams: str) -> str:
    return msgspec.json.encode({"method": "SUBSCRIBE", "params": streams, "id": number}).decode()


def read_instruments(listed: InstrumentList, body: bytes) -> InstrumentPage:
    """`symbols` of exchangeInfo."""
    return page(inside(document(body), "symbols"), "symbol")


def instrument(name: str, raw: Mapping[str, Any]) -> Instrument:
    """COIN-M contracts have a contractSize, in USD; USD-M quantities are base coins."""
    base, quote = coin(raw["baseAsset"]), coin(raw["quoteAsset"])
    trading = raw.get("status", raw.get("contractStatus", "TRADING")) == "TRADING"
    if "contractSize" in raw:
        size = contract_size(raw["contractSize"], "contractSize")
        return Instrument(name, base, quote, inverse=True, contract_size=size, trading=trading)
    return Instrument(name, base, quote, contract_size=Decimal(1), trading=trading)


VENUE = Venue(
    name="binance",
    title="Binance",
    docs="https://developers.binance.com/docs/derivatives/usds-margined-futures/websocket-market-streams/"
    "All-Market-Liquidation-Order-Streams",
    checked="2026-06-10",
    completeness="sampled",
    thinned="largest",
    completeness_note="At most one order per symbol and second: the largest (COIN-M documentation: the latest).",
    side_rule="`S` is the side of the liquidation order: SELL closed a long, BUY a short.",
    price_kind="fill",
    unit="order",
    feeds=(Feed("market", "wss://fstream.binance.com/market/ws"),),
    instrument_lists=(
        InstrumentList("usdm", "https://fapi.binance.com/fapi/v1/exchangeInfo"),
        InstrumentList("coinm", "https://dapi.binance.com/dapi/v1/exchangeInfo"),
    ),
    read_instruments=read_instruments,
    instrument=instrument,
    session=BinanceSession,
    ping_every=None,
    silence_limit=timedelta(seconds=60),
    control_limit=timedelta(seconds=60),
    lifetime=timedelta(hours=24),
    connects=300,
    connects_per=timedelta(minutes=5),
    doubts="No captured COIN-M frame with st=2 was seen. PARTIALLY_FILLED was never seen: such an order might come "
    "twice.",
)
