"""Every page of the console, in both themes and widths: it shows its content, fits, and axe finds nothing serious."""

from __future__ import annotations

from collections.abc import Callable
from importlib import resources
from typing import Any

import pytest

from tests.console.conftest import Open, Opened

pytestmark = [pytest.mark.console, pytest.mark.slow]

#: Each page, and a text that only its content has.
PAGES = {
    "memories": ("#/memories?user_id=look", "I grow tomatoes"),
    "search": ("#/memories?user_id=look&q=What+does+she+grow", "I grow tomatoes"),
    "memory": ("#/memory?id={id}", "Where it comes from"),
    "time": ("#/time?user_id=look", "What was true at"),
    "overview": ("#/overview", "Everything works."),
    "jobs": ("#/jobs", "Add"),
    "keys": ("#/keys", "New key"),
    "playground": ("#/playground", "A conversation"),
    "entities": ("#/entities", "look"),
    "usage": ("#/usage", "Searches"),
    "webhooks": ("#/webhooks", "New webhook"),
    "settings": ("#/settings", "Preview"),
}
LOOKS = [("light", 360), ("dark", 1280), ("light", 1280), ("dark", 2560)]
#: The looks that axe judges: each theme, narrow and wide. It takes seconds for each.
JUDGED = LOOKS[:2]


def serious(page: Any) -> list[str]:
    """What axe finds serious or critical on the page."""
    axe = resources.files("axe_playwright_python").joinpath("axe.min.js").read_text()
    page.evaluate(axe)
    found = page.evaluate("axe.run(document, {resultTypes: ['violations']})")
    return [
        f"{one['id']}: {node['html'][:200]} {node.get('failureSummary', '')[:300]}"
        for one in found["violations"]
        if one["impact"] in {"serious", "critical"}
        for node in one["nodes"]
    ]


@pytest.fixture
def looked_at(open_console: Open) -> Callable[[str], Opened]:
    """Opens a page by its name and waits for its content."""

    def open_(name: str) -> Opened:
        opened = open_console("#/keys")
        found = opened.call("POST", "/v3/memories/", json={"filters": {"user_id": "look"}}).json()["results"]
        id_ = found[0]["id"] if found else opened.say("I grow tomatoes on the balcony.", user="look")[0]
        hash_, text = PAGES[name]
        opened.go(hash_.format(id=id_))
        opened.page.locator("main", has_text=text).wait_for()
        opened.page.wait_for_load_state("networkidle")
        return opened

    return open_


@pytest.mark.parametrize("name", PAGES)
def test_a_page_shows_its_content_fits_and_can_be_read_by_everybody(
    looked_at: Callable[[str], Opened], name: str
) -> None:
    opened = looked_at(name)
    page = opened.page
    for theme, width in LOOKS:
        opened.look(theme, width)
        opened.picture(name)
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), f"it is wider than {width} px"
        head = page.locator("header.side").bounding_box()
        assert width > 360 or head["height"] < 80, "the closed menu takes more than its line"
        assert (theme, width) not in JUDGED or serious(page) == [], (theme, width)


def test_the_console_is_small_and_loads_nothing_foreign(open_console: Open) -> None:
    opened = open_console("#/memories")
    opened.page.wait_for_load_state("networkidle")
    loaded = opened.page.evaluate(
        "performance.getEntriesByType('resource').map(one => [one.name, one.decodedBodySize])"
    )
    assert all(name.startswith(opened.url) for name, _ in loaded)
    assert 10_000 < sum(size for name, size in loaded if "/console/" in name) < 300_000


def test_a_console_whose_files_do_not_all_arrive_says_so(open_console: Open) -> None:
    opened = open_console("#/keys")
    opened.page.route("**/console/main.js", lambda route: route.fulfill(status=500))
    opened.go("#/memories")
    opened.page.get_by_role("alert").filter(has_text="The console could not be loaded.").wait_for()


def test_a_refreshed_address_shows_the_same_and_never_has_the_key(open_console: Open) -> None:
    opened = open_console("#/memories?user_id=look&q=tomatoes&threshold=0.05")
    opened.page.locator(".rows").wait_for()
    before = opened.page.locator(".rows").inner_text()
    opened.page.reload()
    opened.page.locator(".rows").wait_for()
    assert opened.page.locator(".rows").inner_text() == before
    assert opened.key not in opened.page.url
    assert opened.page.locator("[data-search]").input_value() == "tomatoes"


def test_in_vietnamese_no_text_is_left_in_english(open_console: Open) -> None:
    opened = open_console("#/overview", language="vi-VN")
    opened.page.locator("h1", has_text="Tổng quan").wait_for()
    navigation = opened.page.locator("nav a").all_inner_texts()
    assert navigation[:5] == ["Ký ức", "Du hành thời gian", "Tổng quan", "Công việc", "Khóa"]
    assert navigation[5:] == ["Sân chơi", "Đối tượng", "Mức dùng", "Webhook", "Cài đặt"]
    opened.page.get_by_role("button", name="English").click()
    opened.page.locator("h1", has_text="Overview").wait_for()
    opened.page.reload()
    opened.page.locator("h1", has_text="Overview").wait_for()
