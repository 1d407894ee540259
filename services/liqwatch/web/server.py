"""The HTTP side: routes, headers, problems. What is answered comes from `answers`."""

import gzip
from collections.abc import Awaitable, Callable, Hashable, Sequence
from typing import Any, NamedTuple

import orjson
import structlog
from aiohttp import web
from pydantic import SecretStr

from ..clock import Clock
from ..eventlog import Log
from ..metrics import WebMetrics
from ..settings import RuleSettings
from . import answers, openapi, problems, query, writing
from .assets import Asset
from .hosts import Hosts
from .market import Market
from .problems import Problem
from .query import Query
from .stream import Hub
from .updates import Updates

MAX_BODY = 64 * 1024
_KEPT = 64
_FRESH_MS = 1_000  # real time: who asks for bars or gaps again sooner gets the same answer
_LEVEL = 3  # of gzip: the higher ones take thrice the time for a tenth
SECURITY = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Server": "liqwatch",  # and no versions of what is under it
}
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
log_ = structlog.get_logger("web")


class _Answer(NamedTuple):
    at_ms: int
    body: bytes
    packed: bytes


class Api:
    """Answers requests from what the market knows now."""

    def __init__(
        self,
        market: Market,
        hub: Hub,
        updates: Updates,
        log: Log,
        clock: Clock,
        rules: Callable[[], Sequence[RuleSettings]],
        token: SecretStr | None,
        unready: Callable[[], list[str]],
        metrics: WebMetrics,
        static: dict[str, Asset],
        hosts: Hosts,
    ) -> None:
        self._hosts = hosts
        self._market, self._hub, self._updates, self._log, self._clock = market, hub, updates, log, clock
        self._rules, self._token, self._unready, self._metrics, self._static = rules, token, unready, metrics, static
        self._windows = [name for name, _ in market.windows]
        self._document = orjson.dumps(openapi.document(self._windows))
        self._kept: dict[Hashable, _Answer] = {}

    def application(self) -> web.Application:
        """Every route."""
        app = web.Application(middlewares=[self._around], client_max_size=MAX_BODY)
        app.router.add_get("/", self._page, name="page")
        app.router.add_get("/static/{name}", self._asset, name="static")
        for name, handler in (
            ("totals", self._totals),
            ("bars", self._get_bars),
            ("events", self._events),
            ("incidents", self._incidents),
            ("venues", self._venues),
            ("gaps", self._gaps),
            ("silences", self._silences),
            ("openapi.json", self._openapi),
        ):
            app.router.add_get(f"/api/v1/{name}", handler, name=name)
        app.router.add_get("/api/v1/stream", self._stream, name="stream", allow_head=False)
        app.router.add_post("/api/v1/silences", self._add_silence, name="silences.add")
        app.router.add_delete("/api/v1/silences/{silence_id}", self._remove_silence, name="silences.remove")
        return app

    @web.middleware
    async def _around(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        route = request.match_info.route.name or "other"
        try:
            if not self._hosts.takes(request.headers.get("Host")):
                raise Problem(
                    421, "this name is not answered here; if it is yours, such as a proxy's, put it into web.hosts"
                )
            response = await handler(request)
        except Problem as problem:
            response = problems.response(problem.status, problem.detail, problem.headers)
        except web.HTTPException as error:
            response = problems.of(error)
        except Exception:
            log_.exception("a request failed", route=route)
            response = problems.response(500, "this is a mistake of the program; its log says more")
        self._metrics.requests.labels(route, f"{response.status // 100}xx").inc()
        if not response.prepared:
            for name, value in SECURITY.items():
                response.headers.setdefault(name, value)
            response.headers.setdefault("Cache-Control", "no-store")
        return response

    async def _page(self, request: web.Request) -> web.StreamResponse:
        Query.of(request.query.items(), ())
        return self._send(request, self._static["index.html"])

    async def _asset(self, request: web.Request) -> web.StreamResponse:
        asset = self._static.get(request.match_info["name"])
        if asset is None:
            raise Problem(404, "no such file")
        return self._send(request, asset)

    def _send(self, request: web.Request, asset: Asset) -> web.Response:
        headers = {"ETag": asset.tag, "Cache-Control": "no-cache", "Vary": "Accept-Encoding"}
        if request.headers.get("If-None-Match") == asset.tag:
            return web.Response(status=304, headers=headers)
        packed = "gzip" in request.headers.get("Accept-Encoding", "")
        if packed:
            headers["Content-Encoding"] = "gzip"
        body = asset.packed if packed else asset.body
        return web.Response(body=body, headers=headers, content_type=asset.content_type, charset="utf-8")

    async def _totals(self, request: web.Request) -> web.StreamResponse:
        wanted = self._query(request, "window", "scope")
        window, scope = wanted.window(self._windows), wanted.scope()
        return _json(answers.totals(self._market, self._rules(), window, scope, self._clock.now_ms()))

    async def _get_bars(self, request: web.Request) -> web.StreamResponse:
        wanted = self._query(request, "window", "scope", "minutes", "step")
        minutes = wanted.number("minutes", query.MINUTES, 60, query.MINUTES)
        step = int(wanted.choice("step", [str(seconds) for seconds in query.STEPS], "60"))
        window, scope = wanted.window(self._windows), wanted.scope()
        return self._shared(
            request,
            ("bars", window, scope, minutes, step),
            lambda now_ms: answers.bars(self._market, scope, window, minutes, step, now_ms),
        )

    def _shared(self, request: web.Request, key: Hashable, make: Callable[[int], object]) -> web.Response:
        """The same large answer for all who look at the page: made and packed once a second, not for each of them."""
        now_ms = self._clock.now_ms()
        known = self._kept.get(key)
        if known is None or now_ms - known.at_ms >= _FRESH_MS * self._market.speed:
            if len(self._kept) >= _KEPT:
                self._kept.clear()
            body = orjson.dumps(make(now_ms))
            known = self._kept[key] = _Answer(now_ms, body, gzip.compress(body, _LEVEL))
        headers = {"Vary": "Accept-Encoding"}
        if packed := "gzip" in request.headers.get("Accept-Encoding", ""):
            headers["Content-Encoding"] = "gzip"
        body = known.packed if packed else known.body
        return web.Response(body=body, headers=headers, content_type="application/json")

    async def _events(self, request: web.Request) -> web.StreamResponse:
        wanted = self._query(request, "scope", "side", "min_usd", "limit")
        side = wanted.choice("side", ("long", "short", "both"), "both")
        limit = wanted.number("limit", 100, 1, 500)
        least = wanted.micros("min_usd")
        return _json(answers.events(self._market, least, limit, wanted.scope(), side, self._clock.now_ms()))

    async def _incidents(self, request: web.Request) -> web.StreamResponse:
        wanted = self._query(request, "state", "limit")
        state = wanted.choice("state", ("open", "closed", "all"), "all")
        return self._list("incidents", answers.incidents(self._market, state, wanted.number("limit", 50, 1, 200)))

    async def _venues(self, request: web.Request) -> web.StreamResponse:
        self._query(request)
        now_ms = self._clock.now_ms()
        rows = [answers.venue(self._market, name, now_ms) for name in self._market.known_venues()]
        return self._list("venues", rows)

    async def _gaps(self, request: web.Request) -> web.StreamResponse:
        wanted = self._query(request, "venue", "minutes")
        minutes = wanted.number("minutes", query.MINUTES, 1, query.MINUTES)
        venue = wanted.venue()
        return self._shared(
            request, ("gaps", venue, minutes), lambda now_ms: answers.gaps(self._market, venue, minutes, now_ms)
        )

    async def _silences(self, request: web.Request) -> web.StreamResponse:
        self._query(request)
        return self._list("silences", self._updates.silences(self._clock.now_ms()))

    async def _openapi(self, request: web.Request) -> web.StreamResponse:
        Query.of(request.query.items(), ())
        return web.Response(body=self._document, content_type="application/json")

    async def _stream(self, request: web.Request) -> web.StreamResponse:
        wanted = self._query(request, "last_event_id")
        last = request.headers.get("Last-Event-ID", wanted.values.get("last_event_id", ""))
        return await self._hub.serve(request, last, SECURITY)

    async def _add_silence(self, request: web.Request) -> web.StreamResponse:
        writing.authorize(request, self._token)
        self._query(request)
        silence = await writing.add(request, self._log, self._market, self._clock)
        response = _json(answers.silence(silence), 201)
        response.headers["Location"] = f"/api/v1/silences/{silence.silence_id}"
        return response

    async def _remove_silence(self, request: web.Request) -> web.StreamResponse:
        writing.authorize(request, self._token)
        self._query(request)
        await writing.remove(request.match_info["silence_id"], self._log, self._market, self._clock)
        return web.Response(status=204)

    def _query(self, request: web.Request, *known: str) -> Query:
        wanted = Query.of(request.query.items(), known)
        if reasons := self._unready():
            raise Problem(503, f"not everything has been read yet: {'; '.join(reasons)}", {"Retry-After": "2"})
        return wanted

    def _list(self, name: str, rows: list[Any]) -> web.Response:
        return _json({"as_of_ms": self._clock.now_ms(), name: rows})


def _json(body: object, status: int = 200) -> web.Response:
    return web.Response(body=orjson.dumps(body), status=status, content_type="application/json")
