"""Pages of the Platform's lists: counts, next, cursors, refusals, and answers that would be too large."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

import pytest

from forgetless.api import answer_size
from tests.unit.api.client import Api

ALICES = {"filters": {"user_id": "alice"}}


def fill(api: Api, count: int, **more: Any) -> None:
    for number in range(count):
        api.say(f"text {number}", **more)


def texts(answer: dict[str, Any]) -> list[str]:
    return [one["memory"] for one in answer["results"]]


def test_next_leads_through_the_list_and_is_null_at_its_end(api: Api) -> None:
    fill(api, 5)
    answer = api.post("/v3/memories/?page=1&page_size=2", ALICES).json()
    seen = [texts(answer)]
    assert (answer["count"], answer["previous"]) == (5, None)
    while answer["next"] is not None:
        assert answer["next_cursor"] in answer["next"]
        split = urlsplit(answer["next"])
        answer = api.post(f"{split.path}?{split.query}", ALICES).json()
        seen.append(texts(answer))
    assert seen == [["text 4", "text 3"], ["text 2", "text 1"], ["text 0"]]
    assert "next_cursor" not in answer
    assert "page=2" in answer["previous"]
    assert "cursor" not in answer["previous"]
    assert "count_is_lower_bound" not in answer


@pytest.mark.parametrize("place", ["query", "body"])
def test_a_cursor_alone_continues_a_list(api: Api, place: str) -> None:
    fill(api, 3)
    first = api.post("/v3/memories/?page_size=2", ALICES).json()
    cursor = first["next_cursor"]
    query, body = (f"&cursor={cursor}", ALICES) if place == "query" else ("", {**ALICES, "cursor": cursor})
    second = api.post(f"/v3/memories/?page_size=2{query}", body).json()
    assert (texts(second), second["next"], second["previous"]) == (["text 0"], None, None)


def test_a_bare_list_names_its_cursor_in_a_header(api: Api) -> None:
    fill(api, 3)
    for ask in (
        lambda cursor: api.get(f"/v1/memories/?user_id=alice&limit=2{cursor}"),
        lambda cursor: api.post(f"/v2/memories/?page_size=2{cursor}", ALICES),
    ):
        first = ask("")
        assert len(first.json()) == 2
        second = ask(f"&cursor={first.headers['X-Next-Cursor']}")
        assert [one["memory"] for one in second.json()] == ["text 0"]
        assert "X-Next-Cursor" not in second.headers


@pytest.mark.parametrize(
    "path",
    [
        "/v1/memories/?user_id=alice&cursor=x",
        "/v1/events/?cursor=x",
        "/v1/entities/?cursor=x",
        "/memories?cursor=x",
        "/entities?cursor=x",
        "/memories?user_id=alice&cursor=x",
        "/v1/memories/user/alice/?cursor=x",
    ],
)
def test_a_bad_cursor_is_400_and_named(api: Api, path: str) -> None:
    answer = api.get(path)
    assert answer.status_code == 400
    assert "cursor must be one that this list gave" in answer.text


def test_a_jump_too_far_is_400_and_names_the_cursor(api: Api) -> None:
    answer = api.post("/v3/memories/?page=102&page_size=100", ALICES)
    assert (answer.status_code, "`cursor`" in answer.text) == (400, True)


def test_a_count_that_may_be_too_low_says_so(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    fill(api, 12, metadata={"odd": True})
    monkeypatch.setattr("forgetless.service.reading.lists.SCANNED_ROWS", 4)
    both = {"AND": [{"user_id": "alice"}, {"metadata": {"odd": True}}]}
    answer = api.post("/v3/memories/?page_size=2", {"filters": both})
    assert answer.json()["count"] == 12
    events = api.get("/v1/events/?page_size=5").json()
    assert (events["count"], events["count_is_lower_bound"], len(events["results"])) == (6, True, 5)


def test_entities_and_events_have_pages(api: Api) -> None:
    for number in range(5):
        api.say("tea", user_id=f"u{number}")
    first = api.get("/v1/entities/?page=1&page_size=3").json()
    second = api.get("/v1/entities/?page=2&page_size=3").json()
    assert [one["name"] for one in first["results"] + second["results"]] == [f"u{number}" for number in range(5)]
    assert (first["count"], first["total_users"], second["next"]) == (5, 5, None)
    some = api.get("/entities?limit=4")
    rest = api.get(f"/entities?limit=4&cursor={some.headers['X-Next-Cursor']}")
    assert [one["id"] for one in some.json() + rest.json()] == [f"u{number}" for number in range(5)]
    events = api.get("/v1/events/?page=2&page_size=3").json()
    assert (events["count"], len(events["results"]), events["next"]) == (5, 2, None)


def test_a_list_of_the_past_has_pages(api: Api) -> None:
    fill(api, 3)
    then = "2100-01-01"
    first = api.post("/v3/memories/?page_size=2", {**ALICES, "as_of": then}).json()
    second = api.post("/v3/memories/?page_size=2&page=2", {**ALICES, "as_of": then}).json()
    assert texts(first) + texts(second) == ["text 2", "text 1", "text 0"]
    assert (first["count"], second["next"]) == (3, None)
    bare = api.get(f"/memories?user_id=alice&top_k=2&known_at={then}").json()
    rest = api.get(f"/memories?user_id=alice&top_k=2&known_at={then}&cursor={bare['next_cursor']}").json()
    assert texts(bare) + texts(rest) == ["text 2", "text 1", "text 0"]
    assert "next_cursor" not in rest


def test_links_are_relative_because_anybody_may_write_the_host(api: Api) -> None:
    fill(api, 3)
    page = api.post("/v3/memories/?page=2&page_size=1", ALICES, headers={"Host": "evil.example"}).json()
    assert [page["next"][:36], page["previous"]] == [
        "/v3/memories/?page=3&page_size=1&cur",
        "/v3/memories/?page=1&page_size=1",
    ]


def test_pages_end_before_an_answer_is_too_large(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(answer_size, "ANSWER_BYTES", 5000)
    fill(api, 9, metadata={"long": "x" * 1000})
    seen: list[str] = []
    for number in range(1, 10):
        answer = api.post(f"/v3/memories/?page={number}&page_size=9", ALICES).json()
        assert 0 < len(answer["results"]) < 4
        seen += texts(answer)
        if answer["next"] is None:
            break
        assert answer["count"] > number * 9
    assert seen == [f"text {number}" for number in range(9)][::-1]
    shown = api.get("/memories?user_id=alice").json()
    assert len(shown["results"]) < 9
    assert shown["next_cursor"]
