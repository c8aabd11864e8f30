"""Identifiers with slashes, dots, percent signs and the like in the paths of all routes that name one.

Over sockets, by uvicorn, and through the emulator's gateway, whose event holds a path that is decoded as AWS' does.
"""

from __future__ import annotations

import asyncio
import http.client
import json
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple
from urllib.parse import quote, urlencode, urlsplit

import orjson
import pytest
from mangum import Mangum

from forgetless.domain.memory import Event, EventKind, Memory
from forgetless.domain.scope import Scope
from local.emulator.gateway.app import Gateway
from local.emulator.invocation import InvokeResult
from local.emulator.specs import ApiSpec, RouteSpec
from tests.unit.api.client import ADMIN, Api, make_api
from tests.unit.servers import event_loop, serve_app
from tests.unit.service.world import make_world

IDS = [
    "a/b",
    "/",
    "a//b",
    "/a",
    "a/",
    "..",
    ".",
    "../a",
    "%2F",
    "a%2Fb",
    "%",
    "a?b",
    "a#b",
    "a;b",
    "a+b",
    "a&b=c",
    "ü/ü",
]
KINDS = ("user", "agent", "run")
TEXT = "tea with odd names"
MADE_AT = "2026-01-01T00:00:00.000000+00:00"


class Answer(NamedTuple):
    status: int
    body: Any


class Service(NamedTuple):
    """An API behind a socket, asked without a client that tidies paths up."""

    address: str
    api: Api

    def ask(self, method: str, path: str, body: Any = None, *, query: str = "") -> Answer:
        target = path + (f"?{query}" if query else "")
        connection = http.client.HTTPConnection(urlsplit(self.address).netloc, timeout=30)
        headers = {"X-API-Key": ADMIN, "Content-Type": "application/json"}
        connection.putrequest(method, target, skip_accept_encoding=True)
        content = b"" if body is None else json.dumps(body).encode()
        for name, value in {**headers, "Content-Length": str(len(content))}.items():
            connection.putheader(name, value)
        connection.endheaders(content)
        answer = connection.getresponse()
        read = answer.read()
        connection.close()
        return Answer(answer.status, json.loads(read))

    def add(self, **ids: str) -> str:
        """One memory of these ids; returns its own."""
        body = {"messages": [{"role": "user", "content": TEXT}], "infer": False, **ids}
        return str(self.ask("POST", "/memories", body).body["results"][0]["id"])

    def put(self, memory_id: str) -> None:
        """A memory under any id, as an import may bring it."""
        scope = Scope("default", user_id="alice")
        ledger = self.api.world.ledger
        number = ledger.erasure_state("default").last
        memory = Memory(memory_id, 1, scope, TEXT, MADE_AT, MADE_AT, "import", erasures_before=number)
        ledger.append([Event(EventKind.ADD, memory)], unique=False)

    def texts(self, **ids: str) -> list[str]:
        """What a list shows, asked by the query: no path is in it."""
        answer = self.ask("GET", "/memories", query=urlencode(ids))
        assert answer.status == 200, answer
        return [item["memory"] for item in answer.body["results"]]


class InProcess:
    """A function whose environment is this process."""

    def __init__(self, handler: Callable[[Any, Any], Any]) -> None:
        self._handler = handler
        self._threads = ThreadPoolExecutor(1)

    def submit(self, payload: bytes, **_: str) -> asyncio.Future[InvokeResult]:
        return asyncio.get_running_loop().run_in_executor(self._threads, self._invoke, payload)

    def _invoke(self, payload: bytes) -> InvokeResult:
        with event_loop():
            return InvokeResult(orjson.dumps(self._handler(orjson.loads(payload), None)))


@pytest.fixture(scope="module", params=["uvicorn", "gateway"])
def service(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    world = make_world(tmp_path_factory.mktemp("odd"))
    api = make_api(world, inline=request.param == "gateway")
    app: Any = api.client.app
    if request.param == "gateway":
        spec = ApiSpec("Api", routes=(RouteSpec("ANY", "$default", "F"),))
        with event_loop():
            function = InProcess(Mangum(app, lifespan="off"))
        app = Gateway([spec], {"F": function}, 3000, "us-east-1")
    with serve_app(app) as address:
        yield Service(address, api)
    world.ledger.close()


def encoded(id_: str) -> str:
    """As the official clients encode an identifier: the slash too."""
    return quote(id_, safe="")


def raw(id_: str) -> str:
    """As old clients and people write it: slashes as they are."""
    return quote(id_, safe="/")


WRITTEN = pytest.mark.parametrize("written", [encoded, raw])
ODD = pytest.mark.parametrize("id_", IDS)


@pytest.fixture(autouse=True)
def cleared(service: Service) -> None:
    assert service.ask("POST", "/reset").status == 200


@ODD
@WRITTEN
@pytest.mark.parametrize("path", ["/entities/{kind}/{id}", "/v2/entities/{kind}/{id}/"])
def test_an_entity_is_erased_under_any_id_and_nobody_else_is(
    service: Service, path: str, written: Callable[[str], str], id_: str
) -> None:
    near = {"a", "b", "a/b/c", "A/B", "profile"} - {id_}
    for kind in KINDS:
        name = f"{kind}_id"
        for other in (id_, *near):
            service.add(**{name: other})
        answer = service.ask("DELETE", path.format(kind=kind, id=written(id_)))
        assert answer.status == 200, answer
        assert service.texts(**{name: id_}) == []
        assert all(service.texts(**{name: other}) == [TEXT] for other in near)


@ODD
@WRITTEN
def test_an_entity_is_read_and_its_memories_are_listed_and_paged(
    service: Service, written: Callable[[str], str], id_: str
) -> None:
    for _ in range(2):
        service.add(user_id=id_)
    found = service.ask("GET", f"/v2/entities/user/{written(id_)}/")
    assert (found.status, [(one["name"], one["total_memories"]) for one in found.body]) == (200, [(id_, 2)])
    page = service.ask("GET", f"/v1/memories/user/{written(id_)}/", query="page_size=1")
    assert (page.status, page.body["count"], len(page.body["results"])) == (200, 2, 1)
    following = urlsplit(page.body["next"])
    second = service.ask("GET", following.path, query=following.query)
    assert (second.status, second.body["count"], second.body["next"]) == (200, 2, None)
    assert second.body["results"][0]["id"] != page.body["results"][0]["id"]
    profile = service.ask("GET", f"/v2/entities/user/{written(id_)}/profile/")
    assert (profile.status, profile.body["entity_id"]) == (200, id_)


@ODD
def test_a_memory_is_read_updated_told_of_and_erased_under_any_id(service: Service, id_: str) -> None:
    service.put(id_)
    for path in (f"/memories/{encoded(id_)}", f"/memories/{raw(id_)}"):
        assert service.ask("GET", path).body["memory"] == TEXT
    assert service.ask("PUT", f"/memories/{raw(id_)}", {"text": "coffee"}).status == 200
    for path in (f"/memories/{encoded(id_)}/history", f"/memories/{raw(id_)}/history"):
        history = service.ask("GET", path)
        assert [(one["event"], one["new_memory"]) for one in history.body] == [("ADD", TEXT), ("UPDATE", "coffee")]
    assert service.ask("DELETE", f"/memories/{encoded(id_)}").status == 200
    gone = service.ask("GET", f"/memories/{raw(id_)}")
    assert (gone.status, gone.body) == (200, None) or (gone.status == 404 and id_.endswith("/"))
    assert service.texts(user_id="alice") == []


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("DELETE", "/api-keys/{id}", {404}),
        ("GET", "/v1/event/{id}/", {404}),
        ("GET", "/v1/memories/{id}/", {400}),
        ("GET", "/v1/memories/{id}/history/", {400}),
        ("DELETE", "/v1/memories/{id}/", {400}),
        ("DELETE", "/v1/entities/user/{id}/", {400}),
        ("GET", "/v2/profiles/jobs/{id}/", {404}),
        ("DELETE", "/api/v1/webhooks/{id}/", {404}),
        ("GET", "/api/v1/webhooks/projects/{id}/", {403, 404}),
        ("GET", "/api/v1/orgs/organizations/{id}/projects/", {404, 405}),
        ("GET", "/api/v1/orgs/organizations/org/projects/{id}/", {404}),
    ],
)
def test_what_has_ids_of_our_own_making_refuses_others_in_json(
    service: Service, method: str, path: str, status: set[int]
) -> None:
    for id_ in IDS:
        for written in (encoded, raw):
            answer = service.ask(method, path.format(id=written(id_)))
            assert answer.status in status, (id_, answer)
            assert answer.body["detail"]


def test_a_slash_too_many_erases_nothing_and_says_so(service: Service) -> None:
    memory_id = service.add(user_id="alice")
    for method, path in (("DELETE", "/entities/user/alice/"), ("GET", f"/memories/{memory_id}/")):
        answer = service.ask(method, path)
        assert (answer.status, "without a slash" in answer.body["detail"]) == (404, True)
    for method, path in (
        ("DELETE", f"/memories/{memory_id}/"),
        ("PUT", f"/memories/{memory_id}/"),
        ("GET", f"/memories/{memory_id}/history/"),
        ("GET", "/memories/"),
        ("DELETE", "/entities/user/"),
    ):
        assert service.ask(method, path, {"text": "x"} if method == "PUT" else None).status == 404
    assert service.texts(user_id="alice") == [TEXT]


@pytest.mark.parametrize("id_", ["%00", "%0A", "%C2%85", "%FF"])
@pytest.mark.parametrize("path", ["/entities/user/{id}", "/entities/user/{id}/c"])
def test_what_no_identifier_may_hold_is_refused_with_its_name(service: Service, path: str, id_: str) -> None:
    answer = service.ask("DELETE", path.format(id=f"a{id_}b"))
    assert (answer.status, "user_id" in answer.body["detail"]) == (400, True)
