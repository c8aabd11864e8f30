"""`make console-pictures`: takes the pictures of the console that README and docs show."""

from __future__ import annotations

import pytest

from local.demo.story import CLARA, DAYS
from tests.console.conftest import Open
from tests.e2e.house import ROOT

pytestmark = [pytest.mark.console, pytest.mark.slow]


@pytest.mark.parametrize(("theme", "name"), [("light", "console-search.png"), ("dark", "console-search-dark.png")])
def test_a_search_is_pictured(open_console: Open, theme: str, name: str) -> None:
    opened = open_console("#/overview", theme=theme, width=1200)
    if opened.call("POST", "/v3/memories/", json={"filters": {"user_id": CLARA}}).json()["count"] == 0:
        for day in DAYS:
            if day.user == CLARA:
                body = {"messages": day.messages(), "user_id": CLARA, "infer": False, "timestamp": day.moment}
                assert opened.call("POST", "/v3/memories/add/", json=body).status_code == 200
    opened.go(f"#/memories?user_id={CLARA}&q=Which+oven+did+Clara+choose%3F")
    page = opened.page
    page.locator(".score").first.wait_for()
    page.get_by_text("Why this score").first.click()
    page.get_by_text("It is found.").wait_for()
    page.screenshot(path=ROOT / "docs" / name)
