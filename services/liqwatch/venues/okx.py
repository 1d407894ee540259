"""OKX swaps and futures: a floor, OKX does not promise every liquidation; contracts are sized by the REST list."""

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any, Literal

import msgspec

from ..wire import Liquidation
from ._asked import Asked
from ._history import asking, history_page
from ._lists import coin, document, inside, page
from ._numbers import LARGEST_USD, SMALLEST, SURPRISES, Digits, contract_size, divide, multiply, quick, shown, words
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
    History,
    HistoryPage,
    Instrument,
    InstrumentList,
    InstrumentPage,
    Instruments,
    Received,
    Venue,
)

CHANNEL = "liquidation-orders"
TYPES = ("SWAP", "FUTURES")  # MARGIN and OPTION are accepted too, and have no usable price
CONTROL_CHANNEL = "mark-price"
# posSide is the position; in one-way mode it is "net", and only the side of the order tells.
POSITIONS = {"long": "long", "short": "short"}
ORDERS = {"sell": "long", "buy": "short"}
STAMP = Stamp("okx", "mark", "order")
HISTORY_ROWS = 100  # of one answer at most
ALIASES = ("this_week", "next_week", "quarter", "next_quarter")  # of futures, by their delivery

_DATA = FrameKind.DATA


class _Detail(msgspec.Struct, gc=False):
    bkPx: Digits
    posSide: Literal["long", "short", "net"]
    side: Literal["buy", "sell"]
    sz: Digits
    ts: Moment


class _Item(msgspec.Struct, gc=False):
    details: list[_Detail]
    instId: str


class _Channel(msgspec.Struct, gc=False):
    channel: Literal["liquidation-orders"]
    instType: Literal["SWAP", "FUTURES"]


class _Frame(msgspec.Struct, gc=False):
    arg: _Channel
    data: list[_Item]


_decode = msgspec.json.Decoder(_Frame, strict=False).decode  # ts is text


class OkxSession:
    """One socket with both instrument types."""

    def __init__(self, feed: Feed, instruments: Instruments, symbols: Sequence[str]) -> None:
        self._instruments = instruments
        self._asked = Asked()
        self._control = True

    def opening_frames(self) -> Sequence[Frame]:
        for product in TYPES:
            self._asked.ask(product)
        return [
            _subscribe(*({"channel": CHANNEL, "instType": product} for product in TYPES)),
            _subscribe({"channel": CONTROL_CHANNEL, "instId": "BTC-USDT-SWAP"}),
        ]

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

    def receive(self, frame: Frame, received_ms: int) -> Received:  # noqa: PLR0912 - the hot path calls nothing per row
        try:
            events: list[Liquidation] = []
            rows = 0
            for item in _decode(frame).data:
                symbol = item.instId
                instrument = self._instruments[symbol]
                inverse, size_of_one = instrument.inverse, instrument.contract_size
                if not instrument.quick:
                    break
                for row in item.details:
                    rows += 1
                    sz, bk_px, time_ms = row.sz, row.bkPx, row.ts
                    price = quick(bk_px)
                    size = quick(sz) * size_of_one
                    if inverse:
                        usd = size
                        quantity = str(divide(size, price))
                        if "E" in quantity:
                            break
                    else:
                        usd = size * price
                        quantity = str(size)
                    if price <= SMALLEST or size <= SMALLEST or not SMALLEST < usd <= LARGEST_USD:
                        break
                    side: str = row.posSide
                    if side == "net":
                        side = "long" if row.side == "sell" else "short"
                        event_id = f"okx:{symbol}:{time_ms}:{side}:net:{sz}@{bk_px}"
                    else:
                        event_id = f"okx:{symbol}:{time_ms}:{side}:{sz}@{bk_px}"
                    price_text = str(price)
                    event = Liquidation(
                        event_id,
                        "okx",
                        symbol,
                        instrument.base,
                        instrument.quote,
                        side,
                        price_text,
                        "mark",
                        quantity,
                        str(usd),
                        time_ms,
                        received_ms,
                        "venue",
                        "stream",
                        "order",
                    )
                    events.append(event)
                if len(events) != rows:
                    break
            else:
                if rows == 1 or all_differ(events):
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
        channel, product = (arg.get("channel"), arg.get("instType")) if isinstance(arg, dict) else (None, None)
        if "event" in message:
            return self._told(message, channel, product)
        if channel == CHANNEL:
            return self._orders(message.get("data"), received_ms) if product in TYPES else IGNORED
        if channel is None:
            return rejected(f"neither a channel nor an answer: {shown(message)}")
        return CONTROL if channel == CONTROL_CHANNEL else IGNORED

    def _told(self, message: Row, channel: object, product: object) -> Received:
        if message["event"] == "subscribe":
            if channel == CHANNEL and product in TYPES:
                self._asked.grant(str(product))
            return ACK
        if message["event"] == "unsubscribe":
            return ACK
        if message["event"] != "error":  # a notice, such as 64008: closing for an upgrade
            return IGNORED
        # An error does not repeat what was asked for: only its text names the channel.
        text = words(f"{message.get('msg')} (code {message.get('code')})")
        if CONTROL_CHANNEL in text:
            self._control = False
            return Received(FrameKind.IGNORED, error=f"no control channel: {text}")
        for named in TYPES:
            if CHANNEL in text and f"instType:{named}" in text:
                self._asked.refuse(named)
        return Received(FrameKind.REFUSED, error=text)

    def _orders(self, items: object, received_ms: int) -> Received:
        if not isinstance(items, list):
            return rejected(f"data is not a list: {shown(items)}")
        return read_rows(_details(items), lambda row: _order(self._instruments, row, received_ms), "data")


def _details(items: Sequence[object]) -> list[object]:
    """The rows of every item, each with the instrument that only the item names."""
    rows: list[object] = []
    for item in items:
        details = item.get("details") if isinstance(item, dict) else None
        if isinstance(item, dict) and isinstance(details, list):
            rows += [{**row, "instId": item.get("instId")} if isinstance(row, dict) else row for row in details]
        else:
            rows.append(f"no list of details: {shown(item)}")
    return rows


def _order(instruments: Instruments, row: Row, received_ms: int) -> Liquidation | None:
    instrument = known(instruments, row, "instId")
    symbol, net = instrument.symbol, row.get("posSide") == "net"
    side = chosen(row, "side", ORDERS, symbol) if net else chosen(row, "posSide", POSITIONS, symbol)
    time_ms = moment(field(row, "ts"), "ts")
    contracts, price = quantity_of(row, "sz"), price_of(row, "bkPx")
    said = f"{'net:' if net else ''}{row['sz']}@{row['bkPx']}"  # another order than one of the same size in hedge mode
    return liquidation(STAMP, instrument, side, said, contracts, price, time_ms, received_ms)


def _subscribe(*args: Mapping[str, str]) -> str:
    return msgspec.json.encode({"op": "subscribe", "args": args}).decode()


def read_instruments(listed: InstrumentList, body: bytes) -> InstrumentPage:
    """`data` of public/instruments."""
    answer = document(body)
    if inside(answer, "code") != "0":
        raise ValueError(f"refused: {shown(answer.get('msg'))}")
    return page(inside(answer, "data"), "instId")


def instrument(name: str, raw: Mapping[str, Any]) -> Instrument:
    """All from fields, nothing from the name: a contract is ctVal * ctMult coins, or USD where inverse."""
    size = multiply(contract_size(raw["ctVal"], "ctVal"), contract_size(raw.get("ctMult") or "1", "ctMult"))
    trading = raw.get("state", "live") == "live"
    if raw["ctType"] == "inverse":
        return Instrument(
            name, coin(raw["settleCcy"]), coin(raw["ctValCcy"]), inverse=True, contract_size=size, trading=trading
        )
    if raw["ctType"] != "linear":
        raise ValueError(f"ctType is {shown(raw['ctType'])}, neither linear nor inverse")
    return Instrument(name, coin(raw["ctValCcy"]), coin(raw["settleCcy"]), contract_size=size, trading=trading)


def history_urls(instruments: Instruments, since_ms: int, until_ms: int) -> list[str]:
    """Family by family, futures by their delivery too, as the list wants it; from `after` back, the newest first."""
    families = {
        ("SWAP" if one.symbol.endswith("-SWAP") else "FUTURES", one.symbol.rpartition("-")[0])
        for one in instruments.values()
        if one.unpriced is None and one.trading
    }
    return [
        asking(
            "https://www.okx.com/api/v5/public/liquidation-orders",
            instType=product,
            instFamily=family,
            **({"alias": alias} if alias else {}),
            state="filled",
            after=until_ms + 1,
            limit=HISTORY_ROWS,
        )
        for product, family in sorted(families, reverse=True)
        for alias in (ALIASES if product == "FUTURES" else ("",))
    ]


def read_history(url: str, body: bytes, instruments: Instruments, received_ms: int) -> HistoryPage:
    """A page of public/liquidation-orders: the rows of the stream."""
    answer = document(body)
    if inside(answer, "code") != "0":
        raise ValueError(f"refused: {shown(answer.get('msg'))} (code {shown(answer['code'])})")
    items = inside(answer, "data")
    if not isinstance(items, list):
        raise ValueError(f"data is not a list: {shown(items)}")
    rows = _details(items)
    next_url = None
    if len(rows) >= HISTORY_ROWS:
        times = {int(row["ts"]) for row in rows if isinstance(row, dict) and str(row.get("ts")).isdecimal()}
        if len(times) > 1:  # the oldest moment may have been cut: it is read anew, and whole, with what is older
            oldest = min(times)
            rows = [row for row in rows if not (isinstance(row, dict) and str(row.get("ts")) == str(oldest))]
            next_url = asking(url, after=oldest + 1)
        elif times:
            next_url = asking(url, after=min(times))
    return history_page(rows, lambda row: _order(instruments, row, received_ms), next_url)


VENUE = Venue(
    name="okx",
    title="OKX",
    docs="https://www.okx.com/docs-v5/en/#public-data-websocket-liquidation-orders-channel",
    checked="2026-07-19",
    completeness="sampled",
    thinned="first",
    completeness_note="A floor: the documentation says it is not the total number of liquidations.",
    side_rule="`posSide` is the position; where it is net, an order to sell closed a long, one to buy a short.",
    price_kind="mark",
    unit="order",
    feeds=(Feed("public", "wss://ws.okx.com:8443/ws/v5/public"),),
    instrument_lists=tuple(
        InstrumentList(product.lower(), f"https://www.okx.com/api/v5/public/instruments?instType={product}")
        for product in TYPES
    ),
    read_instruments=read_instruments,
    instrument=instrument,
    session=OkxSession,
    ping_every=timedelta(seconds=20),
    silence_limit=timedelta(seconds=45),
    control_limit=timedelta(seconds=60),
    connects=3,
    connects_per=timedelta(seconds=1),
    history=History(
        urls=history_urls,
        read=read_history,
        same_ids=True,
        reaches=timedelta(days=1),
        pause=timedelta(milliseconds=60),  # 40 requests in 2 s
    ),
    doubts="bkPx is, by the documentation, the price of the transaction with the liquidation account: near the mark.",
)
