"""Which symbol is on which connection of one feed, as the listings change."""

from collections.abc import Callable, Collection, Sequence

import structlog

from ..venues.base import Feed
from .connection import Connection

_TOLD = 20  # symbols named in a log line


class Roster:
    """`open` makes a connection for symbols and says whether it joins others; `close` ends one."""

    def __init__(
        self,
        venue: str,
        feed: Feed,
        open_: Callable[[Sequence[str], bool], Connection],
        close: Callable[[Connection], None],
    ) -> None:
        self.feed = feed
        self.connections: list[Connection] = []
        self._open, self._close = open_, close
        self._log = structlog.get_logger("collector").bind(venue=venue, feed=feed.name)

    def arrange(self, listed: Collection[str]) -> None:
        """Carries what is listed now: new symbols where there is room, else on a new socket; gone ones no more."""
        most = self.feed.symbols_per_socket
        if most is None:
            if not self.connections:
                self.connections.append(self._open((), False))
            return
        carried = {symbol for one in self.connections for symbol in one.symbols}
        self._drop(carried.difference(listed))
        new = sorted(set(listed) - carried)
        joins = bool(self.connections)
        if new and joins:
            self._log.info("new listings", symbols=new[:_TOLD], number=len(new))
        for one in self.connections:
            room = most - len(one.symbols)
            if room > 0 and new:
                one.add(new[:room])
                new = new[room:]
        for start in range(0, len(new), most):
            self.connections.append(self._open(new[start : start + most], joins))

    def _drop(self, gone: set[str]) -> None:
        if not gone:
            return
        self._log.info("delisted", symbols=sorted(gone)[:_TOLD], number=len(gone))
        for one in list(self.connections):
            one.drop(gone)
            if not one.symbols:  # nothing left to carry; an empty list would mean a wildcard
                self.connections.remove(one)
                self._close(one)
