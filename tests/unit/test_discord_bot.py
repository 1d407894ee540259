"""A Discord bot from end to end: what its channel is asked for, from the first message to the summary."""

import pytest

from tests.support.alerter_stage import Stage, longs, until
from tests.support.chat_server import ChatServer, Fault

CHANNEL = "/discord/api/v10/channels/7/messages"


async def test_the_requests_of_an_incident() -> None:
    async with ChatServer() as chat, Stage([longs()], {"desk": chat.target("discord-bot", timeout="10s")}) as on:
        await on.start()
        await on.total(1_200_000_000)
        await chat.wait_for(1)
        await on.total(1_800_000_000)
        await chat.wait_for(2)
        await on.total(0)
        messages = await chat.wait_for(3)
        await until(lambda: any(done.outcome == "accepted" for one in on.incidents() for done in one.summaries))

        assert [CHANNEL] * 3 == [message.path for message in messages]
        assert ["Bot secret"] * 3 == [message.headers["Authorization"] for message in messages]
        assert all(message.headers["User-Agent"].startswith("DiscordBot (") for message in messages)
        bodies = [message.body for message in messages]
        assert [None, "1", "1"] == [body.get("message_reference", {}).get("message_id") for body in bodies]
        nonces = [body["nonce"] for body in bodies]
        assert (3, {25}, {True}) == (
            len(set(nonces)),
            {len(nonce) for nonce in nonces},
            {body["enforce_nonce"] for body in bodies},
        )
        for body in (*bodies, *chat.edits):
            assert ({"parse": []}, 4) == (body["allowed_mentions"], body["flags"])
            assert len(body["content"]) <= 2000
        assert {f"{CHANNEL}/1"} == {edit["path"] for edit in chat.edits}
        assert not any("nonce" in edit or "message_reference" in edit for edit in chat.edits)


@pytest.mark.parametrize(
    "fault", [Fault("reset"), Fault("silent"), Fault("status", code=502)], ids=lambda one: one.kind
)
async def test_a_lost_reply_is_asked_for_again_under_the_same_nonce(fault: Fault) -> None:
    timeout = "1s" if fault.kind == "silent" else "10s"
    async with ChatServer() as chat, Stage([longs()], {"desk": chat.target("discord-bot", timeout=timeout)}) as on:
        one = await on.start()
        await on.total(1_200_000_000)
        await until(lambda: on.outcomes("desk") == [("fired", "accepted", False)])
        chat.fail([fault])
        await on.total(1_800_000_000)
        await until(lambda: on.outcomes("desk")[-1] == ("stepped_up", "accepted", False))
        assert 2 == len(chat.accepted)
        assert "2" == on.incidents()[0].steps[1].attempts[-1].message_id  # of the copy that is there
        assert 0 == one.metric("liqwatch_notifications_repeated_total", destination="desk")


async def test_a_name_in_a_coin_pings_nobody() -> None:
    rule = longs(scope="each base", thresholds=("10M",))
    async with ChatServer() as chat, Stage([rule], {"desk": chat.target("discord-bot", timeout="10s")}) as on:
        await on.start()
        await on.total(20_000_000, scope="base=@everyone")
        (message,) = await chat.wait_for(1)
        assert "@everyone" not in message.text
        assert {"parse": []} == message.body["allowed_mentions"]
