"""The HTTP surface: metrics, liveness, readiness with reasons, reload from this host only."""

import aiohttp
import pytest
from prometheus_client import CollectorRegistry

from liqwatch.health import HealthServer
from liqwatch.metrics import ServiceMetrics


@pytest.fixture
def reasons() -> list[str]:
    return []


async def ask(address: str, path: str, method: str = "GET") -> tuple[int, object]:
    async with aiohttp.ClientSession() as http, http.request(method, f"http://{address}{path}") as response:
        body = await response.json() if "json" in response.content_type else await response.text()
        return response.status, body


async def test_readiness_gives_its_reasons_and_liveness_does_not_depend_on_them(reasons: list[str]) -> None:
    registry = CollectorRegistry()
    server = HealthServer(registry, ServiceMetrics(registry, "test"), lambda: reasons, list)
    address = await server.start("127.0.0.1", 0)
    try:
        assert (200, {"status": "ready", "reasons": []}) == await ask(address, "/readyz")
        reasons.append("log: connection refused")
        assert (503, {"status": "unready", "reasons": ["log: connection refused"]}) == await ask(address, "/readyz")
        assert (200, {"status": "alive"}) == await ask(address, "/livez")
        status, text = await ask(address, "/metrics")
        assert status == 200 and "liqwatch_build_info{" in str(text)
    finally:
        await server.stop()


async def test_reload_reports_mistakes_and_is_a_post() -> None:
    registry = CollectorRegistry()
    mistakes = ["rules.0.name: is missing"]
    server = HealthServer(registry, ServiceMetrics(registry, "test"), list, lambda: mistakes)
    address = await server.start("127.0.0.1", 0)
    try:
        assert 405 == (await ask(address, "/-/reload"))[0]
        assert (400, {"status": "failed", "reasons": mistakes}) == await ask(address, "/-/reload", "POST")
        mistakes.clear()
        assert (200, {"status": "reloaded", "reasons": []}) == await ask(address, "/-/reload", "POST")
    finally:
        await server.stop()
