"""Runs Debian's Prometheus on 127.0.0.1 with the project's scrape configuration, and asks it."""

import asyncio
import contextlib
import math
import os
import re
import shutil
import subprocess
import time
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from .program import free_port
from .repository import ROOT

CONFIGURATION = ROOT / "deploy" / "prometheus" / "prometheus.yml"
RULES = sorted(CONFIGURATION.parent.glob("*.rules.yml"))
SCRAPE_SECONDS = 1  # in tests; the shipped interval is for months
START_LIMIT = 60.0


def require_prometheus() -> None:
    """Skips, with what to install; in CI, where it has to be there, fails."""
    missing = [name for name in ("prometheus", "promtool") if shutil.which(name) is None]
    if missing:
        reason = f"{' and '.join(missing)} not found: on Debian, apt-get install prometheus"
        if os.environ.get("CI") == "true":
            pytest.fail(reason)
        pytest.skip(reason)


def promtool(*arguments: str, text: str | None = None) -> subprocess.CompletedProcess[str]:
    """What promtool says of files, or of `text` on its standard input."""
    return subprocess.run(["promtool", *arguments], input=text, capture_output=True, text=True, check=False, timeout=60)


def complaints(page: str) -> list[str]:
    """What promtool says of a page of metrics. Names of Python's own collectors are not ours to choose."""
    done = promtool("check", "metrics", text=page)
    assert done.returncode in (0, 3), done.stderr
    return [line for line in (done.stdout + done.stderr).splitlines() if line.startswith("liqwatch_")]


class Prometheus:
    """A running Prometheus."""

    def __init__(self, origin: str, http: aiohttp.ClientSession) -> None:
        self._origin = origin
        self._http = http
        self.started = time.time()

    async def ask(self, path: str, **parameters: str) -> Any:
        async with self._http.get(f"{self._origin}{path}", params=parameters) as response:
            body = await response.json()
            if response.status != 200:
                raise AssertionError(f"{parameters}: {body}")
            return body["data"]

    async def targets_up(self) -> dict[str, bool]:
        """Per job whether its last scrape succeeded."""
        found = await self.ask("/api/v1/query", query="up")
        return {series["metric"]["job"]: series["value"][1] == "1" for series in found["result"]}

    async def rules(self) -> list[dict[str, Any]]:
        """Every rule, with its health and state."""
        found = await self.ask("/api/v1/rules")
        return [rule for group in found["groups"] for rule in group["rules"]]

    async def alerts(self, *states: str) -> set[str]:
        """Names of the alerts in one of these states: inactive, pending, firing."""
        return {rule["name"] for rule in await self.rules() if rule.get("state") in states}

    async def numbers(self, expression: str) -> list[float]:
        """Every finite value of the expression since the start, as a graph would show it."""
        now = time.time()
        found = await self.ask(
            "/api/v1/query_range", query=expression, start=f"{self.started}", end=f"{now}", step=f"{SCRAPE_SECONDS}"
        )
        values = (float(value) for series in found["result"] for _, value in series["values"])
        return [value for value in values if math.isfinite(value)]


@contextlib.asynccontextmanager
async def prometheus(folder: Path, targets: Mapping[str, str]) -> AsyncIterator[Prometheus]:
    """The project's configuration, scraping `targets` (job: host and port) instead of its own, and more often."""
    folder.mkdir(parents=True, exist_ok=True)
    configuration, replaced = re.subn(
        r"scrape_interval: \S+(.*)\n  scrape_timeout: \S+",
        rf"scrape_interval: {SCRAPE_SECONDS}s\1\n  scrape_timeout: {SCRAPE_SECONDS}s",
        CONFIGURATION.read_text(),
    )
    assert replaced == 1
    configuration = re.sub(r"evaluation_interval: \S+", f"evaluation_interval: {SCRAPE_SECONDS}s", configuration)
    (folder / "prometheus.yml").write_text(configuration)
    for rules in RULES:
        shutil.copy(rules, folder)
    groups = (f'- targets: ["{address}"]\n  labels: {{job: {job}}}\n' for job, address in targets.items())
    (folder / "targets.yml").write_text("".join(groups))
    port = free_port()
    with (folder / "prometheus.log").open("wb") as log:
        process = await asyncio.create_subprocess_exec(
            "prometheus",
            f"--config.file={folder}/prometheus.yml",
            f"--storage.tsdb.path={folder}/data",
            f"--web.listen-address=127.0.0.1:{port}",
            "--log.level=warn",
            stdin=asyncio.subprocess.DEVNULL,
            stdout=log,
            stderr=log,
        )
    try:
        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=10)) as http:
            await _ready(http, f"http://127.0.0.1:{port}", process, folder)
            yield Prometheus(f"http://127.0.0.1:{port}", http)
    finally:
        if process.returncode is None:
            process.terminate()
        try:
            async with asyncio.timeout(10):
                await process.wait()
        except TimeoutError:
            process.kill()
            await process.wait()


async def _ready(http: aiohttp.ClientSession, origin: str, process: asyncio.subprocess.Process, folder: Path) -> None:
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(START_LIMIT):
            while process.returncode is None:
                with contextlib.suppress(aiohttp.ClientError):
                    async with http.get(f"{origin}/-/ready") as response:
                        if response.status == 200:
                            return
                await asyncio.sleep(0.1)
    raise AssertionError(f"Prometheus did not start:\n{(folder / 'prometheus.log').read_text()[-2000:]}")
