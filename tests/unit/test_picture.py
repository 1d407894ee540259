"""The picture of the last 24 hours: what is in it, where it stands in the drawing, and that nothing waits for it."""

import asyncio
import os
import sys
import threading
from collections.abc import Callable
from datetime import timedelta
from io import BytesIO
from itertools import product
from pathlib import Path
from typing import Any
from zoneinfo import available_timezones

import pytest
import structlog
from matplotlib.image import imread

from liqwatch.alerter import picture, pictures
from liqwatch.alerter.day import DAY_MINUTES, MINUTE_MS, Crossing, Day, MinuteBook, day, from_ms
from liqwatch.alerter.picture import HEIGHT, WIDTH, PictureUnavailable, draw
from liqwatch.alerter.pictures import QUEUE_SIZE, Pictures
from liqwatch.alerter.values import at, clock
from liqwatch.alerter.zones import UTC, Zone, told_in
from liqwatch.amounts import DOLLAR, money
from liqwatch.clock import Clock
from liqwatch.eventlog import Entry
from liqwatch.events import Bar, BarRow, Incident, PartitionEvidence, Step
from liqwatch.following import Away, Follower
from liqwatch.settings import TargetSettings
from liqwatch.simulator.scenarios import named
from liqwatch.topics import BARS
from tests.support.alerter_stage import Stage, longs, until
from tests.support.chat_server import ChatServer
from tests.support.memory_log import MemoryLog

AS_OF_MS = 1_769_748_190_123  # 2026-01-30 04:43:10 UTC
LAST = AS_OF_MS // MINUTE_MS
FIRST = LAST - DAY_MINUTES + 1
M = 10**6 * DOLLAR

# Where the axes stand: fractions of the width and, from above, of the height.
LEFT, RIGHT = 0.078, 0.975
TOTAL, MINUTES = (0.17, 0.545), (0.595, 0.895)

Pixel = tuple[int, int, int]


# What is in it.


def bar(minute: int, *rows: tuple[str, str, int, int], partition: int = 0, generation: int = 1) -> bytes:
    """Rows: venue, coin, dollars of longs and of shorts."""
    made = [
        BarRow(venue=venue, base=base, long_usd=str(long), long_count=1, short_usd=str(short), short_count=1)
        for venue, base, long, short in rows
    ]
    message = Bar(partition=partition, minute_ms=minute * MINUTE_MS, generation=generation, rows=tuple(made))
    return message.model_dump_json().encode()


def book(*bars: bytes) -> MinuteBook:
    kept = MinuteBook(4 * 86_400_000)
    for one in bars:
        kept.take(one)
    return kept


def step(kind: str = "fired", at_ms: int = AS_OF_MS, usd: int = 0, threshold: int = 0) -> Step:
    return Step(kind=kind, at_ms=at_ms, usd=str(usd), threshold=str(threshold), headline="Head.", text="Text.")  # type: ignore[arg-type]


def incident(*steps: Step, **changes: Any) -> Incident:
    fields: dict[str, Any] = {
        "incident_id": "longs:all:1", "rule": "longs", "scope": "all", "side": "long", "window": "1h",
        "severity": "critical", "generation": 1, "opened_ms": AS_OF_MS, "peak_usd": "0", "peak_at_ms": AS_OF_MS,
        "steps": steps or (step(),),
    }  # fmt: skip
    return Incident(**fields | changes)


def of(kept: MinuteBook, *steps: Step, gaps: tuple[tuple[int, int], ...] = (), **changes: Any) -> Day:
    about = incident(*steps, **changes)
    return day(about, about.steps[-1], kept.minutes(), ("SOL",), gaps)


def brought(sums: Any) -> dict[int, int]:
    """Dollars by the number of the minute in the picture, where there were any."""
    return {number: usd // DOLLAR for number, usd in enumerate(sums) if usd}


def test_minutes_of_all_partitions_are_added_up_by_side() -> None:
    kept = book(
        bar(FIRST, ("okx", "BTC", 5, 1), ("bybit", "ETH", 2, 0)),
        bar(FIRST, ("okx", "BTC", 10, 0), partition=1),
        bar(LAST - 1, ("okx", "BTC", 0, 7)),
        bar(FIRST - 1, ("okx", "BTC", 99, 99)),
    )
    found = of(kept)
    assert ({0: 17}, {0: 1, DAY_MINUTES - 2: 7}) == (brought(found.longs), brought(found.shorts))
    assert (DAY_MINUTES, DAY_MINUTES, DAY_MINUTES) == (len(found.longs), len(found.shorts), len(found.rolling))
    assert (FIRST * MINUTE_MS, AS_OF_MS) == (found.from_ms, found.as_of_ms)


def test_a_bar_that_is_written_anew_takes_the_place_of_the_old_and_one_of_a_former_owner_does_not() -> None:
    kept = book(
        bar(FIRST, ("okx", "BTC", 5, 0)),
        bar(FIRST, ("okx", "BTC", 6, 0)),
        bar(FIRST + 1, ("okx", "BTC", 7, 0), generation=3),
        bar(FIRST + 1, ("okx", "BTC", 8, 0), generation=2),
    )
    assert {0: 6, 1: 7} == brought(of(kept).longs)


SCOPES = [
    ("all", 31),
    ("venue=okx", 3),
    ("base=BTC", 17),
    ("venue=bybit,base=BTC", 16),
    ("class=BTC", 17),
    ("class=majors", 6),
    ("class=others", 8),
]


@pytest.mark.parametrize(("scope", "expected"), SCOPES)
def test_only_what_the_incident_is_about_is_in_it(scope: str, expected: int) -> None:
    rows = (
        ("okx", "BTC", 1, 0),
        ("okx", "SOL", 2, 0),
        ("bybit", "SOL", 4, 0),
        ("bybit", "XYZ", 8, 0),
        ("bybit", "BTC", 16, 0),
    )
    assert {0: expected} == brought(of(book(bar(FIRST, *rows)), scope=scope).longs)


def test_the_line_is_the_rolling_total_of_the_rules_own_side_and_window() -> None:
    kept = book(
        bar(FIRST - 59, ("okx", "BTC", 1, 1000)),  # the last minute in which it still counts is the first one shown
        bar(FIRST - 60, ("okx", "BTC", 50, 1000)),
        bar(FIRST + 10, ("okx", "BTC", 100, 1000)),
    )
    rolling = [None if usd is None else usd // DOLLAR for usd in of(kept).rolling]
    assert ([1] + [0] * 9 + [100] * 60 + [0] * (DAY_MINUTES - 70)) == rolling
    both = of(kept, side="both").rolling
    assert 1100 * DOLLAR == both[10]


@pytest.mark.parametrize(("window", "minutes"), [("5m", 5), ("24h", 1440), ("30s", 1)])
def test_the_line_knows_any_window(window: str, minutes: int) -> None:
    kept = book(bar(FIRST, ("okx", "BTC", 1, 0)))
    assert minutes == len(brought(of(kept, window=window).rolling))


def test_the_line_has_no_value_where_nobody_watched_for_half_a_minute() -> None:
    start = (FIRST + 10) * MINUTE_MS
    found = of(book(), gaps=((start - 29_000, start + 5 * MINUTE_MS), (start + 600_000, start + 629_000)))
    assert list(range(10, 15)) == [number for number, usd in enumerate(found.rolling) if usd is None]


def test_the_steps_so_far_are_crossings_of_their_thresholds() -> None:
    steps = (
        step("fired", AS_OF_MS - 90_000_000, 900, 900),  # before the picture
        step("stepped_up", AS_OF_MS - 60_000, 1_000_000_001, 10**9),
        step("reminded", AS_OF_MS - 30_000, 1_500_000_000, 10**9),
        step("stepped_up", AS_OF_MS, 1_700_000_000, 17 * 10**8),
    )
    found = of(book(), *steps)
    assert [
        Crossing(AS_OF_MS - 60_000, 1_000_000_001 * DOLLAR, 10**9 * DOLLAR, "$1B"),
        Crossing(AS_OF_MS, 1_700_000_000 * DOLLAR, 17 * 10**8 * DOLLAR, "$1.7B"),
    ] == list(found.crossings)
    assert ("Head.", 1_700_000_000 * DOLLAR) == (found.title, found.usd)


def test_the_line_ends_at_the_total_of_the_evidence_where_the_step_tells_of_something_else() -> None:
    """An order, or a whole cascade, is told; the line is that of the window all the same."""
    kept = book(bar(LAST - 2, ("okx", "BTC", 70, 0)))
    row = PartitionEvidence(partition=0, generation=1, as_of_ms=AS_OF_MS, offset=1, long_usd="75.5", short_usd="3")
    told = step(usd=26_000_000, threshold=25_000_000)
    found = of(kept, told.model_copy(update={"evidence": (row, row)}), rule_kind="order")
    assert (151 * DOLLAR, 151 * DOLLAR) == (found.usd, found.crossings[0].usd)
    assert 70 * DOLLAR == of(kept, told, rule_kind="order").usd  # without evidence, what the bars have


def test_what_was_watched_just_now_is_no_gap_though_it_is_not_on_record_yet() -> None:
    assert [] == list(of(book(), gaps=((AS_OF_MS - 60_000, AS_OF_MS),)).gaps)


def test_a_step_that_is_no_total_is_a_moment_without_a_threshold() -> None:
    found = of(book(), step(usd=5, threshold=100), rule_kind="surge")
    assert [Crossing(AS_OF_MS, 5 * DOLLAR, 0, "")] == list(found.crossings)


def test_what_is_too_old_is_forgotten_and_what_was_handed_out_stays_as_it_was() -> None:
    kept = MinuteBook(60 * MINUTE_MS)
    kept.take(bar(LAST - 60, ("okx", "BTC", 1, 0)))
    kept.take(bar(LAST - 61, ("okx", "BTC", 1, 0)))
    handed = kept.minutes()
    kept.forget(AS_OF_MS)
    assert (2, [LAST - 60]) == (len(handed.parts), [key[0] for key, _ in kept.minutes().parts])


# Where it stands in the drawing.


def shown(**changes: Any) -> Day:
    fields: dict[str, Any] = {
        "title": "At least $1.71B of longs liquidated in 24 hours, past $1.7B.", "side": "long", "window": "24h",
        "from_ms": FIRST * MINUTE_MS, "as_of_ms": AS_OF_MS, "longs": [0] * DAY_MINUTES, "shorts": [0] * DAY_MINUTES,
        "rolling": [800 * M] * DAY_MINUTES, "usd": 800 * M,
    }  # fmt: skip
    return Day(**fields | changes)


class Drawn:
    """A decoded picture, asked for colours at minutes and places."""

    def __init__(self, drawn: Day) -> None:
        self.png = draw(drawn)
        self.pixels = (imread(BytesIO(self.png), format="png")[:, :, :3] * 255).round().astype(int)

    def column(self, minute: float) -> int:
        return round((LEFT + (RIGHT - LEFT) * minute / DAY_MINUTES) * WIDTH)

    def rows(self, minute: float, panel: tuple[float, float], is_wanted: Callable[[Pixel], bool]) -> list[int]:
        """Rows of the panel, from above, in which that minute has such a pixel."""
        at = self.column(minute)
        found = set()
        for row in range(int(panel[0] * HEIGHT), int(panel[1] * HEIGHT)):
            for column in (at - 1, at, at + 1):
                if column < WIDTH and is_wanted(tuple(self.pixels[row, column])):
                    found.add(row)
        return sorted(found)


def is_long(pixel: Pixel) -> bool:
    red, green, blue = pixel
    return red - green > 60 and red - blue > 40 and abs(green - blue) < 40


def is_short(pixel: Pixel) -> bool:
    red, green, blue = pixel
    return green - red > 40 and blue - red > 40


def is_line(pixel: Pixel) -> bool:
    return max(pixel) < 110 and pixel[2] - pixel[0] > 10


def is_step(pixel: Pixel) -> bool:
    red, green, blue = pixel
    return red - blue > 100 and green - blue > 40


def test_it_is_a_png_of_the_size_that_it_should_have() -> None:
    drawn = Drawn(shown())
    assert (b"\x89PNG\r\n\x1a\n", (HEIGHT, WIDTH, 3)) == (drawn.png[:8], drawn.pixels.shape)
    assert (255, 255, 255) == tuple(drawn.pixels[2, 2])


def test_longs_hang_below_the_zero_line_and_shorts_stand_on_it_each_in_its_minute() -> None:
    sides = {"longs": [0] * DAY_MINUTES, "shorts": [0] * DAY_MINUTES}
    sides["longs"][400] = sides["longs"][1100] = 40 * M
    sides["shorts"][700] = 20 * M
    drawn = Drawn(shown(**sides))
    below, above = drawn.rows(400.5, MINUTES, is_long), drawn.rows(700.5, MINUTES, is_short)
    assert below and above
    assert max(above) <= min(below) + 1  # they meet at the zero line
    assert pytest.approx(2, rel=0.1) == len(below) / len(above)  # on the same scale
    assert ([], []) == (drawn.rows(400.5, MINUTES, is_short), drawn.rows(700.5, MINUTES, is_long))
    assert ([], []) == (drawn.rows(550, MINUTES, is_short), drawn.rows(550, MINUTES, is_long))
    assert len(below) == len(drawn.rows(1100.5, MINUTES, is_long))


def test_no_minute_vanishes_between_two_pixels() -> None:
    told = range(100, 1400, 31)
    drawn = Drawn(shown(longs=[10 * M if minute in told else 0 for minute in range(DAY_MINUTES)]))
    assert [] == [minute for minute in told if len(drawn.rows(minute + 0.5, MINUTES, is_long)) < 50]


def test_the_threshold_is_a_line_over_the_whole_day_and_the_crossing_is_where_they_meet() -> None:
    rolling = [500 * M if minute < 900 else 1200 * M for minute in range(DAY_MINUTES)]
    crossed = Crossing((FIRST + 900) * MINUTE_MS, 1000 * M, 1000 * M, "$1B")
    drawn = Drawn(shown(rolling=rolling, usd=1200 * M, crossings=[crossed]))
    low, high = min(drawn.rows(500, TOTAL, is_line)), min(drawn.rows(1200, TOTAL, is_line))
    (line,) = {round(sum(rows) / len(rows)) for minute in (300, 500) if (rows := stepped(drawn, minute))}
    assert pytest.approx(high + (low - high) * 200 / 700, abs=3) == line
    across = [minute for minute in range(100, 1400, 10) if drawn.rows(minute, TOTAL, is_step)]
    assert len(across) > 80  # dashes: most of the way
    marker = drawn.rows(905, TOTAL, is_step)
    assert line in range(min(marker), max(marker) + 1)
    assert len(drawn.rows(900, MINUTES, is_step)) > 160  # the moment, from top to bottom
    assert [] == drawn.rows(880, MINUTES, is_step)


def stepped(drawn: Drawn, around: int) -> list[int]:
    """Rows of the threshold near a minute: it is dashed."""
    return next(rows for minute in range(around, around + 30) if (rows := drawn.rows(minute, TOTAL, is_step)))


def test_without_a_threshold_there_is_no_such_line() -> None:
    drawn = Drawn(shown())
    assert [] == [minute for minute in range(10, 1400, 10) if drawn.rows(minute, TOTAL, is_step)]


def test_a_gap_is_a_gap_in_the_line_and_grey_in_both_panels() -> None:
    gap = ((FIRST + 600) * MINUTE_MS, (FIRST + 700) * MINUTE_MS)
    rolling: list[int | None] = [None if 600 <= minute < 700 else 800 * M for minute in range(DAY_MINUTES)]
    drawn = Drawn(shown(rolling=rolling, gaps=[gap]))
    assert all(drawn.rows(minute, TOTAL, is_line) for minute in (300, 590, 710, 1300))
    assert [] == [minute for minute in range(610, 690, 5) if drawn.rows(minute, (0.17, 0.3), is_line)]
    for panel in (TOTAL, MINUTES):
        row = int((panel[0] + 0.02) * HEIGHT)
        assert (255, 255, 255) == tuple(drawn.pixels[row, drawn.column(500)])
        assert max(drawn.pixels[row, drawn.column(650)]) < 245


def test_a_name_that_the_font_lacks_and_two_dollar_signs_are_no_trouble() -> None:
    """A warning is an error here: a missing glyph would be one, and so would a formula between two dollar signs."""
    Drawn(shown(title=r"$\frac{1}$ of 漢字 <b>_x_^ $ liquidated" + " and more" * 40))


KOLKATA = Zone("IST (UTC+5:30)", 330)


@pytest.mark.parametrize(
    ("zone", "minute", "words"),
    [(Zone("CET (UTC+1)", 60), 16, "06:00"), (KOLKATA, 106, "12:00"), (Zone("EST (UTC-5)", -300), 16, "29 Jan")],
)
def test_the_ticks_are_at_full_hours_of_the_zone_with_the_date_at_its_midnight(
    zone: Zone, minute: int, words: str
) -> None:
    """The day begins at 04:44 UTC."""
    found = {label: x for x, label in picture._hours(shown(zone=zone))}
    assert (minute, 8) == (found[words], len(found))
    assert draw(shown(zone=zone)) != draw(shown())


def test_every_zone_is_read_back_from_the_times_that_a_template_writes() -> None:
    for name, ms in product(available_timezones(), (AS_OF_MS, AS_OF_MS + 182 * 86_400_000)):
        read = told_in(f"Was $1B at 04:43:10 UTC.\nStand: {at(ms, name)}, {clock(ms, 'Asia/Kolkata')}")
        if at(ms, name).endswith(" UTC"):
            assert KOLKATA == read
        else:
            assert (at(ms, name), clock(ms, name)) == (read.at(ms), read.clock(ms))


@pytest.mark.parametrize("words", ["", "at 04:43 UTC", "10:00 of (UTC+1", "7:00 UTC+1", "10:00UTC+1"])
def test_words_without_another_zone_are_of_utc(words: str) -> None:
    assert (UTC, "04:43 UTC", "2026-01-30 04:43:10 UTC") == (told_in(words), UTC.clock(AS_OF_MS), UTC.at(AS_OF_MS))


def test_a_day_on_which_nothing_happened_can_be_drawn() -> None:
    Drawn(shown(rolling=[0] * DAY_MINUTES, usd=0))


def test_without_the_library_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib.backends.backend_agg", None)
    with pytest.raises(PictureUnavailable, match=r"pip install 'matplotlib>="):
        draw(shown())


def test_a_day_that_is_remembered(tmp_path: Path) -> None:
    """Played by the simulator, seen at its second step; ALERT_PICTURE=docs/alert.png keeps what is seen."""
    began_ms = 1_760_101_200_000  # 2025-10-10 13:00 UTC
    rows: dict[int, list[tuple[str, str, int, int]]] = {}
    for order in named("2025-10-10", orders=6000).orders:
        usd, base = int(order.price * order.quantity), order.symbol.removesuffix("USDT")
        sides = (usd, 0) if order.side == "long" else (0, usd)
        rows.setdefault((began_ms + order.at_ms) // MINUTE_MS, []).append((order.venue, base, *sides))
    kept = book(*(bar(minute, *brought_then) for minute, brought_then in rows.items()))
    steps: list[Step] = []
    by_minute = {minute: sum(row[2] for row in rows[minute]) for minute in rows}
    for minute in sorted(rows):
        total = sum(by_minute.get(number, 0) for number in range(minute - DAY_MINUTES + 1, minute + 1))
        for threshold in (5 * 10**9, 10**10):
            if total >= threshold and len(steps) == (threshold == 10**10):
                headline = f"At least {money(total * DOLLAR)} of longs liquidated in 24 hours, now past $10B."
                told = step("stepped_up" if steps else "fired", minute * MINUTE_MS + 31_000, total, threshold)
                steps.append(told.model_copy(update={"headline": headline}))
    hole = (steps[1].at_ms - 41_400_000, steps[1].at_ms - 38_700_000)
    seen = of(kept, *steps, window="24h", gaps=(hole,))
    assert ["$5B", "$10B"] == [one.words for one in seen.crossings]
    assert seen.usd == seen.rolling[-1]  # the bars come to what the step was judged by
    png = draw(seen)
    Path(os.environ.get("ALERT_PICTURE", tmp_path / "alert.png")).write_bytes(png)
    assert 20_000 < len(png) < 150_000


# That nothing waits for it.


def made(log: MemoryLog) -> Pictures:
    words = structlog.get_logger("test")

    def follow(topic: Any, start: Any, take: Any, then: Any) -> Follower:
        return Follower(log, topic, start, take, Away(words), words, then=then)

    return Pictures(follow, Clock(wall=lambda: AS_OF_MS / 1000), timedelta(days=1), lambda *_: (), lambda: ())


WANTING = {"desk": TargetSettings.model_validate({"kind": "telegram", "token": "t", "channel": "1", "picture": True})}


@pytest.fixture
async def ready() -> Any:
    """Pictures on a log with one bar, that have read it."""
    log = MemoryLog()
    await log.append(BARS, [Entry(b"0", bar(LAST - 5, ("okx", "BTC", 5_000_000, 0)), (LAST - 5) * MINUTE_MS, 0)])
    source = made(log)
    source.use(WANTING)
    running = asyncio.create_task(source.run())
    yield source
    running.cancel()
    source.close()


async def test_a_picture_is_drawn_once_for_all_who_ask(ready: Pictures, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Day] = []
    monkeypatch.setattr(picture, "draw", lambda one: asked.append(one) or b"png" if one.title else b"")
    about = incident()
    found = await asyncio.gather(*(ready.of(about, about.steps[0]) for _ in range(3)))
    assert ([b"png"] * 3, 1) == (found, len(asked))
    assert {DAY_MINUTES - 6: 5_000_000} == brought(asked[0].longs)
    assert from_ms(AS_OF_MS) == asked[0].from_ms


async def test_a_drawn_picture_comes_as_a_png(ready: Pictures) -> None:
    about = incident()
    png = await ready.of(about, about.steps[0])
    assert png is not None and png.startswith(b"\x89PNG")


async def test_of_a_feed_there_is_nothing_to_draw(ready: Pictures) -> None:
    about = incident(rule_kind="feed")
    assert await ready.of(about, about.steps[0]) is None


async def test_drawing_holds_up_no_other_task_and_too_many_are_left_out(
    ready: Pictures, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawing, goes_on = threading.Event(), threading.Event()

    def slow(one: Day) -> bytes:
        drawing.set()
        assert goes_on.wait(30)
        return one.title.encode()

    monkeypatch.setattr(picture, "draw", slow)
    about = [incident(incident_id=str(number)) for number in range(QUEUE_SIZE + 2)]
    asked = [asyncio.create_task(ready.of(about[0], about[0].steps[0]))]
    await until(drawing.is_set)  # the loop turns although the thread stands still
    asked += [asyncio.create_task(ready.of(one, one.steps[0])) for one in about[1:-1]]
    await until(lambda: ready._worker.waiting >= QUEUE_SIZE)
    assert await ready.of(about[-1], about[-1].steps[0]) is None
    goes_on.set()
    assert {b"Head."} == set(await asyncio.gather(*asked))


async def test_one_that_failed_is_tried_again_for_who_asks_next(
    ready: Pictures, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers: list[Any] = [ValueError("no font"), b"png"]

    def once(one: Day) -> bytes:
        answer = answers.pop(0) if one.title else b""
        if isinstance(answer, Exception):
            raise answer
        return bytes(answer)

    monkeypatch.setattr(picture, "draw", once)
    about = incident()
    with pytest.raises(ValueError, match="no font"):
        await ready.of(about, about.steps[0])
    assert b"png" == await ready.of(about, about.steps[0])


async def test_one_that_takes_too_long_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pictures, "_WITHIN", 0.05)
    source = made(MemoryLog())  # nobody reads its bars
    about = incident()
    with pytest.raises(TimeoutError):
        await source.of(about, about.steps[0])


async def test_nothing_is_read_until_a_target_wants_pictures() -> None:
    source = made(MemoryLog())
    source.use({name: target.model_copy(update={"picture": False}) for name, target in WANTING.items()})
    running = asyncio.create_task(source.run())
    await asyncio.sleep(0)
    assert (False, None) == (source._wanted.is_set(), source._worker._thread)
    source.use(WANTING)
    await until(source._read.is_set)
    running.cancel()
    source.close()


async def test_where_nothing_can_be_drawn_nothing_is_read_and_alerts_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(picture, "find_spec", lambda name: None)
    source = made(MemoryLog())
    source.use(WANTING)
    assert (False, False) == (picture.is_available(), source._wanted.is_set())
    async with ChatServer() as chat, Stage([longs()], {"desk": chat.target("telegram", picture=True)}) as on:
        await on.start()
        await on.total(1_200_000_000)
        await chat.wait_for(1)
        await until(lambda: on.outcomes("desk") == [("fired", "accepted", False)])
    assert [] == chat.pictures


async def test_a_picture_with_the_gaps_of_coverage_follows_the_text_of_an_alert(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The whole alerter: bars in the log, coverage with a hole, a chat that takes pictures."""
    seen: list[Day] = []
    drawing = picture.draw
    monkeypatch.setattr(picture, "draw", lambda one: seen.append(one) or drawing(one))
    async with ChatServer() as chat, Stage([longs()], {"desk": chat.target("telegram", picture=True)}) as on:
        now = on.clock.now_ms()
        minute = now // MINUTE_MS - 30
        entry = Entry(b"0", bar(minute, ("okx", "BTC", 1_200_000_000, 3)), minute * MINUTE_MS, 0)
        await on.log.append(BARS, [entry])
        await on.watched("okx", now - 86_400_000 * 2, now - 7_200_000, open=False)
        await on.watched("okx", now - 3_600_000, now)
        await on.start()
        await on.total(1_200_000_000)
        await chat.wait_for(1)
        await until(lambda: len(chat.pictures) == 1, within=30)
    drawn = seen[-1]
    assert "At least $1.20B of longs liquidated in 24 hours, past $1B." == drawn.title
    assert {DAY_MINUTES - 31: 1_200_000_000} == brought(drawn.longs)
    assert [(now - 7_200_000, now - 3_600_000)] == list(drawn.gaps)[:1]
