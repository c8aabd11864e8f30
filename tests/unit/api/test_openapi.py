"""The OpenAPI document: every self-hosted route has an answer schema, and real answers match it."""

from __future__ import annotations

import json
from typing import Any

import pytest
from pydantic import TypeAdapter

from forgetless.api.routing import Route
from forgetless.api.selfhosted.answer_schemas import ANSWERS, Problem
from tests.unit.api.client import Api
from tests.unit.api.conftest import NewApi
from tests.unit.service.world import facts


@pytest.fixture
def document(api: Api) -> dict[str, Any]:
    found: dict[str, Any] = api.get("/openapi.json", key=None).json()
    return found


def self_hosted(document: dict[str, Any]) -> dict[tuple[str, str], dict[str, Any]]:
    """Operations of this dialect: the platform's begin with a version or /api/; an export is no JSON document."""
    others = {"/", "/export", "/export-jobs/{job_id}/lines"}
    return {
        (method.upper(), path): operation
        for path, operations in document["paths"].items()
        if path not in others and not path.startswith(("/v1/", "/v2/", "/v3/", "/api/"))
        for method, operation in operations.items()
    }


def test_every_self_hosted_route_has_an_answer(document: dict[str, Any]) -> None:
    assert set(self_hosted(document)) == set(ANSWERS)


def test_answers_and_refusals_have_schemas_that_exist(document: dict[str, Any]) -> None:
    for (method, path), operation in self_hosted(document).items():
        status, _ = ANSWERS[method, path]
        schema = operation["responses"][str(status)]["content"]["application/json"]["schema"]
        assert schema, path
        if path != "/health":
            assert {"401", "403", "429"} <= set(operation["responses"])
    text = json.dumps(document)
    wanted = {part.split('"')[0] for part in text.split("#/components/schemas/")[1:]}
    assert wanted <= set(document["components"]["schemas"])


def test_keys_and_roles_are_described(document: dict[str, Any]) -> None:
    assert set(document["components"]["securitySchemes"]) == {"ApiKey", "Bearer", "Token"}
    operations = self_hosted(document)
    assert operations["POST", "/reset"]["x-required-role"] == "admin"
    assert operations["POST", "/search"]["x-required-role"] == "read"
    assert operations["PUT", "/memories/{memory_id}"]["x-required-role"] == "write"
    assert operations["GET", "/health"]["security"] == []


@pytest.mark.parametrize("path", ["/openapi.json", "/docs"])
def test_the_document_is_made_once(api: Api, path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    first = api.get(path, key=None)
    monkeypatch.setattr("forgetless.api.docs_page.page_text", _made_again)
    monkeypatch.setattr(api.client.app, "openapi", _made_again)
    again = api.get(path, key=None)
    assert again.content == first.content
    assert again.headers.keys() == first.headers.keys()


def _made_again(*_: Any) -> Any:
    raise AssertionError("it is made again")


def _check(method: str, path: str, content: bytes) -> None:
    TypeAdapter(ANSWERS[method, path][1]).validate_json(content)


def test_real_answers_are_as_described(new_api: NewApi) -> None:
    api = new_api([facts("Alice likes tea"), json.dumps({"custom_instructions": "a", "test_message": "b"})])
    add = {"messages": [{"role": "user", "content": "tea"}], "user_id": "alice"}
    extracted = api.post("/memories", add)
    verbatim = api.post("/memories", {**add, "infer": False, "expiration_date": "2999-01-01", "metadata": {"a": [1]}})
    memory = verbatim.json()["results"][0]["id"]
    for answer in (extracted, verbatim):
        _check("POST", "/memories", answer.content)
    found = api.post("/search", {"query": "tea", "filters": {"user_id": "alice"}, "explain": True, "threshold": 0})
    assert len(found.json()["results"]) == 2
    _check("POST", "/search", found.content)
    key = api.post("/api-keys", {"label": "a", "user_ids": ["alice"]})
    _check("POST", "/api-keys", key.content)
    _check("POST", "/generate-instructions", api.post("/generate-instructions", {"use_case": "a cook"}).content)
    _check("POST", "/configure", api.post("/configure", {}).content)
    _check("PUT", "/memories/{memory_id}", api.put(f"/memories/{memory}", {"text": "green tea"}).content)
    for path, template in (
        (f"/memories/{memory}", "/memories/{memory_id}"),
        ("/memories/unknown", "/memories/{memory_id}"),
        (f"/memories/{memory}/history", "/memories/{memory_id}/history"),
        ("/memories?user_id=alice", "/memories"),
        *((plain, plain) for plain in ("/entities", "/configure", "/configure/providers", "/api-keys", "/health")),
    ):
        _check("GET", template, api.get(path).content)
    for path, template in (
        (f"/memories/{memory}", "/memories/{memory_id}"),
        ("/memories?user_id=alice", "/memories"),
        ("/entities/user/alice", "/entities/{entity_type}/{entity_id}"),
        (f"/api-keys/{key.json()['id']}", "/api-keys/{key_id}"),
    ):
        _check("DELETE", template, api.delete(path).content)
    _check("POST", "/reset", api.post("/reset").content)


def test_an_unscoped_list_has_every_key(api: Api) -> None:
    api.say("tea")
    content = api.get("/memories").content
    with_nulls = TypeAdapter(ANSWERS["GET", "/memories"][1]).validate_json(content)
    assert with_nulls.results[0].agent_id is None


@pytest.mark.parametrize(("path", "status"), [("/nothing", 404), ("/memories?top_k=x", 422)])
def test_refusals_are_problems(api: Api, path: str, status: int) -> None:
    answer = api.get(path)
    assert answer.status_code == status
    Problem.model_validate_json(answer.content)


def test_a_route_says_what_it_needs_or_its_method_does() -> None:
    def nothing() -> Any:
        raise NotImplementedError

    assert [Route(method, "/", nothing).role for method in ("GET", "POST", "DELETE")] == ["read", "write", "write"]
