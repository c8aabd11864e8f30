"""Addresses, keys and extra headers of embedding servers and LLMs, in the forms in which servers document them."""

from __future__ import annotations

import pytest

from forgetless.adapters.clock import SystemClock
from forgetless.adapters.extra_headers import extra_headers
from forgetless.adapters.http_client import JsonClient
from forgetless.adapters.provider_urls import provider_url
from forgetless.domain.errors import DependencyError, InvalidRequestError
from tests.unit.servers import Answer, serve


@pytest.mark.parametrize(
    ("given", "base"),
    [
        ("http://h:1", "http://h:1/v1"),
        ("http://h:1/", "http://h:1/v1"),
        (" http://h:1/v1/ ", "http://h:1/v1"),
        ("http://h/v1/embeddings", "http://h/v1"),
        ("http://h/v1/embeddings/", "http://h/v1"),
        ("http://h/embeddings?a=b", "http://h/v1?a=b"),
        ("https://h/api", "https://h/api/v1"),
        ("https://h/api/v3", "https://h/api/v3"),
        ("https://h/api/v3?key=k", "https://h/api/v3?key=k"),
        ("https://h/v1beta/openai/", "https://h/v1beta/openai"),
        ("https://h/compatible-mode/v1", "https://h/compatible-mode/v1"),
        ("https://h/v1/account/gateway/compat", "https://h/v1/account/gateway/compat"),
        ("https://h/models?api-version=1", "https://h/models?api-version=1"),
        ("https://h/openai/deployments/e?api-version=1", "https://h/openai/deployments/e?api-version=1"),
        ("https://h/openai/deployments/e/embeddings", "https://h/openai/deployments/e?api-version=2024-10-21"),
        ("https://u:p@h/openai/deployments/e?x=1", "https://u:p@h/openai/deployments/e?x=1&api-version=2024-10-21"),
        ("http://[::1", "http://[::1"),
    ],
)
def test_every_form_of_an_address_leads_to_the_api(given: str, base: str) -> None:
    assert provider_url(given, "/embeddings", version="/v1").base == base


def test_without_a_version_to_add_the_path_stays_as_it_is() -> None:
    assert provider_url("http://h:1/proxy", "/chat/completions").base == "http://h:1/proxy"
    assert provider_url("http://h:1/chat/completions", "/chat/completions").base == "http://h:1"


@pytest.mark.parametrize(
    ("path", "name", "value"),
    [
        ("/v1", "authorization", "Bearer k"),
        ("/openai/deployments/e", "api-key", "k"),
        ("/models?api-version=2024-10-21", "api-key", "k"),
    ],
)
def test_azure_gets_the_key_in_its_own_header(path: str, name: str, value: str) -> None:
    with serve(lambda _request: Answer()) as server:
        base, key_header = provider_url(server.url + path, "/embeddings")
        JsonClient(base, "it", SystemClock(), api_key="k", key_header=key_header).post("/embeddings", {}, deadline_s=5)
    sent = server.requests[0].headers
    assert {key: sent.get(key) for key in ("authorization", "api-key") if key in sent} == {name: value}


def test_azures_own_hosts_want_the_same_header_at_every_path() -> None:
    assert provider_url("https://mine.openai.azure.com/openai/v1", "/embeddings").key_header == "api-key"
    assert provider_url("https://azure.com.example/v1", "/embeddings").key_header == "authorization"


def test_extra_headers_are_sent_and_replace_the_keys() -> None:
    extra = extra_headers("X_HEADERS", '{"Ocp-Apim-Subscription-Key": "s", "Authorization": "Basic b"}')
    with serve(lambda _request: Answer()) as server:
        client = JsonClient(server.url, "it", SystemClock(), api_key="k", extra=extra)
        client.post("/embeddings", {}, deadline_s=5)
    sent = server.requests[0].headers
    assert (sent["ocp-apim-subscription-key"], sent["authorization"]) == ("s", "Basic b")
    assert "Basic b" not in repr(client)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("X-A: secret", "must be a JSON object of headers"),
        ('["secret"]', "must be a JSON object of headers"),
        ('{"X A": "secret"}', "'X A' is no name of a header"),
        ('{"Host": "secret"}', "Host is set by the client itself"),
        ('{"X-A": "secret\\r\\nX-B: b"}', "the value of X-A must be text in ASCII without line breaks"),
        ('{"X-A": 1}', "the value of X-A must be text"),
    ],
)
def test_a_setting_that_is_no_object_of_headers_is_refused_without_its_values(text: str, says: str) -> None:
    with pytest.raises(InvalidRequestError, match=says) as raised:
        extra_headers("X_HEADERS", text)
    assert "secret" not in raised.value.message


def test_a_secret_is_read_when_it_is_needed() -> None:
    texts = ["", '{"X-A": "1"}', '{"X-A": "2"}', "no object"]
    extra = extra_headers("X_HEADERS", lambda: texts.pop(0))
    assert [dict(extra()) for _ in range(3)] == [{}, {"x-a": "1"}, {"x-a": "2"}]
    with pytest.raises(DependencyError, match="X_HEADERS must be a JSON object"):
        extra()
