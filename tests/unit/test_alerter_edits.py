"""A message is kept current where the chat can edit, and no message ever waits for an edit."""

import asyncio
from typing import Any

import pytest

from liqwatch.alerter.notices import notice
from tests.support.alerter_stage import Stage, longs, until
from tests.support.chat_server import ChatServer

EDITING = ["slack-bot", "telegram", "discord", "discord-bot"]


def stage(chat: ChatServer, kind: str, **changes: Any) -> Stage:
    return Stage([longs(**changes)], {"desk": chat.target(kind)})


@pytest.mark.timeout(60)
@pytest.mark.parametrize("kind", EDITING)
async def test_a_total_that_climbs_between_two_steps_is_written_into_the_message(kind: str) -> None:
    async with ChatServer() as chat, stage(chat, kind) as on:
        one = await on.start()
        await on.total(1_200_000_000)
        await chat.wait_for(1)
        await until(lambda: on.outcomes("desk") == [("fired", "accepted", False)])
        message_id = on.incidents()[0].steps[0].attempts[0].message_id
        await on.total(1_450_000_000)
        await until(lambda: len(chat.edits) > 0, within=30)
        (edit,) = chat.edits[:1]
        assert "1.45B" in str(edit)
        assert message_id is not None
        assert message_id in str(edit)  # in the path or the body
        assert 1 == len(chat.accepted)  # nobody was told anew
        await until(lambda: one.metric("liqwatch_message_edits_total", destination="desk", outcome="accepted") == 1)
        assert ["fired"] == on.kinds()


@pytest.mark.timeout(60)
async def test_a_step_goes_out_at_once_though_an_edit_is_under_way() -> None:
    async with ChatServer(edit_seconds=20) as chat, stage(chat, "slack-bot") as on:
        one = await on.start()
        await on.total(1_200_000_000)
        await chat.wait_for(1)
        courier = one.service._outbox._posts["desk"].courier
        await on.total(1_450_000_000)
        await until(lambda: not courier._bucket.is_full(asyncio.get_running_loop().time()), within=30)
        await on.total(1_800_000_000)
        await chat.wait_for(2, timeout=3)
        assert [] == chat.edits


async def test_a_webhook_that_cannot_edit_is_left_alone() -> None:
    async with ChatServer() as chat, stage(chat, "webhook") as on:
        one = await on.start()
        await on.total(1_200_000_000)
        await chat.wait_for(1)
        await on.total(1_450_000_000)
        one.service._write_peaks()
        await asyncio.sleep(0.3)
        assert (1, []) == (chat.requests, chat.edits)


async def test_an_edit_that_waited_is_not_made_once_the_incident_is_over() -> None:
    async with ChatServer() as chat, stage(chat, "slack-bot") as on:
        one = await on.start()
        await on.total(1_200_000_000)
        await chat.wait_for(1)
        await until(lambda: on.outcomes("desk") == [("fired", "accepted", False)])
        courier = one.service._outbox._posts["desk"].courier
        (incident,) = on.incidents()
        made = notice(incident, incident.steps[0], None, on.clock.now_ms(), None)
        await on.total(0)
        await chat.wait_for(2)
        await until(lambda: courier._bucket.is_full(asyncio.get_running_loop().time()))
        courier.offer_edit(incident.incident_id, made, incident.steps[0].attempts[0].message_id or "")
        await until(lambda: not courier._edits)
        await asyncio.sleep(0.2)
        assert [] == chat.edits
