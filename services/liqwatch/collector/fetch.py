"""Reads one public instrument list over HTTP: all its pages, bounded in size, number and time."""

import asyncio
from collections.abc import Mapping
from typing import Any

import aiohttp

from ..venues.base import InstrumentList, Venue
from .addresses import moved, proxy_for
from .failures import Failure, classify, turned_away

LARGEST_PAGE = 32 * 1024 * 1024
MOST_PAGES = 50
_PAGE_SECONDS = 20.0


class ListFailed(Exception):
    """A list could not be read; the text is for people."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(failure.detail)
        self.wait = failure.wait
        self.reason = failure.reason
        self.cause = failure.cause


async def fetch_list(
    http: aiohttp.ClientSession, venue: Venue, listed: InstrumentList, origin: str | None
) -> dict[str, Mapping[str, Any]]:
    """The venue's own objects by symbol. Raises `ListFailed`."""
    objects: dict[str, Mapping[str, Any]] = {}
    url: str | None = listed.url
    seen: set[str] = set()
    while url is not None:
        if url in seen or len(seen) == MOST_PAGES:
            raise ListFailed(Failure("error", f"its pages do not end (more than {len(seen)})"))
        seen.add(url)
        try:
            body = await fetch_body(http, moved(url, origin), listed.post)
            page = await asyncio.to_thread(venue.read_instruments, listed, body)  # a megabyte of JSON: not in the loop
        except ValueError as error:  # not what the documentation promises
            raise ListFailed(Failure("error", f"not readable: {str(error)[:200]}")) from error
        except (aiohttp.ClientError, OSError, TimeoutError, EOFError) as error:
            raise ListFailed(classify(error)) from error
        objects.update(page.objects)
        url = page.next_url
    if not objects:
        raise ListFailed(Failure("error", "it is empty"))
    return objects


async def fetch_body(http: aiohttp.ClientSession, url: str, post: str | None = None) -> bytes:
    """The body of a good answer to GET, or to POST of this JSON. Raises `ListFailed` for any other, and what the client
    raises.
    """
    timeout = aiohttp.ClientTimeout(total=_PAGE_SECONDS, sock_connect=_PAGE_SECONDS / 2)
    method, headers = ("GET", None) if post is None else ("POST", {"Content-Type": "application/json"})
    proxy = proxy_for(url)
    async with http.request(method, url, data=post, headers=headers, timeout=timeout, proxy=proxy) as response:
        if response.status != 200:
            raise ListFailed(turned_away(response.status, response.headers.get("Retry-After")))
        body = bytearray()
        async for chunk in response.content.iter_chunked(1 << 16):
            body += chunk
            if len(body) > LARGEST_PAGE:
                raise ListFailed(Failure("error", f"larger than {LARGEST_PAGE >> 20} MiB"))
        return bytes(body)
