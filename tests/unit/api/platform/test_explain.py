"""Explain: at which step of a search a memory fell, what it superseded, and that nobody learns what others have."""

from __future__ import annotations

from typing import Any

import pytest

from forgetless.domain.keys import Role
from tests.unit.api.client import MEMBER, STRANGER, Api, put_key
from tests.unit.api.conftest import NewApi
from tests.unit.service.world import facts

ALICE = {"user_id": "alice"}
QUERY = "the red bicycle with a bell"


def explained(api: Api, memory_id: str, *, key: str | None = None, **fields: Any) -> dict[str, Any]:
    """What explain says of a memory in a search."""
    body = {"query": QUERY, "filters": ALICE, "threshold": 0, "memory_id": memory_id, **fields}
    answer = api.post("/v1/memories/explain/", body, **({"key": key} if key else {}))
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


def step(found: dict[str, Any], name: str) -> dict[str, Any]:
    """One step of an explanation."""
    steps: list[dict[str, Any]] = found["steps"]
    return next(one for one in steps if one["name"] == name)


def _extracted(api: Api, text: str) -> str:
    """The id of the fact that becomes of a message."""
    body = {"messages": [{"role": "user", "content": text}], "user_id": "alice"}
    (result,) = api.post("/memories", body).json()["results"]
    id_: str = result["id"]
    return id_


def searched(api: Api, **fields: Any) -> list[dict[str, Any]]:
    """The results of the search that is explained."""
    body = {"query": QUERY, "filters": ALICE, "threshold": 0, **fields}
    results: list[dict[str, Any]] = api.post("/v3/memories/search/", body).json()["results"]
    return results


def test_what_a_search_finds_is_found_with_the_same_score_parts_and_rank(api: Api) -> None:
    api.say("a red bicycle", "the bicycle of the neighbour", "bread and butter")
    results = searched(api)
    assert len(results) == 3
    for rank, result in enumerate(results, 1):
        found = explained(api, result["id"])
        assert (found["found"], found["fell_at"]) == (True, None)
        assert (found["score"], found["score_breakdown"]) == (result["score"], result["score_breakdown"])
        assert step(found, "rank")["value"] == rank


@pytest.mark.parametrize("name", ["as_of", "known_at"])
def test_a_search_of_the_past_is_refused_instead_of_explained_as_one_of_the_present(api: Api, name: str) -> None:
    (id_,) = api.say("a red bicycle")
    body = {"query": QUERY, "filters": ALICE, "memory_id": id_, name: "2026-01-01"}
    answer = api.post("/v1/memories/explain/", body)
    assert answer.status_code == 400
    assert name in answer.text


@pytest.mark.parametrize("place", range(3))
def test_a_memory_below_the_threshold_or_beyond_the_results_is_told_both_numbers(api: Api, place: int) -> None:
    api.say("a red bicycle", "the bicycle of the neighbour", "bread and butter")
    result = searched(api)[place]
    high = explained(api, result["id"], threshold=0.99)
    fell = step(high, "threshold")
    assert (high["fell_at"], fell["value"], fell["limit"]) == ("threshold", result["score"], 0.99)
    few = explained(api, result["id"], top_k=1)
    assert (few["found"], few["fell_at"]) == ((True, None) if place == 0 else (False, "rank"))


def test_the_conditions_that_a_memory_fails_are_named(api: Api) -> None:
    (bread,) = api.say("bread and butter", metadata={"topic": "food", "stars": 3})
    for conditions, reason in (
        ({"user_id": "bob"}, 'user_id must be "bob", and is "alice"'),
        ({**ALICE, "metadata": {"topic": "travel"}}, 'topic must be "travel", and is "food"'),
        ({"AND": [ALICE, {"NOT": [{"metadata": {"topic": "food"}}]}]}, "NOT: "),
        ({"AND": [ALICE, {"OR": [{"categories": {"contains": "x"}}, {"run_id": "r"}]}]}, "one of these must hold: "),
    ):
        found = explained(api, bread, filters=conditions)
        assert found["fell_at"] == "filter"
        assert reason in step(found, "filter")["reason"]
        # It still says what the memory would score.
        assert found["score"] is not None


def test_a_superseded_memory_names_its_successor_which_lists_it(new_api: NewApi) -> None:
    api = new_api([facts("Mai lives in Hue"), facts({"text": "Mai lives in Hanoi", "supersedes": [1]})])
    old, new = (_extracted(api, text) for text in ("I live in Hue", "I moved to Hanoi"))
    found = explained(api, old)
    assert found["fell_at"] == "superseded"
    assert new in step(found, "superseded")["reason"]
    assert step(found, "candidate")["passed"] is None
    listed = api.get(f"/v1/memories/{new}/superseded/").json()["results"]
    assert [one["id"] for one in listed] == [old]
    assert api.get(f"/v1/memories/{old}/superseded/").json() == {"results": []}


def test_an_expired_memory_falls_there_unless_expired_ones_are_shown(api: Api) -> None:
    (old,) = api.say("a red bicycle", expiration_date="2030-01-01")
    asked = {"reference_date": "2031-01-01"}
    assert explained(api, old, **asked)["fell_at"] == "expired"
    assert explained(api, old, **asked, show_expired=True)["found"]
    assert explained(api, old)["found"]


def test_a_memory_that_waits_to_be_indexed_falls_there(api: Api) -> None:
    api.world.index.available = False
    (waiting,) = api.say("a red bicycle")
    api.world.index.available = True
    found = explained(api, waiting)
    assert (found["fell_at"], step(found, "indexed")["reason"]) == (
        "indexed",
        "it waits to be indexed; look again in a moment",
    )
    assert (found["score"], found["score_breakdown"]) == (None, None)


def test_beyond_the_candidates_a_memory_has_its_own_scores(api: Api) -> None:
    for start in range(0, 200, 40):
        api.say(*(f"a red bicycle with a bell, number {number}" for number in range(start, start + 40)))
    (far,) = api.say("zebra")
    found = explained(api, far)
    assert (found["fell_at"], step(found, "rank")["passed"]) == ("candidate", None)
    assert found["score"] is not None
    # A search of more results asks each retriever for more, and so does its explanation, but never for thousands.
    wider = explained(api, far, top_k=60)
    assert (wider["fell_at"], step(wider, "rank")["value"], step(wider, "candidate")["limit"]) == ("rank", 201, 240)
    assert step(explained(api, far, top_k=1000), "candidate")["limit"] == 300


def test_a_query_that_the_embedder_refuses_is_explained_by_words_alone(
    api: Api,
) -> None:
    ours, other = api.say("a red bicycle"), api.say("zebra")
    api.world.embedder.refuses = lambda text: "bell" in text
    found = explained(api, ours[0])
    assert (found["found"], found["score_breakdown"]["by_words_alone"]) == (True, True)
    assert found["score"] == searched(api)[0]["score"]
    assert explained(api, other[0], query="bell")["fell_at"] == "candidate"


def test_what_a_key_may_not_read_is_absent_and_not_counted(api: Api) -> None:
    put_key(api.world, "key-of-bob", "default", Role.WRITE, "bob")
    (mine,) = api.say("a bicycle", user_id="bob")
    before = explained(api, mine, key="key-of-bob", filters={"user_id": "bob"})
    (theirs,) = api.say(QUERY)
    assert explained(api, mine, key="key-of-bob", filters={"user_id": "bob"}) == before
    for key in ("key-of-bob", STRANGER):
        body = {"query": QUERY, "filters": {"user_id": "bob"}, "memory_id": theirs}
        answer = api.post("/v1/memories/explain/", body, key=key)
        unknown = api.post("/v1/memories/explain/", {**body, "memory_id": theirs[:-4] + "0000"}, key=key)
        assert (answer.status_code, answer.json()) == (404, unknown.json())
        assert api.get(f"/v1/memories/{theirs}/superseded/", key=key).status_code == 404
    assert explained(api, theirs, key=MEMBER)["found"]


@pytest.mark.parametrize(
    ("fields", "status"),
    [
        ({"memory_id": "no-uuid"}, 400),
        ({"query": " "}, 400),
        ({"filters": {}}, 400),
        ({"filters": {"x": {"y": 1}}}, 400),
    ],
)
def test_bad_input_is_refused(api: Api, fields: dict[str, Any], status: int) -> None:
    (mine,) = api.say("a bicycle")
    body = {"query": QUERY, "filters": ALICE, "memory_id": mine, **fields}
    assert api.post("/v1/memories/explain/", body).status_code == status
