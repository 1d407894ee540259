"""The live page in a real Chromium: a crash is played, and what people see is what the API says."""

import asyncio
import contextlib
import os
import re
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

import aiohttp
import pytest
from playwright.async_api import Page, Route, expect

from liqwatch.alerter.text import money
from liqwatch.simulator import Simulator
from liqwatch.simulator.scenarios import named
from liqwatch.wire import micros
from tests.support.browser import Complaints, barriers, chromium, chromium_path
from tests.support.config import Setup
from tests.support.cut_line import CutLine, cut_line
from tests.support.liquidations import liquidation
from tests.support.program import running
from tests.support.waiting import until
from tests.support.web_stage import web_stage

pytestmark = [pytest.mark.chromium, pytest.mark.timeout(240)]

SPEED = 4000.0  # eleven hours in ten seconds
VENUES = ("binance", "bybit", "gate", "htx", "okx")
HOUR_MS = 3_600_000
LIMIT = 60_000  # milliseconds; generous for slow machines
RULES = """
[[rules]]
name = "longs-24h"
side = "long"
window = "24h"
thresholds = ["1B", "1.7B", "3B", "5B", "10B"]
severity = "critical"
"""


class Watched(NamedTuple):
    """The program after a crash, a page that shows it, and the line between them."""

    page: Page
    line: CutLine
    direct: str
    http: aiohttp.ClientSession
    complaints: Complaints
    simulator: Simulator

    async def api(self, path: str, **parameters: str) -> Any:
        async with self.http.get(f"{self.direct}/api/v1/{path}", params=parameters) as response:
            assert response.status == 200
            return await response.json()


@pytest.fixture(autouse=True)
def needs_chromium() -> Iterator[None]:
    chromium_path()
    yield


@pytest.fixture
async def watched(tmp_path: Path) -> AsyncIterator[Watched]:
    """`liqwatch run` on simulated venues that have played a crash in present time while the page was open."""
    async with contextlib.AsyncExitStack() as stack:
        crash = replace(named("crash-day", orders=4_000), lasts_ms=11 * HOUR_MS)  # not the night after it
        simulator = await stack.enter_async_context(Simulator(crash, speed=SPEED, venues=VENUES))
        origins = {name: (origin.websocket, origin.rest) for name, origin in simulator.origins.items()}
        setup = Setup(tmp_path, origins, rules=RULES)
        command = ["run", "--config", str(setup.write())]
        program = await stack.enter_async_context(running(command, tmp_path, port=setup.ports["run"]))
        await program.ready()
        await until(lambda: f"Live page: http://127.0.0.1:{setup.page_port}/" in program.stdout, LIMIT / 1000)
        line = await stack.enter_async_context(cut_line("127.0.0.1", setup.page_port))
        browser = await stack.enter_async_context(chromium())
        page = await browser.new_page(viewport={"width": 1400, "height": 1000}, color_scheme="light")
        complaints = Complaints(page)
        await page.goto(line.origin)
        await expect(page.locator("#connection")).to_have_text("live", timeout=LIMIT)
        http = await stack.enter_async_context(aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=20)))
        direct = f"http://127.0.0.1:{setup.page_port}"
        seen = Watched(page, line, direct, http, complaints, simulator)
        async with asyncio.timeout(LIMIT / 1000):
            while {"watched"} != {venue["state"] for venue in (await seen.api("venues"))["venues"]}:
                await asyncio.sleep(0.1)
        async with asyncio.timeout(120):
            await simulator.play()
        yield seen


async def test_the_page_shows_the_crash_as_the_api_and_the_venues_tell_it(watched: Watched) -> None:
    page = watched.page
    for side in ("long", "short"):  # when all has arrived: what the venues have sent, to the micro-dollar
        await expect(page.locator(f"#{side}-usd")).to_have_text(money(watched.simulator.books.usd(side)), timeout=LIMIT)
    total = await watched.api("totals", window="24h")
    for side in ("long", "short"):
        assert watched.simulator.books.usd(side) == micros(total[side]["usd"])
        await expect(page.locator(f"#{side}-count")).to_have_text(f"{total[side]['count']:,} orders")
        assert "at least" == await page.locator(f"#{side}-floor").text_content()
    await expect(page.locator("#largest")).to_contain_text(total["largest"]["symbol"])
    await expect(page.locator("#largest")).to_contain_text(money(micros(total["largest"]["notional_usd"])))
    (rung,) = total["rungs"]
    await expect(page.locator("#rungs")).to_contain_text(money(micros(rung["distance_usd"])))
    await expect(page).to_have_title(re.compile(re.escape(money(micros(total["long"]["usd"])))))

    for window in ("1h", "4h", "12h", "24h"):
        await page.get_by_role("button", name=window, exact=True).click()
        shown = await watched.api("totals", window=window)
        await expect(page.locator("#long-usd")).to_have_text(money(micros(shown["long"]["usd"])))
        await expect(page.locator("#totals-title")).to_contain_text(
            {"1h": "1 hour"}.get(window, f"{window[:-1]} hours")
        )

    venues = (await watched.api("venues"))["venues"]
    rows = page.locator("#venues tbody tr")
    await expect(rows).to_have_count(len(venues))
    for number, venue in enumerate(venues):
        await expect(rows.nth(number)).to_contain_text(venue["title"])
        await expect(rows.nth(number)).to_contain_text(
            money(micros(venue["windows"]["24h"]["long_usd"])), timeout=LIMIT
        )
        await expect(rows.nth(number)).to_contain_text("watched")

    coin = await watched.api("totals", window="24h", scope="base=BTC")
    tile = page.locator("#treemap li", has_text=re.compile("^BTC"))
    await expect(tile).to_have_attribute(
        "title", re.compile(re.escape(money(micros(coin["total"]["usd"])))), timeout=LIMIT
    )

    await page.locator("#size").select_option("5000000")
    events = (await watched.api("events", min_usd="5000000", limit="60"))["events"]
    assert events
    tape = page.locator("#tape tbody tr")
    await expect(tape).to_have_count(len(events))
    for number in (0, len(events) - 1):
        await expect(tape.nth(number)).to_contain_text(events[number]["symbol"])
        await expect(tape.nth(number)).to_contain_text(money(micros(events[number]["notional_usd"])))

    (incident,) = (await watched.api("incidents"))["incidents"]
    shown_incident = page.locator("#open > li")
    await expect(shown_incident).to_have_count(1)
    await expect(shown_incident.locator(".headline")).to_have_text(incident["steps"][-1]["headline"])
    assert {"fired", "stepped_up"} <= {step["kind"] for step in incident["steps"]}
    told = shown_incident.locator(".steps li")
    await expect(told).to_have_count(len(incident["steps"]))
    await expect(told.last).to_contain_text(f"fired: {incident['steps'][0]['headline']} to console (accepted)")
    await expect(page.locator("#chart canvas")).to_have_count(1)
    assert [] == watched.complaints.found


async def test_a_cut_connection_shows_with_the_time_of_the_figures_and_heals(watched: Watched) -> None:
    connection = watched.page.locator("#connection")
    before = await watched.page.locator("#long-usd").text_content()
    await watched.line.cut()
    await expect(connection).to_have_text(re.compile(r"^disconnected, figures as of \d\d:\d\d:\d\d$"), timeout=LIMIT)
    assert before == await watched.page.locator("#long-usd").text_content()
    await asyncio.sleep(3)  # long enough for something to be missed
    del watched.line.asked[:]
    await watched.line.mend()
    await expect(connection).to_have_text("live", timeout=LIMIT)
    assert re.search(rb"(?i)last-event-id: [0-9a-f]{8}-\d+|last_event_id=[0-9a-f]{8}-\d+", watched.line.asked)
    total = await watched.api("totals", window="24h")
    await expect(watched.page.locator("#long-usd")).to_have_text(money(micros(total["long"]["usd"])))


async def test_the_page_keeps_nobody_out(watched: Watched) -> None:
    page = watched.page
    widths = (360, 390, 768, 1400, 2560)
    for scheme, width in ((scheme, width) for scheme in ("light", "dark") for width in widths):
        await page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
        await page.set_viewport_size({"width": width, "height": 900})
        await page.wait_for_timeout(600)  # the tiles are placed anew
        assert [] == await barriers(page), (scheme, width)
        assert await page.evaluate("document.scrollingElement.scrollWidth <= innerWidth"), "it scrolls sideways"
        for name in ("How to read this", "at least"):
            await page.get_by_role("button", name=name).first.click()
            assert [] == await barriers(page), (scheme, width, name)
            await page.keyboard.press("Escape")
            await expect(page.locator("#about")).to_be_hidden()
    await _is_worked_by_keys(page)
    assert [] == watched.complaints.found
    await page.evaluate("document.querySelector('#both').style.color = '#444'")  # on dark
    assert any("color-contrast" in found for found in await barriers(page)), "the check sees nothing"


async def _is_worked_by_keys(page: Page) -> None:
    await page.locator("body").focus()
    reached: set[str] = set()
    for _ in range(40):
        await page.keyboard.press("Tab")
        reached.add(
            await page.evaluate(
                "(e => e.dataset.choice || e.id || e.getAttribute('aria-label') || e.tagName)(document.activeElement)"
            )
        )
    assert {"The tape, a table that scrolls", "The venues, a table that scrolls"} <= reached
    assert {"5m", "1h", "24h", "60", "300", "size", "SUMMARY", "A", "help-button", "long-floor", "chart"} <= reached
    await page.get_by_role("button", name="1h", exact=True).focus()
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("button", name="1h", exact=True)).to_have_attribute("aria-pressed", "true")
    await expect(page.locator("#window-words")).to_have_text("1 hour")
    await page.locator("#chart").focus()
    for key in ("Home", "ArrowRight"):
        await page.keyboard.press(key)
    await expect(page.locator("#chart-said")).to_have_text(
        re.compile(r"^\d\d:\d[05]: longs nobody watched, shorts nobody")
    )


async def test_a_venue_shows_when_it_was_not_watched_and_why(tmp_path: Path) -> None:
    async with web_stage(tmp_path) as stage, chromium() as browser:
        now_ms = stage.clock.now_ms()
        await stage.watched("bybit", now_ms - 25 * HOUR_MS, now_ms - 5 * HOUR_MS, open=False, ended_by="all: silent")
        await stage.watched("bybit", now_ms - 3 * HOUR_MS, now_ms - 2 * HOUR_MS, open=False, ended_by="all: closed")
        await stage.watched(
            "bybit", now_ms - 5 * HOUR_MS, now_ms - 4 * HOUR_MS, open=False, kind="filled", interval_id="f"
        )
        await stage.watched("bybit", now_ms - HOUR_MS, now_ms)
        await stage.totals("all", "5000000")
        await stage.beat()
        await stage.settled()
        page = await browser.new_page()
        complaints = Complaints(page)
        await page.goto(stage.origin)
        await expect(page.locator("#unwatched")).to_have_text("Not watched now: Binance.")
        row = page.locator("#venues tbody tr", has_text="Bybit")
        await expect(row.get_by_role("img")).to_have_attribute("aria-label", "2 gaps in the last 24 hours")
        strip = row.locator(".strip rect")
        assert ["watched", "filled", "gap", "gap"] == [await one.get_attribute("class") for one in await strip.all()]
        wide = [float(await one.get_attribute("width") or 0) for one in await strip.all()]
        assert [1440, 60, 60, 60] == [round(one) for one in wide]
        clock = "%Y-%m-%d %H:%M:%S"
        opened = datetime.fromtimestamp((now_ms - 2 * HOUR_MS) // 1000, UTC).strftime(clock)
        ended = datetime.fromtimestamp((now_ms - HOUR_MS) // 1000, UTC).strftime("%H:%M:%S")
        words = f"{opened} to {ended} (1 h): all: closed"
        assert words == await strip.last.locator("title").text_content()

        button = row.get_by_role("button")
        await button.focus()
        await page.keyboard.press("Enter")
        listed = page.locator("#about li")
        await expect(listed).to_have_count(3)
        await expect(listed.first).to_have_text(words)
        await expect(listed.last).to_contain_text("all: silent; read from the venue's own list afterwards")
        await expect(page.locator("#about-title")).to_have_text(
            re.compile(r"^Bybit: watched 91\.[67] % of the last 24 hours$")
        )
        assert [] == await barriers(page)
        await page.keyboard.press("Escape")
        await expect(button).to_be_focused()  # though the table has been told anew meanwhile
        await page.wait_for_timeout(2500)
        await expect(button).to_be_focused()

        await page.locator("#long-floor").click()
        await expect(page.locator("#about-text")).to_contain_text("Binance publishes only a part of the orders.")
        await expect(page.locator("#about-text")).to_contain_text("Not watched all the time in the last 24h:")
        await page.get_by_role("button", name="Close").click()
        assert [] == complaints.found
        await page.close()


async def test_who_is_new_and_sees_nothing_is_told_why(tmp_path: Path) -> None:
    async with web_stage(tmp_path) as stage, chromium() as browser:
        page = await browser.new_page()
        await page.goto(stage.origin)
        await expect(page.locator("#unwatched")).to_contain_text("No venue is watched now")
        await expect(page.locator("#coverage")).to_contain_text("0 % of the window on 2 venues")
        await expect(page.locator("#coverage")).not_to_contain_text("only since")
        await stage.watched("bybit", stage.clock.now_ms() - HOUR_MS, stage.clock.now_ms())
        await expect(page.locator("#unwatched")).to_have_text("Not watched now: Binance.")
        await expect(page.locator("#coverage")).to_contain_text("only since 20")
        await page.close()


async def test_the_day_moves_on_though_nothing_comes(tmp_path: Path) -> None:
    async with web_stage(tmp_path) as stage, chromium() as browser:
        page = await browser.new_page()
        asked: list[str] = []

        async def an_old_answer_first(route: Route) -> None:
            answer = await route.fetch()
            body = await answer.json()
            body["as_of_ms"] -= 0 if asked else 10 * 60_000
            asked.append(route.request.url)
            await route.fulfill(response=answer, json=body)

        await page.route("**/api/v1/bars?*", an_old_answer_first)
        await page.goto(stage.origin)
        await until(lambda: len(asked) == 2, LIMIT / 1000)
        await page.close()


async def test_a_symbol_never_becomes_markup(tmp_path: Path) -> None:
    evil = "<img src=x onerror=alert(1)>"
    async with web_stage(tmp_path) as stage, chromium() as browser:
        event = liquidation("e", stage.clock.now_ms(), "5000000", base=evil)
        await stage.liquidation(event)
        await stage.totals(f"base={evil}", "5000000")
        await stage.totals("all", "5000000")
        await stage.settled()
        page = await browser.new_page()
        complaints = Complaints(page)
        await page.goto(stage.origin)
        await expect(page.locator("#tape tbody")).to_contain_text(evil)
        await expect(page.locator("#treemap")).to_contain_text(evil)
        assert 0 == await page.locator("img").count()
        assert [] == complaints.found
        await page.close()


async def test_a_day_in_one_picture(tmp_path: Path) -> None:
    """The demo at the height of its crash; PAGE_PICTURE=docs/page.png keeps what is seen."""
    async with running(["demo", "--speed", "1200"], tmp_path) as program, chromium() as browser:
        await until(lambda: "Live page: " in program.stdout, LIMIT / 1000)
        origin = re.search(r"Live page: (\S+)", program.stdout)
        assert origin is not None
        page = await browser.new_page(viewport={"width": 1280, "height": 1240}, color_scheme="light")
        complaints = Complaints(page)
        await page.goto(origin[1])
        # The last rung is passed when the crash is over and the day is still in the window.
        await expect(page.locator("#rungs")).to_contain_text("past the last threshold", timeout=90_000)
        await expect(page.locator("#open > li").first).to_be_visible(timeout=LIMIT)
        await expect(page.locator("#stale")).to_be_hidden(timeout=LIMIT)
        await expect(page.locator("#chart")).to_have_attribute(
            "aria-label", re.compile(r"longs \$1[12]\.\dB"), timeout=LIMIT
        )
        await page.wait_for_timeout(4000)  # the lines have caught up with the figures
        picture = Path(os.environ.get("PAGE_PICTURE", tmp_path / "page.png"))
        await page.screenshot(path=picture)
        assert 20_000 < picture.stat().st_size < 400_000
        assert [] == complaints.found
        await page.close()
