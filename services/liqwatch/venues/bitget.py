"""Bitget futures: sampled, the largest long and short per symbol and second; amounts are worth in the quote coin."""

from collections.abc import Mapping, Sequence
from datetime import timedelta
from decimal import ROUND_HALF_EVEN, Context, Decimal, InvalidOperation
from typing import Any, Literal

import msgspec

from ..wire import Liquidation
from ._asked import Asked
from ._lists import coin, document, inside, page
from ._numbers import LARGEST_USD, SMALLEST, SURPRISES, Digits, divide, quick, shown, words
from ._rows import (
    Moment,
    Row,
    Stamp,
    all_differ,
    chosen,
    event,
    explained,
    field,
    known,
    moment,
    price_of,
    quantity_of,
    read_rows,
    rejected,
)
from .base import (
    ACK,
    CONTROL,
    HEARTBEAT,
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

TOPIC = "liquidation"
PRODUCTS = ("usdt-futures", "coin-futures", "usdc-futures")
CONTROL_TOPIC = "ticker"
# The side is the side of the position: "buy" is a long that was closed.
SIDES = {"buy": "long", "sell": "short"}
STAMP = Stamp("bitget", "order", "order")

_DATA = FrameKind.DATA
_EIGHT_PLACES = Decimal("1e-8")
_ROOM = Context(prec=34)


class _Row(msgspec.Struct, gc=False):
    symbol: str
    side: Literal["buy", "sell"]
    price: Digits
    amount: Digits
    ts: Moment


class _Arg(msgspec.Struct, gc=False):
    topic: Literal["liquidation"]


class _Frame(msgspec.Struct, gc=False):
    data: list[_Row]
    arg: _Arg
    action: Literal["update"]


_decode = msgspec.json.Decoder(_Frame, strict=False).decode  # ts is text


class BitgetSession:
    """One socket with the three product types."""

    def __init__(self, feed: Feed, instruments: Instruments, symbols: Sequence[str]) -> None:
        self._instruments = instruments
        self._asked = Asked()
        self._control = True

    def opening_frames(self) -> Sequence[Frame]:
        for product in PRODUCTS:
            self._asked.ask(product)
        return [
            _subscribe(*({"instType": product, "topic": TOPIC} for product in PRODUCTS)),
            _subscribe({"instType": PRODUCTS[0], "topic": CONTROL_TOPIC, "symbol": "BTCUSDT"}),
        ]

    def ping_frame(self) -> Frame | None:
        return "ping"  # text, not JSON

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
            instruments = self._instruments
            events: list[Liquidation] = []
            for row in _decode(frame).data:
                symbol, amount, paid, time_ms = row.symbol, row.amount, row.price, row.ts
                instrument = instruments[symbol]
                usd, price = quick(amount), quick(paid)
                if price <= SMALLEST or not SMALLEST < usd <= LARGEST_USD or instrument.unpriced is not None:
                    break
                quantity = divide(usd, price).quantize(_EIGHT_PLACES, ROUND_HALF_EVEN, _ROOM)  # as `coins` does
                if quantity <= SMALLEST:
                    break
                side = "long" if row.side == "buy" else "short"
                events.append(
                    Liquidation(
                        f"bitget:{symbol}:{time_ms}:{side}:{amount}@{paid}",
                        "bitget",
                        symbol,
                        instrument.base,
                        instrument.quote,
                        side,
                        str(price),
                        "order",
                        str(quantity),
                        str(usd),
                        time_ms,
                        received_ms,
                        "venue",
                        "stream",
                        "order",
                    )
                )
            else:
                if len(events) == 1 or (events and all_differ(events)):
                    return Received(_DATA, events)
        except SURPRISES:
            pass
        if frame in ("pong", b"pong"):
            return HEARTBEAT
        return explained(frame, lambda message: self._answer(message, received_ms))

    def _answer(self, message: Any, received_ms: int) -> Received:
        if not isinstance(message, dict):
            return rejected(f"not an object: {shown(message)}")
        arg = message.get("arg")
        topic, product = (arg.get("topic"), arg.get("instType")) if isinstance(arg, dict) else (None, None)
        if "event" in message:
            return self._told(message, topic, product)
        if topic == TOPIC:
            if message.get("action") != "update":
                return IGNORED
            return read_rows(message.get("data"), lambda row: self._read(row, received_ms), "data")
        if topic is None:
            return rejected(f"neither a topic nor an answer: {shown(message)}")
        return CONTROL if topic == CONTROL_TOPIC else IGNORED

    def _told(self, message: Row, topic: object, product: object) -> Received:
        if message["event"] == "subscribe":
            if topic == TOPIC and product in PRODUCTS:
                self._asked.grant(str(product))
            return ACK
        if message["event"] == "unsubscribe":
            return ACK
        if message["event"] != "error":
            return IGNORED
        text = words(f"{message.get('msg')} (code {message.get('code')})")
        if topic == CONTROL_TOPIC:
            self._control = False
            return Received(FrameKind.IGNORED, error=f"no control channel: {text}")
        if topic == TOPIC and product in PRODUCTS:
            self._asked.refuse(str(product))
        return Received(FrameKind.REFUSED, error=text)

    def _read(self, row: Row, received_ms: int) -> Liquidation | None:
        instrument = known(self._instruments, row, "symbol")
        side = chosen(row, "side", SIDES, instrument.symbol)
        time_ms = moment(field(row, "ts"), "ts")
        price, usd = price_of(row, "price"), quantity_of(row, "amount")
        said = f"{row['amount']}@{row['price']}"
        return event(STAMP, instrument, side, said, (coins(usd, price), usd), price, time_ms, received_ms)


def coins(usd: Decimal, price: Decimal) -> Decimal:
    """The amount was made of coins times price, and coins have at most 8 places: what comes after is not real."""
    quotient = divide(usd, price)
    try:
        return quotient.quantize(_EIGHT_PLACES, ROUND_HALF_EVEN, _ROOM) or quotient
    except InvalidOperation:  # no room for the places of so large a number
        return quotient


def _subscribe(*args: Mapping[str, str]) -> str:
    return msgspec.json.encode({"op": "subscribe", "args": args}).decode()


def read_instruments(listed: InstrumentList, body: bytes) -> InstrumentPage:
    """`data` of market/instruments."""
    answer = document(body)
    if inside(answer, "code") != "00000":
        raise ValueError(f"refused: {shown(answer.get('msg'))}")
    return page(inside(answer, "data"), "symbol")


def instrument(name: str, raw: Mapping[str, Any]) -> Instrument:
    """Only the coins matter: an amount is worth in the quote coin on every product."""
    return Instrument(
        name, coin(raw["baseCoin"]), coin(raw["quoteCoin"]), trading=raw.get("status", "online") == "online"
    )


VENUE = Venue(
    name="bitget",
    title="Bitget",
    docs="https://www.bitget.com/api-doc/uta/websocket/public/Liquidation-Channel",
    checked="2026-04-28",
    completeness="sampled",
    thinned="largest",
    completeness_note="Per symbol and second only the largest long and the largest short.",
    side_rule="`side` is the side of the position: buy was a long, sell a short.",
    price_kind="order",
    unit="order",
    feeds=(Feed("public", "wss://ws.bitget.com/v3/ws/public"),),
    instrument_lists=tuple(
        InstrumentList(product, f"https://api.bitget.com/api/v3/market/instruments?category={product.upper()}")
        for product in PRODUCTS
    ),
    read_instruments=read_instruments,
    instrument=instrument,
    session=BitgetSession,
    ping_every=timedelta(seconds=25),
    silence_limit=timedelta(seconds=60),
    control_limit=timedelta(seconds=60),
    doubts="Not watched live. The documentation says only that it is a liquidation price: probably the order's.",
)
