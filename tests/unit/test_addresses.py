"""What the settings say of an address is what a delivery would say of it."""

from collections.abc import Sequence

import aiohttp
import pytest
from pydantic import SecretStr

from liqwatch.addresses import wrong_address, wrong_token
from liqwatch.alerter.notifiers import discover
from liqwatch.alerter.notifiers.base import HttpRequest, Refused
from liqwatch.alerter.sending import Sender
from liqwatch.settings import SettingsError, load

GOOD = "https://chat.example/hook?a=b"


async def refused(url: str, allow_private: bool) -> str | None:
    async def resolve(host: str, port: int) -> Sequence[str]:
        return [host]

    async with aiohttp.ClientSession() as http:
        request = HttpRequest(SecretStr(url), b"{}")
        answer = await Sender(http, print, resolve).send(request, timeout=5, allow_private=allow_private)
    assert isinstance(answer, Refused)
    return answer.reason


@pytest.mark.parametrize("allow_private", [True, False])
@pytest.mark.parametrize(
    "url", ["", "not a url", "ht!tp://x", "chat.example/x", "ftp://chat.example/x", "https://[::1", "https://h:99999/x"]
)
async def test_what_is_no_address_is_refused_in_the_words_of_the_delivery(url: str, allow_private: bool) -> None:
    assert await refused(url, allow_private) == wrong_address(url, allow_private)


@pytest.mark.parametrize(
    "url",
    [
        "http://chat.example/x", "https://127.0.0.1/x", "https://10.0.0.1/x", "https://[::1]/x", "https://[fd00::1]/x",
        "https://[::ffff:10.0.0.1]/x", "https://224.0.0.1/x", "https://169.254.169.254/x", "HTTP://chat.example/x",
    ],
)  # fmt: skip
async def test_what_needs_allow_private_is_refused_without_it_in_the_words_of_the_delivery(url: str) -> None:
    assert await refused(url, False) == wrong_address(url, False)
    assert wrong_address(url, True) is None


@pytest.mark.parametrize(
    "url",
    [GOOD, f"{GOOD}\n", f" {GOOD}", "https://chat.example:8443", "https://93.184.215.14/x", "https://[2606:2800::1]/x"],
)
def test_an_address_that_can_be_sent_to_is_not_refused(url: str) -> None:
    assert wrong_address(url, False) is None


@pytest.mark.parametrize("url", ["https://chat.example/a b", "https://chat example/x", "https://chat.example/\x00"])
def test_an_address_that_would_break_the_request_is_refused(url: str) -> None:
    assert "the address has a space or a control character in it; write %20 for a space" == wrong_address(url, True)


@pytest.mark.parametrize("character", ["\n", "\r", "\t", "\x00", "\x7f", "\x85"])
def test_a_token_has_no_control_characters(character: str) -> None:
    assert wrong_token("xoxb-1") is None
    assert wrong_token(f"xoxb{character}1") is not None


def test_every_kind_of_chat_is_checked() -> None:
    for kind in set(discover()) - {"console"}:
        target = {"kind": kind, "url": "no", "token": "n\no", "channel": "1", "secret": "s", "api_origin": "no"}
        with pytest.raises(SettingsError, match=r"targets\.x\.(url|api_origin): the address is not an http\(s\) URL"):
            load({"targets": {"x": target}}, {}, ())
