"""HTX swaps: every frame is gzip, the server pings with a text timestamp and closes when it is not answered."""

import gzip
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any
from urllib.parse import urlsplit

import orjson

from ...events import LONG
from ..listings import Listing, linear, special
from ..orders import EXACT, Entry, plain
from ..trouble import Trouble
from .base import Conversation, Frame, HangUp, Listings, RestAnswer, fell, of_product, parse, text

PING_SECONDS = 5
UNANSWERED = 5
LISTED_AT_MOST = 50  # past orders in one answer
PLACES = 18  # of numbers in the lists, filled up with zeros; the socket sends none in vain
LONGEST_MS = 2 * 3_600_000
_SOCKETS = {"/linear-swap-notification": "linear", "/swap-notification": "coin"}
_LISTS = {"/linear-swap-api/v1/swap_contract_info": "linear", "/swap-api/v1/swap_contract_info": "coin"}
_PAST = {
    "/linear-swap-api/v3/swap_liquidation_orders": "linear",
    "/swap-api/v3/swap_liquidation_orders": "coin",
}


_CONTRACTS = {  # coins
    "BTC": "0.001",
    "ETH": "0.01",
    "SOL": "1",
    "XRP": "10",
    "DOGE": "100",
    "BNB": "0.01",
    "ADA": "10",
    "LINK": "0.1",
    "AVAX": "1",
    "SUI": "1",
    "LTC": "0.1",
    "ENA": "10",
    "WLD": "1",
    "PEPE": "1000000",
}


def listings() -> Iterator[Listing]:
    yield from linear("htx", "linear", "{}-USDT", "USDT", contracts=_CONTRACTS)
    yield special("htx", "coin", "BTC-USD", "BTC", "USD", "100", inverse=True)
    yield special("htx", "coin", "ETH-USD", "ETH", "USD", "10", inverse=True)
    yield special("htx", "linear", "BTC-USDT-271231", "BTC", "USDT", "0.001", dated=True)


@dataclass(slots=True)
class HtxDialect:
    """api.hbdm.com, both products."""

    listings: Listings
    trouble: Trouble
    past: Sequence[Entry]
    venue: str = "htx"
    batch_ms: int = 0
    control_ping_seconds: float | None = None
    lists_past: bool = True

    def rest(self, path: str, query: Mapping[str, str]) -> RestAnswer | None:
        if path in _PAST:
            return self._past_orders(_PAST[path], query)
        product = _LISTS.get(path)
        if product is None:
            return None
        dated = query.get("business_type") == "all"  # without it the list holds swaps only
        listings = [listing for listing in of_product(self.listings, product) if dated or not listing.dated]
        return RestAnswer({"status": "ok", "data": [_contract(listing) for listing in listings], "ts": 0})

    def _past_orders(self, product: str, query: Mapping[str, str]) -> RestAnswer:
        """Of one contract, in two hours at most; the first answer has the newest, `from_id` goes on after one."""
        listing = self.listings.get(query.get("contract", ""))
        if listing is None or listing.product != product:
            return _refused(1332, "The contract doesnt exist.")
        if query.get("trade_type") not in ("0", "5", "6"):
            return _refused(1030, "Abnormal trade_type.")
        latest = self.past[-1].event_ms if self.past else 0
        until = int(query.get("end_time") or latest)
        since = int(query.get("start_time") or until - LONGEST_MS)
        if until - since > LONGEST_MS:
            return _refused(1030, "start_time and end_time may lie two hours apart.")
        newest_first = query.get("direct", "prev") == "prev"
        wanted = {"5": "sell", "6": "buy"}.get(query["trade_type"])
        found = sorted(fell(self.past, since, until), key=lambda entry: entry.number, reverse=newest_first)
        start = int(query.get("from_id") or 0)
        rows = [
            entry
            for entry in found
            if entry.listing == listing
            and wanted in (None, _direction(entry))
            and (not start or (entry.number < start if newest_first else entry.number > start))
        ]
        data = [
            orjson.Fragment(f'{{"query_id":{entry.number},{_fields(entry, PLACES)}}}')
            for entry in rows[:LISTED_AT_MOST]
        ]
        return RestAnswer({"code": 200, "msg": "", "data": data, "ts": latest})

    def connect(self, path: str, headers: Mapping[str, str]) -> Conversation | None:
        product = _SOCKETS.get(urlsplit(path).path)
        return HtxConversation(self.listings, self.trouble, product) if product else None


@dataclass(slots=True)
class HtxConversation:
    """One socket of one product."""

    listings: Listings
    trouble: Trouble
    product: str
    codes: set[str] = field(default_factory=set)
    whole_contracts: bool = False
    _seconds: int = 0
    _unanswered: list[str] = field(default_factory=list)

    def receive(self, frame: Frame, now_ms: int) -> Sequence[Frame]:
        message = parse(frame)
        if message is None:
            return [packed(text({"op": "error", "ts": now_ms, "err-code": 1001, "err-msg": "invalid json"}))]
        match message.get("op"):
            case "pong":
                # Only the very same text counts: a number is no answer.
                if message.get("ts") in self._unanswered and not self.trouble.ignore_pongs:
                    self._unanswered.clear()
                return []
            case "sub":
                return [packed(self._subscribe(message, now_ms))]
            case "unsub":
                self.codes.discard(_code(message.get("topic")))
                return [packed(self._answer(message, now_ms, 0))]
            case _:
                return [packed(self._answer(message, now_ms, 1003, "invalid op"))]

    def _subscribe(self, message: Mapping[str, Any], now_ms: int) -> str:
        code = _code(message.get("topic"))
        listing = self.listings.get(code)
        exists = code == "*" or (listing is not None and listing.product == self.product)
        if not exists or code in self.trouble.refuse:
            return self._answer(message, now_ms, 1007, "Illegal contract_code.")
        if code in self.codes or "*" in self.codes:
            return self._answer(message, now_ms, 2014, "Repeated subscription.")
        self.codes.add(code)
        return self._answer(message, now_ms, 0)

    def _answer(self, message: Mapping[str, Any], now_ms: int, code: int, words: str | None = None) -> str:
        answer = {key: message[key] for key in ("op", "cid", "topic") if key in message}
        return text(answer | {"ts": now_ms, "err-code": code} | ({"err-msg": words} if words else {}))

    def carries(self, listing: Listing) -> bool:
        return listing.product == self.product and bool({"*", listing.symbol} & self.codes)

    def push(self, entries: Sequence[Entry], now_ms: int) -> Sequence[Frame]:
        return [packed(notify(entry, now_ms)) for entry in entries]

    def second(self, now_ms: int) -> Sequence[Frame]:
        self._seconds += 1
        if self._seconds % PING_SECONDS:
            return ()
        if len(self._unanswered) >= UNANSWERED:
            raise HangUp("no pong", [packed(text({"op": "close", "ts": now_ms}))])
        self._unanswered.append(str(now_ms))
        return [packed(text({"op": "ping", "ts": str(now_ms)}))]

    def ticks(self, now_ms: int) -> Sequence[Frame]:
        return ()


def packed(message: str) -> bytes:
    return gzip.compress(message.encode(), 1, mtime=0)


def notify(entry: Entry, now_ms: int) -> str:
    """The message about one order."""
    topic = f"public.{entry.listing.symbol}.liquidation_orders"
    return f'{{"op":"notify","topic":"{topic}","ts":{now_ms},"data":[{{{_fields(entry)}}}]}}'


def _direction(entry: Entry) -> str:
    return "sell" if entry.side == LONG else "buy"  # the order's: a long is closed by selling


def _refused(code: int, words: str) -> RestAnswer:
    return RestAnswer({"code": code, "msg": words, "data": None, "ts": 0})


def _fields(entry: Entry, places: int = 0) -> str:
    """The fields of an order. Numbers are JSON numbers, so they are written out digit by digit."""

    def digits(number: Decimal) -> str:
        return f"{number:.{places}f}" if places else plain(number.normalize(EXACT))

    listing = entry.listing
    amount = digits(round(entry.base(), 12) if listing.inverse else entry.base())
    row = [
        f'"symbol":"{listing.base}"',
        f'"contract_code":"{listing.symbol}"',
        f'"direction":"{_direction(entry)}"',
        '"offset":"close"',
        f'"volume":{digits(entry.contracts)}',
        f'"price":{digits(entry.price)}',
        f'"created_at":{entry.event_ms}',
        f'"amount":{amount}',
    ]
    if not listing.inverse:
        turnover = digits(EXACT.multiply(entry.base(), entry.price))
        kind = _business_type(listing)
        row += [f'"trade_turnover":{turnover}', f'"contract_type":"{kind}"', f'"pair":"{_pair(listing)}"']
        row += [f'"business_type":"{kind}"', f'"trade_partition":"{listing.quote}"']
    return ",".join(row)


def _code(topic: object) -> str:
    return str(topic).removeprefix("public.").removesuffix(".liquidation_orders")


def _pair(listing: Listing) -> str:
    return f"{listing.base}-{listing.quote}"


def _business_type(listing: Listing) -> str:
    return "futures" if listing.dated else "swap"


def _contract(listing: Listing) -> Mapping[str, Any]:
    contract = {
        "symbol": listing.base,
        "contract_code": listing.symbol,
        "contract_size": float(listing.contract),
        "price_tick": float(listing.tick),
        "contract_status": 1 if listing.trading else 0,
    }
    if listing.product == "coin":
        return contract
    kind = {"business_type": _business_type(listing), "trade_partition": listing.quote, "pair": _pair(listing)}
    return contract | kind


DIALECT = HtxDialect
