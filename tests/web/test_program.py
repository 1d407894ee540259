"""The page inside `liqwatch run`: at the address it names, off where the settings say so, one to a port."""

import asyncio
from pathlib import Path

import aiohttp
import pytest

from tests.support.config import Setup
from tests.support.program import PORTS, free_port, running

NOWHERE = {"binance": ("ws://127.0.0.1:9", "http://127.0.0.1:9")}  # the discard port: nothing listens


async def test_run_names_the_page_and_it_is_there_without_any_venue(tmp_path: Path) -> None:
    setup = Setup(tmp_path, NOWHERE)
    async with running(["run", "--config", str(setup.write())], tmp_path, port=setup.ports["run"]) as program:
        address = f"http://127.0.0.1:{setup.page_port}/"
        await program.said(f"Live page: {address}")
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


@pytest.mark.timeout(50)
async def test_a_wait_for_a_program_that_ends_ends_with_it_and_says_why(tmp_path: Path) -> None:
    setup = Setup(tmp_path, NOWHERE)
    blocker = await asyncio.start_server(lambda _reader, _writer: None, "127.0.0.1", setup.page_port)
    async with blocker, running(["run", "--config", str(setup.write())], tmp_path) as program:
        with pytest.raises(AssertionError, match=rf"(?s)exit 1\n.*cannot listen on 127.0.0.1:{setup.page_port}"):
            await program.said("Live page", limit=300)


def test_a_port_for_a_program_is_none_that_a_connection_may_take_and_given_once() -> None:
    ports = [free_port() for _ in range(300)]
    assert 300 == len(set(ports))
    assert set(ports) <= set(PORTS)


async def test_the_page_can_be_left_out_of_run(tmp_path: Path) -> None:
    setup = Setup(tmp_path, NOWHERE)
    config = str(setup.write())
    off = {"LIQWATCH_WEB__ENABLED": "false"}
    async with running(["run", "--config", config], tmp_path, port=setup.ports["run"], environment=off) as program:
        await program.said("24h longs")
        assert 200 == (await program.ask("/livez"))[0]
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
