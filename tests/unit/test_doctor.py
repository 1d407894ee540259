"""The doctor says of everything whether it works, and if not why; each way to fail is shown to it once."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Never

import aiohttp
import pytest
from aiohttp import web
from pydantic import SecretStr

from liqwatch.clock import Clock
from liqwatch.doctor.chats import try_chats
from liqwatch.doctor.finding import Finding, all_well, as_objects, as_table, fails, not_tried, works
from liqwatch.doctor.logs import try_log
from liqwatch.doctor.venues import try_venue
from liqwatch.eventlog.sqlite import SqliteLog
from liqwatch.settings import KafkaSettings, LogSettings, Settings, TargetSettings, VenueSettings
from liqwatch.simulator import Simulator
from liqwatch.simulator.scenarios import burst
from liqwatch.topics import COVERAGE, TOPICS
from liqwatch.venues.base import Venue
from tests.support import venue_server as venues
from tests.support.config import Setup
from tests.support.fake_history import answering, with_history
from tests.support.fake_venue import FAKE, LISTING, PATH, per_symbol
from tests.support.program import running
from tests.support.venue_server import VenueServer

TICKING = replace(FAKE, control_limit=timedelta(seconds=5))


async def ticks(server: VenueServer, peer: venues.ServerConnection) -> None:
    await peer.send(json.dumps({"ack": json.loads(await peer.recv())["sub"]}))
    await peer.send('{"tick": 1}')
    await peer.wait_closed()


async def tried(
    venue: Venue, server: VenueServer, *, websocket: str | None = None, rest: str | None = None
) -> dict[str, Finding]:
    own = VenueSettings(websocket_origin=websocket or server.websocket_origin, rest_origin=rest or server.rest_origin)
    settings = Settings(venues={venue.name: own})
    async with aiohttp.ClientSession() as http:
        found = await try_venue(venue, settings, http, Clock(), 1.0)
    return {finding.part: finding for finding in found}


async def test_a_venue_that_works_is_said_to_work_in_every_part() -> None:
    async with VenueServer(behave=ticks, rest={PATH: LISTING}, past=answering([])) as server:
        found = await tried(replace(with_history(), control_limit=timedelta(seconds=5)), server)
    assert {"list main": "yes", "feed main": "yes", "history": "yes"} == {part: f.works for part, f in found.items()}
    assert "2 contracts" == found["list main"].words
    assert found["feed main"].words.startswith("delivers, after ")


async def test_a_quiet_feed_without_a_ticking_channel_works_once_it_is_acknowledged() -> None:
    async with VenueServer(rest={PATH: LISTING}) as server:
        found = await tried(FAKE, server)
        assert "yes" == found["feed main"].works
        assert "no channel that always ticks" in found["feed main"].words
        assert "yes" == (await tried(per_symbol(5), server))["feed main"].works
        assert [["*"], ["BTCUSDT", "ETHUSDT"]] == server.subscribed


@pytest.mark.parametrize(
    ("behave", "cause", "words"),
    [
        (venues.only_pongs, "silent", "acknowledged, then nothing for 1 s from its channel that always ticks"),
        (venues.never_acknowledges, "not_acknowledged", "subscription not acknowledged within 1 s"),
        (venues.refuses, "not_acknowledged", "refused: no such channel"),
        (venues.refuses_a_part, "not_acknowledged", "refused: no coin futures today"),
        (venues.accepts_and_closes, "closed", "closed by the venue (code 1001, 'bye')"),
    ],
)
async def test_a_feed_that_connects_and_is_no_good_is_told_apart(
    behave: venues.Behaviour, cause: str, words: str
) -> None:
    async with VenueServer(behave=behave, rest={PATH: LISTING}) as server:
        found = await tried(TICKING, server)
    feed = found["feed main"]
    assert ("no", cause, True) == (feed.works, feed.cause, feed.words.startswith(words)), feed.words


@pytest.mark.parametrize(
    ("status", "cause"),
    [(403, "geo_block"), (451, "geo_block"), (404, "old_endpoint"), (410, "old_endpoint"), (429, "throttled"),
     (502, "server_error")],
)  # fmt: skip
async def test_an_http_status_is_told_by_what_it_means(status: int, cause: str) -> None:
    answer = (status, dict[str, str](), b"no")
    async with VenueServer(turn_away=(status, {}), rest={PATH: answer}, past=lambda _: answer) as server:
        found = await tried(with_history(), server)
        assert ["no"] * 2 == [found[part].works for part in ("list main", "feed main")]
        assert [cause] * 2 == [found[part].cause for part in ("list main", "feed main")]
        assert "not tried" == found["history"].works  # without the list it does not know what to ask
        server.rest[PATH] = LISTING
        assert cause == (await tried(with_history(), server))["history"].cause


async def test_a_port_that_speaks_no_tls_is_told_as_that() -> None:
    async def plain(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(100)
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(plain, "127.0.0.1", 0)
    async with server:
        place = f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
        found = await tried(FAKE, VenueServer(), websocket=f"wss://{place}", rest=f"https://{place}")
    assert ["tls", "tls"] == [found[part].cause for part in ("list main", "feed main")]


async def test_what_cannot_be_reached_is_told_by_how_it_fails() -> None:
    async with VenueServer(rest={PATH: LISTING}) as server:
        found = await tried(FAKE, server, websocket="ws://no-such-host.invalid", rest="http://no-such-host.invalid")
        assert ["dns", "dns"] == [found[part].cause for part in ("list main", "feed main")]
    found = await tried(FAKE, server)
    assert ["refused", "refused"] == [found[part].cause for part in ("list main", "feed main")]


async def test_a_venue_whose_code_fails_does_not_cost_the_others_their_answers() -> None:
    def broken(*_: object) -> Never:
        raise KeyError("of ours")

    venue = with_history()
    assert venue.history is not None
    venue = replace(venue, session=broken, history=replace(venue.history, read=broken))
    async with VenueServer(past=answering([]), rest={PATH: LISTING}) as server:
        found = await tried(venue, server)
    assert {"list main": "yes", "feed main": "no", "history": "no"} == {part: f.works for part, f in found.items()}
    assert ["failed with KeyError: 'of ours'"] * 2 == [found[part].words for part in ("feed main", "history")]


async def test_a_list_that_is_not_one_is_unreadable() -> None:
    async with VenueServer(rest={PATH: (200, {}, b"<html>")}) as server:
        found = await tried(per_symbol(5), server)
    assert ("no", "unreadable") == (found["list main"].works, found["list main"].cause)
    assert ("not tried", "needs the list of contracts") == (found["feed main"].works, found["feed main"].words)


# The log.


async def test_an_embedded_log_is_looked_at_and_not_touched(tmp_path: Path) -> None:
    settings = Settings(log=LogSettings(path=str(tmp_path / "liqwatch.db")))
    (finding,) = await try_log(settings, Clock())
    assert "not tried" == finding.works
    assert not (tmp_path / "liqwatch.db").exists()
    log = SqliteLog(settings.log.path, clock=Clock())
    await log.open()
    await log.create([COVERAGE])
    (finding,) = await try_log(settings, Clock())
    assert ("no", "topics") == (finding.works, finding.cause)
    assert "liqwatch topics create" in finding.words
    await log.create(TOPICS.values())
    (finding,) = await try_log(settings, Clock())
    assert ("yes", f"{len(TOPICS)} topics; 0 records of coverage so far") == (finding.works, finding.words)
    await log.close()


async def test_a_broker_that_is_not_there_is_unreachable() -> None:
    settings = Settings(log=LogSettings(backend="kafka", kafka=KafkaSettings(bootstrap_servers="127.0.0.1:1")))
    (finding,) = await try_log(settings, Clock())
    assert ("no", "unreachable", "kafka 127.0.0.1:1") == (finding.works, finding.cause, finding.part)


# The chats.


@asynccontextmanager
async def chat() -> AsyncIterator[tuple[str, list[str]]]:
    """Slack, Telegram and Discord as far as they tell who one is; what they were asked is kept."""
    asked: list[str] = []

    async def answer(request: web.Request) -> web.Response:
        asked.append(f"{request.method} {request.path}")
        good = "good-token" in request.headers.get("Authorization", "") + request.path
        if request.path == "/api/auth.test":
            return web.json_response({"ok": True} if good else {"ok": False, "error": "invalid_auth"})
        if request.path.endswith("/getChat"):
            wrong = {"ok": False, "description": "Bad Request: chat not found"}
            return web.json_response({"ok": True} if good else wrong, status=200 if good else 400)
        if request.method == "GET" and request.path.startswith(("/api/v10/channels/7", "/hook")):
            return web.json_response(
                {"id": "7"} if good else {"message": "401: Unauthorized"}, status=200 if good else 401
            )
        return web.json_response({}, status=500)

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", answer)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}", asked
    finally:
        await runner.cleanup()


def target(kind: str, origin: str, token: str) -> TargetSettings:
    return TargetSettings.model_validate(
        {"kind": kind, "token": token, "channel": "7", "api_origin": origin, "allow_private": True}
    )


async def test_chats_are_asked_who_we_are_and_sent_nothing() -> None:
    async with chat() as (origin, asked), aiohttp.ClientSession() as http:
        kinds = ("slack", "telegram", "discord")
        settings = Settings(
            targets={
                "console": TargetSettings(kind="console"),
                "hook": TargetSettings(
                    kind="webhook", url=SecretStr(f"{origin}/x"), secret=SecretStr("s" * 20), allow_private=True
                ),
                "off": TargetSettings(kind="slack", enabled=False),
                "discordhook": TargetSettings(
                    kind="discord", url=SecretStr(f"{origin}/hook/good-token"), allow_private=True
                ),
                **{f"good{kind}": target(kind, origin, "good-token") for kind in kinds},
                **{f"bad{kind}": target(kind, origin, "wrong-secret") for kind in kinds},
                "away": target("slack", "http://127.0.0.1:1", "good-token"),
            }
        )
        found = {finding.part: finding for finding in await try_chats(settings, http)}
    for kind in kinds:
        assert ("yes", "it knows us") == (found[f"good{kind} ({kind})"].works, found[f"good{kind} ({kind})"].words)
        bad = found[f"bad{kind} ({kind})"]
        assert ("no", "settings") == (bad.works, bad.cause)
        assert "wrong-secret" not in bad.words
    assert "answered HTTP 200: invalid_auth" == found["badslack (slack)"].words
    assert "answered HTTP 400: Bad Request: chat not found" == found["badtelegram (telegram)"].words
    assert "yes" == found["discordhook (discord)"].works == found["console (console)"].works
    assert ("not tried", "switched off in the settings") == (found["off (slack)"].works, found["off (slack)"].words)
    assert "not tried" == found["hook (webhook)"].works
    assert "liqwatch notify-test hook" in found["hook (webhook)"].words
    assert ("no", "refused") == (found["away (slack)"].works, found["away (slack)"].cause)
    assert all("message" not in path and "post" not in path.lower().split("/")[-1] for path in asked)


# The table and the command.


def test_the_table_sums_up_and_names_what_does_not_work() -> None:
    findings = [
        works("log", "sqlite a.db", "8 topics"),
        not_tried("chat", "desk (webhook)", "no call"),
        fails("gate", "feed usdt", "name not resolved", "dns"),
    ]
    assert """\
                        works
log   sqlite a.db     yes        8 topics
chat  desk (webhook)  not tried  no call
gate  feed usdt       NO         name not resolved; is there a network, and a name server?
1 of 3 do not work""".split("\n")[1:] == as_table(findings).split("\n")[1:]  # fmt: skip
    assert not all_well(findings)
    assert all_well(findings[:2])
    assert "all of 2 work, or were not tried" == as_table(findings[:2]).split("\n")[-1]
    assert ["yes", "not tried", "no"] == [found["works"] for found in as_objects(findings)]


@pytest.mark.timeout(90)
async def test_the_command_ends_with_0_only_if_all_works(tmp_path: Path) -> None:
    async with Simulator(burst(1, 1), venues=("gate", "binance")) as simulator:
        origins = {name: (origin.websocket, origin.rest) for name, origin in simulator.origins.items()}
        config = str(Setup(tmp_path, origins).write())
        async with running(["doctor", "--config", config, "--json", "--wait", "5"], tmp_path / "1") as program:
            assert 0 == await asyncio.wait_for(program.process.wait(), 40), program.stderr
            found = json.loads(program.stdout)
        assert {"log", "chat", "gate", "binance"} == {finding["what"] for finding in found}
        assert {"yes", "not tried"} == {finding["works"] for finding in found}
        assert {"list usdt", "list btc", "list usd1", "feed usdt", "feed btc", "feed usd1", "history"} == {
            finding["part"] for finding in found if finding["what"] == "gate"
        }
        simulator.venues["binance"].trouble.silent = True
        async with running(["doctor", "--config", config, "--wait", "2"], tmp_path / "2") as program:
            assert 1 == await asyncio.wait_for(program.process.wait(), 40), program.stderr
            table = program.stdout
        assert "accepted, and then nothing" in next(line for line in table.splitlines() if "NO" in line)
        assert table.splitlines()[-1].startswith("1 of ")
