"""The first message about an incident is kept current where the chat can edit, and ends as its summary; later ones
answer it. No message ever waits for an edit."""

import asyncio
from typing import Any

import pytest
from pydantic import SecretStr
from structlog.testing import capture_logs

from liqwatch.alerter.firstmessage import SUMMARY_WITHIN_MS, first_message, first_told
from liqwatch.alerter.notifiers.base import Accepted, Refused, Response
from liqwatch.alerter.notifiers.slack import SlackBot
from liqwatch.alerter.notifiers.telegram import TelegramNotifier
from liqwatch.alerter.service import AlerterService
from liqwatch.alerter.turns import Turn
from liqwatch.events import Attempt, Incident, Step, Summary
from tests.support.alerter_stage import Playing, Stage, longs, until
from tests.support.chat_server import ChatServer, Fault
from tests.support.hurry import hurry

EDITING = ["slack-bot", "telegram", "discord", "discord-bot"]
LEFT_BEHIND = "liqwatch_messages_left_behind_total"
ANSWERING = ["slack-bot", "telegram", "discord-bot"]


async def peaks_are_due(service: AlerterService) -> None:
    service._ticks += 10
    await service._tell_peaks()


@pytest.fixture(autouse=True)
async def _nobody_waits() -> None:
    """Half the rate of a chat, a 429 and a back-off take seconds each; here they pass at once."""
    hurry()


def stage(chat: ChatServer, kind: str, **changes: Any) -> Stage:
    return Stage([longs(**changes)], {"desk": chat.target(kind, timeout="10s")})


def plain(edit: dict[str, Any]) -> str:
    """What the chat shows after an edit."""
    return str(edit.get("content") or edit["text"]).replace("\\", "").replace("*", "").replace("\u200b", "")


def target_of(edit: dict[str, Any]) -> str:
    """The id of the message that it writes anew."""
    return str(edit.get("ts") or edit.get("message_id") or edit["path"].rsplit("/", 1)[1])


def answered(body: dict[str, Any]) -> str | None:
    """The id of the message that a message answers."""
    found = body.get("thread_ts")
    found = found or body.get("reply_parameters", {}).get("message_id")
    found = found or body.get("message_reference", {}).get("message_id")
    return None if found is None else str(found)


def summaries(on: Stage) -> list[Summary]:
    return [done for incident in on.incidents() for done in incident.summaries]


async def fire(on: Stage, chat: ChatServer) -> str:
    """The id of the message."""
    await on.total(1_200_000_000)
    await chat.wait_for(1)
    await until(lambda: on.outcomes("desk") == [("fired", "accepted", False)])
    return on.incidents()[0].steps[0].attempts[0].message_id or ""


async def climb(on: Stage, one: Playing, usd: int) -> None:
    """A total between two steps, written into the log now instead of some seconds later."""
    await on.total(usd)
    await until(lambda: bool(one.service._peaks))
    await peaks_are_due(one.service)


@pytest.mark.parametrize("kind", EDITING)
async def test_a_total_that_climbs_between_two_steps_is_written_into_the_message(kind: str) -> None:
    async with ChatServer() as chat, stage(chat, kind) as on:
        one = await on.start()
        message_id = await fire(on, chat)
        await climb(on, one, 1_450_000_000)
        await until(lambda: len(chat.edits) > 0)
        (edit,) = chat.edits
        assert ("1.45B" in plain(edit), message_id) == (True, target_of(edit))
        assert 1 == len(chat.accepted)  # nobody was told anew
        await until(lambda: one.metric("liqwatch_message_edits_total", destination="desk", outcome="accepted") == 1)
        assert ["fired"] == on.kinds()


@pytest.mark.timeout(60)
async def test_a_total_that_climbs_is_written_without_being_asked() -> None:
    async with ChatServer() as chat, stage(chat, "telegram") as on:
        await on.start()
        await fire(on, chat)
        await on.total(1_450_000_000)
        await until(lambda: len(chat.edits) > 0, within=30)


@pytest.mark.parametrize("kind", EDITING)
async def test_a_step_up_is_told_anew_and_written_into_the_first_message(kind: str) -> None:
    async with ChatServer() as chat, stage(chat, kind) as on:
        await on.start()
        message_id = await fire(on, chat)
        await on.total(1_800_000_000)
        messages = await chat.wait_for(2)
        assert answered(messages[0].body) is None
        assert (message_id if kind in ANSWERING else None) == answered(messages[1].body)
        if kind == "slack-bot":
            assert messages[1].body["reply_broadcast"] is True  # a thread alone tells only those who follow it
        await until(lambda: len(chat.edits) == 1)
        assert ("now past $1.7B" in plain(chat.edits[0]), message_id) == (True, target_of(chat.edits[0]))


@pytest.mark.parametrize("kind", EDITING)
async def test_the_last_edit_of_the_first_message_is_the_summary(kind: str) -> None:
    async with ChatServer() as chat, stage(chat, kind) as on:
        one = await on.start()
        message_id = await fire(on, chat)
        await on.total(1_800_000_000)
        await chat.wait_for(2)
        await on.total(0)
        messages = await chat.wait_for(3)
        assert "Cleared: " in messages[2].text.replace("\\", "")  # told all the same
        assert (message_id if kind in ANSWERING else None) == answered(messages[2].body)
        await until(lambda: len(summaries(on)) == 1)
        (done,) = summaries(on)
        assert ("desk", "accepted") == (done.target, done.outcome)
        assert message_id == target_of(chat.edits[-1])
        text = plain(chat.edits[-1])
        said = ["Cleared: ", "Opened ", "Steps: $1B at ", ", $1.7B at ", "Peak: at least $1.80B at ", "Coverage: "]
        assert said == [words for words in said if words in text]
        assert 1 == one.metric("liqwatch_incident_summaries_total", destination="desk", outcome="accepted")
        await until(lambda: not one.service._journal.incidents)  # over, told, and summed up


async def test_a_summary_says_what_the_end_does_not() -> None:
    async with ChatServer() as chat, stage(chat, "telegram") as on:
        one = await on.start()
        await fire(on, chat)
        one.service.reload(on.settings(rules=[]))
        await until(lambda: len(chat.edits) == 1)
        text = plain(chat.edits[0])
        assert text.startswith("<b>Closed: ")
        assert "Peak: at least $1.20B at " in text
        assert "Step: $1B at " in text
        assert 1 == len(chat.accepted)  # closed without notice


@pytest.mark.timeout(60)
async def test_a_step_goes_out_at_once_though_an_edit_is_under_way() -> None:
    async with ChatServer(edit_seconds=20) as chat, stage(chat, "slack-bot") as on:
        one = await on.start()
        await fire(on, chat)
        await climb(on, one, 1_450_000_000)
        await until(lambda: len(chat.edit_tries) == 1)
        await on.total(1_800_000_000)
        await chat.wait_for(2, timeout=3)
        assert [] == chat.edits


async def test_a_webhook_that_cannot_edit_is_left_alone() -> None:
    async with ChatServer() as chat, stage(chat, "webhook") as on:
        one = await on.start()
        await on.total(1_200_000_000)
        await chat.wait_for(1)
        await climb(on, one, 1_450_000_000)
        await on.total(0)
        await chat.wait_for(2)
        await until(lambda: not one.service._journal.incidents)
        assert (2, []) == (chat.requests, chat.edits)


async def test_an_edit_waits_as_long_as_the_chat_says() -> None:
    async with ChatServer(edit_faults=[Fault("limited", seconds=3)]) as chat, stage(chat, "slack-bot") as on:
        one = await on.start()
        await fire(on, chat)
        await climb(on, one, 1_450_000_000)
        await until(lambda: len(chat.edits) == 1)
        first, second = chat.edit_tries
        assert second - first >= 3
        assert 1 == one.metric("liqwatch_message_edits_total", destination="desk", outcome="not_sent")


async def test_a_message_does_not_wait_for_an_edit_that_has_to_wait() -> None:
    async with ChatServer(edit_faults=[Fault("limited", seconds=300)]) as chat, stage(chat, "discord-bot") as on:
        one = await on.start()
        await fire(on, chat)
        await climb(on, one, 1_450_000_000)
        await until(lambda: len(chat.edit_tries) == 1)
        await on.total(1_800_000_000)
        await on.total(0)
        await chat.wait_for(3)
        assert 1 == len(chat.edit_tries)


async def test_nothing_is_written_anew_while_the_log_cannot_say_whose_turn_it_is() -> None:
    async with ChatServer() as chat, stage(chat, "telegram") as on:
        one = await on.start()
        await fire(on, chat)
        await on.total(1_450_000_000)
        await until(lambda: bool(one.service._peaks))
        on.log.down = True
        await peaks_are_due(one.service)
        editing = one.service._outbox._posts["desk"].courier._editing
        assert editing is not None
        await until(lambda: not editing._texts)  # in hand
        await asyncio.sleep(0.3)
        assert [] == chat.edit_tries
        on.log.down = False
        await until(lambda: len(chat.edits) == 1)


async def test_a_summary_is_tried_until_the_chat_has_it() -> None:
    faults = [Fault("status", code=500), Fault("reset"), Fault("limited", seconds=0.1)]
    async with ChatServer(edit_faults=faults) as chat, stage(chat, "telegram") as on:
        one = await on.start()
        await fire(on, chat)
        await on.total(0)
        await until(lambda: len(summaries(on)) == 1, within=25)
        assert (1, 4) == (len(chat.edits), len(chat.edit_tries))
        counts = [
            one.metric("liqwatch_incident_summaries_total", destination="desk", outcome=outcome)
            for outcome in ("accepted", "not_sent", "unknown", "refused")
        ]
        assert [1, 1, 2, 0] == counts


async def test_a_summary_that_fails_does_not_keep_the_others_from_being_current() -> None:
    rule = longs(scope="each base", thresholds=("10M",))
    async with ChatServer(edit_faults=[Fault("status", code=500)]) as chat:
        async with Stage([rule], {"desk": chat.target("telegram", timeout="10s")}) as on:
            one = await on.start()
            await on.total(20_000_000, scope="base=OVER")
            await on.total(20_000_000, scope="base=OPEN")
            await chat.wait_for(2)
            await on.total(0, scope="base=OVER")
            await chat.wait_for(3)
            await on.total(30_000_000, scope="base=OPEN")
            await until(lambda: bool(one.service._peaks))
            await until(lambda: len(chat.edit_tries) == 1)
            await peaks_are_due(one.service)
            await until(lambda: len(chat.edits) == 2)
            assert ["OPEN", "OVER"] == ["OVER" if "OVER" in plain(edit) else "OPEN" for edit in chat.edits]


@pytest.mark.parametrize("kind", ["slack-bot", "discord"])
async def test_a_summary_that_was_not_made_is_made_after_a_restart(kind: str) -> None:
    async with ChatServer(edit_faults=[Fault("silent")]) as chat, stage(chat, kind) as on:
        one = await on.start()
        message_id = await fire(on, chat)
        await on.total(0)
        await chat.wait_for(2)
        await until(lambda: len(chat.edit_tries) == 1)
        await until(lambda: [outcome for _, outcome, _ in on.outcomes("desk")] == ["accepted", "accepted"])
        await one.kill()
        assert [] == summaries(on)
        two = await on.start()
        await until(lambda: len(summaries(on)) == 1)
        assert ([message_id], 2) == ([target_of(edit) for edit in chat.edits], len(chat.accepted))
        await until(lambda: not two.service._journal.incidents)
        await two.end()
        three = await on.start()
        assert {} == three.service._journal.incidents
        assert 1 == len(chat.edits)


async def test_a_summary_that_is_refused_is_no_dead_letter() -> None:
    async with ChatServer(edit_faults=[Fault("status", code=400)]) as chat, stage(chat, "telegram") as on:
        one = await on.start()
        await fire(on, chat)
        await on.total(0)
        await until(lambda: len(summaries(on)) == 1)
        (done,) = summaries(on)
        assert ("refused", "status 400: Bad Request: chat not found") == (done.outcome, done.detail)
        await until(lambda: not one.service._journal.incidents)
        assert (1, 2) == (len(chat.edit_tries), len(chat.accepted))
        assert ["accepted", "accepted"] == [outcome for _, outcome, _ in on.outcomes("desk")]


async def test_a_summary_is_given_up_after_hours() -> None:
    async with ChatServer(edit_faults=[Fault("status", code=500)] * 99) as chat, stage(chat, "telegram") as on:
        one = await on.start()
        await fire(on, chat)
        await on.total(0)
        await until(lambda: len(chat.edit_tries) >= 1)
        on.ahead_seconds = SUMMARY_WITHIN_MS / 1000 + 60
        await until(lambda: [done.outcome for done in summaries(on)] == ["given_up"], within=25)
        assert 1 == one.metric("liqwatch_incident_summaries_total", destination="desk", outcome="given_up")
        await until(lambda: not one.service._journal.incidents)


@pytest.mark.parametrize("kind", ["slack-bot", "discord-bot"])
async def test_where_messages_cannot_be_answered_a_step_is_told_alone(kind: str) -> None:
    async with ChatServer(lonely=True) as chat, stage(chat, kind) as on:
        await on.start()
        await fire(on, chat)
        await on.total(1_800_000_000)
        await chat.wait_for(2)
        assert answered(chat.accepted[1].body) is None
        await until(lambda: on.outcomes("desk")[-1] == ("stepped_up", "accepted", False))
        assert [] == on.emitted  # no dead letter


@pytest.mark.parametrize("kind", ["slack-bot", "discord-bot"])
async def test_an_unknown_answer_is_settled_though_it_stands_in_a_thread(kind: str) -> None:
    async with ChatServer() as chat, stage(chat, kind) as on:
        await on.start()
        await fire(on, chat)
        chat.fail([Fault("reset")])
        await on.total(1_800_000_000)
        await until(lambda: on.outcomes("desk")[-1] == ("stepped_up", "accepted", False))
        assert 2 == len(chat.accepted)


def test_a_message_that_says_so_already_is_as_good_as_edited() -> None:
    said = b'{"ok":false,"error_code":400,"description":"Bad Request: message is not modified: specified new ..."}'
    assert Accepted() == TelegramNotifier(SecretStr("1:hush"), "42").edited(Response(400, {}, said))


def test_a_message_that_is_gone_cannot_be_edited() -> None:
    gone = Response(200, {}, b'{"ok":false,"error":"message_not_found"}')
    assert Refused("message_not_found") == SlackBot(SecretStr("hush"), "C1").edited(gone)


async def test_edits_leave_half_of_the_rate_to_messages() -> None:
    async with ChatServer() as chat, stage(chat, "telegram") as on:
        one = await on.start()
        await fire(on, chat)
        await climb(on, one, 1_400_000_000)
        await until(lambda: len(chat.edits) == 1)
        await climb(on, one, 1_450_000_000)
        await until(lambda: len(chat.edits) == 2)
        first, second = chat.edit_tries
        assert second - first >= 1.9  # one a second is what the chat takes


@pytest.mark.parametrize("kind", ANSWERING)
async def test_a_message_of_another_chat_is_neither_answered_nor_edited(kind: str) -> None:
    async with ChatServer() as chat, stage(chat, kind) as on:
        one = await on.start()
        await fire(on, chat)
        await one.end()
        on.targets = {"desk": chat.target(kind, timeout="10s", channel="-99")}
        two = await on.start()
        await until(lambda: two.metric(LEFT_BEHIND, destination="desk") == 1)  # its old address is not known any more
        await on.total(1_800_000_000)
        await chat.wait_for(2)
        assert answered(chat.accepted[1].body) is None
        await on.total(0)
        await chat.wait_for(3)
        second = on.incidents()[0].steps[1].attempts[0].message_id
        assert second == answered(chat.accepted[2].body)  # the first that this chat was told
        await until(lambda: len(summaries(on)) == 1)
        assert {second} == {str(edit.get("message_id") or target_of(edit)) for edit in chat.edits}


@pytest.mark.parametrize("kind", EDITING)
async def test_a_message_in_a_chat_that_a_target_leaves_says_that_it_goes_on_elsewhere(kind: str) -> None:
    async with ChatServer() as old, ChatServer() as new, stage(old, kind) as on:
        one = await on.start()
        message_id = await fire(on, old)
        await on.total(1_800_000_000)
        await old.wait_for(2)
        await until(lambda: len(old.edits) == 1)
        on.targets = {"desk": new.target(kind, timeout="10s")}
        one.service.reload(on.settings())
        await until(lambda: len(old.edits) == 2)
        assert [message_id] * 2 == [target_of(edit) for edit in old.edits]
        text = plain(old.edits[1]).removeprefix("<b>")
        assert text.startswith("Continued in another chat: At least $1.80B of longs liquidated in 24 hours")
        assert "Followed in another chat since 20" in text and "The last that was told here, at 20" in text
        await on.total(0)
        await new.wait_for(1)  # the end
        await until(lambda: not one.service._journal.incidents)
        assert (2, [], 0) == (len(old.accepted), new.edits, one.metric(LEFT_BEHIND, destination="desk"))


async def test_a_chat_that_a_target_leaves_gets_the_summaries_that_it_is_owed() -> None:
    faults = [Fault("limited", seconds=1.5)]
    async with ChatServer(edit_faults=faults) as old, ChatServer() as new, stage(old, "telegram") as on:
        one = await on.start()
        await fire(on, old)
        await on.total(0)
        await until(lambda: len(old.edit_tries) == 1)
        on.targets = {"desk": new.target("telegram", timeout="10s")}
        one.service.reload(on.settings())
        await until(lambda: len(old.edits) == 1)
        assert plain(old.edits[0]).startswith("<b>Cleared: ")
        assert ([], []) == (new.accepted, new.edits)


async def test_a_message_that_goes_on_elsewhere_is_edited_no_more() -> None:
    async with ChatServer() as chat, stage(chat, "telegram") as on:
        one = await on.start()
        await fire(on, chat)
        on.targets = {"desk": chat.target("telegram", timeout="10s", channel="-99")}
        one.service.reload(on.settings())
        await until(lambda: len(chat.edits) == 1)
        assert plain(chat.edits[0]).startswith("<b>Continued in another chat: At least $1.20B of longs")
        await on.total(1_800_000_000)
        await chat.wait_for(2)
        await on.total(0)
        await chat.wait_for(3)
        await until(lambda: len(summaries(on)) == 1)
        assert [("42", 1), ("-99", 2)] == [(edit["chat_id"], edit["message_id"]) for edit in chat.edits]
        assert chat.edits[1]["message_id"] == int(on.incidents()[0].steps[1].attempts[0].message_id or "")


@pytest.mark.parametrize(
    ("kind", "fault", "reason"),
    [
        ("telegram", Fault("status", code=401), "status 401: Bad Request: chat not found"),
        ("telegram", Fault("limited", seconds=300), "the chat asks to wait, or the log is away"),
        ("pagerduty", None, "its kind of target knows no edits"),
    ],
)
async def test_a_message_that_cannot_say_that_it_goes_on_elsewhere_is_said_and_counted(
    kind: str, fault: Fault | None, reason: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if fault is not None and fault.kind == "limited":
        monkeypatch.setattr("liqwatch.alerter.delivery._LEFT_WITHIN", 5.0)  # half the rate of the chat is 2 s
    async with ChatServer(edit_faults=[fault] if fault else []) as old, ChatServer() as new, stage(old, kind) as on:
        one = await on.start()
        await fire(on, old)
        on.targets = {"desk": new.target("slack-bot", timeout="10s")}
        with capture_logs() as logs:
            one.service.reload(on.settings())
            await on.total(1_800_000_000)
            await new.wait_for(1)  # does not wait for it
            await until(lambda: one.metric(LEFT_BEHIND, destination="desk") == 1)
        said = [line["reason"] for line in logs if line["event"].startswith("a message about an open incident stays")]
        assert ([reason], []) == (said, old.edits)


async def test_a_stand_by_that_was_reloaded_says_what_it_cannot_mend_once_it_acts() -> None:
    async with ChatServer() as chat, stage(chat, "telegram") as on:
        one = await on.start()
        two = await on.start(acting=False)
        await until(lambda: two.service._journal.turn is Turn.STANDING_BY)
        await fire(on, chat)
        on.targets = {"desk": chat.target("telegram", timeout="10s", channel="-99")}
        two.service.reload(on.settings())
        await one.end()
        await until(lambda: two.metric(LEFT_BEHIND, destination="desk") == 1)
        assert [] == chat.edits


async def test_a_target_that_only_gets_a_new_token_goes_on_where_it_was() -> None:
    async with ChatServer() as chat, stage(chat, "slack-bot") as on:
        one = await on.start()
        message_id = await fire(on, chat)
        on.targets = {"desk": chat.target("slack-bot", timeout="10s", token="xoxb-other")}
        one.service.reload(on.settings())
        await on.total(1_800_000_000)
        await chat.wait_for(2)
        await until(lambda: len(chat.edits) == 1)
        assert (message_id, True) == (answered(chat.accepted[1].body), "now past $1.7B" in plain(chat.edits[0]))


def told(place: str | None) -> Incident:
    """An incident with one message, at that place."""
    attempt = Attempt(target="desk", number=1, generation=1, at_ms=1, outcome="accepted", message_id="7", place=place)
    step = Step(kind="fired", at_ms=1, usd="1", threshold="1", headline="H", text="T", targets=("desk",),
                attempts=(attempt,))  # fmt: skip
    return Incident.model_construct(incident_id="a", steps=(step,), closed_ms=None, summaries=())


def test_a_record_that_names_no_place_is_of_this_one() -> None:
    firsts = [first_message(told(place), "desk", "here") for place in (None, "here", "there")]
    assert [(1, "7"), (1, "7"), None] == firsts
    assert [{1}] * 3 == [first_told(told(place).steps) for place in (None, "here", "there")]


async def test_an_alerter_that_froze_behind_its_record_edits_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    async with ChatServer() as chat, stage(chat, "telegram") as on:
        one = await on.start()
        await fire(on, chat)
        loop, journal = asyncio.get_running_loop(), one.service._journal
        clock, confirm, frozen = loop.time, journal.confirm, [0.0]

        async def confirm_and_freeze(incident: Incident) -> None:
            await confirm(incident)
            frozen[0] = 6.0

        monkeypatch.setattr(loop, "time", lambda: clock() + frozen[0])
        monkeypatch.setattr(journal, "confirm", confirm_and_freeze)
        await climb(on, one, 1_450_000_000)
        labels = {"destination": "desk", "outcome": "not_sent"}
        await until(lambda: bool(chat.edit_tries) or one.metric("liqwatch_message_edits_total", **labels) == 1, 30)
        assert [] == chat.edit_tries
        await until(lambda: len(chat.edits) == 1, 30)  # it is still its turn after all


async def test_the_words_of_an_older_step_do_not_replace_newer_ones() -> None:
    async with ChatServer() as chat, stage(chat, "telegram") as on:
        one = await on.start()
        await fire(on, chat)
        chat.fail([Fault("slow", seconds=1.0)])
        await on.total(1_800_000_000)
        await chat.wait_for(2)
        await climb(on, one, 1_900_000_000)
        await until(lambda: bool(chat.edits) and "1.90B" in plain(chat.edits[-1]))


async def test_a_newer_total_outlives_the_telling_of_an_older_step() -> None:
    async with ChatServer() as chat, stage(chat, "telegram") as on:
        one = await on.start()
        await fire(on, chat)
        editing = one.service._outbox._posts["desk"].courier._editing
        assert editing is not None
        incident = on.incidents()[0]
        newer, older = (incident.steps[0].model_copy(update={"at_ms": incident.opened_ms + ms}) for ms in (20, 10))
        editing.offer(incident, newer)
        editing.drop(incident.incident_id, older.at_ms)
        editing.offer(incident, older)
        assert [newer.at_ms] == [text.at_ms for text, _ in editing._texts.values()]
        editing.drop(incident.incident_id, newer.at_ms + 1)
        assert {} == editing._texts


async def test_of_many_peaks_a_few_are_written_with_each_tick_and_none_is_lost() -> None:
    async with ChatServer() as chat, stage(chat, "slack-bot") as on:
        one = await on.start()
        await fire(on, chat)
        (incident,) = on.incidents()
        many = [incident.model_copy(update={"incident_id": f"{incident.incident_id}-{number}"}) for number in range(25)]
        one.service._journal.incidents.update((copy.incident_id, copy) for copy in many)
        one.service._peaks = {copy.incident_id: one.service._ticks + 10 for copy in many}
        await one.service._tell_peaks()
        assert 25 == len(one.service._peaks)  # none is due yet
        left = []
        while one.service._peaks:
            await peaks_are_due(one.service)
            left.append(len(one.service._peaks))
        assert [15, 5, 0] == left
        await until(lambda: len(on.incidents()) == 26)


async def test_a_peak_is_told_only_where_messages_can_be_edited(monkeypatch: pytest.MonkeyPatch) -> None:
    async with ChatServer() as chat, stage(chat, "webhook") as on:
        one = await on.start()
        await fire(on, chat)
        monkeypatch.setattr(one.service, "_refresh", lambda incident: pytest.fail("there is nothing to edit"))
        await climb(on, one, 1_450_000_000)
        await until(lambda: on.incidents()[0].peak_usd == "1450000000.000000")
