"""The alerts topic as this alerter's memory: what was decided and tried, written before anything is sent.

An attempt counts only once its own record has been read back while it is still our turn (`turns.py`).
"""

import asyncio
import contextlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import msgspec
import structlog
from pydantic import ValidationError

from ..clock import Clock
from ..eventlog import EARLIEST, NOTHING_ASSIGNED, Assignment, Entry, Log, LogUnavailable, Member, Record, RecordRefused
from ..events import Incident
from ..supervise import Backoff
from ..topics import ALERTS
from ..wire import UNREADABLE
from .incidents import close_unannounced
from .shrinking import shrunk
from .turns import Turn, Turns

_FETCH_SECONDS = 0.5
_SOON_SECONDS = 0.05  # while the turn is not decided
_APPEND_SECONDS = 30.0

log_ = structlog.get_logger("alerter")
Waiting = list["asyncio.Future[None]"]


class Fenced(Exception):
    """Another alerter has taken over, or may have: nothing more may be sent."""


class Unwritable(Exception):
    """The log will never take this record, however short: it is not sent, and stays open."""


@dataclass(frozen=True, slots=True)
class Receipt:
    """For one state of an incident: done once it was read back in the turn in which it was put."""

    generation: int
    done: "asyncio.Future[None]"


class Journal:
    """Reads and writes the alerts topic; holds the incidents that are open or not delivered yet.

    `is_live` says which incidents have to be kept. `on_turn` is called when acting begins or ends, `on_written`
    with each state of an incident that the log has taken, `on_cut` with the id of one that it refused as a whole.
    """

    def __init__(
        self,
        log: Log,
        clock: Clock,
        group: str,
        *,
        is_live: Callable[[Incident], bool],
        on_turn: Callable[[], None],
        on_written: Callable[[Incident], None],
        on_cut: Callable[[str], None] = lambda _: None,
    ) -> None:
        self.incidents: dict[str, Incident] = {}
        self.reachable = True
        self._log = log
        self._clock = clock
        self._group = group
        self._is_live = is_live
        self._on_turn = on_turn
        self._on_written = on_written
        self._on_cut = on_cut
        self._turns = Turns()
        self._assignment: Assignment = NOTHING_ASSIGNED
        self._position = 0
        self._ousted = False  # by a claim: what was read before is gone, and has to be read again
        self._claim: bytes | None = None
        self._dirty: dict[str, Waiting] = {}
        self._in_hand = False
        self._unread: list[tuple[int, asyncio.Future[None]]] = []  # offset of what is to be read back
        self._wake = asyncio.Event()
        self._appended = asyncio.Event()

    @property
    def acting(self) -> bool:
        """True while it is our turn."""
        return self._turns.turn is Turn.ACTING

    @property
    def generation(self) -> int:
        """Of our claim; stands in everything we write."""
        return self._turns.generation

    @property
    def turn(self) -> Turn:
        return self._turns.turn

    @property
    def joined(self) -> bool:
        """The group has said who holds the topic."""
        return self._assignment.generation > 0

    @property
    def is_written(self) -> bool:
        """Nothing waits for the log."""
        return not self._dirty and not self._in_hand

    async def flush(self, seconds: float) -> None:
        """Waits until nothing waits for the log; so long at most, and not at all in an outage."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds if self.reachable else 0):
                while not self.is_written:
                    self._appended.clear()
                    await self._appended.wait()

    def put(self, incident: Incident) -> None:
        """The new state of an incident, to be written soon. Raises `Fenced`."""
        if not self.acting:
            raise Fenced
        if incident.generation != self.generation:
            incident = incident.model_copy(update={"generation": self.generation})
        self.incidents[incident.incident_id] = incident
        self._dirty.setdefault(incident.incident_id, [])
        self._wake.set()

    def note(self, incident: Incident) -> None:
        """The new state of an incident, to be written with its next `put`."""
        self.incidents[incident.incident_id] = incident

    def forget(self, incident_id: str) -> None:
        """Lets go of an incident that is over and told, unless it still has to be written."""
        if incident_id not in self._dirty:
            self.incidents.pop(incident_id, None)

    def receipt(self, incident_id: str) -> Receipt:
        """Of what was just put: several may wait for it."""
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        done.add_done_callback(lambda one: one.cancelled() or one.exception())  # should nobody wait for it
        self._dirty[incident_id].append(done)
        return Receipt(self.generation, done)

    async def confirmed(self, receipt: Receipt) -> None:
        """Waits until that state was read back in our own turn. Raises `Fenced` and `Unwritable`."""
        await asyncio.shield(receipt.done)
        if not self.acting or self.generation != receipt.generation:
            raise Fenced

    async def confirm(self, incident: Incident) -> None:
        """Writes the state and waits until it was read back in our own turn. Raises `Fenced` and `Unwritable`."""
        self.put(incident)
        await self.confirmed(self.receipt(incident.incident_id))

    async def follow(self) -> None:
        """Reads the topic until cancelled."""
        member: Member | None = None
        backoff = Backoff(cap=5.0)
        try:
            while True:
                try:
                    if member is None:
                        member = await self._log.member(ALERTS, self._group, start=EARLIEST)
                    settled = self.joined and self.turn in (Turn.ACTING, Turn.STANDING_BY)
                    records = await member.fetch(_FETCH_SECONDS if settled else _SOON_SECONDS)
                except LogUnavailable as error:
                    self._see(False, str(error))
                    await asyncio.sleep(backoff.next())
                    continue
                backoff.reset()
                self._see(True)
                self._read(member, records)
                if self._ousted:
                    leaving, member = member, None
                    await _close(leaving)
                    self._ousted, self._position, self._assignment = False, 0, NOTHING_ASSIGNED
        finally:
            if member is not None:
                await _close(member)

    async def write(self) -> None:
        """Appends what `put` brings until cancelled; one append for all that came meanwhile."""
        backoff = Backoff(cap=5.0)
        while True:
            await self._wake.wait()
            await asyncio.sleep(0)  # whoever was woken together with us gets into the same append
            self._wake.clear()
            claim, self._claim = self._claim, None
            batch, self._dirty = self._dirty, {}
            states = [self.incidents[incident_id] for incident_id in batch]
            self._in_hand = True
            try:
                async with asyncio.timeout(_APPEND_SECONDS):
                    try:
                        written = list(zip(states, await self._append(claim, states), strict=True))
                    except RecordRefused:
                        written = await self._append_each(claim, states)
            except (LogUnavailable, TimeoutError):
                self._take_back(claim, batch)
                await asyncio.sleep(backoff.next())
                continue
            finally:
                self._in_hand = False
                self._appended.set()
            backoff.reset()
            for state, offset in written:
                waiting = batch.pop(state.incident_id)
                if self.acting:
                    self._unread += [(offset, one) for one in waiting]
                else:
                    _fail(waiting)
                if self.acting and state.generation == self.generation:
                    self._on_written(state)
            self._release()
            for waiting in batch.values():
                _fail(waiting, Unwritable("the log refuses the record of the incident"))

    async def _append_each(self, claim: bytes | None, states: list[Incident]) -> list[tuple[Incident, int]]:
        """One by one, so that a record which the log will never take holds up no other; that one is cut down."""
        if claim is not None:
            await self._append(claim, [])
        written = []
        for state in states:
            for number, version in enumerate((state, *shrunk(state))):
                try:
                    (offset,) = await self._append(None, [version])
                except RecordRefused as error:
                    reason = str(error)
                    continue
                if number:
                    self._on_cut(state.incident_id)
                    log_.error("record cut down: too large for the log", incident=state.incident_id, reason=reason)
                    if self.incidents.get(state.incident_id) is state:
                        self.incidents[state.incident_id] = version
                written.append((version, offset))
                break
            else:
                self._on_cut(state.incident_id)
                log_.error("an incident cannot be recorded", incident=state.incident_id, reason=reason)
        return written

    async def _append(self, claim: bytes | None, states: list[Incident]) -> list[int]:
        now_ms = self._clock.now_ms()
        entries = [] if claim is None else [Entry(claim, None, now_ms)]
        entries += [Entry(s.incident_id.encode(), s.model_dump_json().encode(), now_ms) for s in states]
        positions = await self._log.append(ALERTS, entries) if entries else []
        return [position.offset for position in positions[len(positions) - len(states) :]]

    def _take_back(self, claim: bytes | None, batch: dict[str, Waiting]) -> None:
        """What could not be written is to be written again, unless it is no longer ours to write."""
        if claim is not None and self.turn is Turn.CLAIMING and self._claim is None:
            self._claim = claim
        for incident_id, waiting in batch.items():
            if self.acting and incident_id in self.incidents:
                self._dirty[incident_id] = waiting + self._dirty.get(incident_id, [])
            else:
                _fail(waiting)
        self._wake.set()

    def _read(self, member: Member, records: Sequence[Record]) -> None:
        now = asyncio.get_running_loop().time()
        if member.assignment != self._assignment:
            self._assignment = member.assignment
            self._change(partial(self._turns.assign, member.assignment))
            if 0 in member.assignment.fresh:
                self.incidents.clear()
        for record in records:
            if record.value is None:
                was_acting = self.acting
                self._change(partial(self._turns.see_claim, record.key, now))
                self._ousted |= was_acting and not self.acting
            else:
                self._take(record.value, record.offset)
        self._position = member.positions().get(0, self._position)
        self._release()
        claim = self._turns.stake(self._position, now)
        if claim is not None:
            self._claim = claim
            self._wake.set()

    def _take(self, value: bytes, offset: int) -> None:
        if self.turn is Turn.STANDING_BY or (self.acting and _is_ours(value, self.generation)):
            return
        try:
            incident = Incident.model_validate_json(value)
        except ValidationError as error:
            log_.error("a record of alerts cannot be read", offset=offset, mistakes=error.error_count())
            return
        if self.acting:
            if incident.generation < self.generation:
                self._overrule(incident)
        elif self._turns.is_current(incident.generation):
            if self._is_live(incident):
                self.incidents[incident.incident_id] = incident
            else:
                self.incidents.pop(incident.incident_id, None)

    def _overrule(self, incident: Incident) -> None:
        """A former owner wrote after our claim: what we know stands, and what we do not know is closed."""
        ours = self.incidents.get(incident.incident_id)
        if ours is None and incident.closed_ms is None:
            reason = "opened by an alerter whose turn was over"
            ours = close_unannounced(incident, reason, self._clock.now_ms(), self.generation)
        if ours is not None:
            self.put(ours)

    def _change(self, act: Callable[[], None]) -> None:
        was_acting = self.acting
        act()
        if self.acting == was_acting:
            return
        if self.acting:
            log_.info("acting", generation=self.generation, incidents=len(self.incidents))
        else:
            log_.warning("no longer acting", reason=self._turns.why, generation=self.generation)
            for waiting in (*self._dirty.values(), [one for _, one in self._unread]):
                _fail(waiting)
            self._dirty.clear()
            self._unread.clear()
            self.incidents.clear()
        self._on_turn()

    def _release(self) -> None:
        for offset, one in self._unread:
            if offset < self._position and not one.done():
                one.set_result(None)
        self._unread = [(offset, one) for offset, one in self._unread if not one.done()]

    def _see(self, reachable: bool, reason: str = "") -> None:
        if reachable != self.reachable:
            self.reachable = reachable
            if reachable:
                log_.info("the log is back")
            else:
                log_.warning("the log cannot be reached, retrying", reason=reason)


class _Generation(msgspec.Struct):
    """Of a record, and nothing else: nearly all that is read while acting was written by ourselves."""

    generation: int


_GENERATIONS = msgspec.json.Decoder(_Generation)


def _is_ours(value: bytes, generation: int) -> bool:
    """Written in our own turn, or in a later one, of which a claim tells."""
    try:
        return _GENERATIONS.decode(value).generation >= generation
    except UNREADABLE:
        return False


async def _close(member: Member) -> None:
    with contextlib.suppress(Exception):
        await asyncio.wait_for(member.close(), 0.5)


def _fail(waiting: Waiting, error: Exception | None = None) -> None:
    for one in waiting:
        if not one.done():
            one.set_exception(error or Fenced())
