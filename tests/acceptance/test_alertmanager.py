"""Our target `alertmanager` against the real one: an incident is one alert there, which arrives, changes and ends."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from chaos.reference import CONFIGURATION, Node
from liqwatch.settings import TargetSettings
from tests.support.alerter_stage import Stage, longs, until
from tests.support.chat_server import ChatServer
from tests.support.required import tool

pytestmark = pytest.mark.timeout(90)


@pytest.fixture
async def receiver() -> AsyncIterator[ChatServer]:
    async with ChatServer() as chat:
        yield chat


@pytest.fixture
async def node(tmp_path: Path, receiver: ChatServer) -> AsyncIterator[Node]:
    """A running Alertmanager that tells the receiver."""
    tool("prometheus-alertmanager", "on Debian, apt-get install prometheus-alertmanager")
    config = tmp_path / "alertmanager.yml"
    config.write_text(CONFIGURATION.format(url=f"http://127.0.0.1:{receiver.port}/hook"))
    node = Node(tmp_path / "data", config)
    async with aiohttp.ClientSession() as http:
        await node.start(http)
        try:
            yield node
        finally:
            await node.kill()


async def alerts(node: Node, fits: Callable[[list[dict[str, Any]]], bool]) -> list[dict[str, Any]]:
    """What it holds, as soon as that fits."""
    async with aiohttp.ClientSession() as http, asyncio.timeout(20):
        while True:
            async with http.get(f"{node.origin}/api/v2/alerts") as answer:
                found: list[dict[str, Any]] = await answer.json()
            if fits(found):
                return found
            await asyncio.sleep(0.05)


@contextlib.asynccontextmanager
async def stage(node: Node) -> AsyncIterator[Stage]:
    target = TargetSettings.model_validate({"kind": "alertmanager", "url": node.origin, "allow_private": True})
    async with Stage([longs()], {"alertmanager": target}) as on:
        await on.start()
        yield on


def step(found: list[dict[str, Any]]) -> str:
    return "" if not found else str(found[0]["annotations"]["step"])


async def test_an_incident_arrives_changes_and_ends_as_one_alert(node: Node, receiver: ChatServer) -> None:
    async with stage(node) as on:
        await on.total(1_200_000_000)
        (fired,) = await alerts(node, lambda found: step(found) == "fired")
        (incident,) = on.incidents()
        assert {
            "alertname": "longs-24h",
            "severity": incident.severity,
            "source": "liqwatch",
            "incident_id": incident.incident_id,
            "scope": "all",
            "side": "long",
            "window": "24h",
        } == fired["labels"]
        assert "active" == fired["status"]["state"] and "past $1B" in fired["annotations"]["summary"]

        await on.total(1_800_000_000)
        (stepped,) = await alerts(node, lambda found: step(found) == "stepped_up")
        assert (fired["fingerprint"], fired["startsAt"]) == (stepped["fingerprint"], stepped["startsAt"])
        assert ("1800000000.000000", "1700000000") == (
            stepped["annotations"]["usd"],
            stepped["annotations"]["threshold"],
        )

        await on.total(0)
        await alerts(node, lambda found: not found)  # it lists only what fires
        await until(lambda: any(told(receiver, "resolved")), 20)
        assert [fired["fingerprint"]] == told(receiver, "resolved")
        assert [fired["fingerprint"]] == told(receiver, "firing")
        assert [("fired", "accepted", False), ("stepped_up", "accepted", False), ("cleared", "accepted", False)] == (
            on.outcomes("alertmanager")
        )


async def test_while_it_is_down_the_incident_waits_and_is_told_when_it_is_back(
    node: Node, receiver: ChatServer
) -> None:
    await node.kill()
    async with stage(node) as on:
        await on.total(1_200_000_000)
        await until(lambda: ("fired", "not_sent", False) in on.outcomes("alertmanager"))
        async with aiohttp.ClientSession() as http:
            await node.start(http)
        (fired,) = await alerts(node, lambda found: step(found) == "fired")
        await until(lambda: told(receiver, "firing") == [fired["fingerprint"]], 20)


def told(receiver: ChatServer, status: str) -> list[str]:
    """Fingerprints of the alerts that the receiver was told to be so."""
    return [
        alert["fingerprint"]
        for message in receiver.accepted
        for alert in message.body["alerts"]
        if alert["status"] == status
    ]
