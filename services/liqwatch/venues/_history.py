"""Reading the venues' REST histories: the same rows as a frame's, told to come from a gap's filling."""

from collections.abc import Callable
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

from msgspec.structs import replace

from ._numbers import words
from ._rows import Reading, Row, read_rows
from .base import HistoryPage


def history_page(
    rows: object,
    read: Callable[[Row], Reading],
    next_url: str | None = None,
    *,
    venue_ids: bool = False,
) -> HistoryPage:
    """A page of the rows that `read` makes events of. Raises `ValueError` where they are not rows at all.

    `venue_ids`: as of `read_rows`.
    """
    if not isinstance(rows, list):
        raise ValueError(f"no list of liquidations: {words(rows)[:60]}")
    received = read_rows(rows, read, "the history", venue_ids=venue_ids)
    return HistoryPage(
        [replace(event, source="gap-fill") for event in received.liquidations], received.bad_rows, next_url
    )


def asked(url: str, name: str) -> str | None:
    """A parameter of the address."""
    return dict(parse_qsl(urlsplit(url).query)).get(name)


def asking(url: str, **changed: object) -> str:
    """The same address with these parameters changed or added."""
    parts = urlsplit(url)
    query = dict(parse_qsl(parts.query)) | {name: str(value) for name, value in changed.items()}
    return urlunsplit(parts._replace(query=urlencode(query)))


def spans(since: int, until: int, longest: int) -> list[tuple[int, int]]:
    """From `since` to `until` in pieces of at most `longest`, the newest first."""
    pieces: list[tuple[int, int]] = []
    while until > since:
        begin = max(since, until - longest)
        pieces.append((begin, until))
        until = begin
    return pieces
