"""Messages in every form that clients send, read alike in the self-hosted dialect, the Platform's and MCP."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.unit.api.client import Api
from tests.unit.api.conftest import NewApi
from tests.unit.api.mcp_calls import call_tool
from tests.unit.service.world import facts

CALL = {"id": "c1", "type": "function", "function": {"name": "w", "arguments": "{}"}}
IMAGE = {"type": "image_url", "image_url": {"url": "https://e.com/x.jpg"}}
NOTED = {"type": "image", "url": "https://e.com/x.jpg"}

Said = list[tuple[str, str]]
#: Messages, and the roles and texts that are stored of them.
FORMS: list[tuple[str, Any, Said]] = [
    ("a text", "tea", [("user", "tea")]),
    ("one message", {"role": "assistant", "content": "tea"}, [("assistant", "tea")]),
    ("texts in a list", ["tea", "pho"], [("user", "tea"), ("user", "pho")]),
    ("parts", [{"role": "user", "content": [{"type": "text", "text": "tea"}, IMAGE]}], [("user", "tea")]),
    ("one part", [{"role": "user", "content": {"type": "text", "text": "tea"}}], [("user", "tea")]),
    (
        "parts of OpenAI's Responses, of its Assistants, and a text among them",
        [
            {
                "role": "user",
                "content": [
                    {"type": "input_text", "text": "a"},
                    {"type": "text", "text": {"value": "b", "annotations": []}},
                    "c",
                    {"type": "text"},
                    {"type": "text", "text": ""},
                ],
            }
        ],
        [("user", "a\nb\nc")],
    ),
    (
        "thoughts, and a tool's call and result",
        [
            {
                "role": "assistant",
                "content": [
                    {"type": "thinking", "thinking": "hm"},
                    {"type": "reasoning", "text": "hm"},
                    {"type": "text", "text": "tea"},
                    {"type": "tool_use", "name": "w", "input": {}},
                    {"type": "tool_result", "content": "31 C"},
                    {"type": {}},
                ],
            }
        ],
        [("assistant", "tea")],
    ),
    (
        "a history of Gemini",
        [
            {"role": "user", "parts": [{"text": "tea"}]},
            {"role": "model", "parts": [{"text": "hm", "thought": True}, {"text": "Noted"}, {"functionCall": {}}]},
        ],
        [("user", "tea"), ("assistant", "Noted")],
    ),
    (
        "a history with tools",
        [
            {"role": "user", "content": "Weather in Hue?"},
            {"role": "assistant", "content": None, "tool_calls": [CALL]},
            {"role": "assistant", "tool_calls": [CALL]},
            {"role": "assistant", "content": [], "tool_calls": [CALL]},
            {"role": "tool", "tool_call_id": "c1", "content": "31 C"},
            {"role": "function", "name": "w", "content": "32 C"},
            {"role": "assistant", "content": "31 C in Hue.", "refusal": None, "id": "m1"},
        ],
        [("user", "Weather in Hue?"), ("tool", "31 C"), ("tool", "32 C"), ("assistant", "31 C in Hue.")],
    ),
    (
        "roles of other APIs",
        [
            {"role": "developer", "content": "be brief"},
            {"role": "System", "content": "be kind"},
            {"role": "human", "content": "a"},
            {"role": " AI ", "content": "b"},
            {"type": "human", "content": "c"},
        ],
        [("user", "a"), ("assistant", "b"), ("user", "c")],
    ),
    ("blank ones", [{"role": "user", "content": " \n"}, {"role": "user", "content": "x"}], [("user", "x")]),
    (
        "halves of surrogate pairs",
        [
            {"role": "user", "content": "a\ud800b\udfff"},
            {"role": "user", "content": [{"text": "\udc00"}, "\U0001f600"]},
        ],
        [("user", "a\ufffdb\ufffd"), ("user", "\ufffd\n\U0001f600")],
    ),
]


@pytest.fixture
def api(new_api: NewApi) -> Api:
    """With MCP, and an LLM that is not asked."""
    return new_api([], mcp=True)


def stored(api: Api, dialect: str, messages: Any, **more: Any) -> list[dict[str, Any]]:
    """The memories of an add, as a list shows them, the first message first."""
    body = {"messages": messages, "user_id": dialect, "infer": False, **more}
    if dialect == "mcp":
        body["messages"] = json.dumps(messages)
        answer: Any = call_tool(api, "add_memory", body)
        assert isinstance(answer, dict), answer
    else:
        path = {"platform": "/v3/memories/add/", "v1": "/v1/memories/"}.get(dialect, "/memories")
        reply = api.call("POST", path, content=json.dumps(body), headers={"Content-Type": "application/json"})
        assert reply.status_code == 200, reply.text
        answer = reply.json()
    ids = [one["id"] for one in (answer if isinstance(answer, list) else answer["results"])]
    found = {one.id: one for one in api.world.ledger.read("default", ids).values()}
    return [{"role": found[id_].role, "text": found[id_].text, "metadata": dict(found[id_].metadata)} for id_ in ids]


def test_every_form_is_read_alike_in_every_dialect(api: Api) -> None:
    for form, messages, said in FORMS:
        for dialect in ("selfhosted", "platform", "v1", "mcp"):
            found = [(one["role"], one["text"]) for one in stored(api, dialect, messages)]
            assert found == said, (form, dialect)
    assert api.world.llm is None or not api.world.llm.calls


#: Parts, and what is noted of them.
PARTS: list[tuple[dict[str, Any], dict[str, str] | None]] = [
    (IMAGE, NOTED),
    ({"type": "input_image", "image_url": "https://e.com/x.jpg"}, NOTED),
    (
        {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}},
        {"type": "image", "media_type": "image/png"},
    ),
    (
        {"type": "image", "source": {"type": "base64", "media_type": "image/webp", "data": "AAAA"}},
        {"type": "image", "media_type": "image/webp"},
    ),
    ({"type": "input_audio", "input_audio": {"data": "AAAA", "format": "wav"}}, {"type": "audio"}),
    (
        {"type": "file", "mediaType": "audio/mpeg", "url": "https://e.com/a.mp3"},
        {"type": "audio", "url": "https://e.com/a.mp3", "media_type": "audio/mpeg"},
    ),
    ({"type": "file", "file": {"file_id": "f1", "filename": "cv.pdf"}}, {"type": "file", "name": "f1"}),
    ({"type": "pdf_url", "pdf_url": {"url": "https://e.com/cv.pdf"}}, {"type": "file", "url": "https://e.com/cv.pdf"}),
    ({"inlineData": {"mimeType": "video/mp4", "data": "AAAA"}}, {"type": "video", "media_type": "video/mp4"}),
    ({"fileData": {"fileUri": "gs://b/x"}}, {"type": "file", "url": "gs://b/x"}),
    ({"type": "image_url", "image_url": {"url": "https://e.com/" + "x" * 1000}}, {"type": "image"}),
    ({"type": "tool_use", "name": "image"}, None),
    ({"functionCall": {"name": "x"}}, None),
    ({}, None),
]


def test_images_audio_and_files_are_noted_and_not_stored(api: Api) -> None:
    for part, note in PARTS:
        messages = [{"role": "user", "content": [{"type": "text", "text": "look"}, part]}]
        (memory,) = stored(api, "selfhosted", messages, metadata={"topic": "a"})
        noted = {} if note is None else {"attachments": [note]}
        assert memory == {"role": "user", "text": "look", "metadata": {**noted, "topic": "a"}}
    many = [{"role": "user", "content": ["look", *[IMAGE] * 30]}] * 12
    assert [len(one["metadata"].get("attachments", ())) for one in stored(api, "mcp", many)] == [10] * 10 + [0, 0]
    (kept,) = stored(api, "platform", [{"role": "user", "content": ["look", IMAGE]}], metadata={"attachments": "mine"})
    assert kept["metadata"] == {"attachments": "mine"}


def test_a_fact_has_the_attachments_of_its_messages(new_api: NewApi) -> None:
    api = new_api([facts({"text": "Ann has a cat", "sources": [2]})])
    messages = [{"role": "user", "content": "hi"}, {"role": "user", "content": ["my cat", IMAGE]}]
    (one,) = api.post("/memories", {"messages": messages, "user_id": "alice"}).json()["results"]
    assert api.get(f"/memories/{one['id']}").json()["metadata"] == {"attachments": [NOTED]}


NOTHING: list[Any] = [
    [{"role": "user", "content": "  "}],
    [{"role": "user", "content": [IMAGE]}],
    [{"role": "user"}],
    [],
]


def test_nothing_said_is_nothing_stored_and_no_llm_is_asked(api: Api) -> None:
    for messages in NOTHING:
        _check_nothing(api, messages)
    assert api.texts() == []


def _check_nothing(api: Api, messages: Any) -> None:
    mine = api.post("/memories", {"messages": messages, "user_id": "alice"})
    assert (mine.status_code, mine.json()["results"]) == (200, [])
    assert api.post("/v3/memories/add/", {"messages": messages, "user_id": "alice"}).status_code == 400
    assert "must not be empty" in call_tool(api, "add_memory", {"messages": messages, "user_id": "alice", "text": " "})


#: Messages that no dialect reads, with the place of the fault.
FAULTY: list[tuple[Any, str]] = [
    (4, ""),
    ([4], "[0]"),
    ([{"role": "user", "content": 4}], "[0].content"),
    ([{"role": "user", "content": True}], "[0].content"),
    ([{"role": "user", "content": ["x", 4]}], "[0].content[1]"),
    ([{"role": "user", "content": [{"type": "text", "text": 4}]}], "[0].content[0].text"),
    ([{"role": 4, "content": "x"}], "[0].role"),
    ([{"role": " ", "content": "x"}], "[0].role"),
    (["x", {"role": "user", "content": "x", "name": {}}], "[1].name"),
]


def test_what_cannot_be_read_is_named_in_each_dialects_own_shape(api: Api) -> None:
    for messages, place in FAULTY:
        _check_fault(api, messages, place)
    assert api.get("/entities").json() == []


def _check_fault(api: Api, messages: Any, place: str) -> None:
    body = {"messages": messages, "user_id": "alice", "infer": False}
    mine = api.post("/memories", body)
    (fault,) = mine.json()["detail"]
    steps = "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in fault["loc"][2:])
    assert (mine.status_code, fault["loc"][:2], steps) == (422, ["body", "messages"], place)
    theirs = api.post("/v3/memories/add/", body)
    assert (theirs.status_code, theirs.json()["error"]) == (400, "400 Bad Request")
    assert theirs.json()["details"]["message"].startswith(f"messages{place}: ")
    dotted = place.replace("[", ".").replace("]", "")
    assert str(call_tool(api, "add_memory", body)).startswith(f"messages{dotted}: ")


def test_roles_that_no_api_has_are_those_of_mem0s_server_and_refused_by_the_platform(api: Api) -> None:
    said = [{"role": "Narrator", "content": "x"}]
    assert [one["role"] for dialect in ("selfhosted", "mcp") for one in stored(api, dialect, said)] == ["Narrator"] * 2
    assert "messages[0].role" in api.post("/v3/memories/add/", {"messages": said, "user_id": "a"}).text
    missing = [{"content": "x"}]
    assert [one["role"] for one in stored(api, "platform", missing)] == ["user"]
    assert api.post("/memories", {"messages": missing, "user_id": "a"}).json()["detail"][0]["loc"][2:] == [0, "role"]


def test_names_are_kept_but_by_mem0s_own_dialect(api: Api) -> None:
    said = [{"role": "user", "content": "x", "name": "Ann"}, {"role": "user", "content": "y", "name": 7}]
    for dialect, names in (("selfhosted", [None, None]), ("platform", ["Ann", "7"]), ("mcp", ["Ann", "7"])):
        stored(api, dialect, said)
        listed = api.world.ledger.read(
            "default", [one["id"] for one in api.get(f"/memories?user_id={dialect}").json()["results"]]
        )
        assert sorted(one.actor_id or "" for one in listed.values()) == sorted(name or "" for name in names), dialect


def test_a_text_of_a_tool_is_valid_unicode(api: Api) -> None:
    answer = call_tool(api, "add_memory", {"text": "a\ufffdb", "user_id": "mai", "infer": False})
    assert isinstance(answer, dict)
    assert "text: Input should be a valid string" in call_tool(api, "add_memory", {"text": 4, "user_id": "mai"})
