"""Paradex: JSON-RPC requests, binary (SBE) trades of every kind, one frame each; the query asks for the layout."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from struct import pack
from typing import Any
from urllib.parse import parse_qs, urlsplit

from ...events import LONG
from ..listings import COINS, Listing, linear
from ..orders import Entry, plain
from ..trouble import Trouble
from .base import Conversation, Frame, Listings, RestAnswer, parse, text

ALL = "trades.ALL"
SCHEMA, NEWEST = 1, 3
TRADE, HEARTBEAT, SUBSCRIBED = 1, 40, 41
BUY, SELL = 1, 2
FILL, LIQUIDATION, TRANSFER = 1, 2, 3
HEARTBEAT_EVERY = 5  # seconds; the documentation gives no number
UNITS = 10**8  # of one: prices and sizes have eight places


def listings() -> Iterator[Listing]:
    yield from linear("paradex", "PERP", "{}-USD-PERP", "USD", thousand="kPEPE")


@dataclass(slots=True)
class ParadexDialect:
    """ws.api.prod.paradex.trade and api.prod.paradex.trade."""

    listings: Listings
    trouble: Trouble
    past: Sequence[Entry]
    venue: str = "paradex"
    batch_ms: int = 0
    control_ping_seconds: float | None = 55.0
    lists_past: bool = False

    def rest(self, path: str, query: Mapping[str, str]) -> RestAnswer | None:
        if path != "/v1/markets":
            return None
        option = {"symbol": "BTC-USD-120000-C", "base_currency": "BTC", "quote_currency": "USD"}
        markets = [_market(listing) for listing in self.listings.values()]
        return RestAnswer({"results": [*markets, option | {"asset_kind": "PERP_OPTION"}]})

    def connect(self, path: str, headers: Mapping[str, str]) -> Conversation | None:
        parts = urlsplit(path)
        query = parse_qs(parts.query)
        schema, version = query.get("sbeSchemaId", [""])[0], query.get("sbeSchemaVersion", [""])[0]
        if parts.path != "/v1" or schema != str(SCHEMA) or not version.isdigit() or int(version) > NEWEST:
            return None
        return ParadexConversation(self.listings, self.trouble, int(version))


@dataclass(slots=True)
class ParadexConversation:
    """One socket; `version` is that of the layout."""

    listings: Listings
    trouble: Trouble
    version: int
    channels: set[str] = field(default_factory=set)
    whole_contracts: bool = False
    _seconds: int = 0
    _seq: int = 0

    def receive(self, frame: Frame, now_ms: int) -> Sequence[Frame]:
        message = parse(frame)
        if message is None:
            return [_answer(now_ms, None, error={"code": -32700, "message": "parse error"})]
        number, params = message.get("id"), message.get("params") or {}
        channel = params.get("channel", "")
        if message.get("method") != "subscribe":
            return [_answer(now_ms, number, error={"code": -32601, "message": "method not found"})]
        market = channel.removeprefix("trades.")
        known = channel == ALL or (channel.startswith("trades.") and market in self.listings)
        if not known or self.trouble.refuse & {channel, market}:
            return [_answer(now_ms, number, error={"code": -32602, "message": f"invalid channel {channel}"})]
        if channel in self.channels:
            return [_answer(now_ms, number, error={"code": -32600, "message": f"already subscribed to {channel}"})]
        self.channels.add(channel)
        event = self._framed(SUBSCRIBED, pack("<q", now_ms * 1000), channel)
        return [_answer(now_ms, number, result={"channel": channel}), event]

    def carries(self, listing: Listing) -> bool:
        return ALL in self.channels or f"trades.{listing.symbol}" in self.channels

    def push(self, entries: Sequence[Entry], now_ms: int) -> Sequence[Frame]:
        return [frame for entry in entries for frame in self._told(entry, now_ms)]

    def _told(self, entry: Entry, now_ms: int) -> Iterator[Frame]:
        """The trade of the liquidation, among them one of another kind."""
        symbol, side = entry.listing.symbol, SELL if entry.side == LONG else BUY
        if entry.number % 3 == 0:
            kind = TRANSFER if entry.number % 2 else FILL
            yield self._trade(symbol, side, entry.price, entry.contracts, kind, entry.event_ms, 2 * entry.number + 1)
        yield self._trade(symbol, side, entry.price, entry.contracts, LIQUIDATION, entry.event_ms, 2 * entry.number)

    def _trade(
        self, market: str, side: int, price: Decimal, size: Decimal, kind: int, time_ms: int, number: int
    ) -> Frame:
        self._seq += 1
        made_us = time_ms * 1000 + number % 1000
        numbers = (made_us + 700, self._seq, number, side, _eight_places(price), _eight_places(size), made_us, kind)
        block = pack("<qqqBqqqB", *numbers)
        trade_id = f"{time_ms}201709{number:012}"
        return self._framed(TRADE, block, market, *([trade_id] if self.version >= NEWEST else []))

    def _framed(self, template: int, block: bytes, *texts: str) -> bytes:
        tail = b"".join(bytes([len(one)]) + one.encode() for one in texts)
        return pack("<HHHH", len(block), template, SCHEMA, self.version) + block + tail

    def second(self, now_ms: int) -> Sequence[Frame]:
        self._seconds += 1
        return (
            () if self._seconds % HEARTBEAT_EVERY else [self._framed(HEARTBEAT, pack("<qq", now_ms * 1000, self._seq))]
        )

    def ticks(self, now_ms: int) -> Sequence[Frame]:
        price, _, step = COINS["BTC"]
        ticks = ALL in self.channels
        return [self._trade("BTC-USD-PERP", BUY, price, step, FILL, now_ms, 2 * now_ms + 1)] if ticks else ()


def _eight_places(number: Decimal) -> int:
    return int(number * UNITS)


def _answer(now_ms: int, number: object, **said: object) -> str:
    return text({"jsonrpc": "2.0", **said, "usIn": now_ms * 1000, "usDiff": 900, "id": number})


def _market(listing: Listing) -> Mapping[str, Any]:
    return {
        "symbol": listing.symbol,
        "base_currency": listing.base,
        "quote_currency": listing.quote,
        "settlement_currency": "USDC",
        "asset_kind": listing.product,
        "price_tick_size": plain(listing.tick),
        "order_size_increment": plain(listing.step),
    }


DIALECT = ParadexDialect
