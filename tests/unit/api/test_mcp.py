"""The endpoint /mcp, called by the official client and by hand-written requests."""

from __future__ import annotations

import json
from typing import Any

import anyio
import jsonschema
import pytest
from mcp_types import CallToolResult

from forgetless.domain.keys import Role
from tests.unit.api.client import MEMBER, STRANGER, Api, put_key
from tests.unit.api.conftest import NewApi
from tests.unit.api.mcp_client import connected
from tests.unit.service.world import facts

NAMES = [
    "add_memory",
    "search_memories",
    "get_memories",
    "get_memory",
    "update_memory",
    "restore_memory",
    "delete_memory",
    "delete_all_memories",
    "list_entities",
    "delete_entities",
]
MODES = ["auto", "legacy", "2026-07-28"]


@pytest.fixture
def api(new_api: NewApi) -> Api:
    """An API with /mcp."""
    return new_api(mcp=True)


def run(api: Api, *asked: tuple[str, dict[str, Any]], **options: Any) -> list[CallToolResult]:
    """The answers to some calls over one connection."""

    async def main() -> list[CallToolResult]:
        async with connected(api.client.app, **options) as client:
            return [await client.call_tool(name, arguments) for name, arguments in asked]

    return anyio.run(main)


def call(api: Api, name: str, options: dict[str, Any] | None = None, /, **arguments: Any) -> Any:
    """What one call gives; an error fails the test."""
    (answer,) = run(api, (name, arguments), **(options or {}))
    assert not answer.is_error, answer.content
    assert json.loads(answer.content[0].text) == answer.structured_content  # type: ignore[union-attr]
    return answer.structured_content


def refusal(api: Api, name: str, options: dict[str, Any] | None = None, /, **arguments: Any) -> str:
    """What a call that must not succeed says."""
    (answer,) = run(api, (name, arguments), **(options or {}))
    assert answer.is_error, answer.structured_content
    return str(answer.content[0].text)  # type: ignore[union-attr]


@pytest.mark.parametrize("mode", MODES)
def test_tools_say_what_they_do(api: Api, mode: str) -> None:
    async def main() -> Any:
        async with connected(api.client.app, mode=mode) as client:
            return client.server_info, (await client.list_tools()).tools

    server, tools = anyio.run(main)
    if mode != "2026-07-28":  # a client that is pinned to a version asks nothing about the server
        assert server.name == "forgetless"
    assert [tool.name for tool in tools] == NAMES
    reading = {tool.name for tool in tools if tool.annotations.read_only_hint}
    assert reading == {"search_memories", "get_memories", "get_memory", "list_entities"}
    destroying = {tool.name for tool in tools if tool.annotations.destructive_hint}
    assert destroying == {"update_memory", "delete_memory", "delete_all_memories", "delete_entities"}
    for tool in tools:
        assert tool.input_schema["type"] == tool.output_schema["type"] == "object"
        assert len(tool.description) > 40


@pytest.mark.parametrize("mode", MODES)
def test_a_memory_lives_its_life(api: Api, mode: str) -> None:
    options = {"mode": mode}
    added = call(api, "add_memory", options, text="Nilo hates trams.", user_id="mai", infer=False)["results"]
    (found,) = call(api, "search_memories", options, query="Nilo trams", user_id="mai", threshold=0)["results"]
    assert (found["id"], found["memory"]) == (added[0]["id"], "Nilo hates trams.")
    assert 0 < found["score"] <= 1
    id_ = found["id"]
    changed = call(api, "update_memory", options, memory_id=id_, text="Nilo loves trams.", metadata={"pet": "dog"})
    assert changed["memory"]["metadata"] == {"pet": "dog"}
    assert call(api, "get_memory", options, memory_id=id_) == changed
    listed = call(api, "get_memories", options, user_id="mai", filters={"pet": "dog"})["results"]
    assert [one["memory"] for one in listed] == ["Nilo loves trams."]
    assert call(api, "delete_memory", options, memory_id=id_)["deleted"] == 1
    assert "not found" in refusal(api, "get_memory", options, memory_id=id_)


def test_a_superseded_memory_is_brought_back(new_api: NewApi) -> None:
    api = new_api([facts("Mai lives in Hue"), facts({"text": "Mai lives in Hanoi", "supersedes": [1]})], mcp=True)
    (old,) = call(api, "add_memory", text="I live in Hue", user_id="mai")["results"]
    (new,) = call(api, "add_memory", text="I moved to Hanoi", user_id="mai")["results"]
    assert call(api, "get_memory", memory_id=old["id"])["memory"]["superseded_by"] == new["id"]
    back = call(api, "restore_memory", memory_id=old["id"])["memory"]
    assert (back["memory"], back["version"], "superseded_by" in back) == ("Mai lives in Hue", 3, False)
    assert len(call(api, "get_memories", user_id="mai")["results"]) == 2
    call(api, "delete_memory", memory_id=old["id"])
    assert "not found" in refusal(api, "restore_memory", memory_id=old["id"])


def test_results_fit_their_announced_schemas(api: Api) -> None:
    async def main() -> None:
        async with connected(api.client.app) as client:
            schemas = {tool.name: tool.output_schema for tool in (await client.list_tools()).tools}
            calls: list[tuple[str, dict[str, Any]]] = [
                ("add_memory", {"text": "one", "user_id": "mai", "infer": False}),
                ("search_memories", {"query": "one", "user_id": "mai"}),
                ("get_memories", {"user_id": "mai"}),
                ("list_entities", {}),
                ("delete_all_memories", {"user_id": "mai"}),
                ("delete_entities", {"agent_id": "nobody"}),
            ]
            for name, arguments in calls:
                jsonschema.validate((await client.call_tool(name, arguments)).structured_content, schemas[name])

    anyio.run(main)


def test_a_conversation_is_stored_by_messages(api: Api) -> None:
    messages = [{"role": "user", "content": "I like pho."}, {"role": "assistant", "content": "Noted."}]
    added = call(api, "add_memory", messages=messages, user_id="mai", run_id="r1", infer=True)
    assert [one["memory"] for one in added["results"]] == ["I like pho.", "Noted."]
    assert added["extraction"] == "none"
    assert [one["run_id"] for one in call(api, "get_memories", user_id="mai")["results"]] == ["r1", "r1"]


def test_pages_follow_each_other(api: Api) -> None:
    for number in range(5):
        api.say(f"memory {number}", user_id="mai")
    pages = [call(api, "get_memories", user_id="mai", page=page, page_size=2)["results"] for page in (1, 2, 3, 4)]
    assert [[one["memory"][-1] for one in page] for page in pages] == [["4", "3"], ["2", "1"], ["0"], []]


def test_the_address_gives_the_ids_that_calls_leave_out(api: Api) -> None:
    options = {"query": "?user_id=mai&app_id=chat"}
    call(api, "add_memory", options, text="Mine.", infer=False)
    call(api, "add_memory", options, text="Another's.", user_id="ana", infer=False)
    (mine,) = call(api, "get_memories", options)["results"]
    assert (mine["memory"], mine["user_id"], mine["app_id"]) == ("Mine.", "mai", "chat")
    assert [one["memory"] for one in call(api, "get_memories", options, user_id="ana")["results"]] == ["Another's."]
    # What is destroyed must be named.
    assert "at least one" in refusal(api, "delete_all_memories", options)


def test_scopes_and_entities_are_forgotten(api: Api) -> None:
    api.say("one", user_id="mai")
    api.say("two", user_id="mai", run_id="r")
    api.say("three", user_id="ana")
    types = [(one["type"], one["id"], one["total_memories"]) for one in call(api, "list_entities")["results"]]
    assert types == [("run", "r", 1), ("user", "ana", 1), ("user", "mai", 2)]
    assert call(api, "delete_all_memories", user_id="mai", run_id="r")["deleted"] == 1
    assert call(api, "delete_entities", user_id="mai")["deleted"] == 1
    assert "exactly one" in refusal(api, "delete_entities", user_id="mai", run_id="r")
    assert [one["id"] for one in call(api, "list_entities")["results"]] == ["ana"]


def test_only_administrators_forget_scopes(api: Api) -> None:
    api.say("one", user_id="mai")
    for name in ("delete_all_memories", "delete_entities"):
        assert refusal(api, name, {"key": MEMBER}, user_id="mai") == "Admin role required."
    assert len(call(api, "get_memories", {"key": MEMBER}, user_id="mai")["results"]) == 1


def test_a_reading_key_reads_and_changes_nothing(api: Api) -> None:
    (id_,) = api.say("one", user_id="mai")
    put_key(api.world, "reader", "default", Role.READ)
    options = {"key": "reader"}
    assert len(call(api, "get_memories", options, user_id="mai")["results"]) == 1
    assert "Write role required" in refusal(api, "add_memory", options, text="two", user_id="mai")
    assert "Write role required" in refusal(api, "update_memory", options, memory_id=id_, text="two")
    assert "Write role required" in refusal(api, "delete_memory", options, memory_id=id_)
    assert call(api, "get_memory", memory_id=id_)["memory"]["memory"] == "one"


def test_tenants_are_apart(api: Api) -> None:
    (id_,) = api.say("secret", user_id="mai")
    options = {"key": STRANGER}
    assert call(api, "get_memories", options, user_id="mai")["results"] == []
    assert call(api, "search_memories", options, query="secret", user_id="mai", threshold=0)["results"] == []
    assert "not found" in refusal(api, "get_memory", options, memory_id=id_)
    assert "not found" in refusal(api, "delete_memory", options, memory_id=id_)
    assert call(api, "list_entities", options)["results"] == []


@pytest.mark.parametrize(
    ("name", "arguments", "says"),
    [
        ("search_memories", {"query": "x"}, "user_id, agent_id, app_id, run_id"),
        ("search_memories", {"query": " ", "user_id": "mai"}, "query"),
        ("search_memories", {"query": "x", "user_id": "mai", "limit": 0}, "limit"),
        ("search_memories", {"query": "x", "user_id": "mai", "filters": {"a": {"near": 1}}}, "near"),
        ("search_memories", {"query": "x", "user_id": "*"}, "user_id"),
        ("add_memory", {"user_id": "mai"}, "text or messages"),
        ("add_memory", {"user_id": "mai", "text": "  "}, "empty"),
        ("add_memory", {"user_id": "mai", "text": "x", "expiration_date": "soon"}, "expiration_date"),
        ("add_memory", {"user_id": "mai", "test": "x"}, "test"),
        ("get_memory", {}, "memory_id"),
        ("update_memory", {"memory_id": "x"}, "not found"),
    ],
)
def test_errors_name_the_argument(api: Api, name: str, arguments: dict[str, Any], says: str) -> None:
    assert says in refusal(api, name, **arguments)


def test_a_part_that_is_down_says_when_to_try_again(api: Api) -> None:
    api.world.index.available = False
    assert "Try again in" in refusal(api, "search_memories", query="x", user_id="mai")


def test_a_fault_of_ours_is_logged_and_told_to_nobody(
    api: Api, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(*_: Any) -> None:
        raise RuntimeError("a secret of the machine")

    monkeypatch.setattr(api.world.services.reads, "entities", fail)
    assert "secret" not in refusal(api, "list_entities")
    assert "tool list_entities failed" in caplog.text


def test_without_a_key_it_is_401_in_json(api: Api) -> None:
    answer = api.call("POST", "/mcp", key=None, json={})
    assert (answer.status_code, answer.headers["WWW-Authenticate"]) == (401, "Bearer")
    assert "Authentication required" in answer.json()["detail"]
    assert api.call("POST", "/mcp", key="wrong", json={}).json() == {"detail": "Invalid API key."}


@pytest.mark.parametrize("method", ["GET", "DELETE", "PUT"])
def test_there_are_no_streams_and_no_sessions(api: Api, method: str) -> None:
    answer = api.call(method, "/mcp", headers={"Accept": "text/event-stream"})
    assert (answer.status_code, answer.headers["Allow"]) == (405, "POST")


@pytest.mark.parametrize("version", ["2024-11-05", "2025-03-26", "2025-06-18", "2025-11-25"])
def test_every_protocol_with_a_handshake_is_spoken(api: Api, version: str) -> None:
    hello = {
        "protocolVersion": version,
        "capabilities": {},
        "clientInfo": {"name": "test", "version": "1"},
    }
    answer = _rpc(api, "initialize", hello)
    assert answer["result"]["protocolVersion"] == version
    assert "mcp-session-id" not in answer["headers"]
    # No session is kept: the next request stands alone, as another Lambda environment may answer it.
    listed = _rpc(api, "tools/list", {}, version)["result"]["tools"]
    assert [tool["name"] for tool in listed] == NAMES
    called = _rpc(api, "tools/call", {"name": "list_entities", "arguments": {}}, version)["result"]
    assert json.loads(called["content"][0]["text"]) == {"results": []}


def test_an_unknown_tool_is_a_protocol_error_that_names_those_there_are(api: Api) -> None:
    error = _rpc(api, "tools/call", {"name": "forget", "arguments": {}})["error"]
    assert error["code"] == -32602
    assert "forget" in error["message"]
    assert "delete_memory" in error["message"]


def _rpc(api: Api, method: str, params: dict[str, Any], version: str | None = None) -> dict[str, Any]:
    headers = {"Accept": "application/json, text/event-stream"}
    headers |= {"MCP-Protocol-Version": version} if version else {}
    body = {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}
    answer = api.call("POST", "/mcp", headers=headers, json=body)
    assert answer.status_code == 200, answer.text
    return {**answer.json(), "headers": answer.headers}
