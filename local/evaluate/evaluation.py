"""Evaluates one conversation: adds its turns to the running service in order, then searches its questions."""

from __future__ import annotations

import time
import uuid
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from local.client import Client, ToolError
from local.evaluate.locomo import Conversation, Question, Turn
from local.evaluate.recall import CUTS, Answer

__all__ = ["Evaluation", "Recipe"]


@dataclass(frozen=True, slots=True)
class Recipe:
    """How a turn becomes a message."""

    #: Whether the text is "Speaker: text", as in a transcript, or the text alone.
    speaker: bool = True
    #: Whether each session is a run, so that the context of a turn ends at its session.
    runs: bool = True
    #: The number of turns in one call.
    batch: int = 50

    def content(self, turn: Turn) -> str:
        """Return the text to store."""
        return f"{turn.speaker}: {turn.text}" if self.speaker else turn.text


class Evaluation:
    """One conversation, under a user of its own."""

    def __init__(self, client: Client, conversation: Conversation, recipe: Recipe) -> None:
        self.user = f"eval-{conversation.name}-{uuid.uuid4().hex[:8]}"
        self._client = client
        self._conversation = conversation
        self._recipe = recipe
        self._turn_of: dict[str, str] = {}

    def load(self) -> int:
        """Add all turns in order, so that each finds its context; return the number of memories."""
        for session in self._conversation.sessions():
            for start in range(0, len(session), self._recipe.batch):
                self._add(session[start : start + self._recipe.batch])
        return len(self._turn_of)

    def ask(self, clients: int) -> list[Answer]:
        """Search every question, ``clients`` at a time."""
        with ThreadPoolExecutor(max_workers=clients) as pool:
            return list(pool.map(self._answer, self._conversation.questions))

    def delete(self) -> None:
        """Delete the user's memories."""
        self._client.delete_user(self.user)

    def _add(self, turns: Sequence[Turn]) -> None:
        first = self._conversation.speakers[0]
        messages = [
            {"role": "user" if turn.speaker == first else "assistant", "content": self._recipe.content(turn)}
            for turn in turns
        ]
        scope = {"user_id": self.user} | ({"run_id": f"session-{turns[0].session}"} if self._recipe.runs else {})
        metadata = {"session": turns[0].session, "said_at": turns[0].session_time}
        results = self._client.add(messages, infer=False, metadata=metadata, **scope)["results"]
        if len(results) != len(turns):
            raise ToolError(f"{len(turns)} turns were added, {len(results)} memories came back")
        self._turn_of |= {result["id"]: turn.id for result, turn in zip(results, turns, strict=True)}

    def _answer(self, question: Question) -> Answer:
        began = time.perf_counter()
        results = self._client.search(question.text, {"user_id": self.user}, top_k=max(CUTS), threshold=0)
        seconds = time.perf_counter() - began
        return Answer(question, tuple(self._turn_of[result["id"]] for result in results), seconds)
