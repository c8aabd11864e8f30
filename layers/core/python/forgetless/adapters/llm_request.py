"""The form of requests to an LLM: what it contains, and what is left out once a server has refused it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from forgetless.adapters.json_setting import json_object
from forgetless.adapters.llm_refusals import Refusal
from forgetless.domain.errors import InvalidRequestError
from forgetless.ports.llm import ChatMessage

__all__ = ["INVALID_OUTPUT", "RequestForm", "read_options"]

#: Ways to ask for JSON, the strictest first.
_FORMATS = ("json_schema", "json_object", "none")
_FORMAT = "response_format"
#: What the service itself decides.
_OWN = frozenset({"model", "messages", "stream", "n"})
#: The two names of one option: newer models of OpenAI refuse the first, other servers the second.
_OTHER_NAME = {"max_tokens": "max_completion_tokens", "max_completion_tokens": "max_tokens"}

#: A refusal with another status than these has nothing to do with the form of the request.
_OF_FORM = frozenset({400, 404, 405, 415, 422, 500, 501})
#: With these, a server that names nothing may mean the format.
_OF_FIELDS = frozenset({400, 422, 501})
_OF_FORMAT = re.compile(
    r"response_?(?:format|schema)|json[_ ]?(?:schema|object|mode)|structured[_ ]output|guided"
    r"|grammar|\bschema\b|generate json|requested parameters"
)
_OF_SYSTEM = re.compile(
    r"system[_ ](?:role|message|prompt|instruction)|developer instruction|\broles? .{0,40}(?:system|alternate)"
    r"|'system'"
)
_UNSUPPORTED = re.compile(
    r"unsupported|not supported|not support\b|unrecogni[sz]ed|unknown (?:field|parameter|argument|name)"
    r"|not permitted|extra (?:input|field)|not allowed|unavailable|not implemented|unexpected (?:field|keyword)"
)
_OF_MODEL = re.compile(r"\bmodel\b.{0,80}(?:not found|not exist|is not supported|not available|unknown)")
#: Codes that say something else.
_OTHER_CODES = frozenset({
    "DeploymentNotFound", "content_filter", "insufficient_quota", "invalid_api_key", "model_not_found",
    "not_found_error",
})  # fmt: skip
#: A code for one reply that did not become JSON: the next one may.
INVALID_OUTPUT = "json_validate_failed"


@dataclass(frozen=True, slots=True)
class RequestForm:
    """Which fields are sent. `options` are more fields of each request; `system` allows messages of that role."""

    options: Mapping[str, Any] = field(default_factory=dict)
    format: int = 0
    system: bool = True

    @classmethod
    def of(cls, options: Mapping[str, Any]) -> RequestForm:
        """The form at the start. The option `response_format`, null for none, replaces those that would be tried."""
        return cls(options, len(_FORMATS) - 1 if _FORMAT in options else 0)

    def body(
        self, model: str, messages: Sequence[ChatMessage], name: str, schema: Mapping[str, Any] | None
    ) -> dict[str, Any]:
        """The request."""
        shown = messages if self.system else _without_system(messages)
        body: dict[str, Any] = {
            "model": model,
            "messages": [{"role": one.role, "content": one.content} for one in shown],
        }
        body |= {key: value for key, value in self.options.items() if value is not None and key != _FORMAT}
        if schema is not None and (wanted := self._response_format(name, schema)):
            body[_FORMAT] = wanted
        return body

    def after(self, refusal: Refusal, sent: Mapping[str, Any], given: str = "") -> RequestForm | None:
        """The form without what the server has refused in `sent`; None if the form is not what it refused.

        A reason does not count if it stands in `given` with the same words: then the server may only have quoted it.
        """
        if refusal.status not in _OF_FORM or refusal.too_long or refusal.code in _OTHER_CODES:
            return None
        reason = f"{refusal.reason} {refusal.code}".lower()
        for key in self.options:
            named = _says(re.compile(rf"\b{re.escape(key.lower())}\b"), reason, given)
            if key in sent and (named or (key == _FORMAT and _says(_OF_FORMAT, reason, given))):
                return self._without(key)
        has_system = any(one["role"] == "system" for one in sent["messages"])
        if self.system and has_system and _says(_OF_SYSTEM, reason, given):
            return replace(self, system=False)
        if _FORMAT not in sent or self.format == len(_FORMATS) - 1:
            return None
        unnamed = refusal.status in _OF_FIELDS and (
            not refusal.reason or (_says(_UNSUPPORTED, reason, given) and not _OF_MODEL.search(reason))
        )
        return replace(self, format=self.format + 1) if unnamed or _says(_OF_FORMAT, reason, given) else None

    def lasts(self, refusal: Refusal, sent: Mapping[str, Any], messages: Sequence[ChatMessage]) -> bool:
        """Whether the server would refuse the same of any other request.

        It would not if only words of the prompt or of the schema, which servers quote, look like a reason.
        """
        if refusal.code == INVALID_OUTPUT:
            return False
        given = "\n".join([*(one.content[one.own :] for one in messages), *_choices(sent.get(_FORMAT))]).lower()
        return self.after(refusal, sent, given) == self.after(refusal, sent)

    def changes(self, before: RequestForm) -> dict[str, Any]:
        """What is sent otherwise than before, for the log."""
        options = {key: value for key, value in self.options.items() if key != _FORMAT}
        if self.format > before.format:
            options[_FORMAT] = {"type": "json_object"} if _FORMATS[self.format] == "json_object" else None
        elif _FORMAT in self.options:
            options[_FORMAT] = self.options[_FORMAT]
        gone = sorted(set(before.options) - set(options))
        refused = [*gone, *([_FORMAT] if self.format > before.format else []), *["system role"] * (not self.system)]
        return {"refused": ", ".join(refused), "setting": f"FORGETLESS_LLM_OPTIONS={json.dumps(options)}"}

    def _without(self, key: str) -> RequestForm:
        kept = {name: value for name, value in self.options.items() if name != key}
        other = _OTHER_NAME.get(key)
        # A name that was itself put in place of the other one is not replaced again.
        if other is not None and other not in self.options and not isinstance(self.options[key], _Renamed):
            kept[other] = _Renamed(self.options[key])
        if key == _FORMAT:
            kept[key] = None
        return replace(self, options=kept)

    def _response_format(self, name: str, schema: Mapping[str, Any]) -> object:
        if _FORMAT in self.options:
            return self.options[_FORMAT]
        kind = _FORMATS[self.format]
        if kind == "json_schema":
            wanted = {"name": name, "strict": True, "schema": dict(schema)}
            return {"type": kind, "json_schema": wanted}
        return {"type": kind} if kind == "json_object" else None


class _Renamed(int):
    """A number of tokens under the name that the server was not given first."""


def read_options(variable: str, text: str) -> Mapping[str, Any]:
    """The options in a setting, a JSON object. Raises InvalidRequestError for anything else."""
    given = json_object(variable, text, like='fields, like {"temperature": 0}')
    if own := sorted(_OWN.intersection(given)):
        raise InvalidRequestError(f"{variable}: {own[0]} is set by the service itself: remove it")
    return given


def _says(words: re.Pattern[str], reason: str, given: str) -> bool:
    """Whether a reason has these words, other than in what it quotes. A usual word, such as `user`, is everywhere."""
    return any(found.group().isalpha() or found.group() not in given for found in words.finditer(reason))


def _choices(schema: object) -> Iterator[str]:
    """The names that a schema lets the LLM choose from: clients write them."""
    if isinstance(schema, Mapping):
        for name, member in schema.items():
            yield from (str(one) for one in member) if name == "enum" else _choices(member)


def _without_system(messages: Sequence[ChatMessage]) -> list[ChatMessage]:
    """The messages with those of the system in front of the first of the user."""
    rules = [one.content for one in messages if one.role == "system"]
    rest = [one for one in messages if one.role != "system"]
    if rest and rest[0].role == "user":
        return [ChatMessage("user", "\n\n".join([*rules, rest[0].content])), *rest[1:]]
    return [ChatMessage("user", "\n\n".join(rules)), *rest]
