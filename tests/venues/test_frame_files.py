"""Frame files with independent answers, where they are at hand: in `$LIQWATCH_FRAMES`, or beside the repository."""

import io
import json
import os
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from liqwatch import normalize, venues

FOLDER = Path(os.environ.get("LIQWATCH_FRAMES") or Path(__file__).parents[3] / "shared" / "venues" / "frames")
VENUES = {"binance_usdm": "binance", "binance_coinm": "binance"}  # elsewhere the file is called as the venue is
FILES = {path.stem: VENUES.get(path.stem, path.stem) for path in sorted(FOLDER.glob("*.jsonl"))}
FOUND = [name for name, venue in FILES.items() if venue in venues.names()]
# Products are exact. A quotient is given there to 24 digits, Bitget's to 8 places.
NEAR = {"bitget": Decimal("1e-6")}


@pytest.mark.skipif(not FOUND, reason=f"no frame files in {FOLDER}; LIQWATCH_FRAMES names another folder")
@pytest.mark.parametrize("name", FOUND or ["none"])
def test_frame_files_come_out_as_they_say(name: str) -> None:
    lines = (FOLDER / f"{name}.jsonl").read_text(encoding="utf-8").splitlines()
    out = io.StringIO()

    normalize.run(FILES[name], lines, out, recording=True)

    answers = [json.loads(line) for line in out.getvalue().splitlines()]
    assert len(lines) == len(answers)
    for number, (line, answer) in enumerate(zip(lines, answers, strict=True), 1):
        wanted = json.loads(line)
        rights = [wanted["expect"]] + ([wanted["alt_expect"]] if "alt_expect" in wanted else [])
        near = NEAR.get(name, Decimal("1e-9"))
        assert any(same(right, answer["liquidations"], near) for right in rights), f"line {number}: {answer}"


def same(wanted: list[dict[str, Any]], found: list[dict[str, Any]], near: Decimal) -> bool:
    return len(wanted) == len(found) and all(
        (a["symbol"], a["base"], a["side"]) == (b["symbol"], b["base"], b["side"])
        and (b["timed_by"] == "received" if a["time_ms"] is None else a["time_ms"] == b["event_time_ms"])
        and Decimal(a["price"]) == Decimal(b["price"])
        and Decimal(a["notional_usd"]) == Decimal(b["notional_usd"])
        and abs(Decimal(a["quantity"]) / Decimal(b["quantity"]) - 1) <= near
        for a, b in zip(wanted, found, strict=True)
    )
