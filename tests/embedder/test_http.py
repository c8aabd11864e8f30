"""The HTTP contract in OpenAI's and TEI's dialects, on a real server process with a tiny model."""

from __future__ import annotations

import base64
import contextlib
import http.client
import socket
from dataclasses import replace
from pathlib import Path

import httpx
import numpy as np
import pytest

from embedder.errors import InvalidInputError
from embedder.http import request_fields
from embedder.http.asgi import Request
from embedder.http.hosts import allowed_host
from embedder.http.protocol import MAX_HEAD_BYTES, MAX_TRAILER_BYTES
from embedder.settings import Settings, SettingsError, read_settings
from tests.embedder import tiny
from tests.embedder.conftest import Serve, Served

EMBEDDINGS = "/v1/embeddings"


def refused(response: httpx.Response, status: int = 400) -> dict[str, str | None]:
    """Return the error's body, which must have OpenAI's four keys."""
    assert response.status_code == status, response.text
    error: dict[str, str | None] = response.json()["error"]
    assert set(error) == {"message", "type", "param", "code"}
    return error


def test_one_string_gives_one_unit_vector(server: Served) -> None:
    answer = server.post(EMBEDDINGS, json={"input": "the cat sat", "model": "tiny"}).json()
    assert (answer["object"], answer["model"]) == ("list", "tiny")
    [item] = answer["data"]
    assert (item["object"], item["index"], len(item["embedding"])) == ("embedding", 0, tiny.HIDDEN)
    assert np.linalg.norm(item["embedding"]) == pytest.approx(1, abs=1e-5)


def test_usage_counts_the_tokens_of_all_inputs(server: Served) -> None:
    answer = server.post(EMBEDDINGS, json={"input": ["the cat", "dog"]}).json()
    assert answer["usage"] == {"prompt_tokens": 7, "total_tokens": 7}


def test_vectors_come_in_the_order_of_the_inputs(server: Served) -> None:
    texts = ["the cat sat on the mat", "dog", "the cat sat on the mat", "cà phê"]
    together = server.post(EMBEDDINGS, json={"input": texts}).json()["data"]
    alone = [server.post(EMBEDDINGS, json={"input": text}).json()["data"][0] for text in texts]
    for one, other in zip(together, alone, strict=True):
        assert np.allclose(one["embedding"], other["embedding"], atol=1e-5)


def test_base64_holds_the_same_numbers(server: Served) -> None:
    plain = server.post(EMBEDDINGS, json={"input": "dog"}).json()["data"][0]["embedding"]
    coded = server.post(EMBEDDINGS, json={"input": "dog", "encoding_format": "base64"}).json()
    decoded = np.frombuffer(base64.b64decode(coded["data"][0]["embedding"]), "<f4")
    assert np.allclose(decoded, plain, atol=1e-6)


IDS = [tiny.WORDS.index(word) for word in ("the", "cat")]
OWN = {"X-Token-Ids": "own"}


@pytest.mark.parametrize("ids", [IDS, [IDS], [15339, 1917], [[57668, 53901], [1]]])
def test_token_ids_are_refused_unless_they_are_said_to_be_the_models(server: Served, ids: object) -> None:
    """Clients of OpenAI send ids of OpenAI's vocabulary, which this model would take for other words."""
    error = refused(server.post(EMBEDDINGS, json={"input": ids}))
    assert (error["code"], error["param"]) == ("token_ids_refused", "input")
    assert "check_embedding_ctx_length=False" in str(error["message"])
    assert "x-token-ids: own" in str(error["message"])
    by_tei = server.post("/embed", json={"inputs": ids})
    assert (by_tei.status_code, by_tei.json()["error_type"]) == (400, "Validation")


def test_the_models_own_token_ids_are_embedded_like_their_text(server: Served) -> None:
    by_text = server.post(EMBEDDINGS, json={"input": "the cat"}).json()["data"]
    for ids in (IDS, [IDS]):
        assert server.post(EMBEDDINGS, json={"input": ids}, headers=OWN).json()["data"] == by_text
    assert refused(server.post(EMBEDDINGS, json={"input": [[1, 10_000]]}, headers=OWN))["param"] == "input"
    assert refused(server.post(EMBEDDINGS, json={"input": IDS}, headers={"X-Token-Ids": "cl100k"}))["param"] == (
        "x-token-ids"
    )


def test_a_setting_takes_the_models_own_token_ids(model_dir: Path) -> None:
    folder, request = {"EMBEDDER_MODEL_DIR": str(model_dir)}, Request(EMBEDDINGS, {})
    own = read_settings(folder | {"EMBEDDER_TOKEN_IDS": "own"})
    assert request_fields.inputs([IDS], "input", request, own) == [IDS]
    with pytest.raises(InvalidInputError, match="check_embedding_ctx_length"):
        request_fields.inputs([IDS], "input", request, read_settings(folder))
    with pytest.raises(SettingsError, match="EMBEDDER_TOKEN_IDS is '1'"):
        read_settings(folder | {"EMBEDDER_TOKEN_IDS": "1"})


@pytest.mark.parametrize("headers", [{}, OWN])
@pytest.mark.parametrize("mixed", [["a", [1]], [[1], "a"], ["a", "b", [1, 2]]])
def test_texts_and_token_ids_in_one_request_are_refused(
    server: Served, mixed: list[object], headers: dict[str, str]
) -> None:
    error = refused(server.post(EMBEDDINGS, json={"input": mixed}, headers=headers))
    assert "not both" in str(error["message"])
    assert server.post("/embed", json={"inputs": mixed}, headers=headers).status_code == 400


def test_a_long_text_counts_by_its_beginning(server: Served) -> None:
    long = server.post(EMBEDDINGS, json={"input": "the cat " * 50}).json()
    begin = server.post(EMBEDDINGS, json={"input": "the cat " * ((tiny.MAX_LENGTH - 2) // 2)}).json()
    assert long["usage"]["prompt_tokens"] == tiny.MAX_LENGTH
    assert long["data"] == begin["data"]


def test_a_long_text_is_refused_when_it_must_not_be_truncated(server: Served) -> None:
    error = refused(server.post(EMBEDDINGS, json={"input": ["a", "the cat " * 50], "truncate": False}))
    assert error["code"] == "context_length_exceeded"
    assert "Input 1 has 102 tokens, the model takes 24" in str(error["message"])


def test_the_native_dimensions_are_accepted_and_others_refused(server: Served) -> None:
    ask = {"input": "dog", "dimensions": tiny.HIDDEN}
    assert server.post(EMBEDDINGS, json=ask).status_code == 200
    error = refused(server.post(EMBEDDINGS, json=ask | {"dimensions": 8}))
    assert error["param"] == "dimensions"
    assert "8" in str(error["message"])
    assert str(tiny.HIDDEN) in str(error["message"])


@pytest.mark.parametrize("task", ["retrieval.query", "retrieval.passage", "text-matching"])
def test_a_model_without_tasks_answers_each_known_task(server: Served, task: str) -> None:
    assert server.post(EMBEDDINGS, json={"input": "dog", "task": task}).status_code == 200


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({}, "input"),
        ({"input": []}, "input"),
        ({"input": ""}, "input"),
        ({"input": ["dog", ""]}, "input"),
        ({"input": ["dog", 1]}, "input"),
        ({"input": ["dog", None]}, "input"),
        ({"input": [[]]}, "input"),
        ({"input": [True]}, "input"),
        ({"input": {"a": 1}}, "input"),
        ({"input": ["a"] * 2049}, "input"),
        ({"input": "a", "model": 1}, "model"),
        ({"input": "a", "encoding_format": "int4"}, "encoding_format"),
        ({"input": "a", "dimensions": 0}, "dimensions"),
        ({"input": "a", "dimensions": True}, "dimensions"),
        ({"input": "a", "task": "poetry"}, "task"),
        ({"input": "a", "truncate": "yes"}, "truncate"),
    ],
)
def test_a_bad_field_is_named(server: Served, body: dict[str, object], param: str) -> None:
    error = refused(server.post(EMBEDDINGS, json=body))
    assert (error["type"], error["param"]) == ("invalid_request_error", param)
    assert param in str(error["message"]).lower() or param == "input"


@pytest.mark.parametrize("body", [b"", b"{", b"[1]", b'{"input": "\xff"}', b'{"input": "\\ud800"}'])
def test_a_body_that_is_no_json_object_is_refused(server: Served, body: bytes) -> None:
    refused(server.post(EMBEDDINGS, content=body))


def test_odd_text_is_embedded(server: Served) -> None:
    odd = ["\x00", " ", "\u202e\u0301", "🎉" * 1000, "\n"]
    assert len(server.post(EMBEDDINGS, json={"input": odd}).json()["data"]) == len(odd)


def test_an_unknown_model_is_404_and_names_the_served_one(server: Served) -> None:
    error = refused(server.post(EMBEDDINGS, json={"input": "a", "model": "gpt-9"}), 404)
    assert (error["code"], error["param"]) == ("model_not_found", "model")
    assert "tiny" in str(error["message"])


def test_the_model_may_be_called_with_its_organisation(server: Served) -> None:
    assert server.post(EMBEDDINGS, json={"input": "a", "model": "Some/Tiny"}).status_code == 200


@pytest.mark.parametrize(("path", "status"), [("/nothing", 404), ("/v1/embeddings", 405)])
def test_unknown_paths_and_methods_are_refused(server: Served, path: str, status: int) -> None:
    response = server.get(path)
    refused(response, status)
    assert response.headers.get("allow") == ("POST" if status == 405 else None)


def test_server_timing_tells_where_the_time_went(server: Served) -> None:
    header = server.post(EMBEDDINGS, json={"input": "dog"}).headers["server-timing"]
    times = dict(part.strip().split(";dur=") for part in header.split(","))
    assert list(times) == ["queue", "tokenize", "inference"]
    assert all(float(value) >= 0 for value in times.values())


@pytest.mark.parametrize("value", ["soon", "0", "-5", "nan", "inf"])
def test_a_bad_deadline_is_refused(server: Served, value: str) -> None:
    response = server.post(EMBEDDINGS, json={"input": "a"}, headers={"X-Deadline-Ms": value})
    assert refused(response)["param"] == "x-deadline-ms"


def test_health_ready_and_models_answer(server: Served) -> None:
    assert server.get("/health").json() == {"status": "ok", "model": "tiny"}
    assert server.get("/ready").json()["status"] == "ready"
    for path in ("/models", "/v1/models"):
        [model] = server.get(path).json()["data"]
        assert (model["id"], model["licence"], model["dimensions"]) == ("tiny", "CC0-1.0", tiny.HIDDEN)
        # Infinity's client reads only this owner, and requires `stats`.
        assert (model["owned_by"], set(model["stats"])) == ("infinity", {"queue_tokens"})
        for name in ("tiny", "Some/Tiny", "Some%2FTiny"):
            assert server.get(f"{path}/{name}").json() == model
        for name in ("gpt-9", "{id}", "tiny/gpt-9"):
            error = refused(server.get(f"{path}/{name}"), 404)
            assert (error["code"], error["param"]) == ("model_not_found", "model")
        refused(server.get(f"{path}/"), 404)
        refused(server.post(f"{path}/tiny"), 405)
    assert 'path="/v1/models/{id}",status="404"' in server.get("/metrics").text


def test_metrics_count_what_was_done(server: Served) -> None:
    server.post(EMBEDDINGS, json={"input": "dog"})
    text = server.get("/metrics").text
    assert 'embedder_requests_total{path="/v1/embeddings",status="200"}' in text
    for name in ("queue_tokens", "batch_rows_count", "inference_seconds_sum", "padding_tokens_total"):
        assert f"embedder_{name} " in text


def test_infinitys_path_answers_likewise(server: Served) -> None:
    by_infinity = server.post("/embeddings", json={"input": "dog"}).json()
    assert by_infinity["data"] == server.post(EMBEDDINGS, json={"input": "dog"}).json()["data"]


@pytest.mark.parametrize("path", ["/embed", "/"])
def test_tei_gives_bare_vectors(server: Served, path: str) -> None:
    expected = server.post(EMBEDDINGS, json={"input": "dog"}).json()["data"][0]["embedding"]
    assert server.post(path, json={"inputs": "dog"}).json() == [expected]
    assert len(server.post(path, json={"inputs": ["dog", "cat"]}).json()) == 2


def test_tei_refuses_in_its_own_shape(server: Served) -> None:
    response = server.post("/embed", json={"inputs": []})
    assert response.status_code == 400
    assert response.json() == {"error": "inputs must not be an empty array.", "error_type": "Validation"}


def test_tei_tokenizes_and_tells_of_itself(server: Served) -> None:
    [tokens] = server.post("/tokenize", json={"inputs": "the cat"}).json()
    assert [token["text"] for token in tokens] == ["[CLS]", "the", "cat", "[SEP]"]
    assert (tokens[2]["start"], tokens[2]["stop"], tokens[0]["start"]) == (4, 7, None)
    assert server.get("/info").json()["max_input_length"] == tiny.MAX_LENGTH


@pytest.mark.parametrize(("special", "expected"), [(True, ["[CLS]", "the", "cat", "[SEP]"]), (False, ["the", "cat"])])
def test_tei_tokenizes_with_special_tokens_or_without(server: Served, special: bool, expected: list[str]) -> None:
    [tokens] = server.post("/tokenize", json={"inputs": ["the cat"], "add_special_tokens": special}).json()
    assert [token["text"] for token in tokens] == expected
    assert (tokens[-1]["stop"] or 7) == 7


@pytest.mark.parametrize(
    "body", [{"inputs": [1]}, {"inputs": [[1]]}, {"inputs": {}}, {"inputs": "a", "add_special_tokens": 1}]
)
def test_tei_refuses_to_tokenize_what_is_no_text(server: Served, body: dict[str, object]) -> None:
    assert server.post("/tokenize", json=body).status_code == 400


@pytest.mark.parametrize("path", ["/similarity", "/"])
def test_tei_compares_a_sentence_with_others(server: Served, path: str) -> None:
    others = ["the cat sat", "dog", "cà phê"]
    inputs = {"source_sentence": "the cat sat", "sentences": others}
    answer = server.post(path, json={"inputs": inputs, "parameters": {"truncate": True}}).json()
    vectors = np.array(server.post("/embed", json={"inputs": others}).json())
    assert answer == pytest.approx([1, *(vectors[1:] @ vectors[0])], abs=1e-5)
    assert all(-1 <= cosine <= 1 for cosine in answer)


@pytest.mark.parametrize(
    ("body", "named"),
    [
        ({}, "inputs"),
        ({"inputs": "a"}, "source_sentence"),
        ({"inputs": {"sentences": ["a"]}}, "source_sentence"),
        ({"inputs": {"source_sentence": "", "sentences": ["a"]}}, "source_sentence"),
        ({"inputs": {"source_sentence": ["a"], "sentences": ["a"]}}, "source_sentence"),
        ({"inputs": {"source_sentence": "a"}}, "sentences"),
        ({"inputs": {"source_sentence": "a", "sentences": "a"}}, "sentences"),
        ({"inputs": {"source_sentence": "a", "sentences": []}}, "sentences"),
        ({"inputs": {"source_sentence": "a", "sentences": ["a", [1]]}}, "sentences[1]"),
        ({"inputs": {"source_sentence": "a", "sentences": ["a"] * 2049}}, "sentences"),
        ({"inputs": {"source_sentence": "a", "sentences": ["a"]}, "parameters": [1]}, "parameters"),
        ({"inputs": {"source_sentence": "the cat " * 50, "sentences": ["a"]}, "parameters": {"truncate": False}}, "24"),
    ],
)
def test_a_comparison_that_cannot_be_made_names_the_field(server: Served, body: dict[str, object], named: str) -> None:
    response = server.post("/similarity", json=body)
    assert (response.status_code, response.json()["error_type"]) == (400, "Validation")
    assert named in response.json()["error"]


def test_a_body_over_the_limit_is_refused(serve: Serve, model_dir: Path) -> None:
    small = serve(model_dir, max_body_bytes=1000)
    refused(small.post(EMBEDDINGS, json={"input": "a" * 2000}), 413)
    # Sent in chunks, its size is not known beforehand.
    refused(small.post(EMBEDDINGS, content=(b"x" * 100 for _ in range(20))), 413)
    assert small.post(EMBEDDINGS, json={"input": "a"}).status_code == 200


def test_with_a_key_only_probes_answer_without_it(serve: Serve, model_dir: Path) -> None:
    locked = serve(model_dir, api_key="secret")
    body = {"input": "a"}
    assert refused(locked.post(EMBEDDINGS, json=body), 401)["code"] == "invalid_api_key"
    wrong = {"Authorization": "Bearer secre"}
    assert locked.post(EMBEDDINGS, json=body, headers=wrong).status_code == 401
    right = {"Authorization": "Bearer secret"}
    assert locked.post(EMBEDDINGS, json=body, headers=right).status_code == 200
    # Beside a signature, which stands in Authorization.
    for key, status_of in (("secret", 200), ("secre", 401), ("", 401)):
        signed = {"Authorization": "AWS4-HMAC-SHA256 Credential=x", "X-API-Key": key}
        assert locked.post(EMBEDDINGS, json=body, headers=signed).status_code == status_of
    assert [locked.get(path).status_code for path in ("/health", "/ready", "/models")] == [200, 200, 401]


def status(served: Served, host: str, path: str = "/models") -> int:
    return httpx.get(served.url + path, headers={"host": host}, timeout=30).status_code


def test_on_a_loopback_address_only_this_machine_is_meant(server: Served) -> None:
    port = server.url.rpartition(":")[2]
    assert [status(server, f"{name}:{port}") for name in ("localhost", "127.0.0.1", "[::1]")] == [200] * 3
    foreign = ("evil.example", f"evil.example:{port}", f"localhost.evil.example:{port}", f"10.0.0.1:{port}")
    assert [status(server, host) for host in foreign] == [421] * 4
    assert [status(server, "evil.example", path) for path in ("/metrics", "/health", "/nothing")] == [421] * 3


def test_names_may_be_allowed(serve: Serve, model_dir: Path) -> None:
    served = serve(model_dir, hosts="embedder.example, Other.example")
    assert [status(served, host) for host in ("other.example", "localhost", "evil.example")] == [200, 200, 421]


def test_only_the_port_that_is_listened_on_is_meant(model_dir: Path) -> None:
    settings = Settings(model_dir=str(model_dir), port=7997)
    hosts = (b"localhost:7997", b"localhost:7998", b"localhost", b"127.0.0.1:7997")
    assert [allowed_host(settings, host) for host in hosts] == [True, False, False, True]
    for anywhere in (replace(settings, host="0.0.0.0"), replace(settings, hosts="*")):
        assert allowed_host(anywhere, b"embedder:80")


def test_matryoshka_dimensions_are_cut_and_unit_again(serve: Serve, tmp_path: Path) -> None:
    served = serve(tiny.build(tmp_path, smallest_dimensions=4))
    whole = served.post(EMBEDDINGS, json={"input": "dog"}).json()["data"][0]["embedding"]
    short = served.post(EMBEDDINGS, json={"input": "dog", "dimensions": 4}).json()["data"][0]["embedding"]
    assert np.allclose(short, np.array(whole[:4]) / np.linalg.norm(whole[:4]), atol=1e-6)
    error = refused(served.post(EMBEDDINGS, json={"input": "dog", "dimensions": 3}))
    assert "4 to 16" in str(error["message"])


def test_prefixes_of_the_manifest_go_before_texts(serve: Serve, tmp_path: Path) -> None:
    served = serve(tiny.build(tmp_path, prefixes={"retrieval.query": "the "}))
    query = served.post(EMBEDDINGS, json={"input": "cat", "task": "retrieval.query"}).json()
    assert query["data"] == served.post(EMBEDDINGS, json={"input": "the cat"}).json()["data"]


def test_texts_can_be_kept_shorter_than_the_model_takes(serve: Serve, model_dir: Path) -> None:
    served = serve(model_dir, max_tokens=6)
    long = {"input": "the cat sat on the mat"}
    assert served.post(EMBEDDINGS, json=long).json()["usage"]["prompt_tokens"] == 6
    error = refused(served.post(EMBEDDINGS, json=long | {"truncate": False}))
    assert "the model takes 6" in str(error["message"])
    assert served.get("/models").json()["data"][0]["max_length"] == 6


def test_head_has_no_body(server: Served) -> None:
    connection = http.client.HTTPConnection(server.url.removeprefix("http://"), timeout=10)
    connection.request("HEAD", "/health")
    response = connection.getresponse()
    assert (response.status, response.read()) == (200, b"")
    connection.close()


@pytest.mark.parametrize("begin", [b"GET /", b"GET /health HTTP/1.1\r\nhost: localhost\r\na: "])
def test_a_head_that_does_not_end_is_cut_off(server: Served, begin: bytes) -> None:
    with connect(server) as client:
        client.sendall(begin + b"a" * 2 * MAX_HEAD_BYTES)
        assert client.recv(4096).startswith(b"HTTP/1.1 431 ")


def test_trailers_after_an_answer_are_cut_off(server: Served) -> None:
    with connect(server) as client:
        client.sendall(b"POST /none HTTP/1.1\r\nhost: localhost\r\ntransfer-encoding: chunked\r\n\r\n0\r\n")
        assert client.recv(4096).startswith(b"HTTP/1.1 404 ")
        with contextlib.suppress(ConnectionError):  # a reset while the rest is under way
            client.sendall(b"a: b\r\n" * MAX_TRAILER_BYTES)
            while client.recv(4096):
                pass


def connect(server: Served) -> socket.socket:
    host, _, port = server.url.removeprefix("http://").partition(":")
    return socket.create_connection((host, int(port)), timeout=20)
