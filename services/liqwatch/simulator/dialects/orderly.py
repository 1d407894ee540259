"""Orderly: positions taken over, told without a price; mark prices of all symbols each second; the past by REST."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any
from urllib.parse import urlsplit

from ...events import LONG
from ..listings import Listing, linear
from ..orders import Entry, plain
from ..trouble import Trouble
from .base import Conversation, Frame, HangUp, Listings, RestAnswer, fell, parse, text

LIQUIDATIONS, MARKS = "liquidation", "markprices"
PING_SECONDS, MOST_MISSED = 10, 10
LISTED, LISTED_AT_MOST = 25, 500


def listings() -> Iterator[Listing]:
    yield from linear("orderly", "perp", "PERP_{}_USDC", "USDC", thousand="1000PEPE")


@dataclass(slots=True)
class OrderlyDialect:
    """ws-evm.orderly.org and api.orderly.org."""

    listings: Listings
    trouble: Trouble
    past: Sequence[Entry]
    venue: str = "orderly"
    batch_ms: int = 0
    control_ping_seconds: float | None = None
    lists_past: bool = True
    priced: set[str] = field(default_factory=set)  # symbols whose mark is that of their latest liquidation

    def rest(self, path: str, query: Mapping[str, str]) -> RestAnswer | None:
        if path == "/v1/public/futures":
            return _answer([_market(listing) for listing in self.listings.values()])
        if path != "/v1/public/liquidated_positions":
            return None
        latest = self.past[-1].event_ms if self.past else 0
        found = fell(self.past, int(query.get("start_t") or 0), int(query.get("end_t") or latest))
        size = min(int(query.get("size") or LISTED), LISTED_AT_MOST)
        start = (int(query.get("page") or 1) - 1) * size
        rows = [_past(entry) for entry in [*reversed(found)][start : start + size]]
        meta = {"total": min(len(found), 500), "records_per_page": size, "current_page": start // size + 1}
        return _answer(rows, meta=meta)

    def connect(self, path: str, headers: Mapping[str, str]) -> Conversation | None:
        place, _, account = urlsplit(path).path.removeprefix("/ws/").partition("/")
        return OrderlyConversation(self) if place == "stream" and account else None


@dataclass(slots=True)
class OrderlyConversation:
    """One socket."""

    exchange: OrderlyDialect
    topics: set[str] = field(default_factory=set)
    whole_contracts: bool = False
    _seconds: int = 0
    _unanswered: int = 0

    def receive(self, frame: Frame, now_ms: int) -> Sequence[Frame]:
        message = parse(frame) or {}
        event, topic = message.get("event"), str(message.get("topic"))
        if event == "pong":
            if not self.exchange.trouble.ignore_pongs:
                self._unanswered = 0
            return ()
        if event == "ping":
            return [text({"event": "pong", "ts": now_ms})]
        answer = {"id": message.get("id"), "event": event, "success": True, "ts": now_ms}
        if event == "unsubscribe":
            self.topics.discard(topic)
            return [text(answer)]
        if event != "subscribe" or topic not in (LIQUIDATIONS, MARKS) or topic in self.exchange.trouble.refuse:
            return [text({**answer, "success": False, "errorMsg": f"invalid topic {topic}"})]
        self.topics.add(topic)
        return [text(answer)]

    def carries(self, listing: Listing) -> bool:
        return LIQUIDATIONS in self.topics

    def push(self, entries: Sequence[Entry], now_ms: int) -> Sequence[Frame]:
        """What is pushed is the list: the one before comes with the new one. The mark price moves there first."""
        frames: list[Frame] = []
        rows: list[Mapping[str, Any]] = []
        for entry in entries:
            self.exchange.priced.add(entry.listing.symbol)
            if MARKS in self.topics:
                frames.append(_marks([(entry.listing, entry.price)], now_ms))
            rows = [*rows[-1:], _pushed(entry)]
            frames.append(text({"topic": LIQUIDATIONS, "ts": now_ms, "data": rows}))
        return frames

    def second(self, now_ms: int) -> Sequence[Frame]:
        self._seconds += 1
        if self._seconds % PING_SECONDS:
            return ()
        if self._unanswered == MOST_MISSED:
            raise HangUp("no pong")
        self._unanswered += 1
        return [text({"event": "ping", "ts": now_ms})]

    def ticks(self, now_ms: int) -> Sequence[Frame]:
        if MARKS not in self.topics:
            return ()
        # Not those with a liquidation: a price that jumps back before it is read would make another sum of it.
        listings = [one for one in self.exchange.listings.values() if one.symbol not in self.exchange.priced]
        return [_marks([(listing, listing.reference_price) for listing in listings], now_ms)]


def _marks(prices: Sequence[tuple[Listing, Decimal]], now_ms: int) -> str:
    rows = [{"symbol": listing.symbol, "price": float(price)} for listing, price in prices]
    return text({"topic": MARKS, "ts": now_ms, "data": rows})


def _quantity(entry: Entry) -> float:
    # The sign is the position's.
    return float(entry.contracts if entry.side == LONG else -entry.contracts)


def _pushed(entry: Entry) -> Mapping[str, Any]:
    position = {"symbol": entry.listing.symbol, "positionQty": _quantity(entry), "liquidatorFee": 0.015}
    # An account's other positions come with it, also those of nothing.
    empty = {"symbol": entry.listing.symbol, "positionQty": 0, "liquidatorFee": 0.015}
    return {
        "liquidationId": entry.number,
        "timestamp": entry.event_ms,
        "type": "liquidated",
        "positionsByPerp": [empty, position] if entry.number % 4 == 0 else [position],
    }


def _past(entry: Entry) -> Mapping[str, Any]:
    position = {
        "symbol": entry.listing.symbol,
        "position_qty": _quantity(entry),
        "liquidator_fee": 0.015,
        "cost_position_transfer": float(entry.notional() if entry.side == LONG else -entry.notional()),
        "transfer_price": float(entry.price),
        "abs_liquidator_fee": 0.0,
    }
    return {
        "timestamp": entry.event_ms,
        "liquidation_id": entry.number,
        "transfer_amount_to_insurance_fund": 0,
        "type": "liquidated",
        "positions_by_perp": [position],
    }


def _answer(rows: Sequence[Mapping[str, Any]], **more: object) -> RestAnswer:
    return RestAnswer({"success": True, "timestamp": 0, "data": {"rows": rows, **more}})


def _market(listing: Listing) -> Mapping[str, Any]:
    price = float(plain(listing.reference_price))
    return {"symbol": listing.symbol, "index_price": price, "mark_price": price, "open_interest": 1.0}


DIALECT = OrderlyDialect
