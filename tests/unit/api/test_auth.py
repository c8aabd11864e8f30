"""Who may call: refused by default, three forms of the header, and mem0's words in refusals."""

from __future__ import annotations

from dataclasses import replace

import pytest

from forgetless.domain.keys import key_hash
from tests.unit.api.client import ADMIN, MEMBER, STRANGER, Api

MISSING = "Authentication required. Provide a Bearer token or X-API-Key header."


@pytest.mark.parametrize(
    "headers",
    [
        {"X-API-Key": ADMIN},
        {"Authorization": f"Bearer {ADMIN}"},
        {"Authorization": f"Token {ADMIN}"},
        {"authorization": f"bearer  {ADMIN} "},
        {"Authorization": "Basic abc", "X-API-Key": ADMIN},
        {"Authorization": "Token unknown", "X-API-Key": ADMIN},
    ],
)
def test_a_key_is_taken_from_any_of_three_headers(api: Api, headers: dict[str, str]) -> None:
    assert api.get("/entities", key=None, headers=headers).status_code == 200


@pytest.mark.parametrize(
    "headers", [{}, {"X-API-Key": ""}, {"Authorization": "Basic abc"}, {"Authorization": "Bearer "}]
)
def test_a_missing_key_is_401_and_says_how_to_give_one(api: Api, headers: dict[str, str]) -> None:
    answer = api.get("/entities", key=None, headers=headers)
    assert (answer.status_code, answer.json()) == (401, {"detail": MISSING})
    assert answer.headers["www-authenticate"] == "Bearer"


@pytest.mark.parametrize(
    ("headers", "detail"),
    [
        ({"X-API-Key": "unknown"}, "Invalid API key."),
        ({"Authorization": "Token unknown"}, "Invalid API key."),
        ({"Authorization": "Bearer unknown"}, "Invalid or expired token."),
        ({"Authorization": "Bearer unknown", "X-API-Key": ADMIN}, "Invalid or expired token."),
        ({"X-API-Key": "schlüssel-\udcff".encode("utf-8", "surrogateescape").decode("latin-1")}, "Invalid API key."),
    ],
)
def test_an_unknown_key_is_401_without_a_challenge(api: Api, headers: dict[str, str], detail: str) -> None:
    raw = {name: value.encode("latin-1") for name, value in headers.items()}
    answer = api.get("/entities", key=None, headers=raw)
    assert (answer.status_code, answer.json()) == (401, {"detail": detail})
    assert "www-authenticate" not in answer.headers


@pytest.mark.parametrize("path", ["/health", "/docs", "/openapi.json"])
def test_these_pages_are_open(api: Api, path: str) -> None:
    assert api.get(path, key=None).status_code == 200


def test_the_front_page_leads_to_the_documentation(api: Api) -> None:
    answer = api.get("/", key=None)
    assert (answer.status_code, answer.headers["location"]) == (307, "/docs")


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/"),
        ("POST", "/health"),
        ("GET", "/health/"),
        ("GET", "/docs/oauth2-redirect"),
        ("GET", "/nothing"),
        ("POST", "/memories"),
        ("POST", "/search"),
        ("PUT", "/memories/x"),
        ("DELETE", "/memories"),
        ("GET", "/v1/event/x/"),
    ],
)
def test_everything_else_is_refused_before_the_route_and_the_body_are_looked_at(
    api: Api, method: str, path: str
) -> None:
    assert api.call(method, path, key=None, content=b"no json").status_code == 401


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("DELETE", "/memories?user_id=alice"),
        ("DELETE", "/memories"),
        ("POST", "/reset"),
        ("DELETE", "/entities/user/alice"),
    ],
)
def test_what_empties_whole_scopes_is_for_administrators(api: Api, method: str, path: str) -> None:
    api.say("kept")
    answer = api.call(method, path, key=MEMBER)
    assert (answer.status_code, answer.json()) == (403, {"detail": "Admin role required."})
    assert api.texts() == ["kept"]


def test_another_tenant_sees_and_touches_nothing(api: Api) -> None:
    (memory,) = api.say("ours alone")
    assert api.texts(key=STRANGER) == []
    assert api.found("ours alone", key=STRANGER) == []
    assert api.get(f"/memories/{memory}", key=STRANGER).json() is None
    assert api.get(f"/memories/{memory}/history", key=STRANGER).json() == []
    assert api.get("/entities", key=STRANGER).json() == []
    assert api.put(f"/memories/{memory}", {"text": "theirs"}, key=STRANGER).status_code == 404
    assert api.delete(f"/memories/{memory}", key=STRANGER).status_code == 404
    assert api.post("/reset", key=STRANGER).status_code == 200
    assert api.delete("/memories?user_id=alice", key=STRANGER).status_code == 200
    assert api.texts() == ["ours alone"]


def test_a_revoked_key_is_unknown(api: Api) -> None:
    stored = api.world.ledger.key(key_hash(MEMBER))
    assert stored is not None
    api.world.ledger.put_key(replace(stored, revoked=True), held=stored)
    assert api.get("/entities", key=MEMBER).status_code == 401
