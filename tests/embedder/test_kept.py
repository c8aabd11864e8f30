"""Vectors kept for who asks again: found by the same user and task alone, the oldest go first."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from embedder.kept import Kept
from tests.embedder.conftest import Serve, Served
from tests.embedder.tiny import HIDDEN

ROWS = [[1, 2], [1, 3]]


def vector(number: float) -> NDArray[np.float32]:
    return np.full(2, number, np.float32)


def test_what_was_kept_is_found_by_its_place() -> None:
    kept = Kept(8)
    keys = kept.keys("ana", "", ROWS)
    kept.keep(keys[1], vector(3))
    assert list(kept.find(keys)) == [1]
    assert kept.find(keys)[1].tolist() == [3, 3]


def test_a_kept_vector_is_a_copy() -> None:
    kept = Kept(8)
    [key] = kept.keys("ana", "", ROWS[:1])
    given = vector(1)
    kept.keep(key, given)
    given[:] = 9
    assert kept.find([key])[0].tolist() == [1, 1]


@pytest.mark.parametrize(
    ("user", "group", "row"),
    [("bo", "", [1, 2]), ("ana", "task", [1, 2]), ("anata", "sk", [1, 2]), ("ana", "", [1, 2, 0]), ("ana", "", [2, 1])],
)
def test_another_user_task_or_text_finds_nothing(user: str, group: str, row: list[int]) -> None:
    kept = Kept(8)
    kept.keep(kept.keys("ana", "", [[1, 2]])[0], vector(1))
    kept.keep(kept.keys("ana", "tasks", [[1, 3]])[0], vector(1))
    assert kept.find(kept.keys(user, group, [row])) == {}


def test_the_one_asked_for_longest_ago_leaves_first() -> None:
    kept = Kept(2)
    first, second, third = kept.keys("ana", "", [[1], [2], [3]])
    kept.keep(first, vector(1))
    kept.keep(second, vector(2))
    kept.find([first])
    kept.keep(third, vector(3))
    assert list(kept.find([first, second, third])) == [0, 2]


@pytest.mark.parametrize(("size", "user"), [(0, "ana"), (8, ""), (8, None)])
def test_nothing_is_kept_without_room_or_user(size: int, user: str | None) -> None:
    assert Kept(size).keys(user, "", ROWS) == []


def ask(server: Served, texts: list[str], **fields: object) -> list[list[float]]:
    answer = server.post("/v1/embeddings", json={"input": texts, **fields})
    assert answer.status_code == 200, answer.text
    return [item["embedding"] for item in answer.json()["data"]]


def test_the_service_answers_a_users_text_from_what_it_kept(serve: Serve, model_dir: Path) -> None:
    own = serve(model_dir)
    first = ask(own, ["the cat", "dog"], user="ana")
    tokens = own.figures()["embedder_tokens_total"]
    again = ask(own, ["dog", "the mat", "the cat"], user="ana")
    figures = own.figures()
    assert (again[2], again[0]) == (first[0], first[1])
    assert again[1] == ask(own, ["the mat"])[0]
    assert figures["embedder_kept_total"] == 2
    assert figures["embedder_tokens_total"] - tokens == 4, "the mat alone, with its special tokens"
    assert len(again[1]) == HIDDEN


def test_another_user_and_no_user_are_computed_for(serve: Serve, model_dir: Path) -> None:
    own = serve(model_dir)
    ask(own, ["the cat"], user="ana")
    ask(own, ["the cat"], user="bo")
    ask(own, ["the cat"])
    assert own.figures()["embedder_kept_total"] == 0


def test_a_user_is_a_string(server: Served) -> None:
    answer = server.post("/v1/embeddings", json={"input": "dog", "user": 7})
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, "user")
