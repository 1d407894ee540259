"""Gate futures: orders of about a second come together; the sign of the size is the order's; one socket per coin."""

from collections.abc import Mapping, Sequence
from datetime import timedelta
from decimal import Decimal
from typing import Any, Literal

import msgspec

from ..events import Reason
from ..wire import Liquidation
from ._asked import Asked
from ._history import asking, history_page, spans
from ._lists import coin, document, page
from ._numbers import LARGEST_USD, SMALLEST, SURPRISES, Digits, contract_size, divide, number, quick, shown, words
from ._rows import (
    EARLIEST_MS,
    LATEST_MS,
    Row,
    Stamp,
    all_differ,
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
    HEARTBEAT,
    IGNORED,
    Feed,
    Frame,
    FrameKind,
    History,
    HistoryPage,
    Instrument,
    InstrumentList,
    InstrumentPage,
    Instruments,
    Received,
    Venue,
)

CHANNEL = "futures.public_liquidates"
CONTROL_CHANNEL = "futures.tickers"
CONTROL_CONTRACTS = {"usdt": "BTC_USDT", "btc": "BTC_USD", "usd1": "BTC_USD1"}
STAMP = Stamp("gate", "order", "order")
# Every request has to carry a time, and it is looked at only where requests are signed. A session has no clock.
REQUEST_TIME = 1_787_270_400
SECONDS_BELOW = 1_000_000_000_000  # older documentation gives `time` in seconds
HISTORY_ROWS = 1000  # of one answer at most
HISTORY_SECONDS = 3600  # of one question at most

_DATA = FrameKind.DATA


class _Row(msgspec.Struct, gc=False):
    price: Digits
    size: Digits
    time: int
    contract: str
    time_ms: int | None = None


class _Frame(msgspec.Struct, gc=False):
    channel: Literal["futures.public_liquidates"]
    event: Literal["update"]
    result: list[_Row]


_decode = msgspec.json.Decoder(_Frame).decode


class GateSession:
    """One socket of one settlement coin."""

    def __init__(self, feed: Feed, instruments: Instruments, symbols: Sequence[str]) -> None:
        self._instruments = instruments
        self._control_contract = CONTROL_CONTRACTS[feed.name]
        self._asked = Asked()
        self._control = True

    def opening_frames(self) -> Sequence[Frame]:
        self._asked.ask(CHANNEL)
        return [_subscribe(CHANNEL, "!all"), _subscribe(CONTROL_CHANNEL, self._control_contract)]

    def ping_frame(self) -> Frame | None:
        return msgspec.json.encode({"time": REQUEST_TIME, "channel": "futures.ping"}).decode()

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
            for row in _decode(frame).result:
                symbol, signed, paid, time_ms = row.contract, row.size, row.price, row.time_ms or row.time
                instrument = instruments[symbol]
                price = quick(paid)
                # The sign is the order's: negative sells, and closes a long. (REST signs the position instead.)
                size = quick(signed) * instrument.contract_size
                side = "short"
                if size < SMALLEST:
                    side, size = "long", -size
                if instrument.inverse:
                    usd, quantity = size, str(divide(size, price))
                else:
                    usd, quantity = size * price, str(size)
                if (
                    price <= SMALLEST
                    or size <= SMALLEST
                    or not SMALLEST < usd <= LARGEST_USD
                    or not SECONDS_BELOW < time_ms < LATEST_MS
                    or time_ms < EARLIEST_MS
                    or "E" in quantity
                    or not instrument.quick
                ):
                    break
                events.append(
                    Liquidation(
                        f"gate:{symbol}:{time_ms}:{side}:{signed}@{paid}",
                        "gate",
                        symbol,
                        instrument.base,
                        instrument.quote,
                        side,
                        str(price),
                        "order",
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
        channel, what = message.get("channel"), message.get("event")
        if channel in ("futures.ping", "futures.pong"):
            return HEARTBEAT
        if not isinstance(channel, str):
            return rejected(f"no channel: {shown(message)}")
        if message.get("error") is not None:
            return self._refused(channel, message["error"])
        if what in ("subscribe", "unsubscribe"):
            result = message.get("result")
            if isinstance(result, dict) and result.get("status", "success") != "success":
                return self._refused(channel, result)
            if channel == CHANNEL and what == "subscribe":
                self._asked.grant(CHANNEL)
            return ACK
        if what != "update":
            return IGNORED
        if channel == CHANNEL:
            return read_rows(message.get("result"), lambda row: self._read(row, received_ms), "result")
        return CONTROL if channel == CONTROL_CHANNEL else IGNORED

    def _refused(self, channel: str, error: object) -> Received:
        named = isinstance(error, dict) and "message" in error
        text = words(f"{error.get('message')} (code {error.get('code')})" if named else error)  # type: ignore[attr-defined]
        if channel == CONTROL_CHANNEL:
            self._control = False
            return Received(FrameKind.IGNORED, error=f"no control channel: {text}")
        if channel == CHANNEL:
            self._asked.refuse(CHANNEL)
        return Received(FrameKind.REFUSED, error=text)

    def _read(self, row: Row, received_ms: int) -> Liquidation | None:
        instrument = known(self._instruments, row, "contract")
        signed = number(field(row, "size"), "size", Reason.BAD_QUANTITY)
        if signed == 0:
            return None
        time_ms = moment(_milliseconds(row.get("time_ms") or field(row, "time")), "time")
        side = "long" if signed < 0 else "short"
        price, said = price_of(row, "price"), f"{row['size']}@{row['price']}"
        return liquidation(STAMP, instrument, side, said, abs(signed), price, time_ms, received_ms)


def _milliseconds(time: object) -> object:
    """Of milliseconds, or of seconds, which may have a fraction."""
    if isinstance(time, Decimal) and 0 < time < SECONDS_BELOW:
        return int(time * 1000)
    given = whole(time)
    return given * 1000 if type(given) is int and given < SECONDS_BELOW else given


def _subscribe(channel: str, *payload: str) -> str:
    request = {"time": REQUEST_TIME, "channel": channel, "event": "subscribe", "payload": payload}
    return msgspec.json.encode(request).decode()


def read_instruments(listed: InstrumentList, body: bytes) -> InstrumentPage:
    """The contracts of one settlement coin; which one is noted in each, as only the address says it."""
    rows = document(body)
    if isinstance(rows, list):
        rows = [{**row, "settle": listed.name} if isinstance(row, dict) else row for row in rows]
    return page(rows, "name")


def instrument(name: str, raw: Mapping[str, Any]) -> Instrument:
    """direct: a contract is quanto_multiplier coins. inverse: one USD. Other contracts settled in BTC are quanto."""
    base, _, quote = name.partition("_")
    kind, settle = raw["type"], raw.get("settle")
    trading = not raw.get("in_delisting", False) and raw.get("status", "trading") == "trading"
    if kind == "inverse":
        return Instrument(name, coin(base), coin(quote), inverse=True, feed="btc", trading=trading)
    if kind != "direct":
        raise ValueError(f"type is {shown(kind)}, neither direct nor inverse")
    if quote == "USD" or settle == "btc":
        why = "a quanto contract, whose worth is in another coin than its price"
        return Instrument(
            name, coin(base), coin(quote), feed="btc", trading=False, unpriced=why, unpriced_reason=Reason.UNSUPPORTED
        )
    size = contract_size(raw["quanto_multiplier"], "quanto_multiplier")
    feed = settle if settle in CONTROL_CONTRACTS else "usd1" if quote == "USD1" else "usdt"
    return Instrument(name, coin(base), coin(quote), contract_size=size, feed=feed, trading=trading)


def history_urls(instruments: Instruments, since_ms: int, until_ms: int) -> list[str]:
    """Every contract of a settlement coin at once, hour by hour; no second twice, as rows have no ids to tell by."""
    first = since_ms // 1000
    return [
        asking(
            f"https://api.gateio.ws/api/v4/futures/{settle}/liq_orders",
            **{"from": since if since == first else since + 1, "to": until, "limit": HISTORY_ROWS},
        )
        for since, until in spans(first, -(-until_ms // 1000), HISTORY_SECONDS)
        for settle in CONTROL_CONTRACTS
    ]


def read_history(url: str, body: bytes, instruments: Instruments, received_ms: int) -> HistoryPage:
    """A page of liq_orders. Here the sign of `size` is the POSITION's, and times are whole seconds."""
    rows = document(body)
    if isinstance(rows, dict):
        raise ValueError(f"refused: {shown(rows.get('message') or rows.get('label'))}")
    next_url = None
    if isinstance(rows, list) and len(rows) >= HISTORY_ROWS:
        times = {row["time"] for row in rows if isinstance(row, dict) and isinstance(row.get("time"), int)}
        oldest = min(times, default=0)
        if len(times) > 1:  # the oldest second may have been cut: it is read anew, and whole, with what is older
            rows = [row for row in rows if not (isinstance(row, dict) and row.get("time") == oldest)]
            next_url = asking(url, to=oldest)
        elif times:
            next_url = asking(url, to=oldest - 1)
    return history_page(rows, lambda row: _past(instruments, row, received_ms), next_url)


def _past(instruments: Instruments, row: Row, received_ms: int) -> Liquidation | None:
    instrument = known(instruments, row, "contract")
    position = number(field(row, "size"), "size", Reason.BAD_QUANTITY)
    # What was closed is the order; it has the opposite sign of the position, and may be a part of it.
    order = abs(number(row.get("order_size") or position, "order_size", Reason.BAD_QUANTITY)) or abs(position)
    if position == 0:
        return None
    time_ms = moment(_milliseconds(field(row, "time")), "time")
    side = "long" if position > 0 else "short"
    price, said = price_of(row, "order_price"), f"{order}@{row['order_price']}"
    return liquidation(STAMP, instrument, side, said, order, price, time_ms, received_ms)


VENUE = Venue(
    name="gate",
    title="Gate",
    docs="https://www.gate.com/docs/developers/futures/ws/en/#public-liquidates-order-channel",
    checked="2026-08-21",
    completeness="all",
    completeness_note="Since 2026-08-20 all orders of a contract in about a second come together; before, one of them.",
    side_rule="The sign of `size` is the order's: negative closed a long, positive a short. (REST signs the position.)",
    price_kind="order",
    unit="order",
    feeds=tuple(
        Feed(settle, f"wss://fx-ws.gateio.ws/v4/ws/{settle}", headers={"X-Gate-Size-Decimal": "1"})
        for settle in CONTROL_CONTRACTS
    ),
    instrument_lists=tuple(
        InstrumentList(settle, f"https://api.gateio.ws/api/v4/futures/{settle}/contracts")
        for settle in CONTROL_CONTRACTS
    ),
    read_instruments=read_instruments,
    instrument=instrument,
    session=GateSession,
    ping_every=timedelta(seconds=15),
    silence_limit=timedelta(seconds=60),
    control_limit=timedelta(seconds=120),
    history=History(
        urls=history_urls,
        read=read_history,
        same_ids=False,  # times are whole seconds
        reaches=timedelta(days=1),
        pause=timedelta(milliseconds=100),  # 200 requests in 10 s
        resolution_ms=1000,
    ),
    doubts="No captured frame was seen: the layouts are the documentation's. `time` may be in seconds. Rows of the "
    "list have no ids: what one of two collectors holds back for over two minutes, the other may fill in: twice.",
)
