"""The recordings of `tests/data/venues`: frames as a socket would see them, and what must come out."""

import json
from decimal import Decimal
from pathlib import Path
from typing import Any

from liqwatch.wire import Liquidation

FOLDER = Path(__file__).parents[1] / "data" / "venues"
NAMES = sorted(path.stem for path in FOLDER.glob("*.jsonl"))
USD = ("USD", "USDT", "USDC", "USD1", "FDUSD")
NOW_MS = 1_795_000_010_000


def lines(name: str) -> list[dict[str, Any]]:
    """All lines; the first holds the opening frames."""
    return [json.loads(line) for line in (FOLDER / f"{name}.jsonl").read_text(encoding="utf-8").splitlines()]


def frames(name: str) -> list[tuple[int, dict[str, Any]]]:
    """The frames, with their line in the file."""
    return [(number, line) for number, line in enumerate(lines(name), 1) if "frame" in line]


def facts(event: Liquidation) -> dict[str, Any]:
    """What a recording says of an event; numbers as numbers."""
    return {
        "symbol": event.symbol,
        "base": event.base,
        "side": event.side,
        "price": Decimal(event.price),
        "quantity": Decimal(event.quantity),
        "notional_usd": Decimal(event.notional_usd),
        "event_time_ms": event.event_time_ms,
        "event_id": event.event_id,
    }


def expected(line: dict[str, Any]) -> list[dict[str, Any]]:
    numbers = ("price", "quantity", "notional_usd")
    return [{key: Decimal(value) if key in numbers else value for key, value in e.items()} for e in line["expect"]]
