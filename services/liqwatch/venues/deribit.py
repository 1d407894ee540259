"""Deribit futures: liquidations are trades with a flag, which comes about an hour after the trade, by REST only."""

from collections.abc import Mapping, Sequence
from datetime import timedelta
from decimal import Context, Decimal, Inexact, InvalidOperation, Overflow
from typing import Any, Literal

import msgspec

from ..events import Reason
from ..wire import Liquidation
from ._asked import Asked
from ._history import asked, asking, history_page
from ._lists import coin, document, inside, page
from ._numbers import LARGEST_USD, LONGEST, SMALLEST, SURPRISES, RowError, divide, shown, words, written
from ._rows import (
    Moment,
    Reading,
    Row,
    Stamp,
    all_differ,
    explained,
    field,
    known,
    liquidation,
    moment,
    own_id,
    price_of,
    quantity_of,
    rejected,
)
from ._trades import read_trades
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

REST = "https://www.deribit.com/api/v2/public"
CHANNEL = "trades.future.any.100ms"
CURRENCIES = (
    "BTC",
    "ETH",
    "USDC",
    "USDT",
)  # of the history: those of inverse contracts, and those linear ones settle in
PAGE = 1000
# `direction` is the taker's, and the flag says who was liquidated: the taker, or the maker on the other side.
SIDES = {("sell", "T"): "long", ("buy", "T"): "short", ("buy", "M"): "long", ("sell", "M"): "short"}
BOTH = "MT"  # two events, the taker's first
SUBSCRIBE, SET_HEARTBEAT, TEST = 1, 2, 3  # ids of our requests
HEARTBEAT_SECONDS = 10  # the least that is allowed
STAMP = Stamp("deribit", "fill", "fill")

_DATA = FrameKind.DATA
_multiply = Context(LONGEST, traps=[InvalidOperation, Inexact, Overflow]).multiply  # exact, or the careful way
_ID_SIGNS = str.maketrans("", "", "._:-")


class _Trade(msgspec.Struct, gc=False):
    trade_id: str
    timestamp: Moment
    price: msgspec.Raw
    amount: msgspec.Raw
    direction: Literal["buy", "sell"]
    instrument_name: str
    liquidation: str | None = None


class _Params(msgspec.Struct, gc=False):
    channel: str
    data: list[_Trade]


class _Frame(msgspec.Struct, gc=False):
    method: Literal["subscription"]
    params: _Params


_decode = msgspec.json.Decoder(_Frame).decode


class DeribitSession:
    """One socket with the trades of all futures."""

    stamp = STAMP  # another venue runs the same software

    def __init__(self, feed: Feed, instruments: Instruments, symbols: Sequence[str]) -> None:
        self._instruments = instruments
        self._asked = Asked()

    def opening_frames(self) -> Sequence[Frame]:
        self._asked.ask(CHANNEL)
        return [
            _request(SUBSCRIBE, "subscribe", channels=[CHANNEL]),
            _request(SET_HEARTBEAT, "set_heartbeat", interval=HEARTBEAT_SECONDS),
        ]

    def ping_frame(self) -> Frame | None:
        return None  # the server asks

    def subscribe_more(self, symbols: Sequence[str]) -> Sequence[Frame]:
        return []

    @property
    def acknowledged(self) -> bool:
        return self._asked.all_granted

    @property
    def control_expected(self) -> bool:
        return True

    def receive(self, frame: Frame, received_ms: int) -> Received:
        # Frames of ordinary trades are told by their text alone. That is safe: a trade that counts has the name of
        # the flag in it, and the only other way to write it in JSON takes a backslash.
        if (
            isinstance(frame, str)
            and '"liquidation"' not in frame
            and '"channel":"trades.' in frame
            and '"data":[{' in frame
            and "\\" not in frame
            and frame[-1] == "}"
        ):
            return CONTROL
        try:
            venue, events, others = self.stamp.venue, [], 0
            params = _decode(frame).params
            trades = params.data if params.channel.startswith("trades.") else []
            for trade in trades:
                flag = trade.liquidation
                if flag is None:
                    others += 1
                    continue
                symbol, price, number = trade.instrument_name, Decimal(written(trade.price)), trade.trade_id
                instrument = self._instruments[symbol]
                inverse = instrument.inverse
                amount = Decimal(written(trade.amount))
                usd = amount if inverse else _multiply(amount, price)
                quantity = str(divide(amount, price)) if inverse else str(amount)
                price_text, usd_text, side = str(price), str(usd), SIDES[trade.direction, flag]  # both: the careful way
                if (
                    price <= SMALLEST
                    or amount <= SMALLEST
                    or not SMALLEST < usd <= LARGEST_USD
                    or "E" in f"{quantity}{price_text}{usd_text}"  # the JSON number may have been 1e3
                    or not instrument.quick
                    or len(number) > 64
                    or not (number.isdecimal() or number.translate(_ID_SIGNS).isalnum())
                    or not number.isascii()
                ):
                    break
                event = Liquidation(
                    f"{venue}:{symbol}:{number}:{side}",
                    venue,
                    symbol,
                    instrument.base,
                    instrument.quote,
                    side,
                    price_text,
                    "fill",
                    quantity,
                    usd_text,
                    trade.timestamp,
                    received_ms,
                    "venue",
                    "stream",
                    "fill",
                )
                events.append(event)
            if events and len(events) + others == len(trades) and (len(events) == 1 or all_differ(events)):
                return Received(_DATA, events)
        except SURPRISES:
            pass
        return explained(frame, lambda message: self._answer(message, received_ms))

    def _answer(self, message: Any, received_ms: int) -> Received:
        if not isinstance(message, dict):
            return rejected(f"not an object: {shown(message)}")
        method, params = message.get("method"), message.get("params")
        if method == "subscription" and isinstance(params, dict):
            if not str(params.get("channel")).startswith("trades."):
                return IGNORED
            return read_trades(
                params.get("data"), lambda row: _read(self._instruments, row, received_ms, self.stamp), "data"
            )
        if method == "heartbeat" and isinstance(params, dict):
            test = params.get("type") == "test_request"
            return Received(FrameKind.HEARTBEAT, replies=[_request(TEST, "test")]) if test else HEARTBEAT
        if "result" in message:
            return self._told(message.get("id"), message["result"])
        if "error" in message:
            return self._refused(message.get("id"), message["error"])
        return rejected(f"neither a notification nor an answer: {shown(message)}")

    def _told(self, request: object, result: object) -> Received:
        if request == TEST or (isinstance(result, dict) and "version" in result):
            return HEARTBEAT
        if request != SUBSCRIBE:
            return ACK
        if isinstance(result, list) and CHANNEL in result:
            self._asked.grant(CHANNEL)
            return ACK
        self._asked.refuse(CHANNEL)  # an unknown channel is left out without an error
        return Received(FrameKind.REFUSED, error=f"{CHANNEL} is not among what was subscribed: {shown(result)}")

    def _refused(self, request: object, error: object) -> Received:
        text = words(f"{error.get('message')} (code {error.get('code')})" if isinstance(error, dict) else error)
        if request in (SET_HEARTBEAT, TEST):  # without them trades are the only sign of life, and are enough
            return Received(FrameKind.IGNORED, error=f"no heartbeat: {text}")
        if request == SUBSCRIBE:
            self._asked.refuse(CHANNEL)
        return Received(FrameKind.REFUSED, error=text)


def _read(instruments: Instruments, row: Row, received_ms: int, stamp: Stamp = STAMP) -> Reading:
    flag = row.get("liquidation")
    if flag is None:
        return None
    if flag == BOTH:
        return [_liquidated(instruments, row, party, received_ms, stamp) for party in "TM"]
    return _liquidated(instruments, row, flag, received_ms, stamp)


def _liquidated(instruments: Instruments, row: Row, flag: object, received_ms: int, stamp: Stamp) -> Liquidation:
    instrument = known(instruments, row, "instrument_name")
    symbol, direction = instrument.symbol, field(row, "direction")
    side = SIDES.get((direction, flag)) if isinstance(direction, str) and isinstance(flag, str) else None
    if side is None:
        raise RowError(
            Reason.UNKNOWN_SIDE,
            f"{symbol}: direction is {shown(direction)} and liquidation {shown(flag)}, not buy or sell and M, T or MT",
            symbol,
        )
    time_ms = moment(field(row, "timestamp"), "timestamp")
    amount, price = quantity_of(row, "amount"), price_of(row, "price")
    event_id = f"{stamp.venue}:{symbol}:{own_id(row, 'trade_id')}:{side}"
    return liquidation(stamp, instrument, side, "", amount, price, time_ms, received_ms, event_id)


def _request(number: int, method: str, **params: object) -> str:
    request = {"jsonrpc": "2.0", "id": number, "method": f"public/{method}", "params": params}
    return msgspec.json.encode(request).decode()


def read_instruments(listed: InstrumentList, body: bytes) -> InstrumentPage:
    """`result` of get_instruments."""
    return page(inside(document(body), "result"), "instrument_name")


def instrument(name: str, raw: Mapping[str, Any]) -> Instrument:
    """Amounts are USD where the contract is reversed, and coins where it is linear; contract_size plays no part."""
    if raw.get("kind", "future") != "future":
        raise ValueError(f"kind is {shown(raw['kind'])}, not future")
    kind = raw.get("instrument_type") or raw["future_type"]
    if kind not in ("reversed", "linear"):
        raise ValueError(f"instrument_type is {shown(kind)}, neither reversed nor linear")
    return Instrument(
        name,
        coin(raw["base_currency"]),
        coin(raw["quote_currency"]),
        inverse=kind == "reversed",
        trading=raw.get("is_active", True) is True,
    )


def history_urls(instruments: Instruments, since_ms: int, until_ms: int) -> Sequence[str]:
    """One a currency, the newest trades first."""
    return [
        f"{REST}/get_last_trades_by_currency_and_time?currency={currency}&kind=future"
        f"&start_timestamp={since_ms}&end_timestamp={until_ms}&count={PAGE}&sorting=desc"
        for currency in CURRENCIES
    ]


def read_history(url: str, body: bytes, instruments: Instruments, received_ms: int) -> HistoryPage:
    """Up to a thousand trades, the same as in the stream."""
    result = inside(document(body), "result")
    rows = inside(result, "trades")
    read = history_page(rows, lambda row: _read(instruments, row, received_ms), venue_ids=True)
    times = [row.get("timestamp") for row in rows if isinstance(row, dict)]
    oldest_ms = min((at for at in times if isinstance(at, int)), default=None)
    until_ms = int(asked(url, "end_timestamp") or 0)
    if result.get("has_more") is not True or oldest_ms is None:
        return read
    # The millisecond that the page may have cut is read again with what is older.
    back_ms = oldest_ms if oldest_ms < until_ms else until_ms - 1
    if back_ms < int(asked(url, "start_timestamp") or 0):
        return read
    return read._replace(next_url=asking(url, end_timestamp=back_ms))


VENUE = Venue(
    name="deribit",
    title="Deribit",
    docs="https://docs.deribit.com/subscriptions/trades/tradeskindcurrencyinterval",
    checked="2026-11-24",
    completeness="partial",
    completeness_note="All fills, but flagged late: the newest hour or two are missing, and come by REST.",
    side_rule="`direction` is the taker's and `liquidation` says who was closed: T sell or M buy a long, T buy or M "
    "sell a short, MT one of each.",
    price_kind="fill",
    unit="fill",
    feeds=(Feed("trades", "wss://www.deribit.com/ws/api/v2"),),
    instrument_lists=(InstrumentList("futures", f"{REST}/get_instruments?currency=any&kind=future&expired=false"),),
    read_instruments=read_instruments,
    instrument=instrument,
    session=DeribitSession,
    ping_every=None,
    silence_limit=timedelta(seconds=40),
    control_limit=timedelta(seconds=180),
    connects=30,
    connects_per=timedelta(minutes=5),
    doubts="That the flag is missing in the stream and comes about 60 minutes later is one party's measurement, of "
    "September 2026; in 2020 it came with the trade.",
    history=History(
        urls=history_urls,
        read=read_history,
        same_ids=True,
        reaches=timedelta(hours=24),
        pause=timedelta(milliseconds=250),
        settles=timedelta(minutes=70),
    ),
)
