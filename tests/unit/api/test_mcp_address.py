"""The ids in the address of /mcp: they stand in for each id that a call leaves out, and never widen a key."""

from __future__ import annotations

from itertools import product
from typing import Any

import pytest

from forgetless.domain.keys import ApiKey, Role, key_hash
from tests.unit.api.client import MEMBER, Api, put_key
from tests.unit.api.conftest import NewApi
from tests.unit.api.mcp_calls import ToolAnswer, call_tool, texts_of

MAI = "?user_id=mai"
LIMITED = "a key of mai alone"
OF_ONE_AGENT = "a key of mai and the coach"
READERS = ("get_memories", "search_memories")


@pytest.fixture
def api(new_api: NewApi) -> Api:
    api = new_api(mcp=True)
    api.say("tea of mai", user_id="mai", metadata={"topic": "tea"})
    api.say("tea of mai in s1", user_id="mai", run_id="s1")
    api.say("tea of ana in s1", user_id="ana", run_id="s1", metadata={"topic": "tea"})
    api.say("tea of bob with the coach", user_id="bob", agent_id="coach")
    put_key(api.world, LIMITED, "default", Role.ADMIN, "mai")
    key = ApiKey(key_hash(OF_ONE_AGENT), "default", Role.WRITE, "2026-01-01", users=("mai",), agents=("coach",))
    api.world.ledger.put_key(key)
    return api


def read(api: Api, name: str, arguments: dict[str, Any], query: str = MAI, **options: Any) -> ToolAnswer:
    """What a tool that reads gives."""
    asked = {"query": "tea", "threshold": 0, **arguments} if name == "search_memories" else arguments
    return call_tool(api, name, asked, query=query, **options)


OF_MAI = ["tea of mai", "tea of mai in s1"]
OF_ANA, OF_BOB = ["tea of ana in s1"], ["tea of bob with the coach"]

#: What a call names beside the address `?user_id=mai`, and what it reads then.
NAMED: list[tuple[dict[str, Any], list[str]]] = [
    ({}, OF_MAI),
    ({"user_id": None, "run_id": None, "filters": None}, OF_MAI),
    ({"run_id": "s1"}, ["tea of mai in s1"]),
    ({"agent_id": "coach"}, []),
    ({"user_id": "ana"}, OF_ANA),
    ({"filters": {"topic": "tea"}}, ["tea of mai"]),
    # Filters that name another user, in the forms of mem0's own server.
    ({"filters": {"user_id": "ana"}}, OF_ANA),
    ({"filters": {"AND": [{"user_id": "ana"}]}}, OF_ANA),
    ({"filters": {"AND": [{"user_id": {"in": ["ana", "mai"]}}]}}, OF_ANA + OF_MAI),
    ({"filters": {"OR": [{"user_id": "ana"}, {"agent_id": "coach"}]}}, OF_ANA + OF_BOB),
    ({"filters": {"AND": [{"user_id": "ana"}, {"created_at": {"gte": "2024-01-01"}}]}}, OF_ANA),
    ({"filters": '{"AND": [{"user_id": "ana"}]}'}, OF_ANA),
    # Filters that name no other user.
    ({"filters": {"AND": [{"run_id": "s1"}]}}, ["tea of mai in s1"]),
    ({"filters": {"OR": [{"user_id": "mai"}, {"topic": "tea"}]}}, OF_MAI),
    ({"filters": {"NOT": [{"user_id": "ana"}]}}, OF_MAI),
    ({"filters": {"NOT": {"AND": [{"user_id": "ana"}]}}}, OF_MAI),
    ({"filters": {"AND": [{"NOT": [{"user_id": {"in": ["bob"]}}]}]}}, OF_MAI),
    ({"filters": {"user_id": {"ne": "ana"}}}, OF_MAI),
    ({"filters": {"user_id": "*"}}, OF_MAI),
    ({"filters": {"metadata": {"user_id": "ana"}}}, []),
    ({"filters": {"user_id": None}}, []),
    # Both count: what the argument names, and what the filter does.
    ({"user_id": "ana", "filters": {"user_id": "bob"}}, []),
    ({"user_id": "ana", "filters": {"user_id": {"in": ["ana", "bob"]}}}, OF_ANA),
]


@pytest.mark.parametrize("name", READERS)
def test_a_call_reads_what_it_names_and_the_address_for_the_rest(api: Api, name: str) -> None:
    read_ = [(arguments, texts_of(read(api, name, arguments))) for arguments, _ in NAMED]
    assert read_ == [(arguments, sorted(texts)) for arguments, texts in NAMED]


def test_each_id_steps_back_for_itself(api: Api) -> None:
    address = "?user_id=mai&run_id=s1"
    assert texts_of(read(api, "get_memories", {"filters": {"user_id": "ana"}}, address)) == OF_ANA
    api.say("tea of ana in s2", user_id="ana", run_id="s2")
    assert texts_of(read(api, "get_memories", {"filters": {"user_id": "ana"}}, address)) == OF_ANA
    filters = {"AND": [{"user_id": "ana"}, {"run_id": "s2"}]}
    assert texts_of(read(api, "get_memories", {"filters": filters}, address)) == ["tea of ana in s2"]


@pytest.mark.parametrize("name", READERS)
def test_without_an_address_a_filter_names_whose_memories(api: Api, name: str) -> None:
    assert texts_of(read(api, name, {"filters": {"AND": [{"user_id": "ana"}]}}, "", key=MEMBER)) == OF_ANA
    everybody = {"user_id": "*"}
    assert len(texts_of(read(api, name, {"filters": everybody}, ""))) == 4  # an administrator's
    for filters in (everybody, {"OR": [{"user_id": "ana"}, {"topic": "tea"}]}):
        assert "with OR one in each branch" in read(api, name, {"filters": filters}, "", key=MEMBER)
    for nobody in ({"topic": "tea"}, {"NOT": [{"user_id": "ana"}]}, {"user_id": {"ne": "ana"}}, {}, None):
        assert "Name whose memories" in read(api, name, {"filters": nobody}, "")
    # A filter that names another user and leaves a branch open is no way past the address, not even for administrators.
    opened = {"OR": [{"user_id": "ana"}, {"topic": "tea"}]}
    assert "with OR one in each branch" in read(api, name, {"filters": opened})
    assert "with OR one in each branch" in read(api, name, {"filters": opened}, key=MEMBER)


def test_what_is_added_stays_with_the_user_of_the_address(api: Api) -> None:
    stored = [
        ({"run_id": "s9"}, {"user_id": "mai", "run_id": "s9"}),
        ({"user_id": None, "agent_id": "coach"}, {"user_id": "mai", "agent_id": "coach"}),
        ({"user_id": "ana"}, {"user_id": "ana"}),
        ({}, {"user_id": "mai"}),
    ]
    for number, (ids, expected) in enumerate(stored):
        call_tool(api, "add_memory", {"text": f"fact {number}", "infer": False, **ids}, query=MAI)
        found = api.get(f"/memories?user_id={expected['user_id']}").json()["results"]
        (one,) = [one for one in found if one["memory"] == f"fact {number}"]
        assert {name: one.get(name) for name in ("user_id", "agent_id", "run_id") if one.get(name)} == expected
    # What mai said in a session is not what bob hears of it.
    assert texts_of(read(api, "search_memories", {"run_id": "s9"})) == ["fact 0"]
    assert texts_of(read(api, "search_memories", {"run_id": "s9"}, "?user_id=bob")) == []


def test_a_deletion_must_name_something_and_stays_within_the_address(api: Api) -> None:
    assert "Name whose memories" in call_tool(api, "delete_all_memories", {}, query=MAI)
    assert "Name whose memories" in call_tool(api, "delete_all_memories", {"user_id": None}, query=MAI)
    deleted = call_tool(api, "delete_all_memories", {"run_id": "s1"}, query=MAI)
    assert isinstance(deleted, dict)
    assert deleted["deleted"] == 1
    assert texts_of(read(api, "get_memories", {"filters": {"user_id": {"in": ["mai", "ana"]}}})) == [
        *OF_ANA,
        "tea of mai",
    ]
    # An entity is deleted as a whole.
    assert "exactly one" in call_tool(api, "delete_entities", {}, query=MAI)
    call_tool(api, "delete_entities", {"user_id": "mai"}, query=f"{MAI}&app_id=chat")
    assert texts_of(read(api, "get_memories", {})) == []


@pytest.mark.parametrize("key", [LIMITED, OF_ONE_AGENT])
def test_the_address_never_widens_what_a_key_may_reach(api: Api, key: str) -> None:
    """Whatever address and call name together, such a key reads and changes what is mai's alone."""
    addresses = ("", MAI, "?user_id=ana", "?user_id=bob&agent_id=coach", "?run_id=s1&app_id=x")
    filters = ({}, {"OR": [{"user_id": "bob"}, {"run_id": "s1"}]}, {"NOT": {"user_id": "mai"}})
    filters += ({"user_id": "*"}, {"user_id": {"in": ["mai", "ana"]}}, {"agent_id": "coach"})
    named: tuple[dict[str, Any], ...] = ({}, {"user_id": "ana"}, {"user_id": "mai"})
    seen: set[str] = set()
    for address, where, ids in product(addresses, filters, named):
        answer = read(api, "get_memories", {**ids, "filters": where}, address, key=key)
        seen |= set(texts_of(answer)) if isinstance(answer, dict) else set()
    assert seen == set(OF_MAI)
    before = [api.get(f"/memories?user_id={user}").json() for user in ("ana", "bob")]
    for name, arguments in (("add_memory", {"text": "mine", "infer": False}), ("delete_all_memories", {})):
        for address, ids in product(addresses, named):
            call_tool(api, name, {**arguments, **ids}, query=address, key=key)
        if name == "add_memory":
            # With no app in its list, a key adds nothing under the app of an address.
            found = len(api.texts("user_id=mai")), ("app", "x") in entities(api)
            assert found == ((8, True) if key == LIMITED else (7, False))
    assert [api.get(f"/memories?user_id={user}").json() for user in ("ana", "bob")] == before


def entities(api: Api) -> set[tuple[str, str]]:
    listed = call_tool(api, "list_entities", {})
    assert isinstance(listed, dict)
    return {(one["type"], one["id"]) for one in listed["results"]}


def test_an_invalid_id_in_the_address_is_named(api: Api) -> None:
    for address in ("?user_id=", "?user_id=*", "?user_id=a%00b"):
        assert "Invalid user_id" in read(api, "get_memories", {}, address)
        assert "Invalid user_id" in call_tool(api, "add_memory", {"text": "x"}, query=address)
