"""dYdX v4's indexer: trades by market, at most 32 a socket, the past with each yes; REST trades by time or by block."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import groupby
from typing import Any
from urllib.parse import unquote, urlsplit

from ...events import LONG
from ..listings import COINS, Listing, linear, special
from ..orders import Entry, plain
from ..trouble import Trouble
from .base import Conversation, Frame, Listings, RestAnswer, fell, parse, text

TRADES, MARKETS = "v4_trades", "v4_markets"
MARKETS_PER_SOCKET = 32
LISTED = 100  # trades in one answer
BLOCK_MS = 1_200
PLACE = "/v4/trades/perpetualMarket/"
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def listings() -> Iterator[Listing]:
    yield from linear("dydx", "perpetual", "{}-USD", "USD")
    yield special("dydx", "perpetual", f"WLD,RAYDIUM,{'4K7' * 14}VM-USD", "WLD", "USD")


@dataclass(slots=True)
class DydxDialect:
    """indexer.dydx.trade."""

    listings: Listings
    trouble: Trouble
    past: Sequence[Entry]
    venue: str = "dydx"
    batch_ms: int = 0
    control_ping_seconds: float | None = 30.0
    lists_past: bool = True
    _connections: int = 0

    def rest(self, path: str, query: Mapping[str, str]) -> RestAnswer | None:
        if path == "/v4/perpetualMarkets":
            return RestAnswer({"markets": {name: _market(listing) for name, listing in self.listings.items()}})
        market = unquote(path.removeprefix(PLACE))
        if not path.startswith(PLACE):
            return None
        if market not in self.listings:
            return RestAnswer({"errors": [{"msg": "ticker must be a valid ticker (BTC-USD, etc)"}]}, 400)
        latest = self.past[-1].event_ms if self.past else 0
        until = _milliseconds(query["createdBeforeOrAt"]) if "createdBeforeOrAt" in query else latest
        if "createdBeforeOrAtHeight" in query:
            until = min(until, (int(query["createdBeforeOrAtHeight"]) + 1) * BLOCK_MS - 1)
        return RestAnswer({"trades": self.latest(market, until)[: min(int(query.get("limit") or LISTED), LISTED)]})

    def latest(self, market: str, until_ms: int) -> list[Mapping[str, Any]]:
        """Trades until then, the newest first."""
        entries = [entry for entry in fell(self.past, 0, until_ms) if entry.listing.symbol == market]
        rows = [row for entry in reversed(entries[-LISTED:]) for row in _rows(entry)]
        return [row | {"createdAtHeight": str(_milliseconds(row["createdAt"]) // BLOCK_MS)} for row in rows]

    def connect(self, path: str, headers: Mapping[str, str]) -> Conversation | None:
        if urlsplit(path).path != "/v4/ws":
            return None
        self._connections += 1
        return DydxConversation(self, f"{self._connections:08x}")


@dataclass(slots=True)
class DydxConversation:
    """One socket."""

    indexer: DydxDialect
    connection: str
    markets: dict[str, bool] = field(default_factory=dict)  # those subscribed to: batched or not
    prices: bool = False
    whole_contracts: bool = False
    _messages: int = 0

    def receive(self, frame: Frame, now_ms: int) -> Sequence[Frame]:
        greeting = [] if self._messages else [self._message("connected")]
        return [*greeting, self._answer(parse(frame) or {})]

    def _answer(self, message: Mapping[str, Any]) -> str:
        channel, name = message.get("channel"), str(message.get("id"))
        if message.get("type") == "unsubscribe":
            self.markets.pop(name, None)
            return self._message("unsubscribed", channel=channel, id=name)
        if message.get("type") != "subscribe" or channel not in (TRADES, MARKETS):
            return self._error("Invalid message: could not be read")
        if self.indexer.trouble.refuse & {channel, name}:
            return self._error(f"Internal error, could not fetch data for subscription: {channel}.")
        if channel == MARKETS:
            self.prices = True
            return self._message("subscribed", channel=channel, id=MARKETS, contents={"markets": {}})
        if name not in self.indexer.listings:
            return self._error(f"Invalid subscription id for channel: ({channel}-{name})")
        if name in self.markets:
            return self._error(f"Invalid subscribe message: already subscribed ({channel}-{name})")
        if len(self.markets) == MARKETS_PER_SOCKET:
            return self._error(f"Per-connection subscription limit reached for {channel} (limit={MARKETS_PER_SOCKET}).")
        self.markets[name] = message.get("batched") is True
        past = self.indexer.past
        trades = self.indexer.latest(name, past[-1].event_ms)[:LISTED] if past else []
        return self._message("subscribed", channel=channel, id=name, contents={"trades": trades})

    def _error(self, words: str) -> str:
        return self._message("error", message=words)

    def _message(self, kind: str, **more: object) -> str:
        number, self._messages = self._messages, self._messages + 1
        return text({"type": kind, "connection_id": self.connection, "message_id": number} | more)

    def carries(self, listing: Listing) -> bool:
        return listing.symbol in self.markets

    def push(self, entries: Sequence[Entry], now_ms: int) -> Sequence[Frame]:
        by_market = sorted(entries, key=lambda entry: entry.listing.symbol)
        return [self._data(market, list(rows)) for market, rows in groupby(by_market, key=lambda e: e.listing.symbol)]

    def _data(self, market: str, entries: Sequence[Entry]) -> str:
        head: dict[str, Any] = {"id": market, "channel": TRADES, "version": "2.1.0"}
        if self.markets[market]:
            parts = [{"trades": list(_rows(entry))} for entry in entries]
            return self._message("channel_batch_data", **head, contents=parts)
        trades = [row for entry in entries for row in _rows(entry)]
        return self._message("channel_data", **head, contents={"trades": trades})

    def second(self, now_ms: int) -> Sequence[Frame]:
        return ()

    def ticks(self, now_ms: int) -> Sequence[Frame]:
        if not self.prices:
            return ()
        prices = {f"{name}-USD": {"oraclePrice": plain(coin.price), "marketId": 0} for name, coin in COINS.items()}
        head: dict[str, Any] = {"id": MARKETS, "channel": MARKETS, "version": "1.0.0"}
        return [self._message("channel_batch_data", **head, contents=[{"oraclePrices": prices}])]


def _rows(entry: Entry) -> Iterator[dict[str, Any]]:
    """The liquidation's fill, and an ordinary one beside it. The taker's only."""
    yield _row(entry, 2 * entry.number, "DELEVERAGED" if entry.number % 7 == 0 else "LIQUIDATED")
    yield _row(entry, 2 * entry.number + 1, "LIMIT")


def _row(entry: Entry, number: int, kind: str) -> dict[str, Any]:
    return {
        "id": f"{number:024x}",
        "size": plain(entry.contracts),
        "price": plain(entry.price),
        "side": "SELL" if entry.side == LONG else "BUY",
        "createdAt": _time(entry.event_ms),
        "type": kind,
    }


def _time(at_ms: int) -> str:
    return (_EPOCH + timedelta(milliseconds=at_ms)).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _milliseconds(time: str) -> int:
    return (datetime.fromisoformat(time) - _EPOCH) // timedelta(milliseconds=1)


def _market(listing: Listing) -> Mapping[str, Any]:
    return {
        "ticker": listing.symbol,
        "status": "ACTIVE" if listing.trading else "FINAL_SETTLEMENT",
        "tickSize": plain(listing.tick),
        "stepSize": plain(listing.step),
    }


DIALECT = DydxDialect
