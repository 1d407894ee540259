"""Whatever comes in whatever order: a total is the sum of what is inside, recounted naively."""

from collections.abc import Iterator
from dataclasses import dataclass, field

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from liqwatch.aggregator import window as window_module
from liqwatch.aggregator.window import Added, RollingTotals, SideTotals
from liqwatch.wire import Liquidation
from tests.support.liquidations import liquidation

START = 1_790_000_000_000
WINDOWS = (("a", 4), ("b", 15), ("c", 40))
LONGEST = 40

events = st.tuples(
    st.just("add"),
    st.integers(0, 25),  # id
    st.sampled_from([*range(-45_000, 0, 700), -999, -1, 0, 1, 400, 1000, 5_000, 59_999, 60_000, 60_001, 90_000]),
    st.sampled_from(["0", "0.0000005", "0.0000015", "1", "1.25", "2", "3000000000.123456789", "7"]),
    st.sampled_from(["okx", "gate"]),
    st.sampled_from(["BTC", "ETH"]),
    st.sampled_from(["long", "short"]),
    st.sampled_from(["venue", "received"]),
    st.integers(0, 1),  # partition
)
advances = st.tuples(st.just("advance"), st.sampled_from([-5000, 1, 500, 999, 1000, 1001, 4000, 16_000, 41_000, 10**9]))
drops = st.tuples(st.just("drop"), st.integers(0, 1))
steps = st.lists(st.one_of(events, events, events, advances, drops), max_size=60)


@pytest.fixture(scope="module", autouse=True)
def _swept_often() -> Iterator[None]:
    """Every few seconds of these short windows, as in service every so often in a day."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(window_module, "_SWEEP_SECONDS", 3)
        yield


@dataclass
class Naive:
    """The rules, word for word, with nothing kept but a list."""

    now: int = START
    counted: list[tuple[int, Liquidation, int]] = field(default_factory=list)  # partition, event, micro-dollars

    def known(self, event_id: str) -> bool:
        return any(
            event.event_id == event_id
            and event.event_time_ms // 1000 > self.now // 1000 - LONGEST * (2 if event.timed_by == "received" else 1)
            for _, event, _ in self.counted
        )

    def add(self, event: Liquidation, partition: int) -> Added:
        if event.event_time_ms // 1000 <= self.now // 1000 - LONGEST:
            return Added.LATE
        if self.known(event.event_id):
            return Added.DUPLICATE
        if event.event_time_ms > self.now + 60_000:
            return Added.FUTURE
        self.counted.append((partition, event, micros(event.notional_usd)))
        return Added.COUNTED

    def inside(self, partition: int, scope: str, span: int, side: str) -> SideTotals:
        rows = [
            (usd, event)
            for owner, event, usd in self.counted
            if owner == partition
            and event.side == side
            and scope in ("all", f"venue={event.venue}", f"base={event.base}", f"venue={event.venue},base={event.base}")
            and self.now // 1000 - span < event.event_time_ms // 1000 <= self.now // 1000
        ]
        largest = min(rows, key=lambda row: (-row[0], row[1].event_id))[1] if rows else None
        return SideTotals(sum(usd for usd, _ in rows), len(rows), largest)


def micros(text: str) -> int:
    whole, _, fraction = text.partition(".")
    exact = int(whole + fraction.ljust(12, "0"))
    down, rest = divmod(exact, 10**6)
    return down + (rest > 500_000 or (rest == 500_000 and down % 2))


def same(rolling: RollingTotals, naive: Naive) -> None:
    for partition in (0, 1):
        for scope in ("all", "venue=okx", "base=BTC", "venue=gate,base=ETH", "venue=okx,base=BTC"):
            for name, span in WINDOWS:
                totals = rolling.totals(partition, scope, name)
                for side, part in (("long", totals.long), ("short", totals.short)):
                    assert naive.inside(partition, scope, span, side) == part
                    assert part.usd == rolling.usd(partition, scope, side, name)


@settings(max_examples=300, deadline=None)
@given(steps, st.booleans())
def test_every_total_and_every_largest_record_is_what_a_recount_gives(
    script: list[tuple[object, ...]], asked_at_each_step: bool
) -> None:
    rolling, naive = RollingTotals(WINDOWS), Naive()
    rolling.advance(START)
    changed: set[tuple[int, str]] = set()
    before = figures(rolling)
    for step in script:
        match step:
            case ("advance", int(by)):
                naive.now = max(naive.now, naive.now + by)
                rolling.advance(rolling.now_ms + by)
            case ("drop", int(partition)):
                naive.counted = [row for row in naive.counted if row[0] != partition]
                rolling.drop(partition)
                before = {key: value for key, value in before.items() if key[0] != partition}
            case (
                "add",
                int(number),
                int(at),
                str(usd),
                str(venue),
                str(base),
                str(side),
                str(timed_by),
                int(partition),
            ):
                event_id = f"id{number}"
                if number > 12:  # it names a time: its event's, or where the clock has moved, another
                    event_id, partition = f"{venue}:{base}USDT:{START + at}:{side}:{usd}@1", 0
                event = liquidation(event_id, naive.now + at, usd, venue=venue, base=base, side=side, timed_by=timed_by)
                assert naive.add(event, partition) == rolling.add(event, partition)
        if asked_at_each_step:
            same(rolling, naive)
    same(rolling, naive)
    told = rolling.changed()
    changed = told.events | {(partition, scope) for partition, scope, _ in told.expired}
    after = figures(rolling)
    moved = {key[:2] for key in before.keys() | after.keys() if before.get(key, 0) != after.get(key, 0)}
    assert moved <= changed


def figures(rolling: RollingTotals) -> dict[tuple[int, str, str], int]:
    return {
        (partition, scope, name): sum(part.events for part in rolling.totals(partition, scope, name))
        for partition in (0, 1)
        for scope in rolling.scopes(partition)
        for name, _ in WINDOWS
    }


@settings(max_examples=100, deadline=None)
@given(steps)
def test_hearing_everything_twice_changes_nothing(script: list[tuple[object, ...]]) -> None:
    once, twice = RollingTotals(WINDOWS), RollingTotals(WINDOWS)
    now = START
    for step in script:
        if step[0] == "advance":
            now += max(0, int(str(step[1])))
        for rolling, times in ((once, 1), (twice, 2)):
            rolling.advance(now)
            if step[0] == "add":
                _, number, at, usd, venue, base, side, _, partition = step
                event = liquidation(
                    f"id{number}", now + int(str(at)), str(usd), venue=str(venue), base=str(base), side=str(side)
                )
                for _ in range(times):
                    rolling.add(event, int(str(partition)))
    for partition in (0, 1):
        for name, _ in WINDOWS:
            assert once.totals(partition, "all", name) == twice.totals(partition, "all", name)
