"""A venue of our own for tests of the collector: the smallest protocol that has everything.

Frames: {"ack": [...]}, {"no": text}, {"tick": 1} (control), "pong", {"liq": [{"id","symbol","side","usd","at"}...]}.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from typing import Any

from liqwatch.venues.base import (
    ACK,
    CONTROL,
    HEARTBEAT,
    IGNORED,
    BadRow,
    Feed,
    Frame,
    FrameKind,
    Instrument,
    InstrumentList,
    InstrumentPage,
    Instruments,
    Reason,
    Received,
    Venue,
)
from liqwatch.wire import Liquidation

LISTING = {"symbols": {"BTCUSDT": {"size": "1"}, "ETHUSDT": {"size": "1"}}}
PATH = "/list?page=1"


class FakeSession:
    def __init__(self, feed: Feed, instruments: Instruments, symbols: Sequence[str]) -> None:
        self._instruments = instruments
        self._symbols = list(symbols)
        self._wanted = {*symbols} if symbols else {"*"}

    def opening_frames(self) -> Sequence[Frame]:
        return [json.dumps({"sub": self._symbols or ["*"]})]

    def ping_frame(self) -> Frame | None:
        return "ping"

    def subscribe_more(self, symbols: Sequence[str]) -> Sequence[Frame]:
        self._wanted |= {*symbols}
        return [json.dumps({"sub": list(symbols)})]

    @property
    def acknowledged(self) -> bool:
        return not self._wanted

    @property
    def control_expected(self) -> bool:
        return True

    def receive(self, frame: Frame, received_ms: int) -> Received:
        if frame == "pong":
            return HEARTBEAT
        try:
            message = json.loads(frame)
        except ValueError as error:
            return Received(FrameKind.REJECTED, error=f"not JSON: {error}")
        if "bug" in message:
            raise ZeroDivisionError("a bug in the decoder")
        if "ack" in message:
            self._wanted -= {*message["ack"]}
            return ACK
        if "no" in message:
            return Received(FrameKind.REFUSED, error=message["no"])
        if "tick" in message:
            return CONTROL
        if "liq" not in message:
            return IGNORED
        good: list[Liquidation] = []
        bad: list[BadRow] = []
        for row in message["liq"]:
            if row["symbol"] not in self._instruments:
                bad.append(BadRow(Reason.UNKNOWN_SYMBOL, f"unknown symbol {row['symbol']}", row["symbol"]))
            else:
                good.append(self._liquidation(row, received_ms))
        kind = FrameKind.DATA if good or not bad else FrameKind.REJECTED
        return Received(kind, good, bad, bad[0].error if bad else None)

    def _liquidation(self, row: Mapping[str, Any], received_ms: int) -> Liquidation:
        instrument = self._instruments[row["symbol"]]
        return Liquidation(
            event_id=row["id"],
            venue="fake",
            symbol=row["symbol"],
            base=instrument.base,
            quote=instrument.quote,
            side=row.get("side", "long"),
            price="1",
            price_kind="fill",
            quantity=row.get("usd", "1"),
            notional_usd=str(Decimal(row.get("usd", "1")) * instrument.contract_size),
            event_time_ms=row.get("at", received_ms),
            received_time_ms=received_ms,
            timed_by="venue",
            source="stream",
            unit="order",
        )


def read_instruments(listed: InstrumentList, body: bytes) -> InstrumentPage:
    page = json.loads(body)
    return InstrumentPage(page["symbols"], page.get("next"))


def instrument(symbol: str, row: Mapping[str, Any]) -> Instrument:
    return Instrument(symbol, symbol.removesuffix("USDT"), "USDT", contract_size=Decimal(row["size"]))


FAKE = Venue(
    name="fake",
    title="A venue for tests",
    docs="https://venue.example/docs",
    checked="2026-11-01",
    completeness="all",
    completeness_note="All of nothing.",
    side_rule="`side` is the side of the position.",
    price_kind="fill",
    unit="order",
    feeds=(Feed("main", "wss://venue.example/stream"),),
    instrument_lists=(InstrumentList("main", f"https://venue.example{PATH}"),),
    read_instruments=read_instruments,
    instrument=instrument,
    session=FakeSession,
    ping_every=timedelta(seconds=0.1),
    silence_limit=timedelta(seconds=20),
)


def per_symbol(symbols_per_socket: int) -> Venue:
    """The same venue without a wildcard."""
    return replace(FAKE, feeds=(replace(FAKE.feeds[0], symbols_per_socket=symbols_per_socket),))


def liquidation_frame(*ids: str, symbol: str = "BTCUSDT", usd: str = "100") -> str:
    return json.dumps({"liq": [{"id": name, "symbol": symbol, "usd": usd} for name in ids]})
