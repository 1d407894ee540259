"""Bybit perpetuals and futures: every liquidation, batched by Bybit each 500 ms, one topic per symbol."""

from collections.abc import Mapping, Sequence
from datetime import timedelta
from itertools import count
from typing import Any, Literal
from urllib.parse import quote

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
    explained,
    field,
    known,
    liquidation,
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

# Bybit's side is the side of the position: "Buy" is a long that was closed.
SIDES = {"Buy": "long", "Sell": "short"}
TOPIC = "allLiquidation."
CONTROL_TOPICS = {"linear": "tickers.BTCUSDT", "inverse": "tickers.BTCUSD"}
CONTROL_REQUEST = "control"
# The topics of one connection may have 21,000 characters in all; 200 of the longest kind have 7,000.
TOPICS_PER_REQUEST = 200
SYMBOLS_PER_SOCKET = 400
STAMP = Stamp("bybit", "bankruptcy", "order")

_DATA = FrameKind.DATA


class _Row(msgspec.Struct, gc=False):
    T: Moment
    s: str
    S: Literal["Buy", "Sell"]
    v: Digits
    p: Digits


class _Frame(msgspec.Struct, gc=False):
    topic: str
    data: list[_Row]


_decode = msgspec.json.Decoder(_Frame).decode


class BybitSession:
    """One socket of the linear or the inverse market, carrying `symbols`."""

    def __init__(self, feed: Feed, instruments: Instruments, symbols: Sequence[str]) -> None:
        self._instruments = instruments
        self._symbols = list(symbols)
        self._control_topic = CONTROL_TOPICS[feed.name]
        self._control = True
        self._numbers = count(1)
        self._requests: dict[str, list[str]] = {}  # what was asked for and not answered yet
        self._asked = Asked()

    def opening_frames(self) -> Sequence[Frame]:
        return [*self.subscribe_more(self._symbols), _subscribe(CONTROL_REQUEST, [self._control_topic])]

    def ping_frame(self) -> Frame | None:
        return '{"op":"ping"}'

    def subscribe_more(self, symbols: Sequence[str]) -> Sequence[Frame]:
        topics = [TOPIC + symbol for symbol in symbols]
        return [self._request(topics[at : at + TOPICS_PER_REQUEST]) for at in range(0, len(topics), TOPICS_PER_REQUEST)]

    @property
    def acknowledged(self) -> bool:
        return self._asked.all_granted

    @property
    def control_expected(self) -> bool:
        return self._control

    def receive(self, frame: Frame, received_ms: int) -> Received:
        try:
            message = _decode(frame)
            topic, instruments = message.topic, self._instruments
            events: list[Liquidation] = []
            for row in message.data:
                symbol, v, p = row.s, row.v, row.p
                instrument = instruments[symbol]
                size, price = quick(v), quick(p)
                if instrument.inverse:
                    usd, quantity = size, str(divide(size, price))
                    if "E" in quantity:
                        break
                else:
                    usd, quantity = size * price, str(size)
                if not SMALLEST < usd <= LARGEST_USD or size <= SMALLEST or price <= SMALLEST:
                    break
                if TOPIC + symbol != topic or not instrument.quick:
                    break
                time_ms = row.T
                side = "long" if row.S == "Buy" else "short"
                events.append(
                    Liquidation(
                        f"bybit:{symbol}:{time_ms}:{side}:{v}@{p}",
                        "bybit",
                        symbol,
                        instrument.base,
                        instrument.quote,
                        side,
                        str(price),
                        "bankruptcy",
                        quantity,
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
        return explained(frame, lambda message: self._answer(message, received_ms))

    def _answer(self, message: Any, received_ms: int) -> Received:
        if not isinstance(message, dict):
            return rejected(f"not an object: {shown(message)}")
        topic = message.get("topic")
        if isinstance(topic, str):
            if topic.startswith(TOPIC):
                return read_rows(message.get("data"), lambda row: self._read(row, received_ms), "data")
            return CONTROL if topic in CONTROL_TOPICS.values() else IGNORED
        if message.get("op") == "ping" or message.get("op") == "pong" or message.get("ret_msg") == "pong":
            return HEARTBEAT
        if "success" not in message:
            return rejected(f"neither a topic nor an answer: {shown(message)}")
        request = str(message.get("req_id"))
        if message["success"] is True:
            if self._requests.pop(request, None) is not None:
                self._asked.grant(request)
            return ACK
        return self._refused(request, words(message.get("ret_msg")))

    def _refused(self, request: str, why: str) -> Received:
        """One bad topic fails its whole request: the topic is dropped, the rest asked for again.

        A refusal that names none of them, such as of too many requests, answers nothing: the request stays open, so
        the session is not acknowledged, and the socket is given up and opened again after a pause.
        """
        named = why.rpartition("topic:")[2].strip() if "topic:" in why else ""
        subscribed = "already subscribed" in why
        if request == CONTROL_REQUEST:
            self._control = subscribed
            return ACK if subscribed else Received(FrameKind.IGNORED, error=f"no control channel: {why}")
        topics = self._requests.get(request, [])
        if named not in topics:
            return Received(FrameKind.REFUSED, error=why)
        del self._requests[request]
        rest = [topic for topic in topics if topic != named]
        replies = [self._request(rest)] if rest else []
        if subscribed:  # what is refused is the second of two subscriptions
            self._asked.grant(request)
        else:
            self._asked.refuse(request)
        return Received(FrameKind.REFUSED, error=why, replies=replies)

    def _request(self, topics: list[str]) -> str:
        name = f"liq-{next(self._numbers)}"
        self._requests[name] = topics
        self._asked.ask(name)
        return _subscribe(name, topics)

    def _read(self, row: Row, received_ms: int) -> Liquidation | None:
        instrument = known(self._instruments, row, "s")
        side = chosen(row, "S", SIDES, instrument.symbol)
        time_ms = moment(field(row, "T"), "T")
        size, price, said = quantity_of(row, "v"), price_of(row, "p"), f"{row['v']}@{row['p']}"
        return liquidation(STAMP, instrument, side, said, size, price, time_ms, received_ms)


def _subscribe(request: str, topics: Sequence[str]) -> str:
    return msgspec.json.encode({"op": "subscribe", "req_id": request, "args": topics}).decode()


def read_instruments(listed: InstrumentList, body: bytes) -> InstrumentPage:
    """`result.list`, and the address of the next page while there is one."""
    answer = document(body)
    if inside(answer, "retCode") != 0:
        raise ValueError(f"refused: {shown(answer.get('retMsg'))}")
    cursor = inside(answer, "result").get("nextPageCursor")
    next_url = f"{listed.url}&cursor={quote(cursor, safe='')}" if cursor else None
    return page(inside(answer, "result", "list"), "symbol", next_url)


def instrument(name: str, raw: Mapping[str, Any]) -> Instrument:
    """Sizes are base coins on linear contracts, and USD on inverse ones."""
    inverse = raw["contractType"].startswith("Inverse")
    return Instrument(
        name,
        coin(raw["baseCoin"]),
        coin(raw["quoteCoin"]),
        inverse=inverse,
        feed="inverse" if inverse else "linear",
        trading=raw.get("status", "Trading") == "Trading",
    )


VENUE = Venue(
    name="bybit",
    title="Bybit",
    docs="https://bybit-exchange.github.io/docs/v5/websocket/public/all-liquidation",
    checked="2026-10-09",
    completeness="all",
    completeness_note="All liquidations, pushed every 500 ms.",
    side_rule="`S` is the side of the position: Buy was a long, Sell a short.",
    price_kind="bankruptcy",
    unit="order",
    feeds=tuple(
        Feed(name, f"wss://stream.bybit.com/v5/public/{name}", symbols_per_socket=SYMBOLS_PER_SOCKET)
        for name in ("linear", "inverse")
    ),
    instrument_lists=tuple(
        InstrumentList(name, f"https://api.bybit.com/v5/market/instruments-info?category={name}&limit=1000")
        for name in ("linear", "inverse")
    ),
    read_instruments=read_instruments,
    instrument=instrument,
    session=BybitSession,
    ping_every=timedelta(seconds=9),  # one of its kind was seen to close after ten seconds without a word
    silence_limit=timedelta(seconds=30),
    control_limit=timedelta(seconds=60),
    connects=400,
    connects_per=timedelta(minutes=5),
    doubts="The unit of an inverse size (USD) is taken from the documentation and the retired topic.",
)
