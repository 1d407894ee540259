"""Silences, wider incidents and quiet hours: what is held back, what is told afterwards, and who is told."""

import asyncio
from datetime import UTC, datetime
from typing import Any

import pytest

from liqwatch.alerter.silences import SilenceBook
from liqwatch.eventlog import Entry
from liqwatch.events import Silence
from liqwatch.routes import Routed, RouteSettings, is_part, route
from liqwatch.rulewords import route_sentence
from liqwatch.settings import RuleSettings, Settings
from liqwatch.topics import SILENCES
from tests.support.alerter_stage import Stage, longs, until
from tests.support.chat_server import ChatServer

BILLION = 1_000_000_000


def stage(chat: ChatServer, *rules: dict[str, Any], **more: Any) -> Stage:
    return Stage(list(rules) or [longs()], {"desk": chat.target("webhook")}, **more)


def said(chat: ChatServer) -> list[tuple[str, str]]:
    return [(message.body["rule"], message.body["kind"]) for message in chat.accepted]


def silence(name: str = "s1", *, from_ms: int = 0, until_ms: int = 1 << 41, **matcher: str) -> Silence:
    return Silence(
        silence_id=name, matcher=matcher, reason="we know", author="desk", from_ms=from_ms, until_ms=until_ms
    )


async def put(on: Stage, one: Silence | None, name: str = "s1") -> None:
    value = None if one is None else one.model_dump_json().encode()
    await on.log.append(SILENCES, [Entry(name.encode(), value, on.clock.now_ms())])


async def test_what_is_silenced_is_recorded_and_told_when_the_silence_ends_and_it_still_lasts() -> None:
    async with ChatServer() as chat, stage(chat) as on:
        await put(on, silence(rule="longs-24h"))
        one = await on.start()
        await on.total(1_200_000_000)
        await until(lambda: len(on.incidents()) == 1)
        await on.total(1_800_000_000)
        await until(lambda: on.kinds() == ["fired", "stepped_up"])
        assert [] == said(chat)
        (incident,) = on.incidents()
        assert [()] * 2 == [step.targets for step in incident.steps]
        assert (incident.steps[0].held_back or "").endswith(": we know")
        assert 2 == one.metric("liqwatch_steps_held_back_total", cause="silence")
        await put(on, None)
        await chat.wait_for(1)
        assert [("longs-24h", "reminded")] == said(chat)
        assert "Still open past $1.7B: at least $1.80B" in chat.accepted[0].body["headline"]
        await on.total(0)
        await chat.wait_for(2)
        assert ("longs-24h", "cleared") == said(chat)[1]


async def test_who_was_never_told_is_not_told_the_end() -> None:
    async with ChatServer() as chat, stage(chat) as on:
        await put(on, silence(rule="longs-24h"))
        await on.start()
        await on.total(1_200_000_000)
        await until(lambda: len(on.incidents()) == 1)
        await on.total(0)
        await until(lambda: on.incidents()[0].closed_ms is not None)
        await asyncio.sleep(1.2)
        assert [] == said(chat)


async def test_who_was_told_is_told_the_end_though_it_is_silenced_by_then() -> None:
    async with ChatServer() as chat, stage(chat) as on:
        one = await on.start()
        await on.total(1_200_000_000)
        await chat.wait_for(1)
        await put(on, silence(rule="longs-24h"))
        await until(lambda: one.metric("liqwatch_silences_active") == 1)
        await on.total(1_800_000_000)
        await until(lambda: on.kinds() == ["fired", "stepped_up"])
        await on.total(0)
        await chat.wait_for(2)
        assert [("longs-24h", "fired"), ("longs-24h", "cleared")] == said(chat)


async def test_a_silence_that_was_there_before_the_start_is_known_before_anything_is_told() -> None:
    async with ChatServer() as chat, stage(chat) as on:
        for number in range(2000):
            await put(on, silence(f"old{number}", until_ms=1, rule="longs-24h"), f"old{number}")
        await put(on, silence(rule="longs-24h"))
        await on.total(1_200_000_000)
        await on.start()
        await until(lambda: len(on.incidents()) == 1)
        assert on.incidents()[0].steps[0].held_back is not None


async def test_a_market_wide_incident_holds_back_those_of_its_coins() -> None:
    market = longs(name="market", thresholds=("500M",))
    coins = longs(name="coins", scope="each base", thresholds=("100M",), held_back_by=("market",))
    async with ChatServer() as chat, stage(chat, coins, market) as on:
        one = await on.start()
        await on.total(150_000_000, scope="base=ETH")
        await chat.wait_for(1)
        await on.total(200_000_000, scope="base=BTC")
        await chat.wait_for(2)  # both before the market
        await on.total(600_000_000)
        await chat.wait_for(3)
        await on.total(110_000_000, scope="base=SOL")
        await until(lambda: len(on.incidents()) == 4)
        await on.total(0, scope="base=ETH")
        await chat.wait_for(4)
        assert [("coins", "fired"), ("coins", "fired"), ("market", "fired"), ("coins", "cleared")] == said(chat)
        assert 1 == one.metric("liqwatch_steps_held_back_total", cause="inhibition")
        await on.total(0)
        await chat.wait_for(6)
        assert {("market", "cleared"), ("coins", "reminded")} == set(said(chat)[4:])
        assert "base=SOL" == next(m.body["scope"] for m in chat.accepted if m.body["kind"] == "reminded")


async def test_a_wider_incident_that_nobody_was_told_of_holds_nothing_back() -> None:
    market = longs(name="market", thresholds=("500M",))
    coins = longs(name="coins", scope="each base", thresholds=("100M",), held_back_by=("market",))
    async with ChatServer() as chat, stage(chat, coins, market) as on:
        await put(on, silence(rule="market"))
        await on.start()
        await on.total(600_000_000)
        await until(lambda: len(on.incidents()) == 1)
        await on.total(200_000_000, scope="base=BTC")
        await chat.wait_for(1)
        assert [("coins", "fired")] == said(chat)


async def test_two_rules_that_hold_each_other_back_are_not_both_silent_for_ever() -> None:
    one = longs(name="one", thresholds=("500M",), held_back_by=("other",))
    other = longs(name="other", thresholds=("600M",), held_back_by=("one",))
    async with ChatServer() as chat, stage(chat, one, other) as on:
        await put(on, silence("s1", window="24h"))
        await on.start()
        await on.total(700_000_000)
        await until(lambda: len(on.incidents()) == 2)
        await put(on, None)
        await chat.wait_for(1)
        assert "reminded" == said(chat)[0][1]


async def test_a_market_and_a_coin_that_cross_together_are_one_message() -> None:
    market = longs(name="market", thresholds=("500M",))
    coins = longs(name="coins", scope="each base", thresholds=("100M",), held_back_by=("market",))
    async with ChatServer() as chat, stage(chat, coins, market) as on:
        await on.total(400_000_000, scope="base=BTC")
        await on.total(600_000_000)
        await on.start()
        await until(lambda: len(on.incidents()) == 2)
        await asyncio.sleep(0.2)
        assert [("market", "fired")] == said(chat)


async def test_routes_send_by_severity_and_hold_back_in_quiet_hours() -> None:
    now = datetime.now(UTC)
    later = f"{(now.hour + 3) % 24:02d}:00-{(now.hour + 4) % 24:02d}:00"
    routes = [
        {"targets": ["pager"], "severity": ["critical"]},
        {"targets": ["desk"], "severity": ["warning"], "hours": later},
    ]
    rules = [longs(name="a", severity="critical"), longs(name="b"), longs(name="c", severity="info")]
    async with ChatServer() as chat:
        targets = {"desk": chat.target("webhook"), "pager": chat.target("webhook")}
        async with Stage(rules, targets, routes=routes) as on:
            await on.start()
            await on.total(1_200_000_000)
            await until(lambda: len(on.outcomes("pager")) == 2 and len(on.outcomes("desk")) == 1)
            steps = {one.rule: one.steps[0] for one in on.incidents()}
            # What no route takes goes to all.
            assert {"a": ("pager",), "b": (), "c": ("desk", "pager")} == {r: s.targets for r, s in steps.items()}
            assert "quiet hours of every target" == steps["b"].held_back


def rule(**changes: Any) -> RuleSettings:
    return RuleSettings.model_validate({"name": "r", "thresholds": ["1M"], "severity": "warning"} | changes)


def at(text: str) -> int:
    return int(datetime.fromisoformat(text).timestamp() * 1000)


@pytest.mark.parametrize(
    ("made", "when", "awake"),
    [
        ({"hours": "07:00-23:00"}, "2026-11-24T07:00:00+00:00", True),
        ({"hours": "07:00-23:00"}, "2026-11-24T23:00:00+00:00", False),
        ({"hours": "22:00-06:00"}, "2026-11-24T23:30:00+00:00", True),
        ({"hours": "22:00-06:00"}, "2026-11-24T05:59:00+00:00", True),
        ({"hours": "22:00-06:00"}, "2026-11-24T12:00:00+00:00", False),
        ({"hours": "07:00-23:00", "time_zone": "Asia/Tokyo"}, "2026-11-24T22:30:00+00:00", True),
        ({"days": ["tue"]}, "2026-11-24T12:00:00+00:00", True),
        ({"days": ["mon"]}, "2026-11-24T12:00:00+00:00", False),
        (
            {"hours": "22:00-06:00", "days": ["mon"]},
            "2026-11-24T03:00:00+00:00",
            True,
        ),  # the night that began on Monday
        ({"hours": "22:00-06:00", "days": ["tue"]}, "2026-11-24T03:00:00+00:00", False),
        ({"hours": "07:00-23:00", "time_zone": "Europe/Berlin"}, "2026-07-01T05:30:00+00:00", True),  # summer time
        ({"hours": "07:00-23:00", "time_zone": "Europe/Berlin"}, "2026-12-01T05:30:00+00:00", False),
    ],
)
def test_when_a_route_is_awake(made: dict[str, Any], when: str, awake: bool) -> None:
    assert awake == RouteSettings.model_validate({"targets": ["a"]} | made).is_awake(at(when))


@pytest.mark.parametrize(
    ("routes", "scope", "expected"),
    [
        ([], "all", Routed(())),
        ([{"targets": ["a"]}, {"targets": ["b", "a"], "severity": ["warning"]}], "all", Routed(("a", "b"))),
        ([{"targets": ["a"], "severity": ["critical"]}], "all", Routed(())),
        ([{"targets": ["a"], "scope": "venue=okx"}, {"targets": ["b"]}], "venue=okx,base=BTC", Routed(("a", "b"))),
        ([{"targets": ["a"], "scope": "venue=okx"}, {"targets": ["b"]}], "base=BTC", Routed(("b",))),
        ([{"targets": ["a"], "kinds": ["feed"]}, {"targets": ["b"], "rules": ["r"]}], "all", Routed(("b",))),
        ([{"targets": ["a"], "hours": "01:00-02:00"}], "all", Routed((), is_quiet=True)),
    ],
)
def test_who_is_told_by_the_routes(routes: list[dict[str, Any]], scope: str, expected: Routed) -> None:
    made = [RouteSettings.model_validate(one) for one in routes]
    assert expected == route(rule(), scope, 0, made)
    assert Routed(("own",)) == route(rule(targets=["own"]), scope, 0, made)


def test_a_route_is_a_sentence() -> None:
    made = RouteSettings.model_validate(
        {"targets": ["desk", "pager"], "severity": ["critical"], "scope": "base=BTC", "hours": "07:00-23:00",
         "days": ["mon"], "time_zone": "Europe/Berlin"}
    )  # fmt: skip
    assert (
        "critical, base=BTC and its parts goes to desk, pager, only 07:00-23:00 on mon (Europe/Berlin)"
        == route_sentence(made)
    )
    assert "everything goes to desk" == route_sentence(RouteSettings(targets=("desk",)))


def test_routes_are_read_from_the_settings() -> None:
    settings = Settings.model_validate({"routes": [{"targets": ["console"], "hours": "07:00-23:00"}]})
    assert ("console",) == settings.routes[0].targets


@pytest.mark.parametrize(
    ("scope", "of", "expected"),
    [
        ("base=BTC", "all", True), ("all", "all", True), ("all", "base=BTC", False),
        ("venue=okx,base=BTC", "venue=okx", True), ("venue=okx,base=BTC", "base=BTC", True),
        ("venue=okx,base=BTC", "base=ETH", False), ("base=BTC", "venue=okx,base=BTC", False),
    ],
)  # fmt: skip
def test_what_is_a_part_of_what(scope: str, of: str, expected: bool) -> None:
    assert expected == is_part(scope, of)


@pytest.mark.parametrize(
    ("matcher", "expected"),
    [
        ({"rule": "r"}, True), ({"rule": "other"}, False), ({"rule": "r", "severity": "info"}, False),
        ({"coin": "BTC"}, True), ({"venue": "okx"}, True), ({"venue": "okx", "coin": "ETH"}, False),
        ({"scope": "venue=okx,base=BTC"}, True), ({"side": "both"}, True), ({"window": "24h"}, True),
        ({"window": "1h"}, False), ({"kind": "level"}, True), ({}, False), ({"colour": "red"}, False),
    ],
)  # fmt: skip
def test_what_a_silence_fits(matcher: dict[str, str], expected: bool) -> None:
    book = SilenceBook()
    book.take(b"s", silence(**matcher).model_dump_json().encode())
    assert expected == (book.covering(rule(), "venue=okx,base=BTC", 1000) is not None)


def test_a_silence_holds_from_its_beginning_to_its_end_or_its_tombstone() -> None:
    book = SilenceBook()
    book.take(b"s", silence(from_ms=10, until_ms=20, rule="r").model_dump_json().encode())
    assert [False, True, True, False] == [book.covering(rule(), "all", at) is not None for at in (9, 10, 19, 20)]
    book.take(b"s", None)
    assert book.covering(rule(), "all", 15) is None
