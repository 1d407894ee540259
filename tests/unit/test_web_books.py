"""What the page keeps: bars that may be written anew and forgotten, and a tape that no flood washes out."""

from collections import defaultdict

from hypothesis import given
from hypothesis import strategies as st

from liqwatch.aggregator import window
from liqwatch.eventlog import Record
from liqwatch.web import tape as tapes
from liqwatch.web.bars import MINUTE_MS, Amounts, BarBook
from liqwatch.web.market import Market
from liqwatch.web.past import Past
from liqwatch.web.tape import LIMIT, Tape
from liqwatch.wire import Bar, BarRow, Liquidation, encode, usd_text
from tests.support.liquidations import liquidation

VENUES, COINS = ("okx", "gate"), ("BTC", "ETH")
ROW = st.tuples(st.sampled_from(VENUES), st.sampled_from(COINS), st.integers(0, 10**12), st.integers(0, 10**12))
WRITTEN = st.tuples(st.integers(0, 9), st.integers(0, 2), st.integers(1, 3), st.lists(ROW, max_size=4))


def bar(minute: int, partition: int, generation: int, rows: list[tuple[str, str, int, int]]) -> Bar:
    made = (BarRow(venue, base, usd_text(long), 1, usd_text(short), 2) for venue, base, long, short in rows)
    return Bar(partition, minute * MINUTE_MS, generation, tuple(made))


def fits(scope: str, venue: str, base: str) -> bool:
    wanted = dict(part.split("=") for part in scope.split(",")) if scope != "all" else {}
    return wanted.get("venue", venue) == venue and wanted.get("base", base) == base


@given(st.lists(WRITTEN, max_size=25), st.sampled_from(["all", "venue=okx", "base=ETH", "venue=gate,base=BTC"]))
def test_a_step_is_the_sum_of_what_each_partition_wrote_last(written: list, scope: str) -> None:  # type: ignore[type-arg]
    book = BarBook(100 * MINUTE_MS, 100 * MINUTE_MS)
    kept: dict[tuple[int, int], tuple[int, list[tuple[str, str, int, int]]]] = {}
    for minute, partition, generation, rows in written:
        newer = kept.get((minute, partition), (0, []))[0] <= generation
        assert newer == book.apply(bar(minute, partition, generation, rows))
        if newer:
            kept[minute, partition] = generation, rows
    expected: defaultdict[int, list[int]] = defaultdict(lambda: [0, 0, 0, 0])
    for (minute, _), (_, rows) in kept.items():
        for venue, base, long, short in rows:
            if fits(scope, venue, base):
                step = expected[minute // 5]
                step[0], step[1], step[2], step[3] = step[0] + long, step[1] + 1, step[2] + short, step[3] + 2
    assert [Amounts(*expected[step]) for step in (0, 1)] == book.series(scope, 0, 10 * MINUTE_MS, 5 * MINUTE_MS)


def test_old_minutes_are_kept_as_a_whole_and_can_still_be_written_anew() -> None:
    book = BarBook(keep_ms=100 * MINUTE_MS, detail_ms=10 * MINUTE_MS)
    rows = [("okx", "BTC", 5, 1), ("gate", "ETH", 7, 0)]
    book.apply(bar(0, 0, 1, rows))
    book.apply(bar(0, 1, 1, rows[:1]))
    book.forget(50 * MINUTE_MS)
    assert [Amounts(17, 3, 2, 6)] == book.series("all", 0, MINUTE_MS)
    assert [Amounts(0, 0, 0, 0)] == book.series("venue=okx", 0, MINUTE_MS)
    book.apply(bar(0, 1, 2, [("okx", "BTC", 50, 10)]))
    book.forget(50 * MINUTE_MS)
    assert [Amounts(62, 3, 11, 6)] == book.series("all", 0, MINUTE_MS)
    book.forget(101 * MINUTE_MS)
    assert [Amounts(0, 0, 0, 0)] == book.series("all", 0, MINUTE_MS)
    assert not book.apply(bar(0, 1, 3, rows)), "a minute that is gone does not come back"


def test_a_flood_of_small_orders_does_not_wash_out_the_large() -> None:
    tape = Tape()
    tape.add(liquidation("large", 1, "2000000"))
    for number in range(3 * LIMIT):
        tape.add(liquidation(f"small-{number}", 2 + number, "15"))
    assert ["large"] == [one.event_id for one in tape.latest(100_000 * 1_000_000)]
    assert LIMIT == len(tape.latest())
    assert f"small-{3 * LIMIT - 1}" == tape.latest(limit=1)[0].event_id
    assert len(tape._ids) == LIMIT + 1, "what has left is forgotten"


@given(st.lists(st.integers(0, 20_000_000), max_size=60), st.integers(0, 20_000_000))
def test_the_tape_has_the_newest_from_any_size_on(worths: list[int], least: int) -> None:
    tape = Tape()
    for number, worth in enumerate(worths):
        tape.add(liquidation(f"e{number:03}", number, str(worth)))
    newest = [f"e{number:03}" for number, worth in enumerate(worths) if worth >= least][::-1]
    assert newest[:20] == [one.event_id for one in tape.latest(least * 1_000_000, 20)]


NOW = 1_790_000_000_000


def record(event: Liquidation) -> Record:
    return Record(0, 0, NOW, b"", encode(event))


def test_a_venue_that_lags_is_heard_in_a_flood_of_others() -> None:
    market = Market((("24h", 86_400),), {})
    for number in range(2 * LIMIT):
        market.take_liquidation(record(liquidation(f"flood-{number}", NOW + number, "15")))
    for number in range(3):
        late = liquidation(f"late-{number}", NOW + number, "15", venue="okx", received_time_ms=NOW + number + 2_000)
        market.take_liquidation(record(late))
    assert NOW + 2 == market.last_event_ms["okx"]
    assert 2_000 == market.lag_ms("okx")
    assert {"binance"} == {one.venue for one in market.tape.latest()}, "the tape has no room for them"


def test_a_repeat_of_what_is_on_the_tape_is_not_news() -> None:
    market = Market((("24h", 86_400),), {})
    for received_ms in (NOW + 100, NOW + 9_000):
        market.take_liquidation(record(liquidation("one", NOW, "15000", received_time_ms=received_ms)))
    assert 100 == market.lag_ms("binance")
    assert 1 == len(market.changes.events)


def test_what_is_far_ahead_of_its_arrival_is_not_shown_as_it_is_not_counted() -> None:
    market = Market((("24h", 86_400),), {}, estimate=True)
    past = Past(market)
    for take in (market.take_liquidation, past.take):
        take(record(liquidation("ahead", NOW + 60_001, "5000000", received_time_ms=NOW)))
        assert [] == market.tape.latest()
        assert {} == market.last_event_ms
        assert not market.changes.events
    assert 0 == past.unreadable
    market.take_liquidation(record(liquidation("fast clock", NOW + 60_000, "5000000", received_time_ms=NOW)))
    past.take(record(liquidation("fast clock of old", NOW + 60_000, "5000000", received_time_ms=NOW)))
    assert {"fast clock", "fast clock of old"} == {one.event_id for one in market.tape.latest()}
    assert window.FUTURE_MS == tapes.FUTURE_MS
