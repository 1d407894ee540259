"""The alerter from totals to chat, and what it remembers."""

import asyncio
from typing import Any

import pytest

from liqwatch.alerter.figures import Figures
from liqwatch.events import Coverage, Incident
from liqwatch.topics import ALERTS
from liqwatch.wire import LargestRecord
from tests.support.alerter_stage import Stage, longs, until
from tests.support.chat_server import ChatServer

LARGEST = LargestRecord("e1", "bybit", "BTCUSDT", "BTC", "long", "60000", "12740000.5", 1_764_000_000_000, "order")


def stage(chat: ChatServer, *rules: dict[str, Any], **more: Any) -> Stage:
    return Stage(list(rules) or [longs()], {"desk": chat.target("webhook")}, **more)


def said(chat: ChatServer) -> list[str]:
    return [message.body["kind"] for message in chat.accepted]


async def test_a_crossing_is_told_steps_up_and_clears() -> None:
    async with ChatServer() as chat, stage(chat) as on:
        await on.start()
        for dollars in (1_200_000_000, 1_750_000_000, 100_000_000):
            await on.total(dollars)
            await chat.wait_for(len(chat.accepted) + 1)
        assert ["fired", "stepped_up", "cleared"] == said(chat)
        assert "At least $1.20B of longs liquidated in 24 hours, past $1B." == chat.accepted[0].body["headline"]


async def test_the_decision_is_in_the_log_with_its_first_attempt_before_that_is_made_and_its_outcome_after() -> None:
    async with ChatServer() as chat, stage(chat) as on:
        await on.start()
        await on.total(1_200_000_000)
        await until(lambda: on.outcomes("desk") == [("fired", "accepted", False)])
        states = [Incident.model_validate_json(r.value) for r in on.log.all(ALERTS) if r.value is not None]
        assert [[None], ["accepted"]] == [[a.outcome for a in s.steps[0].attempts] for s in states]


async def test_an_incident_can_be_checked_from_its_record() -> None:
    async with ChatServer() as chat, stage(chat) as on:
        now_ms = on.clock.now_ms()
        await on.watched("bybit", now_ms - 3_600_000, now_ms)
        await on.start()
        await on.total(1_200_000_000, 5, partition=3, largest=LARGEST)
        await chat.wait_for(1)
        (incident,) = on.incidents()
        (evidence,) = incident.steps[0].evidence
        assert (3, 7, "1200000000.000000", "5.000000") == (
            evidence.partition, evidence.offset, evidence.long_usd, evidence.short_usd,
        )  # fmt: skip
        (coverage,) = incident.coverage
        assert ("bybit", True) == (coverage.venue, 0.03 < coverage.share < 0.05)
        assert incident.largest is not None and incident.largest.event_id == "e1"
        assert f"longs-24h:all:{incident.opened_ms}" == incident.incident_id


async def test_a_restart_neither_forgets_nor_repeats() -> None:
    async with ChatServer() as chat, stage(chat) as on:
        first = await on.start()
        await on.total(1_200_000_000)
        await chat.wait_for(1)
        await first.end()
        await on.start()
        await on.total(1_300_000_000)
        await on.total(1_800_000_000)
        await chat.wait_for(2)
        await on.total(0)
        await chat.wait_for(3)
        assert ["fired", "stepped_up", "cleared"] == said(chat)
        assert ["fired", "stepped_up", "cleared"] == on.kinds()


async def test_the_peak_between_steps_is_told_when_it_clears() -> None:
    async with ChatServer() as chat, stage(chat) as on:
        await on.start()
        for dollars in (1_200_000_000, 1_650_000_000, 1_100_000_000):
            await on.total(dollars)
            await asyncio.sleep(0.02)
        await on.total(0)
        await chat.wait_for(2)
        assert "1650000000.000000" == on.incidents()[0].peak_usd
        assert "Peak: at least $1.65B" in chat.accepted[1].text


async def test_stale_totals_neither_fire_nor_clear() -> None:
    async with ChatServer() as chat, stage(chat) as on:
        one = await on.start()
        await on.total(1_200_000_000)
        await chat.wait_for(1)
        on.beating.discard(5)
        on.ahead_seconds += 6
        await on.beat()
        await until(lambda: one.service.unready() == ["totals are stale in 1 of 12 partitions"])
        await on.total(0)
        await until(lambda: one.metric("liqwatch_totals_stale") == 1)
        await on.total(1_800_000_000)
        await asyncio.sleep(0.1)
        assert ["fired"] == said(chat)
        on.beating.add(5)
        await chat.wait_for(2)  # what happened meanwhile is judged as soon as the totals are fresh
        assert ["fired", "stepped_up"] == said(chat)


async def test_a_feed_that_is_down_never_causes_cleared() -> None:
    async with ChatServer() as chat, stage(chat, venues={"bybit": "Bybit", "okx": "OKX"}) as on:
        now_ms = on.clock.now_ms()
        await on.watched("bybit", now_ms - 3_600_000, now_ms)
        await on.watched("okx", now_ms - 3_600_000, now_ms - 120_000)
        await on.start()
        await on.total(1_200_000_000)
        await chat.wait_for(1)
        await on.total(0)
        await asyncio.sleep(1.2)  # a tick of the alerter passes
        assert ["fired"] == said(chat)
        await on.watched("okx", now_ms - 3_600_000, on.clock.now_ms())
        await chat.wait_for(2)
        assert ["fired", "cleared"] == said(chat)


async def test_each_coin_has_incidents_of_its_own() -> None:
    rule = longs(name="coins", scope="each base", thresholds=("10M",))
    async with ChatServer() as chat, stage(chat, rule) as on:
        await on.start()
        await on.total(99_000_000)
        await on.total(20_000_000, scope="base=BTC")
        await on.total(30_000_000, scope="base=ETH", partition=1)
        await on.total(40_000_000, scope="venue=okx,base=SOL", partition=2)
        await chat.wait_for(2)
        assert ["base=BTC", "base=ETH"] == sorted(message.body["scope"] for message in chat.accepted)
        assert "At least $20.0M of BTC longs liquidated in 24 hours, past $10M." in {
            message.body["headline"] for message in chat.accepted
        }


async def test_partitions_are_added_up() -> None:
    async with ChatServer() as chat, stage(chat) as on:
        await on.start()
        for partition in range(12):
            await on.total(84_000_000, partition=partition)
        await chat.wait_for(1)
        assert "1008000000.000000" == chat.accepted[0].body["usd"]


async def test_a_hold_and_a_reminder_come_by_the_clock() -> None:
    async with ChatServer() as chat, stage(chat, longs(hold="500ms", repeat="1s")) as on:
        await on.start()
        await on.total(1_200_000_000)
        await chat.wait_for(2)
        assert ["fired", "reminded"] == said(chat)


async def test_a_reload_swaps_rules_without_telling_anything_again() -> None:
    async with ChatServer() as chat, stage(chat) as on:
        one = await on.start()
        await on.total(1_200_000_000)
        await chat.wait_for(1)
        one.service.reload(on.settings([longs(thresholds=("1B", "1.1B", "1.3B"))]))
        await on.total(1_250_000_000)
        await chat.wait_for(2)  # a step that was not there before and is above what was told
        await on.total(1_290_000_000)
        await on.total(1_310_000_000)
        await chat.wait_for(3)
        assert ["1000000000", "1100000000", "1300000000"] == [m.body["threshold"] for m in chat.accepted]


async def test_the_incident_of_a_rule_that_is_gone_is_closed_in_silence() -> None:
    async with ChatServer() as chat, stage(chat) as on:
        one = await on.start()
        await on.total(1_200_000_000)
        await chat.wait_for(1)
        one.service.reload(on.settings([longs(name="other", thresholds=("5B",))]))
        await until(lambda: on.incidents()[0].closed_ms is not None)
        last = on.incidents()[0].steps[-1]
        assert ("Closed: the rule longs-24h is no longer in the settings.", ()) == (last.headline, last.targets)
        assert ["fired"] == said(chat)
        assert one.registry.get_sample_value("liqwatch_incidents_open", {"rule": "longs-24h"}) is None


async def test_the_incident_of_a_rule_that_went_while_nobody_ran_is_closed_at_the_start() -> None:
    async with ChatServer() as chat, stage(chat) as on:
        first = await on.start()
        await on.total(1_200_000_000)
        await chat.wait_for(1)
        await first.end()
        on.rules = [longs(side="both")]
        await on.start()
        await chat.wait_for(2)  # the same name watches another total now: a new incident
        assert ["all longs", "both"] == [
            "all longs" if one.side == "long" and one.closed_ms else one.side for one in on.incidents()
        ]


async def test_a_reload_brings_and_takes_targets() -> None:
    async with ChatServer() as chat, stage(chat) as on:
        one = await on.start()
        on.targets = {"other": chat.target("telegram")}
        one.service.reload(on.settings())
        await on.total(1_200_000_000)
        await chat.wait_for(1)
        assert chat.accepted[0].path.startswith("/telegram/")
        assert ["other"] == list(on.incidents()[0].steps[0].targets)


async def test_a_target_that_a_reload_took_has_no_value_in_the_metrics_any_more() -> None:
    async with ChatServer() as chat, stage(chat) as on:
        one = await on.start()
        await on.total(1_200_000_000)
        await chat.wait_for(1)
        on.targets = {"other": chat.target("telegram")}
        one.service.reload(on.settings())
        name = "liqwatch_outbox_pending"
        await until(lambda: one.registry.get_sample_value(name, {"destination": "desk"}) is None)
        await until(lambda: one.registry.get_sample_value(name, {"destination": "other"}) == 0)


async def test_time_without_fresh_totals_counts_towards_no_hold() -> None:
    async with ChatServer() as chat, stage(chat, longs(clear_hold="20s")) as on:
        one = await on.start()
        await on.total(1_200_000_000)
        await chat.wait_for(1)
        await on.total(0)
        await asyncio.sleep(0.1)  # it has been seen below
        on.beating.clear()
        on.ahead_seconds += 60
        await until(lambda: one.metric("liqwatch_totals_stale") == 1)
        on.beating = set(range(12))
        await until(lambda: one.metric("liqwatch_totals_stale") == 0)
        await asyncio.sleep(0.2)
        assert ["fired"] == said(chat)
        on.ahead_seconds += 4  # beats of this clock follow at once: fresh
        await asyncio.sleep(0.2)
        assert ["fired"] == said(chat)
        for _ in range(5):
            on.ahead_seconds += 4
            await on.beat()
            await asyncio.sleep(0.05)
        await chat.wait_for(2)
        assert ["fired", "cleared"] == said(chat)


async def test_a_record_too_large_for_the_log_is_cut_down_and_the_alerter_goes_on() -> None:
    async with ChatServer() as chat, stage(chat, longs(thresholds=[f"{n}M" for n in range(1, 41)])) as on:
        on.log.largest = 6_000
        one = await on.start()
        for millions in range(1, 41):
            await on.total(millions * 1_000_000)
            await chat.wait_for(millions)
        await on.total(0)
        await chat.wait_for(41)
        assert ["fired", *["stepped_up"] * 39, "cleared"] == said(chat)
        await until(lambda: on.incidents()[0].closed_ms is not None)
        (incident,) = on.incidents()
        assert ("fired", "cleared") == (incident.steps[0].kind, incident.steps[-1].kind)
        assert one.metric("liqwatch_incident_records_cut_total") > 0
        assert not one.task.done()


async def test_what_no_record_can_hold_is_not_sent_and_ends_nothing() -> None:
    async with ChatServer() as chat, stage(chat) as on:
        on.log.largest = 300  # room for nothing
        one = await on.start()
        await on.total(1_200_000_000)
        await until(lambda: one.metric("liqwatch_incident_records_cut_total") > 0)
        on.log.largest = 1 << 20
        await on.total(1_800_000_000)
        await chat.wait_for(1)
        assert not one.task.done()


async def test_nothing_is_sent_until_the_log_has_the_decision() -> None:
    async with ChatServer() as chat, stage(chat) as on:
        one = await on.start()
        await on.total(1_200_000_000)
        await chat.wait_for(1)
        on.log.down = True
        await until(lambda: one.service.unready() == ["the log cannot be reached"])
        assert 1 == chat.requests
        on.log.down = False
        await on.total(1_800_000_000)
        await chat.wait_for(2)
        assert ["fired", "stepped_up"] == said(chat)


async def test_it_stops_though_the_log_is_down() -> None:
    async with ChatServer() as chat, stage(chat) as on:
        one = await on.start()
        on.log.down = True
        await until(lambda: bool(one.service.unready()))
        await one.end()
        on.log.down = False


async def test_the_console_gets_the_same_words() -> None:
    async with Stage([longs()]) as on:
        await on.start()
        await on.total(1_200_000_000)
        await until(lambda: len(on.emitted) == 1)
        first, *_ = on.emitted[0].splitlines()
        assert "[warning] At least $1.20B of longs liquidated in 24 hours, past $1B." == first


async def test_of_an_interval_that_has_grown_the_last_record_alone_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    taken: list[bytes] = []
    take = Figures.take_coverage

    def taking(self: Figures, value: bytes) -> None:
        taken.append(value)
        take(self, value)

    monkeypatch.setattr(Figures, "take_coverage", taking)
    async with Stage([{"name": "r", "thresholds": ["1M"]}]) as on:
        begun_ms = on.clock.now_ms() - 60_000
        for second in range(50):
            await on.watched("okx", begun_ms, begun_ms + second * 1000)
        await on.start()
        await until(lambda: bool(taken))
        (last,) = taken
        assert begun_ms + 49_000 == Coverage.model_validate_json(last).to_ms
