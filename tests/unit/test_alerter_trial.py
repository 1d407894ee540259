"""What `liqwatch notify-test` sends, and what it says became of it."""

import aiohttp
import pytest

from liqwatch.alerter import picture
from liqwatch.alerter.picture import draw
from liqwatch.alerter.rehearsal import trial_day
from liqwatch.alerter.trial import notify_test
from liqwatch.amounts import DOLLAR
from tests.support.chat_server import ChatServer, Fault

AS_OF_MS = 1_769_748_190_123  # 2026-01-30 04:43:10 UTC
TITLE = "Test picture with made-up figures"


async def tried(chat: ChatServer, kind: str, *, wanted: bool = True) -> tuple[bool, list[str]]:
    settings = chat.target(kind, picture=wanted, timeout="10s")
    async with aiohttp.ClientSession() as http:
        accepted, words = await notify_test("desk", settings, http, emit=print)
    return accepted, words.splitlines()


@pytest.mark.parametrize(
    ("faults", "expected"),
    [
        ([], (True, "desk: accepted as message 1")),
        ([Fault("status", code=400)], (False, "desk: refused: status 400: Bad Request: chat not found")),
        ([Fault("limited", seconds=35)], (False, "desk: not sent: rate limited (429); try again in 35 s")),
        ([Fault("reset")], (False, "desk: unknown whether it arrived: the connection broke before the answer")),
    ],
)
async def test_one_message_to_a_target(faults: list[Fault], expected: tuple[bool, str]) -> None:
    async with ChatServer(faults) as chat:
        assert (expected[0], [expected[1]]) == await tried(chat, "telegram", wanted=not expected[0])
        assert 0 == chat.picture_tries


@pytest.mark.timeout(90)
@pytest.mark.parametrize(
    ("kind", "message", "more"),
    [
        ("slack-bot", " as message 1.0", {"thread_ts": "1.0", "files": [{"id": "F0", "title": TITLE}]}),
        ("telegram", " as message 1", {"caption": TITLE}),
        ("discord", " as message 1", {}),
        ("discord-bot", " as message 1", {}),
    ],
)
async def test_a_target_that_wants_pictures_gets_one_of_made_up_figures(
    kind: str, message: str, more: dict[str, object]
) -> None:
    async with ChatServer() as chat:
        accepted, (text, of_picture) = await tried(chat, kind)
        assert (True, f"desk: accepted{message}") == (accepted, text)
        assert of_picture.startswith("desk: picture accepted")
        (found,) = chat.pictures
        assert b"\x89PNG" == found["png"][:4]
        assert more == {key: found[key] for key in more}
        assert TITLE in found.get("payload_json", TITLE)


@pytest.mark.timeout(90)
async def test_a_picture_that_is_refused_is_said_and_is_no_success() -> None:
    async with ChatServer(picture_faults=[Fault("status", code=403)]) as chat:
        accepted, (_, of_picture) = await tried(chat, "discord-bot")
        assert (False, "desk: picture refused: status 403: Unknown Channel") == (accepted, of_picture)


async def test_without_the_library_one_line_says_so_and_the_message_is_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(picture, "find_spec", lambda name: None)
    async with ChatServer() as chat:
        assert (
            True,
            [
                "desk: accepted as message 1",
                "desk: no picture: pictures need matplotlib, which is not installed: pip install 'matplotlib>=3.11'",
            ],
        ) == await tried(chat, "telegram")
        assert 0 == chat.picture_tries


def test_the_day_that_never_was_says_so_and_passes_its_threshold_once() -> None:
    made = trial_day(AS_OF_MS)
    assert "This is a test: a picture of made-up figures, nothing of it has happened." == made.title
    assert (1440, 1440, 1440) == (len(made.longs), len(made.shorts), len(made.rolling))
    (crossing,) = made.crossings
    number = (crossing.at_ms - made.from_ms) // 60_000 - 1
    before, then = made.rolling[number - 1 : number + 1]
    assert before is not None and then == sum(made.longs[number - 59 : number + 1])
    assert before < 50_000_000 * DOLLAR == crossing.threshold <= then
    assert made.rolling[-1] == made.usd < crossing.threshold
    assert 20_000 < len(draw(made)) < 150_000
