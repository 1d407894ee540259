"""Kraken Futures: liquidations are trades of their own type, on a feed of every trade of the products asked for."""

import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Literal
from urllib.parse import quote, urlsplit

import msgspec

from ..events import Reason
from ..wire import Liquidation
from ._asked import Asked
from ._history import asked, history_page
from ._lists import coin, document, inside
from ._numbers import SURPRISES, RowError, contract_size, quick, shown, words, written
from ._quick import OwnId, quick_answer, quick_event
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

REST = "https://futures.kraken.com/derivatives/api/v3"
FEED = "trade"
SNAPSHOT = "trade_snapshot"  # the last hundred trades, after each acknowledgement
TICKER = "ticker_lite"  # ticks though nobody trades
CONTROL_PRODUCT = "PF_XBTUSD"
COUNTED = "liquidation"  # not fill, block, assignment, or termination
SIDES = {"sell": "long", "buy": "short"}  # of the taker, which on a liquidation is the order that closes the position
PRODUCTS_PER_REQUEST = 100
PRODUCTS_PER_SOCKET = 1000
PAGE = 100  # trades in an answer of the history
STAMP = Stamp("kraken_futures", "fill", "fill")

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_NAMED = re.compile(r"`([^`]{1,64})`")


class _Frame(msgspec.Struct, gc=False):
    feed: Literal["trade"]
    type: Literal["liquidation"]
    uid: OwnId
    product_id: str
    side: Literal["buy", "sell"]
    time: Moment
    qty: msgspec.Raw
    price: msgspec.Raw
    event: msgspec.UnsetType = msgspec.UNSET


_decode = msgspec.json.Decoder(_Frame).decode


class KrakenFuturesSession:
    """One socket with the trades of `symbols`."""

    def __init__(self, feed: Feed, instruments: Instruments, symbols: Sequence[str]) -> None:
        self._instruments = instruments
        self._symbols = list(symbols)
        self._asked = Asked()

    def opening_frames(self) -> Sequence[Frame]:
        return [
            *self.subscribe_more(self._symbols),
            _subscribe(TICKER, [CONTROL_PRODUCT]),
            _subscribe("heartbeat"),
        ]

    def ping_frame(self) -> Frame | None:
        return None  # control frames do

    def subscribe_more(self, symbols: Sequence[str]) -> Sequence[Frame]:
        for symbol in symbols:
            self._asked.ask(symbol)
        return [
            _subscribe(FEED, symbols[at : at + PRODUCTS_PER_REQUEST])
            for at in range(0, len(symbols), PRODUCTS_PER_REQUEST)
        ]

    @property
    def acknowledged(self) -> bool:
        return self._asked.all_granted

    @property
    def control_expected(self) -> bool:
        return True

    def receive(self, frame: Frame, received_ms: int) -> Received:
        # Nearly every frame is an ordinary trade, and is told by its text alone. That is safe: what is counted has the
        # word in it, and the only other way to write it in JSON takes a backslash; answers have an "event". The order
        # of the keys differs between the documentation and captured frames.
        if (
            isinstance(frame, str)
            and COUNTED not in frame
            and (('"feed":"trade"' in frame and '"type":"' in frame) or '"feed":"ticker' in frame)
            and '"event"' not in frame
            and "\\" not in frame
            and frame[-1] == "}"
        ):
            return CONTROL
        try:
            return quick_answer([self._quick(_decode(frame), received_ms)], [frame])
        except SURPRISES:
            pass
        return explained(frame, lambda message: self._answer(message, received_ms))

    def _quick(self, row: _Frame, received_ms: int) -> Liquidation:
        side, event_id = SIDES[row.side], f"kraken_futures:{row.uid}"
        size, price = quick(written(row.qty)), quick(written(row.price))
        instrument = self._instruments[row.product_id]
        return quick_event(STAMP, instrument, side, size, price, row.time, received_ms, event_id)

    def _answer(self, message: Any, received_ms: int) -> Received:
        if not isinstance(message, dict):
            return rejected(f"not an object: {shown(message)}")
        if "event" in message:
            return self._told(message)
        feed = message.get("feed")
        if feed == FEED:
            return self._trades([message], received_ms)
        if feed == SNAPSHOT:
            return self._trades(_named(message.get("trades"), message.get("product_id")), received_ms)
        if feed == "heartbeat":
            return HEARTBEAT
        if not isinstance(feed, str):
            return rejected(f"neither a feed nor an event: {shown(message)}")
        return CONTROL if feed.startswith("ticker") else IGNORED

    def _trades(self, rows: object, received_ms: int) -> Received:
        return read_trades(rows, lambda row: _read(self._instruments, row, received_ms), "trades")

    def _told(self, message: Row) -> Received:
        what = message["event"]
        if what == "subscribed":
            products = message.get("product_ids")
            if message.get("feed") == FEED and isinstance(products, list):
                for product in products:
                    self._asked.grant(str(product).upper())
            return ACK
        if what == "unsubscribed":
            return ACK
        if what not in ("alert", "error"):
            return IGNORED
        text = words(message.get("message"))
        for product in _NAMED.findall(text):
            self._asked.refuse(product.upper())
        return Received(FrameKind.REFUSED, error=text)


def _named(rows: object, product: object) -> object:
    """The trades of a snapshot, each with the product that the snapshot is of."""
    if not isinstance(rows, list):
        return rows
    return [{"product_id": product, **row} if isinstance(row, dict) else row for row in rows]


def _read(instruments: Instruments, row: Row, received_ms: int) -> Liquidation | None:
    """One trade of the stream."""
    if field(row, "type") != COUNTED:
        return None
    product = row.get("product_id")
    if isinstance(product, str) and product not in instruments:  # lists and frames have been seen to differ in case
        row = {**row, "product_id": product.upper()}
    instrument = known(instruments, row, "product_id")
    side = chosen(row, "side", SIDES, instrument.symbol)
    time_ms = moment(field(row, "time"), "time")
    contracts, price = quantity_of(row, "qty"), price_of(row, "price")
    event_id = f"kraken_futures:{own_id(row, 'uid')}"
    return liquidation(STAMP, instrument, side, "", contracts, price, time_ms, received_ms, event_id)


def _subscribe(feed: str, products: Sequence[str] = ()) -> str:
    request: dict[str, object] = {"event": "subscribe", "feed": feed}
    if products:
        request["product_ids"] = products
    return msgspec.json.encode(request).decode()


def read_instruments(listed: InstrumentList, body: bytes) -> InstrumentPage:
    """`instruments`, by their symbols in upper case, as older answers have them in lower case."""
    answer = document(body)
    if inside(answer, "result") != "success":
        raise ValueError(f"refused: {shown(answer.get('error'))}")
    rows = inside(answer, "instruments")
    if not isinstance(rows, list):
        raise ValueError(f"no list of instruments: {shown(rows)}")
    return InstrumentPage(
        {row["symbol"].upper(): row for row in rows if isinstance(row, dict) and isinstance(row.get("symbol"), str)}
    )


def instrument(name: str, raw: Mapping[str, Any]) -> Instrument:
    """Only the name tells base and quote: PF_XBTUSD, FI_XBTUSD_270326. Inverse contracts are USD, others coins."""
    kind, _, rest = name.upper().partition("_")
    pair = rest.partition("_")[0]
    base, quote = pair[:-3], pair[-3:]
    if not kind or len(pair) < 4 or not pair.isalnum():
        raise ValueError(f"the symbol {shown(name)} does not name its coins")
    if raw["type"] not in ("futures_inverse", "flexible_futures", "futures_vanilla"):
        raise ValueError(f"type is {shown(raw['type'])}, not a futures contract")
    return Instrument(
        name,
        coin(base),
        coin(quote),
        inverse=raw["type"] == "futures_inverse",
        contract_size=contract_size(raw.get("contractSize", 1), "contractSize"),
        trading=raw.get("tradeable", True) is True,
    )


def history_urls(instruments: Instruments, since_ms: int, until_ms: int) -> Sequence[str]:
    """One a product: a hundred trades before a moment. What follows `#` is not sent: it says how far back to go."""
    return [
        _history_url(name, until_ms + 1, since_ms)
        for name, one in instruments.items()
        if one.trading and one.unpriced is None
    ]


def read_history(url: str, body: bytes, instruments: Instruments, received_ms: int) -> HistoryPage:
    """A hundred trades of one product, the newest first; their times and sizes have other names than in the stream."""
    answer = document(body)
    if inside(answer, "result") != "success":
        raise ValueError(f"refused: {shown(answer.get('error'))}")
    rows = inside(answer, "history")
    symbol, before_ms = (asked(url, "symbol") or "").upper(), _milliseconds(asked(url, "lastTime"))
    since_ms = int(urlsplit(url).fragment or 0)
    oldest_ms = before_ms

    def read(row: Row) -> Liquidation | None:
        nonlocal oldest_ms
        time_ms = _milliseconds(field(row, "time"))
        oldest_ms = min(oldest_ms, time_ms)
        if row.get("type") != COUNTED or time_ms < since_ms:
            return None
        return _read(
            instruments, {**row, "product_id": symbol, "time": time_ms, "qty": field(row, "size")}, received_ms
        )

    page = history_page(rows, read, venue_ids=True)
    if len(rows) < PAGE or oldest_ms <= since_ms:
        return page
    # Whether `lastTime` itself is in the answer is not said: trades of that millisecond come again rather than never.
    back_ms = oldest_ms + 1 if oldest_ms + 1 < before_ms else before_ms - 1
    return page._replace(next_url=_history_url(symbol, back_ms, since_ms))


def _history_url(symbol: str, before_ms: int, since_ms: int) -> str:
    moment_ = (_EPOCH + timedelta(milliseconds=before_ms)).isoformat(timespec="milliseconds")
    return f"{REST}/history?symbol={symbol}&lastTime={quote(moment_.replace('+00:00', 'Z'), safe='')}#{since_ms}"


def _milliseconds(text: object) -> int:
    """Of a time such as 2026-11-24T09:25:33.920Z. Raises `RowError`."""
    try:
        at = datetime.fromisoformat(text if isinstance(text, str) else "")
        return (at - _EPOCH) // timedelta(milliseconds=1)
    except (ValueError, TypeError, OverflowError):  # TypeError: without a zone
        raise RowError(Reason.BAD_TIME, f"time is not a time: {shown(text)}") from None


VENUE = Venue(
    name="kraken_futures",
    title="Kraken Futures",
    docs="https://docs.kraken.com/api/docs/futures-api/websocket/trade",
    checked="2026-11-24",
    completeness="all",
    completeness_note="Every trade of every product, the liquidations marked; positions taken over are not trades.",
    side_rule="`side` is the taker's, the liquidation order: sell closed a long, buy a short.",
    price_kind="fill",
    unit="fill",
    feeds=(Feed("trade", "wss://futures.kraken.com/ws/v1", symbols_per_socket=PRODUCTS_PER_SOCKET),),
    instrument_lists=(InstrumentList("instruments", f"{REST}/instruments"),),
    read_instruments=read_instruments,
    instrument=instrument,
    session=KrakenFuturesSession,
    ping_every=None,
    silence_limit=timedelta(seconds=30),
    control_limit=timedelta(seconds=90),
    connects=60,
    connects_per=timedelta(minutes=5),
    doubts="Only two liquidations of 2020 were seen, both of inverse products. Terminations and assignments, positions "
    "taken over without a trade in the book, are not counted.",
    history=History(
        urls=history_urls,
        read=read_history,
        same_ids=True,
        reaches=timedelta(days=1),
        pause=timedelta(milliseconds=300),
    ),
)
