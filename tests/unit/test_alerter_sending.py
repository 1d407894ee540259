"""Where a request may go, and what its failure says."""

import asyncio
import os
import socket
from collections.abc import Sequence
from ipaddress import IPv4Address

import aiohttp
import pytest
from pydantic import SecretStr

from liqwatch.addresses import is_public
from liqwatch.alerter.notifiers.base import HttpRequest, NotSent, Refused, Response, Unknown
from liqwatch.alerter.notifiers.slack import SlackWebhook
from liqwatch.alerter.pace import Bucket
from liqwatch.alerter.sending import Sender, classify, pinned
from tests.support.chat_server import ChatServer, Fault

PRIVATE = "the host is in a private network; set allow_private if that is meant"


def resolves_to(*addresses: str) -> "object":
    async def resolve(_host: str, _port: int) -> Sequence[str]:
        return addresses

    return resolve


async def sent(
    url: str, *, allow_private: bool = False, addresses: Sequence[str] = ("127.0.0.1",), timeout: float = 30
) -> object:
    async with aiohttp.ClientSession() as http:
        sender = Sender(http, print, resolves_to(*addresses))  # type: ignore[arg-type]
        request = HttpRequest(SecretStr(url), b"{}")
        return await sender.send(request, timeout=timeout, allow_private=allow_private)


@pytest.mark.parametrize(
    ("url", "addresses", "reason"),
    [
        ("http://chat.example/x", (), "http is not used unless allow_private is set; write https"),
        ("ftp://chat.example/x", (), "the address is not an http(s) URL"),
        ("not a url", (), "the address is not an http(s) URL"),
        ("https://[::1", (), "the address is not an http(s) URL"),
        ("https://h:99999/x", (), "the address is not an http(s) URL"),
        (
            "https://chat.example/x",
            ("10.0.0.1",),
            PRIVATE,
        ),
        (
            "https://chat.example/x",
            ("93.184.215.14", "127.0.0.1"),
            PRIVATE,
        ),
    ],
)
async def test_where_nothing_is_sent(url: str, addresses: Sequence[str], reason: str) -> None:
    assert Refused(reason) == await sent(url, addresses=addresses)


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("93.184.215.14", True), ("2606:2800:21f:cb07:6820:80da:af6b:8b2c", True), ("127.0.0.1", False),
        ("10.1.2.3", False), ("192.168.1.1", False), ("172.16.0.1", False), ("169.254.169.254", False),
        (str(IPv4Address(0)), False), ("100.64.0.1", False), ("::1", False), ("fe80::1", False), ("fd00::1", False),
        ("::ffff:10.0.0.1", False), ("224.0.0.1", False), ("nonsense", False),
    ],
)  # fmt: skip
def test_only_addresses_of_the_open_internet_are_public(address: str, expected: bool) -> None:
    assert expected is is_public(address)


def test_the_checked_address_is_the_one_that_is_used() -> None:
    to = pinned("https://chat.example:8443/hook?k=1", "2606:2800::1")
    assert ("https://[2606:2800::1]:8443/hook?k=1", {"Host": "chat.example:8443"}, "chat.example") == (
        to.url, to.headers, to.server_hostname,
    )  # fmt: skip


async def test_a_redirect_is_not_followed() -> None:
    async with ChatServer([Fault("status", code=302)]) as chat:
        answer = await sent(f"http://127.0.0.1:{chat.port}/slack/x", allow_private=True)
        assert isinstance(answer, Response) and answer.status == 302
        assert 1 == chat.requests


async def test_a_closed_port_is_surely_not_sent() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    answer = await sent(f"http://127.0.0.1:{port}/x", allow_private=True)
    assert isinstance(answer, NotSent)


async def test_a_name_that_does_not_resolve_is_surely_not_sent() -> None:
    async def fails(_host: str, _port: int) -> Sequence[str]:
        raise socket.gaierror

    async with aiohttp.ClientSession() as http:
        answer = await Sender(http, print, fails).send(
            HttpRequest(SecretStr("https://chat.example/x"), b""), timeout=30, allow_private=False
        )
    assert NotSent("the name of the host could not be resolved") == answer


async def test_whoever_was_held_up_too_long_sends_nothing() -> None:
    async with ChatServer() as chat, aiohttp.ClientSession() as http:
        request = HttpRequest(SecretStr(f"http://127.0.0.1:{chat.port}/hook"), b"{}")
        now = asyncio.get_running_loop().time()
        late, early = [
            await Sender(http, print).send(request, timeout=30, allow_private=True, not_after=at)
            for at in (now - 0.1, now + 60)
        ]
        assert NotSent("held up before it could be sent") == late
        assert isinstance(early, Response) and 1 == chat.requests


async def test_a_server_without_tls_is_surely_not_sent() -> None:
    async with ChatServer() as chat:
        answer = await sent(f"https://127.0.0.1:{chat.port}/x", allow_private=True)
        assert isinstance(answer, NotSent) and "TLS" in answer.reason


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        (Fault("silent"), "no answer within 2 s"),
        (Fault("reset"), "the connection broke before the answer"),
    ],
)
async def test_after_the_body_went_out_a_failure_is_unknown(fault: Fault, reason: str) -> None:
    async with ChatServer([fault]) as chat:
        answer = await sent(f"http://127.0.0.1:{chat.port}/slack/x", allow_private=True, timeout=2)
        assert Unknown(reason) == answer


def test_no_library_error_is_repeated() -> None:
    assert Unknown("failed with RuntimeError") == classify(RuntimeError("https://chat/secret"), 1.0)


async def test_a_console_that_cannot_be_written_to_is_tried_again() -> None:
    from liqwatch.alerter.notifiers.base import Emission

    def broken(_text: str) -> None:
        raise BrokenPipeError(32, os.strerror(32))

    async with aiohttp.ClientSession() as http:
        answer = await Sender(http, broken).send(Emission("x"), timeout=30, allow_private=False)
    assert NotSent("cannot write: Broken pipe") == answer


def test_a_bucket_lets_a_burst_through_and_then_keeps_the_pace() -> None:
    bucket = Bucket(SlackWebhook(SecretStr("")).rate)
    waits = []
    for _ in range(6):
        waits.append(bucket.wait(100.0))
        bucket.use(100.0 + waits[-1])
    assert [0, 0, 0, 0, 1, 2] == waits
    assert bucket.wait(200.0) == 0
