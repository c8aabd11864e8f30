"""What a request to the LLM counts, however it ends: against real servers on loopback."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from forgetless.adapters.llm_http import HttpLlm
from forgetless.domain.errors import DependencyError
from forgetless.ports.llm import ChatMessage
from forgetless.ports.request_usage import noting_usage
from tests.fakes.clock import FakeClock
from tests.unit.servers import Answer, free_socket, in_turn, serve

ASKED = [ChatMessage("system", "rules"), ChatMessage("user", "my secret prompt")]
#: A quarter of its characters, rounded up.
PROMPT = 6
REPLY = {"choices": [{"message": {"content": "{}"}}]}
USAGE = {"prompt_tokens": 90, "completion_tokens": 7}


def tokens(url: str, *, retries: int = 0, deadline_s: float = 5, asked: Sequence[ChatMessage] = ASKED) -> int:
    """The tokens that one completion counts, which may fail."""
    # A real clock only where the time of a call is what ends it.
    clock = FakeClock() if deadline_s >= 1 else None
    llm = HttpLlm(url, model="m", clock=clock, retries=retries)
    with noting_usage() as used, contextlib.suppress(DependencyError, TimeoutError):
        llm.complete(asked, deadline_s=deadline_s)
    return used.llm_tokens


def of_answers(*answers: Answer, **settings: Any) -> int:
    """The tokens that one completion counts at a server with these answers."""
    with serve(in_turn(*answers)) as server:
        return tokens(server.url, **settings)


def silent(start: bytes) -> Answer:
    """A server that stops in the middle of its answer."""

    def run(send: Callable[[bytes], None], stopping: threading.Event) -> None:
        send(start)
        stopping.wait(10)

    return Answer(drip=run)


@pytest.mark.parametrize(
    ("usage", "counted"),
    [
        (USAGE, 97),
        ({"prompt_tokens": 2**63 - 1, "completion_tokens": 2**63 - 1}, 200_000_000),
        ({"prompt_tokens": -5, "completion_tokens": "7"}, PROMPT),
        ("many", PROMPT),
    ],
)
def test_the_tokens_that_a_server_counts_are_believed_within_reason(usage: object, counted: int) -> None:
    assert of_answers(Answer(200, {**REPLY, "usage": usage})) == counted


def test_what_a_reply_says_counts_where_the_server_counts_nothing() -> None:
    said = Answer(200, {"choices": [{"message": {"content": [{"type": "text", "text": "x" * 400}]}}]})
    assert of_answers(said) == PROMPT + 100


@pytest.mark.parametrize("start", [b"", b"HTTP/1.1 200 OK\r\ncontent-length: 9000\r\n\r\n{"], ids=["silent", "cut"])
def test_a_request_that_is_given_up_at_its_deadline_counts_its_prompt(start: bytes) -> None:
    assert of_answers(silent(start), deadline_s=0.3) == PROMPT


def test_a_connection_that_is_lost_after_the_prompt_was_sent_counts_it() -> None:
    assert of_answers(Answer(hang_up=True)) == PROMPT


@pytest.mark.parametrize(
    "body", [b"<html>", b"[]", {}, {"choices": []}, {"choices": "x"}, {"choices": [{"message": 1}]}]
)
def test_an_answer_that_cannot_be_read_counts_the_prompt_or_what_it_says(body: Any) -> None:
    assert of_answers(Answer(200, body)) == PROMPT
    if isinstance(body, dict):
        assert of_answers(Answer(200, {**body, "usage": USAGE})) == 97


@pytest.mark.parametrize("status", [408, 500, 502, 504, 524])
def test_each_try_that_a_server_gave_up_counts_the_prompt(status: int) -> None:
    assert of_answers(Answer(status)) == PROMPT
    assert of_answers(Answer(status), retries=2) == 3 * PROMPT
    assert of_answers(Answer(status), Answer(200, {**REPLY, "usage": USAGE}), retries=2) == PROMPT + 97
    assert of_answers(Answer(200, {"error": {"code": status}})) == PROMPT, "some gateways say it in the body"


@pytest.mark.parametrize("status", [301, 400, 401, 403, 404, 413, 422, 429, 501, 503, 529])
def test_a_refusal_counts_nothing_unless_it_says_so(status: int) -> None:
    assert of_answers(Answer(status, {"error": {"message": "no"}}), retries=2) == 0
    assert of_answers(Answer(status, {"error": {"message": "no"}, "usage": USAGE})) == 97
    if status >= 400:
        assert of_answers(Answer(200, {"error": {"code": status}})) == 0


def test_a_text_that_the_model_wrote_but_the_server_refused_counts() -> None:
    assert of_answers(Answer(400, {"error": {"code": "json_validate_failed", "message": "no JSON"}})) == PROMPT


def test_a_prompt_that_is_too_long_counts_nothing_whatever_the_status() -> None:
    assert of_answers(Answer(500, {"error": {"message": "input length exceeds the context length"}})) == 0


def test_a_form_that_is_refused_counts_nothing_and_the_next_one_once() -> None:
    with serve(in_turn(Answer(400), Answer(200, {**REPLY, "usage": USAGE}))) as server, noting_usage() as used:
        HttpLlm(server.url, model="m").complete(ASKED, schema={"type": "object"}, deadline_s=5)
        assert len(server.requests) == 2
    assert used.llm_tokens == 97


def test_a_request_that_reached_no_server_counts_nothing() -> None:
    with serve(in_turn(Answer())) as server:
        assert tokens(server.url, deadline_s=0) == 0
        # It speaks no TLS.
        assert tokens(server.url.replace("http:", "https:")) == 0
        assert server.requests == []
    assert tokens(server.url, retries=2) == 0, "nobody listens"


def test_a_prompt_that_was_not_sent_whole_counts_nothing() -> None:
    with free_socket() as listener:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        # Nobody reads it, and it is longer than what waits on the way.
        assert tokens(url, deadline_s=0.3, asked=[ChatMessage("user", "x" * 50_000_000)]) == 0
