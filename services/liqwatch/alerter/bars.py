"""What the alerter reads of a bar: the money of a minute, by venue and base."""

import msgspec


class BarRow(msgspec.Struct, gc=False):
    """See `events.BarRow`."""

    venue: str
    base: str
    long_usd: str
    short_usd: str


class Bar(msgspec.Struct, gc=False):
    """See `events.Bar`."""

    partition: int
    minute_ms: int
    generation: int
    rows: list[BarRow]


decode_bar = msgspec.json.Decoder(Bar).decode
