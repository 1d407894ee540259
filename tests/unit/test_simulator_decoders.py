"""Two readings of the venues' pages against each other: what the simulator writes is what the decoders read."""

import gzip
from collections.abc import Mapping, Sequence
from decimal import Decimal
from urllib.parse import parse_qsl, urlsplit

import orjson
import pytest

from liqwatch import venues
from liqwatch.settings import CollectorSettings
from liqwatch.simulator.books import Books
from liqwatch.simulator.dialects import VENUES, dialect, standard
from liqwatch.simulator.dialects.base import Conversation, Dialect
from liqwatch.simulator.listings import COINS, Listing
from liqwatch.simulator.orders import Entry, Order, entry
from liqwatch.simulator.past import Past
from liqwatch.simulator.shapes import Maker, Mix, Phase
from liqwatch.simulator.trouble import Trouble
from liqwatch.venues.base import Feed, FrameKind, Instrument, Session, Venue, build_instruments
from liqwatch.wire import Liquidation, micros

NOW_MS = 1_800_000_000_000
HEARD = (FrameKind.DATA, FrameKind.CONTROL, FrameKind.IGNORED)  # a trade feed tells of ordinary trades as well


def unpacked(frame: str | bytes) -> str | bytes:
    """What the session gets: gzip unpacked, other bytes as they are."""
    return gzip.decompress(frame) if isinstance(frame, bytes) and frame.startswith(b"\x1f\x8b") else frame


def instruments_of(venue: Venue, simulated: Dialect) -> dict[str, Instrument]:
    """The venue's lists as the simulator serves them, through the venue's own reading."""
    objects = {}
    for listed in venue.instrument_lists:
        url: str | None = listed.url
        while url is not None:
            parts = urlsplit(url)
            answer = simulated.rest(parts.path, dict(parse_qsl(parts.query)) | orjson.loads(listed.post or "{}"))
            assert answer is not None, url
            page = venue.read_instruments(listed, orjson.dumps(answer.body))
            objects.update(page.objects)
            url = page.next_url
    built, errors = build_instruments(venue, objects, CollectorSettings().usd_currencies)
    assert [] == errors
    return dict(built)


class Line:
    """One feed's session talking to one simulated conversation."""

    def __init__(
        self, venue: Venue, place: Feed, simulated: Dialect, instruments: Mapping[str, Instrument], symbols: list[str]
    ) -> None:
        parts = urlsplit(place.url)
        path = parts.path + (f"?{parts.query}" if parts.query else "")
        conversation = simulated.connect(path, dict(place.headers))
        assert conversation is not None, place.url
        self.conversation: Conversation = conversation
        self.session: Session = venue.session(place, instruments, symbols)
        self._exchange(list(self.session.opening_frames()))

    def _exchange(self, frames: Sequence[str | bytes]) -> None:
        for frame in frames:
            for reply in self.conversation.receive(frame, NOW_MS):
                received = self.session.receive(unpacked(reply), NOW_MS)
                assert received.kind not in (FrameKind.REFUSED, FrameKind.REJECTED), received.error
                self._exchange(list(received.replies))

    def hear(self, entries: list[Entry]) -> list[Liquidation]:
        heard: list[Liquidation] = []
        for frame in self.conversation.push(entries, NOW_MS):
            received = self.session.receive(unpacked(frame), NOW_MS)
            assert (True, None, ()) == (received.kind in HEARD, received.error, tuple(received.bad_rows))
            heard += received.liquidations
        return heard


def lines_to(venue: Venue, simulated: Dialect, instruments: Mapping[str, Instrument]) -> list[Line]:
    """As many sockets as the venue's limits ask for, all of them subscribed."""
    lines = []
    for place in venue.feeds:
        mine = [name for name, found in instruments.items() if found.feed in (None, place.name) and found.trading]
        most = place.symbols_per_socket
        for start in range(0, len(mine), most) if most else [0]:
            symbols = mine[start : start + most] if most else []
            lines.append(Line(venue, place, simulated, instruments, symbols))
    return lines


def listed(*, same_ids: bool = False) -> list[str]:
    """Venues whose history we read; with `same_ids` those whose rows have the stream's ids."""
    known = venues.discover()
    return [
        name for name in VENUES if (history := known[name].history) is not None and (history.same_ids or not same_ids)
    ]


def orders_of(name: str, listings: Mapping[str, Listing]) -> list[Order]:
    maker = Maker(Mix({name: 1}, dict.fromkeys(COINS, 1), 1e7), name, list(listings.values()))
    return list(maker.orders(Phase(0, 1_000, 2e7, 1e7, 600)))


@pytest.mark.parametrize("name", VENUES)
def test_the_decoder_reads_what_the_simulator_wrote_to_the_micro_dollar(name: str) -> None:
    venue = venues.discover()[name]
    listings = {listing.symbol: listing for listing in standard(name)}
    simulated = dialect(name, listings, Trouble())
    instruments = instruments_of(venue, simulated)
    lines = lines_to(venue, simulated, instruments)
    orders = enumerate(orders_of(name, listings))
    entries = [entry(listings[order.symbol], order, NOW_MS + number, number) for number, order in orders]

    books, heard = Books(), {}
    for start in range(0, len(entries), 7):
        for line in lines:
            batch = [item for item in entries[start : start + 7] if line.conversation.carries(item.listing)]
            for item in batch:
                books.add(item, sent=True)
            for event in line.hear(batch):
                heard.setdefault(event.event_id, event)  # told again, it changes nothing

    assert all(line.session.acknowledged for line in lines)
    assert len(entries) == books.count() == len(heard)
    for side in ("long", "short"):
        found = [micros(event.notional_usd) for event in heard.values() if event.side == side]
        assert (books.count(side), books.usd(side)) == (len(found), sum(found))
    said = sorted(entries, key=lambda item: (item.listing.symbol, item.side, item.price, item.base()))
    told = sorted(
        heard.values(), key=lambda event: (event.symbol, event.side, Decimal(event.price), Decimal(event.quantity))
    )
    for item, event in zip(said, told, strict=True):
        assert (item.listing.symbol, item.listing.base, item.side) == (event.symbol, event.base, event.side)
        assert item.price == Decimal(event.price)
        # Bitget says only the worth: its coins are a quotient, given to the 8 places that its sizes have.
        near = {"abs": Decimal("5e-9")} if name == "bitget" else {"rel": Decimal("1e-20")}
        assert item.base() == pytest.approx(Decimal(event.quantity), **near)
        assert event.timed_by == "received" or abs(event.event_time_ms - item.event_ms) < 1_000  # some tell seconds


@pytest.mark.parametrize("name", listed())
def test_the_history_that_the_decoder_reads_is_what_was_missed_to_the_micro_dollar(name: str) -> None:
    venue, listings = venues.discover()[name], {listing.symbol: listing for listing in standard(name)}
    past = Past()
    simulated = dialect(name, listings, Trouble(), past)
    assert venue.history is not None
    assert simulated.lists_past
    instruments = instruments_of(venue, simulated)
    orders = enumerate(orders_of(name, listings) * 4)  # more than a page of any venue
    past.add([entry(listings[order.symbol], order, NOW_MS + number * 700, number + 1) for number, order in orders])

    since_ms, until_ms = NOW_MS + 100_000, NOW_MS + 1_500_000
    told: dict[str, Liquidation] = {}
    for first in venue.history.urls(instruments, since_ms, until_ms):
        url: str | None = first
        while url is not None:
            parts = urlsplit(url)
            answer = simulated.rest(parts.path, dict(parse_qsl(parts.query)))
            assert answer is not None, url
            page = venue.history.read(url, orjson.dumps(answer.body), instruments, until_ms)
            assert () == tuple(page.bad_rows), url
            told.update({event.event_id: event for event in page.liquidations})
            oldest = min((event.event_time_ms for event in page.liquidations), default=until_ms)
            url = page.next_url if oldest >= since_ms else None
    coarse = venue.history.resolution_ms
    span = range(since_ms // coarse, until_ms // coarse)
    assert {"gap-fill"} == {event.source for event in told.values()}
    books, heard = Books(), []
    for item in past:
        if item.event_ms // coarse in span:
            books.add(item, sent=False, listed=True)
    heard = [event for event in told.values() if event.event_time_ms // coarse in span]
    for side in ("long", "short"):
        worth = [micros(event.notional_usd) for event in heard if event.side == side]
        tally = books.listed.of(name, side)
        assert (side, tally.count, tally.micro_usd) == (side, len(worth), sum(worth))


@pytest.mark.parametrize("name", listed(same_ids=True))
def test_the_history_gives_the_ids_of_the_stream_where_the_venue_says_so(name: str) -> None:
    venue, listings = venues.discover()[name], {listing.symbol: listing for listing in standard(name)}
    past = Past()
    simulated = dialect(name, listings, Trouble(), past)
    assert venue.history is not None
    instruments = instruments_of(venue, simulated)
    lines = lines_to(venue, simulated, instruments)
    orders = enumerate(orders_of(name, listings)[:50])
    past.add([entry(listings[order.symbol], order, NOW_MS + number, number + 1) for number, order in orders])
    heard = {
        event.event_id
        for line in lines
        for event in line.hear([item for item in past if line.conversation.carries(item.listing)])
    }
    told = set()
    for url in venue.history.urls(instruments, NOW_MS - 1_000, NOW_MS + 1_000):
        parts = urlsplit(url)
        answer = simulated.rest(parts.path, dict(parse_qsl(parts.query)))
        assert answer is not None, url
        page = venue.history.read(url, orjson.dumps(answer.body), instruments, NOW_MS)
        told |= {event.event_id for event in page.liquidations}
    assert 50 == len(heard)
    assert heard == told


@pytest.mark.parametrize("name", VENUES)
def test_heartbeats_are_understood_on_both_sides(name: str) -> None:
    venue = venues.discover()[name]
    listings = {listing.symbol: listing for listing in standard(name)}
    simulated = dialect(name, listings, Trouble())
    line = lines_to(venue, simulated, instruments_of(venue, simulated))[0]
    kinds = set()
    for _ in range(200):  # seconds; longer than any venue stands silence
        own = line.session.ping_frame()
        replies = list(line.conversation.receive(own, NOW_MS)) if own is not None else []
        for frame in [*replies, *line.conversation.second(NOW_MS), *line.conversation.ticks(NOW_MS)]:
            received = line.session.receive(unpacked(frame), NOW_MS)
            kinds.add(received.kind)
            for reply in received.replies:
                for answer in line.conversation.receive(reply, NOW_MS):
                    assert line.session.receive(unpacked(answer), NOW_MS).kind is FrameKind.HEARTBEAT
    assert kinds <= {FrameKind.HEARTBEAT, FrameKind.CONTROL, FrameKind.ACK, FrameKind.IGNORED}
    assert kinds
