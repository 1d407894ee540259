"""Coinbase's international derivatives, on Deribit's software. Unproven: nobody has seen the flag of a liquidation."""

from datetime import timedelta

from ._rows import Stamp
from .base import Feed, InstrumentList, Venue
from .deribit import DeribitSession, instrument, read_instruments

NAME = "coinbase_international"


class CoinbaseInternationalSession(DeribitSession):
    """Deribit's conversation, under another name."""

    stamp = Stamp(NAME, "fill", "fill")


VENUE = Venue(
    name=NAME,
    title="Coinbase International",
    docs="https://docs.cdp.coinbase.com/coinbase-app/advanced-trade-apis/guides/derivatives/overview",
    checked="2026-09-22",
    completeness="unproven",
    completeness_note="Trades that may carry Deribit's flag: late, as there, or not at all.",
    side_rule="As on Deribit: `liquidation` T is the taker, M the other, MT both; `direction` is the taker's.",
    price_kind="fill",
    unit="fill",
    feeds=(Feed("trades", "wss://streams.drb.coinbase.com/ws/api/v2"),),
    instrument_lists=(
        InstrumentList(
            "futures", "https://drb.coinbase.com/api/v2/public/get_instruments?currency=any&kind=future&expired=false"
        ),
    ),
    read_instruments=read_instruments,
    instrument=instrument,
    session=CoinbaseInternationalSession,
    ping_every=None,
    silence_limit=timedelta(seconds=40),
    control_limit=timedelta(minutes=10),
    connects=30,
    connects_per=timedelta(minutes=5),
    enabled_by_default=False,
    doubts=(
        "The flag is documented at Deribit and was not seen on this host. At Deribit the stream lacks it, and only "
        "REST has it, an hour later: what this feed brings may be nothing."
    ),
)
