"""Whose turn it is to act, decided by the alerts topic itself. No I/O.

Of several alerters one holds the topic's only partition. Holding it does not stop a process that was frozen
meanwhile, so whoever takes over reads to the end and appends a claim: a tombstone with the key
`owner:GENERATION:TOKEN`, the generation higher than any before. The latest valid claim in the order of the log
owns what follows it; records of a former owner behind it change nothing.
"""

import uuid
from enum import Enum

from ..eventlog import Assignment

_CLAIM = b"owner:"
CLAIM_AGAIN_SECONDS = 15.0  # the group gets this long to say that the partition is not ours any more


class Turn(Enum):
    """What this alerter may do."""

    STANDING_BY = "standing by"
    LEARNING = "reading what was announced"
    CLAIMING = "claiming its turn"
    ACTING = "acting"


class Turns:
    """The state of one alerter's turn. Give it everything in the order of the log."""

    def __init__(self) -> None:
        self.turn = Turn.STANDING_BY
        self.generation = 0  # of our latest claim
        self.why = ""  # the latest loss, in words
        self._token = uuid.uuid4().hex.encode()
        self._assigned = 0
        self._end = 0
        self._highest = 0  # generation seen in the topic
        self._not_before = 0.0

    def assign(self, assignment: Assignment) -> None:
        """The group has shared its partition out anew."""
        self._assigned = assignment.generation
        if 0 not in assignment.partitions:
            self._not_before = 0.0  # the group has spoken: what it gives us next is ours
            self._lose("another alerter holds the topic", Turn.STANDING_BY)
        elif 0 in assignment.fresh:
            self._lose("the topic was assigned anew", Turn.LEARNING)
            self._end = assignment.end_offsets.get(0, 0)
            self._highest = 0

    def is_current(self, generation: int) -> bool:
        """False for a record of a former owner. Call it for each incident read while learning."""
        if generation < self._highest:
            return False
        self._highest = generation
        return True

    def see_claim(self, key: bytes, now: float) -> None:
        """A tombstone was read; it may be a claim, ours or another's. `now` in seconds of a monotonic clock."""
        if not key.startswith(_CLAIM):
            return
        text, _, token = key[len(_CLAIM) :].partition(b":")
        if not text.isdigit():
            return
        generation = int(text)
        valid = generation > self._highest
        self._highest = max(self._highest, generation)
        if token == self._token:
            if self.turn is Turn.CLAIMING and generation == self.generation:
                # Not valid: somebody else came first. Read on, and claim with a higher number.
                self.turn = Turn.ACTING if valid else Turn.LEARNING
        elif valid and self.turn in (Turn.ACTING, Turn.CLAIMING):
            # What was known while acting has been let go: an owner that was ousted learns anew, from the start of the
            # topic, and so waits for a fresh assignment. One that was only claiming has read everything and reads on.
            next_turn = Turn.STANDING_BY if self.turn is Turn.ACTING else Turn.LEARNING
            self._lose("another alerter claimed the topic", next_turn)
            self._not_before = now + CLAIM_AGAIN_SECONDS

    def stake(self, position: int, now: float) -> bytes | None:
        """The key of the claim to be appended, once everything before `position` has been read; else None."""
        if self.turn is not Turn.LEARNING or position < self._end or now < self._not_before:
            return None
        self.generation = max(self._assigned, self._highest + 1)
        self.turn = Turn.CLAIMING
        return _CLAIM + b"%d:%s" % (self.generation, self._token)

    def _lose(self, why: str, turn: Turn) -> None:
        self.turn = turn
        self.why = why
