"""A venue that nobody has proven is told of, and left alone until the settings ask for it."""

import asyncio
import contextlib
import json
import logging
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
import structlog

from liqwatch import configuration, venues
from liqwatch.assembly import Process, enabled_venues
from liqwatch.collector.service import CollectorService
from tests.support.program import liqwatch

VENUES = venues.discover()
UNPROVEN = sorted(name for name, venue in VENUES.items() if venue.completeness == "unproven")
NOWHERE = 'websocket_origin = "ws://127.0.0.1:9"\nrest_origin = "http://127.0.0.1:9"\n'  # nothing listens there


@pytest.fixture(autouse=True)
def restored() -> Iterator[None]:
    root = logging.getLogger()
    before, level = root.handlers[:], root.level
    yield
    root.handlers[:], root.level = before, level
    structlog.reset_defaults()


def write(folder: Path, asked_for: dict[str, bool]) -> Path:
    """Settings that turn the named venues on or off, and lead every venue nowhere."""
    path = folder / "liqwatch.toml"
    tables = [
        f"[venues.{name}]\n{NOWHERE}" + (f"enabled = {str(asked_for[name]).lower()}\n" if name in asked_for else "")
        for name in VENUES
    ]
    path.write_text(f'[log]\npath = "{folder}/x.db"\n[collector]\nspool_path = "{folder}/spool"\n' + "".join(tables))
    return path


@contextlib.asynccontextmanager
async def collecting(config: Path) -> AsyncIterator[CollectorService]:
    """The collector of a process put together from the settings, as `liqwatch collect` does it."""
    process = Process(
        "collect", ["collector"], configuration.read(config, {}), port=0, create_topics=True, config=config
    )
    running = asyncio.create_task(process.run())
    try:
        async with asyncio.timeout(20):
            await process.ready.wait()
            while not isinstance(collector := process.part("collector"), CollectorService):
                await asyncio.sleep(0.02)
        yield collector
    finally:
        process.stop.set()
        assert 0 == await asyncio.wait_for(running, 15)


async def test_unproven_venues_are_not_collected_unless_asked_for(tmp_path: Path) -> None:
    proven = {name: False for name in VENUES if name not in UNPROVEN}

    async with collecting(write(tmp_path, {**proven, "bybit": True})) as collector:
        without = {state.venue for state in collector.states()}
    async with collecting(write(tmp_path, {**proven, "bybit": True, "poloniex": True})) as collector:
        with_it = {state.venue for state in collector.states()}

    assert {"bybit"} == without
    assert {"bybit", "poloniex"} == with_it


def test_by_default_every_proven_venue_is_collected(tmp_path: Path) -> None:
    settings = configuration.read(write(tmp_path, {}), {})

    assert sorted(set(VENUES) - set(UNPROVEN)) == sorted(enabled_venues(settings))


def test_the_unproven_are_the_five_and_each_says_its_doubt() -> None:
    assert ["bitmart", "coinbase_international", "deepcoin", "poloniex", "zoomex"] == UNPROVEN
    assert all(not VENUES[name].enabled_by_default and VENUES[name].doubts.endswith(".") for name in UNPROVEN)


def test_the_table_of_venues_shows_them_off_and_unproven() -> None:
    rows = {row["venue"]: row for row in json.loads(liqwatch("venues", "--json").stdout)}
    table = liqwatch("venues").stdout.splitlines()

    for name in UNPROVEN:
        facts: dict[str, Any] = rows[name]
        assert (False, "unproven") == (facts["enabled_by_default"], facts["completeness"])
        assert facts["doubts"]
        (line,) = [line for line in table if line.startswith(f"| {name} ")]
        assert ["", f"{name} (off)", "unproven"] == [cell.strip() for cell in line.split("|")[:3]]
        assert f"- {name}: {facts['doubts']}" in table
