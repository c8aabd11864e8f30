"""The console in a real browser, over one running service."""

from __future__ import annotations

import importlib.util
import json
import os
import re
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.e2e.house import ROOT, House

if importlib.util.find_spec("playwright") is None:
    collect_ignore_glob = ["test_*.py"]

#: Where the screenshots of the run go, for whoever wants to look at them.
PICTURES = ROOT / "console-results"
NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
BROWSER = os.environ.get("FORGETLESS_BROWSER") or next(filter(None, map(shutil.which, NAMES)), None)

#: What the browser may tell as an error: answers that a test asks for, and another network of this machine.
_EXPECTED = re.compile(
    r"the server responded with a status of (401|403|404|409|422|429|5\d\d)|ERR_(CONNECTION|INTERNET|NETWORK_CHANGED)"
)


@dataclass
class Opened:
    """A page of the console, and how it is opened."""

    page: Any
    url: str
    key: str
    width: int
    theme: str

    def go(self, hash_: str) -> None:
        """Open an address of the console anew, signed in."""
        self.page.goto("about:blank")
        self.page.goto(f"{self.url}/console{hash_}")

    def look(self, theme: str, width: int) -> None:
        """Show the same page in another theme and width."""
        self.theme, self.width = theme, width
        self.page.emulate_media(color_scheme=theme)
        self.page.set_viewport_size({"width": width, "height": 900})

    def picture(self, name: str) -> None:
        """Keep a screenshot."""
        PICTURES.mkdir(exist_ok=True)
        self.page.screenshot(path=PICTURES / f"{name}-{self.theme}-{self.width}.png", full_page=True)

    def call(self, method: str, path: str, *, key: str | None = None, **options: Any) -> httpx.Response:
        """A request to the API beside the browser."""
        headers = {"X-API-Key": key or self.key}
        return httpx.request(method, f"{self.url}{path}", headers=headers, timeout=40, **options)

    def say(self, *texts: str, user: str) -> list[str]:
        """Store messages as they are; returns the ids of the memories."""
        messages = [{"role": "user", "content": text} for text in texts]
        answer = self.call("POST", "/memories", json={"messages": messages, "user_id": user, "infer": False})
        assert answer.status_code == 200, answer.text
        return [one["id"] for one in answer.json()["results"]]


Open = Callable[..., Opened]


@pytest.fixture(scope="session")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    if BROWSER is None:
        pytest.skip("no Chromium here: apt-get install chromium, or name one in FORGETLESS_BROWSER")
    made = House(tmp_path_factory.mktemp("house"), Path(os.environ["FORGETLESS_MODEL_DIR"]).parent)
    try:
        made.up()
        yield made
    finally:
        made.close()


@pytest.fixture(scope="session")
def browser(house: House) -> Iterator[Any]:
    from playwright.sync_api import sync_playwright  # noqa: PLC0415 - only make test-console has it

    with sync_playwright() as playwright:
        # A sandbox of its own is refused to root. Where keys scroll smoothly, Chromium drops one in some hundred, which
        # comes just as the movement of the one before ends.
        flags = ["--no-sandbox", "--disable-smooth-scrolling"]
        launched = playwright.chromium.launch(executable_path=BROWSER, args=flags)
        yield launched
        launched.close()


@pytest.fixture
def open_console(house: House, browser: Any) -> Iterator[Open]:
    """Opens the console, and fails at the end if a page threw or the browser refused something of it."""
    contexts, problems = [], []

    def open_(
        hash_: str = "", *, key: str | None = None, width: int = 1280, theme: str = "light", language: str = "en-GB"
    ) -> Opened:
        url, key = str(house.client.base_url), key or house.client.headers["X-API-Key"]
        size = {"width": width, "height": 900}
        context = browser.new_context(
            color_scheme=theme, viewport=size, locale=language, timezone_id="Asia/Ho_Chi_Minh", reduced_motion="reduce"
        )
        contexts.append(context)
        context.add_init_script(
            f"location.protocol !== 'about:' && sessionStorage.setItem('forgetless-key', {json.dumps(key)})"
        )
        page = context.new_page()
        page.set_default_timeout(30_000)
        page.on("pageerror", lambda error: problems.append(str(error)))
        page.on(
            "console", lambda one: one.type == "error" and not _EXPECTED.search(one.text) and problems.append(one.text)
        )
        opened = Opened(page, url.rstrip("/"), key, width, theme)
        opened.go(hash_)
        return opened

    yield open_
    for context in contexts:
        context.close()
    assert problems == []
