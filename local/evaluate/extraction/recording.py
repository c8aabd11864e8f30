"""A recording of an LLM's replies, one line for each case, by which an evaluation can be repeated without the LLM."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

from forgetless.ports.llm import ChatMessage, Completion, Llm
from local.client import ToolError
from local.evaluate.canned_llm import Asked, canned_llm
from local.evaluate.extraction.cases import Case

__all__ = ["RecordingLlm", "read_replies", "replaying", "write_replies"]


class RecordingLlm:
    """Asks another LLM, keeps what it said last, and counts its calls and the characters that it was sent."""

    def __init__(self, llm: Llm) -> None:
        self._llm = llm
        self.said = ""
        self.calls = 0
        self.chars = 0

    def complete(
        self,
        messages: Sequence[ChatMessage],
        *,
        schema_name: str | None = None,
        schema: Mapping[str, Any] | None = None,
        deadline_s: float,
    ) -> Completion:
        """The other LLM's reply."""
        self.said = ""
        self.calls += 1
        self.chars += sum(len(message.content) for message in messages)
        reply = self._llm.complete(messages, schema_name=schema_name, schema=schema, deadline_s=deadline_s)
        self.said = reply.text
        return reply

    def close(self) -> None:
        """Release the other one's connections."""
        self._llm.close()


def read_replies(path: Path) -> dict[str, str]:
    """The replies by the names of the cases; raises ToolError that names the file."""
    try:
        lines = map(json.loads, path.read_text(encoding="utf-8").splitlines())
        return {str(line["case"]): str(line["reply"]) for line in lines}
    except OSError as error:
        raise ToolError(f"{path} cannot be read: {error.strerror}") from None
    except (ValueError, KeyError, TypeError) as error:
        raise ToolError(f"{path} is no recording that --record wrote: {type(error).__name__} {error}") from None


def write_replies(path: Path, replies: Mapping[str, str]) -> None:
    """Write what `read_replies` reads."""
    lines = [json.dumps({"case": case, "reply": reply}, ensure_ascii=False) for case, reply in replies.items()]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def replaying(cases: Sequence[Case], replies: Mapping[str, str]) -> AbstractContextManager[str]:
    """Serve the replies as an OpenAI-compatible server until the block ends; gives its address.

    Raises ToolError if a case has none: a recording of other cases would measure nothing.
    """
    missing = sorted({case.name for case in cases} - replies.keys())
    if missing:
        raise ToolError(f"the recording has no reply for {', '.join(missing)}: record these cases again")
    by_text = {_key([message.content for message in case.request.messages]): replies[case.name] for case in cases}

    def reply(asked: Asked) -> str:
        return by_text.get(_key([message["text"] for message in asked.get("new_messages", ())]), "")

    return canned_llm(reply)


def _key(texts: Sequence[str]) -> str:
    return "\n".join(texts)
