"""How the members of a group share the partitions of one topic: evenly, and each keeps what it has.

aiokafka's own sticky assignor keeps its memory in the class: two groups in one process would mix theirs. What a
member holds travels in the group protocol, so the leader needs no memory at all.
"""

import json
from collections.abc import Collection, Iterable, Mapping
from typing import Any

from aiokafka.coordinator.assignors.abstract import AbstractPartitionAssignor
from aiokafka.coordinator.protocol import (
    ConsumerProtocolMemberAssignment,
    ConsumerProtocolMemberMetadata,
)

_Base: Any = AbstractPartitionAssignor
Held = Mapping[str, tuple[int, Collection[int]]]  # member → (generation in which it got them, partitions)


def share_out(partitions: Collection[int], held: Held) -> dict[str, list[int]]:
    """Shares differ by one at most; of two that claim a partition the later generation keeps it."""
    members = sorted(held, key=lambda member: (-held[member][0], -len(held[member][1]), member))
    small, larger = divmod(len(partitions), len(members))
    left = set(partitions)
    shares: dict[str, list[int]] = {}
    for rank, member in enumerate(members):
        quota = small + (1 if rank < larger else 0)
        kept = sorted(left & set(held[member][1]))[:quota]
        shares[member] = kept
        left -= set(kept)
    for rank, member in enumerate(members):
        quota = small + (1 if rank < larger else 0)
        while len(shares[member]) < quota:
            shares[member].append(min(left))
            left.remove(min(left))
    return shares


class KeepingAssignor(_Base):  # type: ignore[misc]
    """One per member; `holds` is set by the member to what it holds and since which generation."""

    name = "liqwatch-keeping"

    def __init__(self) -> None:
        self.generation = 0
        self.holds: frozenset[int] = frozenset()

    def metadata(self, topics: Iterable[str]) -> Any:
        data = json.dumps({"generation": self.generation, "partitions": sorted(self.holds)})
        return ConsumerProtocolMemberMetadata(0, sorted(topics), data.encode())

    def assign(self, cluster: Any, members: Mapping[str, Any]) -> dict[str, Any]:
        topic = next(iter(members.values())).subscription[0]
        partitions = cluster.partitions_for_topic(topic) or set()
        shares = share_out(partitions, {member: _held(data.user_data) for member, data in members.items()})
        return {
            member: ConsumerProtocolMemberAssignment(0, [(topic, sorted(share))], b"")
            for member, share in shares.items()
        }

    def on_assignment(self, assignment: Any) -> None:
        """The member itself says what it holds, once it has taken it over."""


def _held(data: bytes) -> tuple[int, list[int]]:
    try:
        told = json.loads(data)
        return int(told["generation"]), [int(partition) for partition in told["partitions"]]
    except (ValueError, KeyError, TypeError):
        return 0, []
