"""Names of hosts, each looked up in a thread of its own: one whose name server hangs keeps no other waiting.

The loop's own look-ups share a few threads (six on two cores), so that a handful of hosts that cannot be resolved would
hold up every chat and every venue, for as long as the system's resolver takes to give up: half a minute is common.
"""

import asyncio
import contextlib
import socket
import threading
from typing import Any

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult
from typing_extensions import override

Found = list[tuple[Any, ...]]  # as `socket.getaddrinfo` has it


async def look_up(host: str, port: int, family: int = socket.AF_UNSPEC) -> Found:
    """The addresses of a host for TCP. Raises OSError, or UnicodeError for what is no name at all."""
    loop = asyncio.get_running_loop()
    found: asyncio.Future[Found] = loop.create_future()

    def settle(answer: Found | Exception) -> None:
        if found.done():
            return  # nobody waits any more
        if isinstance(answer, Exception):
            found.set_exception(answer)
        else:
            found.set_result(answer)

    def work() -> None:
        answer: Found | Exception
        try:
            answer = list(socket.getaddrinfo(host, port, family=family, type=socket.SOCK_STREAM))
        except (OSError, UnicodeError) as error:
            answer = error
        with contextlib.suppress(RuntimeError):  # the loop has ended meanwhile
            loop.call_soon_threadsafe(settle, answer)

    # A daemon: it would else hold up the end of the program as long as the name server hangs.
    threading.Thread(target=work, name="look-up", daemon=True).start()
    return await found


class Resolver(AbstractResolver):
    """The same for the HTTP client, which remembers answers for some seconds."""

    @override
    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        results = []
        for kind, _, protocol, _, address in await look_up(host, port, family):
            flags = socket.NI_NUMERICHOST | socket.NI_NUMERICSERV
            numeric = socket.getnameinfo(address, flags)[0] if kind == socket.AF_INET6 and address[3] else address[0]
            results.append(
                ResolveResult(
                    hostname=host,
                    host=numeric,
                    port=address[1],
                    family=kind,
                    proto=protocol,
                    flags=socket.AI_NUMERICHOST | socket.AI_NUMERICSERV,
                )
            )
        return results

    @override
    async def close(self) -> None:
        """Nothing is held."""


def connector() -> aiohttp.TCPConnector:
    """For the one client of a process. No limit of sockets for all hosts together: those that hang would use it up.
    Whoever sends has at most one request or two under way."""
    return aiohttp.TCPConnector(limit=0, resolver=Resolver())
