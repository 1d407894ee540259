"""Errors as RFC 9457 problem details."""

from collections.abc import Mapping
from http import HTTPStatus

import orjson
from aiohttp import web

CONTENT_TYPE = "application/problem+json"


class Problem(Exception):
    """A request that cannot be answered. `detail` is a sentence that names the remedy."""

    def __init__(self, status: int, detail: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(detail)
        self.status, self.detail, self.headers = status, detail, headers or {}


def response(status: int, detail: str, headers: Mapping[str, str] | None = None) -> web.Response:
    """The problem as an answer."""
    body = {"type": "about:blank", "title": HTTPStatus(status).phrase, "status": status, "detail": detail}
    return web.Response(body=orjson.dumps(body), status=status, content_type=CONTENT_TYPE, headers=headers)


def of(error: web.HTTPException) -> web.Response:
    """What aiohttp itself refuses, in the same form."""
    words = {
        404: "there is nothing here; the page is /, the API is described at /api/v1/openapi.json",
        405: "this address does not take that method",
        413: "the body is too large",
    }
    headers = {"Allow": error.headers["Allow"]} if "Allow" in error.headers else {}
    return response(error.status, words.get(error.status, error.reason), headers)
