"""A real Chromium, the system's own, driven by Playwright; and axe-core, which finds what keeps people out."""

import contextlib
import os
import shutil
from collections.abc import AsyncIterator
from typing import Any

import pytest
from playwright.async_api import Browser, Page, async_playwright

from .repository import ROOT

AXE = ROOT / "tests" / "data" / "axe" / "axe.min.js"
_NAMES = ("chromium", "chromium-browser", "google-chrome-stable")


def chromium_path() -> str:
    """Skips, with what to install; in CI, where it has to be there, fails."""
    for name in _NAMES:
        if path := shutil.which(name):
            return path
    reason = "no Chromium found: on Debian, apt-get install chromium"
    if os.environ.get("CI") == "true":
        pytest.fail(reason)
    pytest.skip(reason)


@contextlib.asynccontextmanager
async def chromium() -> AsyncIterator[Browser]:
    """A browser without a window, with nothing of its user's."""
    path = chromium_path()
    async with async_playwright() as playwright:
        # A container's root may not use the sandbox; the pages are our own.
        browser = await playwright.chromium.launch(
            executable_path=path, args=["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"]
        )
        try:
            yield browser
        finally:
            await browser.close()


class Complaints:
    """What the browser itself objects to: errors of scripts, and what the content security policy stopped."""

    def __init__(self, page: Page) -> None:
        self.found: list[str] = []
        page.on("pageerror", lambda error: self.found.append(f"error: {error}"))
        page.on("console", lambda message: self._hear(message.type, message.text))
        page.on("dialog", lambda dialog: self.found.append(f"dialog: {dialog.message}"))

    def _hear(self, kind: str, text: str) -> None:
        if kind in ("error", "warning"):
            self.found.append(f"{kind}: {text}")


async def barriers(page: Page) -> list[str]:
    """What axe-core finds: rule and element. Empty is good."""
    await page.evaluate(AXE.read_text())
    found: Any = await page.evaluate("axe.run(document, {resultTypes: ['violations']})")
    return [
        f"{rule['id']}: {node['target']} {node['failureSummary']}"
        for rule in found["violations"]
        for node in rule["nodes"]
    ]
