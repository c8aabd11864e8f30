"""What people do in the console: by mouse, by keyboard alone, with limited keys, and when something is wrong."""

from __future__ import annotations

import re
import uuid
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from tests.console.conftest import Open
from tests.e2e.house import wait_until

pytestmark = [pytest.mark.console, pytest.mark.slow]


def test_by_keyboard_alone_one_searches_goes_through_the_rows_and_opens_one(open_console: Open) -> None:
    opened = open_console("#/overview")
    opened.say("The blue kettle leaks.", "The red kettle works.", user="keyboard")
    opened.go("#/memories?user_id=keyboard")
    page = opened.page
    page.locator("[data-row]").first.wait_for()
    page.keyboard.press("/")
    page.keyboard.type("which kettle leaks")
    page.keyboard.press("Enter")
    page.locator(".score").first.wait_for()
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowUp")
    page.keyboard.press("Enter")
    page.get_by_role("heading", name="The blue kettle leaks.").wait_for()
    page.go_back()
    page.locator(".score").first.wait_for()
    page.keyboard.press("/")
    page.keyboard.press("Escape")
    page.wait_for_function("!location.hash.includes('q=')")


def test_why_a_memory_did_not_come_is_seen(open_console: Open) -> None:
    opened = open_console("#/overview")
    (missing,) = opened.say("Quantum chromodynamics is hard.", user="why")
    opened.say("I like plums.", user="why")
    opened.go("#/memories?user_id=why&q=plums&threshold=0.3")
    page = opened.page
    page.get_by_role("button", name="Missing a memory?").click()
    named = page.get_by_label(re.compile("Words of the memory, or its id"))
    assert named.evaluate("field => field === document.activeElement")
    named.fill(missing)
    page.get_by_role("button", name="Why not?").click()
    page.get_by_text("It fell at: Reaches the threshold").wait_for()
    # By its words, too, and even if the filter of the search leaves it out.
    (other,) = opened.say("The neutron star spins.", user="why-other")
    named.fill("neutron star")
    page.get_by_role("button", name="Why not?").click()
    page.locator(".named").get_by_role("button", name="The neutron star spins.").click()
    page.get_by_text("It fell at: Matches the filter").wait_for()
    opened.picture("why-not")
    page.get_by_role("link", name="Open this memory").click()
    page.get_by_role("heading", name="The neutron star spins.").wait_for()
    assert other in page.url


def test_in_vietnamese_no_reason_of_a_step_is_in_english(open_console: Open) -> None:
    opened = open_console("#/memories", language="vi-VN")
    page = opened.page
    page.evaluate("import('/console/time_example.js').then(one => one.writeExample('reasons'))")
    listed = opened.call("POST", "/v3/memories/", json={"filters": {"user_id": "reasons"}}).json()["results"]
    path = f"/v1/memories/{listed[0]['id']}/superseded/"
    old = opened.call("GET", path).json()["results"][0]["id"]
    steps = []
    for memory, user in ((listed[0]["id"], "reasons"), (old, "reasons"), (listed[0]["id"], "somebody else")):
        body = {"query": "Where does Ana live?", "filters": {"user_id": user}, "memory_id": memory, "threshold": 0}
        steps += opened.call("POST", "/v1/memories/explain/", json=body).json()["steps"]
    judged = [step for step in steps if step["passed"] is not None]
    script = "steps => import('/console/step_reasons.js').then(one => steps.map(one.reasonOf))"
    for step, shown in zip(judged, page.evaluate(script, judged), strict=True):
        assert shown not in {"", step["reason"]}, step
        assert " must " not in shown, step
    assert {step["name"] for step in judged if not step["passed"]} >= {"superseded", "filter"}
    assert opened.call("DELETE", "/v2/entities/user/reasons/").status_code == 200


def test_a_memory_is_edited_and_the_edit_taken_back_then_it_is_deleted_for_ever(open_console: Open) -> None:
    opened = open_console("#/overview")
    (id_,) = opened.say("Her car is red.", user="edit")
    opened.go(f"#/memory?id={id_}")
    page = opened.page
    page.get_by_role("button", name="Edit").click()
    page.get_by_label(re.compile("^Text")).fill("Her car is blue.")
    page.get_by_role("button", name="Save").click()
    page.get_by_role("heading", name="Her car is blue.").wait_for()
    page.locator("del", has_text="red").wait_for()
    page.get_by_role("button", name="Undo").click()
    page.get_by_role("heading", name="Her car is red.").wait_for()
    page.get_by_role("button", name="Delete").click()
    confirm = page.get_by_role("button", name="Delete for ever")
    assert confirm.is_disabled()
    page.get_by_label("Type delete to confirm").fill("delete")
    confirm.click()
    page.get_by_text("The memory is erased.").wait_for()
    assert opened.call("GET", f"/v1/memories/{id_}/").status_code == 404


def test_a_supersession_is_seen_and_undone_from_what_came_after(open_console: Open) -> None:
    opened = open_console("#/time")
    page = opened.page
    page.get_by_role("button", name="Show me").click()
    # The example is imported line by line, and the last line is the supersession.
    address = "/memories?user_id=playground-time-travel"
    known = ["Ana lives in Berlin."]
    wait_until(lambda: [one["memory"] for one in opened.call("GET", address).json()["results"]] == known)
    page.get_by_role("link", name="Ana lives in Berlin.").click()
    lineage = page.locator(".lineage")
    lineage.get_by_role("link", name="Ana lives in Lisbon.").wait_for()
    lineage.get_by_role("button", name="Bring it back").click()
    page.get_by_text("It is remembered again.").wait_for()
    lineage.wait_for(state="detached")
    opened.go("#/memories?user_id=playground-time-travel")
    page.get_by_role("link", name="Ana lives in Lisbon.").wait_for()
    opened.go("#/time?user_id=playground-time-travel&known_at=2020-01-01")
    page.get_by_text("Nothing was known on").wait_for()
    page.get_by_role("button", name="Show what was true then, as it is known now").click()
    page.get_by_text("Nothing was true on").wait_for()
    page.get_by_role("button", name="Erase the example").click()
    page.get_by_role("button", name="Show me").wait_for()


def test_a_failed_job_behind_many_others_is_found_and_tried_again(open_console: Open) -> None:
    opened = open_console("#/keys")
    page = opened.page
    failed = {
        "id": "f1",
        "event_type": "ADD",
        "status": "FAILED",
        "error": "the LLM refused the key",
        "payload": {"user_id": "x"},
        "results": [],
        "metadata": {},
        "created_at": "2026-01-01",
    }
    asked: list[dict[str, list[str]]] = []

    def answer(route: Any) -> None:
        asked.append(parse_qs(urlsplit(route.request.url).query))
        behind = "cursor" in asked[-1]
        route.fulfill(json={"results": [failed] if behind else [], "next_cursor": None if behind else "5000 later"})

    page.route("**/v1/events/**", answer)
    page.route("**/v1/event/f1/", lambda route: route.fulfill(json=failed))
    page.route("**/v1/event/f1/retry/", lambda route: route.fulfill(json={**failed, "status": "PENDING"}, status=202))
    opened.go("#/overview")
    page.get_by_role("link", name=re.compile("Failed")).click()
    page.get_by_text("No such job among the newest thousands").wait_for()
    page.get_by_role("button", name="Show older ones").click()
    page.locator(".row", has_text="the LLM refused the key").get_by_role("link", name="Add").click()
    page.get_by_role("button", name="Try again").click()
    page.get_by_text("It is tried again.").wait_for()
    assert {"FAILED"} == {status for one in asked for status in one.get("status", ["FAILED"])}
    assert asked[-1].get("status") == ["FAILED"]


def test_the_example_of_time_travel_shows_lisbon_and_berlin(open_console: Open) -> None:
    opened = open_console("#/time")
    page = opened.page
    page.get_by_role("button", name="Show me").click()
    page.locator(".rows", has_text="Ana lives in Berlin.").wait_for()
    assert page.get_by_text("Ana lives in Lisbon.").count() == 0
    page.get_by_role("button", name="What did we know on 16 May?").click()
    page.locator(".rows", has_text="Ana lives in Lisbon.").wait_for()
    opened.picture("time-travel")
    page.get_by_role("button", name="What do we know now?").click()
    page.locator(".rows", has_text="Ana lives in Berlin.").wait_for()
    # The slider, by keyboard: the first step of the time was true in Lisbon.
    page.get_by_label("What was true at").first.press("Home")
    page.keyboard.press("PageUp")
    page.locator(".rows", has_text="Ana lives in Lisbon.").wait_for()
    page.get_by_role("button", name="Erase the example").click()
    page.get_by_role("button", name="Show me").wait_for()


def test_in_the_playground_a_conversation_is_remembered_asked_about_and_erased(open_console: Open) -> None:
    opened = open_console("#/playground")
    page = opened.page
    page.get_by_role("textbox", name="Message").fill("I moved to Lisbon in May. My dog Nilo hates trams.")
    page.get_by_role("button", name="Remember").click()
    page.get_by_role("heading", name="What was remembered").wait_for()
    page.get_by_label("Search").fill("Where does she live?")
    page.locator(".rows .score").first.wait_for()
    opened.picture("playground-used")
    user = page.locator("main code").first.inner_text()
    page.get_by_role("button", name="Erase this playground").click()
    page.get_by_text("The playground is erased.").wait_for()
    assert opened.call("POST", "/v3/memories/", json={"filters": {"user_id": user}}).json()["count"] == 0


def test_a_key_is_made_used_and_revoked(open_console: Open) -> None:
    opened = open_console("#/keys")
    page = opened.page
    label = f"made-{uuid.uuid4().hex[:6]}"
    page.get_by_label("Label").fill(label)
    page.get_by_label("Role").select_option("read")
    page.get_by_role("button", name="Create").click()
    secret = page.locator(".note pre").inner_text()
    assert opened.call("GET", "/v1/ping/", key=secret).json()["role"] == "read"
    row = page.locator(".row", has_text=label)
    row.get_by_role("button", name="Revoke").click()
    page.get_by_label("Type revoke to confirm").fill("revoke")
    page.get_by_role("dialog").get_by_role("button", name="Revoke").click()
    row.wait_for(state="detached")


def test_keys_come_one_page_after_the_other(open_console: Open) -> None:
    opened = open_console("#/usage")
    page = opened.page

    def answer(route: Any) -> None:
        cursor = parse_qs(urlsplit(route.request.url).query).get("cursor")
        label = "on the first page" if cursor is None else f"after {cursor[0]}"
        key = {"id": label, "label": label, "key_prefix": "fgl_", "created_at": "2026-01-01", "role": "read"}
        lists = {"user_ids": [], "agent_ids": [], "app_ids": [], "expires_at": None, "last_used_at": None}
        route.fulfill(json=[{**key, **lists}], headers={"X-Next-Cursor": "the first"} if cursor is None else {})

    page.route(re.compile(r"/api-keys(\?|$)"), answer)
    opened.go("#/keys")
    page.locator(".row", has_text="on the first page").wait_for()
    page.get_by_role("button", name="Show more").click()
    page.locator(".row", has_text="after the first").wait_for()
    page.get_by_role("button", name="Show more").wait_for(state="detached")
    assert page.locator(".row").count() == 2


def test_a_key_that_may_only_write_is_offered_no_erasure(open_console: Open) -> None:
    first = open_console("#/keys")
    first.say("I write.", user="writer")
    key = first.call("POST", "/api-keys", json={"label": "writes", "role": "write"}).json()["key"]
    opened = open_console("#/playground", key=key)
    page = opened.page
    page.get_by_text("An administrator's key may erase it.").wait_for()
    opened.go("#/entities")
    page.get_by_role("link", name="writer", exact=True).wait_for()
    assert page.get_by_role("button", name="Erase").count() == 0
    # Who the users are is offered where one is asked for.
    opened.go("#/memories")
    page.get_by_text("Filters").click()
    page.locator("datalist option[value=writer]").wait_for(state="attached")
    # Everybody's memories and jobs are for administrators; one user's jobs are not.
    opened.go("#/overview")
    page.get_by_text("Adds today").wait_for()
    assert page.get_by_role("alert").count() == page.get_by_text("Newest memories").count() == 0
    opened.go("#/jobs")
    page.get_by_text("name user_id, agent_id, app_id or run_id").wait_for()
    page.get_by_label("User").fill("writer")
    page.get_by_label("User").press("Enter")
    page.locator(".row", has_text="writer").get_by_role("link", name="Add", exact=True).wait_for()


def test_a_limited_key_sees_its_user_and_no_page_that_it_may_not_use(open_console: Open) -> None:
    first = open_console("#/overview")
    first.say("Limited likes lemons.", user="limited")
    first.say("Others like oranges.", user="others")
    body = {"label": "limited", "role": "read", "user_ids": ["limited"]}
    key = first.call("POST", "/api-keys", json=body).json()["key"]
    opened = open_console("#/memories?user_id=limited", key=key)
    page = opened.page
    page.get_by_text("Limited likes lemons.").wait_for()
    assert page.locator("nav a").all_inner_texts() == [
        "Memories",
        "Time travel",
        "Overview",
        "Jobs",
        "Entities",
        "Usage",
    ]
    opened.go("#/keys")
    page.get_by_text("There is no such page, or this key may not use it.").wait_for()
    for hash_ in ("#/overview", "#/entities", "#/jobs", "#/memories"):
        opened.go(hash_)
        page.wait_for_load_state("networkidle")
        assert "orange" not in page.content()


def test_thousands_of_memories_are_paged_through_as_one_scrolls(open_console: Open) -> None:
    opened = open_console("#/overview")
    for start in range(0, 300, 100):
        opened.say(*(f"Fact number {number} about nothing." for number in range(start, start + 100)), user="many")
    opened.go("#/memories?user_id=many")
    page = opened.page
    page.get_by_text("300 memories", exact=True).wait_for()
    oldest = page.get_by_text("Fact number 0 about nothing.", exact=True)
    for _ in range(20):
        page.mouse.wheel(0, 4000)
        page.wait_for_timeout(150)
        if oldest.count():
            break
    # Back from a memory, the list is as it was left.
    oldest.click()
    page.get_by_role("heading", name="Details").wait_for()
    page.go_back()
    oldest.wait_for()
    assert oldest.is_visible()
    assert page.evaluate("scrollY") > 2000


def test_only_rows_near_the_window_are_kept_of_a_list_of_thousands(open_console: Open) -> None:
    opened = open_console("#/overview")
    page = opened.page
    page.route("**/v3/memories/?*", _a_page_of_thousands)
    opened.go("#/memories?user_id=thousands")
    page.get_by_text("20,000 memories", exact=True).wait_for()
    last = page.get_by_text("Fact number 19,999.", exact=True)
    while not last.count():
        page.keyboard.press("End")
        page.wait_for_timeout(50)
        assert page.locator("[data-row]").count() <= 1000
    last.wait_for()
    # What was left behind keeps its room, and is there again at once.
    height = page.evaluate("document.body.scrollHeight")
    page.keyboard.press("Home")
    page.get_by_text("Fact number 0.", exact=True).wait_for()
    assert page.locator("[data-row]").count() <= 1000
    assert page.evaluate("document.body.scrollHeight") == height


def _a_page_of_thousands(route: Any) -> None:
    """Answer a request for a page of a list, as the API does for a user with 20,000 memories."""
    query = parse_qs(urlsplit(route.request.url).query)
    start, size = int(query.get("cursor", ["0"])[0]), int(query["page_size"][0])
    end = min(start + size, 20_000)
    at = "2026-03-01T10:00:00+00:00"
    results = [
        {
            "id": str(uuid.UUID(int=number)),
            "memory": f"Fact number {number:,}.",
            "user_id": "thousands",
            "created_at": at,
        }
        for number in range(start, end)
    ]
    more = {"next_cursor": str(end)} if end < 20_000 else {}
    route.fulfill(json={"count": 20_000, "next": None, "previous": None, "results": results, **more})
