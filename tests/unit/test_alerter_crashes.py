"""The alerter dies at every point between a decision and its outcome, and another takes over from the log."""

from typing import Literal

import pytest

from liqwatch.alerter.delivery import Courier
from liqwatch.topics import ALERTS
from tests.support.alerter_stage import Stage, longs, until
from tests.support.chat_server import ChatServer, Fault, Message
from tests.support.crashing_log import CrashingLog

KEYED = ["webhook", "discord-bot", "slack-bot"]  # a second copy is kept out, or the first can be found
UNKEYED = ["slack", "telegram", "discord"]
Moment = Literal["before", "after"]

# Appends to the topic, where the target is free: 1 the decision with the attempt, 2 the outcome. Where it has others
# to tell before: 1 the decision, 2 the attempt, 3 the outcome.
SURELY_NOT_SENT = [
    pytest.param(True, 1, "before", id="decided"),
    pytest.param(False, 1, "before", id="queued: decided"),
    pytest.param(False, 1, "after", id="queued: decision written"),
    pytest.param(False, 2, "before", id="queued: attempt not written"),
]
MAYBE_SENT = [
    pytest.param(True, 1, "after", False, id="attempt written"),
    pytest.param(True, 2, "before", True, id="sent"),
    pytest.param(False, 2, "after", False, id="queued: attempt written"),
    pytest.param(False, 3, "before", True, id="queued: sent"),
]


@pytest.fixture(autouse=True)
def queued(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """With `is_free` False no target is ever free when a step is decided."""
    if not getattr(request.node, "callspec", None) or request.node.callspec.params.get("is_free", True):
        return
    monkeypatch.setattr(Courier, "book", lambda *_: None)


def stage(chat: ChatServer, kind: str, log: CrashingLog) -> Stage:
    return Stage([longs()], {"desk": chat.target(kind)}, log=log)


async def crash_and_restart(on: Stage, log: CrashingLog, append: int, moment: Moment) -> None:
    log.crash(ALERTS, append, moment)
    one = await on.start()
    await on.total(1_200_000_000)
    await log.crashed.wait()
    await one.kill()
    log.mend()
    await on.start()
    await until(lambda: any(outcome == "accepted" for _, outcome, _ in on.outcomes("desk")))


@pytest.mark.parametrize("kind", ["telegram", "webhook"])
@pytest.mark.parametrize(("is_free", "append", "moment"), SURELY_NOT_SENT)
async def test_what_was_surely_not_sent_is_told_once_and_unmarked(
    kind: str, is_free: bool, append: int, moment: Moment
) -> None:
    log = CrashingLog()
    async with ChatServer() as chat, stage(chat, kind, log) as on:
        await crash_and_restart(on, log, append, moment)
        assert 1 == len(chat.accepted)
        assert "repeat of" not in chat.accepted[0].text
        assert ["fired"] == on.kinds()


@pytest.mark.parametrize("kind", UNKEYED)
@pytest.mark.parametrize(("is_free", "append", "moment", "was_sent"), MAYBE_SENT)
async def test_what_may_have_been_sent_is_repeated_once_and_marked(
    kind: str, is_free: bool, append: int, moment: Moment, was_sent: bool
) -> None:
    log = CrashingLog()
    async with ChatServer() as chat, stage(chat, kind, log) as on:
        await crash_and_restart(on, log, append, moment)
        marked = ["repeat of" in text.replace("\\", "") for text in chat.texts()]
        assert ([False] if was_sent else []) + [True] == marked
        assert [("fired", "unknown", False), ("fired", "accepted", True)] == on.outcomes("desk")


@pytest.mark.parametrize("kind", KEYED)
@pytest.mark.parametrize(("is_free", "append", "moment", "was_sent"), MAYBE_SENT)
async def test_where_the_target_lets_us_know_nothing_is_sent_twice(
    kind: str, is_free: bool, append: int, moment: Moment, was_sent: bool
) -> None:
    log = CrashingLog()
    async with ChatServer() as chat, stage(chat, kind, log) as on:
        await crash_and_restart(on, log, append, moment)
        assert ["repeat of" in text for text in chat.texts()] == [False]
        if kind != "slack-bot":  # there it is found, not sent again
            assert (2 if was_sent else 1) == chat.requests


async def test_what_was_sent_is_found_in_a_busy_channel() -> None:
    log = CrashingLog()
    async with ChatServer() as chat, stage(chat, "slack-bot", log) as on:
        others = {"text": "x" * 2000, "channel": "C1"}
        path = "/slack/api/chat.postMessage"
        chat.accepted += [Message(path, others["text"], others, {}, b"", 0.0) for _ in range(150)]
        await crash_and_restart(on, log, 2, "before")
        assert [("fired", "accepted", False)] == on.outcomes("desk")
        assert 1 == sum("liquidated" in text for text in chat.texts())


async def test_a_key_that_holds_for_minutes_is_not_trusted_when_the_clock_has_gone_back() -> None:
    log = CrashingLog()
    async with ChatServer() as chat, stage(chat, "discord-bot", log) as on:
        on.ahead_seconds = 3600.0
        log.crash(ALERTS, 2, "before")  # sent, and the outcome is not written
        one = await on.start()
        await on.total(1_200_000_000)
        await log.crashed.wait()
        await one.kill()
        log.mend()
        on.ahead_seconds = 0.0
        await on.start()
        await until(lambda: ("fired", "accepted", True) in on.outcomes("desk"))
        assert [("fired", "unknown", False), ("fired", "accepted", True)] == on.outcomes("desk")


@pytest.mark.parametrize("kind", UNKEYED + KEYED)
async def test_killed_while_waiting_for_the_answer(kind: str) -> None:
    async with ChatServer([Fault("silent")]) as chat, stage(chat, kind, CrashingLog()) as on:
        one = await on.start()
        await on.total(1_200_000_000)
        await chat.wait_for(1)
        await one.kill()
        await on.start()
        await until(lambda: any(outcome == "accepted" for _, outcome, _ in on.outcomes("desk")))
        assert ([False, True] if kind in UNKEYED else [False]) == [
            "repeat of" in text.replace("\\", "") for text in chat.texts()
        ]


async def test_what_was_being_sent_when_the_service_ended_is_repeated_and_marked() -> None:
    async with ChatServer([Fault("silent")]) as chat:
        async with Stage([longs()], {"desk": chat.target("telegram", timeout="30s")}) as on:
            one = await on.start()
            await on.total(1_200_000_000)
            await chat.wait_for(1)  # taken, and never answered
            await one.end()
            await on.start()
            await until(lambda: ("fired", "accepted", True) in on.outcomes("desk"))
            assert [("fired", "unknown", False), ("fired", "accepted", True)] == on.outcomes("desk")


async def test_after_the_outcome_is_written_a_restart_sends_nothing() -> None:
    async with ChatServer() as chat, stage(chat, "telegram", CrashingLog()) as on:
        one = await on.start()
        await on.total(1_200_000_000)
        await until(lambda: on.outcomes("desk") == [("fired", "accepted", False)])
        await one.kill()
        await on.start()
        await on.total(1_250_000_000)
        await on.total(1_800_000_000)
        await chat.wait_for(2)
        assert ["fired", "stepped_up"] == on.kinds()


async def test_a_target_that_holds_is_not_told_again_after_an_unknown_outcome() -> None:
    log = CrashingLog()
    async with ChatServer() as chat:
        targets = {"desk": chat.target("telegram", on_unknown="hold"), "other": chat.target("webhook")}
        async with Stage([longs()], targets, log=log) as on:
            log.crash(ALERTS, 2, "before")
            one = await on.start()
            await on.total(1_200_000_000)
            await log.crashed.wait()
            await one.kill()
            log.mend()
            two = await on.start()
            await until(lambda: two.metric("liqwatch_notifications_total", destination="desk", outcome="held") == 1)
            await on.total(1_800_000_000)  # the next step goes out as ever
            await until(lambda: ("stepped_up", "accepted", False) in on.outcomes("desk"))
            assert [("fired", "unknown", False), ("stepped_up", "accepted", False)] == on.outcomes("desk")


@pytest.mark.parametrize("kind", ["telegram", "webhook"])
async def test_a_decision_waits_for_the_log_and_is_told_once_when_it_is_back(kind: str) -> None:
    log = CrashingLog()
    async with ChatServer() as chat, stage(chat, kind, log) as on:
        log.crash(ALERTS, 1, "before")
        one = await on.start()
        await on.total(1_200_000_000)
        await log.crashed.wait()
        assert 0 == chat.requests
        await one.end()  # the log never answers; the service ends all the same
        log.mend()
        await on.start()
        await chat.wait_for(1)
        assert 1 == chat.requests


@pytest.mark.parametrize("moment", ["before", "after"])
@pytest.mark.parametrize(
    ("is_free", "append"), [(True, number) for number in range(1, 10)] + [(False, number) for number in range(1, 13)]
)
async def test_killed_anywhere_in_an_incident_everything_is_told(is_free: bool, append: int, moment: Moment) -> None:
    """Every step reaches both targets; the keyed one once, the other with marked repeats at most."""
    log = CrashingLog()
    async with ChatServer() as chat, ChatServer() as keyed:
        targets = {"chat": chat.target("telegram"), "keyed": keyed.target("webhook")}
        async with Stage([longs()], targets, log=log) as on:
            log.crash(ALERTS, append, moment)
            one = await on.start()
            for steps, dollars in enumerate((1_200_000_000, 1_800_000_000, 0), start=1):
                await on.total(dollars)
                await until(lambda steps=steps: log.crashed.is_set() or told(chat, keyed, steps))  # type: ignore[misc]
                if log.crashed.is_set():
                    await one.kill()
                    log.mend()
                    log.crashed.clear()
                    one = await on.start()
                    await until(lambda steps=steps: told(chat, keyed, steps))  # type: ignore[misc]
            assert ["fired", "stepped_up", "cleared"] == [message.body["kind"] for message in keyed.accepted]
            assert 3 == sum("repeat of" not in text for text in chat.texts()) or len(chat.texts()) == 3
            assert ["fired", "stepped_up", "cleared"] == on.kinds()


def told(chat: ChatServer, keyed: ChatServer, steps: int) -> bool:
    headlines = {text.splitlines()[0] for text in chat.texts()}
    return len(headlines) >= steps and len(keyed.accepted) >= steps
