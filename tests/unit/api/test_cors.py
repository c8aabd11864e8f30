"""Cross-origin requests: nothing unless origins are set; then preflights without a key; refusals have headers too."""

from __future__ import annotations

import pytest
from fastapi.testclient import TestClient

from forgetless.api.app import create_app, create_search_app
from forgetless.domain.errors import InvalidRequestError
from forgetless.runtime.settings import load_settings
from tests.unit.api.client import ADMIN, Api

PAGE = "https://app.example.com"
PREFLIGHT = {
    "Origin": PAGE,
    "Access-Control-Request-Method": "PUT",
    "Access-Control-Request-Headers": "x-api-key, content-type",
}


@pytest.fixture
def client(api: Api) -> TestClient:
    return TestClient(create_app(lambda: api.world.services, inline=True, origins=[PAGE]))


def test_without_the_setting_there_is_no_cors(api: Api) -> None:
    answer = api.get("/entities", headers={"Origin": PAGE})
    assert "access-control-allow-origin" not in answer.headers
    assert api.call("OPTIONS", "/entities", headers=PREFLIGHT, key=None).status_code == 401


def test_a_preflight_needs_no_key(client: TestClient) -> None:
    answer = client.options("/memories/x", headers=PREFLIGHT)
    assert answer.status_code == 200
    assert answer.headers["access-control-allow-origin"] == PAGE
    assert "PUT" in answer.headers["access-control-allow-methods"]
    assert "x-api-key" in answer.headers["access-control-allow-headers"]


def test_a_preflight_from_elsewhere_is_refused(client: TestClient) -> None:
    answer = client.options("/memories", headers={**PREFLIGHT, "Origin": "https://evil.example"})
    assert (answer.status_code, "access-control-allow-origin" in answer.headers) == (400, False)


@pytest.mark.parametrize(("key", "status"), [(ADMIN, 200), ("unknown", 401)])
def test_answers_and_refusals_may_be_read_by_the_page(client: TestClient, key: str, status: int) -> None:
    answer = client.get("/entities", headers={"Origin": PAGE, "X-API-Key": key})
    assert answer.status_code == status
    assert answer.headers["access-control-allow-origin"] == PAGE
    assert "X-RateLimit-Remaining" in answer.headers["access-control-expose-headers"]
    assert "access-control-allow-credentials" not in answer.headers


def test_the_search_function_answers_alike(api: Api) -> None:
    client = TestClient(create_search_app(lambda: api.world.services, inline=True, origins=["*"]))
    answer = client.post("/search", json={}, headers={"Origin": PAGE, "X-API-Key": ADMIN})
    assert (answer.status_code, answer.headers["access-control-allow-origin"]) == (422, "*")


def test_origins_are_read_from_the_setting() -> None:
    settings = load_settings({"FORGETLESS_CORS_ORIGINS": f"{PAGE}, http://localhost:5173"})
    assert settings.allowed_origins == (PAGE, "http://localhost:5173")
    assert load_settings({}).allowed_origins == ()
    assert load_settings({"FORGETLESS_CORS_ORIGINS": "*"}).allowed_origins == ("*",)


@pytest.mark.parametrize("origin", ["app.example.com", f"{PAGE}/", f"{PAGE}/page", "https://"])
def test_what_is_no_origin_is_refused_by_name(origin: str) -> None:
    with pytest.raises(InvalidRequestError, match="FORGETLESS_CORS_ORIGINS"):
        _ = load_settings({"FORGETLESS_CORS_ORIGINS": origin}).allowed_origins
