"""One venue's table of instruments, shared with its sessions and kept fresh from the venue's REST lists."""

import asyncio
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import aiohttp
import structlog

from ..clock import Clock
from ..metrics import CollectorMetrics
from ..supervise import Backoff, Outage
from ..venues.base import Instrument, InstrumentList, Venue, build_instruments
from ..wire import Liquidation
from .failures import Failure
from .fetch import ListFailed, fetch_list
from .watch import LIMITS, Limits

_MOST_GIVEN_UP = 10_000
_CHANGES_TOLD = 10
_BELIEVED_AFTER = 2  # more readings of the list that say the same
_RETRY_FIRST, _RETRY_CAP = 1.0, 60.0


@dataclass(slots=True)
class _Doubt:
    """Terms of a contract, as believed before and as the list has them now."""

    believed: str
    now: str
    repeated: int = 0


class InstrumentTable:
    """`known` is one dict for the whole life of the collector: sessions hold it and see every change.

    A list that fails leaves what it gave before. What a list no longer has is kept, so that a late event can still
    be read, but is not `trading` any more.
    """

    def __init__(
        self,
        venue: Venue,
        http: aiohttp.ClientSession,
        origin: str | None,
        every: float,
        usd_currencies: Sequence[str],
        metrics: CollectorMetrics,
        limits: Limits = LIMITS,
        refreshed: Callable[[], None] = lambda: None,
    ) -> None:
        self.known: dict[str, Instrument] = {}
        self.doubted: set[str] = set()  # symbols whose terms have just changed: a slip of the list, or a real change
        self._doubts: dict[str, _Doubt] = {}
        self.failing: dict[str, str] = {}  # list -> why, as of the latest try
        self.retry_in: float | None = None  # seconds from the latest try to the next, while something fails
        self._tried_at = time.monotonic()
        self._loaded: dict[str, frozenset[str]] = {}
        self._ended: dict[str, float] = {}  # symbols that traded in this run -> when they were seen to trade no more
        self._venue, self._http, self._origin = venue, http, origin
        self._every, self._usd, self._limits = every, tuple(usd_currencies), limits
        self._refreshed = refreshed
        self._metrics = metrics
        self._log = structlog.get_logger("collector").bind(venue=venue.name)
        self._outage = Outage("instrument list", self._log)
        self._backoff = Backoff(_RETRY_FIRST, _RETRY_CAP)
        self._wanted: set[str] = set()
        self._wake = asyncio.Event()
        self._given_up: dict[str, float] = {}

    @property
    def usable(self) -> bool:
        """At least one list was read once: sockets are worth opening."""
        return bool(self._loaded)

    @property
    def complete(self) -> bool:
        """Every list was read at least once: every event can be understood."""
        return len(self._loaded) == len(self._venue.instrument_lists)

    def may_come(self, symbol: str) -> bool:
        """False for a symbol that the lists did not have when last asked for it."""
        tried = self._given_up.get(symbol)
        return tried is None or time.monotonic() - tried > self._every

    def want(self, symbol: str) -> None:
        """An event of an unknown symbol came: read the lists ahead of their time."""
        if symbol not in self._wanted and len(self._wanted) < _MOST_GIVEN_UP:
            self._wanted.add(symbol)
            self._wake.set()

    def delisted(self, since_ms: int, seen: Iterable[Liquidation], clock: Clock) -> dict[str, Instrument]:
        """What traded after `since_ms`, by the lists or by the events `seen`, and trades no more: as if it still did.

        Of a contract that no list of this run had only the names are right.
        """
        now_ms, now = clock.now_ms(), time.monotonic()
        found = {
            name: self.known[name]
            for name, at in self._ended.items()
            if now_ms - (now - at) * 1000 * clock.speed >= since_ms
        }
        names = {one.symbol: name for name, one in self.known.items()}
        for event in seen:
            name = names.get(event.symbol, event.symbol)
            one = self.known.get(name) or Instrument(event.symbol, event.base, event.quote)
            if name not in self.known or not one.trading:
                found[name] = one
        return {name: replace(one, trading=True) for name, one in found.items()}

    async def run(self) -> None:
        """Reads the lists now, every so often, and when a symbol is wanted; never more than `refresh_gap` allows."""
        while True:
            wait = await self.refresh()
            read_at = time.monotonic()
            self._refreshed()
            try:
                async with asyncio.timeout(wait):
                    await self._wake.wait()
                    await asyncio.sleep(max(0.0, read_at + self._limits.refresh_gap - time.monotonic()))
            except TimeoutError:
                pass

    async def refresh(self) -> float:
        """Reads every list once. Returns the seconds until the next regular try."""
        self._wake.clear()
        wanted, self._wanted = self._wanted, set()
        self.retry_in = None
        results = await asyncio.gather(*(self._read(listed) for listed in self._venue.instrument_lists))
        self._metrics.instruments.labels(self._venue.name).set(len(self.known))
        failed = [error for error in results if error is not None]
        if not failed:
            self._give_up(wanted - self.known.keys())
            self._backoff.reset()
            self._outage.up(instruments=len(self.known))
            return self._every
        wait = min(self._every, self._backoff.next(max(error.wait for error in failed)))
        if self.complete:  # else the venue itself is down, and says so
            self._outage.down(self.trouble(), retry_seconds=round(wait, 1))
        self.retry_in, self._tried_at = wait, time.monotonic()
        return wait

    def retry_at_ms(self, clock: Clock) -> int | None:
        """When a failed list is read again, on `clock`."""
        if self.retry_in is None:
            return None
        left = max(0.0, self._tried_at + self.retry_in - time.monotonic())
        return clock.now_ms() + int(left * 1000 * clock.speed)

    def trouble(self) -> str:
        """Which lists fail and why, in words."""
        if len(self.failing) == len(self._venue.instrument_lists) and len(set(self.failing.values())) == 1:
            return next(iter(self.failing.values()))  # the same for all of them
        return "; ".join(f"{name}: {why}" for name, why in sorted(self.failing.items()))

    async def _read(self, listed: InstrumentList) -> ListFailed | None:
        try:
            objects = await fetch_list(self._http, self._venue, listed, self._origin)
            built, errors = await asyncio.to_thread(build_instruments, self._venue, objects, self._usd)
            self._take(listed.name, built, errors)
        except ListFailed as error:
            self._metrics.instrument_failures.labels(self._venue.name).inc()
            self.failing[listed.name] = str(error)
            return error
        self.failing.pop(listed.name, None)
        return None

    def _take(self, name: str, built: Mapping[str, Instrument], errors: Sequence[str]) -> None:
        if errors:
            self._log.debug("instruments not usable", list=name, number=len(errors), first=errors[0])
        if not built:
            raise ListFailed(Failure("error", f"none of its {len(errors)} entries is usable: {errors[:1]}"))
        known = self.known
        changes = [
            f"{symbol}: {_terms(known[symbol])} -> {_terms(new)}"
            for symbol, new in built.items()
            if symbol in known and _terms(known[symbol]) != _terms(new)
        ]
        if changes:
            self._log.warning("contract terms changed", number=len(changes), changes=changes[:_CHANGES_TOLD])
        for symbol, new in built.items():
            self._doubt(symbol, known.get(symbol), new)
            self._note_end(symbol, new.trading)
        for symbol in self._loaded.get(name, frozenset()) - built.keys():
            self._note_end(symbol, False)
            if known[symbol].trading:
                known[symbol] = replace(known[symbol], trading=False)
        known.update(built)
        self._loaded[name] = self._loaded.get(name, frozenset()) | built.keys()

    def _note_end(self, symbol: str, trades: bool) -> None:
        before = self.known.get(symbol)
        if trades:
            self._ended.pop(symbol, None)
        elif before is not None and before.trading:
            self._ended[symbol] = time.monotonic()

    def _doubt(self, symbol: str, before: Instrument | None, new: Instrument) -> None:
        """New terms are believed once the list has repeated them; those that were believed before, at once."""
        doubt, terms = self._doubts.get(symbol), _terms(new)
        if doubt is None:
            if before is None or _terms(before) == terms:
                return
            doubt = self._doubts[symbol] = _Doubt(_terms(before), terms)
        elif doubt.now == terms:
            doubt.repeated += 1
        else:
            doubt.now, doubt.repeated = terms, 0
        if doubt.repeated >= _BELIEVED_AFTER or doubt.believed == terms:
            del self._doubts[symbol]
            self.doubted.discard(symbol)
            self._log.warning("contract terms are believed again", symbol=symbol, terms=terms)
        else:
            self.doubted.add(symbol)

    def _give_up(self, symbols: set[str]) -> None:
        now = time.monotonic()
        if len(self._given_up) + len(symbols) > _MOST_GIVEN_UP:
            self._given_up.clear()
        self._given_up.update(dict.fromkeys(symbols, now))


def _terms(instrument: Instrument) -> str:
    kind = "inverse" if instrument.inverse else "linear"
    size = instrument.contract_size.normalize()  # 0.010 is 0.01
    return f"{instrument.base}/{instrument.quote} {kind} {size:f}"
