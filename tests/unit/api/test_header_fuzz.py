"""Random headers never cause a 5xx and never pass authentication."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import anyio
import pytest
from fastapi import FastAPI
from hypothesis import example, given, settings
from hypothesis import strategies as st

from forgetless.api.app import create_app
from tests.unit.api.client import ADMIN, make_api
from tests.unit.service.world import make_world

Headers = Sequence[tuple[bytes, bytes]]

#: Names that the application reads, in lower case as servers give them, and any others.
NAMES = st.sampled_from(
    b"authorization x-api-key idempotency-key content-type content-length content-encoding origin host prefer accept "
    b"access-control-request-method access-control-request-headers x-forwarded-for x-forwarded-proto "
    b"transfer-encoding expect upgrade cookie range".split()
)
VALUES = st.one_of(
    st.binary(max_size=64),
    st.sampled_from([b"Bearer", b"Bearer ", b"Token \xff", b"application/json; charset=\xff", b"-1", b"9" * 5000]),
    st.sampled_from([b"multipart/form-data", b"application/x-www-form-urlencoded", b"text/plain; charset=utf-16"]),
)
REQUESTS = st.sampled_from(
    [
        ("GET", "/memories", b"user_id=alice", b""),
        ("GET", "/health", b"", b""),
        ("POST", "/memories", b"", b'{"messages": [], "user_id": "alice", "infer": false}'),
        ("POST", "/search", b"", b'{"query": "tea", "filters": {"user_id": "alice"}}'),
        ("OPTIONS", "/memories", b"", b""),
        ("POST", "/api-keys", b"", b'{"label": "a"}'),
        ("DELETE", "/api-keys/x", b"", b""),
    ]
)


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FastAPI]:
    world = make_world(tmp_path_factory.mktemp("fuzz"))
    make_api(world)  # puts the keys
    yield create_app(lambda: world.services, inline=True, origins=["https://app.example.com"])
    world.ledger.close()


def ask(app: FastAPI, request: tuple[str, str, bytes, bytes], headers: Headers) -> int:
    """The status of one request, straight at the application: no client tidies it up."""
    method, path, query, body = request
    scope = {"type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "scheme": "http", "method": method}
    scope |= {"path": path, "raw_path": path.encode(), "query_string": query, "root_path": "", "headers": list(headers)}
    scope |= {"server": ("test", 80), "client": ("127.0.0.1", 1)}
    status: list[int] = []

    async def receive() -> dict[str, object]:
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(message: dict[str, object]) -> None:
        if message["type"] == "http.response.start":
            status.append(message["status"])  # type: ignore[arg-type]

    anyio.run(app, scope, receive, send)
    (one,) = status
    return one


@settings(max_examples=250, deadline=None)
@given(REQUESTS, st.lists(st.tuples(st.one_of(NAMES, st.binary(min_size=1, max_size=20)), VALUES), max_size=6))
@example(("GET", "/memories", b"", b""), [(b"authorization", b"\xff\xfe")])
@example(("POST", "/memories", b"", b"{}"), [(b"content-length", b"9" * 5000)])
@example(("GET", "/health", b"", b""), [(b"content-length", b"9" * 5000)])
def test_without_a_key_headers_open_nothing(
    app: FastAPI, request_: tuple[str, str, bytes, bytes], headers: Headers
) -> None:
    # What is open to everybody refuses a body that is announced as too large, like every other route.
    allowed = {"/health": {200, 413}}.get(request_[1], {200, 400, 401} if request_[0] == "OPTIONS" else {401})
    assert ask(app, request_, headers) in allowed


@pytest.mark.parametrize(("length", "status"), [(b"6291456", 200), (b"6291457", 413), (b"9" * 5000, 413)])
def test_an_open_route_takes_bodies_up_to_the_limit_of_all_routes(app: FastAPI, length: bytes, status: int) -> None:
    assert ask(app, ("GET", "/health", b"", b""), [(b"content-length", length)]) == status


@settings(max_examples=250, deadline=None)
@given(REQUESTS, st.lists(st.tuples(st.one_of(NAMES, st.binary(min_size=1, max_size=20)), VALUES), max_size=6))
@example(("POST", "/memories", b"", b"{}"), [(b"content-length", b"9" * 5000)])
@example(("POST", "/memories", b"", b"{}"), [(b"content-type", b"application/json; charset=\xff")])
def test_with_a_key_headers_never_break_anything(
    app: FastAPI, request_: tuple[str, str, bytes, bytes], headers: Headers
) -> None:
    assert ask(app, request_, [(b"x-api-key", ADMIN.encode()), *headers]) < 500
