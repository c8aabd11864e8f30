"""Refusals of LLM servers: their code and their reason, in the forms in which common servers write them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

    from forgetless.adapters.http_client import Reply

__all__ = ["Refusal", "read_refusal"]

#: The form of an error's code or type: an identifier, never a sentence, which could quote the prompt.
_IDENTIFIER = re.compile(r"[A-Za-z0-9_.\-]{1,64}")
#: Codes of a request that has more tokens, or a longer text, than the model reads.
_TOO_LONG = frozenset({"context_length_exceeded", "exceed_context_size_error", "string_above_max_length"})
#: The same, as OpenAI, vLLM, llama.cpp, Ollama, LM Studio, Gemini, Mistral and Anthropic say it.
_SAYS_TOO_LONG = re.compile(
    r"context[ _](?:length|window|size|limit)|maximum context|(?:prompt|input|request)\W{0,3}(?:is )?too (?:long|large)"
    r"|exceeds? the (?:available |model'?s )?(?:context|maximum number of (?:input )?tokens|maximum (?:input|allowed) l"
    r"|maximum allowed (?:input )?tokens)|reduce the length|context the overflows|input (?:token count|length) exceeds"
)
#: So much of a reason is looked at.
_REASON_CHARS = 4000


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a server refused a request. `reason` may quote the prompt; `code` never does. Both may be empty."""

    status: int
    code: str
    reason: str

    @property
    def too_long(self) -> bool:
        """Whether a shorter request may be answered."""
        return self.status == 413 or self.code in _TOO_LONG or bool(_SAYS_TOO_LONG.search(self.reason.lower()))


def read_refusal(reply: Reply) -> Refusal:
    """The refusal in a reply whose status is not 200."""
    try:
        body = reply.json()
    except ValueError:
        text = reply.body[:_REASON_CHARS].decode("utf-8", "replace").strip()
        # A page of a proxy is no reason.
        return Refusal(reply.status, "", "" if text.startswith("<") else text)
    # Gemini's server answers with a list of one error.
    body = body[0] if isinstance(body, list) and body else body
    error = body.get("error", body) if isinstance(body, dict) else body
    return Refusal(reply.status, _code(error), " ".join(_reasons(error))[:_REASON_CHARS])


def _code(error: Any) -> str:
    given = [error.get("code"), error.get("type")] if isinstance(error, dict) else []
    return next((one for one in given if isinstance(one, str) and _IDENTIFIER.fullmatch(one)), "")


def _reasons(error: Any) -> Iterator[str]:
    """The texts of an error: those of OpenAI, of FastAPI's `detail`, and of servers that give a text alone."""
    if isinstance(error, str):
        yield error
    elif isinstance(error, dict):
        for name in ("message", "msg", "detail", "error", "param"):
            yield from _reasons(error.get(name))
        place = error.get("loc")
        if isinstance(place, list):
            yield ".".join(str(part) for part in place)
    elif isinstance(error, list):
        for part in error[:8]:
            if not isinstance(part, list):
                yield from _reasons(part)
