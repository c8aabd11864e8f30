"""What people see when something is wrong: keys that end, a connection that is lost, failing services, odd texts."""

from __future__ import annotations

import re
from typing import Any

import pytest

from tests.console.conftest import Open
from tests.e2e.house import House

pytestmark = [pytest.mark.console, pytest.mark.slow]

ODD = (
    '<img src=x onerror="document.title=1"><script>document.title=2</script> \u202eevil\u202c 👩‍👩‍👧 '
    + "word " * 12_000
)


def test_whoever_has_a_wrong_key_is_told_so_and_signs_in_with_another(open_console: Open, house: House) -> None:
    opened = open_console("#/memories", key="fgl_wrong")
    page = opened.page
    page.get_by_text("The key is not valid.").wait_for()
    page.get_by_label("API key").fill("fgl_also_wrong")
    page.get_by_role("button", name="Sign in").click()
    page.get_by_text("The key is not valid.").wait_for()
    page.get_by_label("API key").fill(house.client.headers["X-API-Key"])
    page.get_by_role("button", name="Sign in").click()
    page.get_by_role("heading", name="Memories", exact=True).wait_for()


def test_whoever_comes_without_a_key_signs_in_and_sees_only_the_page(browser: Any, house: House) -> None:
    with browser.new_context(locale="en-GB") as context:
        page = context.new_page()
        page.goto(f"{house.client.base_url}/console#/entities")
        page.get_by_label("API key").fill(house.client.headers["X-API-Key"])
        page.get_by_role("button", name="Sign in").click()
        page.get_by_role("heading", name="Entities").wait_for()
        assert page.locator("#console > :visible").evaluate_all("all => all.map(one => one.className)") == [
            "skip",
            "frame",
        ]


def test_whoever_signs_in_anew_after_the_key_was_revoked_finds_what_was_typed(open_console: Open, house: House) -> None:
    whole = house.client.headers["X-API-Key"]
    opened = open_console("#/keys")
    key = opened.call("POST", "/api-keys", json={"label": "ends", "role": "admin"}).json()["key"]
    opened = open_console("#/keys", key=key)
    page = opened.page
    page.get_by_label("Label").fill("half typed")

    def refuse(route: Any) -> None:
        """As every process does 30 seconds after the key was revoked."""
        if route.request.headers["x-api-key"] == whole:
            route.continue_()
        else:
            route.fulfill(status=401, json={"detail": "Invalid API key."})

    page.route("**/api-keys", refuse)
    page.get_by_role("button", name="Create").click()
    page.get_by_text("The key is not valid any more.").wait_for()
    page.keyboard.press("Escape")
    opened.picture("revoked")
    page.get_by_label("API key").fill(whole)
    page.get_by_role("button", name="Sign in").click()
    page.get_by_role("dialog").wait_for(state="detached")
    assert page.get_by_label("Label").input_value() == "half typed"
    page.get_by_role("button", name="Create").click()
    page.get_by_text("This is the new key.").wait_for()


def test_what_was_typed_outlasts_a_lost_connection_and_a_failing_service(open_console: Open) -> None:
    opened = open_console("#/keys")
    (id_,) = opened.say("The well is deep.", user="outlasts")
    opened.go(f"#/memory?id={id_}")
    page = opened.page
    page.get_by_role("button", name="Edit").click()
    text = page.get_by_label(re.compile("^Text"))
    text.fill("The well is dry.")
    page.context.set_offline(True)
    page.get_by_role("button", name="Save").click()
    page.get_by_text("The service cannot be reached.").wait_for()
    page.context.set_offline(False)
    page.route(f"**/v1/memories/{id_}/", lambda route: route.fulfill(status=500, json={"detail": "it broke"}))
    page.get_by_role("button", name="Save").click()
    page.get_by_text("The service has a problem.").wait_for()
    assert text.input_value() == "The well is dry."
    page.unroute(f"**/v1/memories/{id_}/")
    page.get_by_role("button", name="Save").click()
    page.get_by_role("heading", name="The well is dry.").wait_for()


def test_a_console_that_starts_without_the_service_goes_on_when_it_is_there(open_console: Open) -> None:
    opened = open_console("#/keys")
    page = opened.page
    page.route("**/v1/ping/", lambda route: route.abort("connectionrefused"))
    opened.go("#/entities")
    page.get_by_text("The service cannot be reached.").wait_for()
    assert page.get_by_label("API key").count() == 0
    page.unroute("**/v1/ping/")
    page.get_by_role("heading", name="Entities").wait_for()


def test_without_the_service_a_page_says_so_and_goes_on_when_it_is_back(open_console: Open) -> None:
    opened = open_console("#/memories?user_id=look")
    page = opened.page
    page.wait_for_load_state("networkidle")
    page.context.set_offline(True)
    page.get_by_label("Search").fill("tomatoes")
    page.get_by_text("The service cannot be reached.").wait_for()
    opened.picture("offline")
    page.context.set_offline(False)
    page.get_by_text("The service cannot be reached.").wait_for(state="detached")


@pytest.mark.parametrize(("status", "text"), [(500, "The service has a problem."), (429, "A quota is used up.")])
def test_a_failing_service_is_told_with_what_to_do(open_console: Open, status: int, text: str) -> None:
    opened = open_console("#/overview")
    page = opened.page
    page.route(
        "**/v3/memories/**",
        lambda route: route.fulfill(status=status, json={"detail": "x"}, headers={"Retry-After": "7"}),
    )
    opened.go("#/memories")
    page.get_by_text(text).wait_for()
    assert "7 s" in page.locator(".note.error").inner_text()


def test_odd_texts_and_ids_are_shown_as_they_are(open_console: Open) -> None:
    opened = open_console("#/overview")
    user = "ann & co/ 100% <b>?#é"
    (id_,) = opened.say(ODD, user=user)
    opened.go("#/entities")
    page = opened.page
    page.get_by_role("link", name=user).click()
    page.locator(".row", has_text="<script>").wait_for()
    page.locator("[data-row]").first.click()
    page.get_by_role("heading", name=re.compile("^<img src=x")).wait_for()
    assert page.locator("main img, main script").count() == 0
    assert page.title() == "Memory · Forgetless"
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    opened.picture("odd")
    assert opened.call("DELETE", f"/v1/memories/{id_}/").status_code == 200
