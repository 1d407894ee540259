"""Deribit: JSON-RPC, trades of all futures in one channel, a test of the client at each heartbeat, the past by REST.

The flag of a liquidation comes with the trade, as documented; `Trouble.late_flags_ms` makes it come later, by REST.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from ...events import LONG
from ..listings import COINS, Listing, linear, special
from ..orders import Entry
from ..trouble import Trouble
from .base import Conversation, Frame, HangUp, Listings, RestAnswer, fell, parse, text

CHANNEL = "trades.future.any.100ms"
PLACE = "/api/v2/public/"
REVERSED, LINEAR = "reversed", "linear"
LISTED, LISTED_AT_MOST = 10, 1000  # trades in one answer, and where the client asks for more
LEAST_INTERVAL = 10  # seconds


def listings() -> Iterator[Listing]:
    coins = tuple(coin for coin in COINS if coin != "PEPE")
    yield from linear("deribit", LINEAR, "{}_USDC-PERPETUAL", "USDC", coins=coins)
    yield special("deribit", LINEAR, "BTC_USDT-PERPETUAL", "BTC", "USDT", step="0.001")
    for coin in ("BTC", "ETH"):
        yield special("deribit", REVERSED, f"{coin}-PERPETUAL", coin, "USD", inverse=True)
        yield special("deribit", REVERSED, f"{coin}-31DEC27", coin, "USD", inverse=True, dated=True)


@dataclass(slots=True)
class DeribitDialect:
    """www.deribit.com."""

    listings: Listings
    trouble: Trouble
    past: Sequence[Entry]
    venue: str = "deribit"
    batch_ms: int = 100
    control_ping_seconds: float | None = None
    lists_past: bool = True

    def rest(self, path: str, query: Mapping[str, str]) -> RestAnswer | None:
        method = path.removeprefix(PLACE)
        if method == "get_instruments":
            return _result([_instrument(listing) for listing in self.listings.values()])
        if method != "get_last_trades_by_currency_and_time":
            return None
        most = int(query.get("count") or LISTED)
        if "currency" not in query or not 0 < most <= LISTED_AT_MOST:
            return RestAnswer({"jsonrpc": "2.0", "error": {"code": -32602, "message": "Invalid params"}}, 400)
        entries = [
            entry
            for entry in fell(self.past, int(query["start_timestamp"]), int(query["end_timestamp"]))
            if _currency(entry.listing) == query["currency"]
        ]
        late, now_ms = self.trouble.late_flags_ms, self.past[-1].event_ms if self.past else 0
        rows = [row for entry in entries for row in _rows(entry, late is None or entry.event_ms + late <= now_ms)]
        if query.get("sorting") != "asc":
            rows.reverse()
        return _result({"trades": rows[:most], "has_more": len(rows) > most})

    def connect(self, path: str, headers: Mapping[str, str]) -> Conversation | None:
        return DeribitConversation(self.trouble) if urlsplit(path).path == "/ws/api/v2" else None


@dataclass(slots=True)
class DeribitConversation:
    """One socket."""

    trouble: Trouble
    channels: set[str] = field(default_factory=set)
    whole_contracts: bool = False
    _interval: int | None = None  # seconds
    _quiet: int = 0  # seconds since the last test, or since its answer
    _tested: bool = False

    def receive(self, frame: Frame, now_ms: int) -> Sequence[Frame]:
        message = parse(frame)
        if message is None:
            return [_error(None, -32700, "Parse error")]
        number, params = message.get("id"), message.get("params") or {}
        match message.get("method"):
            case "public/subscribe":
                asked = params.get("channels") or []
                granted = [name for name in asked if name == CHANNEL and name not in self.trouble.refuse]
                self.channels.update(granted)
                return [_answer(number, granted)]
            case "public/set_heartbeat":
                interval = params.get("interval")
                if not isinstance(interval, int) or interval < LEAST_INTERVAL:
                    return [_error(number, -32602, "Invalid params")]
                self._interval = interval
                return [_answer(number, "ok")]
            case "public/test":
                if not self.trouble.ignore_pongs:
                    self._tested = False
                return [_answer(number, {"version": "1.2.26"})]
            case _:
                return [_error(number, -32601, "Method not found")]

    def carries(self, listing: Listing) -> bool:
        return CHANNEL in self.channels

    def push(self, entries: Sequence[Entry], now_ms: int) -> Sequence[Frame]:
        flagged = self.trouble.late_flags_ms is None
        return [_told([row for entry in entries for row in _rows(entry, flagged)])]

    def second(self, now_ms: int) -> Sequence[Frame]:
        if self._interval is None:
            return ()
        self._quiet += 1
        if self._quiet < self._interval:
            return ()
        self._quiet = 0
        if self._tested:
            raise HangUp("heartbeat test was not answered")
        self._tested = True
        beats = ({"type": "heartbeat"}, {"type": "test_request"})
        return [text({"jsonrpc": "2.0", "method": "heartbeat", "params": beat}) for beat in beats]

    def ticks(self, now_ms: int) -> Sequence[Frame]:
        if not self.channels:
            return ()
        price = float(COINS["BTC"].price)
        return [_told([_row("BTC-PERPETUAL", f"T{now_ms}", now_ms, price, 10.0, "buy")])]


def _rows(entry: Entry, flagged: bool) -> list[Mapping[str, Any]]:
    """An ordinary trade, and one of the liquidation, which is the taker's or, now and then, the maker's."""
    maker = entry.number % 3 == 0
    forced = "sell" if entry.side == LONG else "buy"
    other = "buy" if entry.side == LONG else "sell"
    price, amount, name = float(entry.price), float(entry.contracts), entry.listing.symbol
    direction = other if maker else forced  # of the taker
    flag = {"liquidation": "M" if maker else "T"} if flagged else {}
    return [
        _row(name, str(2 * entry.number), entry.event_ms, price, amount, forced),
        {**_row(name, str(2 * entry.number + 1), entry.event_ms, price, amount, direction), **flag},
    ]


def _row(name: str, trade_id: str, at_ms: int, price: float, amount: float, direction: str) -> Mapping[str, Any]:
    return {
        "trade_seq": at_ms % 10**9,
        "trade_id": trade_id,
        "timestamp": at_ms,
        "tick_direction": 1,
        "price": price,
        "mark_price": price,
        "index_price": price,
        "instrument_name": name,
        "direction": direction,
        "amount": amount,
    }


def _told(rows: Sequence[Mapping[str, Any]]) -> str:
    return text({"jsonrpc": "2.0", "method": "subscription", "params": {"channel": CHANNEL, "data": rows}})


def _answer(number: object, result: object) -> str:
    return text({"jsonrpc": "2.0", "id": number, "result": result, "testnet": False})


def _error(number: object, code: int, words: str) -> str:
    return text({"jsonrpc": "2.0", "id": number, "error": {"code": code, "message": words}})


def _result(result: object) -> RestAnswer:
    return RestAnswer({"jsonrpc": "2.0", "result": result, "testnet": False})


def _currency(listing: Listing) -> str:
    return listing.base if listing.inverse else listing.quote


def _instrument(listing: Listing) -> Mapping[str, Any]:
    return {
        "instrument_name": listing.symbol,
        "kind": "future",
        "instrument_type": listing.product,
        "base_currency": listing.base,
        "quote_currency": listing.quote,
        "counter_currency": listing.quote,
        "settlement_currency": _currency(listing),
        "contract_size": float(listing.step),
        "tick_size": float(listing.tick),
        "is_active": listing.trading,
    }


DIALECT = DeribitDialect
