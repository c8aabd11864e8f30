"""The load's scenario: users, their requests, the preloaded data, and texts that resemble those of people."""

from __future__ import annotations

import json
import random
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from local.client import Client, Connection, ToolError
from local.loadtest.conversation_texts import LANGUAGES, question, turn
from local.loadtest.preload import Preload, forget, load, shares
from local.loadtest.scenario import (
    MIXES,
    Plan,
    Stage,
    parse_stages,
    parse_think,
    plan_from,
    request_bodies,
    user_name,
    write,
)
from tests.tools.fake_service import KEY, FakeService

PLAN = Plan("http://127.0.0.1:1", (Stage(30, 100.0), Stage(60, 50.0)), 10.0, (1.0, 3.0), "default")


def test_ramps_belong_to_no_stage() -> None:
    assert PLAN.windows() == [(10.0, 110.0), (120.0, 170.0)]
    assert PLAN.seconds == 170.0


@pytest.mark.parametrize(("at", "users"), [(0, 0), (5, 15), (10, 30), (109, 30), (115, 45), (169, 60), (171, 0)])
def test_users_come_along_the_ramps(at: float, users: float) -> None:
    assert PLAN.users_at(at) == pytest.approx(users)


def test_the_default_plan_of_the_reference_ends_within_six_minutes() -> None:
    stages = parse_stages("30,60,100", 100.0)
    assert Plan("", stages, 10.0, (1.0, 3.0), "default").seconds <= 360


@pytest.mark.parametrize("text", ["", "30,", "a", "0,3"])
def test_stages_that_make_no_sense_name_their_option(text: str) -> None:
    with pytest.raises(ToolError, match="--stages"):
        parse_stages(text, 1.0)


def test_think_time_is_a_range_or_one_number() -> None:
    assert parse_think("1-3") == (1.0, 3.0)
    assert parse_think("0") == (0.0, 0.0)
    for text in ("3-1", "soon", "-1"):
        with pytest.raises(ToolError, match="--think"):
            parse_think(text)


def test_requests_are_those_of_the_mix_and_repeat_with_the_seed() -> None:
    users = [user_name(1000, number) for number in range(5)]
    requests = request_bodies("default", users, count=1000)
    kinds = Counter(request["kind"] for request in requests)
    assert kinds["search"] / 1000 == pytest.approx(0.8, abs=0.05)
    assert set(kinds) == set(MIXES["default"])
    assert requests == request_bodies("default", users, count=1000)
    asked = Counter(json.loads(one["body"])["filters"]["user_id"] for one in requests if one["kind"] == "search")
    assert asked[users[0]] > asked[users[-1]] > 0


def test_no_text_that_is_added_comes_twice() -> None:
    bodies = [json.loads(one["body"]) for one in request_bodies("default", ["u"], count=5000)]
    said = [message["content"] for body in bodies for message in body.get("messages", ())]
    assert len(said) > 1000
    assert len(set(said)) == len(said)


def test_only_the_extraction_mix_asks_for_extraction() -> None:
    def infers(mix: str) -> set[Any]:
        bodies = [json.loads(one["body"]) for one in request_bodies(mix, ["u"], count=200)]
        return {body.get("infer") for body in bodies if "messages" in body}

    assert infers("default") == {False}
    assert infers("extraction") == {True}
    assert infers("search") == set()


def test_what_is_written_for_the_load_tools_is_read_again(tmp_path: Path) -> None:
    write(PLAN, request_bodies("default", ["u"], count=3), tmp_path)
    assert plan_from(json.loads((tmp_path / "plan.json").read_text())) == PLAN
    assert len(json.loads((tmp_path / "requests.json").read_text())) == 3


def test_turns_are_as_long_as_people_write_in_every_language() -> None:
    chance = random.Random(1)
    for language in set(LANGUAGES):
        turns = [turn(chance, language) for _ in range(300)]
        assert 80 < sum(map(len, turns)) / 300 < 220, language
        assert "{" not in "".join([*turns, *(question(chance, language) for _ in range(50))])
        assert len(set(turns)) > 250


@pytest.mark.parametrize(("memories", "users"), [(10_000, 60), (100, 60), (7, 60), (5, 1)])
def test_every_user_has_memories_and_their_sum_is_what_was_asked(memories: int, users: int) -> None:
    counts = list(shares(Preload(memories, users)).values())
    assert sum(counts) == memories
    assert min(counts) >= 1
    assert counts == sorted(counts, reverse=True)


def test_a_preload_is_used_again_and_one_that_broke_off_is_rebuilt(service: FakeService) -> None:
    preload = Preload(memories=300, users=4, batch=50)
    first = preload.names[0]
    with Client(Connection(service.url, KEY)) as client:
        client.add([{"role": "user", "content": "left over"}], user_id=first, infer=False)
        heard: list[int] = []
        assert load(client, preload, heard.append) == 300
        assert sum(heard) == 300
        assert max(heard) == 50
        heard.clear()
        assert load(client, preload, heard.append) == 0
        assert sum(heard) == 300
        held = Counter(one["user_id"] for one in service.memories)
        assert held == shares(preload)
        forget(client, preload)
    assert service.memories == []


def test_an_add_that_the_service_cannot_do_in_time_is_halved(service: FakeService) -> None:
    add = service.add

    def slow(body: dict[str, Any]) -> dict[str, Any]:
        if len(body["messages"]) > 10:
            raise TimeoutError
        return add(body)

    service.add = slow  # type: ignore[method-assign]
    with Client(Connection(service.url, KEY)) as client:
        assert load(client, Preload(memories=80, users=1, batch=40), lambda _: None) == 80
    assert len(service.memories) == 80


def test_an_add_that_fails_whatever_its_size_ends_the_preload(service: FakeService) -> None:
    service.broken["/memories"] = (503, {"detail": "full"})
    with Client(Connection(service.url, KEY)) as client, pytest.raises(ToolError, match="503"):
        load(client, Preload(memories=40, users=1, batch=40), lambda _: None)
