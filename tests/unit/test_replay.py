"""`liqwatch replay` against a naive recomputation: totals, counts, peaks, largest records, and what rules say."""

import gzip
import json
import random
from datetime import timedelta
from decimal import ROUND_HALF_EVEN, Decimal
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from liqwatch import replay
from liqwatch.aggregator.window import Added, RollingTotals
from liqwatch.alerter.rules import Memory, judge
from liqwatch.peaks import Rolling
from liqwatch.settings import RuleSettings
from liqwatch.wire import decode_liquidation, micros, usd_text

WINDOWS = {"1m": 60, "5m": 300, "1h": 3600}
SPANS = tuple(timedelta(seconds=span) for span in WINDOWS.values())
T0 = 1_790_000_000_000
Row = dict[str, Any]


def row(
    event_id: str, at_ms: int, usd: str, side: str = "long", venue: str = "okx", base: str = "BTC"
) -> dict[str, Any]:
    return {
        "version": 1,
        "event_id": event_id,
        "venue": venue,
        "symbol": f"{base}-USDT-SWAP",
        "base": base,
        "quote": "USDT",
        "side": side,
        "price": "50000.1",
        "price_kind": "bankruptcy",
        "quantity": "0.5",
        "notional_usd": usd,
        "event_time_ms": at_ms,
        "received_time_ms": at_ms + 40,
        "timed_by": "venue",
        "source": "stream",
        "unit": "order",
    }


def recorded(path: Path, rows: list[Row]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def naive(rows: list[Row]) -> dict[str, Any]:
    """Everything counted again for every event, from nothing but the rules' words."""
    clock = duplicates = late = 0
    longest = max(WINDOWS.values())
    kept: list[tuple[Row, Decimal]] = []
    peaks: dict[tuple[str, str], tuple[Decimal, int | None]] = {}
    for event in rows:
        clock = max(clock, event["event_time_ms"])
        oldest = clock // 1000 - longest
        kept = [(e, usd) for e, usd in kept if e["event_time_ms"] // 1000 > oldest]
        if event["event_time_ms"] // 1000 <= oldest:
            late += 1
        elif any(e["event_id"] == event["event_id"] for e, _ in kept):
            duplicates += 1
        else:
            usd = Decimal(event["notional_usd"]).quantize(Decimal("0.000001"), ROUND_HALF_EVEN)
            kept.append((event, usd))
        for name, span in WINDOWS.items():
            for side in ("long", "short"):
                total = sum((usd for e, usd in inside(kept, clock, span) if e["side"] == side), Decimal(0))
                if total > peaks.get((name, side), (Decimal(0), None))[0]:
                    peaks[name, side] = (total, clock)
    windows: dict[str, Any] = {}
    largest: dict[str, Any] = {}
    for name, span in WINDOWS.items():
        found = inside(kept, clock, span)
        windows[name] = {}
        for side in ("long", "short"):
            mine = [usd for e, usd in found if e["side"] == side]
            peak, at_ms = peaks.get((name, side), (Decimal(0), None))
            windows[name][side] = {
                "usd": f"{sum(mine, Decimal(0)):.6f}",
                "count": len(mine),
                "peak_usd": f"{peak:.6f}",
                "peak_at_ms": at_ms,
            }
        found.sort(key=lambda pair: (-pair[1], pair[0]["event_id"]))
        largest[name] = found[0][0] if found else None
    return {
        "events": len(rows),
        "duplicates": duplicates,
        "late": late,
        "windows": windows,
        "largest": largest,
        "alerts": [],
    }


def inside(kept: list[tuple[Row, Decimal]], clock: int, span: int) -> list[tuple[Row, Decimal]]:
    return [(e, usd) for e, usd in kept if e["event_time_ms"] // 1000 > clock // 1000 - span]


def a_day(seed: int, events: int) -> list[Row]:
    """In bursts and lulls, some late, some very late, some repeated."""
    dice = random.Random(seed)
    rows: list[Row] = []
    clock = T0
    for number in range(events):
        clock += dice.choice([0, 0, 3, 400, 1000, 9_000, 200_000 if dice.random() < 0.1 else 50])
        at = clock - dice.choice([0, 0, 0, 0, 700, 30_000, 290_000, 3_500_000, 4_000_000])
        usd = dice.choice([f"{dice.expovariate(1 / 9000):.{dice.choice([0, 2, 6, 7, 12])}f}", "0.0000005", "0.0000015"])
        rows.append(row(f"id{number}", at, usd, dice.choice(["long", "short"]), base=dice.choice(["BTC", "ETH"])))
        if dice.random() < 0.05:
            rows.append({**dice.choice(rows), "received_time_ms": 1})
    return rows


@pytest.mark.parametrize("seed", range(6))
def test_totals_peaks_and_largest_are_what_an_independent_recomputation_gives(seed: int, tmp_path: Path) -> None:
    rows = a_day(seed, 400)
    assert naive(rows) == replay.run([recorded(tmp_path / "day.jsonl", rows)], (), SPANS)


@given(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 40), st.integers(0, 99)), max_size=60))
def test_a_rolling_total_is_the_sum_of_what_is_inside(events: list[tuple[int, int, int]]) -> None:
    """The clock moves on by so many seconds; an event is so many seconds late."""
    rolling, now, kept = Rolling((3, 10, 25)), 1_000, []
    for later, late, amount in events:
        now += later
        rolling.move(now)
        rolling.add(now - late, amount)
        kept.append((now - late, amount))
        assert [sum(usd for at, usd in kept if at > now - span) for span in (3, 10, 25)] == rolling.totals


@pytest.mark.parametrize("seed", range(4))
def test_what_is_repeated_or_too_late_is_what_the_window_says_of_each_event(seed: int, tmp_path: Path) -> None:
    """Ids of events timed by us are known twice as long; those forgotten may come again."""
    dice = random.Random(seed)
    rows: list[Row] = []
    clock = T0
    for number in range(600):
        clock += dice.choice([0, 5_000, 60_000])
        known = dice.choice(rows)["event_id"] if rows and dice.random() < 0.4 else f"okx:{clock}:long:{number}"
        one = row(known, clock - dice.choice([0, 0, 100_000]), "7", dice.choice(["long", "short"]))
        rows.append(one | {"timed_by": dice.choice(["venue", "received"])})
    window, said, clock = RollingTotals([(name, span) for name, span in WINDOWS.items()]), [], 0
    for one in rows:
        clock = max(clock, one["event_time_ms"])
        window.advance(clock)
        said.append(window.add(decode_liquidation(msgspec.json.encode(one))))
    result = replay.run([recorded(tmp_path / "ids.jsonl", rows)], (), SPANS)
    assert (said.count(Added.DUPLICATE), said.count(Added.LATE)) == (result["duplicates"], result["late"])
    assert said.count(Added.DUPLICATE) > 50
    for name in WINDOWS:
        totals = window.totals(0, "all", name)
        assert (totals.long.events, totals.short.events) == tuple(
            result["windows"][name][side]["count"] for side in ("long", "short")
        )


def test_the_window_is_given_all_that_is_inside_however_much_waits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(replay, "_AT_ONCE", 7)
    rows = a_day(7, 300)
    assert naive(rows) == replay.run([recorded(tmp_path / "day.jsonl", rows)], (), SPANS)


def test_files_are_played_in_the_order_named_packed_or_not(tmp_path: Path) -> None:
    rows = a_day(99, 120)
    first, second = tmp_path / "z.jsonl.gz", recorded(tmp_path / "a.jsonl", rows[60:])
    first.write_bytes(gzip.compress("".join(json.dumps(row) + "\n" for row in rows[:60]).encode()))
    assert naive(rows) == replay.run([first, second], (), SPANS)


def test_the_default_windows_are_those_of_the_service(tmp_path: Path) -> None:
    result = replay.run([recorded(tmp_path / "one.jsonl", [row("a", T0, "1")])])
    assert ["5m", "1h", "4h", "12h", "24h"] == list(result["windows"])
    assert {"usd": "0.000000", "count": 0, "peak_usd": "0.000000", "peak_at_ms": None} == result["windows"]["24h"][
        "short"
    ]
    assert row("a", T0, "1") == result["largest"]["24h"]


def test_bad_lines_are_told_by_file_and_line_and_left_out(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    good = json.dumps(row("a", T0, "1"))
    bad = [
        "{",
        "[]",
        "not json",
        json.dumps({**row("b", T0, "1"), "side": "buy"}),
        json.dumps({**row("b", T0, "1"), "notional_usd": "1e9"}),
        json.dumps({**row("b", T0, "1"), "notional_usd": "-1"}),
        json.dumps({**row("b", T0, "1"), "notional_usd": "1000000000000"}),
        json.dumps({**row("b", T0, "1"), "notional_usd": 1}),
        json.dumps({**row("b", T0, "1"), "price": "cheap"}),
        json.dumps({**row("b", T0, "1"), "event_time_ms": -1}),
        json.dumps({**row("b", T0, "1"), "event_time_ms": 10**18}),
        json.dumps({k: v for k, v in row("b", T0, "1").items() if k != "base"}),
        json.dumps({k: v for k, v in row("b", T0, "1").items() if k != "event_time_ms"}),
        json.dumps({**row("b", T0, "1"), "unit": "lot"}),
        json.dumps({**row("b", T0, "1"), "version": 2}),
        "[" * 100_000,
        "\x00\xff",
    ]
    path = tmp_path / "mixed.jsonl"
    path.write_bytes("\n".join([good, "", *bad, good.replace('"a"', '"c"')]).encode("latin-1"))
    result = replay.run([path], (), SPANS)
    assert (2, "2.000000") == (result["events"], result["windows"]["1h"]["long"]["usd"])
    told = capsys.readouterr()
    assert "" == told.out
    assert [f"{path}:{number}:" for number in range(3, 3 + len(bad))] == [
        line.split(" ", 1)[0] for line in told.err.splitlines()
    ]


def test_what_the_contract_leaves_to_defaults_may_be_missing(tmp_path: Path) -> None:
    short = {k: v for k, v in row("a", T0, "1").items() if k not in ("version", "timed_by", "source")}
    result = replay.run([recorded(tmp_path / "short.jsonl", [{**short, "unknown": {"more": 1}}])], (), SPANS)
    assert row("a", T0, "1") == result["largest"]["1h"]


def test_the_fields_of_the_arithmetic_are_enough(tmp_path: Path) -> None:
    needed = ("event_id", "venue", "symbol", "base", "side", "notional_usd", "event_time_ms")
    least = {key: row("a", T0, "1")[key] for key in needed}
    hidden = {**least, "event_id": "b", "symbol": '"timed_by" "source"', "notional_usd": "5"}
    path = tmp_path / "least.jsonl"
    path.write_text(
        json.dumps(least) + "\n" + '{"note": "source", "what": "timed_by", ' + json.dumps(hidden)[1:] + "\n"
    )
    result = replay.run([path], (), SPANS)
    assert (2, "6.000000") == (result["events"], result["windows"]["1h"]["long"]["usd"])
    assert ("b", "venue", "stream", "order", 1) == tuple(
        result["largest"]["1h"][key] for key in ("event_id", "timed_by", "source", "unit", "version")
    )


@pytest.mark.parametrize("pack", [bytes, gzip.compress])
def test_a_byte_order_mark_costs_no_event(pack: Any, tmp_path: Path) -> None:
    path = tmp_path / "marked.jsonl"
    path.write_bytes(pack(b"\xef\xbb\xbf" + json.dumps(row("a", T0, "1")).encode() + b"\n"))
    assert 1 == replay.run([path], (), SPANS)["events"]


def test_a_file_that_is_missing_or_cut_off_is_an_error_that_names_it(tmp_path: Path) -> None:
    with pytest.raises(OSError) as missing:
        replay.run([tmp_path / "none.jsonl"])
    assert str(tmp_path / "none.jsonl") == str(missing.value.filename)
    cut = tmp_path / "cut.jsonl.gz"
    cut.write_bytes(gzip.compress(json.dumps(row("a", T0, "1")).encode() * 50)[:-9])
    with pytest.raises(OSError) as broken:
        replay.run([cut])
    assert str(cut) == broken.value.filename


def rule(name: str, **settings: Any) -> RuleSettings:
    return RuleSettings(name=name, window="1m", **settings)


def said(rows: list[Row], tmp_path: Path, *rules: RuleSettings) -> list[tuple[Any, ...]]:
    alerts = replay.run([recorded(tmp_path / "rules.jsonl", rows)], rules, SPANS)["alerts"]
    keys = ("rule", "scope", "kind", "at_ms", "usd", "threshold")
    assert all(list(alert) == list(keys) for alert in alerts)
    return [tuple(alert[key] for key in keys) for alert in alerts]


def test_a_ladder_fires_steps_up_and_clears_with_its_figures_and_times(tmp_path: Path) -> None:
    rows = [
        row("a", T0, "99.5"),
        row("b", T0 + 1_000, "0.5"),
        row("c", T0 + 2_000, "900", side="short"),
        row("d", T0 + 3_000, "150"),
        row("e", T0 + 70_000, "1"),
        row("f", T0 + 129_000, "1"),
        row("g", T0 + 130_000, "1"),
    ]
    ladder = rule("longs", side="long", thresholds=(100, 200))
    assert [
        ("longs", "all", "fired", T0 + 1_000, "100.000000", "100"),
        ("longs", "all", "stepped_up", T0 + 3_000, "250.000000", "200"),
        ("longs", "all", "cleared", T0 + 130_000, "1.000000", "90.0"),
    ] == said(rows, tmp_path, ladder)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize(
    "more",
    [
        {},
        {"repeat": "3m", "clear_hold": "30s"},
        {"hold": "20s", "clear_hold": "1m", "repeat": "2m"},
        {"side": "long", "clear_hold": "0s"},
    ],
)
def test_a_level_says_what_a_judgement_at_every_event_and_second_says(
    more: dict[str, Any], seed: int, tmp_path: Path
) -> None:
    rows = a_day(seed, 500)
    ladder = RuleSettings.model_validate({"name": "r", "window": "1m", "thresholds": ["30K", "60K", "90K"]} | more)
    memory, clock, found = Memory(), 0, []
    seen: dict[str, int] = {}
    kept: list[tuple[int, str, int]] = []  # second, side, micro-dollars

    def ask() -> None:
        nonlocal memory
        inside = [(side, usd) for at, side, usd in kept if at > clock // 1000 - 60]
        total = sum(usd for side, usd in inside if ladder.side in ("both", side))
        verdict, memory = judge(ladder, total, memory, clock)
        if verdict is not None:
            found.append((verdict.kind, clock, usd_text(total)))

    for event in rows:
        second = event["event_time_ms"] // 1000
        if event["event_time_ms"] > clock:
            clock = event["event_time_ms"]
            if memory != Memory():
                ask()
        if second <= clock // 1000 - 3600 or seen.get(event["event_id"], -1) > clock // 1000 - 3600:
            continue
        seen[event["event_id"]] = second
        kept.append((second, event["side"], micros(event["notional_usd"])))
        if ladder.side in ("both", event["side"]):
            ask()
    alerts = replay.run([recorded(tmp_path / "levels.jsonl", rows)], (ladder,), SPANS)["alerts"]
    assert len(found) > 2
    assert found == [(alert["kind"], alert["at_ms"], alert["usd"]) for alert in alerts]


def test_what_expires_is_judged_before_the_event_that_moves_the_clock(tmp_path: Path) -> None:
    later = T0 + 2 * 86_400_000
    rows = [row("a", T0, "100"), row("b", later, "150"), row("late", later - 1, "1"), row("b", later + 1, "150")]
    assert [
        ("longs", "all", "fired", T0, "100.000000", "100"),
        ("longs", "all", "cleared", later, "0.000000", "90.0"),
        ("longs", "all", "fired", later, "150.000000", "100"),
    ] == said(rows, tmp_path, rule("longs", side="long", thresholds=(100,), clear_hold="0s"))


def test_each_coin_and_each_venue_is_a_scope_of_its_own(tmp_path: Path) -> None:
    rows = [
        row("a", T0, "60", base="ETH"),
        row("b", T0, "60", base="BTC"),
        row("c", T0, "60", base="ETH", venue="gate", side="short"),
    ]
    found = said(
        rows,
        tmp_path,
        rule("coins", scope="each base", thresholds=(100,)),
        rule("venues", scope="each venue", thresholds=(100,)),
        rule("one", scope="venue=gate,base=ETH", side="short", thresholds=(60,)),
        rule("coin", scope="base=ETH", side="short", thresholds=(60,)),
        rule("venue", scope="venue=okx", side="short", thresholds=(1,)),
    )
    assert [
        ("venues", "venue=okx", "fired", T0, "120.000000", "100"),
        ("coins", "base=ETH", "fired", T0, "120.000000", "100"),
        ("one", "venue=gate,base=ETH", "fired", T0, "60.000000", "60"),
        ("coin", "base=ETH", "fired", T0, "60.000000", "60"),
    ] == found


def test_a_hold_is_counted_on_the_clock_of_the_events(tmp_path: Path) -> None:
    rows = [row("a", T0, "100"), row("b", T0 + 9_999, "1"), row("b", T0 + 10_000, "1"), row("c", T0 + 11_000, "1")]
    held = rule("held", thresholds=(100,), hold="10s")
    assert [("held", "all", "fired", T0 + 10_000, "101.000000", "100")] == said(rows, tmp_path, held)


def test_the_result_for_people_has_the_figures(tmp_path: Path) -> None:
    rows = [row("a", T0, "1234567.891"), row("b", T0, "5", side="short")]
    path = recorded(tmp_path / "few.jsonl", rows)
    timeline: list[str] = []
    result = replay.run([path], (rule("big", thresholds=(1_000_000,)),), SPANS, timeline=timeline)
    text = replay.human(result, timeline)
    for part in (
        "2 events",
        "$      1,234,567.89 in 1",
        "largest $1,234,567.89 okx",
        "UTC big [all] fired: At least $1.23M of positions liquidated in 1 minute, past $1M.",
        "1 message to each target: big 1; 1 still open",
    ):
        assert part in text


def kinds(rows: list[Row], tmp_path: Path, **settings: Any) -> list[tuple[str, str, int, str]]:
    """What one rule says of the rows: scope, step, seconds after the start, threshold."""
    one = RuleSettings.model_validate({"name": "r", "clear_hold": "0s"} | settings)
    spans = [timedelta(minutes=5), timedelta(hours=1), timedelta(hours=24)]
    alerts = replay.run([recorded(tmp_path / "kinds.jsonl", rows)], (one,), spans)["alerts"]
    return [(a["scope"], a["kind"], (a["at_ms"] - T0) // 1000, a["threshold"]) for a in alerts]


def test_a_share_is_judged_with_the_total(tmp_path: Path) -> None:
    rows = [row("a", T0, "60", side="short"), row("b", T0, "50"), row("c", T0 + 1000, "500"), row("d", T0 + 2000, "1")]
    assert [("all", "fired", 1, "40")] == kinds(rows, tmp_path, side="long", thresholds=["40"], share="85%")


def test_single_orders_are_judged_by_themselves(tmp_path: Path) -> None:
    rows = [row(str(n), T0 + n * 1000, usd) for n, usd in enumerate(("9", "9", "10", "12", "25"))]
    rows.append(row("later", T0 + 400_000, "1"))
    found = kinds(rows, tmp_path, kind="order", scope="each base in BTC", thresholds=["10", "25"])
    assert [
        ("base=BTC", "fired", 2, "10"),
        ("base=BTC", "stepped_up", 4, "25"),
        ("base=BTC", "cleared", 400, "9.0"),
    ] == found


def test_a_class_of_coins_is_one_total(tmp_path: Path) -> None:
    bases = ("BTC", "SOL", "XRP", "PEPE")
    rows = [row(base, T0 + n * 1000, "60", base=base) for n, base in enumerate(bases)]
    assert [("class=majors", "fired", 2, "100")] == kinds(rows, tmp_path, scope="class=majors", thresholds=["100"])


def steady(minutes: int, usd: str) -> list[Row]:
    return [row(f"m{minute}", T0 + minute * 60_000, usd) for minute in range(minutes)]


def test_a_surge_is_judged_against_the_minutes_before(tmp_path: Path) -> None:
    rows = [*steady(300, "100"), row("x", T0 + 300 * 60_000, "20000")]
    found = kinds(rows, tmp_path, kind="surge", times=["20"], floor="1000", window="5m")
    assert [("all", "fired", 18_000, "20")] == found
    assert [] == kinds(rows, tmp_path, kind="surge", times=["20"], floor="50000", window="5m")
    assert [] == kinds([*steady(30, "100"), rows[-1]], tmp_path, kind="surge", times=["20"], floor="1000", window="5m")


def test_a_record_is_judged_against_the_days_before(tmp_path: Path) -> None:
    day = 86_400_000
    rows = [
        row("a", T0, "500"),
        row("b", T0 + day, "200"),
        row("c", T0 + 3 * day, "300"),
        row("d", T0 + 4 * day, "600"),
    ]
    found = kinds(rows, tmp_path, kind="record", window="1h", days=[2], floor="100")
    assert [("all", "fired", 259_200, "2"), ("all", "cleared", 345_600, "2"), ("all", "fired", 345_600, "2")] == found


def test_a_cascade_is_judged_one_event_after_the_other(tmp_path: Path) -> None:
    rows = []
    for second in range(600):
        price = 60_000 * (1 - 0.03 * second / 600)
        fills = (("BTC", "83333", price), ("ETH", "1", price / 20))
        for base, usd, paid in fills:
            one = row(f"{base}{second}", T0 + second * 1000, usd, base=base)
            rows.append(one | {"price": f"{paid:.4f}", "price_kind": "fill"})
    rows.append(row("over", T0 + 3_000_000, "1"))
    found = kinds(rows, tmp_path, kind="cascade", side="long")
    assert ["fired", "stepped_up", "stepped_up", "stepped_up", "cleared"] == [kind for _, kind, _, _ in found]
    assert [("1", True), ("2", True)] == [(step, 195 <= at <= 305) for _, _, at, step in found[:2]]
    assert [] == kinds(rows, tmp_path, kind="cascade", side="short")


def test_a_feed_cannot_be_judged_by_liquidations_and_that_is_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert [] == kinds([row("a", T0, "1")], tmp_path, kind="feed", scope="each venue", condition="silent")
    assert "rule r: not judged, liquidations do not say what was watched" in capsys.readouterr().err
