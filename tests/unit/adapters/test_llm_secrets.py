"""What an LLM server answers tells no client its key or its address."""

from __future__ import annotations

import pytest

from forgetless.adapters.llm_http import HttpLlm
from forgetless.domain.errors import DependencyError, LlmUnavailableError
from forgetless.ports.llm import ChatMessage
from tests.unit.servers import Answer, in_turn, serve

ASKED = [ChatMessage("user", "What is a cat?")]
KEY = "sk-Q7h2LmXw93"


@pytest.mark.parametrize("status", [400, 402, 404, 409, 422, 451, 503])
@pytest.mark.parametrize(
    ("url", "quoted"),
    [
        ("http://{place}/v1", f"Incorrect API key provided: Bearer {KEY} for this deployment"),
        ("http://{place}/v1", f"Incorrect API key provided: {KEY.upper()[:6]}***{KEY[-4:]}"),
        ("http://{place}/v1", f"key={KEY}_suffix was not found"),
        ("http://us%20er:Pa55w0rd@{place}/v1", "bad login us er, Pa55w0rd, Basic dXMgZXI6UGE1NXcwcmQ="),
        ("http://{place}/v1?api-key=Pa55w0rd", "no such api-key: Pa55w0rd"),
    ],
    ids=["whole", "shortened", "within a word", "password", "in the query"],
)
def test_a_server_that_repeats_its_key_does_not_tell_it_to_clients(
    url: str, quoted: str, status: int, caplog: pytest.LogCaptureFixture
) -> None:
    for error in ({"message": quoted}, {"message": "It failed", "code": KEY}, quoted):
        with serve(in_turn(*[Answer(status, {"error": error})] * 3)) as server:
            place = server.url.removeprefix("http://").partition("/")[0]
            client = HttpLlm(
                url.format(place=place),
                model="m",
                api_key=KEY,
                retries=0,
                extra=lambda: {"x-team": "team-secret-8c1"},
            )
            with pytest.raises(DependencyError) as raised:
                client.complete(ASKED, deadline_s=5)
        for part in (KEY, KEY[3:], KEY[-4:], "Pa55w0rd", "us er", "dXMgZXI6UGE1NXcwcmQ", "8c1"):
            assert part.casefold() not in raised.value.message.casefold()
            assert part.casefold() not in caplog.text.casefold()


def test_errors_do_not_say_where_the_server_is_but_the_log_does(caplog: pytest.LogCaptureFixture) -> None:
    with serve(in_turn(Answer(503, {}))) as server:
        for url in (server.url, "http://127.0.0.1:9/v1"):
            with pytest.raises(LlmUnavailableError) as raised:
                HttpLlm(url, model="m", retries=0).complete(ASKED, deadline_s=5)
            assert "127.0.0.1" not in raised.value.message
            assert f"the LLM at {url.split('/')[2]} failed" in caplog.text
