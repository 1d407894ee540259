"""Chats that misbehave: nothing is lost, nothing is told twice unmarked, and no target delays another."""

import socket
from typing import Any

import pytest
from aiohttp import web
from structlog.testing import capture_logs

from liqwatch.settings import TargetSettings
from tests.support.alerter_stage import Stage, longs, until
from tests.support.chat_server import LIMITED, ChatServer, Fault

KEYED = ["webhook", "discord-bot", "slack-bot"]
UNKEYED = ["slack", "telegram", "discord"]
FAULTS = {
    "500": Fault("status", code=500),
    "reset after accepting": Fault("reset"),
    "reset before accepting": Fault("reset_before"),
    "no answer": Fault("silent"),
}


def unclear(every: list[str], one: list[str]) -> list[Any]:
    """Some kinds meet every fault, others one: the outcome is the same code, the request is not."""
    pairs = [(kind, name) for kind in every for name in FAULTS] + [(kind, "reset after accepting") for kind in one]
    return [pytest.param(kind, FAULTS[name], id=f"{kind}, {name}") for kind, name in pairs]


def patient(chat: ChatServer, kind: str, fault: Fault) -> TargetSettings:
    """As long as it may take where an answer comes: a slow machine is no fault of the chat."""
    return chat.target(kind, timeout="1s" if fault.kind == "silent" else "10s")


def is_marked(texts: list[str]) -> list[bool]:
    return ["repeat of" in text.replace("\\", "") for text in texts]


@pytest.mark.parametrize("kind", KEYED + UNKEYED)
async def test_a_429_is_waited_out_and_told_once(kind: str) -> None:
    async with ChatServer([LIMITED, LIMITED]) as chat, Stage([longs()], {"desk": chat.target(kind)}) as on:
        one = await on.start()
        await on.total(1_200_000_000)
        await until(lambda: on.outcomes("desk") == [("fired", "accepted", False)])
        assert (1, 3) == (len(chat.accepted), chat.requests)
        assert 2 == one.metric("liqwatch_notifications_total", destination="desk", outcome="not_sent")


async def test_a_429_is_waited_out_as_long_as_the_chat_says() -> None:
    limited = Fault("limited", seconds=1.2)
    async with ChatServer([limited]) as chat, Stage([longs()], {"desk": chat.target("discord")}) as on:
        await on.start()
        await on.total(1_200_000_000)
        await chat.wait_for_requests(1)
        await chat.wait_for(1)
        (attempt,) = on.incidents()[0].steps[0].attempts
        assert 2 == attempt.number
        assert attempt.at_ms - on.incidents()[0].opened_ms >= 1200


@pytest.mark.parametrize("kind", KEYED + UNKEYED)
async def test_a_refusal_is_a_dead_letter_told_through_another_target(kind: str) -> None:
    async with ChatServer([Fault("status", code=400)]) as chat:
        targets = {"desk": chat.target(kind), "screen": chat.target("webhook").model_copy(update={"kind": "console"})}
        async with Stage([longs(targets=("desk",))], targets) as on:
            one = await on.start()
            await on.total(1_200_000_000)
            await until(lambda: len(on.emitted) == 1)
            assert 1 == chat.requests
            assert "desk refused a message: " in on.emitted[0]
            assert "At least $1.20B of longs liquidated in 24 hours" in on.emitted[0]
            await until(lambda: one.metric("liqwatch_outbox_pending", destination="desk") == 0)
            assert 1 == one.metric("liqwatch_notifications_total", destination="desk", outcome="refused")
            assert [("fired", "refused", False)] == on.outcomes("desk")


@pytest.mark.parametrize(("kind", "fault"), unclear(["telegram"], ["slack", "discord"]))
async def test_an_unknown_outcome_is_repeated_and_marked(kind: str, fault: Fault) -> None:
    async with ChatServer([fault]) as chat, Stage([longs()], {"desk": patient(chat, kind, fault)}) as on:
        one = await on.start()
        await on.total(1_200_000_000)
        await until(lambda: ("fired", "accepted", True) in on.outcomes("desk"))
        assert [("fired", "unknown", False), ("fired", "accepted", True)] == on.outcomes("desk")
        assert is_marked(chat.texts())[-1:] == [True]
        assert 1 == one.metric("liqwatch_notifications_repeated_total", destination="desk")


@pytest.mark.parametrize(("kind", "fault"), unclear(["webhook", "slack-bot"], ["discord-bot"]))
async def test_an_unknown_outcome_is_settled_where_the_target_lets_us_know(kind: str, fault: Fault) -> None:
    async with ChatServer([fault]) as chat, Stage([longs()], {"desk": patient(chat, kind, fault)}) as on:
        await on.start()
        await on.total(1_200_000_000)
        await until(lambda: ("fired", "accepted", False) in on.outcomes("desk"))
        assert [False] == is_marked(chat.texts())


@pytest.mark.parametrize("kind", ["slack-bot", "telegram"])
async def test_rubbish_for_an_answer_is_an_unknown_outcome(kind: str) -> None:
    async with ChatServer([Fault("garbled")]) as chat, Stage([longs()], {"desk": chat.target(kind)}) as on:
        await on.start()
        await on.total(1_200_000_000)
        await until(lambda: any(outcome == "accepted" for _, outcome, _ in on.outcomes("desk")))
        assert ([False, True] if kind == "telegram" else [False]) == is_marked(chat.texts())


async def test_a_target_that_holds_stays_unknown() -> None:
    async with ChatServer([Fault("reset")]) as chat:
        targets = {"desk": chat.target("telegram", on_unknown="hold")}
        async with Stage([longs()], targets) as on:
            one = await on.start()
            await on.total(1_200_000_000)
            await until(lambda: on.outcomes("desk") == [("fired", "unknown", False)])
            await until(lambda: one.metric("liqwatch_outbox_pending", destination="desk") == 0)
            assert 1 == chat.requests


async def test_a_chat_that_cannot_be_reached_gets_everything_when_it_is_back() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    late = ChatServer(port=port)
    async with Stage([longs()], {"desk": late.target("telegram")}) as on:
        one = await on.start()
        await on.total(1_200_000_000)
        await until(lambda: on.outcomes("desk") == [("fired", "not_sent", False)])
        await on.total(1_800_000_000)
        await until(lambda: one.metric("liqwatch_outbox_pending", destination="desk") == 2)
        async with late:
            await late.wait_for(2)
            assert [False, False] == is_marked(late.texts())
            assert ["At least $1.20B", "At least $1.80B"] == [text.removeprefix("<b>")[:15] for text in late.texts()]


async def test_a_dead_target_does_not_delay_another() -> None:
    async with ChatServer() as chat, ChatServer([Fault("silent")] * 9) as dead:
        targets = {"dead": dead.target("telegram", timeout="30s"), "desk": chat.target("telegram")}
        async with Stage([longs()], targets) as on:
            one = await on.start()
            await on.total(1_200_000_000)
            await dead.wait_for(1)
            await on.total(1_800_000_000)
            await chat.wait_for(2)
            assert 1 == dead.requests
            await until(lambda: one.metric("liqwatch_outbox_pending", destination="dead") == 2)


async def test_ten_dead_targets_delay_none_of_forty() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        nobody = ChatServer(port=free.getsockname()[1])  # refuses the connection
    kinds = ["webhook", "telegram", "discord", "slack"]
    async with ChatServer() as chat, ChatServer([Fault("silent")] * 99) as silent:
        dead = {f"dead-{n}": (silent if n % 2 else nobody).target("telegram", timeout="60s") for n in range(10)}
        alive = {f"alive-{n}": chat.target(kinds[n % 4], timeout="30s") for n in range(40)}
        async with Stage([longs()], dead | alive) as on:
            one = await on.start()
            for step, usd in enumerate((1_200_000_000, 1_800_000_000), start=1):
                await on.total(usd)
                # The dead have more time than this wait: whoever stood behind one would not be told within it.
                await until(lambda told=step: sum(_accepted(on, name) for name in alive) == 40 * told, within=20)  # type: ignore[misc]
            assert 0 == sum(_accepted(on, name) for name in dead)
            await until(
                lambda: all(one.metric("liqwatch_outbox_pending", destination=name) == 2 for name in dead)
            )  # and none is forgotten


def _accepted(on: Stage, target: str) -> int:
    return sum(outcome == "accepted" for _, outcome, _ in on.outcomes(target))


async def test_a_thread_that_takes_no_answer_is_no_reason_to_try_for_ever() -> None:
    async with ChatServer(lonely="always") as chat, Stage([longs()], {"desk": chat.target("slack-bot")}) as on:
        await on.start()
        await on.total(1_200_000_000)
        await until(lambda: on.outcomes("desk") == [("fired", "refused", False)])
        assert 1 == chat.requests


async def test_more_than_a_queue_holds_is_kept_and_told_later(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("liqwatch.alerter.delivery.QUEUE_SIZE", 2)
    rule = longs(name="coins", scope="each base", thresholds=("10M",))
    async with ChatServer([LIMITED]) as chat, Stage([rule], {"desk": chat.target("webhook")}) as on:
        await on.start()
        for number in range(20):
            await on.total(20_000_000, scope=f"base=C{number}")
        await chat.wait_for(20)
        assert 20 == len({message.body["scope"] for message in chat.accepted})


async def test_a_step_for_a_target_that_is_gone_is_a_dead_letter() -> None:
    async with ChatServer() as chat:
        chat.dead = True
        async with Stage([longs()], {"gone": chat.target("webhook")}) as on:
            one = await on.start()
            await on.total(1_200_000_000)
            await chat.wait_for_requests(1)
            await one.end()
            on.targets = {}  # the console remains
            await on.start()
            await until(lambda: len(on.emitted) == 1)
            assert "gone refused a message: no such target is in use." in on.emitted[0]


@pytest.mark.parametrize("kind", KEYED + UNKEYED)
async def test_no_secret_is_logged_or_recorded(kind: str) -> None:
    faults = [
        Fault("status", code=500),
        Fault("reset"),
        LIMITED,
        Fault("silent"),
        Fault("garbled"),
        Fault("status", code=400),
    ]
    async with ChatServer(faults) as chat, Stage([longs()], {"desk": chat.target(kind, timeout="200ms")}) as on:
        with capture_logs() as logs:
            await on.start()
            await on.total(1_200_000_000)
            await until(lambda: len(on.outcomes("desk")) > 1, within=20)
        seen = repr(logs) + repr(on.incidents())
        assert "secret" not in seen and "127.0.0.1" not in seen


async def test_a_step_told_during_a_slow_search_is_not_undone_by_its_answer() -> None:
    fault = Fault("reset_before")
    async with ChatServer([fault], search_seconds=0.3) as chat:
        async with Stage([longs()], {"desk": chat.target("slack-bot", timeout="2s")}) as on:
            await on.start()
            await on.total(1_200_000_000)
            await until(lambda: chat.searches == 1)
            await on.total(1_800_000_000)
            await chat.wait_for(2)
            await until(lambda: [one[:2] for one in on.outcomes("desk")] == [
                ("fired", "unknown"), ("fired", "accepted"), ("stepped_up", "accepted"),
            ])  # fmt: skip
            assert (["fired", "stepped_up"], 1) == (on.kinds(), chat.searches)


class NoLook(ChatServer):
    """Slack that does not show what stands in a thread, or nothing at all."""

    error = "thread_not_found"

    async def _history(self, request: web.Request) -> web.Response:
        if self.error == "thread_not_found" and "ts" not in await request.post():
            return await super()._history(request)
        self.searches += 1
        return web.json_response({"ok": False, "error": self.error})


async def test_a_message_that_was_sent_alone_is_found_though_it_would_be_an_answer_now() -> None:
    async with (
        ChatServer(lonely=True) as chat,
        Stage([longs()], {"desk": chat.target("slack-bot", timeout="9s")}) as on,
    ):
        one = await on.start()
        await on.total(1_200_000_000)
        await until(lambda: on.outcomes("desk") == [("fired", "accepted", False)])
        # The answer is not taken, whatever the first fault; alone it arrives, and the alerter dies before it hears so.
        chat.fail([Fault("reset"), Fault("silent")])
        await on.total(1_800_000_000)
        await chat.wait_for(2)
        await one.kill()
        await on.start()
        await until(lambda: on.outcomes("desk")[-1] == ("stepped_up", "accepted", False))
        assert (2, 2) == (len(chat.accepted), chat.searches)


async def test_a_thread_that_is_gone_does_not_silence_a_target_that_holds() -> None:
    async with NoLook() as chat:
        targets = {"desk": chat.target("slack-bot", on_unknown="hold", timeout="9s")}
        async with Stage([longs()], targets) as on:
            await on.start()
            await on.total(1_200_000_000)
            await until(lambda: on.outcomes("desk") == [("fired", "accepted", False)])
            chat.fail([Fault("reset")])
            await on.total(1_800_000_000)
            await until(lambda: on.outcomes("desk")[-1] == ("stepped_up", "accepted", False))
            assert (2, 2) == (len(chat.accepted), chat.searches)


async def test_what_can_never_be_looked_up_is_held_and_the_next_is_told() -> None:
    async with NoLook([Fault("reset")]) as chat:
        chat.error = "missing_scope"
        targets = {"desk": chat.target("slack-bot", on_unknown="hold", timeout="9s")}
        async with Stage([longs()], targets) as on:
            one = await on.start()
            await on.total(1_200_000_000)
            await until(lambda: on.outcomes("desk") == [("fired", "unknown", False)])
            await on.total(1_800_000_000)
            await until(lambda: on.outcomes("desk")[1:] == [("stepped_up", "accepted", False)])
            assert [("fired", "unknown", False)] == on.outcomes("desk")[:1]
            assert (2, 3) == (chat.requests, chat.searches)
            assert 1 == one.metric("liqwatch_notifications_total", destination="desk", outcome="held")
            await until(lambda: one.metric("liqwatch_outbox_pending", destination="desk") == 0)


@pytest.mark.parametrize("kind", ["telegram", "discord"])
async def test_what_no_chat_can_be_asked_about_is_held_counted_and_said_once(kind: str) -> None:
    async with ChatServer([Fault("reset")]) as chat:
        async with Stage([longs()], {"desk": chat.target(kind, on_unknown="hold", timeout="9s")}) as on:
            one = await on.start()
            await on.total(1_200_000_000)
            await until(lambda: one.metric("liqwatch_notifications_total", destination="desk", outcome="held") == 1)
            await on.total(1_800_000_000)
            await until(lambda: on.outcomes("desk")[1:] == [("stepped_up", "accepted", False)])
            await until(lambda: one.metric("liqwatch_outbox_pending", destination="desk") == 0)
            assert 1 == one.metric("liqwatch_notifications_total", destination="desk", outcome="held")
            assert ([("fired", "unknown", False)], 2) == (on.outcomes("desk")[:1], chat.requests)


async def test_a_repeat_that_was_not_taken_is_still_a_repeat() -> None:
    async with ChatServer([Fault("reset"), LIMITED]) as chat:
        async with Stage([longs()], {"desk": chat.target("telegram", timeout="9s")}) as on:
            await on.start()
            await on.total(1_200_000_000)
            await chat.wait_for(2)
            assert [False, True] == is_marked(chat.texts())


@pytest.mark.parametrize("kind", ["slack-bot", "telegram", "discord-bot"])
async def test_an_answer_that_is_refused_is_tried_once_alone(kind: str) -> None:
    async with ChatServer() as chat, Stage([longs()], {"desk": chat.target(kind, timeout="9s")}) as on:
        await on.start()
        await on.total(1_200_000_000)
        await until(lambda: on.outcomes("desk") == [("fired", "accepted", False)])
        chat.fail([Fault("status", code=400)])
        await on.total(1_800_000_000)
        await until(lambda: on.outcomes("desk")[-1] == ("stepped_up", "accepted", False))
        assert not chat.accepted[1].body.keys() & {"thread_ts", "reply_parameters", "message_reference"}
        chat.fail([Fault("status", code=400)] * 2)
        await on.total(0)
        await until(lambda: on.outcomes("desk")[-1] == ("cleared", "refused", False))
        assert 5 == chat.requests
