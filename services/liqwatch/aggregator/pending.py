"""What waits to be written to `totals`, and what of it goes next. Pure."""

from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from itertools import islice
from typing import TypeAlias, TypeVar

from .partition import Row
from .window import Changed, ScopeKey

ALL = "all"  # the scope that most rules are about: its rows go their own way, past all others
_CHUNK = 50  # rows of a tick an append: between two of them whatever is urgent goes first
_MOST_AT_ONCE = 12  # scopes of a turn, each with all windows
_MOST_A_TICK = 2_000  # rows: in a burst coins at venues take turns from second to second

RowKey: TypeAlias = tuple[int, Row]  # partition, row
HandedOut: TypeAlias = AbstractContextManager[Sequence[RowKey]]
_Key = TypeVar("_Key")


class Pending:
    """Keeps what has changed in that order. What changes once more while it waits keeps its place: it is written once.

    What is handed out is built and written inside `with`, as it then stands. There it waits no longer, so that what
    changes meanwhile is written again. If an exception ends the `with`, it waits once more, in front of all that has
    come since.
    """

    def __init__(self, windows: Sequence[str]) -> None:
        self._windows = windows
        # To be written at once:
        self._all: dict[int, None] = {}  # partitions whose `all` has changed
        self._now: dict[ScopeKey, None] = {}  # venues and coins
        # … and with the next ticks:
        self._coins_at_venues: dict[ScopeKey, None] = {}
        self._later: dict[RowKey, None] = {}

    @property
    def unfinished(self) -> bool:
        """Venues or coins wait for their turn."""
        return bool(self._now)

    def see(self, changed: Changed, told: Collection[int]) -> None:
        """Takes note of what has changed in those partitions."""
        for key in changed.events:
            if key[0] not in told:
                continue
            if key[1] == ALL:
                self._all[key[0]] = None
            elif "," in key[1]:
                self._coins_at_venues[key] = None
            else:
                self._now[key] = None
        for partition, scope, name in changed.expired:
            if partition in told:
                self.put_off(partition, (name, scope))

    def put_off(self, partition: int, row: Row) -> None:
        """To be written with the next tick."""
        if row[1] == ALL and row[0] in self._windows:  # else it is of a window that the settings do not name any more
            self._all[partition] = None
        else:
            self._later[partition, row] = None

    def of_all(self) -> HandedOut:
        """Every row of `all` that waits."""
        return _handed_out(self._all, list(self._all), self._rows((number, ALL) for number in self._all))

    def turn(self) -> HandedOut:
        """The rows of those venues and coins whose turn it is.

        Who waits longest goes first, among venues and among coins. Venues have half of the places: they are few, and
        change with every event.
        """
        scopes = self._turn()
        return _handed_out(self._now, scopes, self._rows(scopes))

    def tick(self) -> list[HandedOut]:
        """The rows of a tick, in parts; those of a part wait until its `with` begins.

        All rows of coins and of venues, which heartbeats vouch for; of coins at venues as many as there is time for.
        """
        self._later.update(dict.fromkeys(self._rows(self._coins_at_venues)))
        self._coins_at_venues.clear()
        rows = [key for key in self._later if "," not in key[1][1]]
        rows += islice((key for key in self._later if "," in key[1][1]), _MOST_A_TICK)
        chunks = [rows[start : start + _CHUNK] for start in range(0, len(rows), _CHUNK)]
        return [_handed_out(self._later, chunk, chunk) for chunk in chunks]

    def _turn(self) -> Collection[ScopeKey]:
        if len(self._now) <= _MOST_AT_ONCE:
            return list(self._now)
        venues = (key for key in self._now if key[1].startswith("venue="))
        turn = dict.fromkeys(islice(venues, _MOST_AT_ONCE // 2))
        others = (key for key in self._now if key not in turn)
        turn.update(dict.fromkeys(islice(others, _MOST_AT_ONCE - len(turn))))
        return turn

    def _rows(self, scopes: Iterable[ScopeKey]) -> list[RowKey]:
        return [(partition, (name, scope)) for partition, scope in scopes for name in self._windows]


@contextmanager
def _handed_out(
    waiting: dict[_Key, None], keys: Collection[_Key], rows: Sequence[RowKey]
) -> Iterator[Sequence[RowKey]]:
    if len(keys) == len(waiting):
        waiting.clear()  # frees what it took in a burst, which would have to be gone through each time
    else:
        for key in keys:
            del waiting[key]
    try:
        yield rows
    except BaseException:  # also when cancelled
        again = dict.fromkeys(keys) | waiting
        waiting.clear()
        waiting.update(again)
        raise
