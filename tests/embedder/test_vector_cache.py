"""The vector cache: only the same user and task find a vector, and the least recently used is dropped first."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from embedder.vector_cache import VectorCache
from tests.embedder.conftest import Serve, Served
from tests.embedder.tiny import HIDDEN

ROWS = [[1, 2], [1, 3]]


def vector(number: float) -> NDArray[np.float32]:
    return np.full(2, number, np.float32)


def test_a_cached_vector_is_found_by_its_position() -> None:
    cache = VectorCache(8)
    keys = cache.keys("ana", "", ROWS)
    cache.put(keys[1], vector(3))
    assert list(cache.find(keys)) == [1]
    assert cache.find(keys)[1].tolist() == [3, 3]


def test_a_cached_vector_is_a_copy() -> None:
    cache = VectorCache(8)
    [key] = cache.keys("ana", "", ROWS[:1])
    given = vector(1)
    cache.put(key, given)
    given[:] = 9
    assert cache.find([key])[0].tolist() == [1, 1]


@pytest.mark.parametrize(
    ("user", "group", "row"),
    [("bo", "", [1, 2]), ("ana", "task", [1, 2]), ("anata", "sk", [1, 2]), ("ana", "", [1, 2, 0]), ("ana", "", [2, 1])],
)
def test_another_user_task_or_text_finds_nothing(user: str, group: str, row: list[int]) -> None:
    cache = VectorCache(8)
    cache.put(cache.keys("ana", "", [[1, 2]])[0], vector(1))
    cache.put(cache.keys("ana", "tasks", [[1, 3]])[0], vector(1))
    assert cache.find(cache.keys(user, group, [row])) == {}


def test_the_one_asked_for_longest_ago_leaves_first() -> None:
    cache = VectorCache(2)
    first, second, third = cache.keys("ana", "", [[1], [2], [3]])
    cache.put(first, vector(1))
    cache.put(second, vector(2))
    cache.find([first])
    cache.put(third, vector(3))
    assert list(cache.find([first, second, third])) == [0, 2]


@pytest.mark.parametrize(("size", "user"), [(0, "ana"), (8, ""), (8, None)])
def test_nothing_is_cached_without_room_or_user(size: int, user: str | None) -> None:
    assert VectorCache(size).keys(user, "", ROWS) == []


def ask(server: Served, texts: list[str], **fields: object) -> list[list[float]]:
    answer = server.post("/v1/embeddings", json={"input": texts, **fields})
    assert answer.status_code == 200, answer.text
    return [item["embedding"] for item in answer.json()["data"]]


def test_the_service_answers_a_users_text_from_its_cache(serve: Serve, model_dir: Path) -> None:
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
