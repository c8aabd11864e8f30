"""Ids in every dialect: new ones are in normal form, and those that are stored in another form are read and erased."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from urllib.parse import quote

import anyio
import pytest

from forgetless.domain.keys import Role
from forgetless.domain.memory import Event, EventKind, Memory
from forgetless.domain.scope import Scope
from forgetless.service.transfer.event_import import EventImport
from tests.unit.api.client import Api, put_key
from tests.unit.api.conftest import NewApi
from tests.unit.api.mcp_calls import call_tool, texts_of
from tests.unit.api.mcp_client import connected

NFC, NFD = "jos\u00e9", "jose\u0301"
SAID = [{"role": "user", "content": "tea"}]


def stored(api: Api, text: str, **ids: str) -> str:
    """A memory as an earlier version stored it, and in the index."""
    at = api.world.clock.now()
    memory = Memory(f"m-{text}", 1, Scope("default", **ids), text, at, at, "old")
    api.world.ledger.append([Event(EventKind.ADD, memory)], unique=False)
    api.world.clock.advance(1)
    api.world.services.sweep.index_pending("default")
    return memory.id


@pytest.mark.parametrize("path", ["/memories", "/v3/memories/add/", "/v1/memories/"])
def test_an_add_stores_the_normal_form(api: Api, path: str) -> None:
    assert api.post(path, {"messages": SAID, "user_id": NFD, "infer": False}).status_code == 200
    assert [one["id"] for one in api.get("/entities").json()] == [NFC]


@pytest.mark.parametrize("field", ["user_id", "agent_id", "run_id"])
@pytest.mark.parametrize("bad", ["a\u200bb", "a\x1bb", "a\u2066b", "a\u200db"])
@pytest.mark.parametrize("path", ["/memories", "/v3/memories/add/"])
def test_an_add_refuses_what_cannot_be_seen(api: Api, path: str, field: str, bad: str) -> None:
    answer = api.post(path, {"messages": SAID, "user_id": "alice", field: bad, "infer": False})
    assert (answer.status_code, field in answer.text) == (400, True)
    assert api.get("/entities").json() == []


def test_tools_and_keys_take_the_same_ids(new_api: NewApi) -> None:
    api = new_api(mcp=True)

    async def main() -> list[bool]:
        async with connected(api.client.app) as client:
            given = [{"text": "tea", "user_id": id_, "infer": False} for id_ in (NFD, "a\u200bb")]
            return [bool((await client.call_tool("add_memory", one)).is_error) for one in given]

    assert anyio.run(main) == [False, True]
    assert [one["id"] for one in api.get("/entities").json()] == [NFC]
    made = api.post("/api-keys", {"label": "a", "user_ids": [NFD]}).json()
    assert made["user_ids"] == [NFC]
    assert api.post("/api-keys", {"label": "a", "user_ids": ["a\u202eb"]}).status_code == 400


Reader = Callable[[Api, str], Any]

READERS: dict[str, Reader] = {
    "list": lambda api, id_: [one["memory"] for one in api.get(f"/memories?user_id={quote(id_)}").json()["results"]],
    "search": lambda api, id_: api.found("old new", filters={"user_id": id_}),
    "search by in": lambda api, id_: api.found("old new", filters={"user_id": {"in": [id_]}}),
    "as of": lambda api, id_: api.found("old new", filters={"user_id": id_}, as_of="2027-01-01"),
    "platform list": lambda api, id_: [
        one["memory"] for one in api.post("/v3/memories/", {"filters": {"user_id": id_}}).json()["results"]
    ],
    "platform search": lambda api, id_: [
        one["memory"]
        for one in api.post(
            "/v3/memories/search/", {"query": "old new", "threshold": 0, "filters": {"user_id": id_}}
        ).json()["results"]
    ],
    "platform entity": lambda api, id_: [
        one["memory"] for one in api.get(f"/v1/memories/user/{quote(id_)}/").json()["results"]
    ],
}


@pytest.mark.parametrize("reader", READERS)
def test_a_request_that_names_the_old_form_reads_both(api: Api, reader: str) -> None:
    read = READERS[reader]
    stored(api, "old", user_id=NFD)
    api.say("new", user_id=NFC)
    api.say("other", user_id="bob")
    assert sorted(read(api, NFD)) == ["new", "old"]
    assert read(api, NFC) == ["new"]


def test_totals_are_those_of_both_spellings(api: Api) -> None:
    stored(api, "old", user_id=NFD)
    api.say("new", user_id=NFC)
    (entity,) = api.get(f"/v2/entities/user/{quote(NFD)}/").json()
    assert (entity["name"], entity["total_memories"]) == (NFD, 2)
    assert api.post("/v3/memories/", {"filters": {"user_id": NFD}}).json()["count"] == 2
    pages = [
        api.post(f"/v3/memories/?page={page}&page_size=1", {"filters": {"user_id": NFD}}).json()["results"][0]["memory"]
        for page in (1, 2)
    ]
    assert sorted(pages) == ["new", "old"]


ERASERS: dict[str, Callable[[Api], Any]] = {
    "list": lambda api: api.delete(f"/memories?user_id={quote(NFD)}"),
    "entity": lambda api: api.delete(f"/entities/user/{quote(NFD)}"),
    "platform": lambda api: api.delete(f"/v1/memories/?user_id={quote(NFD)}"),
    "platform entity": lambda api: api.delete(f"/v2/entities/user/{quote(NFD)}/"),
    "by filter": lambda api: api.delete(
        f"/v1/memories/?user_id={quote(NFD)}&filters=" + quote('{"created_at": {"gte": "2020-01-01"}}')
    ),
}


@pytest.mark.parametrize("eraser", ERASERS)
def test_an_erasure_that_names_the_old_form_erases_both(api: Api, eraser: str) -> None:
    stored(api, "old", user_id=NFD)
    api.say("new", user_id=NFC)
    api.say("other", user_id="bob")
    assert ERASERS[eraser](api).status_code == 200
    assert [one["id"] for one in api.get("/entities").json()] == ["bob"]


@pytest.mark.parametrize("odd", ["alice\u200b", "\ufeffalice", "ali\u00adce"])
def test_an_id_that_no_add_takes_any_more_is_read_and_erased_by_its_spelling(api: Api, odd: str) -> None:
    stored(api, "odd", user_id=odd)
    api.say("plain", user_id="alice")
    assert api.texts(f"user_id={quote(odd)}") == ["odd"]
    assert api.found("odd", filters={"user_id": odd}) == ["odd"]
    assert api.delete(f"/entities/user/{quote(odd)}").status_code == 200
    assert [one["id"] for one in api.get("/entities").json()] == ["alice"]


def test_a_key_limited_to_an_id_in_the_old_form_has_both(api: Api) -> None:
    put_key(api.world, "limited", "default", Role.WRITE, NFD)
    stored(api, "old", user_id=NFD)
    api.say("new", user_id=NFD, key="limited")
    api.say("other", user_id="bob")
    assert sorted(api.texts(f"user_id={quote(NFD)}", key="limited")) == ["new", "old"]
    assert sorted(api.found("old new", filters={"user_id": NFD}, key="limited")) == ["new", "old"]


def test_what_one_dialect_writes_all_others_read_and_erase(new_api: NewApi) -> None:
    api = new_api(mcp=True)
    jane = "Jane  Doe"
    for writer, given in (("import", jane), ("/memories", 42), ("/v3/memories/add/", jane), ("mcp", 7)):
        _write(api, writer, given)
        _check_all_read(api, given, str(given))
        assert api.delete(f"/entities/user/{quote(str(given))}").status_code == 200
        assert api.texts(f"user_id={quote(str(given))}") == []


def _write(api: Api, writer: str, given: Any) -> None:
    if writer == "mcp":
        assert isinstance(call_tool(api, "add_memory", {"text": "tea", "user_id": given, "infer": False}), dict)
    elif writer == "import":
        record = {"id": "1", "memory": "tea", "user_id": given}
        assert EventImport(ledger=api.world.ledger, clock=api.world.clock).take("default", [(1, record)]).refused == 0
        api.world.services.sweep.index_pending("default")
    else:
        assert api.post(writer, {"messages": SAID, "user_id": given, "infer": False}).status_code == 200


def _check_all_read(api: Api, given: Any, text: str) -> None:
    for name, read in READERS.items():
        assert read(api, text) == ["tea"], name
    for filters in ({"user_id": given}, {"AND": [{"user_id": {"in": [given]}}]}):
        assert len(api.post("/v3/memories/", {"filters": filters}).json()["results"]) == 1
        assert len(texts_of(call_tool(api, "get_memories", {"filters": filters}))) == 1
    flat = {"query": "tea", "threshold": 0}
    for body in (
        {"user_id": given},
        {"filters": {"user_id": {"in": [given]}}},
        {"filters": {"user_id": {"eq": given}}},
    ):
        assert [one["memory"] for one in api.post("/search", {**flat, **body}).json()["results"]] == ["tea"]
    assert texts_of(call_tool(api, "search_memories", {**flat, "user_id": given})) == ["tea"]
    assert texts_of(call_tool(api, "get_memories", {}, query=f"?user_id={quote(text)}")) == ["tea"]
    assert api.post("/api-keys", {"label": "a", "user_ids": [given]}).json()["user_ids"] == [text]
