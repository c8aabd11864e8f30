"""Quotas of tokens over HTTP, with the real adapter of the LLM and servers that give no usable answer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from forgetless.adapters.llm_http import HttpLlm
from forgetless.ports.llm import ChatMessage
from tests.unit.api.conftest import NewApi
from tests.unit.api.test_quotas import figures, limit
from tests.unit.servers import Answer, in_turn, serve

_SAID = {"messages": [{"role": "user", "content": "zeta " * 4000}], "user_id": "alice", "infer": False}
_EXPORT = {"schema": {"type": "object"}, "filters": {"user_id": "alice"}}
#: Calls that ask the LLM and store nothing. An add counts in the same way, whoever runs it.
CALLS: dict[str, dict[str, Any]] = {
    "/v1/summary/": {"filters": {"user_id": "alice"}},
    "/generate-instructions": {"use_case": "zeta " * 400},
    "/v1/exports/get/": {"filters": {"user_id": "alice"}},
    "/memories": {**_SAID, "infer": True},
}
SILENT = Answer(drip=lambda _send, stopping: stopping.wait(10) and None)


@pytest.mark.parametrize("path", CALLS)
@pytest.mark.parametrize("answer", [SILENT, Answer(hang_up=True), Answer(502)], ids=["late", "lost", "broken"])
def test_calls_of_the_llm_without_an_answer_use_up_the_tokens(new_api: NewApi, path: str, answer: Answer) -> None:
    with serve(in_turn(answer)) as server:
        llm = HttpLlm(server.url, model="m", retries=0)

        def reply(messages: Sequence[ChatMessage]) -> str:
            return llm.complete(messages, deadline_s=0.2).text

        api = new_api(reply)
        key = limit(api, llm_tokens_per_day=100)
        assert api.post("/memories", _SAID).status_code == 200
        assert api.post("/v1/exports/", _EXPORT).status_code == 201
        statuses = [api.post(path, CALLS[path]).status_code for _ in range(3)]
        asked = server.requests
    assert statuses[0] >= 500
    assert statuses[1:] == [429, 429]
    chars = sum(len(message["content"]) for message in asked[0].body["messages"])
    assert (len(asked), figures(api, key.id)["llm_tokens"]) == (1, chars // 4 + 1)
