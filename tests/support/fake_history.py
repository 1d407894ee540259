"""The test venue's list of what was liquidated, and a server's answers from it."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from liqwatch.events import Reason
from liqwatch.venues.base import BadRow, History, HistoryPage, Instruments, Venue
from liqwatch.wire import Liquidation

from .fake_venue import FAKE

ORIGIN = "https://venue.example"


def urls(instruments: Instruments, since_ms: int, until_ms: int) -> Sequence[str]:
    """One question a symbol that trades."""
    trading = sorted(symbol for symbol, one in instruments.items() if one.trading)
    return [f"{ORIGIN}/past?symbol={symbol}&since={since_ms}&until={until_ms}" for symbol in trading]


def read(url: str, body: bytes, instruments: Instruments, received_ms: int) -> HistoryPage:
    page = json.loads(body)
    if "error" in page:
        raise ValueError(page["error"])
    bad = [BadRow(Reason.BAD_PRICE, text) for text in page.get("bad", ())]
    fresh = [row for row in page.get("listed since", ()) if row["symbol"] in instruments]
    unknown = [row["symbol"] for row in page.get("listed since", ()) if row not in fresh]
    bad += [BadRow(Reason.UNKNOWN_SYMBOL, f"unknown symbol {symbol}", symbol) for symbol in unknown]
    return HistoryPage([_event(row, received_ms) for row in [*page["rows"], *fresh]], bad, page.get("next"))


def _event(row: Mapping[str, Any], received_ms: int) -> Liquidation:
    base = row["symbol"].removesuffix("USDT")
    worth = row.get("usd", "100")
    return Liquidation(
        row["id"], "fake", row["symbol"], base, "USDT", row.get("side", "long"), "1", "fill", worth, worth, row["at"],
        received_ms, "venue", "gap-fill", "order",
    )  # fmt: skip


def with_history(*, same_ids: bool = True, resolution_ms: int = 1) -> Venue:
    """The test venue, with a list that settles at once."""
    return replace(
        FAKE,
        history=History(
            urls, read, same_ids=same_ids, reaches=timedelta(hours=24), pause=timedelta(milliseconds=1),
            settles=timedelta(0), resolution_ms=resolution_ms,
        ),
    )  # fmt: skip


def answering(rows: Sequence[Mapping[str, Any]]) -> Callable[[str], object]:
    """Answers from `rows` as they are at the moment of the question."""

    def answer(path: str) -> object:
        asked = dict(parse_qsl(urlsplit(path).query))
        since_ms, until_ms = int(asked["since"]), int(asked["until"])
        return {"rows": [r for r in rows if r["symbol"] == asked["symbol"] and since_ms <= r["at"] <= until_ms]}

    return answer
