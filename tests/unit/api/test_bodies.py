"""Bodies: their size, their form, and the thread in which they are processed."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator

import pytest
from fastapi.testclient import TestClient
from starlette.exceptions import HTTPException

from forgetless.api.app import create_app
from forgetless.api.body_limit import MAX_BODY_BYTES
from forgetless.api.held_bodies import HELD_BODIES, HeldBodies
from forgetless.api.routing import pool
from forgetless.service.services import Services
from tests.unit.api.client import ADMIN, Api
from tests.unit.api.conftest import NewApi

JSON = {"Content-Type": "application/json"}


@pytest.mark.parametrize("headers", [{}, {"Idempotency-Key": "k1"}])
@pytest.mark.parametrize("announced", [True, False])
def test_a_body_over_the_limit_is_413(api: Api, headers: dict[str, str], *, announced: bool) -> None:
    def chunks() -> Iterator[bytes]:
        for _ in range(7):
            yield b" " * (1024 * 1024)

    content = b" " * (MAX_BODY_BYTES + 1) if announced else chunks()
    answer = api.call("POST", "/memories", content=content, headers={**JSON, **headers})
    assert (answer.status_code, list(answer.json())) == (413, ["detail"])


def test_a_body_at_the_limit_is_read(api: Api) -> None:
    body = b'{"messages": [], "user_id": "alice"}'.ljust(MAX_BODY_BYTES)
    assert api.call("POST", "/memories", content=body, headers=JSON).status_code == 200


def test_a_large_body_without_a_key_is_401(api: Api) -> None:
    answer = api.call("POST", "/memories", key=None, content=b" " * (MAX_BODY_BYTES + 1), headers=JSON)
    assert answer.status_code == 401


@pytest.mark.parametrize("body", [b"\xff\xfe", b"[" * 100_000, b"1" * 5000, b'{"messages": \xc3}', b"", b"null"])
@pytest.mark.parametrize("path", ["/memories", "/search", "/generate-instructions"])
def test_a_body_that_is_no_json_is_refused_and_never_500(api: Api, path: str, body: bytes) -> None:
    assert api.call("POST", path, content=body, headers=JSON).status_code in {400, 422}


def test_a_body_without_a_content_type_is_json(api: Api) -> None:
    answer = api.call("POST", "/memories", content=b'{"messages": [], "user_id": "alice"}')
    assert answer.status_code == 200


def test_a_form_is_422_and_shown_as_it_came(api: Api) -> None:
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    answer = api.call("POST", "/memories", content=b'{"messages": []}', headers=form)
    assert (answer.status_code, answer.json()["detail"][0]["input"]) == (422, '{"messages": []}')


def test_the_services_are_built_by_the_first_request_that_needs_them(api: Api) -> None:
    built: list[Services] = []

    def build() -> Services:
        built.append(api.world.services)
        return built[-1]

    client = TestClient(create_app(build, inline=True))
    assert client.get("/docs").status_code == 200
    assert client.get("/entities").status_code == 401
    assert built == []
    assert client.get("/entities", headers={"X-API-Key": ADMIN}).status_code == 200
    assert built


@pytest.mark.parametrize("inline", [True, False])
def test_endpoints_run_on_the_loop_inline_and_beside_it_in_a_pool(new_api: NewApi, *, inline: bool) -> None:
    api = new_api(inline=inline)
    on_a_loop: list[bool] = []

    def note() -> Services:
        try:
            asyncio.get_running_loop()
            on_a_loop.append(True)
        except RuntimeError:
            on_a_loop.append(False)
        return api.world.services

    client = TestClient(create_app(note, inline=inline), headers={"X-API-Key": ADMIN, "Idempotency-Key": "k"})
    assert client.post("/memories", json={"messages": [], "user_id": "alice"}).status_code == 200
    assert set(on_a_loop) == {inline}


def test_the_pool_is_bounded() -> None:
    run = pool(2)
    running, most = 0, 0
    lock, two_inside = threading.Lock(), threading.Barrier(2)

    def work() -> None:
        nonlocal running, most
        with lock:
            running += 1
            most = max(most, running)
        two_inside.wait(timeout=10)
        with lock:
            running -= 1

    async def many() -> None:
        await asyncio.gather(*(run(work) for _ in range(6)))

    asyncio.run(many())
    assert most == 2


def test_a_body_that_does_not_fit_beside_the_others_is_503_and_is_not_counted_afterwards(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(HELD_BODIES, "_each", 10_000)
    said = {"messages": [{"role": "user", "content": "tea"}], "user_id": "alice", "infer": False}
    for _ in range(2):
        answer = api.post("/memories", {**said, "metadata": {"a": "x" * 10_000}})
        assert (answer.status_code, answer.headers["Retry-After"]) == (503, "1")
        assert [api.post("/memories", said).status_code for _ in range(100)] == [200] * 100


def test_bodies_of_one_tenant_leave_room_for_those_of_others() -> None:
    held = HeldBodies(most=1000)
    held.take("acme", 750)
    with pytest.raises(HTTPException):
        held.take("acme", 1)
    held.take("other", 200)
    with pytest.raises(HTTPException):
        held.take("third", 100)
    for tenant, size in (("acme", 751), ("other", 200), ("third", 100)):
        held.give(tenant, size)
    held.take("third", 750)
