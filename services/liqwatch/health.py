"""What a service shows of itself over HTTP: /metrics, /livez, /readyz with reasons, and POST /-/reload."""

import asyncio
import ipaddress
import time
from collections.abc import Callable

import orjson
from aiohttp import web
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder

from .metrics import ServiceMetrics

_LAG_EVERY = 0.25
_STUCK_AFTER = 10.0


class HealthServer:
    """Serves in the service's own loop, so that a stuck loop shows as a failed scrape."""

    def __init__(
        self,
        registry: CollectorRegistry,
        metrics: ServiceMetrics,
        unready: Callable[[], list[str]],
        reload: Callable[[], list[str]],
    ) -> None:
        self._registry = registry
        self._metrics = metrics
        self._unready = unready
        self._reload = reload
        self._runner: web.AppRunner | None = None
        self._lag_task: asyncio.Task[None] | None = None
        self._last_turn = time.monotonic()

    async def start(self, host: str, port: int) -> str:
        """Listens and returns the address, such as `127.0.0.1:9464`. Raises `OSError` where the port is taken."""
        app = web.Application()
        app.add_routes(
            [
                web.get("/metrics", self._serve_metrics),
                web.get("/livez", self._serve_live),
                web.get("/readyz", self._serve_ready),
                web.post("/-/reload", self._serve_reload),
            ]
        )
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.5)
        await self._runner.setup()
        site = web.TCPSite(self._runner, host, port)
        await site.start()
        self._lag_task = asyncio.create_task(self._watch_lag(), name="loop lag")
        bound = self._runner.addresses[0]
        return f"{bound[0]}:{bound[1]}"

    async def stop(self) -> None:
        if self._lag_task is not None:
            self._lag_task.cancel()
            await asyncio.wait([self._lag_task], timeout=1)
        if self._runner is not None:
            await self._runner.cleanup()

    async def _watch_lag(self) -> None:
        while True:
            due = time.monotonic() + _LAG_EVERY
            await asyncio.sleep(_LAG_EVERY)
            self._last_turn = time.monotonic()
            self._metrics.loop_lag.observe(max(0.0, self._last_turn - due))

    async def _serve_metrics(self, request: web.Request) -> web.Response:
        encode, content_type = choose_encoder(request.headers.get("Accept", ""))
        return web.Response(body=encode(self._registry), headers={"Content-Type": content_type})

    async def _serve_live(self, _request: web.Request) -> web.Response:
        stuck = time.monotonic() - self._last_turn
        if stuck > _STUCK_AFTER:
            return _json({"status": "stuck", "reasons": [f"the event loop stood still for {stuck:.0f} s"]}, 503)
        return _json({"status": "alive"}, 200)

    async def _serve_ready(self, _request: web.Request) -> web.Response:
        reasons = self._unready()
        return _json({"status": "unready" if reasons else "ready", "reasons": reasons}, 503 if reasons else 200)

    async def _serve_reload(self, request: web.Request) -> web.Response:
        if request.remote is None or not ipaddress.ip_address(request.remote).is_loopback:
            return _json({"status": "refused", "reasons": ["reload is allowed from this host only"]}, 403)
        mistakes = self._reload()
        return _json({"status": "failed" if mistakes else "reloaded", "reasons": mistakes}, 400 if mistakes else 200)


def _json(body: dict[str, object], status: int) -> web.Response:
    return web.Response(body=orjson.dumps(body), status=status, content_type="application/json")
