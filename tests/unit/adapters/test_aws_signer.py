"""Requests to an embedder behind IAM are signed as AWS wants it; a server that checks signatures takes them."""

from __future__ import annotations

from typing import Any

import pytest

from forgetless.adapters.aws_signer import AwsSigner
from forgetless.adapters.embedder_http import HttpEmbedder
from forgetless.domain.errors import InvalidRequestError, ProviderAuthError
from forgetless.ports.embedder import EmbeddingTask
from forgetless.runtime.composition import build_embedder
from forgetless.runtime.settings import load_settings
from tests.fakes.clock import FakeClock
from tests.unit.adapters.signature_check import fault_of
from tests.unit.adapters.test_embedder_http import openai
from tests.unit.servers import Answer, Request, serve

QUERY, SECRET = EmbeddingTask.QUERY, "secret/of+the=key"


@pytest.fixture(autouse=True)
def credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_PROFILE", "AWS_DEFAULT_REGION"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
    monkeypatch.setenv("AWS_SESSION_TOKEN", "token of the role")
    monkeypatch.setenv("AWS_REGION", "eu-central-1")


def behind_iam(request: Request) -> Answer:
    """A function URL with AuthType AWS_IAM: 403 for what is not signed."""
    fault = fault_of(request, SECRET, region="eu-central-1", service="lambda", token="token of the role")
    return openai(request) if fault is None else Answer(403, {"Message": fault})


def embedder(url: str, **settings: Any) -> HttpEmbedder:
    settings = {"model": "m", "clock": FakeClock(), "signed": True, **settings}
    return HttpEmbedder(url, **settings)


def test_a_server_that_checks_signatures_takes_every_request() -> None:
    texts = ["a", "ü \U0001f375", "x" * 5000]
    with serve(behind_iam) as server:
        assert len(embedder(server.url).embed(texts, QUERY)) == 3
        # What a URL may hold more is signed too.
        assert len(embedder(f"{server.url}/a b/ü").embed(["a"], QUERY)) == 1
    assert "x-api-key" not in server.requests[0].headers


def test_the_key_goes_beside_the_signature_and_is_signed_too() -> None:
    with serve(behind_iam) as server:
        embedder(server.url, api_key="the key").embed(["a"], QUERY)
    [sent] = server.requests
    assert sent.headers["x-api-key"] == "the key"
    assert "x-api-key" in sent.headers["authorization"]


def test_without_a_signature_the_same_server_refuses() -> None:
    with serve(behind_iam) as server, pytest.raises(ProviderAuthError):
        embedder(server.url, signed=False).embed(["a"], QUERY)


def test_a_refused_signature_says_what_to_look_at(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "another")
    with serve(behind_iam) as server, pytest.raises(ProviderAuthError, match=r"lambda:InvokeFunctionUrl"):
        embedder(server.url).embed(["a"], QUERY)


def test_every_retry_has_a_signature_of_its_own() -> None:
    replies = [Answer(503), Answer(503)]

    def busy(request: Request) -> Answer:
        checked = behind_iam(request)
        return replies.pop() if replies and checked.status == 200 else checked

    with serve(busy) as server:
        embedder(server.url).embed(["a"], QUERY)
    assert len(server.requests) == 3


def test_without_credentials_nothing_is_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"):
        monkeypatch.delenv(name)
    for name, value in {"AWS_EC2_METADATA_DISABLED": "true", "AWS_SHARED_CREDENTIALS_FILE": "/nowhere"}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("AWS_CONFIG_FILE", "/nowhere")
    with serve(behind_iam) as server, pytest.raises(ProviderAuthError, match="no AWS credentials"):
        embedder(server.url).embed(["a"], QUERY)
    assert server.requests == []


def test_the_region_is_that_of_the_url_then_that_of_the_function(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_REGION")
    signed = AwsSigner("https://abc.lambda-url.us-west-2.on.aws/v1", "it")("https://abc/", {"host": "abc"}, b"{}")
    assert "/us-west-2/lambda/aws4_request" in signed["authorization"]
    with pytest.raises(InvalidRequestError, match="set AWS_REGION"):
        AwsSigner("https://embedder.example.com/v1", "the embedder")


def test_the_setting_turns_it_on_and_wants_no_other_credentials() -> None:
    with serve(behind_iam) as server:
        settings = {"FORGETLESS_EMBEDDER_URL": server.url, "FORGETLESS_EMBEDDER_IAM": "1"}
        given = {**settings, "FORGETLESS_EMBEDDING_DIMENSIONS": "3"}
        assert len(build_embedder(load_settings(given)).embed(["a"], QUERY)) == 1
        with pytest.raises(ProviderAuthError):
            build_embedder(load_settings({**given, "FORGETLESS_EMBEDDER_IAM": "0"})).embed(["a"], QUERY)
    with pytest.raises(InvalidRequestError, match="FORGETLESS_EMBEDDER_IAM"):
        load_settings({"FORGETLESS_EMBEDDER_URL": "https://user:pw@host", "FORGETLESS_EMBEDDER_IAM": "1"})
