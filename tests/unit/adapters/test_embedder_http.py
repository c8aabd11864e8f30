"""The HTTP embedder against real servers on loopback, and its fake."""

from __future__ import annotations

import base64
import math
from array import array
from collections.abc import Callable
from typing import Any

import pytest

from forgetless.adapters.embedder_http import HttpEmbedder
from forgetless.domain.errors import (
    EmbedderError,
    EmbedderReplyError,
    ProviderAuthError,
    ProviderError,
    ProviderRequestError,
)
from forgetless.ports.embedder import EmbeddingTask
from tests.fakes.clock import FakeClock
from tests.fakes.embedder import FakeEmbedder
from tests.unit.servers import Answer, Request, Server, in_turn, serve

QUERY = EmbeddingTask.QUERY


def vector_of(text: str) -> list[float]:
    angle = float(len(text))
    return [math.cos(angle), math.sin(angle), 0.0]


def openai(request: Request) -> Answer:
    """The contract: base64 when asked for, floats otherwise; rows in reverse, as the index orders them."""
    as_base64 = request.body.get("encoding_format") == "base64"
    rows: list[dict[str, Any]] = []
    for index, text in enumerate(request.body["input"]):
        vector = vector_of(text)
        encoded = base64.b64encode(array("f", vector).tobytes()).decode() if as_base64 else vector
        rows.append({"index": index, "embedding": encoded})
    return Answer(body={"data": rows[::-1]})


def embedder(server: Server, **settings: Any) -> HttpEmbedder:
    settings.setdefault("clock", FakeClock())
    return HttpEmbedder(server.url, **{"model": "m", **settings})


def replying(vectors: list[Any]) -> Callable[[Request], Answer]:
    return lambda _request: Answer(
        body={"data": [{"index": index, "embedding": vector} for index, vector in enumerate(vectors)]}
    )


def test_vectors_come_in_the_order_of_the_texts() -> None:
    with serve(openai) as server:
        vectors = embedder(server).embed(["a", "bb", "ccc"], QUERY)
    assert vectors == [pytest.approx(vector_of(text), abs=1e-6) for text in ("a", "bb", "ccc")]


def test_the_request_carries_model_task_dimensions_and_key() -> None:
    with serve(openai) as server:
        embedder(server, api_key="secret", dimensions=3).embed(["a"], EmbeddingTask.PASSAGE)
    request = server.requests[0]
    assert request.path == "/v1/embeddings"
    assert request.headers["authorization"] == "Bearer secret"
    assert request.body == {
        "model": "m",
        "input": ["a"],
        "encoding_format": "base64",
        "dimensions": 3,
        "task": "retrieval.passage",
    }


def test_task_stays_out_when_switched_off() -> None:
    with serve(openai) as server:
        embedder(server, send_task=False).embed(["a"], QUERY)
    assert "task" not in server.requests[0].body


def test_an_owners_texts_carry_its_digest_and_never_its_name() -> None:
    with serve(openai) as server:
        for owner in ("acme", "acme", "umbrella", ""):
            embedder(server).embed(["a"], QUERY, owner=owner)
        embedder(server, send_task=False).embed(["a"], QUERY, owner="acme")
    users = [request.body.get("user") for request in server.requests]
    assert users[0] == users[1] != users[2]
    assert users[3:] == [None, None], "nobody else's server is told"
    assert "acme" not in str(users)


@pytest.mark.parametrize("suffix", ["", "/", "/v1", "/v1/"])
def test_base_url_may_end_in_v1(suffix: str) -> None:
    with serve(openai) as server:
        HttpEmbedder(server.url + suffix, model="m").embed(["a"], QUERY)
    assert server.requests[0].path == "/v1/embeddings"


def test_more_than_128_texts_are_split_over_one_connection() -> None:
    texts = ["x" * number for number in range(1, 301)]
    with serve(openai) as server:
        vectors = embedder(server).embed(texts, QUERY)
    assert [len(request.body["input"]) for request in server.requests] == [128, 128, 44]
    assert len({request.client_port for request in server.requests}) == 1
    assert vectors[299] == pytest.approx(vector_of(texts[299]), abs=1e-6)


def test_no_texts_need_no_call() -> None:
    with serve(openai) as server:
        assert embedder(server).embed([], QUERY) == []
    assert server.requests == []


def test_a_server_that_refuses_base64_is_asked_for_floats_from_then_on() -> None:
    def floats_only(request: Request) -> Answer:
        if "encoding_format" in request.body:
            return Answer(400, {"error": {"message": "encoding_format: unsupported"}})
        return openai(request)

    with serve(floats_only) as server:
        client = embedder(server)
        client.embed(["a"], QUERY)
        client.embed(["a"], QUERY)
    assert ["encoding_format" in request.body for request in server.requests] == [True, False, False]


def test_vectors_are_brought_to_norm_one() -> None:
    with serve(replying([[3.0, 4.0]])) as server:
        assert embedder(server).embed(["a"], QUERY) == [[0.6, 0.8]]


@pytest.mark.parametrize("status", [408, 409, 425, 429, 500, 503])
def test_a_passing_failure_is_retried_after_a_pause(status: int) -> None:
    clock = FakeClock()
    answers = in_turn(Answer(status), Answer(status), Answer(body={"data": [{"index": 0, "embedding": [1.0]}]}))
    with serve(answers) as server:
        assert embedder(server, clock=clock).embed(["a"], QUERY) == [[1.0]]
    assert len(clock.slept) == 2
    assert 0.1 <= clock.slept[0] <= 0.2 <= clock.slept[1] <= 0.4


def test_a_dropped_connection_is_retried() -> None:
    answers = in_turn(Answer(hang_up=True), Answer(body={"data": [{"index": 0, "embedding": [1.0]}]}))
    with serve(answers) as server:
        assert embedder(server).embed(["a"], QUERY) == [[1.0]]


def test_retry_after_is_waited_for() -> None:
    clock = FakeClock()
    busy = Answer(429, headers={"retry-after": "4"})
    with serve(in_turn(busy, Answer(body={"data": [{"index": 0, "embedding": [1.0]}]}))) as server:
        embedder(server, clock=clock).embed(["a"], QUERY)
    assert clock.slept == [4.0]


def test_a_retry_after_beyond_the_deadline_is_passed_on_at_once() -> None:
    clock = FakeClock()
    with serve(in_turn(Answer(429, headers={"retry-after": "60"}))) as server, pytest.raises(EmbedderError) as raised:
        embedder(server, clock=clock, timeout_s=10).embed(["a"], QUERY)
    assert (raised.value.retry_after, len(server.requests), clock.slept) == (60, 1, [])


@pytest.mark.parametrize(
    ("status", "kind", "advice"),
    [
        (400, ProviderRequestError, "check FORGETLESS_EMBEDDING_MODEL and FORGETLESS_EMBEDDING_DIMENSIONS"),
        (401, ProviderAuthError, "check FORGETLESS_EMBEDDER_API_KEY"),
        (403, ProviderAuthError, "check FORGETLESS_EMBEDDER_API_KEY"),
        (404, ProviderRequestError, "check FORGETLESS_EMBEDDER_URL and FORGETLESS_EMBEDDING_MODEL"),
        (405, ProviderRequestError, "check FORGETLESS_EMBEDDER_URL"),
        (302, ProviderRequestError, "check FORGETLESS_EMBEDDER_URL"),
        (204, ProviderRequestError, "check FORGETLESS_EMBEDDER_URL"),
        (413, ProviderRequestError, "one text of ordinary length is too large for it"),
        (422, ProviderRequestError, "it refuses every text: check FORGETLESS_EMBEDDING_MODEL"),
    ],
)
def test_a_refusal_is_not_retried_names_the_setting_and_quotes_no_text(
    status: int, kind: type[ProviderError], advice: str
) -> None:
    refusal = Answer(status, {"detail": [{"input": "my secret text"}]})
    with serve(in_turn(refusal)) as server, pytest.raises(kind, match=f"status {status}: ") as raised:
        embedder(server, api_key="secret key").embed(["my secret text"], QUERY)
    # Where other fields or another text might be taken, they are tried: without the fields, then the control text.
    assert len(server.requests) == {400: 3, 422: 3, 413: 2}.get(status, 1)
    assert raised.value.message.startswith("the embedder ")
    assert advice in raised.value.message
    assert "secret" not in raised.value.message
    assert raised.value.retry_after is None


def test_a_key_in_the_url_that_is_refused_is_named_by_its_setting_alone() -> None:
    with serve(in_turn(Answer(401))) as server, pytest.raises(ProviderAuthError) as raised:
        HttpEmbedder(server.url.replace("http://", "http://name:secret@"), model="m").ping()
    assert "user and password in FORGETLESS_EMBEDDER_URL" in raised.value.message
    assert "secret" not in raised.value.message
    assert "name" not in raised.value.message


@pytest.mark.parametrize(
    "body",
    [
        b"<html>",
        {},
        {"data": []},
        {"data": [{"index": 0, "embedding": "%%%"}]},
        {"data": [{"index": 0, "embedding": "AAA="}]},
        {"data": [{"index": 0, "embedding": [0.0, 0.0]}]},
        {"data": [{"index": 0, "embedding": None}]},
        {"error": {"message": "a proxy that answers errors with 200"}},
        b'{"data": [{"index": 0, "embedding": [NaN]}]}',
        {"data": [{"index": 1, "embedding": [1.0]}]},
        {"data": [{"index": 0, "embedding": [1.0]}, {"index": 1, "embedding": [1.0]}]},
        b'{"data": ' + b"[" * 100_000,
        b"[" * 100_000 + b"]" * 100_000,
    ],
)
def test_nonsense_is_an_error(body: Any) -> None:
    with serve(in_turn(Answer(body=body))) as server, pytest.raises(EmbedderReplyError) as raised:
        embedder(server).embed(["a"], QUERY)
    assert raised.value.message.startswith("the reply of the embedder")
    assert raised.value.retry_after is None, "asked again, it would answer the same"
    assert len(server.requests) <= 2, "a reply without a vector may be the text's fault, so the control text is tried"


def test_a_wrong_dimension_is_an_error_that_names_both() -> None:
    says = "3 dimensions instead of 1024: check FORGETLESS_EMBEDDING_DIMENSIONS"
    with serve(openai) as server, pytest.raises(EmbedderReplyError, match=says):
        embedder(server, dimensions=1024).embed(["a"], QUERY)


def test_lone_surrogates_do_not_stop_an_embedding() -> None:
    with serve(openai) as server:
        assert len(embedder(server).embed(["bad \ud800 text"], QUERY)) == 1
    assert server.requests[0].body["input"] == ["bad ? text"]


def test_no_server_is_an_embedder_error_without_the_urls_credentials() -> None:
    with serve(openai) as server:
        url = server.url.replace("http://", "http://name:password@")
    with pytest.raises(EmbedderError, match="embedder gave no reply") as raised:
        HttpEmbedder(url, model="m", clock=FakeClock()).ping()
    assert "password" not in raised.value.message


def test_credentials_in_the_url_are_sent_as_basic_authentication() -> None:
    with serve(openai) as server:
        HttpEmbedder(server.url.replace("http://", "http://name:password@"), model="m").ping()
    assert server.requests[0].headers["authorization"] == "Basic bmFtZTpwYXNzd29yZA=="


def test_after_close_the_next_call_opens_a_new_connection() -> None:
    with serve(openai) as server:
        client = embedder(server)
        client.ping()
        client.close()
        client.ping()
    assert len({request.client_port for request in server.requests}) == 2


def test_a_ping_is_not_repeated() -> None:
    with serve(in_turn(Answer(503))) as server, pytest.raises(EmbedderError, match="503"):
        embedder(server).ping()
    assert len(server.requests) == 1


def test_fake_vectors_are_near_for_texts_that_share_words() -> None:
    near, same, far = FakeEmbedder().embed(["red apple pie", "Apple pie, red!", "quantum tunnel"], QUERY)
    assert sum(map(float.__mul__, near, same)) == pytest.approx(1.0)
    assert abs(sum(map(float.__mul__, near, far))) < 0.5


def test_the_fake_fails_when_told_to() -> None:
    fake = FakeEmbedder()
    fake.failure = EmbedderError("down", retry_after=7)
    with pytest.raises(EmbedderError, match="down"):
        fake.embed(["a"], QUERY)
