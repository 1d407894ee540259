"""A picture follows what fires and steps up, where the target wants one; no alert ever waits for it."""

import asyncio
from collections.abc import Callable
from typing import Any

import orjson
import pytest

from liqwatch.alerter.illustrating import QUEUE_SIZE
from liqwatch.alerter.zones import UTC, Zone
from liqwatch.events import Incident, Step
from liqwatch.settings import TargetSettings
from tests.support.alerter_stage import Playing, Stage, longs, until
from tests.support.chat_server import LIMITED, ChatServer, Fault

TAKING = ["slack-bot", "telegram", "discord", "discord-bot"]
PNG = b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 40


class Drawer:
    """Gives the same picture to everybody, once `may_draw` is set; `fails` says what goes wrong instead."""

    def __init__(self, png: bytes | None = PNG) -> None:
        self.png = png
        self.asked: list[str] = []
        self.zones: list[Zone] = []
        self.fails: Exception | None = None
        self.may_draw = asyncio.Event()
        self.may_draw.set()

    async def of(self, incident: Incident, step: Step, zone: Zone) -> bytes | None:
        self.asked.append(step.kind)
        self.zones.append(zone)
        await self.may_draw.wait()
        if self.fails is not None:
            raise self.fails
        return self.png


def stage(chat: ChatServer, kind: str, drawer: Drawer, **changes: Any) -> Stage:
    desk = chat.target(kind, **{"picture": True, "timeout": "10s"} | changes)
    return Stage([longs()], {"desk": desk}, pictures=drawer)


def counted(one: Playing, outcome: str) -> float:
    return one.metric("liqwatch_pictures_total", destination="desk", outcome=outcome)


async def test_slack_puts_the_picture_into_the_thread_of_the_first_message() -> None:
    async with ChatServer() as chat, stage(chat, "slack-bot", Drawer()) as on:
        one = await on.start()
        await on.total(1_200_000_000)
        (picture,) = await chat.wait_for_pictures(1)
        await on.total(1_800_000_000)
        _, second = await chat.wait_for_pictures(2)
        for found in (picture, second):  # a reply's own ts is no thread
            assert (PNG, "C1", "1.0") == (found["png"], found["channel_id"], found["thread_ts"])
        assert ("last-24-hours.png", str(len(PNG))) == (picture["filename"], picture["length"])
        assert [{"id": "F0", "title": "Liquidations of the last 24 hours"}] == picture["files"]
        await until(lambda: counted(one, "accepted") == 2)


async def test_telegram_gets_a_photo_that_answers_the_message_without_a_sound() -> None:
    async with ChatServer() as chat, stage(chat, "telegram", Drawer()) as on:
        await on.start()
        await on.total(1_200_000_000)
        await chat.wait_for_pictures(1)
        await on.total(1_800_000_000)
        _, photo = await chat.wait_for_pictures(2)
        assert {
            "path": "/telegram/bot1:secret/sendPhoto",
            "chat_id": "42",
            "caption": "Liquidations of the last 24 hours",
            "disable_notification": "true",
            "reply_parameters": '{"message_id":2,"allow_sending_without_reply":true}',
            "filename": "last-24-hours.png",
            "content_type": "image/png",
            "png": PNG,
        } == photo


@pytest.mark.parametrize(
    ("kind", "path", "more"),
    [
        ("discord", "/discord/hook/1/secret-part?wait=true", {}),
        (
            "discord-bot",
            "/discord/api/v10/channels/7/messages",
            {"message_reference": {"message_id": "1", "fail_if_not_exists": False}},
        ),
    ],
)
async def test_discord_gets_a_message_with_a_file_and_without_a_sound(
    kind: str, path: str, more: dict[str, Any]
) -> None:
    async with ChatServer() as chat, stage(chat, kind, Drawer()) as on:
        await on.start()
        await on.total(1_200_000_000)
        (picture,) = await chat.wait_for_pictures(1)
        assert (path, PNG, "last-24-hours.png") == (picture["path"], picture["png"], picture["filename"])
        assert {
            "allowed_mentions": {"parse": []},
            "flags": 1 << 12,
            "attachments": [
                {"id": 0, "filename": "last-24-hours.png", "description": "Liquidations of the last 24 hours"}
            ],
        } | more == orjson.loads(picture["payload_json"])


@pytest.mark.parametrize("kind", TAKING)
async def test_a_picture_that_is_long_in_the_making_holds_up_no_message(kind: str) -> None:
    drawer = Drawer()
    drawer.may_draw.clear()
    async with ChatServer() as chat, stage(chat, kind, drawer) as on:
        one = await on.start()
        await on.total(1_200_000_000)
        await until(lambda: drawer.asked == ["fired"])
        await on.total(1_800_000_000)
        await on.total(0)
        await chat.wait_for(3)
        assert [] == chat.pictures
        drawer.may_draw.set()
        await until(lambda: counted(one, "accepted") == 2)
        assert ["fired", "stepped_up"] == drawer.asked  # none of the end


async def test_a_chat_that_does_not_take_a_picture_in_time_holds_up_no_message() -> None:
    silent = [Fault("silent")]
    async with ChatServer(picture_faults=silent) as chat, stage(chat, "telegram", Drawer(), timeout="1s") as on:
        one = await on.start()
        await on.total(1_200_000_000)
        await until(lambda: chat.picture_tries == 1)
        await on.total(1_800_000_000)
        await chat.wait_for(2)
        await until(lambda: (counted(one, "unknown"), counted(one, "accepted")) == (1, 1))
        assert 2 == chat.picture_tries  # what may have arrived is not sent again


async def test_a_429_is_waited_out() -> None:
    async with ChatServer(picture_faults=[LIMITED]) as chat, stage(chat, "discord-bot", Drawer()) as on:
        one = await on.start()
        await on.total(1_200_000_000)
        await until(lambda: counted(one, "accepted") == 1)
        assert (2, 1) == (chat.picture_tries, len(chat.pictures))


@pytest.mark.parametrize("failing", [0, 1, 2])
async def test_each_request_of_an_upload_to_slack_may_fail(failing: int) -> None:
    fine = Fault("slow")
    async with ChatServer(picture_faults=[fine] * failing + [Fault("status", code=500)]) as chat:
        async with stage(chat, "slack-bot", Drawer()) as on:
            one = await on.start()
            await on.total(1_200_000_000)
            await until(lambda: counted(one, "unknown") == 1)
            assert failing + 1 == chat.picture_tries
            assert [("fired", "accepted", False)] == on.outcomes("desk")


def nothing(drawer: Drawer) -> None:
    drawer.png = None


def breaks(drawer: Drawer) -> None:
    drawer.fails = RuntimeError("no space left")


@pytest.mark.parametrize(("spoil", "outcome"), [(nothing, "none"), (breaks, "failed")])
async def test_where_nothing_was_drawn_nothing_is_sent(spoil: Callable[[Drawer], None], outcome: str) -> None:
    drawer = Drawer()
    spoil(drawer)
    async with ChatServer() as chat, stage(chat, "telegram", drawer) as on:
        one = await on.start()
        await on.total(1_200_000_000)
        await until(lambda: counted(one, outcome) == 1)
        await on.total(1_800_000_000)
        await chat.wait_for(2)
        assert 0 == chat.picture_tries


async def test_a_picture_that_is_not_drawn_in_time_is_late(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("liqwatch.alerter.illustrating._DRAWN_WITHIN", 0.05)
    drawer = Drawer()
    drawer.may_draw.clear()
    async with ChatServer() as chat, stage(chat, "telegram", drawer) as on:
        one = await on.start()
        await on.total(1_200_000_000)
        await until(lambda: counted(one, "late") == 1)
        assert 0 == chat.picture_tries


async def test_more_pictures_than_may_wait_are_dropped() -> None:
    drawer = Drawer()
    drawer.may_draw.clear()
    rule = longs(name="coins", scope="each base", thresholds=("10M",))
    async with ChatServer() as chat:
        async with Stage([rule], {"desk": chat.target("discord", picture=True)}, pictures=drawer) as on:
            one = await on.start()
            await on.total(20_000_000, scope="base=C")
            await until(lambda: drawer.asked == ["fired"])
            for number in range(QUEUE_SIZE + 1):
                await on.total(20_000_000, scope=f"base=C{number}")
            await until(lambda: counted(one, "dropped") == 1, within=15)
            assert QUEUE_SIZE + 2 == len(chat.accepted)


async def test_the_times_of_a_picture_are_those_of_the_words_before_it() -> None:
    templates = {"kolkata": "{{ say.headline }}\n{{ say.as_of }}\nStand: {{ now | at('Asia/Kolkata') }}"}
    drawer = Drawer()
    async with ChatServer() as chat:
        targets = {
            "desk": chat.target("telegram", picture=True),
            "india": chat.target("telegram", picture=True, form="kolkata"),
        }
        async with Stage([longs()], targets, pictures=drawer, templates=templates) as on:
            await on.start()
            await on.total(1_200_000_000)
            await chat.wait_for_pictures(2)
            assert {UTC, Zone("IST (UTC+5:30)", 330)} == set(drawer.zones)


async def test_no_picture_is_sent_again_after_a_restart() -> None:
    drawer = Drawer()
    async with ChatServer() as chat, stage(chat, "telegram", drawer) as on:
        one = await on.start()
        await on.total(1_200_000_000)
        await chat.wait_for_pictures(1)
        await until(lambda: on.outcomes("desk") == [("fired", "accepted", False)])
        await one.kill()
        two = await on.start()
        await on.total(1_800_000_000)
        await chat.wait_for(2)
        await until(lambda: counted(two, "accepted") == 1)
        assert (["fired", "stepped_up"], 2) == (drawer.asked, len(chat.pictures))


async def test_what_an_earlier_process_may_have_told_gets_no_picture() -> None:
    drawer = Drawer()
    async with ChatServer([Fault("silent")]) as chat, stage(chat, "slack-bot", drawer, timeout="20s") as on:
        one = await on.start()
        await on.total(1_200_000_000)
        await chat.wait_for(1)
        await one.kill()
        await on.start()
        await until(lambda: on.outcomes("desk") == [("fired", "accepted", False)])
        assert ([], 0) == (drawer.asked, chat.picture_tries)


async def test_a_target_that_wants_none_gets_none() -> None:
    drawer = Drawer()
    async with ChatServer() as chat, Stage([longs()], {"desk": chat.target("telegram")}, pictures=drawer) as on:
        await on.start()
        await on.total(1_200_000_000)
        await chat.wait_for(1)
        await on.total(0)
        await chat.wait_for(2)
        assert ([], 0) == (drawer.asked, chat.picture_tries)


@pytest.mark.parametrize(
    "fields",
    [
        {"kind": "slack", "url": "https://hooks.example/x"},
        {"kind": "teams", "url": "https://flow.example/x"},
        {"kind": "console"},
        {"kind": "webhook", "url": "https://desk.example/x", "secret": "s"},
    ],
)
def test_only_some_kinds_take_pictures(fields: dict[str, str]) -> None:
    with pytest.raises(ValueError, match="only a slack bot"):
        TargetSettings.model_validate(fields | {"picture": True})


@pytest.mark.timeout(90)
async def test_the_service_draws_its_own_picture() -> None:
    async with ChatServer() as chat, Stage([longs()], {"desk": chat.target("telegram", picture=True)}) as on:
        one = await on.start()
        await on.total(1_200_000_000)
        (photo,) = await chat.wait_for_pictures(1, timeout=60)
        assert b"\x89PNG" == photo["png"][:4]
        await until(lambda: counted(one, "accepted") == 1)
