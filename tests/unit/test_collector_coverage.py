"""Coverage intervals: they grow, end at the last sign of life, and never claim a time that nobody watched."""

from liqwatch.clock import Clock
from liqwatch.collector.coverage import CoverageTracker
from liqwatch.coverage import CoverageBook
from liqwatch.events import Coverage
from tests.support.fake_venue import FAKE


class Tracked:
    """A tracker with clocks at the test's command."""

    def __init__(self) -> None:
        self.wall = self.real = 1000.0
        self.sent: list[Coverage] = []
        self.gap = 0.0
        self.tracker = CoverageTracker(
            FAKE, "c", Clock(wall=lambda: self.wall), self.sent.append, self._add, lambda: self.real
        )

    def _add(self, seconds: float) -> None:
        self.gap = round(self.gap + seconds, 3)

    def after(self, seconds: float) -> CoverageTracker:
        self.wall += seconds
        self.real += seconds
        return self.tracker

    @property
    def spans(self) -> list[tuple[int, int]]:
        book = CoverageBook(keep_ms=10**12)
        for message in self.sent:
            book.apply(message)
        return book.watched("fake")


def test_an_interval_grows_under_one_id_until_it_ends() -> None:
    tracked = Tracked()
    tracked.after(3).begin()
    tracked.after(5).tick(write=True)
    tracked.after(5).tick(write=True)
    tracked.after(2).end("main: closed", None)
    assert 1 == len({message.interval_id for message in tracked.sent})
    assert [True, True, True, False] == [message.open for message in tracked.sent]
    assert ("main: closed", ("main",), "all") == (
        tracked.sent[-1].ended_by, tracked.sent[-1].feeds, tracked.sent[-1].completeness,
    )  # fmt: skip
    assert [(1_003_000, 1_015_000)] == tracked.spans
    assert 3.0 == tracked.gap


def test_an_end_in_silence_is_set_back_and_the_silence_is_a_gap() -> None:
    tracked = Tracked()
    tracked.tracker.begin()
    tracked.after(10).tick(write=True)
    tracked.after(10).end("main: silent", 1_004_000)
    assert [(1_000_000, 1_004_000)] == tracked.spans
    assert 16.0 == tracked.gap


def test_a_new_interval_has_a_new_id_and_the_time_between_is_a_gap() -> None:
    tracked = Tracked()
    tracked.tracker.begin()
    tracked.after(10).end("main: closed", None)
    tracked.after(4).tick(write=True)
    tracked.after(3).begin()
    tracked.after(1).tick(write=True)
    assert [(1_000_000, 1_010_000), (1_017_000, 1_018_000)] == tracked.spans
    assert 7.0 == tracked.gap


def test_beginning_twice_and_ending_what_never_began_change_nothing() -> None:
    tracked = Tracked()
    tracked.tracker.end("main: refused", None)
    assert [] == tracked.sent
    tracked.tracker.begin()
    tracked.after(1).begin()
    assert 1 == len(tracked.sent)


def test_a_machine_that_slept_has_not_watched() -> None:
    tracked = Tracked()
    tracked.tracker.begin()
    tracked.after(5).tick(write=True)
    tracked.wall += 3600  # the monotonic clock stood still
    tracked.after(1).tick(write=True)
    assert not tracked.tracker.watching
    assert [(1_000_000, 1_005_000)] == tracked.spans
    assert "collector: the clock jumped ahead" == tracked.sent[-1].ended_by
    assert 3601.0 == tracked.gap
    tracked.tracker.begin()
    tracked.after(2).tick(write=True)
    assert [(1_000_000, 1_005_000), (4_606_000, 4_608_000)] == tracked.spans


def test_a_clock_set_back_shortens_nothing() -> None:
    tracked = Tracked()
    tracked.after(5).begin()
    tracked.wall -= 3
    tracked.after(1).tick(write=True)
    tracked.after(9).tick(write=True)
    assert [(1_005_000, 1_012_000)] == tracked.spans


def test_an_end_before_the_beginning_is_the_beginning() -> None:
    tracked = Tracked()
    tracked.after(5).begin()
    tracked.after(5).end("main: silent", 1_000_000)
    assert [] == tracked.spans
    assert tracked.sent[-1].to_ms == tracked.sent[-1].from_ms
