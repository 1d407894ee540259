"""BitMEX: liquidation orders as a table with diffs, without a time; quanto contracts need the price of Bitcoin."""

from collections.abc import Mapping, Sequence
from datetime import timedelta
from decimal import Context, Decimal, Inexact, InvalidOperation, Overflow
from typing import Annotated, Any, Literal

import msgspec

from ..events import Reason
from ..wire import Liquidation
from ._asked import Asked
from ._lists import coin, document, page
from ._numbers import (
    LARGEST_USD,
    LONGEST,
    SMALLEST,
    SURPRISES,
    RowError,
    contract_size,
    divide,
    exact,
    multiply,
    shown,
    words,
    worth,
    written,
)
from ._rows import (
    Row,
    Stamp,
    all_differ,
    chosen,
    event,
    explained,
    known,
    own_id,
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

TABLE = "liquidation"
RATE = "XBTUSD"  # its mark price is the price of what quanto contracts are settled in
CONTROL_TOPIC = f"instrument:{RATE}"
SIDES = {"Sell": "long", "Buy": "short"}  # of the order
# An order is counted once, when it first appears; that it shrinks, moves, or is done changes nothing.
FIRST = ("partial", "insert")
LATER = ("update", "delete")
# `multiplier` is in the smallest unit of the coin of settlement.
UNITS = {"XBt": Decimal("1e-8"), "USDt": Decimal("1e-6")}
STAMP = Stamp("bitmex", "bankruptcy", "order", timed_by="received")

_DATA = FrameKind.DATA
_multiply = Context(LONGEST, traps=[InvalidOperation, Inexact, Overflow]).multiply  # exact, or the careful way


class _Row(msgspec.Struct, gc=False):
    orderID: Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9-]{1,64}\Z")]
    symbol: str
    side: Literal["Buy", "Sell"]
    price: msgspec.Raw
    leavesQty: msgspec.Raw


class _Frame(msgspec.Struct, gc=False):
    table: Literal["liquidation"]
    action: Literal["partial", "insert"]
    data: list[_Row]


_decode = msgspec.json.Decoder(_Frame).decode


class BitmexSession:
    """One socket with the liquidation orders of all symbols."""

    def __init__(self, feed: Feed, instruments: Instruments, symbols: Sequence[str]) -> None:
        self._instruments = instruments
        self._asked = Asked()
        self._control = True
        self._rate: Decimal | None = None

    def opening_frames(self) -> Sequence[Frame]:
        self._asked.ask(TABLE)
        return [_subscribe(TABLE), _subscribe(CONTROL_TOPIC)]  # one request each: a refusal repeats its request

    def ping_frame(self) -> Frame | None:
        return "ping"  # text, neither JSON nor a control frame

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
            rows = _decode(frame).data
            events: list[Liquidation] = []
            for row in rows:
                symbol, price = row.symbol, Decimal(written(row.price))
                instrument = self._instruments[symbol]
                inverse = instrument.inverse
                size = _multiply(Decimal(written(row.leavesQty)), instrument.contract_size)
                usd = size if inverse else _multiply(size, price)
                quantity = str(divide(size, price)) if inverse else str(size)
                price_text, usd_text = str(price), str(usd)
                if (
                    price <= SMALLEST
                    or size <= SMALLEST
                    or not SMALLEST < usd <= LARGEST_USD
                    or "E" in f"{quantity}{price_text}{usd_text}"  # the JSON number may have been 1e3
                    or not instrument.quick
                ):
                    break
                order = Liquidation(
                    f"bitmex:{row.orderID}",
                    "bitmex",
                    symbol,
                    instrument.base,
                    instrument.quote,
                    "long" if row.side == "Sell" else "short",
                    price_text,
                    "bankruptcy",
                    quantity,
                    usd_text,
                    received_ms,
                    received_ms,
                    "received",
                    "stream",
                    "order",
                )
                events.append(order)
            if len(events) == len(rows) and (len(rows) < 2 or all_differ(events)):
                return Received(_DATA, events)
        except SURPRISES:
            pass
        if frame in ("pong", b"pong"):
            return HEARTBEAT
        return explained(frame, lambda message: self._answer(message, received_ms))

    def _answer(self, message: Any, received_ms: int) -> Received:
        if not isinstance(message, dict):
            return rejected(f"not an object: {shown(message)}")
        table = message.get("table")
        if table == TABLE:
            return self._orders(message, received_ms)
        if table == "instrument":
            return self._priced(message.get("data"))
        if isinstance(table, str) or "info" in message:
            return IGNORED
        if "error" in message:
            return self._refused(message)
        if "success" not in message:
            return rejected(f"neither a table nor an answer: {shown(message)}")
        if message["success"] is True and message.get("subscribe") == TABLE:
            self._asked.grant(TABLE)
        return ACK

    def _orders(self, message: Row, received_ms: int) -> Received:
        action = message.get("action")
        if action in LATER:
            return Received(FrameKind.DATA)
        if action not in FIRST:
            return rejected(f"no action that is known: {shown(action)}")
        return read_rows(message.get("data"), lambda row: self._read(row, received_ms), "data", venue_ids=True)

    def _read(self, row: Row, received_ms: int) -> Liquidation | None:
        instrument = known(self._instruments, row, "symbol")
        side = chosen(row, "side", SIDES, instrument.symbol)
        contracts, price = quantity_of(row, "leavesQty"), price_of(row, "price")
        if instrument.rate_of is not None:
            contracts = multiply(contracts, self._rate_for(instrument))
        value, event_id = worth(instrument, contracts, price), f"bitmex:{own_id(row, 'orderID')}"
        return event(STAMP, instrument, side, "", value, price, received_ms, received_ms, event_id)

    def _rate_for(self, instrument: Instrument) -> Decimal:
        """What the contract is settled in, in USD: as the control channel said last, else the instrument list."""
        listed = self._instruments.get(instrument.rate_of or "")
        rate = self._rate or (listed.mark if listed is not None else None)
        if rate is None:
            raise RowError(
                Reason.NO_RATE,
                f"{instrument.symbol} is a quanto contract, and no price of {instrument.rate_of} is known",
                instrument.symbol,
            )
        return rate

    def _priced(self, rows: object) -> Received:
        for row in rows if isinstance(rows, list) else ():
            if isinstance(row, dict) and row.get("symbol") == RATE and "markPrice" in row:
                self._rate = _mark(row["markPrice"]) or self._rate
        return CONTROL

    def _refused(self, message: Row) -> Received:
        """The answer repeats the request; one to something else, such as an unreadable one, has none."""
        request = message.get("request")
        asked = request.get("args") if isinstance(request, dict) else None
        text = words(f"{message['error']} (status {message.get('status')})")
        if asked in ([CONTROL_TOPIC], CONTROL_TOPIC):
            self._control = False
            return Received(FrameKind.IGNORED, error=f"no control channel: {text}")
        if asked in ([TABLE], TABLE):
            self._asked.refuse(TABLE)
        return Received(FrameKind.REFUSED, error=text)


def _subscribe(topic: str) -> str:
    return msgspec.json.encode({"op": "subscribe", "args": [topic]}).decode()


def _mark(value: object) -> Decimal | None:
    """A price above zero, else None: a list has null for what does not trade."""
    try:
        mark = exact(value, "markPrice")
    except ValueError:
        return None
    return mark if mark > 0 else None


def read_instruments(listed: InstrumentList, body: bytes) -> InstrumentPage:
    """The array of instrument/active."""
    return page(document(body), "symbol")


def instrument(name: str, raw: Mapping[str, Any]) -> Instrument:
    """A contract is |multiplier| units of the coin of settlement: an inverse one that much USD, a linear or quanto
    one that much for each unit of its price."""
    mark = _mark(raw.get("markPrice"))
    if mark is not None and "settlCurrency" not in raw:  # known for its price, which quanto contracts need
        why = "listed with its price alone"
        return Instrument(name, name, "USD", trading=False, mark=mark, unpriced=why, unpriced_reason=Reason.UNSUPPORTED)
    base, quote, settled = coin(raw["underlying"]), coin(raw["quoteCurrency"]), raw["settlCurrency"]
    trading = raw.get("state", "Open") == "Open"
    if settled not in UNITS:
        why = f"settled in {shown(settled)}, whose unit is not known"
        return Instrument(name, base, quote, trading=trading, unpriced=why, unpriced_reason=Reason.UNSUPPORTED)
    multiplier = exact(raw["multiplier"], "multiplier")
    inverse = raw.get("isInverse", multiplier < 0) is True
    size = contract_size(multiply(-multiplier if inverse else multiplier, UNITS[settled]), "multiplier")
    quanto = not inverse and settled == "XBt" and quote != "BTC"
    return Instrument(
        name,
        base,
        quote,
        inverse=inverse,
        contract_size=size,
        trading=trading,
        rate_of=RATE if quanto else None,
        mark=mark,
    )


VENUE = Venue(
    name="bitmex",
    title="BitMEX",
    docs="https://www.bitmex.com/app/wsAPI",
    checked="2026-11-24",
    completeness="all",
    completeness_note="All liquidation orders, also those filled at once; how much of one was filled is not said.",
    side_rule="`side` is the order's: Sell closed a long, Buy a short.",
    price_kind="bankruptcy",
    unit="order",
    feeds=(Feed("realtime", "wss://ws.bitmex.com/realtime"),),
    instrument_lists=(InstrumentList("active", "https://www.bitmex.com/api/v1/instrument/active"),),
    read_instruments=read_instruments,
    instrument=instrument,
    session=BitmexSession,
    ping_every=timedelta(seconds=5),
    silence_limit=timedelta(seconds=30),
    control_limit=timedelta(seconds=60),
    connects=30,
    connects_per=timedelta(minutes=5),
    doubts="The venue gives no time: ours is used. An order that grows after it first appeared is counted with its "
    "first size; a part of one may be cancelled or taken over by the insurance fund. What was open and done while "
    "disconnected cannot be asked for.",
)
