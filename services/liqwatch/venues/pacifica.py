"""Pacifica perpetuals: public trades whose cause says so, one subscription per symbol."""

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any, Literal

import msgspec

from ..events import Reason
from ..wire import Liquidation
from ._asked import Asked
from ._lists import coin, document, inside, page
from ._numbers import SURPRISES, RowError, quick, shown, words
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

TRADES = "trades"
CONTROL_CHANNEL = "prices"  # of all symbols, whether they trade or not
# Of an account that was liquidated. `adl_liquidation` names the side of whoever was in profit.
COUNTED = frozenset(("market_liquidation", "backstop_liquidation", "insolvency_liquidation"))
NOT_COUNTED = frozenset(("adl_liquidation",))
# What the taker, the account under liquidation, did to its position. An `open_…` would be the other party.
POSITIONS = {"close_long": "long", "close_short": "short"}
SYMBOLS_PER_SOCKET = 50  # subscriptions of a socket; others have been seen to send up to a hundred
STAMP = Stamp("pacifica", "fill", "fill")

_CAUSE = "liquidation"
_TRADES_START = '{"channel":"trades","data":[{'
_PRICES_START = '{"channel":"prices","data":[{'


class _Row(msgspec.Struct, gc=False):
    h: OwnNumber | OwnId
    s: str
    a: str
    p: str
    d: str
    tc: str
    t: Moment


class _Frame(msgspec.Struct, gc=False):
    channel: Literal["trades"]
    data: list[_Row]
    err: msgspec.UnsetType = msgspec.UNSET
    error: msgspec.UnsetType = msgspec.UNSET


_decode = msgspec.json.Decoder(_Frame).decode


class PacificaSession:
    """One socket with the trades of `symbols` and the prices of all."""

    control_expected = True

    def __init__(self, feed: Feed, instruments: Instruments, symbols: Sequence[str]) -> None:
        self._instruments = instruments
        self._symbols = list(symbols)
        self._asked = Asked()

    def opening_frames(self) -> Sequence[Frame]:
        return [*self.subscribe_more(self._symbols), _request("subscribe", source=CONTROL_CHANNEL)]

    def ping_frame(self) -> Frame | None:
        return _request("ping")

    def subscribe_more(self, symbols: Sequence[str]) -> Sequence[Frame]:
        for symbol in symbols:
            self._asked.ask(symbol)
        return [_request("subscribe", source=TRADES, symbol=symbol) for symbol in symbols]

    @property
    def acknowledged(self) -> bool:
        return self._asked.all_granted

    def receive(self, frame: Frame, received_ms: int) -> Received:
        # Frames of ordinary trades are not decoded. That is safe: every cause that is counted has the word in it, and
        # JSON can hide it only by escapes, which begin with a backslash.
        if isinstance(frame, str):
            if frame.startswith(_TRADES_START):
                if _CAUSE not in frame and '"tc":"' in frame and "\\" not in frame and frame.endswith("}]}"):
                    return CONTROL
            elif frame.startswith(_PRICES_START):
                return CONTROL
        try:
            rows = _decode(frame).data
            events = [self._quick(row, received_ms) for row in rows if _CAUSE in row.tc and row.tc not in NOT_COUNTED]
            return quick_answer(events, rows, len(rows) - len(events))
        except SURPRISES:
            pass
        return explained(frame, lambda message: self._answer(message, received_ms))

    def _quick(self, row: _Row, received_ms: int) -> Liquidation:
        if row.tc not in COUNTED:
            raise ValueError(row.tc)
        size, price, event_id = quick(row.a), quick(row.p), f"pacifica:{row.s}:{row.h}"
        instrument, side = self._instruments[row.s], POSITIONS[row.d]
        return quick_event(STAMP, instrument, side, size, price, row.t, received_ms, event_id)

    def _answer(self, message: Any, received_ms: int) -> Received:
        if not isinstance(message, dict):
            return rejected(f"not an object: {shown(message)}")
        said = message.get("err", message.get("error"))
        if said is not None:  # which subscription it answers is not told: it stays open
            return Received(FrameKind.REFUSED, error=words(f"{said} (code {message.get('code')})"))
        channel = message.get("channel")
        if channel == TRADES:
            return read_trades(message.get("data"), lambda row: self._read(row, received_ms), "data")
        if channel == CONTROL_CHANNEL:
            return CONTROL if isinstance(message.get("data"), list) else rejected("data is not a list")
        if channel == "pong":
            return HEARTBEAT
        if channel == "unsubscribe":
            return ACK
        if channel == "subscribe":
            asked = message.get("data")
            if isinstance(asked, dict) and asked.get("source") == TRADES:
                self._asked.grant(str(asked.get("symbol")))
            return ACK
        return IGNORED if isinstance(channel, str) else rejected(f"no channel: {shown(message)}")

    def _read(self, row: Row, received_ms: int) -> Liquidation | None:
        cause = field(row, "tc")
        if not isinstance(cause, str):
            raise RowError(Reason.MALFORMED, f"tc is not text: {shown(cause)}")
        if cause not in COUNTED:
            if _CAUSE in cause and cause not in NOT_COUNTED:
                raise RowError(Reason.UNSUPPORTED, f"tc is {shown(cause)}, a liquidation of a kind not known")
            return None
        instrument = known(self._instruments, row, "s")
        symbol = instrument.symbol
        side = chosen(row, "d", POSITIONS, symbol)
        time_ms = moment(field(row, "t"), "t")
        size, price, written = quantity_of(row, "a"), price_of(row, "p"), f"{row['a']}@{row['p']}"
        event_id = f"pacifica:{symbol}:{own_id(row, 'h')}"  # `li` is shared by the fills of one order
        return liquidation(STAMP, instrument, side, written, size, price, time_ms, received_ms, event_id)


def _request(method: str, **params: str) -> str:
    return msgspec.json.encode({"method": method} | ({"params": params} if params else {})).decode()


def read_instruments(listed: InstrumentList, body: bytes) -> InstrumentPage:
    """`data` of /info."""
    return page(inside(document(body), "data"), "symbol")


def instrument(name: str, raw: Mapping[str, Any]) -> Instrument:
    """Sizes are base coins. Spot markets are listed as well."""
    base = coin(raw.get("base_asset") or name)
    if raw.get("instrument_type", "perpetual") != "perpetual":
        why = f"a {shown(raw['instrument_type'])}, not a perpetual"
        return Instrument(name, base, "USD", trading=False, unpriced=why, unpriced_reason=Reason.UNSUPPORTED)
    return Instrument(name, base, "USD")


VENUE = Venue(
    name="pacifica",
    title="Pacifica",
    docs="https://docs.pacifica.fi/api-documentation/api/websocket/subscriptions/trades",
    checked="2026-09-23",
    completeness="all",
    completeness_note="Every fill of a liquidation on the taker's side; auto-deleveraging is flagged, not counted.",
    side_rule="`d` says what was closed: close_long or close_short.",
    price_kind="fill",
    unit="fill",
    feeds=(Feed("trades", "wss://ws.pacifica.fi/ws", symbols_per_socket=SYMBOLS_PER_SOCKET),),
    instrument_lists=(InstrumentList("info", "https://api.pacifica.fi/api/v1/info"),),
    read_instruments=read_instruments,
    instrument=instrument,
    session=PacificaSession,
    ping_every=timedelta(seconds=20),  # it closes sockets that have said nothing for a minute
    silence_limit=timedelta(seconds=60),
    control_limit=timedelta(seconds=60),
    lifetime=timedelta(hours=24),
    doubts="No captured frame of a liquidation was seen; the causes are those of the documentation and its clients.",
)
