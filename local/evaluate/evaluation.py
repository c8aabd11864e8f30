"""Evaluates one conversation: adds its turns to a service in order, with their times, then searches its questions."""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Literal

from local.client import Client, ToolError
from local.evaluate.conversations import Conversation, Question, Turn
from local.evaluate.recall import CUTS, Answer, Scores

__all__ = ["ALL_ROWS", "Evaluation", "Recipe"]

#: The most results of one search. With `calibrate`, all rows of a conversation should fit.
ALL_ROWS = 1000
#: The time between two turns of a session, of which only the beginning is known.
_BETWEEN_TURNS = timedelta(seconds=1)


@dataclass(frozen=True, slots=True)
class Recipe:
    """How turns become memories, and how questions are asked."""

    #: Where a speaker's name stands: in the text ("Ann: …", a transcript), in the message's `name`, or nowhere.
    names: Literal["text", "field", "none"] = "text"
    #: Whether each session is a run, so that the context of a turn ends at its session.
    runs: bool = True
    #: Whether the times of the conversation are sent.
    times: bool = True
    #: The number of turns in one call.
    batch: int = 50
    #: The least score of a result; None: the service's default.
    threshold: float | None = None
    #: Whether all rows are scored for each question.
    calibrate: bool = False
    #: Whether an LLM that answers with the conversation's facts extracts them; otherwise they are stored as they are.
    extract: bool = False


class Evaluation:
    """One conversation, under a user of its own."""

    def __init__(self, client: Client, conversation: Conversation, recipe: Recipe) -> None:
        self.user = f"eval-{conversation.name}-{uuid.uuid4().hex[:8]}"
        self._client = client
        self._conversation = conversation
        self._recipe = recipe
        #: What each memory stands for: the id of a turn or fact.
        self._answer_of: dict[str, str] = {}

    def load(self) -> int:
        """Add everything in order, so that each turn finds its context; return the number of memories."""
        if self._conversation.form != "facts":
            for portion, later in self._portions():
                self._add_turns(portion, later)
        elif self._recipe.extract:
            for portion, later in self._portions():
                self._extract(portion, later)
        else:
            for turn in self._conversation.turns:
                self._add_facts(turn)
        return len(self._answer_of)

    def ask(self, clients: int) -> list[Answer]:
        """Search every question, ``clients`` at a time."""
        with ThreadPoolExecutor(max_workers=clients) as pool:
            return list(pool.map(self._answer, self._conversation.questions))

    def delete(self) -> None:
        """Delete the user's memories."""
        self._client.delete_user(self.user)

    def _portions(self) -> Iterator[tuple[list[Turn], timedelta]]:
        """The turns of each call, and how long after the session's beginning they were said."""
        for session in self._conversation.sessions():
            for start in range(0, len(session), self._recipe.batch):
                yield session[start : start + self._recipe.batch], start * _BETWEEN_TURNS

    def _add_turns(self, turns: Sequence[Turn], later: timedelta) -> None:
        results = self._add([self._message(turn) for turn in turns], turns[0], later, infer=False)
        self._note([turn.id for turn in turns], results)

    def _add_facts(self, turn: Turn) -> None:
        """Store the facts of a turn as they are, each in a run of its own, so that none is the context of another."""
        for fact in turn.facts:
            message = {"role": turn.role, "content": fact.text, **self._name_field(turn)}
            self._note([fact.id], self._add([message], turn, timedelta(), infer=False, run=f"fact-{fact.id}"))

    def _extract(self, turns: Sequence[Turn], later: timedelta) -> None:
        """Have the facts extracted; the LLM answers with the facts that the conversation names."""
        messages = [{"role": turn.role, "content": turn.text, **self._name_field(turn)} for turn in turns]
        ids = {fact.text: fact.id for turn in turns for fact in turn.facts}
        results = self._add(messages, turns[0], later, infer=True)
        self._note([ids[result["memory"]] for result in results], results)

    def _add(
        self, messages: Sequence[Mapping[str, str]], first: Turn, later: timedelta, *, infer: bool, run: str = ""
    ) -> Sequence[Mapping[str, Any]]:
        run = run or (f"session-{first.session}" if self._recipe.runs else "")
        fields: dict[str, Any] = {"user_id": self.user, **({"run_id": run} if run else {})}
        if self._recipe.times and first.time is not None:
            fields["timestamp"] = (first.time + later).isoformat()
        return self._client.add_dated(messages, infer=infer, **fields)

    def _note(self, ids: Sequence[str], results: Sequence[Mapping[str, Any]]) -> None:
        if len(results) != len(ids):
            raise ToolError(f"{len(ids)} were added, {len(results)} memories came back")
        self._answer_of |= {result["id"]: id_ for result, id_ in zip(results, ids, strict=True)}

    def _message(self, turn: Turn) -> dict[str, str]:
        named = turn.speaker and self._recipe.names == "text" and self._conversation.form == "people"
        content = f"{turn.speaker}: {turn.text}" if named else turn.text
        return {"role": turn.role, "content": content, **({} if named else self._name_field(turn))}

    def _name_field(self, turn: Turn) -> dict[str, str]:
        """The name as a field of the message. Chats have it there if they have it at all."""
        as_field = self._recipe.names == "field" or self._conversation.form != "people"
        return {"name": turn.speaker} if turn.speaker and as_field and self._recipe.names != "none" else {}

    def _answer(self, question: Question) -> Answer:
        threshold = {} if self._recipe.threshold is None else {"threshold": self._recipe.threshold}
        began = time.perf_counter()
        rows = self._search(question, top_k=max(CUTS), **threshold)
        seconds = time.perf_counter() - began
        every = self._search(question, top_k=ALL_ROWS, threshold=0) if self._recipe.calibrate else None
        return Answer(
            question.text,
            question.category,
            question.evidence,
            tuple(id_ for id_, _ in rows),
            tuple(score for _, score in rows),
            seconds,
            None if every is None else Scores.of(every, question.evidence),
        )

    def _search(self, question: Question, **fields: Any) -> list[tuple[str, float]]:
        """What the service finds: ids and scores."""
        asked_at = self._conversation.asked_at
        if self._recipe.times and asked_at is not None:
            fields["reference_date"] = asked_at.isoformat()
        results = self._client.search_dated(question.text, {"user_id": self.user}, **fields)
        return [(self._answer_of[result["id"]], float(result["score"])) for result in results]
