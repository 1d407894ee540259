"""Every kind of rule, from what is on the log to what the chat is told."""

import math
from typing import Any

import pytest

from liqwatch.eventlog import Entry
from liqwatch.topics import BARS, LIQUIDATIONS
from liqwatch.wire import Bar, BarRow, LargestRecord, Liquidation, encode
from tests.support.alerter_stage import Stage, until
from tests.support.chat_server import ChatServer

MINUTE_MS = 60_000


def stage(chat: ChatServer, *rules: dict[str, Any], **more: Any) -> Stage:
    ready = [{"name": "r", "clear_hold": "0s"} | rule for rule in rules]
    return Stage(ready, {"desk": chat.target("webhook")}, **more)


def headlines(chat: ChatServer) -> list[str]:
    return [message.body["headline"] for message in chat.accepted]


async def bars(on: Stage, minutes: int, usd: int, *, base: str = "BTC") -> None:
    """So much of longs in each of the last minutes."""
    now = on.clock.now_ms() // MINUTE_MS
    for minute in range(now - minutes, now - 1):
        row = BarRow("bybit", base, f"{usd}.000000", 1, "0.000000", 0)
        value = encode(Bar(0, minute * MINUTE_MS, 1, (row,)))
        await on.log.append(BARS, [Entry(b"0", value, minute * MINUTE_MS, 0)])


def order(usd: str, event_id: str = "e1") -> LargestRecord:
    return LargestRecord(event_id, "okx", "BTC-USDT-SWAP", "BTC", "long", "60000", usd, 1_764_000_000_000, "order")


async def test_a_share_is_a_condition_beside_the_ladder() -> None:
    rule = {"side": "long", "thresholds": ["200M"], "share": "90%", "window": "1h"}
    async with ChatServer() as chat, stage(chat, rule) as on:
        await on.start()
        await on.total(300_000_000, 100_000_000, window="1h")
        await on.total(300_000_000, 30_000_000, window="1h")
        await chat.wait_for(1)
        await on.total(300_000_000, 60_000_000, window="1h")  # 83 %: a little easier while it is open
        await on.total(300_000_000, 100_000_000, window="1h")
        await chat.wait_for(2)
        assert [
            "At least $300M of longs liquidated in 1 hour, 90.9 % of the total, past $200M and 90 %.",
            "Cleared: longs liquidated in 1 hour no longer past $200M and 90 %: "
            "now at least $300M of longs liquidated in 1 hour, 75 % of the total.",
        ] == headlines(chat)


async def test_one_large_order_is_told_a_larger_one_again_and_its_end() -> None:
    async with ChatServer() as chat, stage(chat, {"kind": "order", "thresholds": ["10M", "25M"]}) as on:
        await on.start()
        for usd in ("9999999.999999", "12740000.5", "12000000", "27100000", ""):
            await on.total(100_000_000, window="5m", largest=order(usd) if usd else None)
            await until(lambda: not on.log.down)
            if usd in ("12740000.5", "27100000", ""):
                await chat.wait_for(len(chat.accepted) + 1)
        assert [
            "$12.7M of okx BTC-USDT-SWAP long liquidated in one order, past $10M.",
            "Larger still: $27.1M of okx BTC-USDT-SWAP long liquidated in one order, now past $25M.",
            "Cleared: no order of $10M or more liquidated for 5 minutes.",
        ] == headlines(chat)
        assert "12740000.500000" == on.incidents()[0].steps[0].usd


async def test_a_class_of_coins_is_added_up_and_its_coins_can_be_watched_one_by_one() -> None:
    together = {"name": "t", "scope": "class=majors", "thresholds": ["50M"]}
    each = {"name": "e", "scope": "each base in others", "thresholds": ["10M"]}
    async with ChatServer() as chat, stage(chat, together, each) as on:
        await on.start()
        await on.total(30_000_000, scope="base=SOL")
        await on.total(90_000_000, scope="base=BTC")
        await on.total(11_000_000, scope="base=PEPE", partition=1)
        await on.total(25_000_000, scope="base=XRP", partition=2)
        await chat.wait_for(2)
        assert {
            "At least $55.0M of positions of major coins liquidated in 24 hours, past $50M.",
            "At least $11.0M of PEPE positions liquidated in 24 hours, past $10M.",
        } == set(headlines(chat))
        incident = next(one for one in on.incidents() if one.rule == "t")
        parts = {(row.scope, row.partition, row.long_usd) for row in incident.steps[0].evidence}
        assert {("base=SOL", 0, "30000000.000000"), ("base=XRP", 2, "25000000.000000")} == parts


async def test_a_surge_is_told_against_what_is_normal() -> None:
    rule = {"kind": "surge", "side": "long", "times": [20, 100], "floor": "5M"}
    async with ChatServer() as chat, stage(chat, rule) as on:
        await bars(on, 1500, 60_000)  # $300K in 5 minutes
        await on.start()
        await on.total(4_900_000, window="5m")
        await on.total(9_000_000, window="5m")
        await chat.wait_for(1)
        await on.total(33_000_000, window="5m")
        await chat.wait_for(2)
        await on.total(1_000_000, window="5m")
        await chat.wait_for(3)
        first, second, third = headlines(chat)
        assert first.startswith("At least $9.00M of longs liquidated in 5 minutes, 30 times the normal, past 20 times.")
        assert second.startswith("At least $33.0M of longs liquidated in 5 minutes, 11")
        assert third.startswith("Cleared: longs liquidated in 5 minutes back under 10 times the normal, now at least")
        step = on.incidents()[0].steps[0]
        assert ("20", "9000000.000000") == (step.threshold, step.usd)
        assert 29 < float(step.value or 0) < 31


async def test_nothing_is_a_surge_until_it_is_known_what_is_normal() -> None:
    rule = {"kind": "surge", "times": [20], "floor": "5M"}
    async with ChatServer() as chat, stage(chat, rule, {"name": "l", "thresholds": ["1B"], "window": "5m"}) as on:
        await bars(on, 30, 60_000)
        await on.start()
        await on.total(2_000_000_000, window="5m")
        await chat.wait_for(1)
        assert ["l"] == [message.body["rule"] for message in chat.accepted]


async def test_a_record_names_the_day_when_it_was_last_as_much() -> None:
    rule = {"kind": "record", "side": "long", "window": "1h", "days": [2, 4], "floor": "1M"}
    async with ChatServer() as chat, stage(chat, rule) as on:
        now_ms = on.clock.now_ms()
        for days, millions in ((4.02, 1), (3, 30), (1, 20)):
            at_ms = int(now_ms - days * 86_400_000) // MINUTE_MS * MINUTE_MS
            row = BarRow("bybit", "BTC", f"{millions}000000", 1, "0", 0)
            await on.log.append(BARS, [Entry(b"0", encode(Bar(0, at_ms, 1, (row,))), at_ms, 0)])
        await on.start()
        await on.total(15_000_000, window="1h")
        await on.total(25_000_000, window="1h")
        await chat.wait_for(1)
        await on.total(35_000_000, window="1h")
        await chat.wait_for(2)
        await on.total(10_000_000, window="1h")
        await chat.wait_for(3)
        first, second, third = headlines(chat)
        assert "At least $25.0M of longs liquidated in 1 hour, the most since 20" in first
        assert "At least $35.0M of longs liquidated in 1 hour, the most since watching began on 20" in second
        assert third.startswith("Cleared: longs liquidated in 1 hour no longer the most in 2 days, now")
        assert ["2", "4"] == [step.threshold for step in on.incidents()[0].steps[:2]]


async def test_a_feed_that_is_down_is_told_and_its_return() -> None:
    rule = {"kind": "feed", "scope": "each venue", "condition": "down", "after": ["2m", "10m"]}
    async with ChatServer() as chat, stage(chat, rule, venues={"bybit": "Bybit", "okx": "OKX"}) as on:
        now_ms = on.clock.now_ms()
        for venue, until_ms in (("bybit", now_ms + 3_600_000), ("okx", now_ms)):
            await on.watched(venue, now_ms - 3_600_000, until_ms)
        one = await on.start()
        on.ahead_seconds += 130
        await on.beat()
        await chat.wait_for(1)
        on.ahead_seconds += 500
        await on.beat()
        await chat.wait_for(2)
        await on.watched("okx", on.clock.now_ms() - 1, on.clock.now_ms())
        await chat.wait_for(3)
        assert ["venue=okx"] * 3 == [message.body["scope"] for message in chat.accepted]
        first, second, third = headlines(chat)
        assert first.startswith("Feed down: OKX has not been watched for 2 min.")
        assert second.startswith("Feed still down: OKX has not been watched for 10 min.")
        assert third.startswith("Feed back: OKX is watched again, ")
        assert 0 == one.metric("liqwatch_incidents_open", rule="r")


@pytest.mark.parametrize("brings", [True, False])
async def test_a_feed_that_is_watched_and_brings_nothing_is_silent(brings: bool) -> None:
    rules = ({"kind": "feed", "scope": "venue=okx", "condition": "silent", "window": "1h"},
             {"name": "l", "thresholds": ["1B"]})  # fmt: skip
    async with ChatServer() as chat, stage(chat, *rules, venues={"okx": "OKX"}) as on:
        now_ms = on.clock.now_ms()
        await on.watched("okx", now_ms - 7_200_000, now_ms + 60_000)
        if brings:
            await on.total(1000, scope="venue=okx", window="1h")
        await on.start()
        if not brings:
            await chat.wait_for(1)
            assert ["Feed silent: no liquidation from OKX in 1 hour, though it is connected."] == headlines(chat)
            await on.total(1000, scope="venue=okx", window="1h")
            await chat.wait_for(2)
            assert "Feed heard again: OKX brings liquidations." == headlines(chat)[1]
            return
        await on.total(2_000_000_000)
        await chat.wait_for(1)
        assert ["l"] == [message.body["rule"] for message in chat.accepted]


async def test_a_feed_that_was_away_for_long_is_incomplete() -> None:
    rule = {"kind": "feed", "scope": "each venue", "condition": "incomplete", "window": "1h", "missing": ["10%"]}
    async with ChatServer() as chat, stage(chat, rule, venues={"okx": "OKX"}) as on:
        now_ms = on.clock.now_ms()
        await on.watched("okx", now_ms - 7_200_000, now_ms - 1_200_000)
        await on.watched("okx", now_ms - 600_000, now_ms + 60_000)
        await on.start()
        await chat.wait_for(1)
        assert ["Feed incomplete: OKX was watched 83.3 % of the last 1 hour."] == headlines(chat)


def event(number: int, at_ms: int, usd: float, btc: float, base: str = "BTC") -> bytes:
    """A long of so many dollars, filled at a price."""
    return encode(
        Liquidation(
            f"e{number}:{base}", "htx", f"{base}-USDT", base, "USDT", "long", f"{btc:.2f}", "fill", "1", f"{usd:.2f}",
            at_ms, at_ms, "venue", "stream", "order",
        )
    )  # fmt: skip


async def tell(on: Stage, values: list[bytes]) -> None:
    await on.log.append(LIQUIDATIONS, [Entry(b"htx:X", value, on.clock.now_ms()) for value in values])


async def test_a_cascade_is_told_from_single_liquidations_and_again_after_a_restart_only_what_is_new() -> None:
    rule = {"kind": "cascade", "side": "long", "severity": "critical"}
    async with ChatServer() as chat, stage(chat, rule) as on:
        start_ms = on.clock.now_ms() - 240_000
        course = []
        for second in range(240):  # from 0 to -1.2 % within 4 minutes, $100K a second
            fall = math.exp(-0.012 * second / 240)
            course.append(event(second, start_ms + second * 1000, 100_000, 60_000 * fall))
            course.append(event(second, start_ms + second * 1000, 10, 3_000 * fall, "ETH"))
        await tell(on, course)
        await on.total(24_000_000, window="5m")
        first = await on.start()
        await chat.wait_for(1)
        await first.end()
        await on.start()
        now_ms, deep = on.clock.now_ms(), math.exp(-0.017)
        await tell(on, [event(999, now_ms, 10, 3_000 * deep, "ETH"), event(998, now_ms, 3_000_000, 60_000 * deep)])
        await chat.wait_for(2)
        told = headlines(chat)
        assert told[0].startswith("Cascade of longs may have begun: at least $")
        assert told[1].startswith("Cascade of longs, leg 3: at least $27.0M of longs liquidated in 5 minutes, ")
        assert ["1", "3"] == [step.threshold for step in on.incidents()[0].steps]
        assert "; BTC and ETH 1.7 % down within 15 minutes." in told[1]


async def test_a_cascade_rule_that_a_reload_brings_begins_to_read() -> None:
    async with ChatServer() as chat, stage(chat, {"name": "l", "thresholds": ["1B"]}) as on:
        one = await on.start()
        cascade = {"name": "c", "kind": "cascade", "side": "long", "falls": ["0.1%", "5%"]}
        one.service.reload(on.settings([cascade]))
        now_ms = on.clock.now_ms()
        before_ms = now_ms - 20_000
        await tell(on, [event(0, before_ms, 10, 3_000, "ETH"), event(0, before_ms, 10, 60_000)])
        await tell(on, [event(1, now_ms, 10, 2_970, "ETH"), event(1, now_ms, 20_000_000, 59_400)])
        await chat.wait_for(1)
        assert "c" == chat.accepted[0].body["rule"]
