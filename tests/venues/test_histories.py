"""Every venue with a REST history: what it asks, and what it makes of the answers in `tests/data/history/<venue>.json`.

The file is one object, every value worked out by hand from the venue's page:
- `instruments`: the venue's own REST objects by the name that frames use, cut to what the arithmetic needs;
- `asks`: {"since_ms", "until_ms", "urls"}: the first pages that it asks for;
- `pages`: answers, each {"url", "body" (JSON, or text as it comes), "expect" (events: symbol, side, price, quantity,
  notional_usd, event_time_ms, and event_id where the ids are the stream's), "bad_rows" (reasons; may be left out),
  "next_url" (or left out: the last page)}; or {"url", "body", "raises": a part of the sentence};
- `stream`: frames of the venue's socket that tell of events of the first page. Their ids have to be found in it where
  `same_ids` says so, and field by field they have to match it in any case: {"feed": name or left out, "frame": text or
  an object, "events": how many}.
"""

import json
from decimal import Decimal
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest

from liqwatch import venues
from liqwatch.collector.matching import missing
from liqwatch.venues.base import History, HistoryPage, Instrument, Venue, build_instruments
from liqwatch.wire import Liquidation
from tests.support.recordings import NOW_MS, USD

FOLDER = Path(__file__).parents[1] / "data" / "history"
WITH_HISTORY = [name for name, venue in venues.discover().items() if venue.history is not None]
NUMBERS = ("price", "quantity", "notional_usd")


def told(name: str) -> tuple[Venue, History, dict[str, Instrument], dict[str, Any]]:
    venue = venues.discover()[name]
    assert venue.history is not None
    told: dict[str, Any] = json.loads((FOLDER / f"{name}.json").read_text(encoding="utf-8"))
    built, errors = build_instruments(venue, told["instruments"], USD)
    assert [] == errors
    return venue, venue.history, built, told


def read(history: History, instruments: dict[str, Instrument], page: dict[str, Any]) -> HistoryPage:
    body = page["body"] if isinstance(page["body"], str) else json.dumps(page["body"])
    return history.read(page["url"], body.encode(), instruments, NOW_MS)


def facts(event: Liquidation, names: Any) -> dict[str, Any]:
    return {name: Decimal(getattr(event, name)) if name in NUMBERS else getattr(event, name) for name in names}


def test_every_venue_with_a_history_has_its_answers_here_and_no_other() -> None:
    assert WITH_HISTORY == sorted(path.stem for path in FOLDER.glob("*.json"))


@pytest.mark.parametrize("name", WITH_HISTORY)
def test_it_asks_for_what_fell_in_the_time(name: str) -> None:
    _, history, instruments, told_of = told(name)
    asks = told_of["asks"]
    assert asks["urls"] == list(history.urls(instruments, asks["since_ms"], asks["until_ms"]))
    assert history.settles < history.reaches
    assert history.pause.total_seconds() > 0


@pytest.mark.parametrize("name", WITH_HISTORY)
def test_an_answer_gives_these_events_and_leads_on_to_older_ones(name: str) -> None:
    venue, history, instruments, told_of = told(name)
    for page in told_of["pages"]:
        if "raises" in page:
            with pytest.raises(ValueError, match=page["raises"]):
                read(history, instruments, page)
            continue
        found = read(history, instruments, page)
        expected = [{k: Decimal(v) if k in NUMBERS else v for k, v in event.items()} for event in page["expect"]]
        assert expected == [facts(e, known) for e, known in zip(found.liquidations, page["expect"], strict=True)]
        assert page.get("bad_rows", []) == [row.reason.value for row in found.bad_rows]
        assert page.get("next_url") == found.next_url
        for event in found.liquidations:
            assert ("gap-fill", "venue", venue.name, NOW_MS) == (
                event.source, event.timed_by, event.venue, event.received_time_ms,
            )  # fmt: skip
            assert event.price_kind in (venue.price_kind, "bankruptcy")


def test_no_second_of_a_list_without_ids_is_asked_for_twice() -> None:
    _, gate, instruments, _ = told("gate")
    since = 1_794_992_400
    asked = [dict(parse_qsl(urlsplit(url).query)) for url in gate.urls(instruments, since * 1000, since * 1000 + 10**7)]
    seconds = [second for one in asked[::3] for second in range(int(one["from"]), int(one["to"]) + 1)]
    assert sorted(seconds) == list(range(since, since + 10_001))


def test_a_moment_that_a_full_page_may_have_cut_is_read_again_with_what_is_older() -> None:
    _, gate, instruments, _ = told("gate")
    row = {"contract": "BTC_USDT", "size": "1", "order_price": "70000"}
    body = [{**row, "time": 1_794_999_990}] * 997 + [{**row, "time": 1_794_999_980}] * 3
    page = gate.read("https://api.gateio.ws/x?from=1&to=2", json.dumps(body).encode(), instruments, NOW_MS)
    assert (997, "https://api.gateio.ws/x?from=1&to=1794999980") == (len(page.liquidations), page.next_url)
    page = gate.read("https://api.gateio.ws/x?to=2", json.dumps(body[:1] * 1000).encode(), instruments, NOW_MS)
    assert (1000, "https://api.gateio.ws/x?to=1794999989") == (len(page.liquidations), page.next_url)
    _, okx, instruments, _ = told("okx")
    order = {"bkPx": "70000", "posSide": "long", "side": "sell", "sz": "1"}
    details = [{**order, "ts": "1794999990001"}] * 98 + [{**order, "ts": "1794999990000"}] * 2
    answer = {"code": "0", "data": [{"instId": "BTC-USDT-SWAP", "details": details}]}
    page = okx.read("https://www.okx.com/x?after=9", json.dumps(answer).encode(), instruments, NOW_MS)
    assert (98, "https://www.okx.com/x?after=1794999990001") == (len(page.liquidations), page.next_url)


@pytest.mark.parametrize("name", WITH_HISTORY)
def test_what_the_stream_brought_is_not_missing(name: str) -> None:
    venue, history, instruments, told_of = told(name)
    streamed: list[Liquidation] = []
    for said in told_of["stream"]:
        feed = next(feed for feed in venue.feeds if said.get("feed") in (None, feed.name))
        frame = said["frame"] if isinstance(said["frame"], str) else json.dumps(said["frame"])
        events = venue.session(feed, instruments, []).receive(frame, NOW_MS).liquidations
        assert said["events"] == len(events)
        streamed += events
    rows = read(history, instruments, told_of["pages"][0]).liquidations
    assert streamed
    if history.same_ids:
        assert {event.event_id for event in streamed} <= {row.event_id for row in rows}
    left = missing(rows, streamed, same_ids=history.same_ids, resolution_ms=history.resolution_ms)
    assert len(rows) - len(streamed) == len(left)


@pytest.mark.parametrize("name", WITH_HISTORY)
@pytest.mark.parametrize("body", [b"", b"<html>", b"{}", b"[", b"null", b'"no"', b"[" * 100_000, b'{"data": 7}'])
def test_rubbish_is_an_error_in_words(name: str, body: bytes) -> None:
    _, history, instruments, told_of = told(name)
    with pytest.raises(ValueError, match=r"."):
        history.read(told_of["pages"][0]["url"], body, instruments, NOW_MS)


@pytest.mark.parametrize("name", WITH_HISTORY)
def test_a_contract_of_which_only_the_names_are_known_can_be_asked_for(name: str) -> None:
    _, history, instruments, told_of = told(name)
    asks = told_of["asks"]
    by_contract = not history.urls({}, 0, 1)
    for one in instruments.values():
        names = {one.symbol: Instrument(one.symbol, one.base, one.quote)}
        assert by_contract or history.urls({}, asks["since_ms"], asks["until_ms"])
        assert history.urls(names, asks["since_ms"], asks["until_ms"])
