"""The tape holds the large ones of a day however many small ones come, and says from when on it is complete."""

import random

import pytest

from liqwatch.web import tape
from liqwatch.web.tape import Tape
from tests.support.liquidations import liquidation


def ids(found: list[object]) -> list[str]:
    return [str(getattr(one, "event_id")) for one in found]  # noqa: B009 - of any kind


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> Tape:
    """One with room for three of each size."""
    monkeypatch.setattr(tape, "_SIZES", ((0, 3), (10_000, 3), (1_000_000, 3)))
    return Tape()


def test_they_come_newest_first_whatever_the_order_they_were_added_in() -> None:
    one = Tape()
    numbers = list(range(100))
    random.Random(1).shuffle(numbers)
    for number in numbers:
        one.add(liquidation(f"e{number:02}", 1_000 + number // 2, str(10 ** (number % 8))))
    assert [f"e{number:02}" for number in reversed(range(100))] == ids(one.latest())
    assert [f"e{number:02}" for number in reversed(range(100)) if number % 8 >= 6] == ids(one.latest(10**12))
    assert 0 == one.complete_since_ms()


def test_small_ones_push_out_small_ones_only_and_it_says_from_when_on_none_is_missing(small: Tape) -> None:
    small.add(liquidation("large", 10, "2000000"))
    for number in range(5):
        assert small.add(liquidation(f"e{number}", 100 + number, "50")) is not None
    assert ["e4", "e3", "e2", "large"] == ids(small.latest())
    assert 102 == small.complete_since_ms()
    assert 0 == small.complete_since_ms(10_000_000_000)
    assert ["large"] == ids(small.latest(1_000_000_000_000))


def test_one_that_had_to_go_does_not_come_back(small: Tape) -> None:
    for number in range(5):
        small.add(liquidation(f"e{number}", 100 + number, "50"))
    assert 50_000_000 == small.add(liquidation("e0", 100, "50"))
    assert 50_000_000 == small.add(liquidation("older", 50, "50")), "too old for the tape, and still news of its venue"
    assert small.add(liquidation("e4", 104, "50")) is None, "a repeat"
    assert ["e4", "e3", "e2"] == ids(small.latest())


def test_what_is_too_old_is_let_go() -> None:
    one = Tape()
    for number in range(10):
        one.add(liquidation(f"e{number}", 100 + number, "50000"))
    one.forget(105)
    assert ["e9", "e8", "e7", "e6", "e5"] == ids(one.latest())
    assert 105 == one.complete_since_ms()
    one.add(liquidation("e3", 103, "50000"))
    assert ["e9", "e8", "e7", "e6", "e5"] == ids(one.latest())
