"""An LLM for evaluations: it extracts from each message the facts that the conversation names, and nothing else."""

from __future__ import annotations

import json
from collections.abc import Iterable
from contextlib import AbstractContextManager

from local.evaluate.canned_llm import Asked, canned_llm
from local.evaluate.conversations import Conversation

__all__ = ["fact_replies"]


def fact_replies(conversations: Iterable[Conversation]) -> AbstractContextManager[str]:
    """Serve until the block ends; gives the address for OPENAI_BASE_URL."""
    facts = {
        turn.text: [fact.text for fact in turn.facts] for conversation in conversations for turn in conversation.turns
    }

    def reply(asked: Asked) -> str:
        said = [
            {"text": text, "attributed_to": message["role"], "supersedes": [], "sources": [message["number"]]}
            for message in asked.get("new_messages", ())
            for text in facts.get(message["text"], ())
        ]
        return json.dumps({"facts": said}, ensure_ascii=False)

    return canned_llm(reply)
