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
class Due:
    """One event of the books, kept where tests ask for it."""

    entry: Entry
    micro_usd: int
    at_ms: int  # when it was sent, or nobody was there


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


@dataclass(frozen=True, slots=True)
class Account:
    """One venue and side: what a collector can know at best, and what it cannot."""

    venue: str
    side: Side
    sent: Tally
    listed: Tally  # missed on the sockets, and in the venue's history
    missed: Tally  # on the sockets

    @property
    def known(self) -> tuple[int, int]:
        """Count and micro-dollars that a collector knows which also reads the history."""
        return self.sent.count + self.listed.count, self.sent.micro_usd + self.listed.micro_usd

    @property
    def lost(self) -> tuple[int, int]:
        """Count and micro-dollars that nobody can know."""
        return self.missed.count - self.listed.count, self.missed.micro_usd - self.listed.micro_usd


@dataclass(slots=True)
class Books:
    """What went out on at least one socket, each event once, and what was due while nobody listened: `missed`.

    Of that, `listed` is in the venue's REST history: a collector that reads it as well knows `sent` and `listed`.

    Worth is taken from the rounded fields on the wire, in USD: a quote in stablecoins counts 1:1. What is quoted
    in another currency stands in `unpriced`, in that currency.
    """

    sent: Ledger = field(default_factory=Ledger)
    missed: Ledger = field(default_factory=Ledger)
    listed: Ledger = field(default_factory=Ledger)
    unpriced: Ledger = field(default_factory=Ledger)
    keep: bool = False
    events: list[Due] = field(default_factory=list)  # those sent
    unheard: list[Due] = field(default_factory=list)  # those missed

    def add(
        self, entry: Entry, *, sent: bool, whole_contracts: bool = False, listed: bool = False, at_ms: int = 0
    ) -> None:
        """`whole_contracts`: every receiver was sent the size with its fraction cut off.

        `listed`: the venue's history tells of it, sent or not.
        """
        contracts = entry.contracts // 1 if whole_contracts else entry.contracts
        sent = sent and contracts > 0
        micro_usd = micro_dollars(entry.notional(contracts))
        if not entry.listing.quote.startswith("USD"):
            self.unpriced.add(entry, micro_usd)
        elif sent:
            self.sent.add(entry, micro_usd)
            if self.keep:
                self.events.append(Due(entry, micro_usd, at_ms))
        else:
            self.missed.add(entry, micro_usd)
            if self.keep:
                self.unheard.append(Due(entry, micro_usd, at_ms))
            if listed:
                self.listed.add(entry, micro_usd)

    def accounts(self) -> list["Account"]:
        """By venue and side, sorted."""
        keys = {(venue, side) for ledger in (self.sent, self.missed) for venue, _, side in ledger.tallies}
        return [
            Account(
                venue,
                side,
                self.sent.of(venue, side),
                self.listed.of(venue, side),
                self.missed.of(venue, side),
            )
            for venue, side in sorted(keys)
        ]

    def usd(self, side: Side | None = None, venue: str | None = None) -> int:
        """Micro-dollars sent."""
        return self.sent.of(venue, side).micro_usd

    def count(self, side: Side | None = None, venue: str | None = None) -> int:
        """Events sent."""
        return self.sent.of(venue, side).count
