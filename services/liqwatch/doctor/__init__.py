"""Tries every enabled venue, the log and the chats once, and says what works, what does not and why."""

import asyncio

import aiohttp

from ..assembly import enabled_venues
from ..clock import Clock
from ..settings import Settings
from .chats import try_chats
from .finding import Finding
from .logs import try_log
from .venues import try_venue

__all__ = ["Finding", "examine"]


async def examine(settings: Settings, wait: float) -> list[Finding]:
    """Every finding: the log, the chats, then the venues by name.

    `wait`: so many seconds a feed has to show that it delivers.
    """
    clock = Clock()
    async with aiohttp.ClientSession() as http:
        parts = await asyncio.gather(
            try_log(settings, clock),
            try_chats(settings, http),
            *(try_venue(venue, settings, http, clock, wait) for venue in enabled_venues(settings).values()),
        )
    return [finding for part in parts for finding in part]
