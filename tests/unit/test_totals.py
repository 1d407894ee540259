"""Readers of totals: partitions added up, the newest owner believed, staleness told."""

from itertools import permutations

import msgspec
import pytest

from liqwatch.eventlog import Record
from liqwatch.events import Completeness
from liqwatch.totals import Sum, TotalsBook, larger, newest
from liqwatch.wire import Heartbeat, LargestRecord, Totals, encode

NOW = 1_790_000_000_000


def record(event_id: str, usd: str) -> LargestRecord:
    return LargestRecord(event_id, "okx", "BTC-USDT-SWAP", "BTC", "long", "50000", usd, NOW, "order")


def row(partition: int, long_usd: str, *, short_usd: str = "0", scope: str = "all", generation: int = 1,
        as_of_ms: int = NOW, largest: LargestRecord | None = None) -> Totals:  # fmt: skip
    counts = int(long_usd != "0"), int(short_usd != "0")
    return Totals(partition, "24h", scope, generation, as_of_ms, 7, long_usd, counts[0], short_usd, counts[1], largest)


def beat(partition: int, generation: int = 1, as_of_ms: int = NOW, caught_up: bool = True) -> Heartbeat:
    return Heartbeat(partition, generation, as_of_ms, 7, 8, caught_up)


def book(*messages: Totals | Heartbeat, partitions: int = 3) -> TotalsBook:
    made = TotalsBook(partitions)
    for message in messages:
        made.apply(message)
    return made


def test_partitions_are_added_up_to_the_micro_dollar() -> None:
    found = book(row(0, "0.000001", short_usd="5"), row(2, "1700000000.999999")).sum("24h", "all")
    assert (1_700_000_001_000_000, 5_000_000) == (found.long, found.short)
    assert (2, 1) == (found.long_count, found.short_count)
    assert [found.long, found.short, found.long + found.short] == [found.side(s) for s in ("long", "short", "both")]


def test_an_unknown_scope_or_window_is_nothing() -> None:
    assert Sum() == book(row(0, "1")).sum("24h", "base=BTC") == book(row(0, "1")).sum("5m", "all")


def test_a_later_row_replaces_and_an_older_one_is_refused() -> None:
    made = book(row(0, "10"))
    assert made.apply(row(0, "9", as_of_ms=NOW + 1))
    assert not made.apply(row(0, "99", as_of_ms=NOW))
    assert not made.apply(row(0, "99", generation=0, as_of_ms=NOW + 9))
    assert 9_000_000 == made.sum("24h", "all").long


def test_what_a_predecessor_left_is_forgotten_when_the_successor_has_caught_up() -> None:
    made = book(row(0, "10"), row(0, "4", scope="base=OLD"), row(1, "1"), beat(0), row(0, "7", generation=2))
    assert made.apply(beat(0, generation=2, caught_up=False))
    assert 4_000_000 == made.sum("24h", "base=OLD").long
    assert made.apply(beat(0, generation=2))
    assert Sum() == made.sum("24h", "base=OLD")
    assert 8_000_000 == made.sum("24h", "all").long
    assert not made.apply(row(0, "99", generation=1, as_of_ms=NOW + 9)), "a frozen owner that wakes up"
    assert not made.apply(beat(0, generation=1, as_of_ms=NOW + 9))


def test_a_scope_that_has_gone_to_zero_is_not_kept() -> None:
    made = book(row(0, "10", scope="base=BTC"), row(1, "1", scope="base=BTC"), row(0, "3", scope="venue=okx,base=BTC"))
    assert ["base=BTC"] == list(made.scopes("24h", "base="))
    assert made.apply(row(0, "0", scope="base=BTC", as_of_ms=NOW + 1))
    assert 1_000_000 == made.sum("24h", "base=BTC").long
    assert made.apply(row(1, "0", scope="base=BTC", as_of_ms=NOW + 1))
    assert [] == list(made.scopes("24h", "base="))
    assert [] == list(made.scopes("24h", "venue="))


def test_evidence_names_each_partition_with_its_offset_though_it_adds_nothing() -> None:
    made = book(row(2, "1.5"), row(0, "0"))
    assert [(0, "0.000000", 7), (2, "1.500000", 7)] == [
        (part.partition, part.long_usd, part.offset) for part in made.evidence("24h", "all")
    ]


def test_the_largest_record_is_the_same_whatever_the_order_of_partitions() -> None:
    records = [record("b", "10.5"), record("a", "10.50"), record("c", "9.999999"), None]
    for order in permutations(records):
        found = None
        for one in order:
            found = larger(found, one)
        assert found is not None and "a" == found.event_id
    made = book(*(row(number, "1", largest=one) for number, one in enumerate(records[:3])))
    largest = made.sum("24h", "all").largest()
    assert largest is not None and "a" == largest.event_id


def test_a_partition_is_stale_without_a_caught_up_heartbeat_of_the_last_five_seconds() -> None:
    made = book(beat(0), beat(1, as_of_ms=NOW - 5_001), beat(2, caught_up=False))
    assert [1, 2] == made.stale(NOW)
    assert [2] == made.stale(NOW, limit_ms=50_000)
    assert [0, 1, 2] == made.stale(NOW + 5_001)
    assert [0, 1, 2] == TotalsBook(3).stale(NOW)


def test_the_sum_is_as_fresh_as_its_oldest_partition() -> None:
    assert NOW - 5_001 == book(beat(0), beat(1, as_of_ms=NOW - 5_001), beat(2)).as_of_ms()
    assert 0 == book(beat(0)).as_of_ms()


@pytest.mark.parametrize("partition", [-1, 3])
def test_a_partition_that_cannot_be_is_refused(partition: int) -> None:
    with pytest.raises(IndexError):
        TotalsBook(3).apply(msgspec.structs.replace(beat(0), partition=partition))


def test_a_tombstone_takes_the_row_from_a_reader_that_missed_the_zero() -> None:
    known = book(row(0, "120"), row(1, "5"))
    window = row(0, "120").window
    assert (window, "all") == known.bury(f"0,{window},all".encode())
    assert Sum(long=5_000_000, long_count=1) == known.sum(window, "all")
    assert known.bury(f"0,{window},all".encode()) is None
    with pytest.raises(ValueError, match="unpack"):
        known.bury(b"junk")


def test_a_sum_is_split_by_the_kind_of_feed_it_comes_from() -> None:
    made = book(
        row(0, "10", scope="all"), row(1, "27", short_usd="5", scope="all"),
        row(0, "10", scope="venue=bybit"), row(1, "20", scope="venue=okx"), row(1, "4", scope="venue=binance"),
        row(1, "3", short_usd="5", scope="venue=new"), row(1, "20", scope="venue=okx,base=BTC"),
        row(0, "7", scope="venue=bybit,base=BTC"),
    )  # fmt: skip
    kinds: dict[str, Completeness] = {"bybit": "all", "okx": "sampled", "binance": "sampled"}
    usd = 1_000_000
    whole = {"all": (10 * usd, 0), "sampled": (24 * usd, 0), "unproven": (3 * usd, 5 * usd)}
    assert whole == made.by_completeness("24h", "all", kinds)
    assert {"all": (7 * usd, 0), "sampled": (20 * usd, 0)} == made.by_completeness("24h", "base=BTC", kinds)
    assert {"sampled": (20 * usd, 0)} == made.by_completeness("24h", "venue=okx", kinds)
    assert {"sampled": (20 * usd, 0)} == made.by_completeness("24h", "venue=okx,base=BTC", kinds)


def test_of_a_batch_only_what_a_later_record_of_the_owner_replaces_is_left_out() -> None:
    def written(message: Totals | Heartbeat | None, key: bytes) -> Record:
        return Record(0, 0, NOW, key, None if message is None else encode(message))

    old, new = written(row(0, "1"), b"0,24h,all"), written(row(0, "2", as_of_ms=NOW + 1), b"0,24h,all")
    other_owner = written(row(0, "9", generation=2), b"0,24h,all")
    other_key = written(row(1, "1"), b"1,24h,all")
    beats = [written(beat(0), b"0,heartbeat"), written(beat(0, as_of_ms=NOW + 1), b"0,heartbeat")]
    grave = written(None, b"0,24h,all")
    batch = [old, beats[0], other_owner, other_key, new, beats[1], grave]
    assert [other_owner, other_key, new, beats[1], grave] == newest(batch)
