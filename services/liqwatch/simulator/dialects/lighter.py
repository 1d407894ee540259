"""Lighter: markets by number, a slash in what is asked and a colon in what is answered; each yes replays old trades."""

from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from typing import Any
from urllib.parse import urlsplit

from ...events import LONG
from ..listings import COINS, Listing, linear
from ..orders import Entry, plain
from ..trouble import Trouble
from .base import Conversation, Frame, HangUp, Listings, RestAnswer, parse, text

TRADES, STATS = "trade", "market_stats"
MOST_SUBSCRIPTIONS = 100
MOST_MESSAGES = 200  # of a client in a minute
PING_SECONDS, PATIENCE_SECONDS = 30, 120
REPLAYED = 50  # liquidations of a market that answer a subscription


def listings() -> Iterator[Listing]:
    yield from linear("lighter", "perp", "{}", "USDC", thousand="1000PEPE")


@dataclass(slots=True)
class LighterDialect:
    """mainnet.zklighter.elliot.ai."""

    listings: Listings
    trouble: Trouble
    past: Sequence[Entry]
    venue: str = "lighter"
    batch_ms: int = 0
    control_ping_seconds: float | None = None
    lists_past: bool = False
    # What was pushed, by market, the newest last. A replay brings nothing that was not: the books count on it.
    pushed: dict[int, deque[Entry]] = field(default_factory=dict)

    def rest(self, path: str, query: Mapping[str, str]) -> RestAnswer | None:
        if path != "/api/v1/orderBooks":
            return None
        spot = {"market_id": 2048, "symbol": "ETH/USDC", "market_type": "spot", "status": "active"}
        return RestAnswer({"code": 200, "order_books": [*map(_market, self.listings.values()), spot]})

    def connect(self, path: str, headers: Mapping[str, str]) -> Conversation | None:
        return LighterConversation(self) if urlsplit(path).path == "/stream" else None

    def market(self, number: str) -> Listing | None:
        found = (one for one in self.listings.values() if str(one.number) == number)
        return next(found, None)


@dataclass(slots=True)
class LighterConversation:
    """One socket."""

    exchange: LighterDialect
    channels: set[tuple[str, str]] = field(default_factory=set)
    whole_contracts: bool = False
    _greeted: bool = False
    _messages: int = 0  # of the client, in this minute
    _seconds: int = 0
    _answered: int = 0  # the second in which the client was last heard
    _nonce: int = 0

    def receive(self, frame: Frame, now_ms: int) -> Sequence[Frame]:
        greeting = [] if self._greeted else [text({"session_id": "simulated", "type": "connected"})]
        self._greeted = True
        self._messages += 1
        if not self.exchange.trouble.ignore_pongs:
            self._answered = self._seconds
        if self._messages > MOST_MESSAGES:
            raise HangUp("too many messages", [_error(30009, "Too Many Messages!")])
        message = parse(frame) or {}
        match message.get("type"):
            case "pong":
                return greeting
            case "ping":
                return [*greeting, text({"type": "pong"})]
            case "subscribe":
                return [*greeting, self._subscribe(str(message.get("channel")))]
            case "unsubscribe":
                self.channels.discard(_parts(str(message.get("channel"))))
                return greeting
            case _:
                return [*greeting, _error(30001, "Invalid Type")]

    def _subscribe(self, asked: str) -> str:
        kind, number = _parts(asked)
        listing = self.exchange.market(number)
        if kind not in (TRADES, STATS) or listing is None or {asked, listing.symbol} & self.exchange.trouble.refuse:
            return _error(30005, f"Invalid Channel : {asked}")
        if (kind, number) in self.channels:
            return _error(30003, f"Already Subscribed : {kind}:{number}")
        if len(self.channels) == MOST_SUBSCRIPTIONS:
            return _error(30010, "Too Many Subscriptions!")
        self.channels.add((kind, number))
        if kind == STATS:
            return self._stats(listing, "subscribed")
        return self._trades(listing, list(self.exchange.pushed.get(listing.number, ())), "subscribed")

    def _trades(self, listing: Listing, entries: Sequence[Entry], what: str) -> str:
        self._nonce += 1
        flagged = [row for entry in entries for row in _flagged(entry)]
        return text(
            {
                "channel": f"{TRADES}:{listing.number}",
                "liquidation_trades": flagged or (None if self._nonce % 2 else []),
                "nonce": self._nonce,
                "trades": [_ordinary(listing, self._nonce)],
                "type": f"{what}/{TRADES}",
            }
        )

    def _stats(self, listing: Listing, what: str) -> str:
        price = plain(listing.reference_price)
        stats = {"market_id": listing.number, "index_price": price, "mark_price": price, "last_trade_price": price}
        return text({"channel": f"{STATS}:{listing.number}", "market_stats": stats, "type": f"{what}/{STATS}"})

    def carries(self, listing: Listing) -> bool:
        return (TRADES, str(listing.number)) in self.channels

    def push(self, entries: Sequence[Entry], now_ms: int) -> Sequence[Frame]:
        frames = []
        by_market = sorted(entries, key=lambda entry: entry.listing.number)
        for number, group in groupby(by_market, key=lambda entry: entry.listing.number):
            told = list(group)
            kept = self.exchange.pushed.setdefault(number, deque(maxlen=REPLAYED))
            kept.extend(entry for entry in told if entry not in kept)
            frames.append(self._trades(told[0].listing, told, "update"))
        return frames

    def second(self, now_ms: int) -> Sequence[Frame]:
        self._seconds += 1
        if self._seconds % 60 == 0:
            self._messages = 0
        if self._seconds - self._answered > PATIENCE_SECONDS:
            raise HangUp("no pong")
        return [text({"type": "ping"})] if self._seconds % PING_SECONDS == 0 else ()

    def ticks(self, now_ms: int) -> Sequence[Frame]:
        frames = []
        for kind, number in sorted(self.channels):
            listing = self.exchange.market(number)
            if listing is not None and kind == STATS:
                frames.append(self._stats(listing, "update"))
            elif listing is not None and listing.base == "BTC":
                frames.append(self._trades(listing, (), "update"))
        return frames


def _parts(channel: str) -> tuple[str, str]:
    kind, _, number = channel.partition("/")
    return kind, number


def _error(code: int, words: str) -> str:
    return text({"error": {"code": code, "message": words}})


def _flagged(entry: Entry) -> Iterator[Mapping[str, Any]]:
    """The liquidation; now and then a deleveraging beside it, which is none."""
    # The liquidated account takes what a maker offers: a long sells, so the maker's was the bid.
    yield _row(entry.listing, 2 * entry.number, "liquidation", entry, is_maker_ask=entry.side != LONG)
    if entry.number % 6 == 0:
        yield _row(entry.listing, 2 * entry.number + 1, "deleverage", entry, is_maker_ask=entry.side == LONG)


def _row(listing: Listing, number: int, kind: str, entry: Entry, *, is_maker_ask: bool) -> Mapping[str, Any]:
    long = entry.side == LONG
    return {
        "trade_id": number,
        "trade_id_str": str(number),
        "tx_hash": f"{number:080x}",
        "type": kind,
        "market_id": listing.number,
        "size": plain(entry.contracts),
        "price": plain(entry.price),
        "usd_amount": plain(entry.notional()),
        "ask_account_id": 11 if long else 12,
        "bid_account_id": 12 if long else 11,
        "is_maker_ask": is_maker_ask,
        "block_height": number,
        "timestamp": entry.event_ms,
        "taker_position_size_before": plain(entry.contracts if long else -entry.contracts),
        "transaction_time": entry.event_ms * 1000 + 7,
    }


def _ordinary(listing: Listing, number: int) -> Mapping[str, Any]:
    coin = COINS.get(listing.base)
    return {
        "trade_id": 10**15 + number,
        "trade_id_str": str(10**15 + number),
        "type": "trade",
        "market_id": listing.number,
        "size": plain(coin.step if coin is not None else listing.step),
        "price": plain(listing.reference_price),
        "is_maker_ask": True,
        "timestamp": 1_795_000_000_000 + number,
    }


def _market(listing: Listing) -> Mapping[str, Any]:
    return {
        "market_id": listing.number,
        "symbol": listing.symbol,
        "market_type": "perp",
        "status": "active" if listing.trading else "inactive",
    }


DIALECT = LighterDialect
