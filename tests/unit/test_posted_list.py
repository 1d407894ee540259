"""A list of instruments that a venue gives to POST only."""

from dataclasses import replace

import aiohttp
from aiohttp import web

from liqwatch import venues
from liqwatch.collector.fetch import fetch_list

HYPERLIQUID = venues.discover()["hyperliquid"]


async def test_a_list_with_something_to_post_is_asked_for_by_post_as_json() -> None:
    asked: list[tuple[str, str | None, str]] = []

    async def answer(request: web.Request) -> web.Response:
        asked.append((request.method, request.content_type, await request.text()))
        return web.json_response([{"universe": [{"name": "ETH", "szDecimals": 4}]}])

    app = web.Application()
    app.router.add_post("/info", answer)
    runner = web.AppRunner(app)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        listed = replace(HYPERLIQUID.instrument_lists[0], url=f"http://127.0.0.1:{runner.addresses[0][1]}/info")
        async with aiohttp.ClientSession() as http:
            objects = await fetch_list(http, HYPERLIQUID, listed, None)
    finally:
        await runner.cleanup()

    assert [("POST", "application/json", '{"type":"allPerpMetas"}')] == asked
    assert ["ETH"] == list(objects)
