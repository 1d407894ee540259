"""A running web service for each test."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.support.web_stage import WebStage, web_stage


@pytest.fixture
async def stage(tmp_path: Path) -> AsyncIterator[WebStage]:
    async with web_stage(tmp_path) as stage:
        yield stage
