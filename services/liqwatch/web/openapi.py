"""The OpenAPI document of the JSON API, from the shapes and the bounds of the parameters."""

from collections.abc import Sequence
from typing import Any

from pydantic.json_schema import models_json_schema

from .. import __version__
from . import query
from .shapes import SHAPES
from .tape import LARGE, LIMIT

Json = dict[str, Any]


def document(windows: Sequence[str]) -> Json:
    """What `/api/v1/openapi.json` answers."""
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "liqwatch",
            "version": __version__,
            "description": "Forced liquidations on crypto derivatives venues: rolling totals by the side of the "
            "position that was closed, and how complete they are. Money is a decimal string in USD, times are "
            "milliseconds since the epoch. Reading needs no token.",
        },
        "paths": {f"/api/v1/{path}": _guarded(methods) for path, methods in _paths(windows).items()},
        "components": {
            "schemas": _schemas(),
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
        },
    }


def _paths(windows: Sequence[str]) -> dict[str, Json]:
    window = _parameter("window", {"type": "string", "enum": list(windows), "default": windows[-1]}, "Rolling window.")
    scope = _parameter(
        "scope",
        {"type": "string", "pattern": query.SCOPE, "default": "all"},
        "`all`, `venue=binance`, `base=BTC`, or `venue=binance,base=BTC`.",
    )
    step = {"type": "integer", "enum": list(query.STEPS), "default": 60}
    return {
        "totals": _get("TotalsAnswer", "Rolling totals of a window and scope", window, scope),
        "bars": _get(
            "BarsAnswer",
            "What each step of time brought, with the rolling sum of the window",
            window,
            scope,
            _parameter("minutes", _number(60, query.MINUTES, query.MINUTES), "So far back."),
            _parameter("step", step, "Seconds a bar."),
        ),
        "events": _get(
            "EventsAnswer",
            "The latest liquidations, newest first: of the longest window all large ones, of small ones the last",
            scope,
            _parameter(
                "side", {"type": "string", "enum": ["long", "short", "both"], "default": "both"}, "Of the position."
            ),
            _parameter("min_usd", {"type": "string", "pattern": query.PLAIN_USD, "default": "0"}, "Worth at least."),
            _parameter("limit", _number(1, LIMIT, 100), "At most so many."),
        ),
        "incidents": _get(
            "IncidentsAnswer",
            "Incidents with their text",
            _parameter("state", {"type": "string", "enum": ["open", "closed", "all"], "default": "all"}, "Which."),
            _parameter("limit", _number(1, 200, 50), "At most so many."),
        ),
        "venues": _get("VenuesAnswer", "Every venue: state, completeness, coverage, last event, lag"),
        "gaps": _get(
            "GapsAnswer",
            "When nobody watched a venue, why, and whether it was filled afterwards",
            _parameter("venue", {"type": "string", "pattern": query.VENUE}, "Only this one."),
            _parameter("minutes", _number(1, query.MINUTES, query.MINUTES), "So far back."),
        ),
        "silences": {
            **_get("SilencesAnswer", "Silences in force"),
            "post": _write(
                "Hold back notifications that match, from now on",
                {"201": _answer("It is in the log.", "SilenceAnswer")},
                requestBody={"required": True, "content": {"application/json": {"schema": _ref("NewSilence")}}},
            ),
        },
        "silences/{silence_id}": {
            "parameters": [
                {
                    "name": "silence_id",
                    "in": "path",
                    "required": True,
                    "schema": {"type": "string", "pattern": SILENCE_ID},
                }
            ],
            "delete": _write("End a silence", {"204": {"description": "It has ended."}}),
        },
        "openapi.json": {
            "get": {
                "summary": "This document",
                "responses": {"200": {"description": "OpenAPI 3.1.", "content": {"application/json": {}}}},
            }
        },
        "stream": {
            "get": {
                "summary": "Everything as it changes, as server-sent events",
                "description": "First `snapshot` with everything, then `update` with the parts that changed, each "
                "with an id: after a break, `Last-Event-ID` goes on from there. Who falls behind gets a new snapshot. "
                f"Liquidations from ${LARGE // 1_000_000:,} on; the latest of the smaller are in `events`.",
                "parameters": [
                    {
                        "name": "Last-Event-ID",
                        "in": "header",
                        "required": False,
                        "schema": {"type": "string"},
                    },
                    _parameter("last_event_id", {"type": "string"}, "The same, for who cannot set a header."),
                ],
                "responses": {
                    "200": {"description": "Until either side ends it.", "content": {"text/event-stream": {}}},
                    "503": _problem("There are too many viewers, or nothing is known yet."),
                },
            }
        },
    }


def _guarded(methods: Json) -> Json:
    """Every answer may be that the name is not answered here."""
    for name, method in methods.items():
        if name != "parameters":
            method["responses"]["421"] = _problem("It was asked for by a name that is neither ours nor in web.hosts.")
    return methods


SILENCE_ID = r"^[A-Za-z0-9-]{1,64}$"


def _get(shape: str, summary: str, *parameters: Json) -> Json:
    answers = {"200": _answer("The answer.", shape)}
    if parameters:
        answers["400"] = _problem("A parameter is unknown, given twice, or out of its bounds.")
    answers["503"] = _problem("Not everything has been read from the log yet.")
    return {"get": {"summary": summary, "parameters": list(parameters), "responses": answers}}


def _write(summary: str, answers: Json, **more: Any) -> Json:
    return {
        "summary": summary,
        "security": [{"token": []}],
        **more,
        "responses": {
            **answers,
            "400": _problem("The body, or a parameter, is not right."),
            "401": _problem("The token is missing or wrong."),
            "403": _problem("No token is set here, so nobody may write."),
            "404": _problem("No such silence."),
            "413": _problem("The body is too large."),
            "415": _problem("The body is not JSON."),
            "503": _problem("The log does not take it now."),
        },
    }


def _answer(description: str, shape: str) -> Json:
    return {"description": description, "content": {"application/json": {"schema": _ref(shape)}}}


def _problem(description: str) -> Json:
    return {"description": description, "content": {"application/problem+json": {"schema": _ref("ProblemDetails")}}}


def _parameter(name: str, schema: Json, description: str) -> Json:
    return {"name": name, "in": "query", "required": False, "schema": schema, "description": description}


def _number(least: int, most: int, default: int) -> Json:
    return {"type": "integer", "minimum": least, "maximum": most, "default": default}


def _ref(shape: str) -> Json:
    return {"$ref": f"#/components/schemas/{shape}"}


def _schemas() -> Json:
    wanted = [(shape, "validation") for shape in SHAPES]
    _, found = models_json_schema(wanted, ref_template="#/components/schemas/{model}")  # type: ignore[arg-type]
    definitions: Json = found["$defs"]
    return definitions
