"""One request to a chat, and what is surely known when it fails. The only place here that speaks HTTP.

No address, header or library error is ever repeated in a reason: they carry tokens.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from urllib.parse import urlsplit, urlunsplit

import aiohttp
from yarl import URL

from ..addresses import NO_HTTP, NO_URL, PRIVATE, is_public
from ..lookups import look_up
from ..settings import TargetSettings
from .notifiers.base import Emission, HttpRequest, Notifier, NotSent, Outcome, Refused, Response, Unknown

MAX_ANSWER = 64 * 1024
MAX_HISTORY = 4 * 1024 * 1024  # bytes of an answer with the messages of a channel, up to 200
_SSL_PORT = 443

Failure = NotSent | Refused | Unknown
Resolve = Callable[[str, int], Awaitable[Sequence[str]]]


async def resolve(host: str, port: int) -> Sequence[str]:
    """The addresses of a name. Raises OSError."""
    return list(dict.fromkeys(str(row[4][0]) for row in await look_up(host, port)))


@dataclass(frozen=True, slots=True)
class Sender:
    """Sends requests of all targets. `emit` is the console."""

    http: aiohttp.ClientSession
    emit: Callable[[str], None]
    resolve: Resolve = field(default=resolve)

    async def send(
        self,
        request: HttpRequest | Emission,
        *,
        timeout: float,
        allow_private: bool,
        not_after: float | None = None,
        max_answer: int = MAX_ANSWER,
    ) -> Response | Failure:
        """The answer, cut at `max_answer` bytes, or why there is none. Does not raise, but for cancellation.

        `not_after`: a time of the loop. Whoever was held up until then may not be the one to send any more.
        """
        if isinstance(request, Emission):
            return _held_up(not_after) or self._print(request)
        try:
            async with asyncio.timeout(timeout + 1.0):  # should the library's own limits ever fail
                checked = await self._checked(request, timeout / 2, allow_private)
                if isinstance(checked, NotSent | Refused):
                    return checked
                return _held_up(not_after) or await self._exchange(request, checked, timeout, max_answer)
        except TimeoutError:
            return Unknown(f"no answer within {timeout:g} s")

    def _print(self, emission: Emission) -> Response | Failure:
        try:
            self.emit(emission.text)
        except OSError as error:
            return NotSent(f"cannot write: {error.strerror}")
        return Response(200)

    async def _checked(
        self, request: HttpRequest, timeout: float, allow_private: bool
    ) -> "_Address | NotSent | Refused":
        try:
            parts = urlsplit(request.url.get_secret_value())
            host, port = parts.hostname, parts.port or _SSL_PORT
        except ValueError:
            host = None
        if not host or parts.scheme not in ("http", "https"):
            return Refused(NO_URL)
        if allow_private:
            return _Address(request.url.get_secret_value(), {}, None)
        if parts.scheme != "https":
            return Refused(NO_HTTP)
        try:
            async with asyncio.timeout(timeout):
                addresses = await self.resolve(host, port)
        except (OSError, UnicodeError):  # TimeoutError is an OSError
            return NotSent("the name of the host could not be resolved")
        if not addresses or not all(is_public(address) for address in addresses):
            return Refused(PRIVATE)
        return pinned(request.url.get_secret_value(), addresses[0])

    async def _exchange(
        self, request: HttpRequest, to: "_Address", timeout: float, max_answer: int
    ) -> Response | Failure:
        limits = aiohttp.ClientTimeout(total=timeout, connect=timeout / 2, sock_connect=timeout / 2)
        # A kept-alive socket that the chat has closed meanwhile would make an outcome unknown for nothing.
        headers = {"User-Agent": "liqwatch", "Connection": "close", **request.headers, **to.headers}
        try:
            async with self.http.request(
                request.method,
                URL(to.url, encoded=True),
                data=request.body,
                headers=headers,
                timeout=limits,
                allow_redirects=False,
                server_hostname=to.server_hostname,
            ) as answer:
                names = {name.lower(): value for name, value in answer.headers.items()}
                return Response(answer.status, names, await _body(answer, max_answer))
        except Exception as error:
            return classify(error, timeout)


def _held_up(not_after: float | None) -> NotSent | None:
    if not_after is None or asyncio.get_running_loop().time() <= not_after:
        return None
    return NotSent("held up before it could be sent")


@dataclass(frozen=True, slots=True)
class _Address:
    """Where to connect, and as whom to speak there."""

    url: str = field(repr=False)
    headers: Mapping[str, str]
    server_hostname: str | None


def pinned(url: str, address: str) -> _Address:
    """`url` with its host replaced by the address that was checked, so that no second look-up can differ."""
    parts = urlsplit(url)
    host = f"[{address}]" if ":" in address else address
    port = f":{parts.port}" if parts.port else ""
    return _Address(
        urlunsplit(parts._replace(netloc=f"{host}{port}")),
        {"Host": f"{parts.hostname}{port}"},
        parts.hostname,
    )


def classify(error: Exception, timeout: float) -> Failure:
    """What a failure of the HTTP library says about the message: not sent, or unknown."""
    match error:
        case aiohttp.ConnectionTimeoutError():
            return NotSent(f"no connection within {timeout / 2:g} s")
        case aiohttp.ClientConnectorDNSError():
            return NotSent("the name of the host could not be resolved")
        case aiohttp.ClientSSLError():
            return NotSent("TLS failed: the certificate or the protocol does not fit")
        case aiohttp.ClientConnectorError():
            return NotSent(f"no connection: {error.os_error.strerror or 'refused'}")
        case aiohttp.InvalidURL():
            return Refused(NO_URL)
        case TimeoutError():
            return Unknown(f"no answer within {timeout:g} s")
        case aiohttp.ClientError() | OSError():
            return Unknown("the connection broke before the answer")
        case _:
            return Unknown(f"failed with {type(error).__name__}")


async def _body(answer: aiohttp.ClientResponse, most: int) -> bytes:
    """What can be had of the body: the status is known already, so a break here loses only words."""
    body = bytearray()
    try:
        while len(body) < most and (part := await answer.content.read(most - len(body))):
            body += part
    except (aiohttp.ClientError, TimeoutError, OSError):
        pass
    return bytes(body)


async def ask(
    sender: Sender,
    request: HttpRequest | Emission,
    settings: TargetSettings,
    *,
    not_after: float | None = None,
    max_answer: int = MAX_ANSWER,
) -> Response | Failure:
    """One request by the settings of its target: see `Sender.send`."""
    return await sender.send(
        request,
        timeout=settings.timeout.total_seconds(),
        allow_private=settings.allow_private,
        not_after=not_after,
        max_answer=max_answer,
    )


async def send(
    notifier: Notifier,
    request: HttpRequest | Emission,
    settings: TargetSettings,
    sender: Sender,
    not_after: float | None = None,
) -> Outcome:
    """One attempt to make a target's notifier heard; not begun after that time of the loop."""
    answer = await ask(sender, request, settings, not_after=not_after)
    return notifier.judge(answer) if isinstance(answer, Response) else answer
