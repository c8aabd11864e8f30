"""The arguments of MCP tools, as hosts and models send them: understood, refused, or ignored and named."""

from __future__ import annotations

import json
from typing import Any

import pytest

from forgetless.api.mcp.arguments import HOST_ARGUMENTS
from forgetless.api.mcp.tools import TOOLS
from tests.unit.api.client import Api
from tests.unit.api.conftest import NewApi
from tests.unit.api.mcp_calls import call_tool, ids_of, texts_of

#: Tools that read or add, and those that change or delete.
FORGIVING = {"add_memory", "search_memories", "get_memories", "get_memory", "list_entities"}
HOST = {"toolCallId": "call_0BCI", "sessionId": "s", "action": "sendMessage", "chatInput": "hi", "enable_graph": True}


@pytest.fixture
def api(new_api: NewApi) -> Api:
    return new_api(mcp=True)


def arguments_of(name: str, memory: str) -> dict[str, Any]:
    """Arguments with which the tool succeeds, whatever was called before it."""
    return {
        "add_memory": {"text": "x", "user_id": "ana", "infer": False},
        "search_memories": {"query": "tea", "user_id": "mai"},
        "get_memories": {"user_id": "mai"},
        "list_entities": {},
        "delete_all_memories": {"user_id": "nobody"},
        "delete_entities": {"user_id": "nobody"},
        "update_memory": {"memory_id": memory, "metadata": {"a": 1}},
    }.get(name, {"memory_id": memory})


def test_every_tool_ignores_what_hosts_add_and_names_it(api: Api) -> None:
    assert set(HOST) == HOST_ARGUMENTS
    for name in TOOLS:
        (memory,) = api.say(f"tea for {name}", user_id="mai")
        answer = call_tool(api, name, {**arguments_of(name, memory), **HOST})
        assert isinstance(answer, dict), answer
        assert answer["ignored"] == list(HOST), name
        assert "ignored" not in call_tool(api, "list_entities", {"toolCallId": None})


def test_other_names_are_ignored_by_what_reads_or_adds_and_refused_by_what_destroys(api: Api) -> None:
    for name, tool in TOOLS.items():
        (memory,) = api.say(f"tea for {name}", user_id="mai")
        answer = call_tool(api, name, {**arguments_of(name, memory), "userId": "mai", "toolCallId": "c"})
        assert tool.forgiving is (name in FORGIVING)
        if tool.forgiving:
            assert isinstance(answer, dict), answer
            assert answer["ignored"] == ["userId", "toolCallId"], name
        else:
            known = ", ".join(tool.arguments.model_fields)
            assert answer == f"userId: {name} has no such argument; it has {known}."
            assert api.get(f"/memories/{memory}").json()["memory"] == f"tea for {name}"


def test_an_error_names_what_was_ignored(api: Api) -> None:
    assert "no such argument: test" in call_tool(api, "add_memory", {"user_id": "mai", "test": "x"})
    assert "no such argument: test" in call_tool(api, "add_memory", {"user_id": "mai", "text": [], "test": "x"})
    for wrong in ({"filters": {"user_id": {"near": 1}}}, {"limit": "x"}, {"query": ""}):
        told = call_tool(api, "search_memories", {"query": "tea", "user_id": "mai", "test": "x", **wrong})
        assert isinstance(told, str)
        assert ". Ignored, because" in told, told
        assert ".." not in told
    many = call_tool(api, "get_memories", {"user_id": "mai", **{f"{number}" * 100: 1 for number in range(30)}})
    assert isinstance(many, dict)
    assert (len(many["ignored"]), max(map(len, many["ignored"]))) == (20, 64)


def test_null_is_left_out_everywhere(api: Api) -> None:
    for name, tool in TOOLS.items():
        (memory,) = api.say(f"tea for {name}", user_id="mai")
        given = arguments_of(name, memory)
        nulls = dict.fromkeys(tool.arguments.model_fields.keys() - given.keys())
        assert isinstance(call_tool(api, name, {**nulls, **given}), dict), name
    assert "memory_id: Field required" in call_tool(api, "get_memory", {"memory_id": None})
    assert isinstance(call_tool(api, "list_entities", None), dict)


def test_objects_and_lists_may_come_as_json_in_a_string(api: Api) -> None:
    messages = [{"role": "user", "content": '{"a": 1}'}]
    given = {"messages": json.dumps(messages), "metadata": '{"topic": "food"}', "user_id": "mai", "infer": "false"}
    (id_,) = ids_of(call_tool(api, "add_memory", given))
    found = call_tool(
        api,
        "search_memories",
        {"query": "a", "user_id": "mai", "filters": '{"topic": "food"}', "limit": "3", "threshold": "0"},
    )
    assert texts_of(found) == ['{"a": 1}']  # text inside it is not read as JSON
    changed = call_tool(api, "update_memory", {"memory_id": id_, "metadata": '{"topic": "drink"}', "version": "1"})
    assert isinstance(changed, dict)
    assert changed["memory"]["metadata"] == {"topic": "drink"}
    assert texts_of(call_tool(api, "get_memories", {"user_id": "mai", "metadata": "null", "filters": "null"})) == [
        '{"a": 1}'
    ]


@pytest.mark.parametrize("text", ['{"a": 1}', "[1]", "null", "true", "12", '"quoted"'])
def test_a_text_is_never_read_as_json(api: Api, text: str) -> None:
    (id_,) = ids_of(call_tool(api, "add_memory", {"text": text, "user_id": "12", "run_id": "null", "infer": False}))
    answer = call_tool(api, "update_memory", {"memory_id": id_, "text": f"{text} "})
    assert isinstance(answer, dict)
    assert answer["memory"]["memory"].strip() == text
    assert (answer["memory"]["user_id"], answer["memory"]["run_id"]) == ("12", "null")
    assert texts_of(call_tool(api, "search_memories", {"query": text, "user_id": "12", "threshold": 0}))


@pytest.mark.parametrize(
    "value", ["", "food", "{", "[" * 100_000, '{"a": NaN}', '["a"]', "12", '{"a": 1e999}', "9" * 5000]
)
def test_a_string_that_is_no_such_json_is_refused_by_name(api: Api, value: str) -> None:
    refused = call_tool(api, "add_memory", {"text": "x", "user_id": "mai", "metadata": value})
    assert isinstance(refused, str)
    assert refused.startswith("metadata")
    refused = call_tool(api, "get_memories", {"user_id": "mai", "filters": value})
    assert isinstance(refused, str)
    assert refused.startswith("filters") or "finite" in refused


def test_a_text_beside_messages_is_ignored_as_by_mem0s_server(api: Api) -> None:
    said = {
        "messages": [{"role": "user", "content": "I like pho."}],
        "text": "Likes pho.",
        "user_id": "mai",
        "infer": False,
    }
    answer = call_tool(api, "add_memory", {**said, "enable_graph": False})
    assert isinstance(answer, dict)
    assert (texts_of(answer), answer["ignored"]) == (["I like pho."], ["text", "enable_graph"])
    assert texts_of(call_tool(api, "add_memory", {**said, "messages": []})) == ["Likes pho."]


def test_schemas_have_no_references(api: Api) -> None:
    for name, tool in TOOLS.items():
        for schema in (tool.announced.input_schema, tool.announced.output_schema):
            text = json.dumps(schema)
            assert ("$ref" in text, "$defs" in text) == (False, False), name
            assert schema["type"] == "object"
        for parameter in tool.announced.input_schema["properties"].values():
            assert parameter.keys() & {"type", "anyOf"}, (name, parameter)
            assert len(parameter["description"]) > 10
    items = TOOLS["add_memory"].announced.input_schema["properties"]["messages"]["anyOf"][0]["items"]
    assert items["properties"].keys() >= {"role", "content"}
    outputs = TOOLS["search_memories"].announced.output_schema
    assert outputs is not None
    assert outputs["properties"]["results"]["items"]["properties"]["memory"] == {"title": "Memory", "type": "string"}
