"""A reader that shares the partitions of its topic with the other members of a consumer group.

Kafka forgets the generations of a group soon after its last member has left, and starts again at 1. Ours have to
grow for ever, since readers of what the members write keep the highest. So a generation is at least the wall clock
in milliseconds, and more than any that an earlier owner left beside the partitions.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta

from ..clock import Clock
from . import NOTHING_ASSIGNED, Assignment, LogUnavailable, Record, Start, since
from .kafka_connection import closed
from .kafka_membership import Membership, Superseded
from .kafka_reader import KafkaReader

_LOOK_SECONDS = 0.25


@dataclass(slots=True, eq=False)
class KafkaMember:
    """See `eventlog.Member`."""

    membership: Membership
    reader: KafkaReader
    start: Start | timedelta
    clock: Clock
    forget: Callable[["KafkaMember"], None] = lambda member: None
    assignment: Assignment = NOTHING_ASSIGNED
    _claims: set[int] = field(default_factory=set)  # what we wrote, or tried to, since the assignment
    _closed: bool = False

    async def fetch(self, timeout: float) -> Sequence[Record]:
        loop = asyncio.get_running_loop()
        deadline = loop.time() + timeout
        while True:
            if self._closed:
                raise closed("member")
            await self._keep_place()
            if self.membership.changed.is_set():
                if await self._adopt():
                    return ()
            left = deadline - loop.time()
            records: Sequence[Record] = ()
            if self.assignment.partitions:
                records = await self.reader.fetch(max(0.0, min(left, _LOOK_SECONDS)))
            elif left > 0:
                await self._wait(min(left, _LOOK_SECONDS))
            if records or left <= 0:
                return records

    def positions(self) -> Mapping[int, int]:
        return self.reader.positions()

    async def end_offsets(self) -> Mapping[int, int]:
        return await self.reader.end_offsets() if self.assignment.partitions else {}

    @property
    def lost(self) -> int:
        return self.reader.lost

    async def close(self, timeout: float = 2.0) -> None:
        self._closed = True
        self.forget(self)
        await asyncio.gather(self.membership.stop(timeout), self.reader.close(timeout))

    async def _keep_place(self) -> None:
        if not self.membership.running():
            await self.membership.start()
        try:
            self.membership.check()
        except LogUnavailable:
            await self.membership.stop(1.0)  # joins anew with the next fetch; the reader keeps its positions
            raise

    async def _adopt(self) -> bool:
        """Takes over what the group gave us; False where it has changed its mind meanwhile."""
        self.membership.changed.clear()
        assigned = self.membership.assigned or frozenset()
        try:
            earlier = await self.membership.last_generations(assigned)
            fresh = self._begun_anew(assigned, earlier)
            client = await self.reader.client()
            ends = await client.ends(fresh)
            begin = self.start
            if isinstance(begin, timedelta):
                begin = since(self.clock.now_ms() - int(begin.total_seconds() * 1000))
            held = {p: at for p, at in self.reader.positions().items() if p in assigned - fresh}
            positions = held | await client.starts(fresh, begin)
            generation = await self._claim(positions, earlier)
            if self.membership.changed.is_set():
                return False
            await self.reader.go_to(positions)
        except Superseded:
            return False
        except BaseException:
            self.membership.changed.set()  # still to be taken over
            raise
        self.assignment = Assignment(generation, assigned, fresh, ends)
        self._claims = {generation}
        self.membership.assignor.holds, self.membership.assignor.generation = assigned, generation
        return True

    def _begun_anew(self, assigned: frozenset[int], earlier: Mapping[int, int]) -> frozenset[int]:
        """What we did not hold, and what another member has had since: cut off, we did not see it go and come."""
        return frozenset(
            p for p in assigned if p not in self.assignment.partitions or earlier.get(p) not in self._claims
        )

    async def _claim(self, positions: Mapping[int, int], earlier: Mapping[int, int]) -> int:
        generation = max(self.clock.now_ms(), self.assignment.generation + 1)
        generation = max([generation, *(number + 1 for number in earlier.values())])
        if positions:
            self._claims.add(generation)  # first: a claim without an answer may have been written
            try:
                await self.membership.claim(positions, generation)
            except Superseded:
                self._claims.discard(generation)
                raise
        return generation

    async def _wait(self, seconds: float) -> None:
        try:
            async with asyncio.timeout(seconds):
                await self.membership.changed.wait()
        except TimeoutError:
            return
