"""What is told waits until it is written: none of it is lost, none comes twice, and who waits longest goes first."""

import asyncio
from collections import defaultdict
from collections.abc import Iterable, Iterator
from contextlib import suppress
from typing import TypeAlias

import pytest
from hypothesis import given
from hypothesis import strategies as st

from liqwatch.aggregator import pending as module
from liqwatch.aggregator.pending import HandedOut, Pending
from liqwatch.aggregator.window import Changed

WINDOWS = ("5m", "1h")
PLACES, ROWS, CHUNK = 4, 6, 2  # scopes of a turn, rows of a tick of coins at venues, rows an append


@pytest.fixture(scope="module", autouse=True)
def _small_bounds() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "_MOST_AT_ONCE", PLACES)
        patch.setattr(module, "_MOST_A_TICK", ROWS)
        patch.setattr(module, "_CHUNK", CHUNK)
        yield


class NotWritten(Exception):
    pass


def told(*scopes: str) -> Pending:
    pending = Pending(WINDOWS)
    tell(pending, *scopes)
    return pending


def tell(pending: Pending, *scopes: str) -> None:
    """One change after the other: those of one look at the window have no order."""
    for scope in scopes:
        pending.see(Changed({(0, scope)}, set()), {0})


def expire(pending: Pending, *scopes: str, window: str = "5m") -> None:
    for scope in scopes:
        pending.see(Changed(set(), {(0, scope, window)}), {0})


def written(*parts: HandedOut) -> list[str]:
    """Takes what is handed out, and writes it."""
    taken = []
    for part in parts:
        with part as rows:
            taken += [row for _, row in rows]
    return [f"{window} {scope}" for window, scope in taken]


def scopes(*parts: HandedOut) -> list[str]:
    """The same, each scope once; where every window of it goes out."""
    rows = written(*parts)
    found = list(dict.fromkeys(row.partition(" ")[2] for row in rows))
    assert [f"{window} {scope}" for scope in found for window in WINDOWS] == rows
    return found


# ── what goes which way ──────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("scope", "of_all", "turn", "tick"),
    [
        ("all", ["5m all", "1h all"], [], []),
        ("venue=okx", [], ["5m venue=okx", "1h venue=okx"], []),
        ("base=BTC", [], ["5m base=BTC", "1h base=BTC"], []),
        ("venue=okx,base=BTC", [], [], ["5m venue=okx,base=BTC", "1h venue=okx,base=BTC"]),
    ],
)
def test_what_an_event_changed_goes_out_in_every_window(
    scope: str, of_all: list[str], turn: list[str], tick: list[str]
) -> None:
    pending = told(scope)
    assert (of_all, turn, tick) == (written(pending.of_all()), written(pending.turn()), written(*pending.tick()))
    assert ([], [], []) == (written(pending.of_all()), written(pending.turn()), written(*pending.tick()))


@pytest.mark.parametrize(
    ("window", "scope", "of_all", "tick"),
    [
        ("5m", "all", ["5m all", "1h all"], []),
        ("2h", "all", [], ["2h all"]),  # a window that the settings do not name any more
        ("5m", "venue=okx", [], ["5m venue=okx"]),
        ("5m", "base=BTC", [], ["5m base=BTC"]),
        ("5m", "venue=okx,base=BTC", [], ["5m venue=okx,base=BTC"]),
    ],
)
def test_what_expired_goes_out_with_a_tick_but_for_all(
    window: str, scope: str, of_all: list[str], tick: list[str]
) -> None:
    pending = Pending(WINDOWS)
    expire(pending, scope, window=window)
    assert (of_all, [], tick) == (written(pending.of_all()), written(pending.turn()), written(*pending.tick()))


def test_of_partitions_whose_changes_are_not_told_yet_nothing_waits() -> None:
    pending = Pending(WINDOWS)
    names = ("all", "venue=okx", "base=BTC", "venue=okx,base=BTC")
    pending.see(Changed({(1, name) for name in names}, {(1, name, "5m") for name in names}), {0})
    assert [] == written(pending.of_all(), pending.turn(), *pending.tick())


# ── whose turn it is ─────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("changes", "turns"),
    [
        ("", [""]),
        ("c1 v1 c2", ["c1 v1 c2"]),  # all of them: as they changed
        ("c1 c2 c3 v1", ["c1 c2 c3 v1"]),
        ("c1 c2 c3 c4 c5 c6", ["c1 c2 c3 c4", "c5 c6"]),
        ("v1 v2 v3 v4 v5", ["v1 v2 v3 v4", "v5"]),  # no coin wants the other half of the places
        ("c1 c2 c3 c4 v1", ["v1 c1 c2 c3", "c4"]),
        ("c1 c2 c3 v1 v2 v3", ["v1 v2 c1 c2", "c3 v3"]),
        ("v1 v2 v3 c1 c2 c3", ["v1 v2 v3 c1", "c2 c3"]),
        ("c1 c2 c3 c4 c5 c1 c2", ["c1 c2 c3 c4", "c5"]),  # changed once more while it waited: at its old place, once
    ],
)
def test_who_waits_longest_has_its_turn_first_and_venues_have_half_of_the_places(
    changes: str, turns: list[str]
) -> None:
    pending = told(*(f"venue={name}" if name.startswith("v") else f"base={name}" for name in changes.split()))
    for number, turn in enumerate(turns, start=1):
        assert turn.split() == [scope.partition("=")[2] for scope in scopes(pending.turn())]
        assert (number < len(turns)) is pending.unfinished


def test_what_waits_for_a_tick_has_no_turn_of_its_own() -> None:
    pending = told("all", "venue=okx,base=A")
    expire(pending, "venue=okx", "base=A", "venue=okx,base=B")
    assert not pending.unfinished


def test_a_tick_takes_all_but_coins_at_venues_which_take_turns() -> None:
    pending = Pending(WINDOWS)
    at_venues = [f"venue=okx,base=C{number}" for number in range(ROWS + 2)]
    alone = [f"base=C{number}" for number in range(ROWS + 2)] + ["venue=okx"]
    expire(pending, *at_venues, *alone)
    expire(pending, at_venues[0])  # as before
    tell(pending, at_venues[-1])  # its other window has changed now as well, and comes last
    first = [f"5m {scope}" for scope in alone + at_venues[:ROWS]]
    rest = [f"5m {at_venues[-2]}", f"5m {at_venues[-1]}", f"1h {at_venues[-1]}"]
    assert (first, rest, []) == tuple(written(*pending.tick()) for _ in range(3))


def test_a_part_of_a_tick_waits_until_it_is_taken() -> None:
    pending = Pending(WINDOWS)
    expire(pending, "base=A", "base=B", "base=C")
    first, second = pending.tick()
    assert ["5m base=A", "5m base=B"] == written(first)
    expire(pending, "base=A", "base=C")  # A has been written before; C goes out as it now is
    assert ["5m base=C"] == written(second)
    assert ["5m base=A"] == written(*pending.tick())


# ── what could not be written ────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("scope", ["all", "venue=okx", "base=A"])
def test_what_an_event_changes_while_it_is_written_is_written_again(scope: str) -> None:
    pending = told(scope)
    for hand_out in (pending.of_all, pending.turn):
        with hand_out() as rows:
            tell(pending, *{name for _, (_, name) in rows})
    assert [scope] == scopes(pending.of_all(), pending.turn())


@pytest.mark.parametrize("scope", ["venue=okx", "base=A", "venue=okx,base=A"])
def test_what_expires_while_it_is_written_is_written_again(scope: str) -> None:
    pending = Pending(WINDOWS)
    expire(pending, scope)
    with pending.tick()[0]:
        expire(pending, scope)
    assert [f"5m {scope}"] == written(*pending.tick())


def test_partitions_whose_all_could_not_be_written_are_in_front() -> None:
    pending = Pending(("5m",))
    for partition in (3, 2, 3):
        pending.see(Changed({(partition, "all")}, set()), {2, 3})
    with suppress(NotWritten), pending.of_all():
        for partition in (1, 2):
            pending.see(Changed({(partition, "all")}, set()), {1, 2})
        raise NotWritten
    with pending.of_all() as rows:
        assert [3, 2, 1] == [partition for partition, _ in rows]


def test_a_turn_that_could_not_be_written_is_in_front_of_what_came_since() -> None:
    pending = told("base=C1", "base=C2", "base=C3", "base=C4", "base=C5")
    with suppress(NotWritten), pending.turn():
        tell(pending, "base=C6", "base=C2")
        raise NotWritten
    assert ["base=C1", "base=C2", "base=C3", "base=C4"] == scopes(pending.turn())
    assert ["base=C5", "base=C6"] == scopes(pending.turn())


def test_a_part_of_a_tick_that_could_not_be_written_is_in_front_of_the_rest() -> None:
    pending = Pending(WINDOWS)
    expire(pending, "base=A", "base=B", "base=C")
    with suppress(NotWritten), pending.tick()[0]:
        expire(pending, "base=D", "base=A")
        raise NotWritten
    assert ["5m base=A", "5m base=B", "5m base=C", "5m base=D"] == written(*pending.tick())


@pytest.mark.parametrize("error", [asyncio.CancelledError, TimeoutError, GeneratorExit])
def test_what_was_being_written_waits_again_whatever_ended_it(error: type[BaseException]) -> None:
    pending = told("all", "base=A", "venue=okx,base=A")
    for hand_out in (pending.of_all, pending.turn, lambda: pending.tick()[0]):
        with pytest.raises(error), hand_out():
            raise error
    assert ["all", "base=A", "venue=okx,base=A"] == scopes(pending.of_all(), pending.turn(), *pending.tick())


# ── whatever happens ─────────────────────────────────────────────────────────────────────────────────────────────────

ALONE = ("all", *(f"venue=v{number}" for number in range(4)), *(f"base=c{number}" for number in range(5)))
AT_VENUES = tuple(f"venue=v{venue},base=c{coin}" for venue in range(2) for coin in range(5))
TICKS = 2 * len(AT_VENUES) * 3 // ROWS  # until every row of them has been written; turns end sooner
# Partition, scope, and the window that it has expired in; None: in every window, by an event.
Change: TypeAlias = tuple[int, str, str | None]
changes = st.lists(
    st.tuples(st.integers(0, 1), st.sampled_from(ALONE + AT_VENUES), st.sampled_from((None, None, *WINDOWS, "2h"))),
    max_size=12,
)
steps = st.lists(st.tuples(changes, st.sampled_from(("all", "turn", "tick")), changes, st.booleans()), max_size=12)


def kind(change: Change) -> str:
    _, scope, window = change
    if window is None:
        return "coins at venues" if "," in scope else scope.partition("=")[0]
    return "late, of coins at venues" if "," in scope else "late"


class Queues:
    """All that waits, each kind in a list of its own, in the order in which it is to be written."""

    def __init__(self) -> None:
        self.pending = Pending(WINDOWS)
        self.waiting: defaultdict[str, list[Change]] = defaultdict(list)

    def tell(self, told: Iterable[Change]) -> None:
        for partition, scope, window in told:
            if window is None:
                self.pending.see(Changed({(partition, scope)}, set()), {0, 1})
            else:
                self.pending.see(Changed(set(), {(partition, scope, window)}), {0, 1})
            self.wait((partition, scope, None if scope == "all" and window in WINDOWS else window))

    def wait(self, change: Change) -> None:
        queue = self.waiting[kind(change)]
        if change not in queue:
            queue.append(change)

    def write(self, part: HandedOut, every_window: bool, meanwhile: Iterable[Change], fails: bool) -> list[Change]:
        """What is handed out must be first in its queue; there it is again if the writing fails."""
        with suppress(NotWritten), part as rows:
            if every_window:
                taken: list[Change] = list(dict.fromkeys((partition, scope, None) for partition, (_, scope) in rows))
                assert [(partition, (name, scope)) for partition, scope, _ in taken for name in WINDOWS] == rows
            else:
                taken = [(partition, scope, window) for partition, (window, scope) in rows]
                assert len(taken) <= CHUNK
            for change in taken:
                queue = self.waiting[kind(change)]
                assert [change] == queue[:1]
                del queue[0]
            self.tell(meanwhile)
            if fails:
                for change in reversed(taken):
                    queue = self.waiting[kind(change)]
                    queue[:] = [change, *(other for other in queue if other != change)]
                raise NotWritten
        return taken

    def write_all(self, meanwhile: Iterable[Change], fails: bool) -> None:
        number = len(self.waiting["all"])
        assert number == len(self.write(self.pending.of_all(), True, meanwhile, fails))

    def write_turn(self, meanwhile: Iterable[Change], fails: bool) -> None:
        venues, coins = len(self.waiting["venue"]), len(self.waiting["base"])
        taken = self.write(self.pending.turn(), True, meanwhile, fails)
        assert min(PLACES, venues + coins) == len(taken)
        assert min(PLACES // 2, venues) <= [kind(change) for change in taken].count("venue")

    def write_tick(self, meanwhile: Iterable[Change], fails: bool) -> None:
        for partition, scope, _ in self.waiting.pop("coins at venues", []):
            for window in WINDOWS:
                self.wait((partition, scope, window))
        number = len(self.waiting["late"]) + min(ROWS, len(self.waiting["late, of coins at venues"]))
        parts = self.pending.tick()
        assert number == sum(len(self.write(part, False, meanwhile, fails and part is parts[-1])) for part in parts)


@given(steps)
def test_nothing_told_is_lost_or_comes_twice_or_out_of_turn(
    steps: list[tuple[list[Change], str, list[Change], bool]],
) -> None:
    queues = Queues()
    write = {"all": queues.write_all, "turn": queues.write_turn, "tick": queues.write_tick}
    for told, way, meanwhile, fails in steps:
        queues.tell(told)
        write[way](meanwhile, fails)
    for _ in range(TICKS):
        for one in write.values():
            one((), False)
    assert [] == [change for queue in queues.waiting.values() for change in queue]
    assert not queues.pending.unfinished
