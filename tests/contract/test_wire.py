"""The msgspec twins of the hot path and the pydantic contract give the same answers."""

from decimal import ROUND_HALF_EVEN, Context, Decimal
from typing import Any

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from pydantic import BaseModel, ValidationError

from liqwatch import events, wire

TWINS: list[tuple[type[msgspec.Struct], type[BaseModel]]] = [
    (wire.Liquidation, events.Liquidation),
    (wire.LargestRecord, events.LargestRecord),
    (wire.Totals, events.Totals),
    (wire.Heartbeat, events.Heartbeat),
    (wire.Bar, events.Bar),
    (wire.BarRow, events.BarRow),
    (wire.Coverage, events.Coverage),
]

text = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
plain = st.decimals(0, 10**12, places=9).map(lambda value: format(value, "f"))
milliseconds = st.integers(0, 2**53)
unit = st.sampled_from(["order", "fill"])
side = st.sampled_from(["long", "short"])
liquidations = st.builds(
    wire.Liquidation,
    event_id=text,
    venue=text,
    symbol=text,
    base=text,
    quote=text,
    side=side,
    price=plain,
    price_kind=st.sampled_from(["fill", "mark", "bankruptcy", "order"]),
    quantity=plain,
    notional_usd=plain,
    event_time_ms=milliseconds,
    received_time_ms=milliseconds,
    timed_by=st.sampled_from(["venue", "received"]),
    source=st.sampled_from(["stream", "gap-fill"]),
    unit=unit,
)
largest = st.none() | st.builds(
    wire.LargestRecord,
    event_id=text,
    venue=text,
    symbol=text,
    base=text,
    side=side,
    price=plain,
    notional_usd=plain,
    event_time_ms=milliseconds,
    unit=unit,
)
count = st.integers(0, 2**40)
totals = st.builds(
    wire.Totals,
    partition=count,
    window=text,
    scope=text,
    generation=count,
    as_of_ms=milliseconds,
    offset=st.integers(-1, 2**40),
    long_usd=plain,
    long_count=count,
    short_usd=plain,
    short_count=count,
    largest_long=largest,
    largest_short=largest,
)
heartbeats = st.builds(
    wire.Heartbeat,
    partition=count,
    generation=count,
    as_of_ms=milliseconds,
    offset=st.integers(-1, 2**40),
    end_offset=count,
    caught_up=st.booleans(),
)
bars = st.builds(
    wire.Bar,
    partition=count,
    minute_ms=milliseconds,
    generation=count,
    rows=st.lists(
        st.builds(
            wire.BarRow,
            venue=text,
            base=text,
            long_usd=plain,
            long_count=count,
            short_usd=plain,
            short_count=count,
        ),
        max_size=3,
    ).map(tuple),
)

intervals = st.builds(
    wire.Coverage,
    venue=text,
    collector=text,
    interval_id=text,
    kind=st.sampled_from(["watched", "lost", "filled"]),
    from_ms=milliseconds,
    to_ms=milliseconds,
    open=st.booleans(),
    completeness=st.sampled_from(["all", "sampled", "partial", "unproven"]),
    feeds=st.lists(text, max_size=3).map(tuple),
    ended_by=st.none() | text,
    events_lost=count,
    events_filled=count,
)


def told(message: object) -> Any:
    """What travels, as plain values."""
    return msgspec.json.decode(wire.encode(message))


@pytest.mark.parametrize(("twin", "model"), TWINS, ids=[twin.__name__ for twin, _ in TWINS])
def test_twins_have_the_same_fields(twin: type[msgspec.Struct], model: type[BaseModel]) -> None:
    assert set(model.model_fields) - {"kind"} == set(twin.__struct_fields__) - {"kind"}


@given(liquidations)
def test_a_liquidation_means_the_same_to_both(event: wire.Liquidation) -> None:
    model = events.Liquidation.model_validate_json(wire.encode(event))

    assert told(event) == model.model_dump()
    assert event == wire.decode_liquidation(model.model_dump_json())
    assert event == wire.decode_liquidation(wire.encode(event))


@given(totals)
def test_totals_mean_the_same_to_both(message: wire.Totals) -> None:
    model = events.Totals.model_validate_json(wire.encode(message))

    assert told(message) == model.model_dump()
    assert message == wire.decode_totals(model.model_dump_json())


@given(heartbeats)
def test_a_heartbeat_means_the_same_to_both(message: wire.Heartbeat) -> None:
    model = events.Heartbeat.model_validate_json(wire.encode(message))

    assert told(message) == model.model_dump()
    assert message == wire.decode_totals(model.model_dump_json())


@given(bars)
def test_a_bar_means_the_same_to_both(message: wire.Bar) -> None:
    model = events.Bar.model_validate_json(wire.encode(message))

    assert told(message) == model.model_dump(mode="json")
    assert message == wire.decode_bar(model.model_dump_json())


@given(intervals)
def test_an_interval_means_the_same_to_both(message: wire.Coverage) -> None:
    model = events.Coverage.model_validate_json(wire.encode(message))

    assert told(message) == msgspec.json.decode(model.model_dump_json())
    assert message == wire.decode_coverage(model.model_dump_json())


@pytest.mark.parametrize("wrong", [{"kind": "seen"}, {"completeness": "some"}, {"to_ms": None}, {"version": 2}])
def test_both_refuse_what_is_not_an_interval(wrong: dict[str, Any]) -> None:
    good = wire.Coverage("okx", "c", "id", "watched", 1, 2, True, "all")
    bad = msgspec.json.encode(told(good) | wrong)

    assert good == wire.decode_coverage(msgspec.json.encode(told(good)))
    with pytest.raises(msgspec.ValidationError):
        wire.decode_coverage(bad)
    with pytest.raises(ValidationError):
        events.Coverage.model_validate_json(bad)


def test_both_ignore_what_they_do_not_know() -> None:
    known = wire.Heartbeat(1, 2, 3, 4, 5, True)
    more = msgspec.json.encode(told(known) | {"mood": "calm"})

    assert known == wire.decode_totals(more)
    assert 5 == events.Heartbeat.model_validate_json(more).end_offset


@pytest.mark.parametrize("wrong", [{"event_time_ms": "soon"}, {"side": 7}, {"price": None}])
def test_both_refuse_what_is_not_a_liquidation(wrong: dict[str, Any]) -> None:
    good = wire.Liquidation("id", "v", "s", "b", "q", "long", "1", "fill", "1", "1", 1, 1, "venue", "stream", "order")
    bad = msgspec.json.encode(told(good) | wrong)

    with pytest.raises(msgspec.ValidationError):
        wire.decode_liquidation(bad)
    with pytest.raises(ValidationError):
        events.Liquidation.model_validate_json(bad)


ROOM = Context(prec=100)


@given(st.decimals(-(10**15), 10**15, places=12).map(lambda value: format(value, "f")))
@example("0.0000005")
@example("0.0000015")
@example("-0.0000005")
@example("-0.0000015")
@example("0.00000050000000000000000000000001")
@example("1.9999999")
@example("-1.9999999")
@example("7")
@example("-0.000001")
@example("99999999999.9999995")
def test_micro_dollars_are_rounded_half_even_as_decimal_does(usd: str) -> None:
    wanted = Decimal(usd).quantize(Decimal("0.000001"), ROUND_HALF_EVEN, ROOM).scaleb(6, ROOM)

    assert int(wanted) == wire.micros(usd)


@given(st.integers(-(10**20), 10**20))
def test_micro_dollars_go_through_text_unchanged(micro_dollars: int) -> None:
    assert micro_dollars == wire.micros(wire.usd_text(micro_dollars))


@pytest.mark.parametrize(
    "usd",
    [
        "",
        ".",
        "-",
        "1e5",
        "1E-7",
        "NaN",
        "Infinity",
        "1_000",
        " 1",
        "1 ",
        "+1",
        "1.2.3",
        "--1",
        "0x1",
        "1,5",
        "1.-5",
        "1.00000000e1",
    ],
)
def test_only_plain_decimals_are_money(usd: str) -> None:
    with pytest.raises(ValueError, match=r".+"):
        wire.micros(usd)
