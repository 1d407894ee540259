"""Orderly: positions taken over by liquidators, on a book that many brokers share. The stream has no price.

The mark prices of all symbols ride along, pushed each second; the latest is taken. The venue's REST list has the
price at which a position was taken over, and the same numbers of liquidations.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import timedelta
from decimal import Decimal
from typing import Any

import msgspec

from ..events import Reason
from ..wire import Liquidation
from ._asked import Asked
from ._history import asked, asking, history_page
from ._lists import coin, document, inside, page
from ._numbers import RowError, exact, number, positive, shown, words
from ._rows import Row, Stamp, explained, field, known, liquidation, moment, read_rows, rejected
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

TOPIC = "liquidation"
MARKS = "markprices"
DONE = "liquidated"  # `type`; what other words there are is not documented
STAMP = Stamp("orderly", "mark", "order")
REST = "https://api.orderly.org/v1/public"
ROWS = 100  # of a page of the history
REMEMBERED = 10_000  # events
PRICED_MS = 60_000  # so long before the first mark prices that a socket heard, they still say what a position was worth
# Public topics need no account, and the address none in particular: this one stands in the venue's own software.
ACCOUNT = "OqdphuyCtYWxwzhxyLLjOWNdFP7sQt8RPWzmb5xY"

_SYMBOL = re.compile(r"PERP_(.+)_([A-Z0-9]+)")


class OrderlySession:
    """All symbols on one socket. There are some dozens of liquidations a day: it reads all of them the careful way."""

    def __init__(self, feed: Feed, instruments: Instruments, symbols: Sequence[str]) -> None:
        self._instruments = instruments
        self._asked = Asked()
        self._marks: dict[str, tuple[int, Decimal]] = {}  # when it was pushed; of listed symbols only
        self._since_ms = 0  # when the first of them were pushed
        self._told: dict[str, Decimal] = {}  # ids of the latest events, and their prices

    def opening_frames(self) -> Sequence[Frame]:
        for topic in (MARKS, TOPIC):
            self._asked.ask(topic)
        return [_subscribe(MARKS), _subscribe(TOPIC)]  # prices first

    def ping_frame(self) -> Frame | None:
        return None  # the server pings in JSON, and is answered so

    def subscribe_more(self, symbols: Sequence[str]) -> Sequence[Frame]:
        return []

    @property
    def acknowledged(self) -> bool:
        return self._asked.all_granted

    @property
    def control_expected(self) -> bool:
        return True  # without it there are no prices

    def receive(self, frame: Frame, received_ms: int) -> Received:
        return explained(frame, lambda message: self._answer(message, received_ms))

    def _answer(self, message: Any, received_ms: int) -> Received:
        if not isinstance(message, dict):
            return rejected(f"not an object: {shown(message)}")
        topic, what = message.get("topic"), message.get("event")
        if topic == MARKS and what is None:
            return self._learn(message.get("data"), message.get("ts"), received_ms)
        if topic == TOPIC and what is None:
            data = message.get("data")
            taken = [(place, row) for place, one in enumerate(_listed(data), 1) for row in _positions([one])]
            rows, places = [row for _, row in taken], [place for place, _ in taken]
            return read_rows(rows, lambda row: self._read(row, received_ms), "data", venue_ids=True, places=places)
        if what in ("ping", "pong"):
            return Received(FrameKind.HEARTBEAT, replies=('{"event":"pong"}',)) if what == "ping" else HEARTBEAT
        if what == "subscribe":
            return self._granted(message)
        if what == "unsubscribe":
            return ACK
        if topic is None and what is None:
            return rejected(f"neither a topic nor an event: {shown(message)}")
        return IGNORED

    def _granted(self, message: Row) -> Received:
        topic = str(message.get("id"))
        if message.get("success") is True:
            self._asked.grant(topic)
            return ACK
        text = words(message.get("errorMsg"))
        if topic == TOPIC:
            self._asked.refuse(topic)
        return Received(FrameKind.REFUSED, error=text)  # refused prices stay asked for: without them, nothing counts

    def _learn(self, rows: object, pushed: object, received_ms: int) -> Received:
        if not isinstance(rows, list):
            return rejected(f"data is not a list: {shown(rows)}")
        pushed_ms = pushed if isinstance(pushed, int) and pushed < received_ms + PRICED_MS else received_ms
        self._since_ms = self._since_ms or pushed_ms
        for row in rows:
            try:
                if not isinstance(row, dict):
                    continue
                symbol = known(self._instruments, row, "symbol").symbol
                price = positive(field(row, "price"), "price", Reason.BAD_PRICE)
            except RowError:  # not listed, or a price of nothing: the last good one stays
                continue
            if symbol not in self._marks or pushed_ms >= self._marks[symbol][0]:  # not overtaken by a later one
                self._marks[symbol] = pushed_ms, price
        return CONTROL

    def _read(self, row: Row, received_ms: int) -> Liquidation | None:
        if field(row, "type") != DONE:
            return None
        instrument = known(self._instruments, row, "symbol")
        _, mark = self._marks.get(instrument.symbol, (0, instrument.mark))
        event = _event(instrument, row, self._told.get(_identity(row, instrument.symbol), mark), received_ms)
        # The whole list is pushed when it changes. What is older than our prices is left to the history, which has its.
        if event is None or event.event_time_ms < self._since_ms - PRICED_MS:
            return None
        # What is pushed again is the same event, at the price that it had: told anew, it changes nothing.
        if event.event_id not in self._told:
            self._told[event.event_id] = Decimal(event.price)
            if len(self._told) > REMEMBERED:
                del self._told[next(iter(self._told))]
        return event


def _listed(liquidations: object) -> list[Any]:
    return liquidations if isinstance(liquidations, list) else [liquidations]


def _positions(liquidations: Iterable[object]) -> Iterator[object]:
    """One row for each position of each liquidation."""
    for one in liquidations:
        positions = one.get("positionsByPerp") if isinstance(one, dict) else None
        if not isinstance(one, dict) or not isinstance(positions, list):
            yield f"no list of positions: {shown(one)}"
            continue
        for position in positions:
            yield {**one, **position} if isinstance(position, dict) else position


def _event(instrument: Instrument, row: Row, price: Decimal | None, received_ms: int) -> Liquidation | None:
    """The sign of the quantity is the position's."""
    symbol = instrument.symbol
    position = number(field(row, "positionQty"), "positionQty", Reason.BAD_QUANTITY)
    if position == 0:
        return None
    time_ms, event_id = moment(field(row, "timestamp"), "timestamp"), _identity(row, symbol)
    if price is None:
        raise RowError(Reason.BAD_PRICE, f"{symbol}: no mark price is known yet", symbol)
    side = "long" if position > 0 else "short"
    return liquidation(STAMP, instrument, side, "", abs(position), price, time_ms, received_ms, event_id)


def _identity(row: Row, symbol: str) -> str:
    """The id of the event: a liquidation takes over each of an account's positions once."""
    given = field(row, "liquidationId")
    if not re.fullmatch(r"[0-9]{1,20}", str(given)):
        raise RowError(Reason.MALFORMED, f"{symbol}: liquidationId is not a number: {shown(given)}", symbol)
    return f"orderly:{given}:{symbol}"


def _subscribe(topic: str) -> str:
    return msgspec.json.encode({"id": topic, "topic": topic, "event": "subscribe"}).decode()


def read_instruments(listed: InstrumentList, body: bytes) -> InstrumentPage:
    """`rows` of futures: all symbols, with their mark prices."""
    answer = document(body)
    if inside(answer, "success") is not True:
        raise ValueError(f"refused: {shown(answer.get('message'))}")
    return page(inside(answer, "data", "rows"), "symbol")


def instrument(name: str, raw: Mapping[str, Any]) -> Instrument:
    """Only the name has the coins: PERP_{BASE}_USDC. Quantities are base coins."""
    named = _SYMBOL.fullmatch(name)
    if named is None:
        raise ValueError("is not called PERP_{BASE}_{QUOTE}")
    mark = exact(raw["mark_price"], "mark_price") if raw.get("mark_price") is not None else Decimal(0)
    return Instrument(name, coin(named[1]), coin(named[2]), mark=mark if mark > 0 else None)


def history_urls(instruments: Instruments, since_ms: int, until_ms: int) -> list[str]:
    """All symbols together, the newest page first."""
    return [asking(f"{REST}/liquidated_positions", start_t=since_ms, end_t=until_ms, page=1, size=ROWS)]


def read_history(url: str, body: bytes, instruments: Instruments, received_ms: int) -> HistoryPage:
    """A page of liquidated_positions, which has the price of the take-over. Its `total` ends at 500."""
    answer = document(body)
    if inside(answer, "success") is not True:
        raise ValueError(f"refused: {shown(answer.get('message'))}")
    rows = inside(answer, "data", "rows")
    full = isinstance(rows, list) and len(rows) >= ROWS
    next_url = asking(url, page=int(asked(url, "page") or 1) + 1) if full else None
    positions = [_as_pushed(row) for row in rows] if isinstance(rows, list) else rows

    def read(row: Row) -> Liquidation | None:
        if row["type"] != DONE:
            return None
        known_one = known(instruments, row, "symbol")
        if number(field(row, "positionQty"), "position_qty", Reason.BAD_QUANTITY) == 0:
            return None
        price = positive(field(row, "transferPrice"), "transfer_price", Reason.BAD_PRICE)
        return _event(known_one, row, price, received_ms)

    return history_page(
        [*_positions(positions)] if isinstance(positions, list) else positions, read, next_url, venue_ids=True
    )


def _as_pushed(row: object) -> object:
    """A row of the history in the words of the stream."""
    if not isinstance(row, dict) or not isinstance(row.get("positions_by_perp"), list):
        return row
    positions = [
        {
            "symbol": one.get("symbol"),
            "positionQty": one.get("position_qty"),
            "transferPrice": one.get("transfer_price"),
        }
        if isinstance(one, dict)
        else one
        for one in row["positions_by_perp"]
    ]
    return {
        "liquidationId": row.get("liquidation_id"),
        "timestamp": row.get("timestamp"),
        "type": row.get("type", DONE),
        "positionsByPerp": positions,
    }


VENUE = Venue(
    name="orderly",
    title="Orderly",
    docs="https://orderly.network/docs/build-on-omnichain/websocket-api/public/liquidation-push",
    checked="2026-08-01",
    completeness="all",
    completeness_note="Every position taken over, by the documentation; the price is the mark price at that time.",
    side_rule="The sign of `positionQty` is the position's: above zero was a long, below a short.",
    price_kind="mark",
    unit="order",
    feeds=(Feed("public", f"wss://ws-evm.orderly.org/ws/stream/{ACCOUNT}"),),
    instrument_lists=(InstrumentList("futures", f"{REST}/futures"),),
    read_instruments=read_instruments,
    instrument=instrument,
    session=OrderlySession,
    ping_every=None,
    silence_limit=timedelta(seconds=45),
    control_limit=timedelta(seconds=45),
    doubts="No captured frame was seen. Whether several liquidators of one position give one number or more is not "
    "documented; a number counts once for each symbol.",
    history=History(
        urls=history_urls,
        read=read_history,
        same_ids=True,
        reaches=timedelta(days=2),
        pause=timedelta(milliseconds=250),
    ),
)
