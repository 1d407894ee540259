"""The first attempts that are put on record together with a decision, and what they wait for."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from typing_extensions import override

from liqwatch.alerter import underway
from liqwatch.alerter.delivery import Courier
from liqwatch.alerter.incidents import Delivery, with_attempts, with_unknowns
from liqwatch.alerter.journal import Journal, Receipt
from liqwatch.alerter.notifiers.base import Rate
from liqwatch.alerter.pace import Bucket
from liqwatch.eventlog import EARLIEST, Entry, Member, Position, Record, Start
from liqwatch.events import Incident
from liqwatch.topics import ALERTS, Topic
from tests.support.alerter_stage import Playing, Stage, longs, until
from tests.support.chat_server import ChatServer, Fault
from tests.support.crashing_log import CrashingLog
from tests.support.memory_log import MemoryLog
from tests.unit.test_incidents import fired


@dataclass
class HeldLog(MemoryLog):
    """Members are given nothing while `flow` is not set; what is appended is there all the same. No incident is
    appended while `writing` is not set."""

    flow: asyncio.Event = field(default_factory=asyncio.Event)
    writing: asyncio.Event = field(default_factory=asyncio.Event)

    @override
    async def append(self, topic: Topic, entries: Sequence[Entry]) -> Sequence[Position]:
        if topic is ALERTS and any(entry.value is not None for entry in entries):
            await self.writing.wait()
        return await super().append(topic, entries)

    @override
    async def member(self, topic: Topic, group: str, *, start: Start | timedelta = EARLIEST) -> Member:
        member: Any = await super().member(topic, group, start=start)
        real = member.fetch

        async def fetch(timeout: float) -> Sequence[Record]:
            records: Sequence[Record] = await real(timeout)
            await self.flow.wait()
            return records

        member.fetch = fetch
        return member  # type: ignore[no-any-return]


@contextlib.asynccontextmanager
async def crossed_unread() -> AsyncIterator[tuple[Stage, ChatServer, HeldLog, Playing]]:
    """A threshold was crossed, and nothing that is written of it is read back while the log is held."""
    log = HeldLog()
    log.flow.set()
    log.writing.set()
    async with ChatServer() as chat, Stage([longs()], {"desk": chat.target("telegram")}, log=log) as on:
        one = await on.start()
        log.flow.clear()
        await on.total(1_200_000_000)
        yield on, chat, log, one


def records(on: Stage) -> list[list[tuple[str, int, str | None]]]:
    """Of each record the attempts for its newest step: target, number, outcome."""
    states = [Incident.model_validate_json(record.value) for record in on.log.all(ALERTS) if record.value is not None]
    return [[(one.target, one.number, one.outcome) for one in state.steps[-1].attempts] for state in states]


async def test_every_target_that_is_free_has_its_attempt_in_the_decision() -> None:
    async with ChatServer() as chat, ChatServer([Fault("slow", seconds=0.3)]) as slow:
        targets = {"desk": chat.target("telegram"), "slow": slow.target("webhook")}
        async with Stage([longs()], targets, log=CrashingLog()) as on:
            await on.start()
            await on.total(1_200_000_000)
            await slow.wait_for(1)
            await on.total(1_800_000_000)  # while one of them still waits for its first answer
            await until(lambda: on.outcomes("slow")[1:] == [("stepped_up", "accepted", False)])
            assert [("desk", 1, None), ("slow", 1, None)] == records(on)[0]
            step = next(number for number, one in enumerate(records(on)) if number and ("desk", 1, None) in one)
            assert [("desk", 1, None)] == records(on)[step]
            assert 2 == len(chat.accepted) == len(slow.accepted)


@pytest.mark.parametrize("kind", ["telegram", "webhook"])
async def test_what_was_booked_and_not_sent_before_the_end_is_told_after_it_and_is_no_repeat(
    kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, waiting = Journal.confirmed, False

    async def never(self: Journal, receipt: Receipt) -> None:
        nonlocal waiting
        await real(self, receipt)
        waiting = True
        await receipt.done.get_loop().create_future()

    async with ChatServer() as chat, Stage([longs()], {"desk": chat.target(kind)}, log=CrashingLog()) as on:
        with monkeypatch.context() as patched:
            patched.setattr(Journal, "confirmed", never)
            one = await on.start()
            await on.total(1_200_000_000)
            await until(lambda: waiting)
            await one.end()
        assert [("desk", 1, "not_sent")] == records(on)[-1]
        assert 0 == chat.requests
        await on.start()
        await until(lambda: on.outcomes("desk") == [("fired", "accepted", False)])
        assert ["repeat of" in text for text in chat.texts()] == [False]


@pytest.mark.parametrize("is_free", [True, False])
async def test_nothing_is_sent_before_its_record_was_read_back(is_free: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    if not is_free:
        monkeypatch.setattr(Courier, "book", lambda *_: None)
    async with crossed_unread() as (on, chat, log, _):
        await until(lambda: ("desk", 1, None) in [one for record in records(on) for one in record])
        await asyncio.sleep(0.3)
        assert 0 == chat.requests
        log.flow.set()
        await chat.wait_for(1)


@pytest.mark.parametrize("is_free", [True, False])
async def test_what_another_claims_before_it_is_read_back_is_not_sent(
    is_free: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not is_free:
        monkeypatch.setattr(Courier, "book", lambda *_: None)
    async with crossed_unread() as (on, chat, log, one):
        await until(lambda: ("desk", 1, None) in [one for record in records(on) for one in record])
        await log.append(ALERTS, [Entry(b"owner:1000:another", None, 0)])
        log.flow.set()
        await asyncio.sleep(0.3)
        assert 0 == chat.requests
        assert 0 == one.metric("liqwatch_alerter_active")


async def test_an_earlier_step_that_waits_goes_first(monkeypatch: pytest.MonkeyPatch) -> None:
    real, asked = Courier.book, 0

    def book(self: Courier, wanted: Delivery) -> Any:
        nonlocal asked
        asked += 1
        return None if asked == 1 else real(self, wanted)

    monkeypatch.setattr(Courier, "book", book)
    log = HeldLog()
    log.flow.set()
    async with ChatServer() as chat, Stage([longs()], {"desk": chat.target("telegram")}, log=log) as on:
        one = await on.start()
        for number, dollars in enumerate((1_200_000_000, 1_800_000_000)):
            await on.total(dollars)
            kind = ("fired", "stepped_up")[number]
            await until(lambda kind=kind: one.metric("liqwatch_incident_steps_total", kind=kind) == 1)  # type: ignore[misc]
        log.writing.set()  # neither was on record before
        await chat.wait_for(2)
        assert ["past $1B" in chat.texts()[0], "now past $1.7B" in chat.texts()[1]] == [True, True]


async def test_what_another_has_settled_meanwhile_is_not_given_back() -> None:
    incident, put = fired(), []
    journal: Any = SimpleNamespace(incidents={}, generation=4, acting=True, put=put.append)
    clock: Any = SimpleNamespace(now_ms=lambda: 6000)
    under_way = underway.UnderWay("desk", "there", journal, clock, Bucket(Rate(5, timedelta(seconds=1))))
    attempt = under_way.book(Delivery(incident.incident_id, 5000, "desk"))
    assert attempt is not None
    booked = with_attempts(incident, 5000, [attempt])
    journal.incidents[incident.incident_id] = with_unknowns(booked)
    under_way.give_back("stopped before it could be sent")
    assert [] == put
    assert under_way.book(Delivery(incident.incident_id, 5000, "desk")) == attempt
    journal.incidents[incident.incident_id] = booked
    under_way.give_back("stopped before it could be sent")
    assert [["not_sent"]] == [[one.outcome for one in given.steps[0].attempts] for given in put]


async def test_what_waited_long_for_the_log_is_asked_about_again_and_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(underway, "BEGUN_WITHIN", 0.2)
    async with crossed_unread() as (on, chat, log, _):
        await asyncio.sleep(0.4)
        log.flow.set()
        await until(lambda: on.outcomes("desk") == [("fired", "accepted", False)])
        assert 1 == chat.requests
        assert [("desk", 1, "accepted")] == records(on)[-1], "not given up and tried again"


async def test_what_was_booked_in_a_record_that_the_log_refuses_is_no_unknown_after_a_restart() -> None:
    log = CrashingLog()
    async with ChatServer() as chat:
        target = chat.target("telegram", on_unknown="hold")
        async with Stage([longs()], {"desk": target}, log=log) as on:
            taken, log.largest = log.largest, 300
            one = await on.start()
            await on.total(1_200_000_000)
            await asyncio.sleep(0.3)
            assert 0 == chat.requests
            log.largest = taken
            log.crash(ALERTS, 1, "after")  # the next step's record has the refused one's attempt, and nobody goes on
            await on.total(1_800_000_000)
            await log.crashed.wait()
            await one.kill()
            log.mend()
            two = await on.start()
            told = [("fired", "accepted", False), ("stepped_up", "accepted", False)]
            await until(lambda: on.outcomes("desk") == told)
            assert 2 == len(chat.accepted)
            assert 0 == two.metric("liqwatch_notifications_total", destination="desk", outcome="held")
