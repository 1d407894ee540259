"""The page inside `liqwatch run`: at the address it names, off where the settings say so, one to a port."""

import asyncio
from pathlib import Path

import aiohttp

from tests.support.config import Setup
from tests.support.program import running
from tests.support.waiting import until

NOWHERE = {"binance": ("ws://127.0.0.1:9", "http://127.0.0.1:9")}  # the discard port: nothing listens


async def test_run_names_the_page_and_it_is_there_without_any_venue(tmp_path: Path) -> None:
    setup = Setup(tmp_path, NOWHERE)
    async with running(["run", "--config", str(setup.write())], tmp_path, port=setup.ports["run"]) as program:
        address = f"http://127.0.0.1:{setup.page_port}/"
        await until(lambda: f"Live page: {address}" in program.stdout, 60)
        async with aiohttp.ClientSession() as http, http.get(address) as response:
            assert 200 == response.status
            assert "<title>liqwatch</title>" in await response.text()
        assert 0 == await program.end()


async def test_a_taken_port_of_the_page_ends_the_start_and_is_named(tmp_path: Path) -> None:
    setup = Setup(tmp_path, NOWHERE)
    blocker = await asyncio.start_server(lambda _reader, _writer: None, "127.0.0.1", setup.page_port)
    async with blocker, running(["run", "--config", str(setup.write())], tmp_path) as program:
        assert 1 == await asyncio.wait_for(program.process.wait(), 60)
        assert f"cannot listen on 127.0.0.1:{setup.page_port} for the page" in program.stderr
        assert "web.port" in program.stderr and "Traceback" not in program.stderr


async def test_the_page_can_be_left_out_of_run(tmp_path: Path) -> None:
    setup = Setup(tmp_path, NOWHERE)
    config = str(setup.write())
    off = {"LIQWATCH_WEB__ENABLED": "false"}
    async with running(["run", "--config", config], tmp_path, port=setup.ports["run"], environment=off) as program:
        async with asyncio.timeout(60):
            while (await program.ask("/livez"))[0] != 200 or "24h longs" not in program.stdout:
                await asyncio.sleep(0.1)
        assert "Live page" not in program.stdout
        assert "liqwatch_web_viewers" not in (await program.ask("/metrics"))[1]
        assert 0 == await program.end()


async def test_check_config_says_when_others_can_reach_the_page(tmp_path: Path) -> None:
    setup = Setup(tmp_path, NOWHERE)
    config = str(setup.write())
    open_to_all = {"LIQWATCH_WEB__HOST": "0.0.0.0"}  # noqa: S104 - what it is about
    async with running(["check-config", config], tmp_path, environment=open_to_all) as check:
        assert 0 == await asyncio.wait_for(check.process.wait(), 60), check.stderr
        assert "web.host 0.0.0.0: others can reach the page" in check.stdout
    async with running(["check-config", config], tmp_path) as check:
        assert 0 == await asyncio.wait_for(check.process.wait(), 60), check.stderr
        assert "web.host" not in check.stdout
