"""`liqwatch run` as a person starts it: no network, a taken port, a log in use, missing topics."""

import asyncio
import signal
import time
from pathlib import Path

from tests.support.config import Setup
from tests.support.program import free_port, running

NOWHERE = "127.0.0.1:9"  # the discard port: nothing listens


def nowhere() -> dict[str, tuple[str, str]]:
    return {
        venue: (f"ws://{NOWHERE}", f"http://{NOWHERE}")
        for venue in ("binance", "bybit", "okx", "bitget", "gate", "htx")
    }


async def test_without_a_network_it_says_per_venue_what_is_wrong_and_names_the_demo(tmp_path: Path) -> None:
    setup = Setup(tmp_path, nowhere())
    config = setup.write()
    async with running(["run", "--config", str(config)], tmp_path, port=setup.ports["run"]) as program:
        async with asyncio.timeout(40):
            while "make demo" not in program.stdout:
                await asyncio.sleep(0.1)
        status, body = await program.ask("/readyz")
        assert status == 503 and any("collector" in reason for reason in body["reasons"])
        started = time.monotonic()
        assert 0 == await program.end(signal.SIGTERM)
        assert time.monotonic() - started < 10
        for venue in nowhere():
            said = [line for line in program.stdout.splitlines() if line.startswith(venue)]
            assert any("down: " in line for line in said), (venue, said)
            assert all("next try in" in line or "trying now" in line for line in said), said
        assert "Traceback" not in program.stdout + program.stderr


async def test_a_taken_port_is_named_and_ends_the_start(tmp_path: Path) -> None:
    setup = Setup(tmp_path, nowhere())
    blocker = await asyncio.start_server(lambda _reader, _writer: None, "127.0.0.1", setup.ports["run"])
    async with blocker, running(["run", "--config", str(setup.write())], tmp_path) as program:
        assert 1 == await asyncio.wait_for(program.process.wait(), 30)
        assert f"cannot listen on 127.0.0.1:{setup.ports['run']}" in program.stderr
        assert "Traceback" not in program.stderr


async def test_a_second_run_on_the_same_log_is_refused_with_the_remedy(tmp_path: Path) -> None:
    setup = Setup(tmp_path, nowhere())
    config = setup.write()
    async with running(["run", "--config", str(config)], tmp_path / "a", port=setup.ports["run"]) as first:
        async with asyncio.timeout(30):
            while (await first.ask("/livez"))[0] != 200 or not (tmp_path / "liqwatch.db").exists():
                await asyncio.sleep(0.1)
        async with running(
            ["run", "--config", str(config)],
            tmp_path / "b",
            environment={"LIQWATCH_HTTP__RUN_PORT": str(free_port())},
        ) as second:
            assert 1 == await asyncio.wait_for(second.process.wait(), 30)
            assert "liqwatch.db" in second.stderr
            assert "Traceback" not in second.stderr


async def test_services_refuse_to_start_on_missing_topics_and_name_the_command(tmp_path: Path) -> None:
    setup = Setup(tmp_path, nowhere())
    async with running(["aggregate", "--config", str(setup.write())], tmp_path) as program:
        assert 1 == await asyncio.wait_for(program.process.wait(), 30)
        assert "liqwatch topics create" in program.stderr
        assert "Traceback" not in program.stderr
