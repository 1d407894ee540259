"""A name server that hangs for some hosts holds up no other."""

import asyncio
import contextlib
import socket
import threading
from collections.abc import Iterator
from typing import Any

import aiohttp
import pytest
from pydantic import SecretStr

from liqwatch.alerter.notifiers.base import HttpRequest, NotSent, Response
from liqwatch.alerter.sending import Sender, resolve
from liqwatch.lookups import Resolver, connector, look_up
from tests.support.chat_server import ChatServer, Fault

PUBLIC = "93.184.215.14"
_getaddrinfo = socket.getaddrinfo


@pytest.fixture
def hanging(monkeypatch: pytest.MonkeyPatch) -> Iterator[threading.Event]:
    """The system's resolver hangs for `dead-…`, until the event; it knows `chat.example`, and no `nowhere.example`."""
    back = threading.Event()

    def system(host: str, port: int, *_: Any, **__: Any) -> list[Any]:
        if host.startswith("dead-"):
            back.wait(60)
            raise socket.gaierror(socket.EAI_AGAIN, "try again")
        if host == "nowhere.example":
            raise socket.gaierror(socket.EAI_NONAME, "unknown")
        if host == "chat.example":
            return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (PUBLIC, port))]
        return list(_getaddrinfo(host, port, *_, **__))

    monkeypatch.setattr(socket, "getaddrinfo", system)
    yield back
    back.set()


async def test_fifty_names_that_hang_hold_up_no_other(hanging: threading.Event) -> None:
    waiting = [asyncio.create_task(resolve(f"dead-{number}.example", 443)) for number in range(50)]
    await asyncio.sleep(0)
    async with asyncio.timeout(10):
        assert [PUBLIC] == await resolve("chat.example", 443)
    assert not any(one.done() for one in waiting)
    hanging.set()
    for one in waiting:
        with pytest.raises(OSError, match="try again"):
            await one


async def test_who_waits_no_more_is_no_trouble(hanging: threading.Event) -> None:
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(0.01):
            await look_up("dead-1.example", 443)
    hanging.set()
    assert [PUBLIC] == await resolve("chat.example", 443)


async def test_a_name_that_is_not_there_is_surely_not_sent(hanging: threading.Event) -> None:
    async with aiohttp.ClientSession(connector=connector()) as http:
        for url, allow in (("https://nowhere.example/x", False), ("http://nowhere.example/x", True)):
            answer = await Sender(http, print).send(HttpRequest(SecretStr(url), b""), timeout=5, allow_private=allow)
            assert NotSent("the name of the host could not be resolved") == answer


async def test_the_client_finds_a_host_by_its_name() -> None:
    async with ChatServer() as chat, aiohttp.ClientSession(connector=connector()) as http:
        async with http.post(f"http://localhost:{chat.port}/hook", data=b'{"text": "T"}') as answer:
            assert (200, ["T"]) == (answer.status, chat.texts())


async def test_an_address_is_its_own_answer() -> None:
    found = await Resolver().resolve("127.0.0.1", 80, socket.AF_INET)
    assert [("127.0.0.1", 80, socket.AF_INET)] == [(one["host"], one["port"], one["family"]) for one in found]


async def test_more_chats_that_hang_than_a_client_has_sockets_by_default_hold_up_no_other() -> None:
    async with (
        ChatServer([Fault("silent")] * 120) as dead,
        ChatServer() as chat,
        aiohttp.ClientSession(connector=connector()) as http,
    ):
        sender = Sender(http, print)

        async def told(port: int) -> object:
            request = HttpRequest(SecretStr(f"http://127.0.0.1:{port}/hook"), b'{"text": "T"}')
            return await sender.send(request, timeout=60, allow_private=True)

        hanging = [asyncio.create_task(told(dead.port)) for _ in range(120)]
        await dead.wait_for_requests(120)
        answer = await asyncio.wait_for(told(chat.port), 20)
        assert isinstance(answer, Response) and answer.status == 200
        for one in hanging:
            one.cancel()
        await asyncio.wait(hanging)
