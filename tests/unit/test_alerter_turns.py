"""Several alerters: one acts, the others stand by, and one that was frozen sends nothing."""

import asyncio

import pytest

from liqwatch.alerter import turns as turns_module
from liqwatch.alerter.turns import CLAIM_AGAIN_SECONDS, Turn, Turns
from liqwatch.eventlog import Assignment, Entry
from liqwatch.topics import ALERTS
from tests.support.alerter_stage import Stage, longs, until
from tests.support.chat_server import ChatServer

MINE = frozenset({0})


def holding(generation: int, end: int = 0) -> Assignment:
    return Assignment(generation, MINE, MINE, {0: end})


def acting(generation: int = 1) -> Turns:
    turns = Turns()
    turns.assign(holding(generation))
    claim = turns.stake(0, now=0)
    assert claim is not None
    turns.see_claim(claim, now=0)
    return turns


def test_it_acts_once_its_claim_was_read_back() -> None:
    assert Turn.ACTING is acting().turn


def test_it_claims_only_after_everything_was_read() -> None:
    turns = Turns()
    turns.assign(holding(1, end=10))
    assert turns.stake(9, now=0) is None
    assert turns.stake(10, now=0) is not None


def test_its_generation_is_above_all_that_the_topic_has_seen() -> None:
    turns = Turns()
    turns.assign(holding(2))
    assert turns.is_current(7)
    turns.stake(0, now=0)
    assert 8 == turns.generation


def test_a_record_of_a_former_owner_is_not_current() -> None:
    turns = Turns()
    turns.assign(holding(1))
    turns.see_claim(b"owner:5:abc", now=0)
    assert [True, False] == [turns.is_current(5), turns.is_current(4)]


def test_a_claim_of_another_ends_the_turn() -> None:
    turns = acting(1)
    turns.see_claim(b"owner:2:other", now=0)
    assert Turn.STANDING_BY is turns.turn


def test_an_ousted_owner_claims_again_only_after_a_fresh_assignment_and_a_while() -> None:
    turns = acting(1)
    turns.see_claim(b"owner:2:other", now=0)
    assert turns.stake(9, now=CLAIM_AGAIN_SECONDS) is None
    turns.assign(holding(2))
    assert turns.stake(9, now=CLAIM_AGAIN_SECONDS - 1) is None
    assert turns.stake(9, now=CLAIM_AGAIN_SECONDS) is not None


def test_an_ousted_owner_claims_at_once_when_the_group_took_the_topic_and_gave_it_back() -> None:
    turns = acting(1)
    turns.see_claim(b"owner:2:other", now=0)
    turns.assign(Assignment(2, frozenset(), frozenset(), {}))
    turns.assign(holding(3))
    assert turns.stake(9, now=1) is not None


def test_a_late_claim_with_an_old_generation_changes_nothing() -> None:
    turns = acting(5)
    turns.see_claim(b"owner:4:frozen", now=0)
    assert Turn.ACTING is turns.turn


def test_a_claim_that_came_second_is_made_again_with_a_higher_number() -> None:
    turns = Turns()
    turns.assign(holding(1))
    claim = turns.stake(0, now=0)
    assert claim is not None
    turns.see_claim(b"owner:1:other", now=0)
    turns.see_claim(claim, now=0)
    assert Turn.LEARNING is turns.turn
    assert turns.stake(2, now=0) is None
    again = turns.stake(2, now=CLAIM_AGAIN_SECONDS)
    assert again is not None and again.startswith(b"owner:2:")


def test_other_tombstones_are_no_claims() -> None:
    turns = acting()
    for key in (b"longs:all:1", b"owner:", b"owner:x:y", b"owner::"):
        turns.see_claim(key, now=0)
    assert Turn.ACTING is turns.turn


async def test_the_second_stands_by_and_takes_over_without_repeating() -> None:
    async with ChatServer() as chat, Stage([longs()], {"desk": chat.target("telegram")}) as on:
        first = await on.start()
        second = await on.start()
        await on.total(1_200_000_000)
        await chat.wait_for(1)
        assert [1.0, 0.0] == [one.metric("liqwatch_alerter_active") for one in (first, second)]
        await first.end()
        await until(lambda: second.metric("liqwatch_alerter_active") == 1)
        await on.total(1_800_000_000)
        await chat.wait_for(2)
        assert ["fired", "stepped_up"] == on.kinds()


async def test_a_fenced_alerter_decides_and_sends_nothing() -> None:
    async with ChatServer() as chat, Stage([longs()], {"desk": chat.target("telegram")}) as on:
        one = await on.start()
        await on.total(500)
        # Another alerter, which this one's group does not know of, claims the topic.
        await on.log.append(ALERTS, [Entry(b"owner:99:other", None, on.clock.now_ms())])
        await until(lambda: one.metric("liqwatch_alerter_active") == 0)
        await on.total(1_200_000_000)
        await asyncio.sleep(0.1)
        assert (0, []) == (chat.requests, on.incidents())


async def test_the_late_words_of_a_fenced_alerter_about_an_incident_are_overruled() -> None:
    async with ChatServer() as chat, Stage([longs()], {"desk": chat.target("telegram")}) as on:
        await on.start()
        await on.total(1_200_000_000)
        await until(lambda: on.outcomes("desk") == [("fired", "accepted", False)])
        first = on.log.all(ALERTS)[0]  # its claim
        assert first.value is None
        # A frozen former owner thaws: what it writes knows of no outcome, and would have it told again.
        (incident,) = on.incidents()
        (step,) = incident.steps
        late = incident.model_copy(update={"generation": 0, "steps": (step.model_copy(update={"attempts": ()}),)})
        entry = Entry(incident.incident_id.encode(), late.model_dump_json().encode(), on.clock.now_ms())
        (position,) = await on.log.append(ALERTS, [entry])
        await until(lambda: len(on.log.all(ALERTS)) > position.offset + 1)
        assert ([("fired", "accepted", False)], [incident]) == (on.outcomes("desk"), on.incidents())
        # Whoever reads the topic from its start sees the same, and tells nothing again.
        await on.playing[0].end()
        await on.start()
        await on.total(1_210_000_000)
        await on.total(1_800_000_000)
        await chat.wait_for(2)
        assert (["fired", "stepped_up"], 2) == (on.kinds(), chat.requests)


async def test_a_decision_of_a_former_owner_after_the_claim_is_closed() -> None:
    async with ChatServer() as chat, Stage([longs()], {"desk": chat.target("telegram")}) as on:
        first = await on.start()
        await on.total(1_200_000_000)
        await chat.wait_for(1)
        (incident,) = on.incidents()
        await first.end()
        await on.start()
        ghost = incident.model_copy(update={"incident_id": "longs-24h:all:1", "opened_ms": 1})
        await on.log.append(ALERTS, [Entry(b"longs-24h:all:1", ghost.model_dump_json().encode(), on.clock.now_ms())])
        await until(lambda: on.incidents()[-1].closed_ms is not None)
        assert "Closed: opened by an alerter whose turn was over." == on.incidents()[-1].steps[-1].headline
        assert 1 == len(chat.accepted)


async def test_an_ousted_alerter_that_gets_its_turn_back_knows_what_was_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(turns_module, "CLAIM_AGAIN_SECONDS", 0.3)
    async with ChatServer() as chat, Stage([longs()], {"desk": chat.target("telegram")}) as on:
        one = await on.start()
        await on.total(1_200_000_000)
        await until(lambda: on.outcomes("desk") == [("fired", "accepted", False)])
        await on.log.append(ALERTS, [Entry(b"owner:99:other", None, on.clock.now_ms())])
        await until(lambda: one.metric("liqwatch_alerter_active") == 0)
        await until(lambda: one.metric("liqwatch_alerter_active") == 1)
        await on.total(1_210_000_000)
        await on.total(1_800_000_000)
        await chat.wait_for(2)
        assert (["fired", "stepped_up"], 2) == (on.kinds(), len(chat.accepted))
