"""One process put together as `run` does it: what a reload changes, and what survives a service that fails."""

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
import structlog

from liqwatch import assembly, configuration, logs
from liqwatch.alerter.service import AlerterService
from liqwatch.assembly import Process

RULE = '[[rules]]\nname = "{}"\nwindow = "{}"\nthresholds = ["1B"]\n'


@pytest.fixture(autouse=True)
def restored() -> Iterator[None]:
    root = logging.getLogger()
    before, level = root.handlers[:], root.level
    yield
    root.handlers[:], root.level = before, level
    structlog.reset_defaults()


def write(folder: Path, rules: str, extra: str = "") -> Path:
    path = folder / "liqwatch.toml"
    path.write_text(f'[log]\npath = "{folder}/x.db"\n{extra}\n[targets.console]\nkind = "console"\n{rules}')
    return path


@contextlib.asynccontextmanager
async def alerting(config: Path) -> AsyncIterator[Process]:
    process = Process("alert", ["alerter"], configuration.read(config, {}), port=0, create_topics=True, config=config)
    running = asyncio.create_task(process.run())
    try:
        async with asyncio.timeout(20):
            await process.ready.wait()
            await until(lambda: process.part("alerter") is not None)
        yield process
    finally:
        process.stop.set()
        assert 0 == await asyncio.wait_for(running, 15)


async def until(condition: Any) -> None:
    async with asyncio.timeout(20):
        while not condition():
            await asyncio.sleep(0.02)


async def test_a_service_that_fails_after_a_reload_comes_back_with_the_reloaded_rules(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with alerting(write(tmp_path, RULE.format("old", "24h"))) as process:
        write(tmp_path, RULE.format("new", "24h"))
        assert [] == process.reload()
        built: list[list[str]] = []
        make = assembly.AlerterService

        def build(log: Any, settings: Any, *rest: Any, **named: Any) -> AlerterService:
            built.append([rule.name for rule in settings.rules])
            if len(built) == 1:
                raise RuntimeError("cannot be built this once")
            return make(log, settings, *rest, **named)

        async def fail(*_: Any) -> None:
            raise RuntimeError("failed")

        monkeypatch.setattr(assembly, "AlerterService", build)
        first = process.part("alerter")
        assert isinstance(first, AlerterService)
        monkeypatch.setattr(first._figures, "stale", lambda *_: 1 / 0)  # the next tick fails
        await until(lambda: len(built) == 2 and process.part("alerter") is not None)
        assert [["new"], ["new"]] == built


async def test_a_rule_on_a_window_that_is_not_added_up_yet_is_refused_at_a_reload(tmp_path: Path) -> None:
    async with alerting(write(tmp_path, RULE.format("old", "24h"))) as process:
        write(tmp_path, RULE.format("new", "2h"), '[aggregator]\nwindows = ["2h", "24h"]')
        assert [
            "rules.0.window: 2h is not kept by what runs now; a new window in aggregator.windows needs a restart"
        ] == process.reload()
        assert ["old"] == [rule.name for rule in process.settings.rules]


async def test_a_secret_that_comes_with_a_reload_is_cut_out_of_the_logs_and_changes_the_hash(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def hook(secret: str) -> str:
        url = "https://chat.example/hook"
        return f'[targets.desk]\nkind = "webhook"\nurl = "{url}"\nsecret = "{secret}"\n'

    config = write(tmp_path, hook("planted-first"))
    settings = configuration.read(config, {})
    logs.configure(settings.logging, list(configuration.secrets(settings)))
    async with alerting(config) as process:

        def hash_now() -> float:
            return process._registry.get_sample_value("liqwatch_config_hash") or 0.0

        before = hash_now()
        write(tmp_path, hook("planted-second"))
        assert [] == process.reload()
        assert before != hash_now()
        structlog.get_logger("alerter").warning("sent planted-second after planted-first")
    err = capsys.readouterr().err
    assert "planted-" not in err and f"sent {logs.MASK} after {logs.MASK}" in err
