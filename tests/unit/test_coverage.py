"""Which share of a window was watched: intervals of several collectors, gaps, losses."""

from collections.abc import Iterator
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st
from typing_extensions import override

from liqwatch.coverage import CoverageBook, Gap, merge, newest, subtract
from liqwatch.eventlog import Record
from liqwatch.eventlog.thinning import Thinning
from liqwatch.events import Completeness, Coverage
from liqwatch.topics import COVERAGE

spans = st.lists(st.tuples(st.integers(0, 60), st.integers(0, 60)), max_size=8)


def moments(found: list[tuple[int, int]]) -> set[int]:
    return {at for start, end in found for at in range(start, end)}


def watched(name: str, from_ms: int, to_ms: int, *, venue: str = "okx", collector: str = "one", lost: bool = False,
            completeness: Completeness = "all", still: bool = False) -> Coverage:  # fmt: skip
    return Coverage(
        venue=venue, collector=collector, interval_id=name, kind="lost" if lost else "watched", from_ms=from_ms,
        to_ms=to_ms, open=still, completeness=completeness, events_lost=int(lost),
    )  # fmt: skip


def book(*messages: Coverage, keep_ms: int = 1_000) -> CoverageBook:
    made = CoverageBook(keep_ms)
    for message in messages:
        made.apply(message)
    return made


@given(spans)
def test_merged_spans_are_sorted_and_apart_and_cover_the_same(some: list[tuple[int, int]]) -> None:
    found = merge(some)
    assert moments(some) == moments(found)
    assert all(start < end for start, end in found)
    assert all(one[1] < two[0] for one, two in pairwise(found))


@given(spans, spans)
def test_what_is_left_is_what_is_in_no_hole(some: list[tuple[int, int]], holes: list[tuple[int, int]]) -> None:
    assert moments(some) - moments(holes) == moments(subtract(some, holes))


class Moment(int):
    """One that counts how often it was compared."""

    compared = 0

    @override
    def __lt__(self, other: int) -> bool:
        Moment.compared += 1
        return int(self) < int(other)

    @override
    def __le__(self, other: int) -> bool:
        Moment.compared += 1
        return int(self) <= int(other)

    @override
    def __gt__(self, other: int) -> bool:
        Moment.compared += 1
        return int(self) > int(other)

    @override
    def __ge__(self, other: int) -> bool:
        Moment.compared += 1
        return int(self) >= int(other)


def test_a_month_of_short_losses_is_taken_away_in_one_pass() -> None:
    days = [(Moment(n * 1000), Moment(n * 1000 + 900)) for n in range(2_000)]
    losses = [(Moment(n * 1000 + 300), Moment(n * 1000 + 1100)) for n in range(2_000)]
    Moment.compared = 0
    assert 2_000 == len(subtract(days, losses))
    assert Moment.compared < 30 * 2_000


def test_the_share_is_the_watched_part_of_the_span() -> None:
    made = book(watched("a", 100, 300), watched("b", 600, 700))
    assert 0.3 == made.share("okx", 0, 1_000)
    assert 1.0 == made.share("okx", 150, 250)
    assert 0.0 == made.share("okx", 300, 600) == made.share("gate", 0, 1_000) == made.share("okx", 5, 5)


def test_one_of_two_collectors_is_enough() -> None:
    made = book(watched("a", 0, 600), watched("b", 400, 1_000, collector="two"))
    assert 1.0 == made.share("okx", 0, 1_000)


def test_a_loss_is_a_hole_for_the_collector_that_lost_and_no_other() -> None:
    made = book(watched("a", 0, 1_000), watched("x", 200, 500, lost=True))
    assert [(0, 200), (500, 1_000)] == made.watched("okx")
    made.apply(watched("b", 300, 400, collector="two"))
    assert [(0, 200), (300, 400), (500, 1_000)] == made.watched("okx")


def test_an_interval_grows_and_its_end_has_the_last_word() -> None:
    made = book(watched("a", 0, 100, still=True), watched("a", 0, 300, still=True), watched("a", 0, 200, still=True))
    assert [(0, 300)] == made.watched("okx")
    made.apply(watched("a", 0, 250))
    assert [(0, 250)] == made.watched("okx")
    made.apply(watched("a", 0, 400, still=True))
    assert [(0, 250)] == made.watched("okx")


def test_every_venue_is_named_with_how_complete_its_feed_is() -> None:
    made = book(watched("b", 0, 500, venue="okx", completeness="sampled"), watched("a", 0, 1_000, venue="gate"))
    assert [("gate", "all", 1.0), ("okx", "sampled", 0.5)] == [
        (row.venue, row.completeness, row.share) for row in made.shares(0, 1_000)
    ]


def test_what_no_window_asks_for_any_more_is_forgotten() -> None:
    made = book(watched("a", 0, 100), watched("b", 100, 2_000), keep_ms=1_000)
    made.forget(1_100)
    assert [(100, 2_000)] == made.watched("okx")


def filled(start: int, end: int, collector: str = "one") -> Coverage:
    return Coverage(
        venue="okx", collector=collector, interval_id=f"{collector}:filled:{start}", kind="filled", from_ms=start,
        to_ms=end, open=False, completeness="all", events_filled=3,
    )  # fmt: skip


def test_gaps_have_their_start_their_end_their_reason_and_whether_they_were_filled() -> None:
    ended = watched("a", 100, 300).model_copy(update={"ended_by": "main: closed"})
    made = book(ended, watched("b", 400, 600, still=True), watched("c", 550, 700, collector="two"), filled(300, 350))
    assert [
        Gap(0, 100, "not watched before", False),
        Gap(300, 350, "main: closed", True),
        Gap(350, 400, "main: closed", False),
        Gap(700, 1_000, "ended", False),
    ] == made.gaps("okx", 0, 1_000)
    assert [Gap(600, 700, "not heard of since", False)] == book(watched("b", 400, 600, still=True)).gaps(
        "okx", 500, 700
    )
    assert [] == made.gaps("okx", 450, 700)


def test_what_came_after_an_open_interval_was_last_written_is_no_gap_yet() -> None:
    made = book(watched("a", 100, 300, still=True), watched("b", 100, 290, collector="two", still=True))
    assert 300 == made.told_until("okx", 305, 10)
    assert 311 == made.told_until("okx", 311, 10)
    assert 250 == made.told_until("okx", 250, 10)
    made.apply(watched("a", 100, 300))
    assert 290 == made.told_until("okx", 295, 10)
    assert 305 == made.told_until("okx", 305, 10) == made.told_until("gate", 305, 10)


def test_a_filled_gap_counts_as_watched_but_not_as_live() -> None:
    made = book(watched("a", 100, 300), filled(300, 500, "two"), watched("b", 500, 600))
    assert 1.0 == made.share("okx", 100, 600)
    assert [(100, 600)] == made.watched("okx")
    assert [(100, 300), (500, 600)] == made.live("okx")
    assert 100 == made.since("okx")
    assert made.since("gate") is None


def test_a_loss_is_a_gap_with_its_reason_until_it_is_filled() -> None:
    loss = watched("x", 200, 250, lost=True).model_copy(update={"ended_by": "log: memory and spool were full"})
    made = book(watched("a", 100, 300), loss)
    assert [Gap(200, 250, "log: memory and spool were full", False)] == made.gaps("okx", 100, 300)
    made.apply(filled(200, 250))
    assert 1.0 == made.share("okx", 100, 300)


@given(spans, spans)
def test_gaps_and_what_was_live_are_the_whole_span(live: list[tuple[int, int]], fills: list[tuple[int, int]]) -> None:
    made = book(
        *(watched(f"w{place}", *sorted(span)) for place, span in enumerate(live)),
        *(filled(*sorted(span)) for span in fills),
    )
    gaps = made.gaps("okx", 0, 60)
    assert set(range(60)) - moments(made.live("okx")) == moments([(gap.start, gap.end) for gap in gaps])
    assert sum(gap.end - gap.start for gap in gaps if not gap.filled) == round(60 * (1 - made.share("okx", 0, 60)))


def test_who_has_not_said_that_it_stopped_is_unfinished_up_to_its_last_word() -> None:
    made = book(
        watched("a", 0, 100),
        watched("b", 150, 300, still=True),
        watched("c", 0, 400, collector="two"),
        watched("d", 0, 200, collector="three", still=True),
        watched("e", 200, 210, collector="three"),
        watched("f", 0, 999, venue="gate", still=True),
    )
    assert {"one": 300} == made.unfinished("okx")


def in_turn(message: Coverage, before: dict[str, int]) -> Coverage:
    """As collectors write them: the end of an open interval does not go back."""
    if message.open:
        before[message.interval_id] = max(message.to_ms, before.get(message.interval_id, 0))
        message = message.model_copy(update={"to_ms": before[message.interval_id]})
    return message


told = st.builds(
    lambda venue, collector, number, start, long, still, lost: watched(
        f"{collector}:{venue}:{number}", start, start + long, venue=venue, collector=collector, still=still, lost=lost
    ),
    st.sampled_from(["okx", "gate"]), st.sampled_from(["one", "two"]), st.integers(1, 3), st.integers(0, 20),
    st.integers(0, 40), st.booleans(), st.booleans(),
)  # fmt: skip
cuts = st.lists(st.integers(0, 25), max_size=4)


@given(st.lists(told, max_size=25), cuts, cuts)
def test_what_the_embedded_log_drops_and_readers_pass_over_changes_no_answer(
    messages: list[Coverage], steps: list[int], pages: list[int]
) -> None:
    def parts(records: list[Record], ends: list[int]) -> Iterator[list[Record]]:
        for start, end in pairwise([0, *sorted(ends), len(records) + 25]):
            yield records[start:end]

    def answers(records: list[Record]) -> list[object]:
        known = book(*(Coverage.model_validate_json(record.value or b"") for record in records))
        return [
            (venue, known.live(venue), known.watched(venue), known.unfinished(venue), known.gaps(venue, 0, 70))
            for venue in known.venues
        ]

    before: dict[str, int] = {}
    every = [
        Record(0, number, 0, b"", in_turn(message, before).model_dump_json().encode())
        for number, message in enumerate(messages)
    ]
    kept = [record for step in parts(every, steps) for record in Thinning(COVERAGE.supersedes).last_of_each(step)]
    assert answers(every) == answers(kept)
    assert answers(every) == answers([record for page in parts(kept, pages) for record in newest(page)])
