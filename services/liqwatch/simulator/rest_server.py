"""The REST side of one simulated venue."""

import orjson
from aiohttp import web

from .dialects.base import Dialect, parse
from .trouble import Trouble

HOST = "127.0.0.1"


class RestServer:
    """Answers a venue's public lists while it runs; `requests` are the addresses asked for so far."""

    def __init__(self, dialect: Dialect, trouble: Trouble) -> None:
        self.requests: list[str] = []
        self._dialect = dialect
        self._trouble = trouble
        app = web.Application()
        app.router.add_get("/{path:.*}", self._answer)
        app.router.add_post("/{path:.*}", self._answer)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=1.0)

    async def start(self, port: int = 0) -> str:
        """Listens; the origin."""
        await self._runner.setup()
        await web.TCPSite(self._runner, HOST, port).start()
        return f"http://{HOST}:{self._runner.addresses[0][1]}"

    async def stop(self) -> None:
        await self._runner.cleanup()

    async def _answer(self, request: web.Request) -> web.Response:
        self.requests.append(request.path_qs)
        trouble = self._trouble
        if trouble.rest_status is not None:
            return web.Response(status=trouble.rest_status, text="{}", headers=trouble.retry_after())
        if trouble.rest_body is not None:
            return web.Response(body=trouble.rest_body, content_type="application/json")
        query = dict(request.query)
        if request.method == "POST":  # a venue that wants it reads what is asked from there
            query |= parse(await request.read()) or {}
        answer = self._dialect.rest(request.path, query)
        if answer is None:
            return web.Response(status=404, text="{}")
        return web.Response(status=answer.status, body=orjson.dumps(answer.body), content_type="application/json")
