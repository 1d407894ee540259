"""What a REST history has and the stream did not bring: a multiset, so that equal orders stay as many as they were."""

from msgspec.structs import replace

from liqwatch.collector.matching import missing
from liqwatch.wire import Liquidation

AT = 1_795_000_000_000


def event(
    event_id: str = "a", *, at: int = AT, price: str = "1.5", quantity: str = "2", side: str = "long"
) -> Liquidation:
    place = ("gate", "BTC_USDT", "BTC", "USDT")
    return Liquidation(event_id, *place, side, price, "order", quantity, "3", at, at, "venue", "stream", "order")


def left(
    rows: list[Liquidation], known: list[Liquidation], *, same_ids: bool = False, resolution: int = 1000
) -> list[str]:
    return [row.event_id for row in missing(rows, known, same_ids=same_ids, resolution_ms=resolution)]


def test_what_is_known_by_its_fields_at_the_coarser_time_is_not_missing() -> None:
    assert [] == left([event("x")], [event("s", at=AT + 999)])
    assert ["rest:gate:BTC_USDT:1795000000000:long:2@1.5"] == left([event("x")], [event("s", at=AT + 1000)])
    assert [] == left([event("x", price="1.50", quantity="2.0")], [event("s")])
    for other in (event("s", price="1.6"), event("s", quantity="3"), event("s", side="short")):
        assert 1 == len(left([event("x")], [other]))
    assert 1 == len(left([event("x")], [replace(event("s"), symbol="ETH_USDT")]))


def test_equal_orders_are_as_many_as_the_list_has() -> None:
    rest = "rest:gate:BTC_USDT:1795000000000:long:2@1.5"
    rows = [event("x"), event("y"), event("z")]
    assert [rest, f"{rest}#1", f"{rest}#2"] == left(rows, [])
    assert [f"{rest}#1", f"{rest}#2"] == left(rows, [event("s", at=AT + 1)])
    assert [] == left(rows, [event("s"), event("t", at=AT + 1), event("u", at=AT + 2)])


def test_a_second_look_finds_what_the_first_one_filled_in() -> None:
    rows = [event("x"), event("y")]
    filled = missing(rows, [event("s", at=AT + 7)], same_ids=False, resolution_ms=1000)
    assert [] == left(rows, [event("s", at=AT + 7), *filled])


def test_the_same_event_twice_in_the_log_is_one() -> None:
    assert ["rest:gate:BTC_USDT:1795000000000:long:2@1.5#1"] == left([event("x"), event("y")], [event("s"), event("s")])


def test_where_the_ids_are_the_same_they_decide_and_are_kept() -> None:
    rows = [event("a"), event("a#1"), event("b", at=AT + 5)]
    assert ["a#1", "b"] == left(rows, [event("a")], same_ids=True, resolution=1)
    assert ["a", "a#1", "b"] == left([*rows, event("a")], [], same_ids=True, resolution=1)


def test_an_id_written_otherwise_does_not_make_another_order_of_it() -> None:
    assert [] == left([event("2@1.5")], [event("2.0@1.50")], same_ids=True, resolution=1)
