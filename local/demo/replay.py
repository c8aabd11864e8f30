"""Replays the story into the service, asks the questions and finds what was superseded."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from local.client import Client
from local.demo.story import DAYS, QUESTIONS, Day, Question

__all__ = ["Asked", "Replay", "Told"]


@dataclass(frozen=True, slots=True)
class Told:
    """One session and what the service remembers of it."""

    day: Day
    results: list[dict[str, Any]]
    seconds: float


@dataclass(frozen=True, slots=True)
class Asked:
    """One question and its results, best first."""

    question: Question
    results: list[dict[str, Any]]
    seconds: float

    @property
    def good(self) -> bool:
        """Return whether a result contains the expected word."""
        return any(self.question.expected.casefold() in result["memory"].casefold() for result in self.results)


@dataclass(slots=True)
class Replay:
    """Replays the story for users of its own; ``prefix`` keeps two replays apart."""

    client: Client
    prefix: str
    infer: bool
    _ids: dict[str, list[str]] = field(default_factory=dict)

    def user(self, name: str) -> str:
        """Return the user_id of one person."""
        return f"{self.prefix}-{name}"

    def forget(self) -> None:
        """Delete the memories of an earlier replay."""
        for name in dict.fromkeys(day.user for day in DAYS):
            self.client.delete_user(self.user(name))

    def tell(self) -> Iterator[Told]:
        """Add the messages day by day, in order."""
        for day in DAYS:
            began = time.perf_counter()
            results = self.client.add_dated(
                day.messages(),
                user_id=self.user(day.user),
                infer=self.infer,
                metadata={"day": day.date},
                timestamp=day.moment,
            )
            seconds = time.perf_counter() - began
            self._ids.setdefault(day.user, []).extend(result["id"] for result in results)
            yield Told(day, results, seconds)

    def ask(self, top_k: int) -> Iterator[Asked]:
        """Ask every question."""
        for question in QUESTIONS:
            began = time.perf_counter()
            results = self.client.search(question.text, {"user_id": self.user(question.user)}, top_k=top_k)
            yield Asked(question, results, time.perf_counter() - began)

    def superseded(self) -> Iterator[list[dict[str, Any]]]:
        """Return the history of each memory that was stored and that lists no longer show."""
        for name, ids in self._ids.items():
            listed = self.client.call("GET", "/memories", params={"user_id": self.user(name), "top_k": 1000})
            live = {memory["id"] for memory in listed["results"]}
            for memory_id in dict.fromkeys(ids):
                if memory_id not in live:
                    yield self.client.history(memory_id)
