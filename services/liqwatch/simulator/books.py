"""The simulator's own books: exactly what was sent, and what nobody was there to receive."""

from dataclasses import dataclass, field

from ..events import Side
from .orders import Entry, micro_dollars


@dataclass(slots=True)
class Tally:
    """Count, integer micro-dollars and the largest entry of some events."""

    count: int = 0
    micro_usd: int = 0
    largest_micro_usd: int = 0

    def add(self, micro_usd: int) -> None:
        self.count += 1
        self.micro_usd += micro_usd
        self.largest_micro_usd = max(self.largest_micro_usd, micro_usd)


@dataclass(frozen=True, slots=True)
class Sent:
    """One event of the books, kept where tests ask for it."""

    entry: Entry
    micro_usd: int


@dataclass(slots=True)
class Ledger:
    """Tallies by venue, symbol and side; sums of any part of them are exact."""

    tallies: dict[tuple[str, str, Side], Tally] = field(default_factory=dict)

    def add(self, entry: Entry, micro_usd: int) -> None:
        key = (entry.listing.venue, entry.listing.symbol, entry.side)
        self.tallies.setdefault(key, Tally()).add(micro_usd)

    def of(self, venue: str | None = None, side: Side | None = None, symbol: str | None = None) -> Tally:
        """The tally of everything that matches; None matches all."""
        found = Tally()
        for key, tally in self.tallies.items():
            if all(wanted in (None, part) for wanted, part in zip((venue, symbol, side), key, strict=True)):
                found.count += tally.count
                found.micro_usd += tally.micro_usd
                found.largest_micro_usd = max(found.largest_micro_usd, tally.largest_micro_usd)
        return found


@dataclass(slots=True)
class Books:
    """What went out on at least one socket, each event once, and what was due while nobody listened.

    Worth is taken from the rounded fields on the wire, in USD: a quote in stablecoins counts 1:1. What is quoted
    in another currency stands in `unpriced`, in that currency.
    """

    sent: Ledger = field(default_factory=Ledger)
    missed: Ledger = field(default_factory=Ledger)
    unpriced: Ledger = field(default_factory=Ledger)
    keep: bool = False
    events: list[Sent] = field(default_factory=list)

    def add(self, entry: Entry, *, sent: bool, whole_contracts: bool = False) -> None:
        """`whole_contracts`: every receiver was sent the size with its fraction cut off."""
        contracts = entry.contracts // 1 if whole_contracts else entry.contracts
        sent = sent and contracts > 0
        micro_usd = micro_dollars(entry.notional(contracts))
        if not entry.listing.quote.startswith("USD"):
            self.unpriced.add(entry, micro_usd)
        elif sent:
            self.sent.add(entry, micro_usd)
            if self.keep:
                self.events.append(Sent(entry, micro_usd))
        else:
            self.missed.add(entry, micro_usd)

    def usd(self, side: Side | None = None, venue: str | None = None) -> int:
        """Micro-dollars sent."""
        return self.sent.of(venue, side).micro_usd

    def count(self, side: Side | None = None, venue: str | None = None) -> int:
        """Events sent."""
        return self.sent.of(venue, side).count
