"""How the members of a group share partitions: a pure function, in tables and in general."""

from collections.abc import Collection

import pytest
from hypothesis import given
from hypothesis import strategies as st

from liqwatch.eventlog.kafka_assignor import Held, share_out

NEW: tuple[int, Collection[int]] = (0, ())


@pytest.mark.parametrize(
    ("held", "expected"),
    [
        ({"a": NEW}, {"a": [0, 1, 2, 3]}),
        ({"a": (7, [0, 1, 2, 3]), "b": NEW}, {"a": [0, 1], "b": [2, 3]}),
        ({"a": (7, [0, 1]), "b": (7, [2, 3])}, {"a": [0, 1], "b": [2, 3]}),
        ({"b": (7, [2, 3])}, {"b": [0, 1, 2, 3]}),
        ({"a": (5, [0, 1, 2, 3]), "b": (7, [1, 2])}, {"a": [0, 3], "b": [1, 2]}),
        ({"a": (9, [0, 1]), "b": NEW, "c": NEW}, {"a": [0, 1], "b": [2], "c": [3]}),
    ],
    ids=["alone", "one joins", "nothing changes", "one left", "the later claim wins", "uneven"],
)
def test_members_keep_what_they_have(held: Held, expected: dict[str, list[int]]) -> None:
    assert expected == {member: sorted(share) for member, share in share_out(range(4), held).items()}


@given(
    st.integers(0, 24),
    st.dictionaries(
        st.text("abcdef", min_size=1, max_size=3),
        st.tuples(st.integers(0, 5), st.lists(st.integers(0, 30))),
        min_size=1,
        max_size=6,
    ),
)
def test_every_partition_has_one_owner_and_shares_differ_by_one(partitions: int, held: Held) -> None:
    shares = share_out(range(partitions), held)
    assert list(range(partitions)) == sorted(partition for share in shares.values() for partition in share)
    assert max(map(len, shares.values())) - min(map(len, shares.values())) <= 1
    assert held.keys() == shares.keys()
