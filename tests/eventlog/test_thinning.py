"""Which records of a topic take the place of earlier ones."""

import pytest

from liqwatch.eventlog import Record
from liqwatch.eventlog.thinning import Thinning

THINNING = Thinning(("id", "open"))


def numbers(*values: bytes | None) -> list[int]:
    """Which of these values are kept."""
    return [
        record.offset
        for record in THINNING.last_of_each(
            [Record(0, number, 0, b"key", value) for number, value in enumerate(values)]
        )
    ]


def test_the_last_of_each_is_kept_in_order() -> None:
    a, b, c = b'{"id":"a","open":true,"to":1}', b'{"id":"b","open":true,"to":1}', b'{"id":"a","to":2,"open":true}'
    assert [1, 2] == numbers(a, b, c)
    assert [2, 4] == numbers(a, c, b, c, a)
    assert [] == numbers()


def test_what_differs_in_one_field_is_another_thing() -> None:
    assert [0, 1, 2] == numbers(b'{"id":"a","open":true}', b'{"id":"a","open":false}', b'{"id":1,"open":true}')


@pytest.mark.parametrize(
    "value",
    [
        None, b"", b"nonsense", b"[]", b'{"id":"a"}', b'{"id":null,"open":true}', b'{"id":{},"open":true}',
        b'{"id":"\xff","open":true}', b'{"x":' + b"[" * 5_000,
    ],
    ids=range(9),
)  # fmt: skip
def test_what_cannot_be_read_is_kept(value: bytes | None) -> None:
    assert [0, 1, 3] == numbers(value, value, b'{"id":"a","open":true}', b'{"id":"a","open":true}')
