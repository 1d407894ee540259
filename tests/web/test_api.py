"""What the API answers: the numbers of the topics, said with how complete they are; and what it refuses, and how."""

import asyncio
import logging
from pathlib import Path

import pytest

from liqwatch import topics
from liqwatch.alerter import silences
from liqwatch.eventlog import Entry
from liqwatch.events import BarRow
from liqwatch.web import answers, openapi
from liqwatch.web.hosts import Hosts
from liqwatch.web.server import SECURITY
from liqwatch.web.shapes import Matcher
from liqwatch.wire import LargestRecord
from tests.support.liquidations import liquidation
from tests.support.waiting import until
from tests.support.web_stage import TOKEN, WebStage, incident, web_stage

MINUTE = 60_000
HOUR = 60 * MINUTE
BEARER = {"Authorization": f"Bearer {TOKEN}"}
WANTED = {
    "matcher": {"rule": "longs-24h"}, "reason": "planned works", "author": "the desk", "duration_seconds": 3600,
}  # fmt: skip


def largest(event_id: str, usd: str) -> LargestRecord:
    return LargestRecord(event_id, "bybit", "BTCUSDT", "BTC", "long", "50000", usd, 1_700_000_000_000, "order")


async def test_totals_are_the_sum_of_the_partitions_to_the_micro_dollar(stage: WebStage) -> None:
    await stage.totals("all", "1000000000.000001", "200.5", partition=0, largest=largest("a", "5"))
    await stage.totals("all", "300000000.000002", "0", partition=7, largest=largest("b", "7.25"))
    await stage.beat()
    await stage.settled()

    answer = await stage.get("/api/v1/totals", window="24h")

    assert ("1300000000.000003", 2) == (answer["long"]["usd"], answer["long"]["count"])
    assert ("200.500000", 1) == (answer["short"]["usd"], answer["short"]["count"])
    assert "1300000200.500003" == answer["total"]["usd"]
    assert "b" == answer["largest"]["event_id"]
    assert not answer["stale"]
    assert 1.0 == round(answer["long"]["share"] + answer["short"]["share"], 6)


async def test_the_next_rung_is_the_first_threshold_above_the_total(stage: WebStage) -> None:
    await stage.totals("all", "1200000000")
    await stage.totals("base=BTC", "40000000", "30000000", window="1h")
    await stage.settled()

    (rung,) = (await stage.get("/api/v1/totals", window="24h"))["rungs"]
    assert ("1000000000.000000", "1700000000.000000", "500000000.000000") == (
        rung["reached_usd"], rung["next_usd"], rung["distance_usd"],
    )  # fmt: skip
    (coin,) = (await stage.get("/api/v1/totals", window="1h", scope="base=BTC"))["rungs"]
    assert ("coins-1h", "30000000.000000") == (coin["rule"], coin["distance_usd"])
    assert [] == (await stage.get("/api/v1/totals", window="5m"))["rungs"]

    await stage.totals("all", "3000000000")
    await stage.settled()
    (rung,) = (await stage.get("/api/v1/totals", window="24h"))["rungs"]
    assert ("3000000000.000000", None) == (rung["reached_usd"], rung["next_usd"])


async def test_a_total_says_how_much_of_it_comes_from_which_kind_of_feed(stage: WebStage) -> None:
    await stage.totals("all", "12.5", "1")
    await stage.totals("venue=bybit", "10", partition=1)
    await stage.totals("venue=binance", "2.5", "1", partition=2)
    await stage.settled()
    assert [
        {"completeness": "all", "long_usd": "10.000000", "short_usd": "0.000000"},
        {"completeness": "sampled", "long_usd": "2.500000", "short_usd": "1.000000"},
    ] == (await stage.get("/api/v1/totals"))["kinds"]


async def test_a_partition_without_a_heartbeat_makes_the_sum_stale(stage: WebStage) -> None:
    await stage.beat(range(11))
    await stage.settled()
    answer = await stage.get("/api/v1/totals")
    assert answer["stale"] and [11] == answer["stale_partitions"]


async def test_a_total_is_a_floor_unless_every_venue_is_complete_and_was_watched_all_the_time(stage: WebStage) -> None:
    now_ms = stage.clock.now_ms()
    assert (await stage.get("/api/v1/totals", window="1h"))["at_least"]  # nothing is known
    await stage.watched("bybit", now_ms - 2 * HOUR, now_ms)
    await stage.settled()
    complete = await stage.get("/api/v1/totals", window="1h", scope="venue=bybit")
    assert not complete["at_least"]
    assert [{"venue": "bybit", "completeness": "all", "share": 1.0}] == complete["coverage"]["venues"]
    sampled = await stage.get("/api/v1/totals", window="1h")  # Binance, too
    assert sampled["at_least"]
    halfway = await stage.get("/api/v1/totals", window="24h", scope="venue=bybit")
    assert halfway["at_least"]
    assert 2 / 24 == pytest.approx(halfway["coverage"]["share"], abs=0.001)


async def test_bars_have_what_each_step_brought_and_the_rolling_sum(stage: WebStage) -> None:
    start = stage.clock.now_ms() // HOUR * HOUR - 2 * HOUR
    row = BarRow(venue="bybit", base="BTC", long_usd="100", long_count=1, short_usd="0", short_count=0)
    other = BarRow(venue="binance", base="ETH", long_usd="0", long_count=0, short_usd="7.5", short_count=2)
    await stage.bar(start, [row, other], partition=0)
    await stage.bar(start, [row], partition=1)
    await stage.bar(start + MINUTE, [row], partition=0)
    await stage.watched("bybit", start - HOUR, start + 30_000, open=False, ended_by="all: closed")
    await stage.settled()

    async def bars(**parameters: str) -> dict[int, dict[str, str]]:
        answer = await stage.get("/api/v1/bars", window="1h", **parameters)
        return {bar["start_ms"]: bar for bar in answer["bars"]}

    minutes = await bars()
    assert 1440 == len(minutes)
    first, second, third = (minutes[start + n * MINUTE] for n in range(3))
    assert ("200.000000", "7.500000") == (first["long_usd"], first["short_usd"])
    assert ("100.000000", "300.000000") == (second["long_usd"], second["rolling_long_usd"])
    assert ("0.000000", "300.000000") == (third["long_usd"], third["rolling_long_usd"])
    assert "0.000000" == minutes[start + 62 * MINUTE]["rolling_long_usd"]  # an hour later all is outside
    assert (0.25, 0.0) == (first["watched"], third["watched"])  # of two venues, one for half a minute
    hours = await bars(step="3600", minutes="180")
    assert 3 == len(hours)
    assert ("300.000000", 3) == (hours[start]["long_usd"], hours[start]["long_count"])
    assert "200.000000" == (await bars(scope="venue=bybit,base=BTC"))[start]["long_usd"]
    assert "7.500000" == (await bars(scope="base=ETH"))[start]["short_usd"]


async def test_a_bar_that_is_written_anew_replaces_the_old_one(stage: WebStage) -> None:
    start = stage.clock.now_ms() // MINUTE * MINUTE - 5 * MINUTE
    row = BarRow(venue="bybit", base="BTC", long_usd="100", long_count=1, short_usd="0", short_count=0)
    await stage.bar(start, [row])
    await stage.bar(start, [row.model_copy(update={"long_usd": "140"})], generation=2)
    await stage.bar(start, [row], generation=1)  # of the owner that was replaced
    await stage.settled()
    answer = await stage.get("/api/v1/bars", minutes="60")
    assert ["140.000000"] == [bar["long_usd"] for bar in answer["bars"] if bar["start_ms"] == start]


async def test_events_are_the_latest_above_a_size_and_each_comes_once(stage: WebStage) -> None:
    now_ms = stage.clock.now_ms()
    for number, usd in enumerate(("50", "250000", "99999.999999", "100000", "20000000")):
        event = liquidation(f"e{number}", now_ms - 1000 + number, usd, side="short" if number == 1 else "long")
        await stage.liquidation(event)
        await stage.liquidation(event)
    await stage.settled()

    async def ids(**parameters: str) -> list[str]:
        return [event["event_id"] for event in (await stage.get("/api/v1/events", **parameters))["events"]]

    assert ["e4", "e3", "e2", "e1", "e0"] == await ids()
    assert ["e4", "e3", "e1"] == await ids(min_usd="100000")
    assert ["e4"] == await ids(min_usd="100000", limit="1")
    assert ["e1"] == await ids(side="short")
    assert [] == await ids(scope="venue=bybit")
    assert 5 == len(await ids(scope="venue=binance,base=BTC"))


async def test_events_say_from_when_on_none_is_missing(stage: WebStage) -> None:
    now_ms = stage.clock.now_ms()
    for number in range(3):
        await stage.liquidation(liquidation(f"e{number}", now_ms - 1000 + number, "250000"))
    await stage.settled()
    two = await stage.get("/api/v1/events", limit="2")
    assert now_ms - 999 == two["complete_since_ms"]  # that of the last one: there may be more
    small = await stage.get("/api/v1/events")
    assert HOUR == pytest.approx(small["as_of_ms"] - small["complete_since_ms"], abs=MINUTE)

    async def large_ones() -> int:
        return int((await stage.get("/api/v1/events", min_usd="10000"))["complete_since_ms"])

    async with asyncio.timeout(30):
        while await large_ones() > now_ms - 24 * HOUR + MINUTE:
            await asyncio.sleep(0.05)


async def test_after_a_restart_the_large_ones_of_the_whole_day_are_read_back(tmp_path: Path) -> None:
    async with web_stage(tmp_path) as stage:
        now_ms = stage.clock.now_ms()
        for number, (hours, usd) in enumerate(((30, "9000000"), (23, "20000000"), (23, "500"), (5, "10000"), (0, "7"))):
            event = liquidation(f"e{number}", now_ms - hours * HOUR, usd, venue="bybit" if hours == 23 else "binance")
            await stage.liquidation(event)
        await stage.write(topics.LIQUIDATIONS, [Entry(b"x", b"[", now_ms - 5 * HOUR)])
    async with web_stage(tmp_path) as stage:
        found: list[str] = []
        async with asyncio.timeout(30):
            while len(found) < 3:
                await asyncio.sleep(0.05)
                found = [event["event_id"] for event in (await stage.get("/api/v1/events"))["events"]]
        assert ["e4", "e3", "e1"] == found
        rows = {row["venue"]: row for row in (await stage.get("/api/v1/venues"))["venues"]}
        assert now_ms - 23 * HOUR == rows["bybit"]["last_event_ms"]


async def test_incidents_come_with_their_text_the_open_ones_first(stage: WebStage) -> None:
    now_ms = stage.clock.now_ms()
    await stage.message(topics.ALERTS, "longs-24h:all:1", incident(1, now_ms - 9000))
    await stage.message(topics.ALERTS, "longs-24h:all:2", incident(2, now_ms - 5000, closed_ms=now_ms))
    await stage.write(topics.ALERTS, [Entry(b"owner:x", None, now_ms)])  # the claim of the alerter that acts
    await stage.settled()

    answer = await stage.get("/api/v1/incidents")
    assert ["longs-24h:all:1", "longs-24h:all:2"] == [one["incident_id"] for one in answer["incidents"]]
    (step,) = answer["incidents"][0]["steps"]
    assert ("At least $1.71B", [{"target": "console", "outcome": None}]) == (step["headline"], step["deliveries"])
    assert ["longs-24h:all:2"] == [
        one["incident_id"] for one in (await stage.get("/api/v1/incidents", state="closed"))["incidents"]
    ]
    await stage.write(topics.ALERTS, [Entry(b"longs-24h:all:1", None, now_ms)])
    await stage.settled()
    assert [] == (await stage.get("/api/v1/incidents", state="open"))["incidents"]


async def test_a_venue_says_if_it_is_watched_since_when_or_why_not(stage: WebStage) -> None:
    now_ms = stage.clock.now_ms()
    await stage.watched("bybit", now_ms - HOUR, now_ms)
    await stage.watched(
        "binance", now_ms - HOUR, now_ms - 60_000, open=False, ended_by="sampled: silent", completeness="sampled"
    )
    await stage.liquidation(liquidation("e", now_ms - 400, "10", venue="bybit", received_time_ms=now_ms - 150))
    await stage.totals("venue=bybit", "12.5")
    await stage.settled()
    rows = {row["venue"]: row for row in (await stage.get("/api/v1/venues"))["venues"]}
    bybit, binance = rows["bybit"], rows["binance"]
    assert ("watched", now_ms - HOUR, 1, 250.0, now_ms - 400) == (
        bybit["state"], bybit["since_ms"], bybit["collectors"], bybit["lag_ms"], bybit["last_event_ms"],
    )  # fmt: skip
    assert "12.500000" == bybit["windows"]["24h"]["long_usd"]
    assert ("not_watched", "sampled: silent", now_ms - 60_000) == (
        binance["state"],
        binance["detail"],
        binance["since_ms"],
    )


async def test_gaps_have_their_times_their_reason_and_whether_they_were_filled(stage: WebStage) -> None:
    now_ms = stage.clock.now_ms()
    await stage.watched("bybit", now_ms - 3 * HOUR, now_ms - 2 * HOUR, open=False, ended_by="all: silent")
    await stage.watched("bybit", now_ms - HOUR, now_ms - 1000)  # and it goes on
    await stage.watched(
        "bybit", now_ms - 2 * HOUR, now_ms - 90 * MINUTE, open=False, kind="filled", interval_id="f", events_filled=2
    )
    await stage.settled()
    answer = await stage.get("/api/v1/gaps", minutes="240")
    rows = {row["venue"]: row for row in answer["venues"]}
    start = answer["from_ms"]
    assert answer["as_of_ms"] - start == 4 * HOUR
    assert [
        (start, now_ms - 3 * HOUR, "not watched before", False),
        (now_ms - 2 * HOUR, now_ms - 90 * MINUTE, "all: silent", True),
        (now_ms - 90 * MINUTE, now_ms - HOUR, "all: silent", False),
    ] == [(gap["from_ms"], gap["to_ms"], gap["reason"], gap["filled"]) for gap in rows["bybit"]["gaps"]]
    assert 0.625 == pytest.approx(rows["bybit"]["share"], abs=0.001)
    assert (0, 0.0) == (rows["bybit"]["older"], rows["binance"]["share"])
    (whole,) = rows["binance"]["gaps"]
    assert (start, answer["as_of_ms"]) == (whole["from_ms"], whole["to_ms"])
    assert ["bybit"] == [row["venue"] for row in (await stage.get("/api/v1/gaps", venue="bybit"))["venues"]]


async def test_of_very_many_gaps_the_newest_are_listed_and_the_others_counted(stage: WebStage) -> None:
    now_ms = stage.clock.now_ms()
    for number in range(answers.MOST_GAPS + 5):
        end = now_ms - number * 10_000
        await stage.watched("bybit", end - 9_000, end, open=False, ended_by=f"all: {number}")
    await stage.settled()
    (row,) = (await stage.get("/api/v1/gaps", venue="bybit"))["venues"]
    assert answers.MOST_GAPS == len(row["gaps"])
    # One between each two, the one before all, and the one that has begun since.
    assert 6 == row["older"]
    assert "all: 0" == row["gaps"][-1]["reason"]


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("totals?window=2h", "choose one of 5m, 1h, 24h"),
        ("totals?windo=1h", "did you mean 'window'?"),
        ("totals?window=1h&window=5m", "given twice"),
        ("totals?scope=venue=x,base=", "scope: write all"),
        ("totals?scope=base=%3Cscript%3E%20", "scope: write all"),
        ("bars?minutes=0", "from 60 to 1440"),
        ("bars?step=7", "choose one of 60, 300"),
        ("events?limit=-1", "from 1 to 500"),
        ("events?min_usd=1e9", "an amount in USD"),
        ("incidents?state=Open", "choose one of open, closed, all"),
        ("venues?all=1", "is no parameter here"),
        ("gaps?venue=by%20bit", "venue: write the name"),
        ("gaps?minutes=0", "from 1 to 1440"),
    ],
)
async def test_a_mistake_in_a_request_is_a_problem_that_names_the_remedy(
    stage: WebStage, path: str, words: str
) -> None:
    status, body, response = await stage.ask("GET", f"/api/v1/{path}")
    assert (400, "application/problem+json") == (status, response.content_type)
    assert (400, "Bad Request") == (body["status"], body["title"])
    assert words in body["detail"]


async def test_what_is_not_there_or_not_allowed_is_a_problem_too(stage: WebStage) -> None:
    assert 404 == (await stage.ask("GET", "/api/v1/nothing"))[1]["status"]
    assert 404 == (await stage.ask("GET", "/static/..%2fservice.py"))[1]["status"]
    status, body, response = await stage.ask("POST", "/api/v1/totals")
    assert (405, 405) == (status, body["status"])
    assert "GET" in response.headers["Allow"]
    status, _, response = await stage.ask("HEAD", "/api/v1/totals")
    assert 200 == status


async def test_a_failure_inside_is_a_problem_without_its_details(
    stage: WebStage, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(stage.market, "windows", None)
    with caplog.at_level(logging.CRITICAL):
        status, body, _ = await stage.ask("GET", "/api/v1/venues")
    assert 500 == status and "TypeError" not in str(body)
    assert 1.0 == stage.registry.get_sample_value("liqwatch_web_requests_total", {"route": "venues", "status": "5xx"})


async def test_every_answer_forbids_what_the_page_does_not_need(stage: WebStage) -> None:
    for path in ("/", "/static/page.js", "/api/v1/totals", "/api/v1/nothing"):
        _, _, response = await stage.ask("GET", path)
        assert SECURITY.items() <= dict(response.headers).items(), path
    policy = SECURITY["Content-Security-Policy"]
    assert "unsafe" not in policy and "default-src 'none'" in policy


async def test_the_page_and_its_files_come_compressed_and_are_known_again(stage: WebStage) -> None:
    status, text, response = await stage.ask("GET", "/")
    assert (200, "text/html") == (status, response.content_type) and "liqwatch" in text
    assert "gzip" == response.headers["Content-Encoding"]
    again = await stage.ask("GET", "/", headers={"If-None-Match": response.headers["ETag"]})
    assert (304, "") == again[:2]
    for name in ("uPlot.iife.min.js", "uPlot.LICENSE.txt", "page.css", "icon.svg"):
        assert 200 == (await stage.ask("GET", f"/static/{name}"))[0]


async def test_large_answers_are_made_once_for_all_and_come_packed_to_who_takes_it(stage: WebStage) -> None:
    for path in ("/api/v1/bars", "/api/v1/gaps"):
        _, plain, response = await stage.ask("GET", path, headers={"Accept-Encoding": "identity"})
        assert "Content-Encoding" not in response.headers
        _, packed, response = await stage.ask("GET", path)
        assert ("gzip", "Accept-Encoding") == (response.headers["Content-Encoding"], response.headers["Vary"])
        assert plain.keys() == packed.keys()
    assert 2 == len(stage.service._api._kept)
    for number in range(80):  # what is asked for once is not kept for ever
        await stage.get("/api/v1/gaps", minutes=str(number + 1))
    assert len(stage.service._api._kept) <= 64


async def test_who_has_the_token_silences_and_ends_a_silence(stage: WebStage) -> None:
    status, made, response = await stage.ask("POST", "/api/v1/silences", json=WANTED, headers=BEARER)
    assert 201 == status
    assert made["until_ms"] - made["from_ms"] == 3_600_000
    assert f"/api/v1/silences/{made['silence_id']}" == response.headers["Location"]
    assert [made] == (await stage.get("/api/v1/silences"))["silences"]
    reader = await stage.log.reader(topics.SILENCES)
    (record,) = await reader.fetch(5)
    assert made["silence_id"] == record.key.decode() and b"planned works" in (record.value or b"")

    assert 204 == (await stage.ask("DELETE", response.headers["Location"], headers=BEARER))[0]
    assert [] == (await stage.get("/api/v1/silences"))["silences"]
    (record,) = await reader.fetch(5)
    assert record.value is None
    assert 404 == (await stage.ask("DELETE", response.headers["Location"], headers=BEARER))[0]


@pytest.mark.parametrize(
    "header",
    [{}, {"Authorization": "Bearer wrong"}, {"Authorization": f"Basic {TOKEN}"}, {"Authorization": "Bearer ö"}],
)
async def test_without_the_token_nothing_is_written(stage: WebStage, header: dict[str, str]) -> None:
    status, body, response = await stage.ask("POST", "/api/v1/silences", json=WANTED, headers=header)
    assert (401, 'Bearer realm="liqwatch"') == (status, response.headers["WWW-Authenticate"])
    assert TOKEN not in str(body)
    assert 401 == (await stage.ask("DELETE", "/api/v1/silences/x", headers=header))[0]
    assert [] == (await stage.get("/api/v1/silences"))["silences"]


async def test_where_no_token_is_set_nobody_may_write(tmp_path: Path) -> None:
    async with web_stage(tmp_path, token=None) as stage:
        for header in ({}, BEARER, {"Authorization": "Bearer "}):
            status, body, _ = await stage.ask("POST", "/api/v1/silences", json=WANTED, headers=header)
            assert 403 == status and "web.token" in body["detail"]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"matcher": {}}, "matcher"),
        ({"matcher": {"rul": "x"}}, "matcher.rul"),
        ({"matcher": {"rule": None}}, "none as null"),
        ({"matcher": {"side": "sideways"}}, "matcher.side: Input should be"),
        ({"matcher": {"kind": "nonsense"}}, "matcher.kind: Input should be"),
        ({"matcher": {"severity": "loud"}}, "matcher.severity: Input should be"),
        ({"matcher": {"coin": "two words"}}, "matcher.coin: a character in it"),
        ({"reason": ""}, "reason"),
        ({"reason": "x" * 501}, "reason"),
        ({"reason": "two\nlines"}, "reason"),
        ({"author": 7}, "author"),
        ({"duration_seconds": 59}, "duration_seconds"),
        ({"duration_seconds": "3600"}, "duration_seconds"),
        ({"until_ms": 1}, "until_ms"),
    ],
)
async def test_a_silence_that_is_not_right_says_which_field(
    stage: WebStage, change: dict[str, object], words: str
) -> None:
    status, body, _ = await stage.ask("POST", "/api/v1/silences", json=WANTED | change, headers=BEARER)
    assert 400 == status and words in body["detail"]


def test_what_can_be_silenced_here_is_what_the_alerter_knows() -> None:
    assert silences.KEYS == tuple(Matcher.model_fields)


async def test_a_body_that_is_no_json_or_too_large_is_refused(stage: WebStage) -> None:
    json_type = BEARER | {"Content-Type": "application/json"}
    assert 400 == (await stage.ask("POST", "/api/v1/silences", data=b"{", headers=json_type))[0]
    assert 413 == (await stage.ask("POST", "/api/v1/silences", data=b" " * 70_000, headers=json_type))[1]["status"]
    assert 415 == (await stage.ask("POST", "/api/v1/silences", data=b"a=b", headers=BEARER))[0]


async def test_what_cannot_be_read_is_counted_and_harms_nobody(stage: WebStage) -> None:
    now_ms = stage.clock.now_ms()
    for topic in (topics.TOTALS, topics.BARS, topics.COVERAGE, topics.ALERTS, topics.SILENCES, topics.LIQUIDATIONS):
        await stage.write(topic, [Entry(b"x,y,z", b'{"kind": 1', now_ms), Entry(b"\xff", b"[]", now_ms)])
    await stage.write(topics.TOTALS, [Entry(b"no,number,all", None, now_ms)])
    await stage.totals("all", "5")
    await stage.settled()
    assert "5.000000" == (await stage.get("/api/v1/totals"))["long"]["usd"]
    assert 13.0 == stage.registry.get_sample_value("liqwatch_web_records_unreadable_total")


async def test_a_restart_shows_the_same_totals_from_the_log(tmp_path: Path) -> None:
    async with web_stage(tmp_path) as stage:
        await stage.totals("all", "123.25")
        await stage.settled()
        before = await stage.get("/api/v1/totals")
    async with web_stage(tmp_path) as stage:
        after = await stage.get("/api/v1/totals")
        assert before["long"] == after["long"]


async def test_a_taken_port_is_named_with_its_setting(stage: WebStage, tmp_path: Path) -> None:
    port = int(stage.service.address.rpartition(":")[2])
    (tmp_path / "other").mkdir()
    with pytest.raises(Exception, match=rf"cannot listen on 127\.0\.0\.1:{port}.*web\.port"):
        async with web_stage(tmp_path / "other", port=port):
            await until(lambda: False, 0.1)


@pytest.mark.parametrize("path", ["/", "/api/v1/silences", "/api/v1/stream"])
async def test_a_name_that_another_site_has_led_here_is_not_answered(stage: WebStage, path: str) -> None:
    status, body, _ = await stage.ask("GET", path, headers={"Host": "evil.example:8080"})
    assert (421, 421) == (status, body["status"])
    assert "web.hosts" in body["detail"]
    if path.startswith("/api/"):
        assert "421" in openapi.document(["24h"])["paths"][path]["get"]["responses"]


@pytest.mark.parametrize(
    ("address", "named", "host", "is_taken"),
    [
        ("127.0.0.1", (), "localhost:8080", True),
        ("127.0.0.1", (), "[::1]:8080", True),
        ("127.0.0.1", (), "127.0.0.1", True),
        ("127.0.0.1", (), "127.0.0.1.evil.example", False),
        ("127.0.0.1", (), "", False),
        ("127.0.0.1", (), None, True),
        ("::1", (), "evil.example", False),
        ("localhost", ("Desk.example",), "desk.Example:80", True),
        ("127.0.0.1", (), "desk", False),
        ("0.0.0.0", (), "web", True),  # noqa: S104 - for others to reach: names that no other site can have
        ("0.0.0.0", (), "10.0.0.5:8080", True),  # noqa: S104
        ("0.0.0.0", (), "Web.liqwatch.svc:80", True),  # noqa: S104
        ("0.0.0.0", (), "desk.local.", True),  # noqa: S104
        ("0.0.0.0", (), "evil.example", False),  # noqa: S104
        ("0.0.0.0", (), "local.evil.example", False),  # noqa: S104
        ("0.0.0.0", (), "", False),  # noqa: S104
        ("0.0.0.0", ("desk.example",), "desk.example:443", True),  # noqa: S104
        ("0.0.0.0", ("desk.example",), "evil.example", False),  # noqa: S104
    ],
)
def test_hosts(address: str, named: tuple[str, ...], host: str | None, is_taken: bool) -> None:
    assert is_taken == Hosts(address, named).takes(host)
