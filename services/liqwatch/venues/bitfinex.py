"""Bitfinex margin and derivatives: rows of positions, each liquidation told several times; only executions count.

A thin feed: a row now and then, so there is no quick way beside the careful one.
"""

from collections.abc import Mapping, Sequence
from datetime import timedelta
from decimal import Decimal
from typing import Any

import msgspec

from ..events import Reason, plain
from ..wire import Liquidation
from ._asked import Asked
from ._history import asked, asking, history_page
from ._lists import coin, document
from ._numbers import RowError, number, shown, words
from ._rows import (
    EARLIEST_MS,
    LATEST_MS,
    Row,
    Stamp,
    explained,
    field,
    known,
    liquidation,
    moment,
    own_id,
    price_of,
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

REST = "https://api-pub.bitfinex.com/v2"
KEY = "liq:global"
CONTROL_KEY = "deriv:tBTCF0:USTF0"
LISTS = ("futures", "margin")
DOLLARS = {"UST": "USDT"}  # as Bitfinex calls Tether
RECONNECT, MAINTENANCE, BACK = 20051, 20060, 20061  # codes of info
PAGE = 500
# Places of a row. [6] is the price at which the user had opened the position: never what it was closed at.
MARK, POSITION, TIME, SYMBOL, AMOUNT, MATCHED, PRICE = 0, 1, 2, 4, 5, 8, 11
STAMP = Stamp("bitfinex", "fill", "fill")


class BitfinexSession:
    """One socket. A data frame names only the number of its channel, which is another one on each socket."""

    def __init__(self, feed: Feed, instruments: Instruments, symbols: Sequence[str]) -> None:
        self._instruments = instruments
        self._asked = Asked()
        self._control = True
        self._liquidations: object = None  # number of the channel
        self._ticking: object = None

    def opening_frames(self) -> Sequence[Frame]:
        self._asked.ask(KEY)
        return [_subscribe(KEY), _subscribe(CONTROL_KEY)]

    def ping_frame(self) -> Frame | None:
        return None  # the server sends a heartbeat in every channel

    def subscribe_more(self, symbols: Sequence[str]) -> Sequence[Frame]:
        return []

    @property
    def acknowledged(self) -> bool:
        return self._asked.all_granted

    @property
    def control_expected(self) -> bool:
        return self._control

    def receive(self, frame: Frame, received_ms: int) -> Received:
        return explained(frame, lambda message: self._answer(message, received_ms))

    def _answer(self, message: Any, received_ms: int) -> Received:
        if isinstance(message, dict):
            return self._told(message)
        if not isinstance(message, list) or len(message) < 2 or not isinstance(message[0], int):
            return rejected(f"neither an event nor data of a channel: {shown(message)}")
        channel, rows = message[0], message[1]  # more may follow: number and time of the frame, if asked for
        if rows == "hb":
            return HEARTBEAT
        if channel == self._ticking:
            return CONTROL
        if not isinstance(rows, list):
            return IGNORED  # null in place of rows; the messages of other channels
        if rows and not isinstance(rows[0], list):
            rows = [rows]
        # Rows of liquidations say so themselves: they are read whether or not their channel was announced before.
        if channel != self._liquidations and not any(
            row and row[MARK] == "pos" for row in rows if isinstance(row, list)
        ):
            return IGNORED
        return read_rows(_named(rows), lambda row: _read(self._instruments, row, received_ms), "rows", venue_ids=True)

    def _told(self, message: Row) -> Received:
        event, key = message.get("event"), message.get("key")
        if event == "subscribed":
            if key == KEY:
                self._liquidations = message.get("chanId")
                self._asked.grant(KEY)
            elif key == CONTROL_KEY:
                self._ticking = message.get("chanId")
            return ACK
        if event in ("unsubscribed", "conf"):
            return ACK
        if event == "error":
            return self._refused(key, words(f"{message.get('msg')} (code {message.get('code')})"))
        if event == "info":
            return self._informed(message.get("code"), words(message.get("msg")))
        if event == "pong":
            return HEARTBEAT
        return IGNORED if isinstance(event, str) else rejected(f"no event: {shown(message)}")

    def _informed(self, code: object, text: str) -> Received:
        """Where the venue stops to deliver, what was granted is open again, and the socket is replaced in a while."""
        if code == BACK:
            return Received(FrameKind.IGNORED, error=f"maintenance ended: {text}", replies=self.opening_frames())
        if code in (RECONNECT, MAINTENANCE):
            self._asked.ask(KEY)
            return Received(FrameKind.IGNORED, error=f"does not deliver: {text} (code {code})")
        return IGNORED

    def _refused(self, key: object, text: str) -> Received:
        if key == CONTROL_KEY:
            self._control = False
            return Received(FrameKind.IGNORED, error=f"no control channel: {text}")
        if key == KEY:
            self._asked.refuse(KEY)
        return Received(FrameKind.REFUSED, error=text)


def _subscribe(key: str) -> str:
    return msgspec.json.encode({"event": "subscribe", "channel": "status", "key": key}).decode()


def _named(rows: object) -> object:
    """The rows with names for what is used of them; what is no row is left for the reader to say so."""
    if not isinstance(rows, list):
        return rows
    return [
        {
            "row": row[MARK],
            "POS_ID": row[POSITION],
            "MTS": row[TIME],
            "SYMBOL": row[SYMBOL],
            "AMOUNT": row[AMOUNT],
            "IS_MATCH": row[MATCHED],
            "PRICE": row[PRICE],
        }
        if isinstance(row, list) and len(row) > PRICE
        else {"row": row}
        for row in rows
    ]


def _read(instruments: Instruments, row: Row, received_ms: int) -> Liquidation | None:
    """An execution. A trigger (IS_MATCH 0) has the whole size and no price, or one at which nothing was sold yet."""
    if row["row"] != "pos" or "PRICE" not in row:
        raise RowError(Reason.MALFORMED, f"is not a row of a position: {shown(row['row'])}")
    if row["IS_MATCH"] != 1 or row["PRICE"] is None:
        return None
    instrument = known(instruments, row, "SYMBOL")
    amount = number(field(row, "AMOUNT"), "AMOUNT", Reason.BAD_QUANTITY)
    if amount == 0:
        raise RowError(Reason.BAD_QUANTITY, "AMOUNT is zero", instrument.symbol)
    # The sign is the position's: positive was long.
    side = "long" if amount > 0 else "short"
    time_ms = moment(_whole(row["MTS"]), "MTS")
    event_id = f"bitfinex:{own_id(row, 'POS_ID')}:{time_ms}:1:{_short(amount)}"
    price = price_of(row, "PRICE")
    return liquidation(STAMP, instrument, side, "", abs(amount), price, time_ms, received_ms, event_id)


def _whole(mts: object) -> object:
    """Milliseconds, which may come as 1574697680828.2002."""
    return int(number(mts, "MTS", Reason.BAD_TIME)) if isinstance(mts, Decimal) else mts


def _short(amount: Decimal) -> str:
    """The same text for -8 and -8.0: the list and the stream may write them differently."""
    text = plain(amount)
    return text.rstrip("0").rstrip(".") if "." in text else text


def read_instruments(listed: InstrumentList, body: bytes) -> InstrumentPage:
    """The pairs of one kind: an array in an array."""
    answer = document(body)
    pairs = answer[0] if isinstance(answer, list) and len(answer) == 1 else None
    if not isinstance(pairs, list):
        raise ValueError(f"no list of pairs: {shown(answer)}")
    return InstrumentPage({f"t{pair}": {"pair": pair} for pair in pairs if isinstance(pair, str)})


def instrument(name: str, raw: Mapping[str, Any]) -> Instrument:
    """BTCF0:USTF0, DOGE:USD or BSVUSD: amounts are always coins."""
    pair = raw.get("pair", name.removeprefix("t"))
    base, _, quote = pair.partition(":") if ":" in pair else (pair[:3], "", pair[3:] if len(pair) == 6 else "")
    if not base or not quote:
        raise ValueError(f"the pair {shown(pair)} does not name its coins")
    base, quote = coin(base.removesuffix("F0")), coin(quote.removesuffix("F0"))
    return Instrument(name, DOLLARS.get(base, base), DOLLARS.get(quote, quote))


def history_urls(instruments: Instruments, since_ms: int, until_ms: int) -> Sequence[str]:
    """One, of all pairs, the newest first."""
    return [f"{REST}/liquidations/hist?start={since_ms}&end={until_ms}&limit={PAGE}&sort=-1"]


def read_history(url: str, body: bytes, instruments: Instruments, received_ms: int) -> HistoryPage:
    """The rows of the stream, each in an array of its own."""
    answer = document(body)
    if not isinstance(answer, list) or answer[:1] == ["error"]:
        raise ValueError(f"no list of liquidations: {shown(answer)}")
    rows = [inner for outer in answer for inner in (outer if _nested(outer) else [outer])]
    read = history_page(_named(rows), lambda row: _read(instruments, row, received_ms), venue_ids=True)
    times = [row[TIME] for row in rows if isinstance(row, list) and len(row) > TIME]
    dated = [at for at in times if isinstance(at, int | Decimal) and EARLIEST_MS < at < LATEST_MS]
    oldest_ms = int(min(dated)) if dated else None
    until_ms = int(asked(url, "end") or 0)
    if len(answer) < PAGE or oldest_ms is None:
        return read
    # The millisecond that the page may have cut is read again with what is older.
    back_ms = oldest_ms if oldest_ms < until_ms else until_ms - 1
    if back_ms < int(asked(url, "start") or 0):
        return read
    return read._replace(next_url=asking(url, end=back_ms))


def _nested(row: object) -> bool:
    return isinstance(row, list) and bool(row) and isinstance(row[0], list)


VENUE = Venue(
    name="bitfinex",
    title="Bitfinex",
    docs="https://docs.bitfinex.com/reference/ws-public-status",
    checked="2026-11-24",
    completeness="all",
    completeness_note="All executions of margin and derivatives; positions that the system itself took over are not.",
    side_rule="The sign of AMOUNT is the position's: positive was long, negative short.",
    price_kind="fill",
    unit="fill",
    feeds=(Feed("status", "wss://api-pub.bitfinex.com/ws/2"),),
    instrument_lists=tuple(InstrumentList(name, f"{REST}/conf/pub:list:pair:{name}") for name in LISTS),
    read_instruments=read_instruments,
    instrument=instrument,
    session=BitfinexSession,
    ping_every=None,
    silence_limit=timedelta(seconds=40),
    control_limit=timedelta(seconds=120),
    connects=15,
    connects_per=timedelta(minutes=1),
    doubts="Executions may add up to less than the position: what the system takes over is told as a trigger only, "
    "and is not counted.",
    history=History(
        urls=history_urls,
        read=read_history,
        same_ids=True,
        reaches=timedelta(hours=24),
        pause=timedelta(seconds=21),
    ),
)
