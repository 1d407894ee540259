"""All kinds of frames of the decode benchmark, as one table that its workers read from a file.

Written by hand where a venue has several forms worth measuring; else made from the venue's recording; and the ordinary
trades of the trade feeds.
"""

import json
import random
from collections.abc import Callable
from decimal import Decimal
from typing import Any

from liqwatch import venues
from liqwatch.venues.base import Frame, build_instruments

from .decode_frames import DIFFERENT, KINDS, START_MS, texts
from .trade_frames import ORDINARY

USD = ("USD", "USDT", "USDC")
NOW_MS = 1_795_000_500_000
Kind = dict[str, Any]  # venue, objects, symbols, before, symbol, trades, texts

OBJECTS: dict[str, dict[str, Any]] = {  # of the hand-written frames
    "binance": {
        "BTCUSDT": {"baseAsset": "BTC", "quoteAsset": "USDT"},
        "BTCUSD_270326": {"baseAsset": "BTC", "quoteAsset": "USD", "contractSize": 100},
    },
    "bybit": {
        "BTCUSDT": {"contractType": "LinearPerpetual", "baseCoin": "BTC", "quoteCoin": "USDT"},
        "BTCUSD": {"contractType": "InversePerpetual", "baseCoin": "BTC", "quoteCoin": "USD"},
    },
    "okx": {
        "BTC-USDT-SWAP": {
            "ctVal": "0.01",
            "ctMult": "1",
            "ctValCcy": "BTC",
            "ctType": "linear",
            "settleCcy": "USDT",
        },
        "BTC-USD-SWAP": {"ctVal": "100", "ctMult": "1", "ctValCcy": "USD", "ctType": "inverse", "settleCcy": "BTC"},
    },
    "bitget": {"BTCUSDT": {"baseCoin": "BTC", "quoteCoin": "USDT"}},
    "gate": {"BTC_USDT": {"type": "direct", "quanto_multiplier": "0.0001"}},
    "htx": {"BTC-USDT": {"symbol": "BTC", "contract_size": 0.001}},
}

WRITTEN = set(OBJECTS)  # venues that have them


def written() -> dict[str, Kind]:
    """The hand-written liquidations, of which every one is understood."""
    found = {}
    for name in KINDS:
        venue = name.replace(",", "").split()[0]
        found[name] = kind(venue, texts(name), OBJECTS[venue])
        receive = session_of(found[name])
        assert all(receive(text, NOW_MS).liquidations for text in found[name]["texts"]), name
    return found


def ordinary() -> dict[str, Kind]:
    """Ordinary trades, of which none is taken for a liquidation or for rubbish."""
    found = {}
    for venue, (make, trades) in ORDINARY.items():
        rng = random.Random(f"trades {venue}")
        frames = [make(rng, START_MS + 37 * number) for number in range(DIFFERENT)]
        texts_of = [
            f"hex:{one.hex()}" if isinstance(one, bytes) else json.dumps(one, separators=(",", ":")) for one in frames
        ]
        found[f"trades {venue}"] = kind(venue, texts_of, {}, trades=trades)
        receive = session_of(found[f"trades {venue}"])
        assert all(receive(wire(text), NOW_MS).kind.value == "control" for text in texts_of), venue
    return found


def kind(venue: str, texts: list[str], objects: Kind, trades: int = 0) -> Kind:
    return {
        "venue": venue, "texts": texts, "objects": objects, "symbols": [], "before": [], "trades": trades,
    }  # fmt: skip


def session_of(kind: Kind) -> Callable[[Frame, int], Any]:
    """`receive` of a new session of the venue, which has heard what comes before such a frame."""
    venue = venues.discover()[kind["venue"]]
    objects = json.loads(json.dumps(kind["objects"]), parse_float=Decimal)
    instruments, errors = build_instruments(venue, objects, USD)
    assert not errors, errors
    session = venue.session(venue.feeds[0], instruments, kind["symbols"])
    session.opening_frames()
    for text in kind["before"]:
        session.receive(wire(text), NOW_MS)
    return session.receive


def wire(text: str) -> Frame:
    """As it comes from the socket: binary frames stand as `hex:…` in the table."""
    return bytes.fromhex(text[4:]) if text.startswith("hex:") else text
