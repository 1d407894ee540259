"""HTX swaps and linear futures: gzip frames; the server pings, and wants its own text back."""

from collections.abc import Mapping, Sequence
from datetime import timedelta
from decimal import Context, Decimal, Inexact, InvalidOperation, Overflow
from typing import Any, Literal

import msgspec

from ..events import plain
from ..wire import Liquidation
from ._asked import Asked
from ._history import asked, asking, history_page, spans
from ._lists import coin, document, inside, page
from ._numbers import LARGEST_USD, LONGEST, SMALLEST, SURPRISES, contract_size, divide, shown, words, written
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
    whole,
)
from .base import (
    ACK,
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

TOPIC = "public.*.liquidation_orders"
# direction is the order's, which closes the position: a sell closes a long.
SIDES = {"sell": "long", "buy": "short"}
REPEATED = 2014  # err-code of a contract asked for after the wildcard: harmless
STAMP = Stamp("htx", "bankruptcy", "order")
HISTORY_PATHS = {
    "linear": "/linear-swap-api/v3/swap_liquidation_orders",
    "coin": "/swap-api/v3/swap_liquidation_orders",
}
HISTORY_MS = 2 * 3_600_000  # of one question at most

_DATA = FrameKind.DATA
_multiply = Context(LONGEST, traps=[InvalidOperation, Inexact, Overflow]).multiply  # exact, or the careful way


class _Row(msgspec.Struct, gc=False):
    contract_code: str
    direction: Literal["buy", "sell"]
    volume: msgspec.Raw
    price: msgspec.Raw
    created_at: Moment


class _Frame(msgspec.Struct, gc=False):
    op: Literal["notify"]
    topic: str
    data: list[_Row]


_decode = msgspec.json.Decoder(_Frame).decode


class HtxSession:
    """One socket of the linear or the coin-margined market. Frames are given to it gunzipped."""

    def __init__(self, feed: Feed, instruments: Instruments, symbols: Sequence[str]) -> None:
        self._instruments = instruments
        self._asked = Asked()

    def opening_frames(self) -> Sequence[Frame]:
        self._asked.ask(TOPIC)
        return [msgspec.json.encode({"op": "sub", "cid": "liquidations", "topic": TOPIC}).decode()]

    def ping_frame(self) -> Frame | None:
        return None  # the server pings, every 5 s

    def subscribe_more(self, symbols: Sequence[str]) -> Sequence[Frame]:
        return []

    @property
    def acknowledged(self) -> bool:
        return self._asked.all_granted

    @property
    def control_expected(self) -> bool:
        return False

    def receive(self, frame: Frame, received_ms: int) -> Received:
        try:
            message = _decode(frame)
            events: list[Liquidation] = []
            for row in message.data:
                symbol = row.contract_code
                contracts, price = Decimal(written(row.volume)), Decimal(written(row.price))
                instrument = self._instruments[symbol]
                size = _multiply(contracts, instrument.contract_size)
                if instrument.inverse:
                    usd, quantity = size, str(divide(size, price))
                else:
                    usd, quantity = _multiply(size, price), str(size)
                price_text, usd_text, time_ms = str(price), str(usd), row.created_at
                if (
                    price <= SMALLEST
                    or size <= SMALLEST
                    or not SMALLEST < usd <= LARGEST_USD
                    or "E" in f"{quantity}{price_text}{usd_text}"  # the JSON number may have been 1e3
                    or instrument.unpriced is not None
                ):
                    break
                side = "long" if row.direction == "sell" else "short"
                events.append(
                    Liquidation(
                        f"htx:{symbol}:{time_ms}:{side}:{contracts!s}@{price_text}",
                        "htx",
                        symbol,
                        instrument.base,
                        instrument.quote,
                        side,
                        price_text,
                        "bankruptcy",
                        quantity,
                        usd_text,
                        time_ms,
                        received_ms,
                        "venue",
                        "stream",
                        "order",
                    )
                )
            else:
                fits = message.topic.endswith("liquidation_orders")
                if fits and (len(events) == 1 or (events and all_differ(events))):
                    return Received(_DATA, events)
        except SURPRISES:
            pass
        return explained(frame, lambda message: self._answer(message, received_ms))

    def _answer(self, message: Any, received_ms: int) -> Received:
        op = message.get("op") if isinstance(message, dict) else None
        if op == "ping":  # the very same value goes back: it is text here, and a number looks dead to the server
            return Received(
                FrameKind.HEARTBEAT, replies=[msgspec.json.encode({"op": "pong", "ts": message.get("ts")}).decode()]
            )
        if op == "notify":
            if not str(message.get("topic")).endswith("liquidation_orders"):
                return IGNORED
            return read_rows(message.get("data"), lambda row: self._read(row, received_ms), "data")
        if op == "sub":
            return self._told(message)
        if op == "unsub":
            return ACK
        if op == "error":
            return Received(
                FrameKind.REFUSED, error=words(f"{message.get('err-msg')} (code {message.get('err-code')})")
            )
        if op in ("pong", "close"):
            return HEARTBEAT if op == "pong" else IGNORED
        return rejected(f"no op that is known: {shown(message)}")

    def _told(self, message: Row) -> Received:
        code = whole(message.get("err-code"))
        if code in (0, REPEATED):
            if message.get("topic") == TOPIC:
                self._asked.grant(TOPIC)
            return ACK
        self._asked.refuse(TOPIC)
        return _refused(message)

    def _read(self, row: Row, received_ms: int) -> Liquidation | None:
        contracts, price = quantity_of(row, "volume"), price_of(row, "price")
        return _order(self._instruments, row, f"{contracts}@{price}", contracts, price, received_ms)


def _refused(message: Row) -> Received:
    return Received(FrameKind.REFUSED, error=words(f"{message.get('err-msg')} (code {message.get('err-code')})"))


def _order(
    instruments: Instruments, row: Row, said: str, contracts: Decimal, price: Decimal, received_ms: int
) -> Liquidation:
    instrument = known(instruments, row, "contract_code")
    side = chosen(row, "direction", SIDES, instrument.symbol)
    time_ms = moment(field(row, "created_at"), "created_at")
    return liquidation(STAMP, instrument, side, said, contracts, price, time_ms, received_ms)


def read_instruments(listed: InstrumentList, body: bytes) -> InstrumentPage:
    """`data` of swap_contract_info."""
    answer = document(body)
    if inside(answer, "status") != "ok":
        raise ValueError(f"refused: {shown(answer.get('err_msg'))}")
    return page(inside(answer, "data"), "contract_code")


def instrument(name: str, raw: Mapping[str, Any]) -> Instrument:
    """Coin-margined contracts (BTC-USD) are contract_size USD each, linear ones (BTC-USDT) contract_size coins."""
    size = contract_size(raw["contract_size"], "contract_size")
    trading = raw.get("contract_status", 1) == 1
    parts = name.split("-")
    if len(parts) < 2:
        raise ValueError(f"the contract_code {shown(name)} does not name its quote")
    inverse = parts[1] == "USD"
    quote = parts[1] if inverse else raw.get("trade_partition") or parts[1]
    return Instrument(
        name,
        coin(raw.get("symbol") or parts[0]),
        coin(quote),
        inverse=inverse,
        contract_size=size,
        feed="coin" if inverse else "linear",
        trading=trading,
    )


def history_urls(instruments: Instruments, since_ms: int, until_ms: int) -> list[str]:
    """Contract by contract, as the list takes no other question."""
    contracts = sorted(
        (one.symbol, one.feed or "linear") for one in instruments.values() if one.unpriced is None and one.trading
    )
    return [
        asking(
            f"https://api.hbdm.com{HISTORY_PATHS[feed]}",
            contract=symbol,
            trade_type=0,
            start_time=since,
            end_time=until,
            direct="prev",
        )
        for since, until in spans(since_ms, until_ms, HISTORY_MS)
        for symbol, feed in contracts
    ]


def read_history(url: str, body: bytes, instruments: Instruments, received_ms: int) -> HistoryPage:
    """A page of swap_liquidation_orders: the fields of the stream, the newest first; `query_id` leads to older ones."""
    answer = document(body)
    if inside(answer, "code") != 200:
        raise ValueError(f"refused: {shown(answer.get('msg'))} (code {shown(answer['code'])})")
    rows = inside(answer, "data")
    next_url = None
    if isinstance(rows, list):
        before = asked(url, "from_id")
        rows = [row for row in rows if not (isinstance(row, dict) and str(row.get("query_id")) == before)]
        numbers = [row["query_id"] for row in rows if isinstance(row, dict) and isinstance(row.get("query_id"), int)]
        if numbers:
            next_url = asking(url, from_id=min(numbers))
    return history_page(rows, lambda row: _past(instruments, row, received_ms), next_url)


def _past(instruments: Instruments, row: Row, received_ms: int) -> Liquidation:
    contracts, price = quantity_of(row, "volume"), price_of(row, "price")
    # Its numbers may be filled up with zeros, which the stream does not send.
    said = f"{plain(contracts.normalize())}@{plain(price.normalize())}"
    return _order(instruments, row, said, contracts, price, received_ms)


VENUE = Venue(
    name="htx",
    title="HTX",
    docs="https://www.htx.com/en-us/opend/newApiPages/",
    checked="2026-09-18",
    completeness="all",
    completeness_note="Not said to be sampled; a thin market.",
    side_rule="`direction` is the side of the liquidation order: sell closed a long, buy a short.",
    price_kind="bankruptcy",
    unit="order",
    feeds=(
        Feed("linear", "wss://api.hbdm.com/linear-swap-notification", compression="gzip"),
        Feed("coin", "wss://api.hbdm.com/swap-notification", compression="gzip"),
    ),
    instrument_lists=(
        InstrumentList("linear", "https://api.hbdm.com/linear-swap-api/v1/swap_contract_info?business_type=all"),
        InstrumentList("coin", "https://api.hbdm.com/swap-api/v1/swap_contract_info"),
    ),
    read_instruments=read_instruments,
    instrument=instrument,
    session=HtxSession,
    ping_every=None,
    silence_limit=timedelta(seconds=20),
    history=History(
        urls=history_urls,
        read=read_history,
        same_ids=True,
        reaches=timedelta(days=2),  # it goes back 90 days, contract by contract
        pause=timedelta(milliseconds=50),  # 240 requests in 3 s
    ),
)
