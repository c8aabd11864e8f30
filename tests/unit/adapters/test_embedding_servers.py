"""The embedder's client against a fake server that behaves like Ollama, vLLM, TEI, Azure, Gemini and more in turn."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import pytest

from forgetless.adapters.embedder_http import HttpEmbedder
from forgetless.adapters.embedder_negotiation import MOST_REFUSED
from forgetless.domain.errors import (
    EmbedderError,
    EmbedderReplyError,
    EmbedderTextError,
    ProviderAuthError,
    ProviderRequestError,
)
from forgetless.domain.recipe import is_same_vector
from forgetless.ports.embedder import EmbeddingTask
from tests.fakes.clock import FakeClock
from tests.fakes.embedder import FakeEmbedder
from tests.fakes.openai_server.embeddings import DIMENSIONS, KEY, SERVERS
from tests.unit.servers import Answer, Request, Server, serve

TASK = EmbeddingTask.PASSAGE
TEXTS = [f"text {number} of many" for number in range(40)]


def client(server: Server, name: str, **settings: Any) -> HttpEmbedder:
    url = server.url + SERVERS[name].address
    return HttpEmbedder(
        url, **{"model": "m", "api_key": KEY, "dimensions": DIMENSIONS, "clock": FakeClock(), **settings}
    )


def sizes(server: Server) -> list[int]:
    return [len(request.body["input"]) for request in server.requests]


#: Of each server: how many of the first add's calls it refuses, which fields it gets then, and how many texts at once.
LEARNT = [
    ("openai", 1, {"dimensions", "encoding_format", "user"}, 40),
    ("ollama", 0, {"dimensions", "encoding_format", "task", "user"}, 40),
    ("vllm", 1, {"encoding_format", "task", "user"}, 40),
    ("tei", 1, {"dimensions", "encoding_format", "task", "user"}, 32),
    ("azure", 1, {"dimensions", "encoding_format", "user"}, 40),
    ("gemini", 2, {"dimensions"}, 40),  # and one call whose vectors have another length
    ("dashscope", 1, {"dimensions", "encoding_format", "task", "user"}, 10),
    ("siliconflow", 0, {"dimensions", "encoding_format", "task", "user"}, 40),
    ("ark", 0, {"dimensions", "encoding_format", "task", "user"}, 40),
    ("null-index", 0, {"dimensions", "encoding_format", "task", "user"}, 40),
]


@pytest.mark.parametrize(("name", "refused", "fields", "most"), LEARNT, ids=[row[0] for row in LEARNT])
def test_every_server_gets_what_it_takes(name: str, refused: int, fields: set[str], most: int) -> None:
    expected = FakeEmbedder(DIMENSIONS).embed(TEXTS, TASK)
    with serve(SERVERS[name]) as server:
        embedder = client(server, name)
        for _ in range(2):
            vectors = embedder.embed(TEXTS, TASK, owner="acme")
            assert len(vectors) == len(expected)
            assert all(map(is_same_vector, vectors, expected)), "in the order of the texts"
        assert len(embedder.embed(["one"], TASK)) == 1
    last = server.requests[-2]
    assert set(last.body) - {"model", "input"} == fields
    calls = -(-len(TEXTS) // most)
    assert len(server.requests) == refused + 2 * calls + 1 + (name == "gemini")
    assert max(sizes(server)[refused:]) == most


@pytest.mark.parametrize("name", ["ollama", "tei", "nan", "null-vector", "zero-vector", "breaks", "silent"])
def test_one_text_without_a_vector_takes_no_other_with_it(name: str) -> None:
    texts = [*TEXTS[:2], "some poison", *TEXTS[2:4]]
    statuses: list[int] = []

    def answer(request: Request) -> Answer:
        answered = SERVERS[name](request)
        statuses.append(answered.status)
        return answered

    with serve(answer) as server, pytest.raises(EmbedderTextError, match="no vector for 1 of 5 texts") as raised:
        client(server, name).embed(texts, TASK)
    assert len(statuses) - statuses.count(200) <= MOST_REFUSED + 2 * math.log2(len(texts))
    assert [vector is None for vector in raised.value.vectors] == [False, False, True, False, False]
    assert raised.value.blames_input
    assert "poison" not in raised.value.message


def test_a_server_that_breaks_on_everything_is_down_and_blames_no_text() -> None:
    with serve(lambda _request: Answer(500, b"Internal Server Error")) as server, pytest.raises(EmbedderError):
        client(server, "openai").embed(TEXTS, TASK)
    assert set(sizes(server)) == {40, 1}


@pytest.mark.parametrize(
    ("name", "settings", "kind", "says"),
    [
        ("openai", {"api_key": "wrong"}, ProviderAuthError, "status 401: check FORGETLESS_EMBEDDER_API_KEY"),
        ("no-model", {}, ProviderRequestError, "status 400: it refuses every text: check FORGETLESS_EMBEDDING_MODEL"),
        ("ada-002", {}, EmbedderReplyError, "1536 dimensions instead of 384: check FORGETLESS_EMBEDDING_DIMENSIONS"),
    ],
)
def test_what_cannot_work_fails_at_once_and_says_why(
    name: str, settings: dict[str, Any], kind: type[Exception], says: str
) -> None:
    with serve(SERVERS[name]) as server, pytest.raises(kind, match=says) as raised:
        client(server, name, **settings).embed(TEXTS, TASK)
    assert len(server.requests) <= 4
    assert not raised.value.blames_input  # type: ignore[attr-defined]


def test_dimensions_are_not_left_out_where_the_vectors_would_have_another_length() -> None:
    kind = replace(SERVERS["silent"], refused_fields=(), dimensions=3072)
    with serve(kind) as server, pytest.raises(EmbedderTextError, match="no vector for 1 of 5 texts"):
        client(server, "silent").embed([*TEXTS[:4], "some poison"], TASK)
    with serve(replace(kind, refused_fields=("dimensions",))) as server:
        with pytest.raises(EmbedderReplyError, match="3072 dimensions instead of 384"):
            client(server, "silent").embed([*TEXTS[:4], "some poison"], TASK)
        assert len(server.requests) <= 8


@pytest.mark.parametrize("status", [401, 403, 404])
def test_what_no_smaller_request_would_mend_is_asked_once(status: int) -> None:
    with serve(lambda _request: Answer(status)) as server, pytest.raises(Exception, match=f"status {status}"):
        client(server, "openai").embed(TEXTS, TASK)
    assert sizes(server) == [40]


def test_settings_spare_the_refused_calls() -> None:
    with serve(replace(SERVERS["dashscope"], refused_fields=("dimensions", "task"))) as server:
        omit = frozenset({"dimensions", "task"})
        client(server, "dashscope", most_texts=10, omit=omit).embed(TEXTS, TASK)
    assert sizes(server) == [10] * 4


def test_a_ping_finds_the_fields_before_the_first_add() -> None:
    with serve(SERVERS["vllm"]) as server:
        embedder = client(server, "vllm")
        embedder.ping()
        embedder.embed(TEXTS, TASK)
    assert sizes(server) == [1, 1, 40]
