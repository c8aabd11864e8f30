"""Settings, instructions, health and the routes that do not exist."""

from __future__ import annotations

import base64
import hashlib
import json

import pytest
from fastapi.testclient import TestClient

from forgetless.api.app import create_app
from forgetless.domain.errors import DependencyError, EmbedderError, LedgerError
from forgetless.service.services import Ports, Services
from tests.unit.api.client import ADMIN, MEMBER, STRANGER, Api
from tests.unit.api.conftest import NewApi


def test_settings_are_shown_as_the_service_describes_them(api: Api) -> None:
    world = api.world
    ports = Ports(world.ledger, world.index, world.embedder, world.queue, world.clock)
    services = Services(ports, settings_shown={"llm": {"model": "gpt-5-mini", "api_key": "[redacted]"}})
    client = TestClient(create_app(lambda: services, inline=True), headers={"X-API-Key": ADMIN})
    assert client.get("/configure").json() == {"llm": {"model": "gpt-5-mini", "api_key": "[redacted]"}}


def test_settings_are_those_of_the_deployment_and_only_its_operator_sees_them(api: Api) -> None:
    assert api.get("/configure", key=ADMIN).status_code == 200
    for key in (MEMBER, STRANGER):
        assert api.get("/configure", key=key).status_code == 403


def test_providers_are_the_contracts_that_are_spoken(api: Api) -> None:
    assert api.get("/configure/providers").json() == {"llm": ["openai"], "embedder": ["openai"]}


@pytest.mark.parametrize("key", [ADMIN, MEMBER])
def test_settings_cannot_be_changed_over_http(api: Api, key: str) -> None:
    before = api.get("/configure").json()
    answer = api.post("/configure", {"llm": {"provider": "other"}}, key=key)
    assert (answer.status_code, "environment" in answer.json()["detail"]) == (403, True)
    assert api.get("/configure").json() == before


def test_instructions_are_written_by_the_llm(new_api: NewApi) -> None:
    api = new_api([json.dumps({"custom_instructions": "Keep allergies.", "test_message": "I cannot eat nuts."})])
    answer = api.post("/generate-instructions", {"use_case": "a cook"})
    expected = {"custom_instructions": "Keep allergies.", "test_message": "I cannot eat nuts."}
    assert (answer.status_code, answer.json()) == (200, expected)


def test_instructions_without_an_llm_are_400_and_name_the_setting(api: Api) -> None:
    answer = api.post("/generate-instructions", {"use_case": "a cook"})
    assert (answer.status_code, "FORGETLESS_LLM_MODEL" in answer.json()["detail"]) == (400, True)


@pytest.mark.parametrize(("body", "status"), [({}, 422), ({"use_case": 1}, 422), ({"use_case": " "}, 400)])
def test_instructions_need_a_use_case(api: Api, body: dict[str, object], status: int) -> None:
    assert api.post("/generate-instructions", body).status_code == status


def test_health_names_every_part_to_administrators_of_the_deployment(api: Api) -> None:
    answer = api.get("/health", key=ADMIN)
    assert answer.status_code == 200
    assert answer.json() == {"status": "ok", "parts": {"ledger": "ok", "index": "ok", "embedder": "ok"}}


@pytest.mark.parametrize("key", [None, "unknown", MEMBER, STRANGER])
@pytest.mark.parametrize("fails", [False, True])
def test_health_tells_nobody_else_more_than_whether_it_is_well(api: Api, key: str | None, fails: bool) -> None:
    if fails:
        api.world.embedder.failure = EmbedderError("the embedder at 10.0.3.7:7997 gave no reply")
    answer = api.get("/health", key=key)
    assert (answer.status_code, answer.json()) == (200, {"status": "degraded" if fails else "ok"})


def test_health_is_degraded_with_the_name_of_a_part_that_not_every_request_needs(api: Api) -> None:
    api.world.embedder.failure = EmbedderError("connection refused")
    answer = api.get("/health", key=ADMIN)
    assert (answer.status_code, answer.json()["detail"]) == (200, "embedder: connection refused")
    assert (answer.json()["status"], answer.json()["parts"]["ledger"]) == ("degraded", "ok")


@pytest.mark.parametrize("part", ["ledger", "index"])
def test_health_is_503_when_ledger_or_index_do_not_answer(api: Api, part: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail() -> None:
        raise DependencyError("it is out")

    monkeypatch.setitem(api.world.services.health._checks, part, fail)
    answer = api.get("/health", key=ADMIN)
    assert (answer.status_code, answer.json()["status"]) == (503, "down")
    assert answer.json()["detail"] == f"{part}: it is out"
    assert api.get("/health", key=None).json() == {"status": "down"}


def test_health_is_answered_although_no_key_can_be_looked_up(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise LedgerError("the ledger is out")

    monkeypatch.setattr(api.world.services.keys, "authenticate", fail)
    api.world.embedder.failure = EmbedderError("connection refused")
    answer = api.get("/health", key=ADMIN)
    assert (answer.status_code, answer.json()) == (200, {"status": "degraded"})


def test_the_documentation_runs_and_loads_nothing_and_shows_every_route(api: Api) -> None:
    answer = api.get("/docs", key=None)
    assert answer.headers["content-security-policy"].startswith("default-src 'none'; style-src 'sha256-")
    tags = {word.partition(" ")[0].rstrip(">") for word in answer.text.split("<")[1:]}
    assert not tags & {"script", "iframe", "img", "link", "object", "form", "input"}
    document = api.get("/openapi.json", key=None).json()
    for path in document["paths"]:
        assert f"<code>{path}</code>" in answer.text
    for name in document["components"]["schemas"]:
        assert f'id="{name}"' in answer.text


def test_the_style_of_the_documentation_is_the_one_that_its_policy_allows(api: Api) -> None:
    answer = api.get("/docs", key=None)
    style = answer.text.partition("<style>")[2].partition("</style>")[0]
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    assert f"'sha256-{digest}'" in answer.headers["content-security-policy"]


def test_the_documentation_can_be_switched_off(api: Api) -> None:
    client = TestClient(create_app(lambda: api.world.services, inline=True, docs=False))
    found = {path: client.get(path).status_code for path in ("/docs", "/openapi.json", "/redoc", "/health")}
    assert found == {"/docs": 404, "/openapi.json": 404, "/redoc": 401, "/health": 200}


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/memories/"),
        ("GET", "/memories/"),
        ("POST", "/search/"),
        ("GET", "/entities/"),
        ("GET", "/v1/event/x"),
        ("GET", "/requests"),
        ("GET", "/auth/setup-status"),
        ("POST", "/auth/register"),
        ("POST", "/auth/login"),
        ("GET", "/auth/me"),
        ("GET", "/api-keys/"),
    ],
)
def test_other_paths_are_404_and_a_slash_is_another_path(api: Api, method: str, path: str) -> None:
    answer = api.call(method, path)
    assert (answer.status_code, answer.json()) == (404, {"detail": "Not Found"})


def test_another_method_is_405(api: Api) -> None:
    answer = api.call("PATCH", "/memories")
    assert (answer.status_code, answer.json()) == (405, {"detail": "Method Not Allowed"})


def test_the_document_shows_where_the_key_goes_and_every_path(api: Api) -> None:
    document = api.get("/openapi.json", key=None).json()
    assert set(document["components"]["securitySchemes"]) == {"ApiKey", "Bearer", "Token"}
    assert {"/memories", "/search", "/memories/{memory_id}/history", "/v1/event/{event_id}/"} <= set(document["paths"])
    assert "caller" not in json.dumps(document["paths"])
