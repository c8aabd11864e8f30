"""Counts the tokens of each request that an LLM's server has received, once, however the request ended."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from forgetless.adapters.llm_refusals import read_refusal
from forgetless.adapters.llm_request import INVALID_OUTPUT
from forgetless.ports.metrics import LLM_TOKENS
from forgetless.ports.request_usage import note_tokens

if TYPE_CHECKING:
    from forgetless.adapters.http_client import Reply

__all__ = ["THOUGHTS", "content_of", "count_tokens"]

#: More tokens than any model reads and writes in one call: a larger figure of a server is wrong.
_MOST_TOKENS = 100_000_000
#: About how many characters a token has.
_CHARS_OF_TOKEN = 4
#: Statuses of servers that gave up in the middle of their work.
_GIVEN_UP = 408
#: Statuses from 500 on that say that the server took no request: it cannot, or it is overloaded.
_NOT_TAKEN = frozenset({501, 503, 505, 529})
#: Where servers put the thoughts that they tell apart, which are no part of what is said.
THOUGHTS = ("reasoning_content", "reasoning", "thinking")


def count_tokens(asked: Mapping[str, Any], reply: Reply | None) -> None:
    """Count what a request cost: what its reply says, or a quarter of the characters of the prompt and what it wrote.

    `reply` is None for a request that was sent and got no reply in time. What the server wrote until then nobody knows,
    so its prompt alone counts. A refusal costs nothing unless it says so, because the model has read nothing.
    """
    body = _body_of(reply)
    tokens = _reported(body.get("usage"))
    if not tokens and _may_be_read(reply):
        content = content_of(_message_of(body))
        chars = sum(len(message["content"]) for message in asked["messages"])
        chars += len(content) if isinstance(content, str) else 0
        tokens = chars // _CHARS_OF_TOKEN + 1
    if tokens:
        note_tokens(tokens)


def content_of(message: Mapping[str, Any]) -> object:
    """What a message says, without its thoughts; what comes in parts is joined."""
    content = message.get("content")
    if isinstance(content, list):
        return "".join(part["text"] for part in content if _is_text_part(part))
    return content


def _may_be_read(reply: Reply | None) -> bool:
    """Whether the model may have read the prompt of a request with this reply."""
    if reply is None or reply.status < 300 or reply.status == _GIVEN_UP:
        return True
    refusal = read_refusal(reply)
    return refusal.code == INVALID_OUTPUT or (
        reply.status >= 500 and not (reply.status in _NOT_TAKEN or refusal.too_long)
    )


def _reported(usage: object) -> int:
    """The tokens that the server says it has used; 0 if it says nothing that can be believed."""
    given = usage if isinstance(usage, dict) else {}
    counted = 0
    for kind in LLM_TOKENS.labels["kind"]:
        tokens = given.get(f"{kind}_tokens")
        if isinstance(tokens, int) and tokens > 0:
            tokens = min(tokens, _MOST_TOKENS)
            LLM_TOKENS.count(tokens, kind=kind)
            counted += tokens
    return counted


def _body_of(reply: Reply | None) -> Mapping[str, Any]:
    try:
        body = None if reply is None else reply.json()
    except ValueError:
        body = None
    return body if isinstance(body, dict) else {}


def _message_of(body: Mapping[str, Any]) -> Mapping[str, Any]:
    choices = body.get("choices")
    first = choices[0] if isinstance(choices, list) and choices else None
    message = first.get("message") if isinstance(first, dict) else None
    return message if isinstance(message, dict) else {}


def _is_text_part(part: object) -> bool:
    """Whether the part is said, not thought."""
    return isinstance(part, dict) and isinstance(part.get("text"), str) and part.get("type") not in THOUGHTS
