"""The stream: everything first, then what changed; what was missed comes again; who falls behind starts anew."""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, NamedTuple

import orjson
import pytest
from prometheus_client import CollectorRegistry

from liqwatch import topics
from liqwatch.clock import Clock
from liqwatch.eventlog import Record
from liqwatch.events import Silence
from liqwatch.metrics import WebMetrics
from liqwatch.web import market as markets
from liqwatch.web import stream, updates
from liqwatch.web.market import Market
from liqwatch.web.stream import Hub
from liqwatch.web.updates import Updates
from liqwatch.wire import encode
from tests.support.liquidations import liquidation
from tests.support.waiting import until
from tests.support.web_stage import RULES, WINDOWS, WebStage, incident, web_stage


class Event(NamedTuple):
    """One server-sent event."""

    id: str
    kind: str
    data: Any


class Viewer:
    """Reads events as a browser does."""

    def __init__(self, content: Any) -> None:
        self._content = content

    async def next(self) -> Event:
        fields: dict[str, str] = {}
        async with asyncio.timeout(10):
            while True:
                line = (await self._content.readline()).decode().rstrip("\n")
                if not line and "data" in fields:
                    return Event(fields["id"], fields["event"], orjson.loads(fields["data"]))
                name, _, value = line.partition(": ")
                fields[name] = value

    async def where(self, part: str) -> Event:
        """The next that carries the part."""
        while True:
            event = await self.next()
            if part in event.data:
                return event


@contextlib.asynccontextmanager
async def viewing(stage: WebStage, last: str = "") -> AsyncIterator[Viewer]:
    headers = {"Last-Event-ID": last} if last else {}
    async with stage.http.get(f"{stage.origin}/api/v1/stream", headers=headers) as response:
        assert (200, "text/event-stream") == (response.status, response.content_type)
        assert "no-store" == response.headers["Cache-Control"]
        yield Viewer(response.content)


async def test_everything_comes_first_and_then_what_has_changed_with_the_same_numbers_as_the_api(
    stage: WebStage,
) -> None:
    await stage.totals("all", "1500000000.25")
    await stage.beat()
    await stage.settled()
    async with viewing(stage) as viewer:
        first = await viewer.next()
        assert "snapshot" == first.kind
        assert ["5m", "1h", "24h"] == first.data["windows"] == [one["window"] for one in first.data["totals"]]
        assert "1500000000.250000" == first.data["totals"][2]["long"]["usd"]

        await stage.totals("all", "1700000000.75")
        event = await viewer.where("totals")
        while event.data["totals"][-1]["long"]["usd"] != "1700000000.750000":
            event = await viewer.where("totals")
        assert "update" == event.kind
        api = await stage.get("/api/v1/totals", window="24h")
        streamed = event.data["totals"][-1]
        for part in ("long", "short", "total", "rungs", "largest", "window", "scope"):
            assert api[part] == streamed[part]

        now_ms = stage.clock.now_ms()
        await stage.liquidation(liquidation("small", now_ms, "9999"))
        await stage.liquidation(liquidation("large", now_ms, "10000"))
        assert ["large"] == [one["event_id"] for one in (await viewer.where("events")).data["events"]]
        await stage.message(topics.ALERTS, "longs-24h:all:1", incident(1, now_ms))
        assert ["longs-24h:all:1"] == [
            one["incident_id"] for one in (await viewer.where("incidents")).data["incidents"]
        ]
        silence = Silence(
            silence_id="s", matcher={"rule": "x"}, reason="r", author="a", from_ms=now_ms, until_ms=now_ms + 60_000
        )
        await stage.message(topics.SILENCES, "s", silence)
        assert ["s"] == [one["silence_id"] for one in (await viewer.where("silences")).data["silences"]]


async def test_a_viewer_that_comes_back_gets_what_it_missed_and_nothing_twice(stage: WebStage) -> None:
    async with viewing(stage) as viewer:
        first = await viewer.next()
        seen = [first, await viewer.next()]
    hub = stage.service._hub
    await stage.message(topics.ALERTS, "longs-24h:all:1", incident(1, stage.clock.now_ms()))
    await until(lambda: hub._last >= int(seen[-1].id.partition("-")[2]) + 3, 10)
    async with viewing(stage, seen[-1].id) as viewer:
        missed = [await viewer.next() for _ in range(3)]
    assert {"update"} == {event.kind for event in missed}
    numbers = [int(event.id.partition("-")[2]) for event in missed]
    start = int(seen[-1].id.partition("-")[2])
    assert [start + 1, start + 2, start + 3] == numbers
    assert any("incidents" in event.data for event in missed)


@pytest.mark.parametrize("last", ["deadbeef-1", "x", "-", "deadbeef-", "9" * 400, "deadbeef--1", "deadbeef-²"])
async def test_an_id_that_is_not_of_this_run_gets_everything(stage: WebStage, last: str) -> None:
    async with viewing(stage, last.replace("²", "2")) as viewer:
        assert "snapshot" == (await viewer.next()).kind
    assert stage.service._hub.place(last) is None


def hub(kept: int = 5) -> tuple[Hub, WebMetrics]:
    metrics = WebMetrics(CollectorRegistry())
    return Hub(Updates(Market(WINDOWS, {}), lambda: RULES), Clock(), metrics, kept), metrics


NOW = 1_790_000_000_000


class Told:
    """A market that is given liquidations, and the ids that its updates tell."""

    def __init__(self) -> None:
        self.market = Market(WINDOWS, {})
        self._updates = Updates(self.market, lambda: RULES)

    def take(self, name: str, usd: int) -> None:
        self.market.take_liquidation(Record(0, 0, NOW, b"", encode(liquidation(name, NOW, str(usd)))))

    def next(self) -> list[str]:
        return [one["event_id"] for one in (self._updates.update(NOW, slow=False) or {}).get("events", ())]


def test_a_large_order_is_told_however_many_small_ones_came_after_it() -> None:
    told = Told()
    told.take("large", 10_000)
    for number in range(5_000):
        told.take(f"small-{number}", 9_999)
    assert ["large"] == told.next()
    assert [] == told.next()


def test_more_large_orders_than_one_update_holds_are_told_by_the_next_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(updates, "_TAPE_AT_ONCE", 3)
    told = Told()
    for number in range(5):
        told.take(f"e{number}", 10_000 + number)
    assert ["e4", "e3", "e2"] == told.next()
    told.take("late", 10_001)
    assert ["e1", "late", "e0"] == told.next()
    assert [] == told.next()


def test_of_more_than_may_wait_the_largest_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(markets, "MOST_NOTED", 4)
    told = Told()
    for number in range(100):
        told.take(f"e{number}", 10_000 + number * 37 % 100)  # each worth something else
        assert len(told.market.changes.events) < 8
    largest = sorted(range(100), key=lambda number: -(number * 37 % 100))[:4]
    assert [f"e{number}" for number in largest] == told.next()
    assert [] == told.next()


async def test_what_is_kept_is_bounded_and_who_fell_behind_it_gets_everything() -> None:
    one, _ = hub()
    _, place = one.pending(None)
    for number in range(5):
        one.publish({"number": number})
    chunk, now = one.pending(place)
    assert [b'{"number":%d}' % number for number in range(5)] == [
        line.removeprefix(b"data: ") for line in chunk.split(b"\n") if line.startswith(b"data")
    ]
    one.publish({"number": 5})
    assert 5 == len(one._kept)
    assert b"event: snapshot" in one.pending(place)[0]
    assert (b"", 6) == one.pending(now + 1)


async def test_all_viewers_are_given_the_same_bytes() -> None:
    one, _ = hub()
    assert one.pending(None)[0] is one.pending(None)[0]
    one.publish({})
    assert one._kept[-1] == one.pending(0)[0]


async def test_a_viewer_that_takes_nothing_is_let_go_and_holds_up_nobody(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stream, "_WRITE_SECONDS", 0.5)
    async with web_stage(tmp_path) as stage:
        host, _, port = stage.service.address.rpartition(":")
        deaf = socket.socket()
        deaf.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
        deaf.connect((host, int(port)))
        deaf.sendall(b"GET /api/v1/stream HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")  # and never reads
        async with viewing(stage) as viewer:
            one = stage.service._hub
            await until(lambda: one.viewers == 2)
            filler = {"filler": "x" * 200_000}
            for _ in range(40):
                one.publish(filler)
                await asyncio.sleep(0)
            await until(lambda: one.viewers == 1, 10)
            await viewer.where("filler")
        deaf.close()


async def test_a_slow_viewer_is_brought_up_to_date_by_everything_at_once(stage: WebStage) -> None:
    one = stage.service._hub
    async with viewing(stage) as viewer:
        await viewer.next()
        # So much that neither the socket nor the kept updates hold it: what it would have read is overtaken.
        for number in range(stream.KEPT * 3):
            one.publish({"number": number, "filler": "x" * 100_000})
            if number % 20 == 0:
                await asyncio.sleep(0)
        kinds = [(await viewer.next()).kind]
        while kinds[-1] != "snapshot":
            kinds.append((await viewer.next()).kind)
        assert len(kinds) < stream.KEPT * 3
    await until(lambda: stage.registry.get_sample_value("liqwatch_web_resyncs_total") == 1.0)


async def test_there_are_only_so_many_viewers(stage: WebStage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stream, "MOST_VIEWERS", 1)
    async with viewing(stage) as viewer:
        await viewer.next()
        status, body, response = await stage.ask("GET", "/api/v1/stream")
        assert (503, "30") == (status, response.headers["Retry-After"])
        assert "come back later" in body["detail"]
    await until(lambda: stage.service._hub.viewers == 0, 5)  # a closed tab makes room


async def test_a_stop_ends_the_streams_at_once(tmp_path: Path) -> None:
    async with web_stage(tmp_path) as stage:
        response = await stage.http.get(f"{stage.origin}/api/v1/stream")
        await Viewer(response.content).next()
        began = asyncio.get_running_loop().time()
    assert asyncio.get_running_loop().time() - began < 4
    response.close()


async def test_no_update_is_made_while_nobody_looks_and_who_comes_then_is_given_everything(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(stream, "TICK_SECONDS", 0.001)
    one, _ = hub(kept=3)
    asked = 0

    def since_ms() -> None:
        nonlocal asked
        asked += 1

    stop = asyncio.Event()
    running = asyncio.create_task(one.run(stop, since_ms))
    await until(lambda: asked >= 5)  # what has not been told is not kept either: the lag would be that of hours
    assert [] == list(one._kept)
    one.viewers = 1
    await until(lambda: len(one._kept) == 3)
    place = one._last
    one.viewers = 0
    await until(lambda: not one._kept)  # for some ticks the viewer may come back to what it missed
    assert one.place(f"{one._run}-{place}") is None
    assert b"event: snapshot" in one.pending(place)[0]
    stop.set()
    await running
