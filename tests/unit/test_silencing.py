"""`liqwatch silence`: what is written, what is refused, and what is said where another process writes the log."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from liqwatch import silencing
from liqwatch.assembly import build_log
from liqwatch.clock import Clock
from liqwatch.eventlog import Entry, LogError
from liqwatch.events import Silence
from liqwatch.settings import Settings
from liqwatch.topics import SILENCES, TOPICS

HOUR = timedelta(hours=1)


def settings(folder: Path, **page: Any) -> Settings:
    return Settings.model_validate({"log": {"path": str(folder / "x.db")}, "web": page})


async def test_a_silence_is_written_listed_and_ended(tmp_path: Path) -> None:
    on = settings(tmp_path)
    wanted = silencing.matcher(["rule=longs-24h", "coin=BTC"])
    later = await silencing.add(on, wanted, "maintenance", 2 * HOUR, "me")
    sooner = await silencing.add(on, {"severity": "info"}, "noise", HOUR, "me")
    assert [sooner, later] == [one.silence_id for one in await silencing.read(on)]
    (_, known) = await silencing.read(on)
    assert {"rule": "longs-24h", "coin": "BTC"} == known.matcher
    assert silencing.line(known, known.from_ms).endswith("(2 h)  me: maintenance")
    await silencing.end(on, sooner)
    assert [later] == [one.silence_id for one in await silencing.read(on)]


async def test_a_record_that_cannot_be_read_hides_no_silence(tmp_path: Path) -> None:
    on = settings(tmp_path)
    known = await silencing.add(on, {"rule": "longs-24h"}, "maintenance", HOUR, "me")
    log = build_log(on, Clock())
    await log.open()
    await log.append(SILENCES, [Entry(b"odd", b"{}", Clock().now_ms())])
    await log.close(timeout=3)
    assert [known] == [one.silence_id for one in await silencing.read(on)]


@asynccontextmanager
async def page(status: int, said: bytes) -> AsyncIterator[tuple[int, list[Any]]]:
    """A page that answers so to every silence: its port, and what it was sent."""
    sent: list[Any] = []

    async def answer(request: web.Request) -> web.Response:
        sent.append(await request.json())
        return web.Response(status=status, body=said, content_type="application/json")

    app = web.Application()
    app.router.add_post("/api/v1/silences", answer)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield runner.addresses[0][1], sent
    finally:
        await runner.cleanup()


@asynccontextmanager
async def held(on: Settings) -> AsyncIterator[None]:
    """Another process writes the log."""
    running = build_log(on, Clock())
    await running.open()
    try:
        await running.create(TOPICS.values())
        yield
    finally:
        await running.close()


@pytest.mark.parametrize("words", [["rul=x"], ["rul="], ["=x"], [""]])
def test_a_matcher_that_means_nothing_is_refused(words: list[str]) -> None:
    with pytest.raises(silencing.CannotSilence, match="write KEY=VALUE with one of rule, scope"):
        silencing.matcher(words)


@pytest.mark.parametrize("word", ["rule", "rule="])
def test_a_key_without_a_value_is_said_to_lack_it(word: str) -> None:
    with pytest.raises(silencing.CannotSilence, match=f"^'{word}': a value is missing; write rule=VALUE$"):
        silencing.matcher([word])


def test_a_key_given_twice_is_refused_since_the_first_would_be_lost() -> None:
    with pytest.raises(silencing.CannotSilence, match=r"^rule is given twice"):
        silencing.matcher(["rule=longs-24h", "coin=BTC", "rule=foo"])


@pytest.mark.parametrize(
    ("wanted", "reason", "author", "said"),
    [
        ({"side": "sideways"}, "why", "me", r"^matcher\.side: Input should be 'long', 'short' or 'both'$"),
        ({"kind": "nonsense"}, "why", "me", r"^matcher\.kind: Input should be 'level', "),
        ({"severity": "loud"}, "why", "me", r"^matcher\.severity: Input should be 'info', "),
        ({"rule": "two words"}, "why", "me", r"^matcher\.rule: a character in it is not allowed"),
        ({"coin": "B\x1bTC"}, "why", "me", r"^matcher\.coin: a character in it is not allowed"),
        ({"rule": "bad \udcff"}, "why", "me", r"^matcher\.rule: not valid UTF-8$"),
        ({}, "why", "me", r"^matcher: name at least one of rule, scope"),
        ({"rule": "x"}, "", "me", "^reason: String should have at least 1 character$"),
        ({"rule": "x"}, "x" * 5_000, "me", "^reason: String should have at most 500 characters$"),
        ({"rule": "x"}, "red \x1b[31m", "me", "^reason: a character in it is not allowed"),
        ({"rule": "x"}, "bad \udcff", "me", "^reason: not valid UTF-8$"),
        ({"rule": "x"}, "why", "bad \udcff", "^author: not valid UTF-8$"),
    ],
)
async def test_what_the_page_would_refuse_is_not_written_to_the_log_either(
    tmp_path: Path, wanted: dict[str, str], reason: str, author: str, said: str
) -> None:
    on = settings(tmp_path)
    with pytest.raises(silencing.CannotSilence, match=said):
        await silencing.add(on, wanted, reason, HOUR, author)
    assert not (tmp_path / "x.db").exists()


async def test_a_coin_in_letters_of_another_script_can_be_silenced(tmp_path: Path) -> None:
    wanted = {"scope": "venue=binance,base=币安人生", "coin": "币安人生"}
    await silencing.add(settings(tmp_path), wanted, "why", HOUR, None)
    assert [wanted] == [one.matcher for one in await silencing.read(settings(tmp_path))]


def test_a_reason_of_another_writer_steers_no_terminal_when_it_is_listed() -> None:
    known = Silence(silence_id="s", matcher={"rule": "x"}, reason="a\x1b[2J\nb", author="é", from_ms=0, until_ms=60_000)
    assert silencing.line(known, 0).endswith(r"é: a\x1b[2J\nb")


@pytest.mark.parametrize("lasts", [timedelta(seconds=59), timedelta(days=91)])
async def test_a_silence_has_an_end_that_people_meant(tmp_path: Path, lasts: timedelta) -> None:
    with pytest.raises(silencing.CannotSilence, match="from a minute to 90 days"):
        await silencing.add(settings(tmp_path), {"rule": "x"}, "why", lasts, None)


async def test_a_silence_may_last_as_long_as_the_page_allows(tmp_path: Path) -> None:
    await silencing.add(settings(tmp_path), {"rule": "x"}, "why", timedelta(days=90), None)
    (known,) = await silencing.read(settings(tmp_path))
    assert 90 * 86_400_000 == known.until_ms - known.from_ms


async def test_a_user_without_a_name_is_a_number(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("LOGNAME", "USER", "LNAME", "USERNAME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("os.getuid", lambda: 4_000_000_000)
    await silencing.add(settings(tmp_path), {"rule": "x"}, "why", HOUR, None)
    assert ["user 4000000000"] == [one.author for one in await silencing.read(settings(tmp_path))]


async def test_a_silence_that_is_not_there_cannot_be_ended(tmp_path: Path) -> None:
    on = settings(tmp_path)
    await silencing.add(on, {"rule": "x"}, "why", HOUR, None)
    with pytest.raises(silencing.CannotSilence, match="there is no silence nope"):
        await silencing.end(on, "nope")


@pytest.mark.parametrize(
    ("web", "said"),
    [
        ({}, "takes silences only with a token"),
        ({"token": "t", "port": 1}, "live page at 127.0.0.1:1 does not answer"),
        ({"token": "t", "port": 1, "host": "::1"}, r"live page at \[::1\]:1 does not answer"),
    ],
)
async def test_while_another_process_writes_the_log_its_page_is_asked(
    tmp_path: Path, web: dict[str, Any], said: str
) -> None:
    on = settings(tmp_path, **web)
    async with held(on):
        with pytest.raises(silencing.CannotSilence, match=said):
            await silencing.add(on, {"rule": "x"}, "why", HOUR, None)


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("notes.txt", r"notes\.txt: damaged \(file is not a database\)"),
        ("folder", "folder: cannot be opened"),
        ("notes.txt/x.db", r"x\.db: cannot be opened"),
    ],
)
async def test_a_log_that_cannot_be_opened_sends_the_silence_to_no_other_instance(
    tmp_path: Path, path: str, said: str
) -> None:
    (tmp_path / "notes.txt").write_text("buy milk\n" * 500)
    (tmp_path / "folder").mkdir()
    async with page(201, b'{"silence_id": "of another instance"}') as (port, sent):
        own = {"log": {"path": str(tmp_path / path)}, "web": {"token": "t", "port": port}}
        with pytest.raises(LogError, match=said):
            await silencing.add(Settings.model_validate(own), {"rule": "x"}, "why", HOUR, None)
    assert [] == sent


async def test_the_page_is_sent_the_silence_while_its_process_writes_the_log(tmp_path: Path) -> None:
    async with page(201, b'{"silence_id": "made"}') as (port, sent):
        on = settings(tmp_path, token="t", port=port)
        async with held(on):
            assert "made" == await silencing.add(on, {"rule": "x"}, "why", HOUR, "me")
    assert [{"matcher": {"rule": "x"}, "reason": "why", "author": "me", "duration_seconds": 3600}] == sent


async def test_what_a_server_says_is_short_and_steers_no_terminal(tmp_path: Path) -> None:
    async with page(403, b"no\x1b[2J \n\n way " + b"x" * 5000) as (port, _):
        on = settings(tmp_path, token="t", port=port)
        async with held(on):
            with pytest.raises(silencing.CannotSilence) as error:
                await silencing.add(on, {"rule": "x"}, "why", HOUR, None)
    start = f"the live page at 127.0.0.1:{port} says 403: no?[2J way xxx"
    assert (start, "…") == (str(error.value)[: len(start)], str(error.value)[-1])
    assert len(str(error.value)) < 170


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b'{"type":"about:blank","title":"Bad Request","status":400,"detail":"reason: write why\\u001b[2J"}',
         "reason: write why?[2J"),
        (b'{"detail":7}', '{"detail":7}'),
        (b'["no"]', '["no"]'),
        (b"", ""),
        (b"\xff", "\ufffd"),
    ],
)  # fmt: skip
async def test_of_a_refusal_only_its_sentence_is_shown(tmp_path: Path, body: bytes, said: str) -> None:
    async with page(400, body) as (port, _):
        on = settings(tmp_path, token="t", port=port)
        async with held(on):
            with pytest.raises(silencing.CannotSilence) as error:
                await silencing.add(on, {"rule": "x"}, "why", HOUR, None)
    assert f"the live page at 127.0.0.1:{port} says 400: {said}" == str(error.value)
