"""Chat completions as Ollama, vLLM, Azure and others give and refuse them. Facts are found by the stub LLM's rules."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl

from local.llm_stub.rules import answer_for
from tests.unit.servers import Answer, Request

__all__ = ["CHAT_SERVERS", "ChatServers"]

#: A text that the servers with a filter refuse, and the length of a prompt that all refuse.
FILTERED = "[[filtered]]"
LONGEST_CHARS = 60_000
_NAMED = re.compile(r"server: ([a-z-]+)")
_DATA = re.compile(r"<data>\n{.*}\n</data>", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Asked:
    """A request: its body, headers and query."""

    body: Mapping[str, Any]
    headers: Mapping[str, str]
    query: Mapping[str, str]

    @property
    def format(self) -> str:
        """The type of its response_format; empty without one."""
        return str((self.body.get("response_format") or {}).get("type", ""))

    @property
    def prompt(self) -> str:
        """All of its messages."""
        return "\n".join(message["content"] for message in self.body["messages"])

    def facts(self) -> str:
        """The right answer, as JSON."""
        [data] = _DATA.findall(self.prompt)
        return answer_for("", data)


def refused(status: int, message: str, **more: object) -> Answer:
    """An error in OpenAI's form."""
    return Answer(status, {"error": {"message": message, "type": "invalid_request_error", **more}})


def said(content: object, *, finish: str | None = "stop", **more: object) -> Answer:
    """A completion."""
    message = {"role": "assistant", "content": content, **more}
    usage = {"prompt_tokens": 100, "completion_tokens": 10}
    return Answer(body={"choices": [{"index": 0, "finish_reason": finish, "message": message}], "usage": usage})


def openai(asked: Asked) -> Answer:
    """A reasoning model of OpenAI: other names of options, and no temperature but its own."""
    if "max_tokens" in asked.body:
        why = (
            "Unsupported parameter: 'max_tokens' is not supported with this model. Use 'max_completion_tokens' instead."
        )
        return refused(400, why, param="max_tokens", code="unsupported_parameter")
    if asked.body.get("temperature", 1) != 1:
        why = "Unsupported value: 'temperature' does not support 0 with this model. Only the default (1) is supported."
        return refused(400, why, param="temperature", code="unsupported_value")
    if len(asked.prompt) > LONGEST_CHARS:
        return refused(400, "This model's maximum context length is …", code="context_length_exceeded")
    return said(asked.facts())


def azure(asked: Asked) -> Answer:
    """Azure: its own header for the key, a version in the query, and a filter."""
    if "api-key" not in asked.headers or "authorization" in asked.headers:
        return Answer(401, {"error": {"code": "401", "message": "Access denied due to an invalid key."}})
    if "api-version" not in asked.query:
        return Answer(404, {"error": {"code": "404", "message": "Resource not found"}})
    if FILTERED in asked.prompt:
        why = "The response was filtered due to the prompt triggering Azure OpenAI's content management policy."
        return refused(400, why, code="content_filter", param="prompt")
    return openai(asked)


def ollama(asked: Asked) -> Answer:
    """A small model of Ollama that chats around its JSON; models are loaded by name."""
    if asked.body["model"] == "missing":
        why = 'model "missing" not found, try pulling it first'
        return Answer(404, {"error": {"message": why, "type": "api_error", "param": None, "code": None}})
    texts = [fact["text"] for fact in json.loads(asked.facts())["facts"]]
    return said(f"Here are the facts I extracted:\n{json.dumps({'facts': texts})}\nI hope this helps!")


def vllm(asked: Asked) -> Answer:
    """VLLM with Qwen3 and its reasoning parser: the answer stands among the thoughts, and content is null."""
    if len(asked.prompt) > LONGEST_CHARS:
        why = "This model's maximum context length is 8192 tokens. However, your request has 20000 input tokens."
        return Answer(400, {"object": "error", "message": why, "type": "BadRequestError", "code": 400})
    return said(None, reasoning_content=f"The user tells something. So the answer is {asked.facts()}")


def vllm_gemma(asked: Asked) -> Answer:
    """VLLM with Gemma: no role for the system, and a schema that its grammar cannot be made of."""
    if any(message["role"] == "system" for message in asked.body["messages"]):
        return refused(400, "System role not supported", code=400)
    if asked.format == "json_schema":
        return refused(400, "The provided JSON schema contains features not supported by xgrammar.", code=400)
    return said(asked.facts())


def gemini(asked: Asked) -> Answer:
    """Gemini: errors come in a list, and names that it does not know are refused."""
    if not asked.headers.get("authorization", "").startswith("Bearer "):
        return Answer(401, [{"error": {"code": 401, "message": "Request had invalid credentials."}}])
    if asked.format == "json_schema":
        why = 'Invalid JSON payload received. Unknown name "additionalProperties" at generation_config.response_schema'
        return Answer(400, [{"error": {"code": 400, "message": why, "status": "INVALID_ARGUMENT"}}])
    if FILTERED in asked.prompt:
        return Answer(body={"choices": [{"index": 0, "finish_reason": "content_filter", "message": {}}]})
    return said(f"```json\n{asked.facts()}\n```")


def deepseek(asked: Asked) -> Answer:
    """DeepSeek's reasoning model: objects only, and thoughts beside the content."""
    if asked.format == "json_schema":
        return refused(400, "This response_format type is unavailable now")
    return said(asked.facts(), reasoning_content='Maybe {"facts": ["a thought"]}?')


def deepseek_local(asked: Asked) -> Answer:
    """A distilled R1 without a parser: its thoughts stand in the content."""
    return said(f'<think>\nMaybe {{"facts": ["a thought"]}}?\n</think>\n\n{asked.facts()}')


def mistral(asked: Asked) -> Answer:
    """Mistral: fields that it does not know are 422, and Magistral thinks in parts of the content."""
    if "max_completion_tokens" in asked.body:
        detail = [{"type": "extra_forbidden", "loc": ["body", "max_completion_tokens"], "msg": "Extra inputs …"}]
        return Answer(422, {"object": "error", "message": {"detail": detail}})
    thought = {"type": "thinking", "thinking": [{"type": "text", "text": '{"facts": ["a thought"]}'}]}
    return said([thought, {"type": "text", "text": asked.facts()}])


def openrouter(asked: Asked) -> Answer:
    """OpenRouter: no maker that takes a schema, and errors with status 200."""
    if asked.format:
        return Answer(404, {"error": {"message": "No endpoints found that support the requested parameters"}})
    if FILTERED in asked.prompt:
        return Answer(body={"error": {"message": "Your input was flagged", "code": 400}})
    return said(asked.facts(), reasoning="Thoughts.")


def llama_cpp(asked: Asked) -> Answer:
    """llama.cpp: a schema that does not become a grammar is 500."""
    if asked.format == "json_schema":
        return Answer(500, {"error": {"code": 500, "message": "failed to parse grammar", "type": "server_error"}})
    return said(asked.facts())


def unimplemented(asked: Asked) -> Answer:
    """A gateway that answers 501 without a reason to each format."""
    return Answer(501, b"") if asked.format else said(asked.facts())


def lost_in_thought(asked: Asked) -> Answer:
    """A model that used up its tokens before it answered."""
    return said("", finish="length", reasoning_content=f"Let me see {asked.facts()}")


def never_json(_asked: Asked) -> Answer:
    """A model that only chats."""
    return said("Sure! I'll remember that.")


def in_turn(asked: Asked) -> Answer:
    """As the server that the newest message names by "server: NAME", for trials of a running service."""
    named = _NAMED.findall(asked.prompt)
    return CHAT_SERVERS[named[-1] if named else "openai"][1](asked)


#: By the name in the path: the path of its API, and how it behaves.
CHAT_SERVERS: dict[str, tuple[str, Callable[[Asked], Answer]]] = {
    "openai": ("/v1", openai),
    "azure": ("/openai/deployments/mine", azure),
    "ollama": ("/v1", ollama),
    "vllm": ("/v1", vllm),
    "vllm-gemma": ("/v1", vllm_gemma),
    "gemini": ("/v1beta/openai", gemini),
    "deepseek": ("/v1", deepseek),
    "deepseek-local": ("/v1", deepseek_local),
    "mistral": ("/v1", mistral),
    "ark": ("/api/v3", deepseek),
    "openrouter": ("/api/v1", openrouter),
    "llama-cpp": ("/v1", llama_cpp),
    "unimplemented": ("/v1", unimplemented),
    "lost-in-thought": ("/v1", lost_in_thought),
    "never-json": ("/v1", never_json),
    "in-turn": ("/v1", in_turn),
}


@dataclass(slots=True)
class ChatServers:
    """All chat servers as one; `calls` holds what each of them was asked."""

    calls: dict[str, list[Asked]] = field(default_factory=dict)

    def __call__(self, request: Request) -> Answer:
        """The answer of the server whose name begins the path."""
        path, _, query = request.path.partition("?")
        _, name, place = path.split("/", 2) if path.count("/") > 1 else ("", "", "")
        if name not in CHAT_SERVERS or f"/{place}" != CHAT_SERVERS[name][0] + "/chat/completions":
            return refused(404, f"There is nothing at {path}")
        asked = Asked(request.body, request.headers, dict(parse_qsl(query)))
        self.calls.setdefault(name, []).append(asked)
        return CHAT_SERVERS[name][1](asked)
