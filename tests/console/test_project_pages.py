"""What administrators do with a project: webhooks with their log and a test, settings with a preview, usage."""

from __future__ import annotations

import uuid
from typing import Any

import pytest

from tests.console.conftest import Open

pytestmark = [pytest.mark.console, pytest.mark.slow]


def test_a_webhook_is_made_tested_and_deleted(open_console: Open) -> None:
    opened = open_console("#/webhooks")
    page = opened.page
    name = f"hook-{uuid.uuid4().hex[:6]}"
    page.get_by_label("Name").fill(name)
    page.get_by_label("Address").fill("https://receiver.invalid/hook")
    page.get_by_role("checkbox", name="changed").uncheck()
    page.get_by_role("button", name="Create").click()
    assert page.locator(".note pre").inner_text().startswith("whsec_")
    row = page.locator(".row", has_text=name)
    row.get_by_text("active").wait_for()
    assert row.locator(".badge").all_inner_texts() == ["active", "added", "deleted"]

    def answer(route: Any) -> None:
        """The log of a receiver that is away, without the wait for the next minute."""
        listed = opened.call("POST", "/v3/memories/", json={"filters": {"user_id": "playground-webhook"}})
        tried = {"at": "2026-01-01T09:00:00Z", "status": None, "error": "the name has no address"}
        sent = {"status": "failed", "delivered": 0, "created_at": tried["at"], "next_attempt_at": None}
        events = [{"memory_id": one["id"], "version": 1} for one in listed.json()["results"]]
        one = {"id": "d1", **sent, "events": events, "attempts": [tried]}
        route.fulfill(json={"results": [one] if events else [], "next_cursor": None})

    page.route("**/deliveries/**", answer)
    row.get_by_role("link", name="Deliveries and test").click()
    page.get_by_text("Nothing was delivered in the last three days.").wait_for()
    row.get_by_role("button", name="Send a test").click()
    page.get_by_text("The test did not arrive: see the log.").wait_for()
    opened.picture("webhook-log")
    row.get_by_role("button", name="Deactivate").click()
    row.get_by_text("not active").wait_for()
    assert row.get_by_role("button", name="Send a test").is_disabled()
    row.get_by_role("button", name="Delete").click()
    page.get_by_role("dialog").get_by_role("button", name="Delete").click()
    row.wait_for(state="detached")


def test_settings_are_tried_on_a_sample_saved_and_read_by_the_api(open_console: Open) -> None:
    opened = open_console("#/settings")
    page = opened.page
    page.get_by_label("Never keep").fill("health")
    page.get_by_label("Categories").fill("travel: journeys and moves\n\npets: animals: all of them")
    page.get_by_label("Message").fill("I moved to Lisbon in May.")
    page.get_by_role("button", name="Try it").click()
    page.locator(".plain", has_text="Lisbon").wait_for()
    opened.picture("settings-preview")
    left = opened.call("POST", "/v3/memories/", json={"filters": {"user_id": "playground-settings"}}).json()
    assert left["count"] == 0
    page.get_by_role("button", name="Save").click()
    page.get_by_text("The settings are saved.").wait_for()
    place = opened.call("GET", "/v1/ping/").json()
    path = f"/api/v1/orgs/organizations/{place['org_id']}/projects/{place['project_id']}/"
    stored = opened.call("GET", path).json()
    assert (stored["exclusion_prompt"], stored["custom_instructions"]) == ("health", None)
    assert stored["custom_categories"] == [{"travel": "journeys and moves"}, {"pets": "animals: all of them"}]
    opened.go("#/settings")
    assert page.get_by_label("Categories").input_value() == "travel: journeys and moves\npets: animals: all of them"
    page.get_by_label("Categories").fill("")
    page.get_by_label("Never keep").fill("")
    page.get_by_role("button", name="Save").click()
    page.get_by_text("The settings are saved.").wait_for()
    assert opened.call("GET", path).json()["custom_categories"] is None


def test_usage_is_seen_by_day_and_by_key(open_console: Open) -> None:
    opened = open_console("#/usage")
    page = opened.page
    assert int(page.locator(".figures tbody td").first.inner_text().replace(",", "")) > 0
    page.locator("select").nth(1).select_option("key")
    page.locator(".figures th", has_text="cli").wait_for()
