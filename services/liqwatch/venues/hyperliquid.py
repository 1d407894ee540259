"""Hyperliquid, a PARTIAL view: liquidations that the exchange's own vaults happened to trade against.

No public feed says which trades are liquidations; only the fills of an account do, its own and its counterparties'.
So the fills of the vaults of the liquidity provider are watched, as many as one address may watch. What anybody else
bought of liquidated positions, which is most of it, is not seen.
"""

import re
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any, Literal

import msgspec

from ..events import Reason
from ..wire import Liquidation
from ._asked import Asked
from ._lists import coin, document, page
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

# The liquidity provider's strategies A, B and X, its two liquidators, and two more: seven of the ten users allowed.
VAULTS = (
    "0x010461c14e146ac35fe42271bdc1134ee31c703a",
    "0x31ca8395cf837de08b24da3f660e77761dfb974b",
    "0x469f690213c467c39a23efacfd2816896009d7d8",
    "0x2e3d94f0562703b25c83308a05046ddaf9a8dd14",
    "0xb0a55f13d22f66e6d495ac98113841b2326e9540",
    "0x2ed5c4484ea3ff8b57d5f2fb152a40d9f2b68308",
    "0x5e177e5e39c0f4e421f5865a6d8beed8d921cb70",
)
FILLS = "userFills"
CONTEXT = "activeAssetCtx"  # ticks every second or so
# The order of a liquidated account, by the letter of its fill: A sells, and closes a long.
OWN = {"A": "long", "B": "short"}
COUNTERPARTY = {"B": "long", "A": "short"}
SECOND_LEG = "Auto-Deleveraging"
USDC = 0  # number of the coin that a market is settled in
STAMP = Stamp("hyperliquid", "fill", "fill")

_ADDRESS = re.compile(r"0x[0-9a-f]{40}")
# The vaults make markets: nearly all of their fills are ordinary, and told from the text alone. One of a liquidation
# has this name in it, and only a backslash could write it otherwise.
_TEXT = ('"fills":[{', '"liquidation"', "\\", "}")
_BYTES = (b'"fills":[{', b'"liquidation"', b"\\", b"}")


class _Flag(msgspec.Struct, gc=False):
    liquidatedUser: str


class _Fill(msgspec.Struct, gc=False):
    coin: str
    px: str
    sz: str
    side: str
    time: Moment
    tid: OwnNumber | OwnId
    dir: str = ""
    liquidation: _Flag | None = None


class _Fills(msgspec.Struct, gc=False):
    user: str
    fills: list[_Fill]
    isSnapshot: msgspec.UnsetType = msgspec.UNSET


class _Frame(msgspec.Struct, gc=False):
    channel: Literal["userFills"]
    data: _Fills


_decode = msgspec.json.Decoder(_Frame).decode


class HyperliquidSession:
    """The fills of all vaults on one socket."""

    def __init__(self, feed: Feed, instruments: Instruments, symbols: Sequence[str]) -> None:
        self._instruments = instruments
        self._asked = Asked()
        self._control = True

    def opening_frames(self) -> Sequence[Frame]:
        for vault in VAULTS:
            self._asked.ask(vault)
        return [*(_subscribe(type=FILLS, user=vault) for vault in VAULTS), _subscribe(type=CONTEXT, coin="BTC")]

    def ping_frame(self) -> Frame | None:
        return '{"method":"ping"}'

    def subscribe_more(self, symbols: Sequence[str]) -> Sequence[Frame]:
        return []

    @property
    def acknowledged(self) -> bool:
        return self._asked.all_granted

    @property
    def control_expected(self) -> bool:
        return self._control

    def receive(self, frame: Frame, received_ms: int) -> Received:
        fills, flag, escape, end = _TEXT if isinstance(frame, str) else _BYTES
        if fills in frame and flag not in frame and escape not in frame and frame[-1:] == end:  # type: ignore[operator]
            return CONTROL
        try:
            data = _decode(frame).data
            user = data.user.lower()
            events = [event for fill in data.fills if (event := self._quick(fill, user, received_ms)) is not None]
            return quick_answer(events, data.fills, len(data.fills) - len(events))
        except SURPRISES:
            pass
        return explained(frame, lambda message: self._answer(message, received_ms))

    def _quick(self, fill: _Fill, user: str, received_ms: int) -> Liquidation | None:
        if fill.liquidation is None or fill.dir == SECOND_LEG:
            return None
        liquidated = fill.liquidation.liquidatedUser.lower()
        if liquidated in VAULTS:
            return None
        side = (OWN if user == liquidated else COUNTERPARTY)[fill.side]
        size, price, event_id = quick(fill.sz), quick(fill.px), f"hyperliquid:{fill.coin}:{fill.tid}"
        return quick_event(STAMP, self._instruments[fill.coin], side, size, price, fill.time, received_ms, event_id)

    def _answer(self, message: Any, received_ms: int) -> Received:
        if not isinstance(message, dict):
            return rejected(f"not an object: {shown(message)}")
        channel, data = message.get("channel"), message.get("data")
        if channel == "pong":
            return HEARTBEAT
        if channel == CONTEXT:
            return CONTROL
        if channel == "subscriptionResponse":
            return self._granted(data)
        if channel == "error":
            return self._refused(words(data))
        if channel != FILLS:
            return IGNORED if isinstance(channel, str) else rejected(f"no channel: {shown(message)}")
        user = data.get("user") if isinstance(data, dict) else None
        if not isinstance(data, dict) or not isinstance(user, str):
            return rejected(f"not the fills of a user: {shown(data)}")
        if data.get("isSnapshot") is True:  # what answers a subscription are fills of any age, thousands of them
            return CONTROL
        return read_trades(data.get("fills"), lambda row: self._read(row, user.lower(), received_ms), "fills")

    def _granted(self, data: object) -> Received:
        asked = data.get("subscription") if isinstance(data, dict) else None
        if isinstance(asked, dict) and asked.get("type") == FILLS:
            self._asked.grant(str(asked.get("user")).lower())
        return ACK

    def _refused(self, text: str) -> Received:
        if CONTEXT in text:
            self._control = False
            return Received(FrameKind.IGNORED, error=f"no control channel: {text}")
        named = _ADDRESS.search(text.lower())
        if named is not None and "already subscribed" in text.lower():
            self._asked.grant(named[0])
            return Received(FrameKind.ACK, error=text)
        if named is not None:
            self._asked.refuse(named[0])
        return Received(FrameKind.REFUSED, error=text)  # one that names nobody leaves all of them open

    def _read(self, row: Row, user: str, received_ms: int) -> Liquidation | None:
        flag = row.get("liquidation")
        if flag is None or row.get("dir") == SECOND_LEG:
            return None
        liquidated = flag.get("liquidatedUser") if isinstance(flag, dict) else None
        if not isinstance(liquidated, str):
            raise RowError(Reason.MALFORMED, f"liquidation names no liquidatedUser: {shown(flag)}")
        if liquidated.lower() in VAULTS:  # a vault hands on what it took over: counted when it took it
            return None
        instrument = known(self._instruments, row, "coin")
        # `dir` describes the watched user, whoever was liquidated.
        meanings = OWN if user == liquidated.lower() else COUNTERPARTY
        side = chosen(row, "side", meanings, instrument.symbol)
        time_ms = moment(field(row, "time"), "time")
        size, price = quantity_of(row, "sz"), price_of(row, "px")
        # Both sides of a trade have its number.
        event_id = f"hyperliquid:{instrument.symbol}:{own_id(row, 'tid')}"
        return liquidation(STAMP, instrument, side, "", size, price, time_ms, received_ms, event_id)


def _subscribe(**subscription: str) -> str:
    return msgspec.json.encode({"method": "subscribe", "subscription": subscription}).decode()


def read_instruments(listed: InstrumentList, body: bytes) -> InstrumentPage:
    """The universes of all markets' deployers; the first is Hyperliquid's own."""
    answer = document(body)
    if not isinstance(answer, list):
        raise ValueError(f"no list of universes: {shown(answer)}")
    rows: list[object] = []
    for meta in answer:
        universe = meta.get("universe") if isinstance(meta, dict) else None
        if not isinstance(universe, list):
            raise ValueError(f"no universe: {shown(meta)}")
        settled_in = meta.get("collateralToken", USDC)
        rows += [{**one, "collateralToken": settled_in} for one in universe if isinstance(one, dict)]
    return page(rows, "name")


def instrument(name: str, raw: Mapping[str, Any]) -> Instrument:
    """All markets are linear and nearly all settled in USDC; a deployer's are called xyz:NVDA."""
    base = coin(name.rpartition(":")[2])
    trading = raw.get("isDelisted") is not True
    settled_in = raw.get("collateralToken", USDC)
    if settled_in != USDC:
        return Instrument(
            name, base, f"token {settled_in}", trading=trading, unpriced=f"settled in coin {settled_in}, not in USDC"
        )
    return Instrument(name, base, "USDC", trading=trading)


VENUE = Venue(
    name="hyperliquid",
    title="Hyperliquid (partial view)",
    docs="https://hyperliquid.gitbook.io/hyperliquid-docs/for-developers/api/websocket/subscriptions",
    checked="2026-09-23",
    completeness="partial",
    completeness_note="Only what the liquidity provider's vaults traded against: a small part, and no measure of the "
    "whole.",
    side_rule="`side` is the watched vault's order: where it bought (B), a long was liquidated; where it sold (A), a "
    "short.",
    price_kind="fill",
    unit="fill",
    feeds=(Feed("vaults", "wss://api.hyperliquid.xyz/ws"),),
    instrument_lists=(
        InstrumentList("perpetuals", "https://api.hyperliquid.xyz/info", post='{"type":"allPerpMetas"}'),
    ),
    read_instruments=read_instruments,
    instrument=instrument,
    session=HyperliquidSession,
    ping_every=timedelta(seconds=20),
    silence_limit=timedelta(seconds=60),
    control_limit=timedelta(seconds=60),
    connects=10,
    connects_per=timedelta(minutes=1),
    doubts="There is no market-wide public feed. For ninety days in 2026 one of these vaults was seen to liquidate "
    "nothing in the large coins: silence says nothing.",
)
