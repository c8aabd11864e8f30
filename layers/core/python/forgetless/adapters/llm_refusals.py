"""Refusals of LLM servers: their code and their reason, in the forms in which common servers write them."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from forgetless.adapters.http_client import Reply

__all__ = ["Refusal", "read_refusal"]

_WORDS = """
a added address all allowed already an and any api are argument array as at bad be been body but by call can cannot
check choices code completion content context currently data default deployed detail did do does enabled error
exceed exceeded exceeds exist expected extra failed field fields filter for format found from generate given got has
have however http if in input inputs integer invalid is it json key length less limit list llm loaded longer max
maximum message messages missing model models more most must name no not null number object of on one only operation
option or out output parameter parameters parse permitted please policy prompt provided quota reason received reduce
refused request requested requests required response role roles schema see send server set should size string
support supported supports system temperature text than that the then this to token tokens too tool tools tried try
type unexpected unknown unrecognized unsupported until use used user valid value values version was we were when
which while with you your
"""
#: Words of error messages. Any other word of a message is shown only if the request did not contain it.
_COMMON = frozenset(_WORDS.split())
_WORD = re.compile(r"\w+")
#: A word of a code: `context` and `length`, `Invalid` and `Parameter`.
_PART = re.compile(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])|\d+")
_MORE_WORDS = """
account argument authentication billing capacity deactivated denied deployment engine exhausted flagged insufficient
internal moderation overloaded permission precondition rate region resource safety server service timeout unavailable
"""
#: Usual words of codes beside those of messages.
_OF_CODES = frozenset(_MORE_WORDS.split())
#: So much of a reason is shown.
_SHOWN_CHARS = 300

#: The form of an error's code or type: an identifier, never a sentence, which could quote the prompt.
_IDENTIFIER = re.compile(r"[A-Za-z0-9_.\-]{1,64}")
#: Codes of a request that has more tokens, or a longer text, than the model reads.
_TOO_LONG = frozenset({"context_length_exceeded", "exceed_context_size_error", "string_above_max_length"})
#: The same, as OpenAI, Anthropic, Gemini, Mistral, Grok, Cohere, Qwen, Doubao, GLM, Kimi, vLLM, TGI, LMDeploy,
#: llama.cpp, Ollama, LM Studio and TabbyAPI say it.
_SAYS_TOO_LONG = re.compile(
    r"context[ _](?:length|window|size|limit)|maximum context|(?:prompt|input|request)\W{0,3}(?:is )?too (?:long|large)"
    r"|exceeds? the (?:available |model'?s )?(?:context|maximum number of (?:input )?tokens|maximum (?:input|allowed) l"
    r"|maximum allowed (?:input )?tokens)|reduce the length|context the overflows|input (?:token count|length) exceeds"
    r"|maximum prompt length|shorter prompt|prompt is too big|prompt length \d+ is greater|range of input length"
    r"|exceed\w* (?:the )?(?:max(?:imum)? (?:message |session |prompt |input )?(?:length|tokens)|model token limit)"
    r"|inputs?\W{0,2} (?:must have less than|tokens \+ )"
)
#: Statuses of filters that refuse what a text says.
_FILTERS = frozenset({400, 403, 422, 451})
#: The same in words, as OpenRouter, OpenAI and Azure say it. An account that is flagged is no matter of the text.
_SAYS_FILTERED = re.compile(
    r"(?:input|prompt|content|messages?|request|text) (?:was|were|is|has been|have been) flagged|moderation"
    r"|content[ _](?:filter|management|policy)"
)
#: A secret of so few characters is looked for as a whole word.
_SHORT_CHARS = 5
#: So much of a reason is looked at.
_REASON_CHARS = 4000


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a server refused a request. Reason and code may be empty, and may quote the prompt: show what `shown` gives.

    A server may also repeat what it was sent as a key, whole or shortened. `without` takes that out of both.
    """

    status: int
    code: str
    reason: str

    @property
    def too_long(self) -> bool:
        """Whether a shorter request may be answered."""
        if self.status == 429:  # a limit of tokens in a time, unless this request alone is above it
            return "request too large" in self.reason.lower()
        return self.status == 413 or self.code in _TOO_LONG or bool(_SAYS_TOO_LONG.search(self.reason.lower()))

    @property
    def filtered(self) -> bool:
        """Whether a filter refused what this text says, so that another text may be answered."""
        words = bool(_SAYS_FILTERED.search(self.reason.lower()))
        return self.code == "content_filter" or (self.status in _FILTERS and words)

    def without(self, secrets: Iterable[str]) -> Refusal:
        """The refusal without these secrets, and without any word that is a part of one and no word of an error."""
        folded = sorted({secret.casefold() for secret in secrets}, key=len, reverse=True)

        def is_part(word: str) -> bool:
            word = word.casefold()
            return len(word) > 2 and word not in _COMMON and any(word in secret for secret in folded)

        reason = self.reason
        for secret in folded:
            # A short one, such as the name of a user, may be a part of other words.
            whole = re.escape(secret) if len(secret) > _SHORT_CHARS else rf"(?<!\w){re.escape(secret)}(?!\w)"
            reason = re.sub(whole, "…", reason, flags=re.IGNORECASE)
        reason = _WORD.sub(lambda word: "…" if is_part(word.group()) else word.group(), reason)
        code = self.code.casefold()
        quoted = is_part(code) or any(len(secret) > _SHORT_CHARS and secret in code for secret in folded)
        return replace(self, reason=reason, code="" if quoted else self.code)

    def shown_code(self, prompt: Iterable[str]) -> str:
        """The code; empty if a part of it may be taken from the prompt."""
        said = _words_of(prompt) if self.code else set()
        parts = [part for part in _PART.findall(self.code) if part.casefold() not in _OF_CODES]
        return "" if any(_is_said(part, said) for part in parts) else self.code

    def shown(self, prompt: Iterable[str]) -> str:
        """The reason without the words that it may have taken from the prompt; empty if little else is in it."""
        if not self.reason:
            return ""
        said = _words_of(prompt)

        def hidden(word: str) -> bool:
            # Scripts without spaces have no words to compare, and a word may have been cut.
            return not word.isascii() or _is_said(word, said)

        reason = self.reason[:_SHOWN_CHARS]
        words = _WORD.findall(reason)
        if 2 * sum(map(hidden, words)) >= len(words):
            return ""
        shown = _WORD.sub(lambda word: "…" if hidden(word.group()) else word.group(), reason)
        return " ".join(shown.split())


def _words_of(texts: Iterable[str]) -> set[str]:
    return {word.casefold() for text in texts for word in _WORD.findall(text)}


def _is_said(word: str, said: set[str]) -> bool:
    """Whether a word of a refusal is one of those, or the beginning of one, and no usual word of errors."""
    folded = word.casefold()
    return folded not in _COMMON and any(one.startswith(folded) for one in said)


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
    given = [error.get(name) for name in ("code", "type", "status")] if isinstance(error, dict) else []
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
