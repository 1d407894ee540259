"""What the commands of the terminal say in words."""

from datetime import timedelta

import pytest

from liqwatch.live import how_long


@pytest.mark.parametrize(
    ("words", "kept"),
    [
        ("for ever", None),
        ("7 days", timedelta(days=7)),
        ("1 day", timedelta(days=1)),
        ("400 days", timedelta(days=400)),
        ("1 d 12 h", timedelta(hours=36)),
        ("6 h", timedelta(hours=6)),
    ],
)
def test_how_long_a_topic_is_kept_is_said_as_people_say_it(words: str, kept: timedelta | None) -> None:
    assert words == how_long(kept)
