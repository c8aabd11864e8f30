"""The HTTP LLM against real servers on loopback."""

from __future__ import annotations

import json
import re
import ssl
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from forgetless.adapters.llm_http import HttpLlm
from forgetless.domain.errors import (
    LlmContextError,
    LlmReplyError,
    LlmUnavailableError,
    ProviderAuthError,
    ProviderError,
    ProviderRequestError,
)
from forgetless.ports.llm import ChatMessage
from forgetless.ports.trace import TRACE, traced_job
from tests.fakes.clock import FakeClock
from tests.unit.servers import Answer, Request, Server, in_turn, serve

ASKED = [ChatMessage("system", "rules"), ChatMessage("user", "my secret prompt")]
SCHEMA = {"type": "object"}


def content(text: Any) -> Answer:
    return Answer(body={"choices": [{"message": {"role": "assistant", "content": text}}]})


def llm(server: Server, **settings: Any) -> HttpLlm:
    settings.setdefault("clock", FakeClock())
    return HttpLlm(server.url + "/v1", **{"model": "m", **settings})


def refusing(*kinds: str) -> Callable[[Request], Answer]:
    def answer(request: Request) -> Answer:
        kind = request.body.get("response_format", {}).get("type", "none")
        return Answer(400, {"error": {"message": "unsupported"}}) if kind in kinds else content(kind)

    return answer


def test_a_completion_sends_messages_and_a_strict_schema() -> None:
    with serve(in_turn(content("{}"))) as server:
        reply = llm(server, api_key="k").complete(ASKED, schema_name="facts", schema=SCHEMA, deadline_s=5)
    request = server.requests[0]
    assert (reply.text, request.path, request.headers["authorization"]) == ("{}", "/v1/chat/completions", "Bearer k")
    assert request.body["messages"][1] == {"role": "user", "content": "my secret prompt"}
    assert request.body["response_format"] == {
        "type": "json_schema",
        "json_schema": {"name": "facts", "strict": True, "schema": SCHEMA},
    }
    assert "temperature" not in request.body


def test_a_call_goes_on_with_the_trace_of_its_job() -> None:
    with serve(in_turn(content("{}"))) as server:
        llm(server).complete(ASKED, deadline_s=5)
        with traced_job("j", {TRACE: ["r", "a" * 32]}, tenant="acme"):
            llm(server).complete(ASKED, deadline_s=5)
    outside, within = server.requests
    assert "traceparent" not in outside.headers
    assert re.fullmatch(f"00-{'a' * 32}-[0-9a-f]{{16}}-01", within.headers["traceparent"])


@pytest.mark.parametrize("place", ["code", "type"])
@pytest.mark.parametrize(
    ("code", "shown"),
    [("my_secret", False), ("SecretPrompt", False), ("secret", False), ("rate_limit", True), ("invalid_prompt", True)],
)
def test_a_code_that_repeats_what_was_said_is_not_shown(place: str, code: str, shown: bool) -> None:
    answer = in_turn(Answer(418, {"error": {place: code}}))
    with serve(answer) as server, pytest.raises(ProviderRequestError) as caught:
        llm(server).complete(ASKED, deadline_s=5)
    assert (f"({code})" in caught.value.message) is shown
    assert ("ecret" in caught.value.message) is False


def test_without_a_schema_no_format_is_asked() -> None:
    with serve(in_turn(content("text"))) as server:
        assert llm(server, options={"temperature": 0.0}).complete(ASKED, deadline_s=5).text == "text"
    assert "response_format" not in server.requests[0].body
    assert server.requests[0].body["temperature"] == 0.0


@pytest.mark.parametrize(
    ("refused", "used"), [(["json_schema"], "json_object"), (["json_schema", "json_object"], "none")]
)
def test_a_refused_format_falls_back_and_is_remembered(refused: list[str], used: str) -> None:
    with serve(refusing(*refused)) as server:
        client = llm(server)
        assert client.complete(ASKED, schema=SCHEMA, deadline_s=5).text == used
        before = len(server.requests)
        assert client.complete(ASKED, schema=SCHEMA, deadline_s=5).text == used
    assert len(server.requests) == before + 1


def categorised(*categories: str) -> dict[str, Any]:
    return {"type": "object", "properties": {"categories": {"type": "string", "enum": list(categories)}}}


def test_a_schema_that_is_refused_leaves_others_as_they_are() -> None:
    """Its categories are one tenant's."""

    def answer(request: Request) -> Answer:
        if "odd" in json.dumps(request.body.get("response_format")):
            return Answer(400, {"error": {"message": "Invalid schema for response_format"}})
        return content(request.body["response_format"]["type"])

    with serve(answer) as server:
        client = llm(server)
        assert client.complete(ASKED, schema=categorised("odd"), deadline_s=5).text == "json_object"
        for schema in (SCHEMA, categorised("usual")):
            assert client.complete(ASKED, schema=schema, deadline_s=5).text == "json_schema"
        before = len(server.requests)
        assert client.complete(ASKED, schema=categorised("odd"), deadline_s=5).text == "json_object"
    assert len(server.requests) == before + 1


@pytest.mark.parametrize("quoted", ["max_tokens max_completion_tokens", "system role", "max_tokens is not supported"])
@pytest.mark.parametrize("place", ["category", "message"])
def test_what_a_refusal_quotes_of_the_request_changes_no_other_request(quoted: str, place: str) -> None:
    def answer(request: Request) -> Answer:
        kind = request.body.get("response_format", {}).get("type")
        if quoted in json.dumps(request.body) and kind == "json_schema":
            return Answer(400, {"error": {"message": f"invalid value: {quoted!r} in json_schema"}})
        return content("{}")

    with serve(answer) as server:
        client = llm(server, options={"max_tokens": 900})
        said = [*ASKED, ChatMessage("user", quoted)] if place == "message" else ASKED
        client.complete(said, schema=categorised(quoted if place == "category" else "usual"), deadline_s=5)
        client.complete(ASKED, schema=SCHEMA, deadline_s=5)
    last = server.requests[-1].body
    assert (last["max_tokens"], last["messages"][0]["role"]) == (900, "system")
    assert last["response_format"]["type"] == "json_schema"


@pytest.mark.parametrize("option", ["user", "store", "top_logprobs"])
def test_what_stands_in_our_own_words_or_everywhere_is_a_reason_all_the_same(option: str) -> None:
    own = "This is about what a user said, stored in JSON; top_logprobs are ours."
    said = [ChatMessage("system", own, len(own)), ChatMessage("user", "the user likes tea")]

    def answer(request: Request) -> Answer:
        if option in request.body or "seed" in request.body:
            named = "seed" if "seed" in request.body else option
            return Answer(422, {"error": {"message": f"Extra inputs are not permitted: {named}"}})
        return content("{}")

    with serve(answer) as server:
        client = llm(server, options={option: "a", "seed": 1})
        for _ in range(2):
            client.complete(said, schema=SCHEMA, deadline_s=5)
    assert len(server.requests) == 4, "both are left out from then on"


def test_a_400_of_another_reason_is_not_remembered_as_a_format() -> None:
    with serve(in_turn(Answer(400), Answer(400), Answer(400), content("{}"))) as server:
        client = llm(server)
        with pytest.raises(ProviderRequestError, match="status 400"):
            client.complete(ASKED, schema=SCHEMA, deadline_s=5)
        client.complete(ASKED, schema=SCHEMA, deadline_s=5)
    assert server.requests[-1].body["response_format"]["type"] == "json_schema"


def test_a_400_that_names_its_reason_is_asked_once() -> None:
    too_long = Answer(400, {"error": {"code": "context_length_exceeded", "message": "my secret prompt is long"}})
    with serve(in_turn(too_long)) as server, pytest.raises(LlmContextError) as raised:
        llm(server).complete(ASKED, schema=SCHEMA, deadline_s=5)
    assert len(server.requests) == 1
    assert "(context_length_exceeded): send fewer or shorter messages" in raised.value.message
    assert "secret" not in raised.value.message


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (400, {"error": {"code": None, "message": "This model's maximum context length is 4096 tokens. However, …"}}),
        (400, {"object": "error", "message": "The decoder prompt (length 9) is longer than the maximum context"}),
        (400, {"error": {"type": "exceed_context_size_error", "message": "the request exceeds the available context"}}),
        (400, [{"error": {"code": 400, "message": "The input token count (9) exceeds the maximum number of tokens"}}]),
        (422, {"detail": "Prompt is too long: 9 tokens > 4 maximum", "object": "error"}),
        (400, {"error": "Trying to keep the first 9 tokens when context the overflows"}),
        (500, {"error": {"message": "input length exceeds the context length"}}),
        # Azure, Anthropic's OpenAI-compatible endpoint, and llama.cpp of earlier years.
        (400, {"error": {"message": "Please reduce the length of the messages.", "code": "context_length_exceeded"}}),
        (400, {"error": {"code": None, "message": "prompt is too long: 9 tokens > 4 maximum", "type": "x"}}),
        (400, {"error": {"message": "input length and `max_tokens` exceed context limit: 9 + 8 > 16"}}),
        (
            500,
            {"error": {"code": 500, "message": "Input prompt is too big compared to KV size.", "type": "server_error"}},
        ),
        # OpenAI says 429 for a request that alone has more tokens than a minute may have.
        (429, {"error": {"message": "Request too large for gpt-4o on tokens per min (TPM): Limit 3, Requested 6."}}),
        (422, {"error": "Input validation error: `inputs` must have less than 4 tokens. Given: 9"}),
        (422, {"error": "Input validation error: `inputs` tokens + `max_new_tokens` must be <= 4. Given: 9"}),
        (400, {"code": "x", "error": "This model's maximum prompt length is 4 but the request contains 9 tokens."}),
        (400, {"error": {"code": "InvalidParameter", "message": "Range of input length should be [1, 4]"}}),
        (400, {"error": {"message": "Total tokens of image and text exceed max message tokens. Request id: 02"}}),
        (400, {"error": {"message": "Input length 9 exceeds the maximum length 4."}}),
        (400, {"error": {"code": "1261", "message": "Prompt exceeds max length"}}),
        (400, {"error": {"message": "Invalid request: Your request exceeded model token limit: 4"}}),
        (400, {"message": "too many tokens: the prompt cannot exceed 4 - received 9. Try using a shorter prompt"}),
        (400, {"object": "error", "message": "input token length 9 exceeds max session length"}),
        (422, {"detail": "Prompt length 9 is greater than max_seq_len 4"}),
        (413, {}),
        (413, b""),
        (413, b"<html><title>413 Request Entity Too Large</title></html>"),
    ],
)
def test_a_request_that_is_too_long_for_the_model_is_told_apart(status: int, body: Any) -> None:
    with serve(in_turn(Answer(status, body))) as server, pytest.raises(LlmContextError) as raised:
        llm(server, retries=0).complete(ASKED, schema=SCHEMA, deadline_s=5)
    assert (len(server.requests), raised.value.status, raised.value.blames_input) == (1, status, True)


@pytest.mark.parametrize(
    ("status", "kind", "advice"),
    [
        (204, ProviderRequestError, "check FORGETLESS_LLM_MODEL and OPENAI_BASE_URL"),
        (301, ProviderRequestError, "check FORGETLESS_LLM_MODEL and OPENAI_BASE_URL"),
        (400, ProviderRequestError, "check FORGETLESS_LLM_MODEL and OPENAI_BASE_URL"),
        (401, ProviderAuthError, "check OPENAI_API_KEY"),
        (403, ProviderAuthError, "check OPENAI_API_KEY"),
        (404, ProviderRequestError, "check FORGETLESS_LLM_MODEL and OPENAI_BASE_URL"),
        (413, LlmContextError, "send fewer or shorter messages"),
        (422, ProviderRequestError, "check FORGETLESS_LLM_MODEL and OPENAI_BASE_URL"),
    ],
)
def test_a_refusal_is_not_retried_names_the_setting_and_never_quotes_the_prompt(
    status: int, kind: type[ProviderError], advice: str
) -> None:
    refusal = Answer(status, {"error": {"message": "my secret prompt", "type": "my secret prompt", "code": "c_1"}})
    with serve(in_turn(refusal)) as server, pytest.raises(kind) as raised:
        llm(server, api_key="secret key").complete(ASKED, deadline_s=5)
    assert len(server.requests) == 1
    assert raised.value.message.startswith("the LLM ")
    code = "" if status == 204 else " (c_1)"
    assert raised.value.message.endswith(f"answered with status {status}{code}: {advice}") or status == 413
    assert advice in raised.value.message
    assert "secret" not in raised.value.message
    assert raised.value.retry_after is None


def test_half_of_a_pair_in_the_body_becomes_a_question_mark() -> None:
    body = b'{"choices": [{"message": {"content": "likes \\ud83d and \\ud83d\\ude00"}, "finish_reason": "stop"}]}'
    with serve(in_turn(Answer(200, body))) as server:
        assert llm(server).complete(ASKED, deadline_s=5).text == "likes ? and \U0001f600"
    for wrong in (b'{"choices": "\\ud83d"', b"[" * 100_000 + b'"\\ud83d"'):
        with serve(in_turn(Answer(200, wrong))) as server, pytest.raises(LlmReplyError):
            llm(server).complete(ASKED, deadline_s=5)


@pytest.mark.parametrize(
    ("reason", "shown"),
    [
        ("The model needs a license: see https://x.example", ', "The model needs a license: see https://x.example": '),
        ("Invalid content near 'secret prom' of the request", ", \"Invalid content near '… …' of the request\": "),
        ("Invalid content in request: 我有癫痫", ', "Invalid content in request: …": '),
        ("my secret prompt", "status 400: "),
        ("<html>", "status 400: "),
    ],
)
def test_the_reason_is_shown_without_the_words_of_the_prompt(reason: str, shown: str) -> None:
    asked = [*ASKED, ChatMessage("user", "今天我有癫痫了")]
    answer = Answer(400, reason.encode() if reason == "<html>" else {"detail": [{"msg": reason}]})
    with serve(in_turn(answer)) as server, pytest.raises(ProviderRequestError) as raised:
        llm(server).complete(asked, deadline_s=5)
    assert shown in raised.value.message


@pytest.mark.parametrize(
    ("status", "reason", "of_this_text"),
    [
        (403, 'meta/llama requires moderation on Together. Your input was flagged for "violence".', True),
        (400, "The response was filtered due to the prompt triggering Azure's content management policy.", True),
        (403, "Your account has been flagged. Ask for help.", False),
        (403, "Country, region, or territory not supported", False),
        (401, "moderation", False),
    ],
)
def test_a_filter_is_a_fault_of_the_text_and_not_of_the_key(status: int, reason: str, *, of_this_text: bool) -> None:
    answer = Answer(status, {"error": {"message": reason, "code": status}})
    with serve(in_turn(answer)) as server, pytest.raises(ProviderError) as raised:
        llm(server).complete(ASKED, deadline_s=5)
    assert raised.value.blames_input is of_this_text
    assert ("leave out what its filter refuses" in raised.value.message) is of_this_text


def test_a_key_in_the_url_that_is_refused_is_named_by_its_setting_alone() -> None:
    with serve(in_turn(Answer(401))) as server, pytest.raises(ProviderAuthError) as raised:
        HttpLlm(server.url.replace("http://", "http://name:secret@"), model="m").complete(ASKED, deadline_s=5)
    assert "user and password in OPENAI_BASE_URL" in raised.value.message
    assert "secret" not in raised.value.message


@pytest.mark.parametrize("status", [408, 409, 425, 429, 500, 502, 503])
def test_passing_failures_are_retried_and_then_unavailable(status: int) -> None:
    clock = FakeClock()
    with serve(in_turn(Answer(status))) as server, pytest.raises(LlmUnavailableError, match=str(status)):
        llm(server, clock=clock, retries=2).complete(ASKED, deadline_s=60)
    assert (len(server.requests), len(clock.slept)) == (3, 2)


def test_retry_after_is_honoured_within_the_deadline_and_passed_on_beyond() -> None:
    clock = FakeClock()
    with (
        serve(in_turn(Answer(429, headers={"retry-after": "7"}))) as server,
        pytest.raises(LlmUnavailableError) as raised,
    ):
        llm(server, clock=clock, retries=5).complete(ASKED, deadline_s=20)
    assert clock.slept == [7.0, 7.0]
    assert raised.value.retry_after == 7


@pytest.mark.parametrize(
    "message",
    [
        "Rate limit reached for gpt-4o on tokens per min (TPM): Limit 9, Used 8, Requested 5. Please try again in 8s.",
        "max_tokens is too large: 9. This model supports at most 4 completion tokens",
        "The maximum number of requests is exceeded",
        "You exceeded the maximum tokens per day",
        "This request would exceed your rate limit of 40,000 input tokens per minute; reduce the prompt length",
    ],
)
def test_other_limits_say_nothing_of_the_length(message: str) -> None:
    with serve(in_turn(Answer(429, {"error": {"message": message}}, headers={"retry-after": "60"}))) as server:
        with pytest.raises(LlmUnavailableError) as raised:
            llm(server, retries=0).complete(ASKED, schema=SCHEMA, deadline_s=5)
        assert raised.value.retry_after == 60


@pytest.mark.parametrize(("header", "seconds"), [("0.2", 1), ("nan", 2), ("soon", 2), ("-5", 1), ("1e12", 3600)])
def test_odd_retry_after_values_are_tamed(header: str, seconds: int) -> None:
    with (
        serve(in_turn(Answer(503, headers={"retry-after": header}))) as server,
        pytest.raises(LlmUnavailableError) as raised,
    ):
        llm(server, retries=0).complete(ASKED, deadline_s=5)
    assert raised.value.retry_after == seconds


def test_a_retry_after_date_is_understood() -> None:
    with (
        serve(in_turn(Answer(503, headers={"retry-after": "Wed, 21 Oct 2150 07:28:00 GMT"}))) as server,
        pytest.raises(LlmUnavailableError) as raised,
    ):
        llm(server, retries=0).complete(ASKED, deadline_s=5)
    assert raised.value.retry_after == 3600


@pytest.mark.parametrize(
    "body",
    [b"<html>", b"[]", {}, {"choices": []}, {"choices": [{}]}, {"choices": [{"message": {"content": None}}]}],
)
def test_a_reply_without_content_is_a_reply_error(body: Any) -> None:
    with serve(in_turn(Answer(body=body))) as server, pytest.raises(LlmReplyError):
        llm(server).complete(ASKED, deadline_s=5)


def test_a_refusal_of_the_model_says_so() -> None:
    refusal = Answer(body={"choices": [{"message": {"content": None, "refusal": "I will not"}}]})
    with serve(in_turn(refusal)) as server, pytest.raises(LlmReplyError, match="refused to answer"):
        llm(server).complete(ASKED, deadline_s=5)


def test_content_in_parts_is_joined() -> None:
    with serve(in_turn(content([{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]))) as server:
        assert llm(server).complete(ASKED, deadline_s=5).text == "ab"


def test_no_server_is_unavailable() -> None:
    with serve(in_turn(content(""))) as server:
        pass
    with pytest.raises(LlmUnavailableError, match="gave no reply"):
        llm(server).complete(ASKED, deadline_s=5)


def drip(start: bytes) -> Answer:
    """A server that sends a byte every 50 ms for ever, so that no single read is slow."""

    def run(send: Callable[[bytes], None], stopping: threading.Event) -> None:
        send(start)
        while not stopping.wait(0.05):
            send(b"x")

    return Answer(drip=run)


@pytest.mark.parametrize(
    "start",
    [b"HTTP/1.1 200 OK\r\nx-slow: ", b"HTTP/1.1 200 OK\r\ncontent-length: 100000\r\n\r\n"],
    ids=["in the headers", "in the body"],
)
def test_a_server_that_drips_bytes_does_not_outlast_the_deadline(start: bytes) -> None:
    with serve(in_turn(drip(start))) as server:
        began = time.monotonic()
        with pytest.raises(TimeoutError, match="did not answer in time"):
            HttpLlm(server.url, model="m").complete(ASKED, deadline_s=0.4)
        assert 0.35 <= time.monotonic() - began < 2.0


def test_a_silent_server_ends_at_the_deadline() -> None:
    silent = Answer(drip=lambda _send, stopping: stopping.wait(10) and None)
    with serve(in_turn(silent)) as server, pytest.raises(TimeoutError):
        HttpLlm(server.url, model="m").complete(ASKED, deadline_s=0.2)


def test_no_time_left_means_no_call() -> None:
    with serve(in_turn(content("late"))) as server, pytest.raises(TimeoutError):
        llm(server).complete(ASKED, deadline_s=0)
    assert server.requests == []


@pytest.mark.parametrize("url", ["", "localhost:8000", "ftp://host", "http://"])
def test_a_base_url_that_is_none_is_refused_at_once(url: str) -> None:
    with pytest.raises(ValueError, match="URL of the LLM"):
        HttpLlm(url, model="m")


def test_proxies_of_the_environment_are_not_used_for_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    with serve(in_turn(content("direct"))) as server:
        assert llm(server).complete(ASKED, deadline_s=5).text == "direct"


def test_a_proxy_of_the_environment_is_used_for_other_hosts(monkeypatch: pytest.MonkeyPatch) -> None:
    with serve(in_turn(content("by proxy"))) as server:
        monkeypatch.setenv("HTTP_PROXY", server.url)
        monkeypatch.setenv("http_proxy", server.url)
        monkeypatch.setenv("no_proxy", "internal.test")
        client = HttpLlm("http://llm.test/v1", model="m")
        assert client.complete(ASKED, deadline_s=5).text == "by proxy"
        client.close()
    assert server.requests[0].path == "http://llm.test/v1/chat/completions"


def test_the_path_and_the_query_of_the_base_url_stay_as_they_are_written() -> None:
    with serve(in_turn(content("by query"))) as server:
        client = HttpLlm(f"{server.url}/openai/a%2Fb/?api-version=2024-10-21&x=%20", model="m")
        assert client.complete(ASKED, deadline_s=5).text == "by query"
    assert server.requests[0].path == "/openai/a%2Fb/chat/completions?api-version=2024-10-21&x=%20"
    assert server.requests[0].headers["host"] == server.url.removeprefix("http://")


@pytest.mark.parametrize("url", ["ftp://h/v1", "http:///v1", "h:1/v1", "http://h:port/v1", "http://[::1/v1"])
def test_a_base_url_that_leads_nowhere_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match="the URL of the LLM must start with http:// or https:// and name a host"):
        HttpLlm(url, model="m")


@pytest.fixture
def certificate(tmp_path: Path) -> Path:
    """A self-signed certificate of 127.0.0.1 with its key, in one file."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.now(UTC)
    built = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False)
        .sign(key, hashes.SHA256())
    )
    plain = serialization.NoEncryption()
    file = tmp_path / "certificate.pem"
    file.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, plain)
        + built.public_bytes(serialization.Encoding.PEM)
    )
    return file


def test_https_needs_a_certificate_that_is_trusted(certificate: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(certificate)
    with serve(in_turn(content("safe")), tls=tls) as server:
        stranger = HttpLlm(server.url, model="m", retries=0)
        with pytest.raises(LlmUnavailableError, match="ConnectError"):
            stranger.complete(ASKED, deadline_s=5)
        stranger.close()
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
        assert HttpLlm(server.url, model="m", retries=0).complete(ASKED, deadline_s=5).text == "safe"
