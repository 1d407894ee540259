"""A minute's bar is due until it is written, whatever ends the writing."""

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest

from liqwatch.aggregator import duebars as module
from liqwatch.aggregator.duebars import DueBars
from liqwatch.aggregator.partition import Owned, Stage
from liqwatch.aggregator.window import RollingTotals
from liqwatch.eventlog import Entry
from liqwatch.wire import encode
from tests.support.liquidations import liquidation

MINUTE = 29_833_333  # number since the epoch
KEEP_SECONDS = 300


class Held:
    """Two live partitions with an event in each of three minutes, the last of which has just passed."""

    def __init__(self) -> None:
        self.window = RollingTotals([("5m", KEEP_SECONDS)])
        self.owned = {number: Owned(number, 0, generation=1, stage=Stage.LIVE) for number in (0, 1)}
        intake: Any = SimpleNamespace(owned=self.owned)
        self.bars = DueBars(self.window, intake, KEEP_SECONDS)
        self.now_ms = (MINUTE + 3) * 60_000 + 1000
        self.window.advance(self.now_ms)
        for minute in range(MINUTE, MINUTE + 3):
            for number, owned in self.owned.items():
                made = liquidation(f"{number}-{minute}", minute * 60_000, "1")
                self.window.add(made, number, encode(made))
                owned.minutes[minute] = minute - MINUTE  # the event's offset

    def leap(self) -> None:
        self.bars.save(self.now_ms + 86_400_000)


def written(entries: list[Entry]) -> list[tuple[int, int]]:
    """Partition and minute of each."""
    keys = [entry.key.decode().split(",") for entry in entries]
    return [(int(number), int(minute_ms) // 60_000 - MINUTE) for number, minute_ms in keys]


def test_the_oldest_minutes_are_first_so_many_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_MINUTES_AT_ONCE", 2)
    held = Held()
    found = []
    for minutes in held.bars.minutes(held.now_ms):
        with held.bars.of(minutes) as made:
            found.append(written(made))
    assert [[(0, 0), (1, 0), (0, 1), (1, 1)], [(0, 2), (1, 2)]] == found
    assert [] == held.bars.minutes(held.now_ms)


@pytest.mark.parametrize("error", [asyncio.CancelledError, TimeoutError])
def test_minutes_that_could_not_be_written_are_due_with_the_offset_that_came_since(error: type[BaseException]) -> None:
    held = Held()
    with pytest.raises(error), held.bars.of([MINUTE, MINUTE + 1]):
        held.owned[1].minutes[MINUTE] = 7  # one more event
        raise error
    assert {MINUTE: 0, MINUTE + 1: 1, MINUTE + 2: 2} == held.owned[0].minutes
    assert {MINUTE: 7, MINUTE + 1: 1, MINUTE + 2: 2} == held.owned[1].minutes


def test_what_was_saved_before_a_leap_stays_until_it_is_written(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_SAVED_AT_ONCE", 4)
    held = Held()
    held.leap()
    first = [(0, 0), (0, 1), (0, 2), (1, 0)]
    with pytest.raises(TimeoutError), held.bars.some_saved() as made:
        assert first == written(made)
        raise TimeoutError
    found = []
    while held.bars.any_saved:
        with held.bars.some_saved() as made:
            found.append(written(made))
    assert [first, [(1, 1), (1, 2)]] == found


def test_saved_bars_of_a_partition_that_was_taken_away_are_not_written() -> None:
    held = Held()
    held.leap()
    held.owned[0] = Owned(0, 0, generation=2)  # it came back, and is read anew
    with held.bars.some_saved() as made:
        assert [(1, 0), (1, 1), (1, 2)] == written(made)
    assert not held.bars.any_saved
