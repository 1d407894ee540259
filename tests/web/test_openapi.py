"""Every answer is as the OpenAPI document says, whatever is asked: requests made from the document, good and bad."""

import asyncio
import copy
import json
import threading
import urllib.request
from collections.abc import Iterator

import pytest
import schemathesis
from hypothesis import HealthCheck, settings
from schemathesis import Case
from schemathesis.core.failures import FailureGroup

from liqwatch import topics
from liqwatch.events import BarRow
from liqwatch.web import openapi
from tests.support.liquidations import liquidation
from tests.support.web_stage import TOKEN, WINDOWS, WebStage, incident, web_stage

DOCUMENT = openapi.document([name for name, _ in WINDOWS])
schema = schemathesis.openapi.from_dict(DOCUMENT).exclude(path="/api/v1/stream")  # it never ends
MINUTE = 60_000


async def _fill(stage: WebStage) -> None:
    """Something of everything, so that no list is empty."""
    now_ms = stage.clock.now_ms()
    await stage.totals("all", "1200000000", "5.5")
    await stage.totals("base=BTC", "1.5", window="1h")
    await stage.beat()
    await stage.watched("bybit", now_ms - 60 * MINUTE, now_ms)
    await stage.watched("binance", now_ms - 60 * MINUTE, now_ms - MINUTE, open=False, ended_by="sampled: closed")
    row = BarRow(venue="bybit", base="BTC", long_usd="1", long_count=1, short_usd="0", short_count=0)
    await stage.bar(now_ms // MINUTE * MINUTE - 3 * MINUTE, [row])
    await stage.liquidation(liquidation("e", now_ms - 400, "123456.789"))
    await stage.message(topics.ALERTS, "longs-24h:all:1", incident(1, now_ms - 9000))
    await stage.settled()


@pytest.fixture(scope="module")
def origin(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A service in a thread of its own: what asks it here blocks."""
    ready, done = threading.Event(), threading.Event()
    found: list[str] = []

    async def serve() -> None:
        async with web_stage(tmp_path_factory.mktemp("web")) as stage:
            await _fill(stage)
            found.append(stage.origin)
            ready.set()
            await asyncio.to_thread(done.wait)

    thread = threading.Thread(target=lambda: asyncio.run(serve()))
    thread.start()
    try:
        assert ready.wait(30)
        yield found[0]
    finally:
        done.set()
        thread.join(20)


def test_the_document_that_is_served_is_this_one(origin: str) -> None:
    with urllib.request.urlopen(f"{origin}/api/v1/openapi.json", timeout=10) as response:  # noqa: S310 - our own
        assert DOCUMENT == json.load(response)


@schema.parametrize()
@settings(max_examples=15, deadline=None, suppress_health_check=list(HealthCheck))
def test_an_answer_is_what_the_document_says(case: Case, origin: str) -> None:
    case.call_and_validate(
        base_url=origin, headers={"Authorization": f"Bearer {TOKEN}"} if case.method != "GET" else None
    )


def test_an_answer_that_is_not_as_the_document_says_is_seen(origin: str) -> None:
    spoilt = copy.deepcopy(DOCUMENT)
    spoilt["components"]["schemas"]["TotalsAnswer"]["required"].append("a_field_that_is_gone")
    case = schemathesis.openapi.from_dict(spoilt)["/api/v1/totals"]["GET"].Case()
    with pytest.raises(FailureGroup, match="1 distinct failure"):
        case.call_and_validate(base_url=origin)
