"""Hyperliquid: fills of an account, liquidations flagged among them; the latest come with each yes. Lists by POST."""

from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from ...events import LONG
from ..listings import Listing, linear
from ..orders import Entry, plain
from ..trouble import Trouble
from .base import Conversation, Frame, HangUp, Listings, RestAnswer, parse, text

FILLS, CONTEXT = "userFills", "activeAssetCtx"
MOST_USERS = 10
IDLE_SECONDS = 60
REPLAYED = 200  # fills of a user that answer a subscription
LIQUIDATED = "0x00000000000000000000000000000000000000aa"  # somebody
VAULT = "0x2e3d94f0562703b25c83308a05046ddaf9a8dd14"  # that takes over what nobody buys


def listings() -> Iterator[Listing]:
    yield from linear("hyperliquid", "perp", "{}", "USDC", thousand="kPEPE")


@dataclass(slots=True)
class HyperliquidDialect:
    """api.hyperliquid.xyz."""

    listings: Listings
    trouble: Trouble
    past: Sequence[Entry]
    venue: str = "hyperliquid"
    batch_ms: int = 0
    control_ping_seconds: float | None = None
    lists_past: bool = False
    # What was pushed, by user, the newest last. A replay brings nothing that was not: the books count on it.
    pushed: dict[str, deque[Mapping[str, Any]]] = field(default_factory=dict)

    def rest(self, path: str, query: Mapping[str, str]) -> RestAnswer | None:
        if path != "/info":
            return None
        own = {"universe": [_market(listing) for listing in self.listings.values()], "collateralToken": 0}
        if query.get("type") == "meta":
            return RestAnswer(own)
        if query.get("type") != "allPerpMetas":
            return RestAnswer("Failed to deserialize the JSON body into the target type", 422)
        deployed = {"universe": [{"name": "xyz:NVDA", "szDecimals": 3, "maxLeverage": 10}], "collateralToken": 0}
        return RestAnswer([own, deployed])

    def connect(self, path: str, headers: Mapping[str, str]) -> Conversation | None:
        return HyperliquidConversation(self) if urlsplit(path).path == "/ws" else None


@dataclass(slots=True)
class HyperliquidConversation:
    """One socket."""

    exchange: HyperliquidDialect
    users: list[str] = field(default_factory=list)
    coins: set[str] = field(default_factory=set)  # whose context was asked for
    whole_contracts: bool = False
    _idle: int = 0

    def receive(self, frame: Frame, now_ms: int) -> Sequence[Frame]:
        self._idle = 0
        message = parse(frame) or {}
        if message.get("method") == "ping":
            return [text({"channel": "pong"})]
        asked = message.get("subscription")
        if message.get("method") != "subscribe" or not isinstance(asked, dict):
            return [_error("Error parsing JSON into valid websocket request")]
        return self._subscribe(asked)

    def _subscribe(self, asked: Mapping[str, Any]) -> Sequence[Frame]:
        yes = text({"channel": "subscriptionResponse", "data": {"method": "subscribe", "subscription": asked}})
        kind, user, coin = asked.get("type"), asked.get("user"), asked.get("coin")
        if {kind, user, coin} & self.exchange.trouble.refuse or kind not in (FILLS, CONTEXT):
            return [_error(f"Invalid subscription {text(asked)}")]
        if user in self.users or (kind == CONTEXT and coin in self.coins):
            return [_error(f"Already subscribed: {text(asked)}")]
        if kind == CONTEXT:
            self.coins.add(str(coin))
            return [yes]
        if len(self.users) == MOST_USERS:
            return [_error(f"Cannot track more than {MOST_USERS} total users.")]
        self.users.append(str(user))
        latest = [*reversed(self.exchange.pushed.get(str(user), ()))]
        return [yes, _message(FILLS, {"isSnapshot": True, "user": user, "fills": latest})]

    def carries(self, listing: Listing) -> bool:
        return bool(self.users)

    def push(self, entries: Sequence[Entry], now_ms: int) -> Sequence[Frame]:
        frames = []
        for entry in entries:
            # One of the vaults bought it; now and then two of them did, each other's counterparty in nothing else.
            first = entry.number % len(self.users)
            for user in {self.users[first], self.users[first - 1] if entry.number % 5 == 0 else self.users[first]}:
                rows = list(_fills(entry))
                kept = self.exchange.pushed.setdefault(user, deque(maxlen=REPLAYED))
                kept.extend(row for row in rows if row not in kept)
                frames.append(_message(FILLS, {"user": user, "fills": rows}))
        return frames

    def second(self, now_ms: int) -> Sequence[Frame]:
        self._idle += 1
        if self._idle > IDLE_SECONDS:
            raise HangUp("Inactive")
        return ()

    def ticks(self, now_ms: int) -> Sequence[Frame]:
        contexts = [
            _message(CONTEXT, {"coin": coin, "ctx": {"markPx": plain(self.exchange.listings[coin].reference_price)}})
            for coin in sorted(self.coins)
            if coin in self.exchange.listings
        ]
        ordinary = [_message(FILLS, {"user": user, "fills": [_ordinary(now_ms)]}) for user in self.users[:1]]
        return [*contexts, *ordinary]


def _fills(entry: Entry) -> Iterator[Mapping[str, Any]]:
    """The fill of the vault, which is on the other side of the liquidated account; others of its fills around it."""
    # A long that is liquidated sells: the vault buys.
    bought = entry.side == LONG
    yield _ordinary(entry.event_ms, 3 * entry.number)
    fill = _fill(entry, 3 * entry.number + 1, bought)
    yield fill | {"liquidation": {"liquidatedUser": LIQUIDATED, "markPx": fill["px"], "method": "market"}}
    if entry.number % 4 == 0:  # what a vault took over it hands on later: no liquidation of anybody else
        flag = {"liquidatedUser": VAULT, "markPx": fill["px"], "method": "backstop"}
        second = _fill(entry, 3 * entry.number + 2, not bought)
        yield second | {"dir": "Auto-Deleveraging" if entry.number % 8 else "Close Long", "liquidation": flag}


def _fill(entry: Entry, number: int, bought: bool) -> dict[str, Any]:
    return {
        "coin": entry.listing.symbol,
        "px": plain(entry.price),
        "sz": plain(entry.contracts),
        "side": "B" if bought else "A",
        "time": entry.event_ms,
        "startPosition": "0.0",
        "dir": "Open Long" if bought else "Open Short",
        "closedPnl": "0.0",
        "hash": f"0x{number:064x}",
        "oid": number,
        "crossed": False,
        "fee": "0.0",
        "tid": number,
        "feeToken": "USDC",
    }


def _ordinary(now_ms: int, number: int = 0) -> dict[str, Any]:
    return {
        "coin": "BTC",
        "px": "113000.0",
        "sz": "0.01",
        "side": "A",
        "time": now_ms,
        "dir": "Open Short",
        "tid": number,
    }


def _message(channel: str, data: object) -> str:
    return text({"channel": channel, "data": data})


def _error(words: str) -> str:
    return _message("error", words)


def _market(listing: Listing) -> Mapping[str, Any]:
    market = {"name": listing.symbol, "szDecimals": 2, "maxLeverage": 20}
    return market if listing.trading else market | {"isDelisted": True}


DIALECT = HyperliquidDialect
