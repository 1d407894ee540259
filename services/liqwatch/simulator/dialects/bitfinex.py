"""Bitfinex: numbered channels, a trigger without a price beside each execution, the last event again on subscribing."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from ...events import LONG
from ..listings import COINS, Listing, special
from ..orders import Entry
from ..trouble import Trouble
from .base import Conversation, Frame, Listings, RestAnswer, fell, of_product, parse, text

GLOBAL, DERIV = "liq:global", "deriv:"
FUTURES, MARGIN = "futures", "margin"
LISTED_AT_MOST = 500
BEAT_SECONDS = 15
FIRST_CHANNEL = 91_000


def listings() -> Iterator[Listing]:
    for coin, known in COINS.items():
        yield special("bitfinex", FUTURES, f"t{coin}F0:USTF0", coin, "USDT", step=str(known.step))
    for coin in ("BTC", "ETH", "SOL", "LTC"):
        yield special("bitfinex", MARGIN, f"t{coin}USD", coin, "USD", step=str(COINS[coin].step))
    yield special("bitfinex", MARGIN, "tDOGE:USD", "DOGE", "USD")


@dataclass(slots=True)
class BitfinexDialect:
    """api-pub.bitfinex.com."""

    listings: Listings
    trouble: Trouble
    past: Sequence[Entry]
    venue: str = "bitfinex"
    batch_ms: int = 0
    control_ping_seconds: float | None = None
    lists_past: bool = True
    _channels: int = FIRST_CHANNEL

    def rest(self, path: str, query: Mapping[str, str]) -> RestAnswer | None:
        for product in (FUTURES, MARGIN):
            if path == f"/v2/conf/pub:list:pair:{product}":
                pairs = [listing.symbol[1:] for listing in of_product(self.listings, product) if listing.trading]
                return RestAnswer([pairs])
        if path != "/v2/liquidations/hist":
            return None
        latest = self.past[-1].event_ms if self.past else 0
        entries = fell(self.past, int(query.get("start") or 0), int(query.get("end") or latest))
        rows = [row for entry in entries for row in (_executed(entry), _trigger(entry))]
        if query.get("sort") != "1":
            rows.reverse()
        most = min(int(query.get("limit") or LISTED_AT_MOST), LISTED_AT_MOST)
        return RestAnswer([[row] for row in rows[:most]])

    def connect(self, path: str, headers: Mapping[str, str]) -> Conversation | None:
        return BitfinexConversation(self) if urlsplit(path).path == "/ws/2" else None

    def channel(self) -> int:
        """A number that no socket had before."""
        self._channels += 7
        return self._channels


@dataclass(slots=True)
class BitfinexConversation:
    """One socket."""

    venue: BitfinexDialect
    channels: dict[str, int] = field(default_factory=dict)  # by key
    whole_contracts: bool = False
    _greeted: bool = False
    _quiet: int = 0  # seconds

    def receive(self, frame: Frame, now_ms: int) -> Sequence[Frame]:
        greeting = [] if self._greeted else [text({"event": "info", "version": 2, "platform": {"status": 1}})]
        self._greeted = True
        return [*greeting, *self._answer(parse(frame) or {}, now_ms)]

    def _answer(self, message: Mapping[str, Any], now_ms: int) -> Sequence[str]:
        if message.get("event") == "ping":
            return [text({"event": "pong", "ts": now_ms, "cid": message.get("cid")})]
        asked = {"channel": message.get("channel"), "key": message.get("key")}
        key = str(asked["key"])
        if message.get("event") != "subscribe" or asked["channel"] != "status":
            return [text({"event": "error", "msg": "unknown event or channel", "code": 10300, **asked})]
        if key in self.channels:
            return [text({"event": "error", "msg": "subscribe: dup", "code": 10301, **asked})]
        if key in self.venue.trouble.refuse or not (key == GLOBAL or key.removeprefix(DERIV) in self.venue.listings):
            return [text({"event": "error", "msg": "status: invalid", "code": 10300, **asked})]
        number = self.channels[key] = self.venue.channel()
        again = self.venue.past[-1:] if key == GLOBAL else ()  # the last event, however old
        yes = text({"event": "subscribed", "channel": "status", "chanId": number, "key": key})
        return [yes, *(text([number, [_executed(entry)]]) for entry in again)]

    def carries(self, listing: Listing) -> bool:
        return GLOBAL in self.channels

    def push(self, entries: Sequence[Entry], now_ms: int) -> Sequence[Frame]:
        """A trigger and an execution each, one or the other first; the execution alone, or in an array."""
        number = self.channels[GLOBAL]
        frames: list[str] = []
        for entry in entries:
            executed = _executed(entry)
            pair = [text([number, [_trigger(entry)]]), text([number, executed if entry.number % 2 else [executed]])]
            frames += reversed(pair) if entry.number % 3 == 0 else pair
        return frames

    def second(self, now_ms: int) -> Sequence[Frame]:
        self._quiet = (self._quiet + 1) % BEAT_SECONDS
        return () if self._quiet else [text([number, "hb"]) for number in self.channels.values()]

    def ticks(self, now_ms: int) -> Sequence[Frame]:
        return [
            text([number, [now_ms, None, float(self.venue.listings[key.removeprefix(DERIV)].reference_price)]])
            for key, number in self.channels.items()
            if key.startswith(DERIV)
        ]


def _executed(entry: Entry) -> list[Any]:
    """IS_MATCH and a price: what was sold in the market."""
    return _row(entry, float(entry.contracts), 1, float(entry.price))


def _trigger(entry: Entry) -> list[Any]:
    """The whole position, at no price or at one: nothing was sold yet."""
    return _row(entry, float(entry.contracts) * 2, 0, None if entry.number % 2 else float(entry.price))


def _row(entry: Entry, amount: float, matched: int, price: float | None) -> list[Any]:
    listing = entry.listing
    entered = float(listing.reference_price) * (1.1 if entry.side == LONG else 0.9)
    signed = amount if entry.side == LONG else -amount  # the position's sign
    time = entry.event_ms if entry.number % 5 else entry.event_ms + 0.25
    return ["pos", 1000 + entry.number, time, None, listing.symbol, signed, entered, None, matched, 1, None, price]


DIALECT = BitfinexDialect
