"""Extended (Starknet) perpetuals: public trades that say so, of all markets on one socket whose address subscribes."""

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any, Literal

import msgspec

from ..wire import Liquidation
from ._lists import coin, document, inside, page
from ._numbers import SURPRISES, quick, shown
from ._quick import OwnId, OwnNumber, quick_answer, quick_event
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
    CONTROL,
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

LIQUIDATION = "LIQUIDATION"  # DELEVERAGE is the other side of one, taken from whoever was in profit
# The side is the taker's, and the account under liquidation is the taker.
TAKERS = {"SELL": "long", "BUY": "short"}
STAMP = Stamp("extended", "fill", "fill")

# {"ts":1790000000000,"data":[{…}],"seq":1}
_ROWS, _ROWS_AT, _SEQ = '"data":[{', 20, '}],"seq":'


class _Row(msgspec.Struct, gc=False):
    m: str
    S: Literal["BUY", "SELL"]
    tT: str
    T: Moment
    p: str
    q: str
    i: OwnNumber | OwnId


class _Frame(msgspec.Struct, gc=False):
    data: list[_Row]
    seq: int


_decode = msgspec.json.Decoder(_Frame).decode


class ExtendedSession:
    """One socket with the trades of all markets. There is no request and no answer: its first trades are the yes.

    `seq` counts a connection's messages: where one is missing, the yes is taken back, so that the socket is replaced,
    and the next frame of ordinary trades has the error that says why.
    """

    control_expected = True  # the trades themselves

    def __init__(self, feed: Feed, instruments: Instruments, symbols: Sequence[str]) -> None:
        self._instruments = instruments
        self._seq: int | None = None  # of the last message
        self._next = _SEQ  # how the next message ends
        self._whole = True
        self._gap: str | None = None  # not told yet

    def opening_frames(self) -> Sequence[Frame]:
        return []

    def ping_frame(self) -> Frame | None:
        return None  # the server pings, by control frames

    def subscribe_more(self, symbols: Sequence[str]) -> Sequence[Frame]:
        return []

    @property
    def acknowledged(self) -> bool:
        return self._seq is not None and self._whole

    def receive(self, frame: Frame, received_ms: int) -> Received:
        # A frame of ordinary trades is not decoded. That is safe: JSON can hide the word only by escapes, and these
        # begin with a backslash.
        if (
            isinstance(frame, str)
            and LIQUIDATION not in frame
            and "\\" not in frame
            and '"tT":"' in frame
            and frame.startswith(_ROWS, _ROWS_AT)
        ):
            if frame.endswith(self._next) and self._seq is not None and self._whole:
                self._follow(self._seq + 1)
                return CONTROL
            number = frame.rpartition(_SEQ)[2]
            if len(number) < 20 and number[-1:] == "}" and number[:-1].isdecimal():
                self._count(int(number[:-1]))
                return self._control()
        try:
            message = _decode(frame)
            rows = message.data
            events = [self._quick(row, received_ms) for row in rows if row.tT == LIQUIDATION]
            received = quick_answer(events, rows, len(rows) - len(events))
            self._count(message.seq)
            return received
        except SURPRISES:
            pass
        return explained(frame, lambda message: self._answer(message, received_ms))

    def _follow(self, seq: int) -> None:
        self._seq, self._next = seq, f"{_SEQ}{seq + 1}}}"

    def _count(self, seq: int) -> None:
        last = self._seq
        if last is not None and seq <= last:
            return  # a frame that was held for its symbol comes a second time
        self._follow(seq)
        if last is not None and seq != last + 1 and self._whole:
            self._whole, self._gap = False, f"message {seq} came after {last}: what was between them is missing"

    def _control(self) -> Received:
        gap, self._gap = self._gap, None
        return CONTROL if gap is None else Received(FrameKind.CONTROL, error=gap)

    def _quick(self, row: _Row, received_ms: int) -> Liquidation:
        size, price, event_id = quick(row.q), quick(row.p), f"extended:{row.m}:{row.i}"
        instrument = self._instruments[row.m]
        return quick_event(STAMP, instrument, TAKERS[row.S], size, price, row.T, received_ms, event_id)

    def _answer(self, message: Any, received_ms: int) -> Received:
        if not isinstance(message, dict) or "data" not in message:
            return rejected(f"not an object with data: {shown(message)}")
        received = read_trades(message["data"], lambda row: self._read(row, received_ms), "data")
        seq = message.get("seq")
        if isinstance(seq, int) and (self._seq is not None or received.kind is not FrameKind.REJECTED):
            self._count(seq)
        return self._control() if received.kind is FrameKind.CONTROL else received

    def _read(self, row: Row, received_ms: int) -> Liquidation | None:
        if field(row, "tT") != LIQUIDATION:
            return None
        instrument = known(self._instruments, row, "m")
        symbol = instrument.symbol
        side = chosen(row, "S", TAKERS, symbol)
        time_ms = moment(field(row, "T"), "T")
        size, price, said = quantity_of(row, "q"), price_of(row, "p"), f"{row['q']}@{row['p']}"
        event_id = f"extended:{symbol}:{own_id(row, 'i')}"
        return liquidation(STAMP, instrument, side, said, size, price, time_ms, received_ms, event_id)


def read_instruments(listed: InstrumentList, body: bytes) -> InstrumentPage:
    """`data` of /info/markets."""
    answer = document(body)
    if inside(answer, "data") is None:
        raise ValueError(f"refused: {shown(answer)}")
    return page(answer["data"], "name")


def instrument(name: str, raw: Mapping[str, Any]) -> Instrument:
    """Sizes are base coins; stocks and metals are listed as well. A market is called BTC-USD."""
    base, _, quote = name.rpartition("-")
    return Instrument(
        name,
        coin(raw.get("assetName", base)),
        coin(raw.get("collateralAssetName", quote)),
        trading=raw.get("status", "ACTIVE") == "ACTIVE",
    )


VENUE = Venue(
    name="extended",
    title="Extended",
    docs="https://api.docs.extended.exchange/#public-trades-stream",
    checked="2026-09-23",
    completeness="all",
    completeness_note="Every fill of a liquidation; auto-deleveraging is flagged apart and not counted.",
    side_rule="`S` is the taker's side, the account under liquidation: SELL closed a long, BUY a short.",
    price_kind="fill",
    unit="fill",
    # The market at the end of the path is optional. A User-Agent is required: every socket of ours sends one.
    feeds=(Feed("trades", "wss://api.starknet.extended.exchange/stream.extended.exchange/v1/publicTrades"),),
    instrument_lists=(InstrumentList("markets", "https://api.starknet.extended.exchange/api/v1/info/markets"),),
    read_instruments=read_instruments,
    instrument=instrument,
    session=ExtendedSession,
    ping_every=None,
    silence_limit=timedelta(seconds=90),  # the trades of all markets: several a second
    control_limit=timedelta(seconds=120),
    doubts="No captured frame of a liquidation was seen; that the taker is the account under liquidation is inferred.",
)
