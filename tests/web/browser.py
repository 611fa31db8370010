"""The page in a real browser, which must not complain, and must not ask anybody else for anything."""

import os
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from stream.server.server import Server

playwright = pytest.importorskip("playwright.async_api", reason="playwright is not installed")

CHROMIUM = os.environ.get("DELTABOOK_CHROMIUM") or next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)

needs_browser = pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium; DELTABOOK_CHROMIUM may name one")


@asynccontextmanager
async def showing(server: Server, path: str = "/", **context: Any) -> AsyncIterator[Any]:
    """A page of a server, open in a browser of its own."""
    complaints: list[str] = []
    host = f"127.0.0.1:{server.port}"
    async with playwright.async_playwright() as player:
        browser = await player.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        try:
            page = await browser.new_page(**context)
            page.on("console", lambda message: complaints.append(message.text) if message.type in ("error", "warning") else None)
            page.on("pageerror", lambda error: complaints.append(str(error)))
            page.on("request", lambda request: complaints.append(request.url) if request.url.split("/")[2] != host else None)
            page.set_default_timeout(10_000)
            await page.goto(f"http://{host}{path}")
            yield page
            assert complaints == []
        finally:
            await browser.close()
